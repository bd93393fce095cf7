/** Defects of `gossip/`, to be put in on purpose; see `mutants_table.ts`. */

import { type Mutant, SEEDS } from "./mutant.ts";

/** The defects. */
export const GOSSIP_MUTANTS: readonly Mutant[] = [
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
    find: "    if (!node.rooms.replica.caughtUp) {",
    replace: "    if (node.rooms.cluster.others().length > 0) {",
    caughtBy: "tests/scenarios/recovery_test.ts :: X1",
  },
  {
    name: "joiner-opens-before-its-first-copy",
    file: "gossip/open.ts",
    find: "    if (!node.rooms.replica.caughtUp) {",
    replace: "    if (node.rooms.replica.origin !== undefined) {",
    caughtBy: SEEDS,
  },
  {
    name: "close-pushes-nothing",
    file: "gossip/db.ts",
    find: "    closing.defer(() => push?.flush());\n",
    replace: "    void push;\n",
    caughtBy: "tests/scenarios/recovery_test.ts :: close: what was acked just",
  },
  {
    name: "watch-splits-batches",
    file: "gossip/watch.ts",
    find:
      "        watcher.feed.push(wanted.map((entry) => changeOf(entry, coalesced)));\n",
    replace:
      "        for (const entry of wanted) {\n          watcher.feed.push([changeOf(entry, coalesced)]);\n        }\n",
    caughtBy: SEEDS,
  },
  {
    name: "watch-shows-the-newest-of-a-group-alone",
    file: "gossip/watch.ts",
    find: "        if (wanted.length === 0) continue;\n        const",
    replace: `        const isNewest = applied.findLast((one) =>
          one.changes.some(({ key }) =>
            keyText(key) === keyText(wanted[0]?.key ?? key)
          )
        )?.changes === changes;
        if (wanted.length === 0 || !isNewest) continue;
        const`,
    caughtBy: SEEDS,
  },
  {
    name: "feed-drops-without-a-word",
    file: "gossip/feed.ts",
    find: "    if (full || this.#missed > 0) this.#missed++;\n",
    replace: "    if (full) return;\n",
    caughtBy: SEEDS,
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
    file: "gossip/watch.ts",
    find: "        if (wanted.length === 0) continue;\n",
    replace:
      "        if (wanted.length === 0) continue;\n        if (wanted.length > 2) wanted.push(wanted[0]!);\n",
    caughtBy: SEEDS,
  },
  {
    name: "caught-up-without-asking",
    file: "gossip/db.ts",
    find: "        await abortable(pull.from(node), deadline.signal);\n",
    replace: "        void pull.from(node).catch(() => {});\n",
    caughtBy: SEEDS,
  },
  {
    name: "lists-leave-their-namespace",
    file: "gossip/db.ts",
    find: "        ? spacePrefix(Space.LIVE)\n",
    replace: "        ? new Uint8Array()\n",
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
];
