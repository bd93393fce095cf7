import { assert, assertEquals } from "@std/assert";
import { Prng } from "../../runtime/virtual/mod.ts";
import type { Origin } from "./dot.ts";
import { HeldRecords } from "./held.ts";
import { RecentLog } from "./log.ts";
import { decodeRecord, type LogRecord, makeRecord } from "./record.ts";
import { Vector } from "./vector.ts";
import { AbandoningKV, HandKV, origin, setRecord } from "./world_test.ts";

const ORIGINS = [origin(1), origin(2), origin(2, 9)];

function vectorOf(seqs: Map<Origin, number>): Vector {
  const vector = new Vector();
  for (const [of, seq] of seqs) {
    for (let n = 1; n <= seq; n++) vector.add(of, n);
  }
  return vector;
}

Deno.test("the recent log hands out exactly what lies between two vectors, in log order, or says that it cannot", async () => {
  let reached = 0;
  let refused = 0;
  for (let seed = 1; seed <= 150; seed++) {
    const random = new Prng(seed, "log");
    const abandons = random.u32() % 2 === 0;
    const kv = abandons ? new AbandoningKV() : new HandKV();
    const bytesMax = random.u32() % 2 ? 1e6 : 200 + random.u32() % 800;
    // What is given up goes some at a time: less is left than there may be.
    const bytesLeft = abandons
      ? bytesMax - Math.floor(bytesMax / 64)
      : bytesMax;
    const bank = random.u32() % 2 ? 0 : 8;
    let log = new RecentLog(bytesMax, bank);
    const seqs = new Map<Origin, number>();
    /** The model: what is kept, in order. */
    let kept: LogRecord[] = [];
    for (let step = 0; step < 40; step++) {
      const of = ORIGINS[random.u32() % ORIGINS.length]!;
      const seq = (seqs.get(of) ?? 0) + 1;
      const dice = random.u32() % 12;
      if (dice === 0) {
        // A session leaps over records.
        seqs.set(of, seq + random.u32() % 5);
      } else if (dice === 1) {
        const { end } = log;
        log = new RecentLog(bytesMax, bank);
        await log.load(kv);
        assertEquals(log.end, end);
      } else {
        seqs.set(of, seq);
        const record = setRecord("k", "v".repeat(random.u32() % 90), {
          origin: of,
          seq,
        });
        const row = log.append(record);
        const trimmed = log.trim(abandons);
        kv.write([row, ...trimmed]);
        if (kv instanceof AbandoningKV && random.u32() % 2 === 0) {
          kv.abandon(log.passed);
        }
        kept.push(record);
        let bytes = kept.reduce((sum, each) => sum + each.bytes.length, 0);
        const isFull = bytes > bytesMax && kept.length > 1;
        assertEquals(trimmed.length > 0, isFull);
        while (isFull && bytes > bytesLeft && kept.length > 1) {
          bytes -= kept[0]!.bytes.length;
          kept = kept.slice(1);
        }
        assertEquals([log.length, log.bytes], [kept.length, bytes]);
      }
      const from = new Map(
        [...seqs].map(([each, top]) => [each, random.u32() % (top + 1)]),
      );
      const to = vectorOf(seqs);
      const wanted = kept.filter((each) => each.seq > from.get(each.origin)!);
      const missing = [...seqs].reduce(
        (sum, [each, top]) => sum + top - from.get(each)!,
        0,
      );
      const reaches = log.reaches(vectorOf(from), to);
      assertEquals(reaches, wanted.length === missing, `seed ${seed}`);
      for (const each of kept) {
        assert(
          log.positionOf(each) !== undefined ||
            kept.some((later) =>
              later.origin === each.origin &&
              later.seq > each.seq + 1
            ),
        );
      }
      if (!reaches) {
        refused++;
        continue;
      }
      reached++;
      const all = await log.read(kv, vectorOf(from), to, 1e9);
      assertEquals(all.more, false);
      assertEquals(
        all.records.map(({ bytes }) => decodeRecord(bytes)).map((
          { origin, seq },
        ) => [origin, seq]),
        wanted.map(({ origin, seq }) => [origin, seq]),
      );
      const first = await log.read(kv, vectorOf(from), to, 1);
      assertEquals(first.records.length, Math.min(1, wanted.length));
      assertEquals(first.more, wanted.length > 1);
    }
  }
  assert(reached > 1000 && refused > 500, `${reached} ${refused}`);
});

Deno.test("what is trimmed amid an answer ends it, though its row is there still: what was marked of it is not", async () => {
  const log = new RecentLog(150, 0);
  const kv = new HandKV();
  for (let seq = 1; seq <= 4; seq++) {
    const record = setRecord("k", "v".repeat(40), { seq });
    kv.write([log.append(record), log.mark({ lost: [0], won: [] })]);
  }
  const to = vectorOf(new Map([[origin(2), 4]]));
  const before = await log.read(kv, new Vector(), to, 1e9);
  assertEquals(before.records.map(({ marks }) => marks?.lost.length), [
    1,
    1,
    1,
    1,
  ]);
  kv.write(log.trim(true));
  assert(log.length < 4);
  const { records, more } = await log.read(kv, new Vector(), to, 1e9);
  assertEquals([records.length, more], [0, true]);
});

Deno.test("a row that is gone ends the answer: what is left goes by session", async () => {
  const log = new RecentLog(1e6, 0);
  const kv = new HandKV();
  const rows = [1, 2, 3].map((seq) => log.append(setRecord("k", "v", { seq })));
  kv.write([rows[0]!, rows[2]!]);
  const to = vectorOf(new Map([[origin(2), 3]]));
  const { records, more } = await log.read(kv, new Vector(), to, 1e9);
  assertEquals([records.length, more], [1, true]);
});

const LIMITS = { records: 16_384, bytes: 64 * 1024 * 1024 };

Deno.test("held records are taken when they fit, and forgotten when covered", () => {
  const held = new HeldRecords(LIMITS);
  const dep = { origin: origin(3), seq: 1 };
  held.add(setRecord("k", "9", { seq: 9 }));
  held.add(setRecord("k", "2", { seq: 2 }));
  held.add(setRecord("k", "2", { seq: 2 }));
  held.add(setRecord("k", "3", { seq: 3, deps: [dep] }));
  assertEquals(held.size, 3);
  const vector = new Vector();
  assertEquals(held.take(vector), undefined);
  vector.add(origin(2), 1);
  assertEquals(held.take(vector)?.seq, 2);
  vector.add(origin(2), 2);
  assertEquals(held.take(vector), undefined);
  vector.add(dep.origin, dep.seq);
  assertEquals(held.take(vector)?.seq, 3);
  held.add(setRecord("k", "5", { seq: 5 }));
  for (let seq = 3; seq <= 9; seq++) {
    vector.add(origin(2), seq);
    held.forget(vector);
    assertEquals(held.size, seq < 5 ? 2 : seq < 9 ? 1 : 0);
  }
});

Deno.test("held records are bounded in number and bytes, and room comes back", () => {
  const held = new HeldRecords(LIMITS);
  for (let seq = 2; seq < 17_000; seq++) {
    held.add(setRecord("k", "v", { seq }));
  }
  assertEquals(held.size, 16_384);
  const vector = new Vector();
  for (let seq = 1; seq < 17_000; seq++) vector.add(origin(2), seq);
  held.forget(vector);
  assertEquals(held.size, 0);
  const big = setRecord("k", "v".repeat(20 * 1024 * 1024), { seq: 20_001 });
  for (let n = 0; n < 5; n++) {
    const { bytes: _, ...rest } = big;
    held.add(makeRecord({ ...rest, seq: 20_001 + n }));
  }
  assertEquals(held.size, 3);
});

Deno.test("a held record does not keep the message that it came in", () => {
  const held = new HeldRecords(LIMITS);
  const { bytes } = setRecord("k", "v", { seq: 2 });
  const message = new Uint8Array(1024 * 1024);
  message.set(bytes, 100);
  held.add(decodeRecord(message.subarray(100, 100 + bytes.length)));
  const vector = new Vector();
  vector.add(origin(2), 1);
  const taken = held.take(vector)!;
  assertEquals(taken.bytes.buffer.byteLength, bytes.length);
  const { buffer } = taken.entries[0]!.value!;
  assertEquals(buffer.byteLength, bytes.length);
});
