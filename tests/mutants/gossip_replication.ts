/**
 * Defects of `gossip/replication/`, to be put in on purpose; see `mutants_table.ts`.
 * Those of what brings records to others have files of their own.
 */

import { type Mutant, SEEDS } from "./mutant.ts";

/** The defects. */
export const GOSSIP_REPLICATION_MUTANTS: readonly Mutant[] = [
  {
    name: "draft-takes-keys-of-one-hash-for-one",
    file: "gossip/replication/slots.ts",
    find: "slot !== undefined && !equalBytes(slot.key, key)",
    replace: "slot !== undefined && slot.key.length !== key.length",
    caughtBy: "gossip/replication/slots_test.ts :: made to have one hash",
  },
  {
    name: "draft-looks-at-all-keys-of-a-hash",
    file: "gossip/replication/slots.ts",
    find: "const SAME_HASH_MAX = 8;",
    replace: "const SAME_HASH_MAX = 8000;",
    caughtBy: "gossip/replication/slots_test.ts :: few keys of one hash",
  },
  {
    name: "draft-forgets-keys-whose-hash-many-have",
    file: "gossip/replication/slots.ts",
    find: "return slot ?? this.#rest?.get(keyText(key));",
    replace: "return slot;",
    caughtBy: "gossip/replication/slots_test.ts :: made to have one hash",
  },
  {
    name: "new-conflict-drops-an-old-one",
    file: "gossip/replication/losses.ts",
    find: "        value: encodeClash(clash),\n      });\n",
    replace: `        value: encodeClash(clash),
      });
      if (number > 3) {
        const oldest = numberKey(Space.CONFLICT, number - 3);
        ops.push({ key: oldest, value: undefined });
      }
`,
    caughtBy: SEEDS,
  },
  {
    name: "forgetting-takes-one-conflict-more",
    file: "gossip/replication/replica.ts",
    find: "number = conflictsForgotten + 1; number <= last; number++",
    replace: "number = conflictsForgotten + 1; number <= last + 1; number++",
    caughtBy: "gossip/replication/conflict_test.ts :: by being forgotten only",
  },
  {
    name: "forgotten-conflicts-count-again-after-a-restart",
    file: "gossip/replication/state.ts",
    find: ".u8(counters.bank).varint(counters.conflictsForgotten).finish();",
    replace: ".u8(counters.bank).varint(0).finish();",
    caughtBy: "gossip/replication/conflict_test.ts :: by being forgotten only",
  },
  {
    name: "what-would-lose-is-dropped-where-conflicts-are-full",
    file: "gossip/replication/draft.ts",
    find: '      return "waits";\n',
    replace: '      return "covered" as "waits";\n',
    caughtBy: "gossip/replication/conflict_test.ts :: would lose waits",
  },
  {
    name: "conflicts-without-a-bound",
    file: "gossip/replication/losses.ts",
    find:
      "    return conflictsStanding(this.#counters) + drafted >= this.#conflictsMax;",
    replace:
      "    return conflictsStanding(this.#counters) + drafted < -this.#conflictsMax;",
    caughtBy: "tests/scenarios/conflicts_test.ts :: as many conflicts stand",
  },
  {
    name: "what-wins-waits-where-conflicts-are-full",
    file: "gossip/replication/draft.ts",
    find: "  return now !== undefined && compareEntries(entry, now) < 0;",
    replace: "  return now !== undefined && compareEntries(entry, now) !== 0;",
    caughtBy: "gossip/replication/conflict_test.ts :: nor what wins here",
  },
  {
    name: "conflicts-full-told-before-they-can-be-read",
    file: "gossip/replication/replica.ts",
    find: "      this.#queue = [...group.slice(taken), ...this.#queue];\n",
    replace: `      this.#queue = [...group.slice(taken), ...this.#queue];
      this.#tellFull();
`,
    caughtBy: "gossip/replication/conflict_test.ts :: told once the reports",
  },
  {
    name: "reports-take-no-room-in-a-batch",
    file: "gossip/replication/losses.ts",
    find: "      (loss.kept?.value?.length ?? 0) + OP_OVERHEAD_BYTES;\n",
    replace: "      OP_OVERHEAD_BYTES;\n",
    caughtBy: "gossip/replication/conflict_test.ts :: batches that are bounded",
  },
  {
    name: "forgotten-conflicts-told-as-a-failure",
    file: "gossip/replication/replica.ts",
    find: "reject: () => resolve() });",
    replace: "reject: () => {} });",
    caughtBy:
      "gossip/replication/conflict_test.ts :: though the node is closed",
  },
  {
    name: "copy-counts-before-it-is-on-the-device",
    file: "gossip/replication/replica.ts",
    find: "      await copy?.finish();\n",
    replace: "      void copy?.finish();\n",
    caughtBy: "gossip/replication/copy_test.ts :: wherever the power fails",
  },
  {
    name: "list-of-a-fold-that-is-not-durable",
    file: "gossip/replication/draft.ts",
    find: "    this.#ops.push(foldOp(fold));\n",
    replace: "    void foldOp;\n",
    caughtBy: "gossip/replication/fold_test.ts :: its list is durable with it",
  },
  {
    name: "folded-before-the-floor-covers-the-fold",
    file: "gossip/replication/vector.ts",
    find: "        floor.covers(fold.origin, fold.seq) &&\n",
    replace: "        floor !== undefined &&\n",
    caughtBy:
      "gossip/replication/fold_test.ts :: nothing goes before the floor",
  },
  {
    name: "fold-in-a-folded-origin-counts-not",
    file: "gossip/replication/vector.ts",
    find: "          reached.push(listed);\n",
    replace: "",
    caughtBy: "gossip/replication/fold_test.ts :: covers its list",
  },
  {
    name: "old-vector-says-what-a-later-fold-lists",
    file: "gossip/replication/vector.ts",
    find: "      if ((this.#seqs.get(origin) ?? 0) < seq) return false;\n",
    replace: "      void [origin, seq];\n",
    caughtBy: "gossip/replication/fold_test.ts :: covers its list",
  },
  {
    name: "folds-what-others-may-lack",
    file: "gossip/replication/fold.ts",
    find:
      "    if (vector.isFolded(origin) || floor.seq(origin) < seq) continue;\n",
    replace: "    if (floor && vector.isFolded(origin)) continue;\n",
    caughtBy: "gossip/replication/fold_test.ts :: folds nothing that others",
  },
  {
    name: "opens-an-origin-to-fold-one",
    file: "gossip/replication/fold.ts",
    find: "  return list.length < (present === undefined ? 2 : 1) ? [] : list;",
    replace: "  return list;",
    caughtBy: "gossip/replication/fold_test.ts :: folds nothing that others",
  },
  {
    name: "log-forgets-what-was-folded-since-a-token",
    file: "gossip/replication/log.ts",
    find:
      "    for (const origin of to.beyond(from).origins()) {\n      const head = to.seq(origin);",
    replace:
      "    for (const origin of to.origins()) {\n      const head = to.seq(origin);",
    caughtBy: "gossip/replication/fold_test.ts :: the log hands out",
  },
  {
    name: "tokens-of-a-watcher-grow-for-ever",
    file: "gossip/progress.ts",
    find: "    this.#base = base.shortened(this.#floor());\n",
    replace: "    this.#base = base;\n    void this.#floor;\n",
    caughtBy:
      "gossip/replication/fold_test.ts :: names it no more in its tokens",
  },
  {
    name: "late-record-of-a-folded-origin-counts",
    file: "gossip/replication/state.ts",
    find: "      this.folds.add(readFold(foldOfKey(key), row));\n",
    replace: "      void readFold(foldOfKey(key), row);\n",
    caughtBy: "gossip/replication/fold_test.ts :: names them no more",
  },
  {
    name: "expiry-deletes-what-was-set-meanwhile",
    file: "gossip/replication/draft.ts",
    find:
      "        if (this.#mayExpire(current)) replaced.push({ op, slot });\n",
    replace: "        if (current?.value) replaced.push({ op, slot });\n",
    caughtBy: "gossip/lease/expiry_test.ts :: set meanwhile stays",
  },
  {
    name: "ended-value-holds-a-check",
    file: "gossip/replication/draft.ts",
    find:
      "      const living = this.#isLiving(current) ? current : undefined;\n",
    replace: "      const living = current?.value ? current : undefined;\n",
    caughtBy: "gossip/lease/expiry_test.ts :: for a commit",
  },
  {
    name: "first-copy-forgets-what-ends",
    file: "gossip/replication/entry_rows.ts",
    find: "  putExpiry(ops, bank, entry, undefined);\n",
    replace: "",
    caughtBy: "tests/scenarios/ttl_test.ts :: hidden by every read",
  },
  {
    name: "end-follows-the-clock-of-versions",
    file: "gossip/replication/draft.ts",
    find: "      entry.expiresAt = expiresAt;\n",
    replace: `      entry.expiresAt = expiresAt &&
        expiresAt + hlc - hlcAt(this.#options.nowMs);
`,
    caughtBy:
      "gossip/lease/expiry_test.ts :: at the instant that was asked for",
  },
  {
    name: "replay-from-before-a-session",
    file: "gossip/replication/log.ts",
    find: "      cursor.position() >= this.#leap\n",
    replace: "      cursor.position() >= 0\n",
    caughtBy: "gossip/watch_schedules_test.ts",
  },
  {
    name: "after-a-write-what-was-there-before-it",
    file: "gossip/replication/log.ts",
    find: "countUpTo(run.positions, last)",
    replace: "countUpTo(run.positions, last - 2)",
    caughtBy: "gossip/watch_schedules_test.ts",
  },
  {
    name: "after-a-write-nothing-of-a-session",
    file: "gossip/replication/log.ts",
    find: "    if (last === 0 || last < this.#leap) return undefined;\n",
    replace: "    if (last === 0) return undefined;\n",
    caughtBy: "gossip/watch_schedules_test.ts",
  },
  {
    name: "marks-forgotten-by-a-restart",
    file: "gossip/replication/log.ts",
    find: "    await this.#loadMarks(reader);\n",
    replace: "    void this.#loadMarks;\n",
    caughtBy: "gossip/watch_schedules_test.ts",
  },
  {
    name: "ack-before-the-sync",
    file: "gossip/replication/replica.ts",
    find: "          (outcome) => () => item.resolve(outcome),\n",
    replace: "          (outcome) => (item.resolve(outcome), () => {}),\n",
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
        this.#publish(draft, renewal);
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
    name: "slots-of-ops-taken-for-those-of-checks",
    file: "gossip/replication/draft.ts",
    find: "slots[checks.length + i]!;",
    replace: "slots[i]!;",
    caughtBy: "gossip/replication/draft_test.ts",
  },
  {
    name: "waits-for-one-slot-of-several",
    file: "gossip/replication/draft.ts",
    find: "    for (let i = slots.length; i < asked.length; i++) {\n",
    replace: "    for (let i = slots.length + 1; i < asked.length; i++) {\n",
    caughtBy: "gossip/replication/draft_test.ts",
  },
  {
    name: "what-came-early-is-never-looked-for",
    file: "gossip/replication/early.ts",
    find: "    return this.#held.size > 0;\n",
    replace: "    return this.#held.size < 0;\n",
    caughtBy: "gossip/replication/draft_test.ts :: [19] records of an origin",
  },
  {
    name: "deps-not-awaited",
    file: "gossip/replication/draft.ts",
    find:
      `    return deps.every((dot) => this.vector.covers(dot.origin, dot.seq))
      ? undefined
      : "early";`,
    replace: `    return deps.length < 0 ? "early" : undefined;`,
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
      `      } else if (lost !== undefined && !this.#isBuiltUpon(lost, record)) {`,
    replace: `      } else if (lost !== undefined && lost.seq < 0) {`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "every-loser-a-conflict",
    file: "gossip/replication/draft.ts",
    find:
      `      } else if (lost !== undefined && !this.#isBuiltUpon(lost, record)) {`,
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
    file: "gossip/replication/entry_rows.ts",
    find:
      "    ops.push(new RowOp(indexKey(bank, origin, seq, key), undefined));\n",
    replace: `    if (seq === 0) {
      ops.push(new RowOp(indexKey(bank, origin, seq, key), undefined));
    }
`,
    caughtBy: "gossip/replication/schedules_test.ts",
  },
  {
    name: "void-state-writes",
    file: "gossip/replication/replica.ts",
    find: `        const refusal = this.#state.caughtUp
`,
    replace: `        const refusal = !this.#closed
`,
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
    name: "record-checksum-not-checked",
    file: "gossip/replication/record.ts",
    find: `  if (getU32(bytes, end) !== crc32(bytes.subarray(0, end))) {`,
    replace: "  if (getU32(bytes, end) === -1) {",
    caughtBy: "gossip/replication/fuzz_test.ts :: a harmed record",
  },
  {
    name: "losing-arrival-not-reported",
    file: "gossip/replication/draft.ts",
    find: `        this.#losses.add({ kept: current!, lost });
      } else if (lost !== undefined && !this.#isBuiltUpon(lost, record)) {`,
    replace: `        this.#decided.push();
      } else if (lost !== undefined && !this.#isBuiltUpon(lost, record)) {`,
    caughtBy: "tests/sim_test.ts :: random lives",
  },
  {
    name: "room-of-commits-never-given-back",
    file: "gossip/replication/replica.ts",
    find: "        this.#commitBytes -= item.size;\n",
    replace: "",
    caughtBy:
      "gossip/replication/replica_test.ts :: commits that wait are bounded",
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
    name: "lag-counts-what-the-other-has",
    file: "gossip/replication/vector.ts",
    find: "count += Math.max(0, seq - other.seq(origin));",
    replace: "count += other.seq(origin) < 0 ? 0 : seq;",
    caughtBy:
      "tests/scenarios/propagation_test.ts :: metrics tell who is behind",
  },
  {
    name: "set-keeps-the-old-value",
    file: "gossip/replication/draft.ts",
    find: "      entry.value = op.value;\n",
    replace: "      entry.value = op.value && (current?.value ?? op.value);\n",
    caughtBy: SEEDS,
  },
  {
    name: "delete-leaves-the-value",
    file: "gossip/replication/draft.ts",
    find: `      entry.value = op.value;
      if (op.value === undefined) entry.flags = EntryFlag.TOMBSTONE;
`,
    replace: `      entry.value = op.value ?? current?.value;
      if (op.key.length < 1) entry.flags = EntryFlag.TOMBSTONE;
`,
    caughtBy: SEEDS,
  },
  {
    name: "keys-of-who-is-gone-are-led-by-nobody",
    file: "gossip/replication/draft.ts",
    find:
      "    const gone = this.#options.isSealed?.(current.holder, this.vector) ?? false;\n",
    replace: "    const gone = this.#options.isSealed === undefined;\n",
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
    find: "entry.claimHlc = kept?.claimHlc ?? hlc;",
    replace: "entry.claimHlc = hlc;",
    caughtBy: "gossip/replication/draft_test.ts",
  },
  {
    name: "deleted-keys-forgotten-where-an-engine-answers-later",
    file: "gossip/replication/entry_rows.ts",
    find: "await live ?? await kv.get(rowKey(Space.DEAD + bank, key));",
    replace: "await live ?? await kv.get(rowKey(Space.LIVE + bank, key));",
    caughtBy: "gossip/replication/entry_rows_test.ts :: lives or not",
  },
  {
    name: "deleted-keys-forgotten-by-commits",
    file: "gossip/replication/entry_rows.ts",
    find: "  const dead = kv.get(rowKey(Space.DEAD + bank, key));",
    replace: "  const dead = kv.get(rowKey(Space.LIVE + bank, key));",
    caughtBy: SEEDS,
  },
  {
    name: "version-below-what-it-replaces",
    file: "gossip/replication/draft.ts",
    find: "hlc = Math.max(hlc, now.hlc + 1);",
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
    find: "    this.vector.join(session.vector);\n    this.#inherit",
    replace:
      `    for (const origin of [...session.vector.origins()].slice(0, 1)) {
      for (let at = this.vector.seq(origin); at < session.vector.seq(origin);) {
        this.vector.add(origin, ++at);
      }
    }
    this.#inherit`,
    caughtBy: SEEDS,
  },
  {
    name: "session-entry-that-loses-not-reported",
    file: "gossip/replication/draft.ts",
    find: `      if (lost === entry) {
        this.#losses.add({ kept: current!, lost });
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
    find: "      entry.life = kept?.life ?? lifeBefore + 1;",
    replace: "      entry.life = current?.life ?? lifeBefore + 1;",
    caughtBy: "tests/scenarios/electorate_test.ts",
  },
  {
    name: "report-of-what-is-not-synced",
    file: "gossip/replication/replica.ts",
    find: "      if (!this.#options.sync) {",
    replace: "      if (this.#closed) {",
    caughtBy: "gossip/replication/replica_test.ts :: survives a power failure",
  },
  {
    name: "early-record-held-after-all",
    file: "gossip/replication/replica.ts",
    find: "    const run = () => Promise.resolve(this.#early.drop());",
    replace:
      "    this.#early.drop();\n    const run = () => Promise.resolve();",
    caughtBy: "gossip/replication/replica_test.ts :: what is forgotten",
  },
  {
    name: "fold-that-is-gone-counts",
    file: "gossip/replication/vector.ts",
    find: "      this.#folded(origin, this.#folds) >= named;",
    replace: "      this.#folds.listed(origin) >= named;",
    caughtBy: "gossip/replication/fold_test.ts :: is folded again",
  },
  {
    name: "copy-loses-unreported",
    file: "gossip/replication/draft.ts",
    find: "        if (isElsewhere && isReported?.(lost)) continue;\n",
    replace: "        if (isElsewhere) continue;\n",
    caughtBy: "gossip/replication/copy_test.ts :: takes the place of all",
  },
  {
    name: "copy-takes-its-own-for-somebody-elses",
    file: "gossip/replication/draft.ts",
    find: "        if (isElsewhere && isReported?.(lost)) continue;\n",
    replace:
      "        if (isReported?.(lost)) continue;\n        void isElsewhere;\n",
    caughtBy: "gossip/replication/copy_test.ts :: takes the place of all",
  },
  {
    name: "watch-is-told-of-what-lost-before-the-head-of-the-log",
    file: "gossip/replication/log.ts",
    find: "      if (position < this.#first) return { records, more: true };\n",
    replace: "",
    caughtBy: "gossip/replication/log_test.ts :: trimmed amid",
  },
  {
    name: "an-engine-that-refuses-a-hint-ends-all",
    file: "gossip/replication/log.ts",
    find: "      kv.abandon?.(this.passed);\n    } catch {\n",
    replace:
      "      kv.abandon?.(this.passed);\n    } catch (error) {\n      if (error !== undefined) throw error;\n",
    caughtBy: "gossip/replication/replica_test.ts :: refuses a hint",
  },
  {
    name: "copy-continues-the-old-origin",
    file: "gossip/replication/replica.ts",
    find: "      this.#state.origin = undefined;\n",
    replace: "",
    caughtBy: "gossip/replication/copy_test.ts :: takes the place of all",
  },
  {
    name: "difference-fills-a-void-state",
    file: "gossip/replication/draft.ts",
    find: "    if (session.whole === this.#counters.caughtUp) return false;\n",
    replace: "",
    caughtBy: "gossip/replication/copy_test.ts :: asked for as a difference",
  },
  {
    name: "copy-without-its-floor",
    file: "gossip/replication/draft.ts",
    find: "    this.#ops.push(floorOp(session.floor));\n",
    replace: "",
    caughtBy: "gossip/replication/collect_test.ts :: [25]",
  },
  {
    name: "copy-without-its-incarnations",
    file: "gossip/replication/draft.ts",
    find: "    await this.#replaceIncarnations(session.incarnations);\n",
    replace: "",
    caughtBy: "gossip/replication/collect_test.ts :: [25]",
  },
  {
    name: "life-fixed",
    file: "gossip/replication/tombstones.ts",
    find: "      counters.lifeGone = Math.max(counters.lifeGone, life);\n",
    replace: "",
    caughtBy: "gossip/replication/collect_test.ts :: in the second phase",
  },
  {
    name: "one-phase",
    file: "gossip/replication/floor.ts",
    find: "  return { floor: risen, gate };",
    replace: "  return { floor: risen, gate: risen };",
    caughtBy: "gossip/replication/floor_test.ts :: never falls",
  },
  {
    name: "cover-of-reports-off",
    file: "gossip/replication/floor.ts",
    find: "    if (!own.vector.includes(other.vector)) return undefined;\n",
    replace: "",
    caughtBy: "gossip/replication/floor_test.ts :: [3]",
  },
  {
    name: "reports-of-any-epoch",
    file: "gossip/replication/floor.ts",
    find:
      "    if (other.era !== own.era || other.epoch !== own.epoch) return undefined;\n",
    replace: "",
    caughtBy: "gossip/replication/floor_test.ts :: [4]",
  },
  {
    name: "floor-rises-on-what-does-not-hold",
    file: "gossip/replication/replica.ts",
    find: "      if (!holds()) return;\n",
    replace: "",
    caughtBy: "gossip/replication/collect_test.ts :: raises no floor",
  },
  {
    name: "what-the-floor-covers-is-a-conflict",
    file: "gossip/replication/draft.ts",
    find: "      this.#state.floor.covers(origin, seq);",
    replace: "      this.#state.floor.covers(origin, seq + 1e6);",
    caughtBy: "gossip/replication/collect_test.ts :: §8",
  },
  {
    name: "session-below-the-floor",
    file: "gossip/replication/draft.ts",
    find: "    if (!this.vector.includes(session.floor)) return false;\n",
    replace: "",
    caughtBy: "gossip/replication/collect_test.ts :: delta 3",
  },
  {
    name: "broken-lane-not-told",
    file: "gossip/dispatch.ts",
    find: `    if (lane === "bulk") return this.#rooms.spread?.lost(node);`,
    replace: `    if (lane === "bulk") return;`,
    caughtBy: "gossip/dispatch_test.ts :: that a lane broke is told",
  },
  {
    name: "group-forgets-what-a-turn-changed",
    file: "gossip/replication/replica.ts",
    find: "          draft = this.#draft();\n",
    replace: "",
    caughtBy:
      "gossip/replication/collect_test.ts :: in the group of a collection",
  },
  {
    name: "void-state-holds-records",
    file: "gossip/replication/replica.ts",
    find:
      '        if (!this.#state.caughtUp) return () => item.resolve("early");\n',
    replace: `        if (!this.#state.caughtUp) {
          this.#early.note(item.record, "early", draft.vector);
          return () => item.resolve("early");
        }
`,
    caughtBy: "gossip/replication/draft_test.ts :: [2] a node",
  },
  {
    name: "sums-of-the-copy-before",
    file: "gossip/replication/draft.ts",
    find: "      sums.restart();\n",
    replace: "      void sums;\n",
    caughtBy:
      "gossip/replication/audit_test.ts :: none of the whole copy that takes its place",
  },
  {
    name: "audit-looks-at-keys-under-any-vector",
    file: "gossip/replication/replica.ts",
    find:
      "      if (!state.caughtUp || !state.vector.equals(vector)) return undefined;\n",
    replace: "      if (!state.caughtUp) return undefined;\n",
    caughtBy: "gossip/replication/audit_test.ts :: is no divergence",
  },
  {
    name: "repair-takes-the-smaller",
    file: "gossip/replication/draft.ts",
    find:
      "      this.#merge(entry, slot, changes);\n    }\n    if (changes.length === 0) return changes;\n",
    replace:
      "      slot.now = entry;\n      changes.push(entry);\n    }\n    if (changes.length === 0) return changes;\n",
    caughtBy: "tests/scenarios/audit_test.ts :: forgotten the last write of",
  },
  {
    name: "repair-brings-back-what-was-deleted",
    file: "gossip/replication/draft.ts",
    find:
      "      if (slot.now === undefined && mayBeGone && !isIndexed) continue;\n",
    replace: "      void mayBeGone;\n      void isIndexed;\n",
    caughtBy: "gossip/replication/audit_test.ts :: only a single row says",
  },
  {
    name: "repair-gives-up-what-only-one-has",
    file: "gossip/replication/draft.ts",
    find:
      "      if (slot.now === undefined && mayBeGone && !isIndexed) continue;\n",
    replace:
      "      if (slot.now === undefined && (mayBeGone || !isIndexed)) continue;\n",
    caughtBy:
      "gossip/replication/audit_test.ts :: where no tombstone above it was ever collected",
  },
  {
    name: "log-begins-anew-in-the-other-bank",
    file: "gossip/replication/draft.ts",
    find: "this.#state.emptyLog(bank, this.#log.end)",
    replace: "this.#state.emptyLog(bank)",
    caughtBy: "gossip/replication/copy_test.ts :: begins behind all",
  },
  {
    name: "abandons-the-log-before-its-head-is-durable",
    file: "gossip/replication/draft.ts",
    find: "    this.#isTrimmed = trimmed.length > 0;\n",
    replace:
      "    this.#isTrimmed = trimmed.length > 0;\n    this.#log.giveUp(this.#kv);\n",
    caughtBy: "gossip/replication/replica_test.ts :: once its head is durable",
  },
  {
    name: "log-deletes-what-it-abandons",
    file: "gossip/replication/log.ts",
    find: "      if (!isAbandoned) {\n",
    replace: "      if (!isAbandoned || this.#head > 0) {\n",
    caughtBy: "gossip/replication/replica_test.ts :: once its head is durable",
  },
  {
    name: "log-abandons-its-head",
    file: "gossip/replication/log.ts",
    find: "      end: logStart(this.#bank, this.#first),\n    };",
    replace: "      end: logStart(this.#bank, this.#first + 1),\n    };",
    caughtBy: "gossip/replication/log_test.ts",
  },
  {
    name: "log-reads-what-it-has-abandoned",
    file: "gossip/replication/log.ts",
    find: "      start: logStart(this.#bank, this.#first),\n    });",
    replace: "      start: logStart(this.#bank, 0),\n    });",
    caughtBy: "gossip/replication/log_test.ts",
  },
  {
    name: "log-forgets-its-head",
    file: "gossip/replication/log.ts",
    find: '    ops.push({ key: metaKey("log"), value: head });\n',
    replace:
      '    if (this.#first < 0) ops.push({ key: metaKey("log"), value: head });\n',
    caughtBy: "gossip/replication/log_test.ts",
  },
  {
    name: "log-abandoned-once-a-start-only",
    file: "gossip/replication/state.ts",
    find: "    this.log.giveUp(kv);\n",
    replace: "",
    caughtBy: "gossip/replication/copy_test.ts :: begins behind all",
  },
];
