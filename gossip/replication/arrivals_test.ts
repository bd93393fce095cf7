import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClosedError, DeadlineExceededError } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { Arrivals, type ArrivalsOptions } from "./arrivals.ts";
import { Vector } from "./vector.ts";
import {
  HandTimers,
  openReplica,
  origin,
  setRecord,
  turns,
} from "./world_test.ts";

/** What node 1 waits with; `asked` are the nodes that were pulled from. */
async function world(options: Partial<ArrivalsOptions> = {}) {
  const node = await openReplica(1);
  const timers = new HandTimers();
  const asked: number[] = [];
  const arrivals = new Arrivals({
    replica: node.replica,
    timers,
    random: new Prng(1),
    isOther: (node) => node >= 2 && node <= 9,
    candidates: () => [2, 3, 4, 5, 6, 7, 8, 9],
    pullFrom: (node) => {
      asked.push(node);
      return new Promise(() => {});
    },
    ...options,
  });
  return { ...node, timers, asked, arrivals };
}

const upTo = (node: number, seq: number) =>
  Vector.upTo([{ origin: origin(node), seq }]);

Deno.test("what is here is not waited for, and nobody is asked", async () => {
  const { arrivals, replica, timers, asked } = await world();
  await replica.receive(setRecord("k", "1"));
  await arrivals.of(upTo(2, 1), { timeoutMs: 10 });
  await arrivals.of(new Vector(), { timeoutMs: 10 });
  assertEquals([timers.size, asked], [0, []]);
});

Deno.test("a wait ends when what is missing has arrived, whoever brought it, and asks its author first, one other beside", async () => {
  const { arrivals, replica, timers, asked } = await world();
  const waiting = arrivals.of(upTo(4, 2), { timeoutMs: 10 });
  let ended = false;
  void waiting.then(() => ended = true);
  await turns();
  assertEquals([asked[0], asked.length], [4, 2]);
  await replica.receive(setRecord("k", "1", { origin: origin(4) }));
  await turns();
  assertEquals(ended, false);
  await replica.receive(setRecord("k", "2", { origin: origin(4), seq: 2 }));
  await waiting;
  assertEquals([timers.size, asked.length], [0, 2]);
});

Deno.test("an author that is gone, or no member, is passed over, and a wait asks few", async () => {
  const asked: number[] = [];
  const { arrivals, timers } = await world({
    pullFrom: (node) => {
      asked.push(node);
      return Promise.reject(new Error("gone"));
    },
  });
  const wanted = upTo(77, 1);
  wanted.join(upTo(3, 1));
  const waiting = arrivals.of(wanted, { timeoutMs: 10 });
  await turns();
  assertEquals([asked[0], asked.length], [3, 6]);
  assertEquals(new Set(asked).size, 6);
  timers.fire();
  await assertRejects(() => waiting, DeadlineExceededError, "within 10 ms");
});

Deno.test("a wait ends by its deadline, by its signal, and with the replica", async () => {
  const { arrivals, timers, replica } = await world();
  const late = arrivals.of(upTo(2, 1), { timeoutMs: 10 });
  timers.fire();
  const error = await assertRejects(() => late, DeadlineExceededError);
  assert(error.message.startsWith("Cannot wait for what a token stands for"));
  const controller = new AbortController();
  const { signal } = controller;
  const aborted = arrivals.of(upTo(2, 1), { timeoutMs: 10, signal });
  controller.abort(new RangeError("enough"));
  await assertRejects(() => aborted, RangeError, "enough");
  await assertRejects(
    () => arrivals.of(upTo(2, 1), { timeoutMs: 10, signal }),
    RangeError,
  );
  const closed = arrivals.of(upTo(2, 1), { timeoutMs: 10 });
  await replica.close();
  await assertRejects(() => closed, ClosedError);
  assertEquals(timers.size, 0);
});
