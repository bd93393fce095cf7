/** Defects of `gossip/`, to be put in on purpose; see `mutants_table.ts`. */

import { type Mutant, SEEDS } from "./mutant.ts";

/** The defects. */
export const GOSSIP_MUTANTS: readonly Mutant[] = [
  {
    name: "token-is-of-what-is-here-later",
    file: "gossip/results.ts",
    find: "    return result.#left = ",
    replace: "    return ",
    caughtBy: "gossip/results_test.ts :: of the moment",
  },
  {
    name: "token-is-not-sent-with-its-result",
    file: "gossip/results.ts",
    find: "  enumerable: true,\n",
    replace: "  enumerable: false,\n",
    caughtBy: "gossip/results_test.ts :: wherever it is shown",
  },
  {
    name: "lagged-marker-forgotten",
    file: "gossip/feed.ts",
    find: `    if (full || this.#missed > 0) this.#missed++;`,
    replace: `    if (full) this.#missed += 0;`,
    caughtBy: "gossip/feed_test.ts :: what is dropped is told",
  },
  {
    name: "open-waits-for-its-peers",
    file: "gossip/open.ts",
    find: "    if (!replica.caughtUp && replica.vector.size === 0) {",
    replace: "    if (node.rooms.cluster.others().length > 0) {",
    caughtBy: "tests/scenarios/recovery_test.ts :: X1",
  },
  {
    name: "joiner-opens-before-its-first-copy",
    file: "gossip/open.ts",
    find: "    if (!replica.caughtUp && replica.vector.size === 0) {",
    replace: "    if (replica.origin !== undefined) {",
    caughtBy: SEEDS,
  },
  {
    name: "close-pushes-nothing",
    file: "gossip/db.ts",
    find: "    closing.defer(() => rooms.spread?.close());\n",
    replace: "",
    caughtBy: "tests/scenarios/recovery_test.ts :: close: what was acked just",
  },
  {
    name: "watch-splits-batches",
    file: "gossip/watcher.ts",
    find: "      this.#queue.push(wanted, step);\n",
    replace: "      for (const one of wanted) this.#queue.push([one], step);\n",
    caughtBy: SEEDS,
  },
  {
    name: "watch-shows-the-newest-of-a-group-alone",
    file: "gossip/watch.ts",
    find: "    for (const each of applied) {\n",
    replace: `    for (const each of applied) {
      const isNewest = (key: Uint8Array) =>
        applied.findLast((one) =>
          one.changes.some((other) => keyText(other.key) === keyText(key))
        ) === each;
      if (!each.changes.every(({ key }) => isNewest(key))) continue;
`,
    caughtBy: SEEDS,
  },
  {
    name: "feed-drops-without-a-word",
    file: "gossip/feed.ts",
    find: "    if (full || this.#missed > 0) this.#missed++;\n",
    replace: "    if (full) return;\n",
    caughtBy: "gossip/feed_test.ts :: what is dropped is told in its place",
  },
  {
    name: "conflicts-noted-and-not-told",
    file: "gossip/open.ts",
    find: "        for (const clash of clashes) {\n          events.emit({",
    replace:
      "        for (const clash of clashes.slice(1)) {\n          events.emit({",
    caughtBy: SEEDS,
  },
  {
    name: "watch-shows-a-key-twice",
    file: "gossip/watcher.ts",
    find: "    if (wanted.length > 0) {\n",
    replace:
      "    if (wanted.length > 2) wanted.push(wanted[0]!);\n    if (wanted.length > 0) {\n",
    caughtBy: SEEDS,
  },
  {
    name: "watch-leaves-a-gap-where-it-goes-live",
    file: "gossip/watcher.ts",
    find:
      "        if (i === told.length - 1 && replay.isAtEnd) this.#isLive = true;\n",
    replace: "        if (i === told.length - 1) this.#isLive = true;\n",
    caughtBy: "gossip/watch_schedules_test.ts",
  },
  {
    name: "token-runs-ahead-of-what-was-seen",
    file: "gossip/progress.ts",
    find: "after(base, steps.slice(0, length))",
    replace: "after(base, steps.slice(0, length + 1))",
    caughtBy: "gossip/change_queue_test.ts :: a token stands for the moment",
  },
  {
    name: "slow-watcher-loses-before-it-coalesces",
    file: "gossip/change_queue.ts",
    find: "    if (this.#missed === 0 && this.#fits(changes)) {\n",
    replace: "    if (this.#missed > 0 && this.#fits(changes)) {\n",
    caughtBy: "gossip/change_queue_test.ts :: without room",
  },
  {
    name: "token-of-a-stream-stands-still",
    file: "gossip/watcher.ts",
    find:
      "    } else if (this.#queue.isEmpty) this.#progress.advance([step]);\n    else this.#queue.pass(step);\n",
    replace: "    } else this.#queue.pass(step);\n",
    caughtBy: "gossip/watch_test.ts :: the token of a stream moves on",
  },
  {
    name: "watched-state-never-let-go",
    file: "gossip/watcher.ts",
    find: "      await this.#earlier?.return(undefined);\n",
    replace: "      await Promise.resolve();\n",
    caughtBy: "gossip/watch_test.ts :: is let go of",
  },
  {
    name: "caught-up-without-asking",
    file: "gossip/db.ts",
    find: "        await abortable(pull.from(node), deadline.signal);\n",
    replace: "        void pull.from(node).catch(() => {});\n",
    caughtBy: SEEDS,
  },
  {
    name: "read-does-not-wait-for-its-token",
    file: "gossip/db.ts",
    find: "    await this.#parts.arrivals.of(vector, {\n",
    replace: "    void this.#parts.arrivals.of(vector, {\n",
    caughtBy: "tests/scenarios/session_test.ts :: a read with the token",
  },
  {
    name: "token-of-a-node-without-what-was-just-read",
    file: "gossip/token.ts",
    find: "  vector.write(writer);\n",
    replace: "  new Vector().write(writer);\n",
    caughtBy: "tests/scenarios/session_test.ts :: never go back",
  },
  {
    name: "ended-keys-still-listed",
    file: "gossip/living_keys.ts",
    find: "    return takeSeq(expiring.value, 0) <= now();\n",
    replace: "    return takeSeq(expiring.value, 0) < now() - 1e6;\n",
    caughtBy: "gossip/living_keys_test.ts",
  },
  {
    name: "lists-leave-their-namespace",
    file: "gossip/db.ts",
    find: "      ? spacePrefix(space)\n",
    replace: "      ? new Uint8Array()\n",
    caughtBy: "tests/scenarios/kv_test.ts :: X16",
  },
  {
    name: "peers-are-asked-once-only",
    file: "gossip/open.ts",
    find: "  seeds?.start();\n",
    replace: "",
    caughtBy: "tests/scenarios/membership_test.ts :: nodes that have all moved",
  },
  {
    name: "joiner-waits-for-who-cannot-forget-yet",
    file: "gossip/open.ts",
    find: "            if (!(error instanceof WaitingError)) throw error;\n",
    replace: "            if (WaitingError !== undefined) throw error;\n",
    caughtBy: "tests/scenarios/conflicts_test.ts :: a node that joins is open",
  },
  {
    name: "lost-connection-told-as-a-failure",
    file: "gossip/open.ts",
    find: "if (!isRoutine(error)) events.emit(",
    replace: "if (isRoutine(error) || !isRoutine(error)) events.emit(",
    caughtBy: "tests/scenarios/partition_test.ts :: is told as that, not as",
  },
  {
    name: "own-disk-blamed-on-the-peer",
    file: "gossip/dispatch.ts",
    find: "      if (isRoutine(error)) return;\n",
    replace: "      void isRoutine;\n",
    caughtBy: "gossip/dispatch_test.ts :: own engine does not take",
  },
  {
    name: "client-asks-what-members-ask",
    file: "gossip/dispatch.ts",
    find: "if (type !== MessageType.COMMIT) {",
    replace: "if (type === MessageType.PLEDGE) {",
    caughtBy: "gossip/dispatch_test.ts :: a client may commit",
  },
  {
    name: "witness-let-in-as-a-full-replica",
    file: "gossip/dispatch.ts",
    find: `if (remote.replica !== "full") {`,
    replace: `if (remote.replica === "partial") {`,
    caughtBy: "gossip/dispatch_test.ts :: keeps a part of the data",
  },
  {
    name: "watch-is-where-its-reader-is-not",
    file: "gossip/watcher.ts",
    find: "    this.#held ??= { token: this.#here() };\n",
    replace: "",
    caughtBy: "gossip/watch_test.ts :: on its way to it",
  },
  {
    name: "entry-gives-away-what-others-write",
    file: "gossip/db.ts",
    find: "      key: new Uint8Array(bytes),\n",
    replace: "      key: bytes,\n",
    caughtBy: "tests/scenarios/kv_test.ts :: nobody else's writes suffer",
  },
  {
    name: "reset-trusts-that-others-have-it",
    file: "gossip/open.ts",
    find:
      "      cluster.reported().some((report) => report?.vector.covers(origin, seq)),\n",
    replace:
      "      cluster.reported().every((report) => seq > 0 || report?.vector.covers(origin, seq)),\n",
    caughtBy: "tests/scenarios/directory_test.ts :: what its writer has lost",
  },
];
