import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import {
  ClosedError,
  NotSupportedError,
  toBytes,
  toText,
} from "../runtime/mod.ts";
import type { Unsynced } from "../runtime/virtual/mod.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import { AbandonedRanges } from "./abandoned.ts";
import { type Lsm, type LsmEvent, openLsm } from "./mod.ts";
import { sampled } from "./testing/effort.ts";
import { TINY } from "./testing/history.ts";
import { StepFiles } from "./testing/step_files.ts";

const DIR = "store";

function range(start: string, end: string) {
  return { start: toBytes(start), end: toBytes(end) };
}

function textsOf(abandoned: AbandonedRanges): string[] {
  return abandoned.ranges.map(({ start, end }) =>
    `${toText(start)}-${toText(end)}`
  );
}

Deno.test("ranges count in the order in which the device has what was written before, and join those they touch", () => {
  const abandoned = new AbandonedRanges();
  abandoned.add(range("c", "e"), 3);
  abandoned.add(range("k", "m"), 5);
  abandoned.add(range("e", "e"), 5);
  abandoned.add(range("x", "a"), 5);
  abandoned.settle(2);
  assertEquals(textsOf(abandoned), []);
  abandoned.settle(4);
  assertEquals(textsOf(abandoned), ["c-e"]);
  abandoned.settle(5);
  assertEquals(textsOf(abandoned), ["c-e", "k-m"]);
  abandoned.add(range("a", "b"), 5);
  abandoned.add(range("d", "g"), 5);
  abandoned.settle(5);
  assertEquals(textsOf(abandoned), ["a-b", "c-g", "k-m"]);
  abandoned.add(range("b", "l"), 6);
  abandoned.settle(6);
  assertEquals(textsOf(abandoned), ["a-m"]);
});

Deno.test("bounds are abandoned only if all keys within are", () => {
  const abandoned = new AbandonedRanges();
  abandoned.add(range("c", "e"), 0);
  abandoned.settle(0);
  const holds = (minKey: string, maxKey: string) =>
    abandoned.holds({ minKey: toBytes(minKey), maxKey: toBytes(maxKey) });
  assertEquals(holds("c", "dzz"), true);
  assertEquals(holds("c", "e"), false);
  assertEquals(holds("bz", "d"), false);
  assertEquals(holds("a", "z"), false);
});

Deno.test("ranges are bounded in number: one that grows takes its own place, others are not taken", () => {
  const abandoned = new AbandonedRanges();
  for (let i = 10; i < 90; i++) abandoned.add(range("a", `a${i}`), i);
  abandoned.add(range("b", "c"), 90);
  // The last of those that wait is the one that has grown to the end.
  abandoned.settle(88);
  assertEquals(textsOf(abandoned), ["a-a72"]);
  abandoned.settle(89);
  assertEquals(textsOf(abandoned), ["a-a89"]);
  for (let i = 10; i < 90; i++) {
    abandoned.add(range(`k${i}`, `k${i}a`), 100);
    abandoned.settle(100);
  }
  assertEquals(abandoned.ranges.length, 64);
  abandoned.add(range("k", "l"), 100);
  abandoned.settle(100);
  assertEquals(textsOf(abandoned), ["a-a89", "k-l"]);
});

Deno.test("an abandoned range is what was handed in, whatever becomes of the bytes", () => {
  const abandoned = new AbandonedRanges();
  const kinds = [toBytes, (text: string) => Buffer.from(text)];
  for (const bytesOf of kinds) {
    const given = { start: bytesOf("c"), end: bytesOf("e") };
    abandoned.add(given, 0);
    given.start[0] = 0;
    given.end[0] = 0xff;
    abandoned.settle(0);
    assertEquals(textsOf(abandoned), ["c-e"]);
  }
});

function logKey(i: number): Uint8Array {
  return toBytes(`log${String(i).padStart(6, "0")}`);
}

/** Appends rows to a log, and other rows beside it. */
async function appendRows(store: Lsm, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) {
    await store.write([
      { key: logKey(i), value: new Uint8Array(100) },
      { key: toBytes(`data${i * 7919 % 1000}`), value: toBytes(`${i}`) },
    ]);
  }
}

function countLog(store: Lsm): number {
  return store.count({ prefix: toBytes("log") });
}

Deno.test("tables that are wholly abandoned go by an edit, once what was written before is on the device", async () => {
  const files = new StepFiles();
  const events: LsmEvent[] = [];
  const store = await openLsm(DIR, {
    ...TINY,
    files,
    onEvent: (event) => events.push(event),
  });
  await appendRows(store, 0, 500);
  await store.compact();
  const before = store.stats().tableBytes;
  using snapshot = store.snapshot();
  const iterator = store.iterate({ prefix: toBytes("log") });
  iterator.next();
  store.abandon({ start: toBytes("log"), end: logKey(400) });
  // Something that is only in memory was written before: nothing goes yet.
  await store.write([{ key: toBytes("head"), value: toBytes("400") }]);
  store.abandon({ start: toBytes("log"), end: logKey(400) });
  await store.idle();
  assertEquals(countLog(store), 500);
  await store.flush();
  await store.idle();
  const left = countLog(store);
  assert(left >= 100 && left < 110, `${left} rows are left`);
  for (let i = 400; i < 500; i++) assert(store.get(logKey(i)) !== undefined);
  const gone = events.filter(({ type }) => type === "abandoned");
  assert(gone.length > 0);
  const { abandoned, compactions } = store.metrics();
  assert(abandoned.tables > 100, `${abandoned.tables} tables`);
  assert(abandoned.bytes > before / 2, `${abandoned.bytes} of ${before}`);
  assert(store.stats().tableBytes < before / 2);
  // An iterator that was there before reads on in the tables that it holds.
  let seen = 1;
  while (iterator.next()) seen++;
  assertEquals(seen, 500);
  assertEquals(toText(snapshot.get(toBytes("data0"))!).length > 0, true);
  // The last merge drops what shared a table with rows that are kept.
  await store.compact();
  assertEquals(countLog(store), 100);
  assert(compactions.count > 0);
  assertEquals((await store.check()).damages, []);
  await store.close();
  assertThrows(() => store.abandon(range("a", "b")), ClosedError);
});

Deno.test("what is abandoned in memory is never written, and what is not is", async () => {
  const files = new StepFiles();
  const store = await openLsm(DIR, { files });
  await store.write([{ key: toBytes("head"), value: toBytes("90") }]);
  store.abandon({ start: toBytes("log"), end: logKey(90) });
  await store.flush();
  await appendRows(store, 0, 100);
  await store.flush();
  assertEquals(countLog(store), 10);
  assertEquals(store.count({ prefix: toBytes("data") }), 100);
  // The next open knows of no range: the same keys are kept.
  await store.close();
  const reopened = await openLsm(DIR, { files });
  await appendRows(reopened, 0, 100);
  await reopened.compact();
  assertEquals(countLog(reopened), 100);
  await reopened.close();
  const reader = await openLsm(DIR, { files, readOnly: true });
  assertThrows(() => reader.abandon(range("a", "b")), NotSupportedError);
  await reader.close();
});

/** A log whose head is stored, and which gives up what is before it. */
async function live(files: StepFiles): Promise<void> {
  for (let life = 0; life < 3; life++) {
    const store = await openLsm(DIR, { ...TINY, files });
    let { head, count } = stateOf(store);
    for (const until = count + 40; count < until; count++) {
      const ops = [
        { key: logKey(count), value: new Uint8Array(30) },
        { key: toBytes("count"), value: toBytes(`${count + 1}`) },
        { key: toBytes(`zzz${count * 7 % 13}`), value: new Uint8Array(30) },
      ];
      const moves = count % 5 === 4;
      if (moves) {
        head = Math.max(head, count - 6);
        ops.push({ key: toBytes("head"), value: toBytes(`${head}`) });
      }
      await store.write(ops);
      if (moves) store.abandon({ start: toBytes("log"), end: logKey(head) });
    }
    if (life === 1) await store.compact();
    if (life < 2) await store.close();
  }
}

/** What stands of such a log: all rows from its head on, or it throws. */
function stateOf(store: Lsm): { head: number; count: number } {
  const numberOf = (name: string) => {
    const row = store.get(toBytes(name));
    return row === undefined ? 0 : Number(toText(row));
  };
  const head = numberOf("head");
  const count = numberOf("count");
  for (let i = head; i < count; i++) {
    assert(store.get(logKey(i)) !== undefined, `row ${i} of ${head}-${count}`);
  }
  let others = 0;
  const rows = store.iterate({ prefix: toBytes("zzz") });
  while (rows.next()) others++;
  assertEquals(others, Math.min(count, 13));
  return { head, count };
}

for (const unsynced of ["lost", "torn", "kept"] as const) {
  Deno.test(`after a crash at any step, unsynced data ${unsynced}, all rows are there behind the stored head`, async () => {
    const whole = new StepFiles();
    await live(whole);
    let dropped = 0;
    for (let at = 1; at < whole.steps; at += sampled(5)) {
      dropped += await crashAt(at, unsynced);
    }
    assert(dropped > 0, "no row was dropped before a crash");
  });
}

/** Crashes at a step; how many rows before the head are gone then. */
async function crashAt(at: number, unsynced: Unsynced): Promise<number> {
  const files = new StepFiles(
    undefined,
    (step) => step === at ? "crash" : undefined,
  );
  await Promise.race([live(files).catch(() => {}), files.end.promise]);
  const disk = files.disk.crash(unsynced, new Prng(at, unsynced));
  const store = await openLsm(DIR, { ...TINY, files: new StepFiles(disk) });
  const { head, count } = stateOf(store);
  const gone = count - countLog(store);
  assert(gone <= head);
  assertEquals((await store.check()).damages, []);
  await store.close();
  return gone;
}
