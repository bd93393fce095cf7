import { assert, assertEquals } from "@std/assert";
import { Prng } from "../../runtime/virtual/mod.ts";
import { Detector, type DetectorEffect } from "./detector.ts";
import { LocalHealth, SCORE_MAX } from "./health.ts";
import { Members } from "./members.ts";
import { News } from "./news.ts";
import type { NodeRecord } from "./node_record.ts";
import { suspicionMs } from "./suspicion.ts";
import { testRecord as node } from "./testing/record.ts";

const INTERVAL_MS = 1000;
const TIMEOUT_MS = 500;

/** A detector of node 1 in a cluster of so many, with a clock by hand. */
class Bench {
  now = 0;
  readonly news: number[] = [];
  readonly members: Members;
  readonly detector: Detector;

  constructor(count: number, others: readonly NodeRecord[] = []) {
    this.members = new Members(node(1), {
      others: [
        ...Array.from({ length: count - 1 }, (_, i) => node(i + 2)),
        ...others,
      ],
    });
    this.detector = new Detector({
      members: this.members,
      random: new Prng(1),
      intervalMs: INTERVAL_MS,
      timeoutMs: TIMEOUT_MS,
      onNews: (node) => this.news.push(node),
    });
    this.detector.start(0);
  }

  /** Goes to what is due next, in time. */
  step(): DetectorEffect[] {
    this.now = Math.max(this.now, this.detector.dueAt);
    return this.detector.step(this.now);
  }

  /** The next ping. */
  nextPing(): DetectorEffect & { type: "ping" } {
    for (let i = 0; i < 10; i++) {
      for (const effect of this.step()) {
        if (effect.type === "ping") return effect;
      }
    }
    throw new Error("nobody is pinged");
  }

  state(key: number): string {
    return this.members.get(key)!.state;
  }

  /** Goes on until a node is in a state; others answer. Returns when. */
  until(key: number, state: string): number {
    for (let i = 0; i < 10_000 && this.state(key) !== state; i++) {
      for (const effect of this.step()) {
        if (effect.type === "ask" || effect.node === key) this.#fail(effect);
        else this.detector.answered(effect.node, effect.probe);
      }
    }
    assertEquals(this.state(key), state);
    return this.now;
  }

  #fail(effect: DetectorEffect): void {
    if (effect.type === "ask") {
      this.detector.asked(this.now, effect, "not reached");
      return;
    }
    const { node, probe } = effect;
    for (const ask of this.detector.missed(this.now, node, probe, false)) {
      this.#fail(ask);
    }
  }
}

Deno.test("every node is pinged once a round, each round in another order, the dead and the left not at all", () => {
  const bench = new Bench(5, [
    node(6, { state: "dead" }),
    node(7, { state: "left" }),
  ]);
  const rounds: number[][] = [];
  for (let round = 0; round < 6; round++) {
    const pinged: number[] = [];
    for (let i = 0; i < 4; i++) {
      const { node, probe } = bench.nextPing();
      pinged.push(node);
      bench.detector.answered(node, probe);
    }
    rounds.push(pinged);
    assertEquals(pinged.toSorted(), [2, 3, 4, 5]);
  }
  assert(new Set(rounds.map(String)).size > 1);
  assertEquals(bench.detector.metrics.missed, 0);
});

Deno.test("a node that does not answer is asked about, suspected at the end of its probe and dead after its suspicion", () => {
  const bench = new Bench(10);
  const { node: first, probe } = bench.nextPing();
  const began = bench.now;
  bench.now += TIMEOUT_MS;
  const asks = bench.detector.missed(bench.now, first, probe, false);
  assertEquals(asks.map(({ type }) => type), ["ask", "ask", "ask"]);
  const helpers = asks.map((ask) => ask.type === "ask" && ask.helper);
  assertEquals(new Set(helpers).size, 3);
  assert(!helpers.includes(first) && !helpers.includes(1));
  for (const ask of asks) {
    assert(ask.type === "ask" && ask.timeoutMs === INTERVAL_MS - TIMEOUT_MS);
    bench.detector.asked(bench.now, ask, "not reached");
  }
  assertEquals(bench.state(first), "healthy", "the probe is not over yet");
  assertEquals(bench.until(first, "suspect"), began + INTERVAL_MS);
  assertEquals(bench.news, [first, first]);
  assertEquals(bench.detector.newsOf(first)!.accusers, [1]);
  // Nobody else accuses it: the longest suspicion of ten nodes.
  const suspected = bench.now;
  const died = bench.until(first, "dead");
  assertEquals(Math.round(died - suspected), 24_000);
  assertEquals(bench.detector.metrics.died, 1);
});

Deno.test("two more accusers make a suspicion as short as it gets, and are told on", () => {
  const bench = new Bench(10);
  bench.until(2, "suspect");
  const suspected = bench.now;
  bench.news.length = 0;
  const record = bench.members.get(2)!;
  bench.detector.learn(bench.now, [{ record, accusers: [3, 1] }]);
  bench.detector.learn(bench.now, [{ record, accusers: [4, 5] }]);
  assertEquals(bench.news, [2, 2]);
  assertEquals(bench.detector.newsOf(2)!.accusers, [1, 3, 4]);
  assertEquals(Math.round(bench.until(2, "dead") - suspected), 4000);
});

Deno.test("a node whose address refuses, and that no other reaches, is suspected at once and half as long", () => {
  const bench = new Bench(10);
  const effects = bench.detector.lost(bench.now, 2);
  assertEquals(effects, [
    { type: "ping", node: 2, probe: 1, timeoutMs: TIMEOUT_MS },
  ]);
  assertEquals(bench.detector.lost(bench.now, 2), [], "it is being probed");
  for (const ask of bench.detector.missed(bench.now, 2, 1, true)) {
    assertEquals(bench.state(2), "healthy");
    assert(ask.type === "ask");
    bench.detector.asked(bench.now, ask, "not reached");
  }
  assertEquals(bench.state(2), "suspect");
  assertEquals(bench.detector.metrics.health, 0);
  const record = bench.members.get(2)!;
  bench.detector.learn(bench.now, [{ record, accusers: [3, 4] }]);
  assertEquals(Math.round(bench.until(2, "dead")), 2000);
});

Deno.test("a node that one of those asked reaches is not suspected", () => {
  const bench = new Bench(5);
  const { node: first, probe } = bench.nextPing();
  const [ask] = bench.detector.missed(bench.now, first, probe, false);
  assert(ask?.type === "ask");
  bench.detector.asked(bench.now, ask, "reached");
  for (let i = 0; i < 4; i++) bench.step();
  assertEquals(bench.state(first), "healthy");
});

Deno.test("a newer word of a suspect or dead node ends what was held against it", () => {
  const bench = new Bench(5);
  bench.until(2, "suspect");
  const refuted = node(2, { version: 1 });
  bench.detector.learn(bench.now, [{ record: refuted, accusers: [] }]);
  assertEquals(bench.state(2), "healthy");
  assertEquals(bench.detector.newsOf(2)!.accusers, []);
  const news = [{
    record: node(2, { version: 1, state: "dead" }),
    accusers: [],
  }];
  bench.detector.learn(bench.now, news);
  assertEquals(bench.state(2), "dead");
  assertEquals(bench.detector.lost(bench.now, 2), [], "the dead are dialled");
});

Deno.test("a thread that stood still accuses nobody of what it has not heard, and doubts itself", () => {
  const bench = new Bench(10);
  bench.until(3, "suspect");
  const suspected = bench.now;
  const { node: probed } = bench.nextPing();
  bench.now += 60_000;
  bench.detector.step(bench.now);
  assertEquals(bench.state(probed), probed === 3 ? "suspect" : "healthy");
  assertEquals(bench.state(3), "suspect");
  const { lagged, health } = bench.detector.metrics;
  assertEquals([lagged, health], [1, 2]);
  // The suspicion goes on by the time that this node was awake.
  const died = bench.until(3, "dead");
  assert(Math.abs(died - suspected - 84_000) <= INTERVAL_MS, `${died}`);
});

Deno.test("a stall across the end of a suspicion leaves as much of it as there was", () => {
  const bench = new Bench(10);
  bench.until(3, "suspect");
  const suspected = bench.now;
  for (let ms = 0; ms < 23_800; ms += 100) {
    bench.now = suspected + ms;
    for (const effect of bench.detector.step(bench.now)) {
      if (effect.type === "ping") {
        bench.detector.answered(effect.node, effect.probe);
      }
    }
  }
  bench.now += 5000;
  bench.detector.step(bench.now);
  assertEquals(bench.state(3), "suspect", "its answer may wait to be read");
  const died = bench.until(3, "dead");
  assert(died >= suspected + 24_000 + 5000, `${died - suspected}`);
});

Deno.test("a suspicion that begins when the thread has woken takes no longer for that", () => {
  const bench = new Bench(10);
  bench.step();
  bench.now += 3_600_000;
  const record = node(2, { state: "suspect" });
  bench.detector.learn(bench.now, [{ record, accusers: [3, 4, 5] }]);
  const heard = bench.now;
  const died = bench.until(2, "dead");
  assertEquals(Math.round(died - heard), 4000);
});

Deno.test("an accuser that comes late is no stall of this node", () => {
  const bench = new Bench(10);
  bench.until(2, "suspect");
  bench.until(3, "suspect");
  const record = bench.members.get(2)!;
  bench.detector.learn(bench.now, [{ record, accusers: [4] }]);
  for (let ms = 0; ms < 6000; ms += 100) {
    bench.now += 100;
    for (const effect of bench.detector.step(bench.now)) {
      if (effect.type === "ping") {
        bench.detector.answered(effect.node, effect.probe);
      }
    }
  }
  // The suspicion is over since two seconds now.
  bench.detector.learn(bench.now, [{ record, accusers: [5] }]);
  bench.now += 10;
  bench.detector.step(bench.now);
  assertEquals(bench.state(2), "dead");
  assertEquals(bench.detector.metrics.lagged, 0);
});

Deno.test("what was held against an older word of a node does not count against a newer one", () => {
  const bench = new Bench(10);
  bench.until(2, "suspect");
  const old = bench.members.get(2)!;
  for (let i = 0; i < 40; i++) bench.step();
  // It answered, was doubted again, and this node hears of both at once.
  const newer = node(2, { version: 1, state: "suspect" });
  bench.members.merge([newer]);
  const heard = bench.now;
  bench.step();
  bench.detector.learn(bench.now, [{ record: old, accusers: [3, 4, 5] }]);
  assertEquals(bench.detector.newsOf(2), { record: newer, accusers: [] });
  const died = bench.until(2, "dead");
  assert(died - heard >= 11_000, `${died - heard}`);
});

Deno.test("a node whose connection breaks again and again is probed once an interval", () => {
  const bench = new Bench(5);
  let pings = 0;
  for (let ms = 0; ms < 10_000; ms += 10) {
    bench.now = ms;
    for (const effect of bench.detector.lost(ms, 2)) {
      assert(effect.type === "ping");
      bench.detector.answered(2, effect.probe);
      pings++;
    }
  }
  assertEquals(pings, 10);
});

Deno.test("the outcome of an old probe is none of a new one", () => {
  const bench = new Bench(5);
  const [first] = bench.detector.lost(0, 2);
  // It stood still: the first probe is void, and its answer comes late.
  bench.now = 5000;
  const second = [
    ...bench.detector.step(bench.now),
    ...bench.detector.lost(bench.now, 2),
  ].find(({ node }) => node === 2);
  assert(first?.type === "ping" && second?.type === "ping");
  assertEquals(bench.detector.missed(bench.now, 2, first.probe, true), []);
  bench.detector.answered(2, first.probe);
  assert(bench.detector.missed(bench.now, 2, second.probe, true).length > 0);
});

Deno.test("helpers that say nothing count against this node, those that reach no one do not", () => {
  const health = (answer: "silent" | "not reached") => {
    const bench = new Bench(10);
    const { node, probe } = bench.nextPing();
    for (const ask of bench.detector.missed(bench.now, node, probe, false)) {
      if (ask.type !== "ask") continue;
      bench.detector.asked(bench.now, ask, answer);
    }
    while (bench.state(node) === "healthy") bench.step();
    return bench.detector.metrics.health;
  };
  assertEquals(health("not reached"), 0);
  assertEquals(health("silent"), 3);
});

Deno.test("health slows probes and never leaves its bounds", () => {
  const health = new LocalHealth();
  health.answered();
  assertEquals([health.score, health.factor], [0, 1]);
  for (let i = 0; i < 10; i++) health.lagged();
  assertEquals([health.score, health.factor], [SCORE_MAX, SCORE_MAX + 1]);
  health.answered();
  health.failed(0, 0);
  health.accused();
  assertEquals(health.score, SCORE_MAX);
});

Deno.test("a suspicion is what Lifeguard's formula says", () => {
  const ms = (nodes: number, accusers: number, refused = false) =>
    Math.round(suspicionMs({ nodes, intervalMs: 1000, accusers, refused }));
  assertEquals([ms(10, 1), ms(10, 3), ms(10, 9)], [24_000, 4000, 4000]);
  assertEquals(ms(10, 2), 24_000 - Math.round(Math.log(2) / Math.log(3) * 2e4));
  assertEquals([ms(100, 1), ms(100, 3), ms(1000, 3)], [48_000, 8000, 12_000]);
  // Below four nodes nobody is left to agree.
  assertEquals([ms(3, 1), ms(2, 1)], [4000, 4000]);
  assertEquals(ms(10, 3, true), 2000);
});

Deno.test("news is told a few times, the least told first, and anew when it is newer", () => {
  const news = new News();
  for (const node of [1, 2, 3]) news.add(node);
  assertEquals(news.take(2, 7), [1, 2]);
  assertEquals(news.take(2, 7), [3, 1]);
  let told = 4;
  while (news.size > 0) told += news.take(2, 7).length;
  // Three times the logarithm of eight, each.
  assertEquals(told, 27);
  news.add(5);
  while (news.size > 0) news.take(1, 7);
  news.add(5);
  assertEquals(news.take(9, 7), [5]);
});
