import { assertEquals } from "@std/assert";
import { Feed } from "./feed.ts";

function feedOf(weightMax: number, ended: string[] = []): Feed<string> {
  return new Feed<string>({
    weightMax,
    weigh: (item) => item.length,
    lagged: (missed) => `missed ${missed}`,
    onEnd: () => ended.push("end"),
  });
}

async function rest(reader: ReadableStreamDefaultReader<string>) {
  const items: string[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return items;
    items.push(value);
  }
}

Deno.test("a feed gives its items in order, those before the reader and those after", async () => {
  const ended: string[] = [];
  const feed = feedOf(100, ended);
  feed.push("a");
  feed.push("b");
  const reader = feed.stream.getReader();
  assertEquals((await reader.read()).value, "a");
  assertEquals((await reader.read()).value, "b");
  const next = reader.read();
  feed.push("c");
  assertEquals((await next).value, "c");
  feed.push("d");
  feed.close();
  feed.push("never");
  assertEquals(await rest(reader), ["d"]);
  feed.close();
  assertEquals(ended, ["end"]);
});

Deno.test("what is dropped is told in its place, and counted: nothing is lost in silence", async () => {
  const feed = feedOf(4);
  for (const item of ["aa", "bb", "cc", "d"]) feed.push(item);
  const reader = feed.stream.getReader();
  assertEquals((await reader.read()).value, "aa");
  // There is room again, but the order would lie.
  feed.push("e");
  assertEquals((await reader.read()).value, "bb");
  assertEquals((await reader.read()).value, "missed 3");
  feed.push("f");
  assertEquals((await reader.read()).value, "f");
  for (const item of ["gggg", "h", "i"]) feed.push(item);
  feed.close();
  assertEquals(await rest(reader), ["gggg", "missed 2"]);
});

Deno.test("every item is seen or counted, whatever the pace", async () => {
  const feed = feedOf(7);
  const reader = feed.stream.getReader();
  let pushed = 0;
  let seen = 0;
  let last = -1;
  for (let round = 0; round < 200; round++) {
    for (let n = (round * 7) % 11; n > 0; n--) feed.push(`${pushed++}`);
    for (let n = (round * 3) % 5; n > 0 && seen < pushed; n--) {
      const { value } = await reader.read();
      if (value!.startsWith("missed ")) seen += Number(value!.slice(7));
      else {
        seen++;
        assertEquals(Number(value) > last, true);
        last = Number(value);
      }
    }
  }
  feed.close();
  for (const value of await rest(reader)) {
    seen += value.startsWith("missed ") ? Number(value.slice(7)) : 1;
  }
  assertEquals(seen, pushed);
});

Deno.test("one item larger than the limit still comes through", async () => {
  const feed = feedOf(2);
  feed.push("too large");
  feed.push("x");
  feed.close();
  const items = await rest(feed.stream.getReader());
  assertEquals(items, ["too large", "missed 1"]);
});

Deno.test("a reader that goes ends the feed, also while it waits", async () => {
  const ended: string[] = [];
  const waiting = feedOf(9, ended);
  const reader = waiting.stream.getReader();
  const read = reader.read();
  await reader.cancel();
  assertEquals((await read).done, true);
  waiting.push("never");
  const full = feedOf(9, ended);
  full.push("x");
  await full.stream.cancel();
  full.close();
  assertEquals(ended, ["end", "end"]);
});
