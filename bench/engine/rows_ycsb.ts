/**
 * YCSB's core workloads on the entries of this bench (16-byte keys, 100-byte
 * values instead of ten fields of 100): the mix, the skew (scrambled Zipf,
 * θ = 0.99; for D the latest are the likeliest) and the scans of 1 to 100
 * entries are YCSB's. Each operation is one call, timed alone. Deno KV takes part
 * in C only: its commits would take all the time.
 *
 * | workload | reads | updates | inserts | scans | read-modify-writes |
 * | -------- | ----- | ------- | ------- | ----- | ------------------ |
 * | A        | 50 %  | 50 %    |         |       |                    |
 * | B        | 95 %  | 5 %     |         |       |                    |
 * | C        | 100 % |         |         |       |                    |
 * | D        | 95 %  |         | 5 %     |       |                    |
 * | E        |       |         | 5 %     | 95 %  |                    |
 * | F        | 50 %  |         |         |       | 50 %               |
 */

import {
  assertSame,
  assertValue,
  inOrder,
  Prng,
  sampleOf,
  scramble,
  Values,
  Zipf,
} from "./data.ts";
import { turn } from "./meter.ts";
import {
  closed,
  keysFor,
  type Measured,
  ON_DISK,
  type Row,
  SERIOUS,
  timeWrites,
} from "./row.ts";

type Kind = "read" | "update" | "insert" | "scan" | "modify";

interface Workload {
  readonly name: string;
  /** Of all operations, this share is `main`, the rest `other`. */
  readonly share: number;
  readonly main: Kind;
  readonly other: Kind;
  readonly latest?: boolean;
  /** Operations by entries. */
  readonly operations: number;
}

const WORKLOADS: readonly Workload[] = [
  { name: "A", share: 0.5, main: "read", other: "update", operations: 1 / 5 },
  { name: "B", share: 0.95, main: "read", other: "update", operations: 1 / 5 },
  { name: "C", share: 1, main: "read", other: "read", operations: 1 / 5 },
  {
    name: "D",
    share: 0.95,
    main: "read",
    other: "insert",
    latest: true,
    operations: 1 / 5,
  },
  { name: "E", share: 0.95, main: "scan", other: "insert", operations: 1 / 50 },
  { name: "F", share: 0.5, main: "read", other: "modify", operations: 1 / 5 },
];

/** What to do, made before the clock starts. */
interface Plan {
  readonly kinds: Kind[];
  readonly targets: Uint32Array;
  /** Entries that a scan takes. */
  readonly lengths: Uint8Array;
  /** Entries there at the end. */
  readonly total: number;
}

function planOf(workload: Workload, entries: number, round: number): Plan {
  const n = Math.ceil(entries * workload.operations);
  const prng = new Prng(300 + round);
  const zipf = new Zipf(entries, prng);
  const kinds: Kind[] = [];
  const targets = new Uint32Array(n);
  const lengths = new Uint8Array(n);
  let total = entries;
  for (let i = 0; i < n; i++) {
    const kind = prng.fraction() < workload.share
      ? workload.main
      : workload.other;
    kinds.push(kind);
    const rank = zipf.next();
    lengths[i] = 1 + prng.below(100);
    if (kind === "insert") targets[i] = total++;
    else {
      targets[i] = workload.latest ? total - 1 - rank : scramble(rank, entries);
    }
  }
  return { kinds, targets, lengths, total };
}

function rowOf(workload: Workload): Row {
  return {
    name: `ycsb.${workload.name}`,
    subjects: workload.name === "C" ? ON_DISK : SERIOUS,
    dataset: "data",
    changes: true,
    async run({ open, entries, round }): Promise<Measured> {
      const plan = planOf(workload, entries, round);
      const { kinds, targets, lengths } = plan;
      const subject = await open();
      const keys = keysFor(subject, targets);
      const values = new Values(1);
      const read = subject.getSync ?? subject.get;
      let total = entries;
      let seen = 0;
      let want = 0;
      const visit = (key: Uint8Array, value: Uint8Array) => {
        if (key.length > 0 && sampleOf(value) >= 0) seen++;
      };
      const measured = await timeWrites(subject, keys.length, async (laps) => {
        for (let i = 0; i < keys.length; i++) {
          const key = keys[i];
          const index = targets[i]!;
          const kind = kinds[i]!;
          const at = performance.now();
          if (kind === "scan") {
            const limit = lengths[i]!;
            await subject.scan({ start: key, limit }, visit);
            want += Math.min(limit, total - index);
          } else {
            if (kind === "read" || kind === "modify") {
              // No await where the answer is there.
              const answer = read(key);
              const value = answer === undefined ||
                  answer instanceof Uint8Array
                ? answer
                : await answer;
              if (sampleOf(value) < 0) assertValue(value, index);
            }
            if (kind !== "read") {
              await subject.put(key, values.stamp(0, index, 1));
            }
            if (kind === "insert") total++;
          }
          laps.add(performance.now() - at);
          if (i % 256 === 255) await turn();
        }
      });
      delete measured.writeAmp;
      assertSame("the entries scanned", seen, want);
      const all = keysFor(subject, inOrder(plan.total));
      for (let i = 0; i < all.length; i += 97) {
        assertValue(await subject.get(all[i]), i);
      }
      return await closed(subject, measured);
    },
  };
}

/** YCSB A to F. */
export const YCSB: readonly Row[] = WORKLOADS.map(rowOf);
