/**
 * What every engine must do, as cases that any test runner can run:
 *
 * ```ts ignore
 * for (const { name, run } of kvConformance) {
 *   Deno.test(`my engine: ${name}`, () => run(() => openMyEngine()));
 * }
 * ```
 *
 * Durability is not among them: it takes the engine's own disk to test it.
 *
 * @module
 */

// deno-lint-ignore aspen/layers -- a suite asserts
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Awaitable,
  ClosedError,
  LimitError,
  toBytes,
  toText,
} from "../runtime/mod.ts";
import type { BatchOp, IterateOptions, KV, KVReader, Row } from "./kv.ts";

/** One thing that every engine must do. */
export interface ConformanceCase {
  /** What it is, as a sentence. */
  readonly name: string;
  /** Tries it on an empty engine that `open` opens; throws if it fails. */
  run(open: () => Promise<KV>): Promise<void>;
}

/** What every engine must do. */
export const kvConformance: readonly ConformanceCase[] = [
  onEmpty("a key that was never written has no value", async (kv) => {
    assertEquals(await kv.get(toBytes("a")), undefined);
    assertEquals(await list(kv), "");
  }),
  onEmpty("a read after a write sees it", async (kv) => {
    await kv.write(sets("a=1"));
    assertEquals(await value(kv, "a"), "1");
    await kv.write(sets("a=2"), { sync: true });
    assertEquals(await value(kv, "a"), "2");
  }),
  onEmpty("a value may be empty, which is not the same as none", async (kv) => {
    await kv.write(sets("a="));
    assertEquals(await value(kv, "a"), "");
    assertEquals(await list(kv), "a=");
  }),
  onEmpty("a deleted key has no value, and none is listed", async (kv) => {
    await kv.write(sets("a=1 b=2 c=3"));
    await kv.write(deletes("b"));
    await kv.write(deletes("never"));
    assertEquals(await value(kv, "b"), undefined);
    assertEquals(await list(kv), "a=1 c=3");
  }),
  onEmpty("the later of two ops on one key in a batch counts", async (kv) => {
    await kv.write([
      ...sets("a=1 a=2 b=1"),
      ...deletes("b c"),
      ...sets("c=3"),
    ]);
    assertEquals(await list(kv), "a=2 c=3");
  }),
  onEmpty(
    "rows of a load are there when it is finished, and hide what was there",
    async (kv) => {
      if (kv.load === undefined) return;
      await kv.write(sets("b=0 c=0 d=0"));
      await kv.write(deletes("c d"));
      const rows = (text: string) => sets(text) as Row[];
      const given = await kv.load();
      await given.append(rows("b=9"));
      await given.close();
      const load = await kv.load();
      await load.append(rows("b=1 c=1"));
      await load.insert(rows("z=1 x=1"));
      await load.append(rows("d=1"));
      assertEquals(await list(kv), "b=0");
      await load.finish();
      await load.close();
      assertEquals(await list(kv), "b=1 c=1 d=1 x=1 z=1");
      await kv.write(sets("c=2"));
      assertEquals(await value(kv, "c"), "2");
    },
  ),
  onEmpty(
    "an abandoned range leaves all other keys as they are",
    async (kv) => {
      if (kv.abandon === undefined) return;
      const [start, end] = [...sets("b=0 d=0")].map(({ key }) => key);
      await kv.write(sets("a=1 b=1 c=1 d=1 e=1"));
      kv.abandon({ start: start!, end: end! });
      for (let i = 0; i < 100; i++) await kv.write(sets(`a=${i} d=${i} x=1`));
      const outside = (await list(kv)).split(" ")
        .filter((row) => row < "b" || row >= "d");
      assertEquals(outside.join(" "), "a=99 d=99 e=1 x=1");
      for (const key of ["b", "c"]) {
        const found = await value(kv, key);
        assertEquals(found ?? "1", "1");
      }
    },
  ),
  onEmpty("an empty batch is written", async (kv) => {
    await kv.write([]);
    await kv.write([], { sync: true });
    assertEquals(await list(kv), "");
  }),
  onEmpty("writes handed in at once are applied in order", async (kv) => {
    const writes: Awaitable<void>[] = [];
    for (let i = 0; i < 100; i++) {
      writes.push(kv.write(sets(`a=${i} k${i}=${i}`), { sync: i % 3 === 0 }));
    }
    await Promise.all(writes);
    assertEquals(await value(kv, "a"), "99");
    assertEquals((await list(kv)).split(" ").length, 101);
  }),
  onEmpty("a batch is seen whole or not at all", async (kv) => {
    let done = false;
    const writing = (async () => {
      for (let i = 0; i < 50; i++) await kv.write(sets(`a=${i} b=${i}`));
      done = true;
    })();
    while (!done) {
      const [a, b] = (await list(kv)).split(" ");
      if (a !== undefined && a !== "") {
        assertEquals(a.slice(2), b?.slice(2));
      }
      await undefined;
    }
    await writing;
  }),
  onEmpty("keys are ordered as unsigned bytes, prefixes first", async (kv) => {
    const keys = [[0], [0, 0], [1], [127], [128], [128, 0], [255], [255, 255]];
    for (const key of keys.toReversed()) {
      await kv.write([{ key: new Uint8Array(key), value: new Uint8Array(1) }]);
    }
    for (const reverse of [false, true]) {
      const found: number[][] = [];
      const iterator = kv.iterate({ reverse });
      while (await iterator.next()) found.push([...iterator.key]);
      await iterator.close();
      assertEquals(found, reverse ? keys.toReversed() : keys);
    }
  }),
  onEmpty("the start is inclusive, the end exclusive", async (kv) => {
    await kv.write(sets("a=1 b=2 c=3 d=4"));
    const bounds = { start: toBytes("b"), end: toBytes("d") };
    assertEquals(await list(kv, bounds), "b=2 c=3");
    assertEquals(await list(kv, { ...bounds, reverse: true }), "c=3 b=2");
    assertEquals(await list(kv, { start: toBytes("bb") }), "c=3 d=4");
    assertEquals(
      await list(kv, { end: toBytes("bb"), reverse: true }),
      "b=2 a=1",
    );
  }),
  onEmpty("an end at or before the start gives nothing", async (kv) => {
    await kv.write(sets("a=1 b=2 c=3"));
    for (const reverse of [false, true]) {
      for (const end of ["b", "a"]) {
        const bounds = { start: toBytes("b"), end: toBytes(end), reverse };
        assertEquals(await list(kv, bounds), "");
      }
    }
  }),
  onEmpty("a prefix selects the keys that begin so", async (kv) => {
    await kv.write(sets("a=1 ab=2 aba=3 ac=4 b=5"));
    const prefix = toBytes("ab");
    assertEquals(await list(kv, { prefix }), "ab=2 aba=3");
    assertEquals(await list(kv, { prefix, reverse: true }), "aba=3 ab=2");
    assertEquals(await list(kv, { prefix: new Uint8Array(0) }), await list(kv));
    const start = toBytes("aba");
    assertEquals(await list(kv, { prefix, start }), "aba=3");
    assertEquals(await list(kv, { prefix, end: start }), "ab=2");
    assertEquals(await list(kv, { prefix, start: toBytes("b") }), "");
  }),
  onEmpty("a prefix of 0xFF has no end", async (kv) => {
    const key = (...bytes: number[]) => new Uint8Array(bytes);
    for (const k of [key(254), key(255), key(255, 255), key(255, 255, 1)]) {
      await kv.write([{ key: k, value: k }]);
    }
    for (const reverse of [false, true]) {
      const iterator = kv.iterate({ prefix: key(255, 255), reverse });
      let count = 0;
      while (await iterator.next()) count++;
      assertEquals(count, 2);
    }
  }),
  onEmpty("keys alone can be listed", async (kv) => {
    await kv.write(sets("a=1 b=2"));
    const iterator = kv.iterate({ keysOnly: true });
    const keys: string[] = [];
    while (await iterator.next()) keys.push(toText(iterator.key));
    assertEquals(keys, ["a", "b"]);
  }),
  onEmpty("an iterator sees the state of its making", async (kv) => {
    await kv.write(sets("a=1 b=2 c=3"));
    const forward = kv.iterate();
    const backward = kv.iterate({ reverse: true });
    assert(await forward.next());
    assert(await backward.next());
    await kv.write([...sets("a=9 aa=9 b=9 d=9"), ...deletes("c")]);
    assertEquals(await rest(forward), "b=2 c=3");
    assertEquals(await rest(backward), "b=2 a=1");
    assertEquals(await list(kv), "a=9 aa=9 b=9 d=9");
  }),
  onEmpty("an iterator at its end or closed stays there", async (kv) => {
    await kv.write(sets("a=1 b=2"));
    const iterator = kv.iterate();
    assertEquals(await rest(iterator), "a=1 b=2");
    await kv.write(sets("c=3"));
    assertEquals(await iterator.next(), false);
    await iterator.close();
    await iterator.close();
    assertEquals(await iterator.next(), false);
    const closed = kv.iterate();
    await closed.close();
    assertEquals(await closed.next(), false);
  }),
  onEmpty("a snapshot sees the state of its making", async (kv) => {
    await kv.write(sets("a=1 b=2"));
    const first = await kv.snapshot();
    await kv.write([...sets("a=2 c=3"), ...deletes("b")]);
    const second = await kv.snapshot();
    await kv.write(deletes("a c"));
    assertEquals(await list(first), "a=1 b=2");
    assertEquals(await list(first, { reverse: true }), "b=2 a=1");
    assertEquals(await value(first, "c"), undefined);
    assertEquals(await value(second, "a"), "2");
    assertEquals(await list(second), "a=2 c=3");
    await first.close();
    await first.close();
    assertEquals(await list(second), "a=2 c=3");
    await second.close();
    assertEquals(await list(kv), "");
  }),
  onEmpty("bytes that were given out may be changed", async (kv) => {
    await kv.write(sets("a=1"));
    (await kv.get(toBytes("a")))!.fill(0);
    const iterator = kv.iterate();
    assert(await iterator.next());
    iterator.key.fill(0);
    iterator.value.fill(0);
    assertEquals(toText(iterator.key), "a");
    await iterator.close();
    assertEquals(await list(kv), "a=1");
  }),
  onEmpty("bytes handed in may be reused once written", async (kv) => {
    const key = toBytes("a");
    const bytes = toBytes("1");
    await kv.write([{ key, value: bytes }]);
    key.fill(0);
    bytes.fill(0);
    assertEquals(await list(kv), "a=1");
  }),
  onEmpty("large values and many keys come back as they were", async (kv) => {
    const large = new Uint8Array(3 * 1024 * 1024);
    for (let i = 0; i < large.length; i++) large[i] = i * 31 + (i >>> 8);
    await kv.write([{ key: toBytes("large"), value: large }]);
    const many: BatchOp[] = [];
    for (let i = 0; i < 2000; i++) {
      many.push({ key: toBytes(`n${i}`), value: toBytes(`${i}`) });
    }
    await kv.write(many);
    const read = await kv.get(toBytes("large"));
    assertEquals(read?.length, large.length);
    assert(read?.every((byte, i) => byte === large[i]));
    assertEquals(await value(kv, "n1234"), "1234");
    const iterator = kv.iterate({ prefix: toBytes("n") });
    let count = 0;
    while (await iterator.next()) count++;
    assertEquals(count, 2000);
  }),
  onEmpty("an empty key is refused and nothing is written", async (kv) => {
    await assertRejects(
      async () =>
        await kv.write([...sets("a=1"), {
          key: new Uint8Array(0),
          value: new Uint8Array(0),
        }]),
      LimitError,
    );
    assertEquals(await list(kv), "");
  }),
  onEmpty("synchronous says whether answers are promises", async (kv) => {
    await kv.write(sets("a=1"));
    const answer = kv.get(toBytes("a"));
    const iterator = kv.iterate();
    const next = iterator.next();
    const snapshot = kv.snapshot();
    const promises = [answer, next, snapshot].filter((it) =>
      it instanceof Promise
    );
    if (kv.synchronous) assertEquals(promises.length, 0);
    await answer;
    await next;
    await iterator.close();
    await (await snapshot).close();
  }),
  {
    name: "a closed engine answers nothing, and closes again",
    async run(open): Promise<void> {
      const kv = await open();
      const iterator = kv.iterate();
      const written = kv.write(sets("a=1"));
      await kv.close();
      await written;
      await kv.close();
      await assertRejects(async () => await kv.get(toBytes("a")), ClosedError);
      await assertRejects(async () => await kv.write(sets("a=1")), ClosedError);
      await assertRejects(async () => await kv.snapshot(), ClosedError);
      await assertRejects(async () => await iterator.next(), ClosedError);
      await iterator.close();
    },
  },
];

function onEmpty(
  name: string,
  run: (kv: KV) => Promise<void>,
): ConformanceCase {
  return {
    name,
    async run(open): Promise<void> {
      const kv = await open();
      try {
        await run(kv);
      } finally {
        await kv.close();
      }
    },
  };
}

function sets(text: string): BatchOp[] {
  return text.split(" ").map((pair) => {
    const [key, value] = pair.split("=");
    return { key: toBytes(key!), value: toBytes(value!) };
  });
}

function deletes(text: string): BatchOp[] {
  return text.split(" ").map((key) => ({
    key: toBytes(key),
    value: undefined,
  }));
}

async function value(
  reader: KVReader,
  key: string,
): Promise<string | undefined> {
  const bytes = await reader.get(toBytes(key));
  return bytes && toText(bytes);
}

async function list(
  reader: KVReader,
  options?: IterateOptions,
): Promise<string> {
  const iterator = reader.iterate(options);
  const pairs = await rest(iterator);
  await iterator.close();
  return pairs;
}

async function rest(iterator: ReturnType<KV["iterate"]>): Promise<string> {
  const pairs: string[] = [];
  while (await iterator.next()) {
    pairs.push(`${toText(iterator.key)}=${toText(iterator.value)}`);
  }
  return pairs.join(" ");
}
