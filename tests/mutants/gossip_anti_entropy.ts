/**
 * Defects of pulls, sessions, copies and audits, to be put in on purpose; see
 * `mutants_table.ts`.
 */

import { type Mutant, SEEDS } from "./mutant.ts";

/** The defects. */
export const GOSSIP_ANTI_ENTROPY_MUTANTS: readonly Mutant[] = [
  {
    name: "who-has-what-waits-is-asked-by-each-push",
    file: "gossip/replication/pull.ts",
    find: "      rest.nudged = true;\n      return Promise.resolve();\n",
    replace: "      rest.nudged = true;\n",
    caughtBy:
      "tests/scenarios/conflicts_test.ts :: wait for each other quietly",
  },
  {
    name: "who-is-busy-is-asked-by-each-push",
    file: "gossip/replication/pull.ts",
    find: "      const isAnswer = error instanceof BusyError ||\n",
    replace: "      const isAnswer = error instanceof WaitingError ||\n",
    caughtBy: "gossip/replication/pull_test.ts :: a peer that is busy",
  },
  {
    name: "held-origin-looked-through-from-too-high",
    file: "gossip/replication/held.ts",
    find: "    held.lowest = Math.min(held.lowest, seq);\n",
    replace: "",
    caughtBy: "gossip/replication/log_test.ts :: forgotten when covered",
  },
  {
    name: "reason-to-ask-is-forgotten-while-a-peer-rests",
    file: "gossip/replication/pull.ts",
    find: "      if (nudged) void this.nudge(node);\n",
    replace: "      void nudged;\n",
    caughtBy: "gossip/replication/pull_test.ts :: once it has rested",
  },
  {
    name: "one-slow-peer-keeps-what-waited-from-being-pulled",
    file: "gossip/replication/pull.ts",
    find: "    await Promise.race([something, late.promise]);\n",
    replace: "    await something;\n",
    caughtBy: "gossip/replication/pull_test.ts :: does not answer",
  },
  {
    name: "what-waits-is-asked-for-after-the-end",
    file: "gossip/replication/pull.ts",
    find: "    this.#abort.signal.throwIfAborted();\n    let idleRounds = 0;\n",
    replace: "    let idleRounds = 0;\n",
    caughtBy: "gossip/replication/pull_test.ts :: after it was closed",
  },
  {
    name: "what-waited-comes-in-one-batch-of-any-size",
    file: "gossip/replication/early.ts",
    find: "    while (draft.bytes < bytesMax) {\n",
    replace: "    while (draft.bytes < bytesMax * 1e6) {\n",
    caughtBy: "gossip/replication/conflict_test.ts :: batches that are bounded",
  },
  {
    name: "what-builds-on-what-waited-waits-for-ever",
    file: "gossip/replication/waiting.ts",
    find: "deps?.every(covers)",
    replace: "(deps === undefined && seq < 0)",
    caughtBy: "gossip/replication/conflict_test.ts :: waits no longer",
  },
  {
    name: "what-waits-no-longer-stays-aside",
    file: "gossip/replication/early.ts",
    find: "    if (this.#aside.size === 0) return;\n",
    replace: "    if (this.#aside.size >= 0) return;\n",
    caughtBy: "gossip/replication/conflict_test.ts :: waits no longer",
  },
  {
    name: "what-builds-on-what-waits-is-not-known-to",
    file: "gossip/replication/early.ts",
    find: '        this.waiting.arrived(record, "early", vector);\n',
    replace: "        void record;\n",
    caughtBy: "gossip/replication/conflict_test.ts :: waits on when some",
  },
  {
    name: "records-that-wait-hold-up-the-rest-of-a-pull",
    file: "gossip/replication/pull.ts",
    find: "      aside = replica.waitingOf(wanted);\n",
    replace: "      aside = replica.waitingOf(new Vector());\n",
    caughtBy:
      "gossip/replication/pull_test.ts :: keep a pull from nothing else",
  },
  {
    name: "what-waits-is-asked-for-by-each-pull",
    file: "gossip/replication/pull.ts",
    find: "    let aside = this.#aside(node);\n",
    replace: "    let aside = new Vector();\n",
    caughtBy: "gossip/replication/pull_test.ts :: by the next pulls",
  },
  {
    name: "what-waits-is-not-asked-for-after-a-while",
    file: "gossip/replication/pull.ts",
    find: "      () => this.#asked = undefined,\n",
    replace: "      () => this.#asked,\n",
    caughtBy: "gossip/replication/pull_test.ts :: by the next pulls",
  },
  {
    name: "peer-asked-as-if-it-had-what-others-have",
    file: "gossip/replication/pull.ts",
    find: "    const had = this.#had.get(node);\n",
    replace: "    const had = [...this.#had.values()][0];\n",
    caughtBy:
      "gossip/replication/pull_test.ts :: takes nothing for missing that waits",
  },
  {
    name: "what-waited-is-pulled-from-all-at-once",
    file: "gossip/replication/pull.ts",
    find: "      await this.#atMost(this.nudge(node), RESUME_MS);\n",
    replace: "      void this.nudge(node);\n",
    caughtBy: "gossip/replication/pull_test.ts :: from one after the other",
  },
  {
    name: "session-taken-without-what-was-left-aside",
    file: "gossip/replication/pull.ts",
    find: "        if (!whole && !base.includes(vector)) {\n",
    replace: "        if (vector.includes(base) && base.size < 0) {\n",
    caughtBy: "gossip/replication/pull_test.ts :: the rest comes by a session",
  },
  {
    name: "copy-goes-on-with-who-has-collected",
    file: "gossip/replication/donor.ts",
    find: "return vector.includes(from.reached) && from.base.includes(floor);",
    replace: "return vector.includes(from.reached) && floor.size >= 0;",
    caughtBy:
      "gossip/replication/copy_resume_test.ts :: delta 3: a copy does not go on",
  },
  {
    name: "copy-goes-on-with-who-has-less",
    file: "gossip/replication/donor.ts",
    find: "return vector.includes(from.reached) && from.base.includes(floor);",
    replace: "return vector.size >= 0 && from.base.includes(floor);",
    caughtBy:
      "gossip/replication/copy_resume_test.ts :: goes on with any donor",
  },
  {
    name: "copy-goes-on-beside-what-it-replaces",
    file: "gossip/replication/incoming_copy.ts",
    find: "replace(ops, this.#bank, entry, before)",
    replace: "replace(ops, this.#bank, entry, before && undefined)",
    caughtBy:
      "gossip/replication/copy_resume_test.ts :: goes on with any donor",
  },
  {
    name: "copy-forgets-the-lives-of-its-first-donor",
    file: "gossip/replication/incoming_copy.ts",
    find: "lifeGone: Math.max(lifeGone, this.#lifeGone),",
    replace: "lifeGone: Math.max(lifeGone, 0),",
    caughtBy: "gossip/replication/copy_resume_test.ts :: keeps the lives",
  },
  {
    name: "copy-forgets-what-broke-off",
    file: "gossip/replication/incoming_copy.ts",
    find: "reached.join(session.vector);",
    replace: "reached.join(this.#base);",
    caughtBy:
      "gossip/replication/copy_resume_test.ts :: goes on with any donor",
  },
  {
    name: "copy-sends-what-has-changed-twice",
    file: "gossip/replication/session.ts",
    find: "if (!this.#goesOn || this.#isInBase(found)) return found;",
    replace:
      "if (!this.#goesOn || this.#isInBase(found) || found) return found;",
    caughtBy: "gossip/replication/copy_resume_test.ts :: is not sent again",
  },
  {
    name: "copies-go-as-fast-as-they-can",
    file: "gossip/replication/donor.ts",
    find: "      this.#pace.spend(chunk.length);\n",
    replace: "",
    caughtBy: "gossip/replication/donor_test.ts :: no faster than they may",
  },
  {
    name: "copy-comes-in-any-order",
    file: "gossip/replication/incoming_copy.ts",
    find: "if (next.dead !== last.dead) return next.dead;",
    replace: "if (next.dead !== last.dead) return true;",
    caughtBy: "gossip/replication/copy_test.ts :: is not in order",
  },
  {
    name: "copy-goes-on-without-the-lists-of-its-first-donor",
    file: "gossip/replication/donor.ts",
    find: "foldsBeyond(rest, vector)",
    replace: "foldsBeyond(base, vector)",
    caughtBy: "gossip/replication/fold_test.ts :: lists of all folds",
  },
  {
    name: "session-without-the-lists-of-folds",
    file: "gossip/replication/donor.ts",
    find: "      folds: this.#options.replica.foldsBeyond(rest, vector),\n",
    replace: "      folds: [],\n",
    caughtBy: "tests/scenarios/directory_test.ts :: however often nodes start",
  },
  {
    name: "replay-tells-of-what-lost",
    file: "gossip/replication/replay.ts",
    find: "      if (marks?.lost.includes(i)) continue;\n",
    replace: "      void marks;\n",
    caughtBy: "gossip/watch_schedules_test.ts",
  },
  {
    name: "replay-tells-of-what-another-node-was-above",
    file: "gossip/replication/replay.ts",
    find: "    if (this.#overtakers!.size === 0) return false;\n",
    replace: "    if (this.#overtakers!.size >= 0) return false;\n",
    caughtBy: "gossip/watch_schedules_test.ts",
  },
  {
    name: "missing-for-a-token-not-asked-for",
    file: "gossip/replication/arrivals.ts",
    find: "      void this.#ask(wanted, either);\n",
    replace: "      void either;\n",
    caughtBy: "gossip/replication/arrivals_test.ts :: asks its author first",
  },
  {
    name: "held-record-keeps-its-message",
    file: "gossip/replication/held.ts",
    find: "decodeRecord(new Uint8Array(record.bytes))",
    replace: "record",
    caughtBy: "gossip/replication/log_test.ts :: does not keep the message",
  },
  {
    name: "donor-forgets-its-bound",
    file: "gossip/replication/donor.ts",
    find: `    const open = this.#sessions.size + this.#beginning;`,
    replace: `    const open = this.#sessions.size;`,
    caughtBy: "gossip/replication/donor_test.ts :: no more sessions are open",
  },
  {
    name: "pull-leaves-a-joiner-waiting",
    file: "gossip/replication/pull.ts",
    find: "replica.caughtUp ? 1 : 0.1",
    replace: "replica.caughtUp ? 1 : 1",
    caughtBy: "gossip/replication/pull_test.ts :: ten times as often",
  },
  {
    name: "pull-asks-everybody-for-everything",
    file: "gossip/replication/pull.ts",
    find: "    await this.#atMost(before, TURN_MS);\n",
    replace: "    void before;\n",
    caughtBy:
      "gossip/replication/pull_test.ts :: of several peers that have the same",
  },
  {
    name: "pull-waits-for-a-peer-that-does-not-answer",
    file: "gossip/replication/pull.ts",
    find: "this.#options.timers.set(late.resolve, ms);",
    replace: "this.#options.timers.set(() => {}, ms);",
    caughtBy:
      "gossip/replication/pull_test.ts :: do not answer hold the others up",
  },
  {
    name: "nothing-but-pushes",
    file: "gossip/replication/pull.ts",
    find: "    if (nodes.length === 0) return;\n    this.nudge(",
    replace: "    if (nodes.length > 0) return;\n    this.nudge(",
    caughtBy: "gossip/replication/pull_test.ts :: every interval",
  },
  {
    name: "what-waits-is-not-tried-when-there-is-room",
    file: "gossip/replication/early.ts",
    find: "      const record = this.#aside.take(draft.vector) ??\n",
    replace: "      const record = this.#held.take(draft.vector) ??\n",
    caughtBy: "gossip/replication/conflict_test.ts :: comes with it",
  },
  {
    name: "what-comes-after-what-waits-keeps-out-what-is-early",
    file: "gossip/replication/early.ts",
    find: "    (waits ? this.#aside : this.#held).add(record);\n",
    replace: "    (waits ? this.#held : this.#held).add(record);\n",
    caughtBy: "gossip/replication/conflict_test.ts :: have their own room",
  },
  {
    name: "session-fetched-again",
    file: "gossip/replication/pull.ts",
    find:
      "      if (this.figures.sessions !== sessions) return offer.vector;\n",
    replace: "",
    caughtBy: "gossip/replication/pull_test.ts :: of two sessions",
  },
  {
    name: "pull-without-room-has-brought-all",
    file: "gossip/replication/pull.ts",
    find: 'includes("full")',
    replace: 'includes("early")',
    caughtBy: "gossip/replication/pull_test.ts :: no room here",
  },
  {
    name: "sums-keep-what-was-replaced",
    file: "gossip/replication/audit_sums.ts",
    find: "    if (was !== undefined) this.#count(bucket, was, -1);\n",
    replace: "    void was;\n",
    caughtBy: SEEDS,
  },
  {
    name: "sums-of-rows-that-are-still-to-be-counted",
    file: "gossip/replication/audit_sums.ts",
    find: "compareBytes(key, this.#last) <= 0;",
    replace: "compareBytes(key, this.#last) <= 1;",
    caughtBy:
      "gossip/replication/audit_sums_test.ts :: counted in slices come to the same",
  },
  {
    name: "tombstones-count-in-sums",
    file: "gossip/replication/audit_sums.ts",
    find: "    const is = now?.value === undefined ? undefined : now;\n",
    replace: "    const is = now;\n",
    caughtBy:
      "gossip/replication/audit_sums_test.ts :: tombstones do not count",
  },
  {
    name: "audit-compares-what-covers-more",
    file: "gossip/replication/audit.ts",
    find:
      "    if (!replica.vector.equals(vector)) return Verdict.OTHER_VECTOR;\n",
    replace:
      "    if (!replica.vector.includes(vector)) return Verdict.OTHER_VECTOR;\n",
    caughtBy: "gossip/replication/audit_test.ts :: with other vectors",
  },
  {
    name: "audit-answers-before-its-rows-are-counted",
    file: "gossip/replication/audit.ts",
    find:
      "    if (!replica.caughtUp || !replica.sums.isWhole) return Verdict.NOT_READY;\n",
    replace: "    if (!replica.caughtUp) return Verdict.NOT_READY;\n",
    caughtBy:
      "gossip/replication/audit_test.ts :: before all its rows are counted",
  },
  {
    name: "only-who-asks-takes-the-later-version",
    file: "gossip/replication/audit.ts",
    find: "    const repaired = await replica.repair(message);\n",
    replace:
      "    const { vector } = message;\n    const nothing = message.items.map(({ key }) => ({ key, entry: undefined, isIndexed: false }));\n    const repaired = await replica.repair({ vector, items: nothing });\n",
    caughtBy: "gossip/replication/audit_test.ts :: both take the larger entry",
  },
  {
    name: "divergence-told-once-and-never-counted-anew",
    file: "gossip/replication/audit.ts",
    find: "      Promise.resolve(sums.restart())\n",
    replace: "      Promise.resolve(void sums)\n",
    caughtBy: "gossip/replication/audit_test.ts :: counted anew",
  },
  {
    name: "asks-who-cannot-answer-as-fast-as-messages-go",
    file: "gossip/replication/pull.ts",
    find: "        error instanceof RemoteError;\n",
    replace: "        error instanceof RemoteError && false;\n",
    caughtBy: "gossip/replication/pull_test.ts :: answers with an error rests",
  },
  {
    name: "sessions-of-two-processes-have-one-number",
    file: "gossip/replication/donor.ts",
    find: "    return (random.u32() & 0x1fffff) * 2 ** 32 + random.u32();\n",
    replace:
      "    return random.u32() * 0 + 1 + this.#sessions.size + this.#beginning;\n",
    caughtBy: "gossip/replication/donor_test.ts :: another process",
  },
];
