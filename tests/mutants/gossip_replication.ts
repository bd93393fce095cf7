/** Defects of `gossip/replication/`, to be put in on purpose; see `mutants_table.ts`. */

import { type Mutant, SEEDS } from "./mutant.ts";

/** The defects. */
export const GOSSIP_REPLICATION_MUTANTS: readonly Mutant[] = [
  {
    name: "ack-before-the-sync",
    file: "gossip/replication/replica.ts",
    find: `          (outcome) => () => item.resolve(outcome),`,
    replace: `          (outcome) => (item.resolve(outcome), () => {}),`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "pushed-before-the-sync",
    file: "gossip/replication/replica.ts",
    find: "        const batch = await draft.seal();\n",
    replace: `        const batch = await draft.seal();
        this.#options.listener.applied(
          draft.applied.map(({ record }) => ({ record, changes: [] })),
        );
`,
    caughtBy: SEEDS,
  },
  {
    name: "published-before-the-sync",
    file: "gossip/replication/replica.ts",
    find: `        await this.#kv.write(batch, { sync: this.#options.sync });
      }`,
    replace:
      `        const written = this.#kv.write(batch, { sync: this.#options.sync });
        this.#publish(draft);
        for (const settle of settled) settle();
        await written;
        return;
      }`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "scalar-high-water-mark",
    file: "gossip/replication/draft.ts",
    find: `    this.vector.join(session.vector);`,
    replace: `    for (const origin of session.vector.origins()) {
      const seqs = [...session.vector.origins()].map((each) =>
        session.vector.seq(each)
      );
      const all = this.vector.clone();
      for (let seq = all.seq(origin); seq < Math.max(...seqs); seq++) {
        this.vector.add(origin, seq + 1);
      }
    }`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "blind-apply",
    file: "gossip/replication/draft.ts",
    find: `      if (order < 0) return entry;`,
    replace: ``,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "records-of-an-origin-in-any-order",
    file: "gossip/replication/draft.ts",
    find:
      `    if (originLane(origin) === 0 && seq !== this.vector.seq(origin) + 1) {
      return "early";
    }`,
    replace: `    while (this.vector.seq(origin) < seq - 1) {
      this.vector.add(origin, this.vector.seq(origin) + 1);
    }`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "deps-not-awaited",
    file: "gossip/replication/draft.ts",
    find:
      `    if (!record.deps.every((dot) => this.vector.covers(dot.origin, dot.seq))) {
      return "early";
    }`,
    replace: ``,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "own-earlier-origins-not-in-deps",
    file: "gossip/replication/draft.ts",
    find: `      if (current !== undefined && current.origin !== origin) {`,
    replace: `      if (
        current !== undefined && current.origin !== origin &&
        current.holder !== state.nodeKey
      ) {`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "origin-not-fresh",
    file: "gossip/replication/state.ts",
    find: `    do {
      this.origin = make(this.nodeKey, this.#random.u32(), 0);
    } while (this.vector.seq(this.origin) > 0);
    return this.origin;`,
    replace: `    this.origin = make(this.nodeKey, 1, 0);
    return this.origin;`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "dot-not-in-the-order",
    file: "gossip/replication/entry.ts",
    find: `    a.hlc - b.hlc || a.origin - b.origin || a.seq - b.seq;
}

/** Orders two versions`,
    replace: `    a.hlc - b.hlc;
}

/** Orders two versions`,
    caughtBy: "gossip/replication/draft_test.ts :: [8] one version",
  },
  {
    name: "covered-records-compared",
    file: "gossip/replication/draft.ts",
    find: `    if (this.vector.covers(origin, seq)) return "covered";
    if (originLane(origin) === 0 && seq !== this.vector.seq(origin) + 1) {`,
    replace:
      `    if (originLane(origin) === 0 && seq > this.vector.seq(origin) + 1) {`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "session-base-unchecked",
    file: "gossip/replication/draft.ts",
    find: `    if (!this.vector.includes(session.base)) return false;`,
    replace: ``,
    caughtBy: "gossip/replication/draft_test.ts :: [9] a session is void",
  },
  {
    name: "session-conflicts-off",
    file: "gossip/replication/draft.ts",
    find:
      `        lost !== undefined && !session.vector.covers(lost.origin, lost.seq)`,
    replace: `        lost !== undefined && lost.seq < 0`,
    caughtBy: "gossip/replication/draft_test.ts :: what a session overwrites",
  },
  {
    name: "record-conflicts-off",
    file: "gossip/replication/draft.ts",
    find:
      `      } else if (lost !== undefined && !isBuiltUpon(lost, record)) {`,
    replace: `      } else if (lost !== undefined && lost.seq < 0) {`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "every-loser-a-conflict",
    file: "gossip/replication/draft.ts",
    find:
      `      } else if (lost !== undefined && !isBuiltUpon(lost, record)) {`,
    replace: `      } else if (lost !== undefined) {`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "log-reaches-over-a-gap",
    file: "gossip/replication/log.ts",
    find: `        if (run.from > from.seq(origin) + 1) return false;`,
    replace: ``,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "index-row-of-the-loser-kept",
    file: "gossip/replication/draft.ts",
    find: `      if (before !== undefined) {
        ops.push({`,
    replace: `      if (before !== undefined) {
        if (before.seq > 0) continue;
        ops.push({`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "void-state-writes",
    file: "gossip/replication/replica.ts",
    find: `        if (!this.#state.caughtUp) {`,
    replace: `        if (this.#closed) {`,
    caughtBy: "gossip/replication/draft_test.ts :: [2] a node whose state",
  },
  {
    name: "engine-failure-forgotten",
    file: "gossip/replication/replica.ts",
    find: `    this.#failure ??= error;`,
    replace: ``,
    caughtBy: "gossip/replication/replica_test.ts :: after a failed write",
  },
  {
    name: "held-record-keeps-its-message",
    file: "gossip/replication/held.ts",
    find: `    const own = decodeRecord(new Uint8Array(record.bytes));`,
    replace: `    const own = decodeRecord(record.bytes);`,
    caughtBy: "gossip/replication/log_test.ts :: does not keep the message",
  },
  {
    name: "clock-far-ahead-adopted",
    file: "gossip/replication/draft.ts",
    find: `      this.skewedHlc = Math.max(this.skewedHlc, entry.hlc);
    } else {`,
    replace: `      this.skewedHlc = Math.max(this.skewedHlc, entry.hlc);
    }
    {`,
    caughtBy:
      "gossip/replication/draft_test.ts :: a clock more than 60 s ahead",
  },
  {
    name: "deletes-of-absent-keys-written",
    file: "gossip/replication/draft.ts",
    find: `      if (op.value === undefined && current?.value === undefined) {`,
    replace: `      if (op.value === undefined && current?.value === null) {`,
    caughtBy: "gossip/replication/draft_test.ts :: deletes of absent keys",
  },
  {
    name: "donor-forgets-its-bound",
    file: "gossip/replication/donor.ts",
    find: `    const open = this.#sessions.size + this.#beginning;`,
    replace: `    const open = this.#sessions.size;`,
    caughtBy: "gossip/replication/donor_test.ts :: no more sessions are open",
  },
  {
    name: "record-checksum-not-checked",
    file: "gossip/replication/record.ts",
    find:
      `  if (checksum.u32() !== crc32(body)) reader.fail("its checksum is wrong");`,
    replace: `  checksum.u32();`,
    caughtBy: "gossip/replication/fuzz_test.ts :: a harmed record",
  },
  {
    name: "losing-arrival-not-reported",
    file: "gossip/replication/draft.ts",
    find: `        this.#losses.push({ kept: current!, lost });
      } else if (lost !== undefined && !isBuiltUpon(lost, record)) {`,
    replace: `        this.#decided.push();
      } else if (lost !== undefined && !isBuiltUpon(lost, record)) {`,
    caughtBy: "tests/sim_test.ts :: random lives",
  },
  {
    name: "failed-write-never-settles",
    file: "gossip/replication/replica.ts",
    find: "    for (const item of group) item.reject(error);\n",
    replace: "",
    caughtBy: "gossip/replication/replica_test.ts :: after a failed write",
  },
  {
    name: "failed-write-acked",
    file: "gossip/replication/replica.ts",
    find: "      this.#fail(error, group);\n      return;",
    replace:
      "      for (const settle of settled) settle();\n      this.#fail(error, group);\n      return;",
    caughtBy: "tests/scenarios/recovery_test.ts :: X17",
  },
  {
    name: "batch-in-two-writes",
    file: "gossip/replication/replica.ts",
    find:
      "        await this.#kv.write(batch, { sync: this.#options.sync });\n",
    replace:
      `        for (const half of [batch.splice(0, batch.length >> 1), batch]) {
          await this.#kv.write(half, { sync: this.#options.sync });
        }
`,
    caughtBy: SEEDS,
  },
  {
    name: "nothing-but-pushes",
    file: "gossip/replication/pull.ts",
    find: "      if (nodes.length > 0) {",
    replace: "      if (nodes.length < 0) {",
    caughtBy: "gossip/replication/pull_test.ts :: every interval",
  },
  {
    name: "set-keeps-the-old-value",
    file: "gossip/replication/draft.ts",
    find: "        value: op.value,\n        flags:",
    replace:
      "        value: op.value && (current?.value ?? op.value),\n        flags:",
    caughtBy: SEEDS,
  },
  {
    name: "delete-leaves-the-value",
    file: "gossip/replication/draft.ts",
    find:
      "        value: op.value,\n        flags: op.value === undefined ? EntryFlag.TOMBSTONE : 0,\n",
    replace: "        value: op.value ?? current?.value,\n        flags: 0,\n",
    caughtBy: SEEDS,
  },
  {
    name: "keys-of-who-is-gone-are-led-by-nobody",
    file: "gossip/replication/draft.ts",
    find:
      "    const gone = this.#isSealed?.(current.holder, this.vector) ?? false;\n",
    replace: "    const gone = this.#isSealed === undefined;\n",
    caughtBy: SEEDS,
  },
  {
    name: "leaseholder-not-checked",
    file: "gossip/replication/draft.ts",
    find: "if (holder !== nodeKey) throw new NotLeaseholderError(op.key",
    replace: "if (op.key.length < 1) throw new NotLeaseholderError(op.key",
    caughtBy: SEEDS,
  },
  {
    name: "later-claim-wins",
    file: "gossip/replication/entry.ts",
    find:
      "    b.claimHlc - a.claimHlc || b.claimNode - a.claimNode ||\n    a.hlc",
    replace:
      "    a.claimHlc - b.claimHlc || b.claimNode - a.claimNode ||\n    a.hlc",
    caughtBy: SEEDS,
  },
  {
    name: "each-write-claims-anew",
    file: "gossip/replication/draft.ts",
    find: "claimHlc: kept?.claimHlc ?? hlc,",
    replace: "claimHlc: hlc,",
    caughtBy: "gossip/replication/draft_test.ts",
  },
  {
    name: "deleted-keys-forgotten-by-commits",
    file: "gossip/replication/draft.ts",
    find: "    for (const space of [Space.LIVE, Space.DEAD]) {",
    replace: "    for (const space of [Space.LIVE]) {",
    caughtBy: SEEDS,
  },
  {
    name: "version-below-what-it-replaces",
    file: "gossip/replication/draft.ts",
    find: "hlc = Math.max(hlc, current.hlc + 1);",
    replace: "hlc = Math.max(hlc, 1);",
    caughtBy: "gossip/replication/draft_test.ts",
  },
  {
    name: "session-takes-covered-entries",
    file: "gossip/replication/draft.ts",
    find: "      if (this.vector.covers(entry.origin, entry.seq)) continue;\n",
    replace: "",
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "session-covers-one-origin-only",
    file: "gossip/replication/draft.ts",
    find: "    this.vector.join(session.vector);\n    const counters",
    replace:
      `    for (const origin of [...session.vector.origins()].slice(0, 1)) {
      for (let at = this.vector.seq(origin); at < session.vector.seq(origin);) {
        this.vector.add(origin, ++at);
      }
    }
    const counters`,
    caughtBy: SEEDS,
  },
  {
    name: "session-entry-that-loses-not-reported",
    file: "gossip/replication/draft.ts",
    find: `      if (lost === entry) {
        this.#losses.push({ kept: current!, lost });
      } else if (
        lost`,
    replace: `      if (
        lost !== entry && lost`,
    caughtBy:
      "gossip/replication/draft_test.ts :: an entry of a session that loses",
  },
  {
    name: "watch-shows-what-lost",
    file: "gossip/replication/draft.ts",
    find: "      if (order < 0) return entry;\n",
    replace:
      "      if (order < 0) {\n        changes.push(entry);\n        return entry;\n      }\n",
    caughtBy: SEEDS,
  },
  {
    name: "key-taken-over-in-the-same-life",
    file: "gossip/replication/draft.ts",
    find: "        life: kept?.life ?? lifeBefore + 1,",
    replace: "        life: current?.life ?? lifeBefore + 1,",
    caughtBy: "tests/scenarios/electorate_test.ts",
  },
  {
    name: "report-of-what-is-not-synced",
    file: "gossip/replication/replica.ts",
    find: "        if (!this.#options.sync) {",
    replace: "        if (this.#closed) {",
    caughtBy: "gossip/replication/replica_test.ts :: survives a power failure",
  },
  {
    name: "early-record-held-after-all",
    file: "gossip/replication/replica.ts",
    find: "    const run = () => Promise.resolve(this.#held.clear());",
    replace:
      "    this.#held.clear();\n    const run = () => Promise.resolve();",
    caughtBy: "gossip/replication/replica_test.ts :: what is forgotten",
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
];
