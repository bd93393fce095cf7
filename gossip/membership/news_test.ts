import { assertEquals } from "@std/assert";
import { News, WAITING_MAX } from "./news.ts";

/** Takes news, one at a time, so often. */
function take(news: News, times: number): number[] {
  return Array.from({ length: times }, () => news.take(1, 3)).flat();
}

Deno.test("news is told a few times, the least told first, and then forgotten", () => {
  const news = new News();
  news.add(7);
  news.add(8);
  assertEquals(take(news, 4), [7, 8, 7, 8]);
  // Something newer of a node begins anew.
  news.add(8);
  assertEquals(take(news, 3), [8, 8, 7]);
  // λ · ⌈log2(3 + 1)⌉ = 6 times each.
  assertEquals(take(news, 100).sort(), [7, 7, 7, 8, 8, 8, 8]);
  assertEquals(news.size, 0);
});

Deno.test("where hundreds change at once, what was told most makes room", () => {
  const news = new News();
  for (let node = 1; node <= WAITING_MAX; node++) news.add(node);
  // The first half is told once.
  const half = news.take(WAITING_MAX / 2, 1000);
  assertEquals(half.at(-1), WAITING_MAX / 2);
  news.add(1000);
  news.add(1001);
  assertEquals(news.size, WAITING_MAX);
  const untold = news.take(WAITING_MAX / 2 + 2, 1000);
  assertEquals(untold.slice(-2), [1000, 1001]);
  assertEquals(untold[0], WAITING_MAX / 2 + 1);
  assertEquals(news.take(WAITING_MAX, 1000).includes(1), false);
  assertEquals(news.take(WAITING_MAX, 1000).includes(3), true);
});
