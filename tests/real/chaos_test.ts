import { assert, assertEquals, assertRejects } from "@std/assert";
import { Vector } from "../../gossip/replication/vector.ts";
import type { Version } from "../../mod.ts";
import { DenoNetwork } from "../../runtime/deno/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { measureProcesses, type ProcessRow } from "./chaos/detection.ts";
import { Faults } from "./chaos/faults.ts";
import { Guard } from "./chaos/guard.ts";
import type { ChaosNetwork } from "./chaos/network.ts";
import { Oracle } from "./chaos/oracle.ts";
import { ProxyNetwork } from "./chaos/proxy.ts";
import { runChaos } from "./chaos/run.ts";
import { FAULTS, schedule } from "./chaos/schedule.ts";
import { ThroughProxy } from "./chaos/through_proxy.ts";
import { Child } from "./child.ts";
import { TempDir } from "./paths.ts";
import { ProcessEndedError, RemoteCallError } from "./remote_node.ts";
import type { Left, Row } from "./rows.ts";

Deno.test("a few seconds of chaos on three real processes: every kind of fault that needs no rights, and nothing acked is lost", async () => {
  const report = await runChaos({
    seed: 4,
    durationMs: 5000,
    nodes: 3,
    network: "proxy",
    faultEveryMs: 250,
    without: ["diskFull"],
  });
  assertEquals(report.violated, []);
  assertEquals(report.unavailable, ["diskFull"]);
  assertEquals(Object.keys(report.faults).length, FAULTS.length - 1);
  assert(report.acked > 50, JSON.stringify(report));
});

Deno.test("a process that is killed is dead to the others before long", async () => {
  const rows: ProcessRow[] = [];
  await measureProcesses({
    rows: ["detect.crash"],
    nodes: 3,
    trials: 1,
    onRow: (row) => rows.push(row),
    say: () => {},
  });
  const [{ n, max, falseDeaths }] = rows as [ProcessRow];
  assertEquals([rows.length, n, falseDeaths], [1, 1, 0]);
  // From the kill: no look at an earlier state ended it.
  assert(max! > 100, `${max} ms`);
});

Deno.test("the faults of a run come from its seed, each kind once before any comes again", () => {
  const plan = (seed: number) =>
    schedule(new Prng(seed), {
      kinds: FAULTS,
      nodes: 5,
      durationMs: 60_000,
      everyMs: 1000,
    });
  assertEquals(plan(1), plan(1));
  assert(JSON.stringify(plan(1)) !== JSON.stringify(plan(2)));
  const first = plan(1).slice(0, FAULTS.length).map(({ kind }) => kind);
  assertEquals(new Set(first), new Set(FAULTS));
});

function version(hlc: number, claim = 1, life = 1): Version {
  return {
    life,
    term: 0,
    sub: 0,
    claim: { hlc: claim, node: 1 },
    hlc,
    dot: { origin: 1, seq: hlc },
  };
}

function covering(seq: number): Vector {
  const vector = new Vector();
  for (let each = 1; each <= seq; each++) vector.add(1, each);
  return vector;
}

/** What a directory has, what it covers, and the life that is gone there. */
function left(
  entries: Record<string, [string | null, Version]>,
  { covered = 0, lifeGone = 0 } = {},
): Left {
  const rows = new Map<string, Row>(
    Object.entries(entries).map(([key, [value, version]]) => [
      key,
      { value, version, leaseholder: 1 },
    ]),
  );
  return { rows, vector: covering(covered), lifeGone };
}

Deno.test("the oracle finds an acked write that is gone, unless a later one of its claim is there, a conflict names it, or the only directory that had it has gone", () => {
  const judged = (
    ends: Left,
    conflict?: Version,
    { gone = 0 } = {},
  ) => {
    const oracle = new Oracle();
    oracle.acked({ key: "a", version: version(2), value: "two" });
    oracle.acked({ key: "a", version: version(1), value: "one" });
    if (conflict) oracle.conflict("a", conflict);
    oracle.discard({ before: covering(gone), after: new Vector() });
    oracle.judge([ends, ends], []);
    return [oracle.lost, oracle.unfit];
  };
  assertEquals(judged(left({ a: ["two", version(2)] })), [0, 0]);
  assertEquals(judged(left({ a: ["three", version(3)] })), [0, 0]);
  assertEquals(judged(left({ a: ["else", version(2)] })), [0, 1]);
  assertEquals(judged(left({ a: ["one", version(1)] })), [1, 1]);
  assertEquals(judged(left({})), [2, 2]);
  const other = left({ a: ["other", version(9, 2)] });
  assertEquals(judged(other), [2, 2]);
  assertEquals(judged(other, version(2)), [0, 0]);
  assertEquals(judged(other, version(1)), [1, 1]);
  assertEquals(judged(other, version(2, 3)), [2, 2]);
  // What went with the only directory that had it is no promise any more.
  assertEquals(judged(left({}), undefined, { gone: 2 }), [0, 0]);
  assertEquals(judged(left({}), undefined, { gone: 1 }), [1, 1]);
  const one = left({}, { covered: 1 });
  assertEquals(judged(one, undefined, { gone: 2 }), [1, 1]);
});

Deno.test("a key that is absent was deleted last, as far as anybody heard, and its tombstone collected, or it is lost", () => {
  const judged = (
    told: (oracle: Oracle) => void,
    { covered = 9, lifeGone = 1 } = {},
  ) => {
    const oracle = new Oracle();
    oracle.acked({ key: "a", version: version(2), value: "two" });
    told(oracle);
    const ends = left({}, { covered, lifeGone });
    oracle.judge([ends, ends], []);
    return oracle.lost;
  };
  const deleted = (at: number, key = "a") => (oracle: Oracle) =>
    oracle.acked({ key, version: version(at), value: null });
  const failed = (error: unknown, ...keys: string[]) => (oracle: Oracle) =>
    oracle.failed(keys.map((key) => [key, null, null]), error);
  const ended = new ProcessEndedError();
  const remote = (name: string, failed: [string, string][] = []) =>
    new RemoteCallError({ name, message: "", failed });
  assertEquals(judged(() => {}), 1);
  assertEquals(judged(deleted(3)), 0);
  assertEquals(judged(deleted(1)), 1);
  assertEquals(judged(deleted(3, "b")), 1);
  assertEquals(judged(failed(ended, "a")), 0);
  assertEquals(judged(failed(ended, "b")), 1);
  assertEquals(judged(failed(remote("OutcomeUnknownError"), "a")), 0);
  assertEquals(judged(failed(remote("LeaseholderUnavailableError"), "a")), 1);
  const part = (name: string) => remote("PartialCommitError", [["a", name]]);
  assertEquals(judged(failed(part("OutcomeUnknownError"), "a", "b")), 0);
  assertEquals(judged(failed(part("NodeNotFoundError"), "a", "b")), 1);
  // Of two ops of one key the last one counts.
  const again = (oracle: Oracle) =>
    oracle.failed([["a", null, null], ["a", "again", null]], ended);
  assertEquals(judged(again), 1);
  // What nobody covers was not replaced, and no life is gone without a collection.
  for (const told of [deleted(3), failed(ended, "a")]) {
    assert(judged(told, { covered: 1 }) > 0);
    assert(judged(told, { lifeGone: 0 }) > 0);
  }
});

Deno.test("a claim that is gone was deleted before the key was claimed anew, or it is lost", () => {
  const judged = (
    told: (oracle: Oracle) => void,
    anew: Version,
    lifeGone = 1,
  ) => {
    const oracle = new Oracle();
    oracle.acked({ key: "a", version: version(2), value: "two" });
    told(oracle);
    const ends = left({ a: ["anew", anew] }, { covered: 9, lifeGone });
    oracle.judge([ends, ends], []);
    return oracle.lost;
  };
  const deleted = (at: number, claim = 1) => (oracle: Oracle) =>
    oracle.acked({ key: "a", version: version(at, claim), value: null });
  const anew = version(9, 8, 2);
  assertEquals(judged(deleted(3), anew), 0);
  assertEquals(judged(() => {}, anew), 1);
  // In the same life another claim has won, and what it won against is lost.
  assertEquals(judged(deleted(3), version(9, 8)), 2);
  // It was claimed before the delete, so by one who did not know of it.
  assertEquals(judged(deleted(3), version(9, 3, 2)), 2);
  // No tombstone of that life was ever collected.
  assertEquals(judged(deleted(3), anew, 0), 2);
  // Deleted was another claim, or an earlier value.
  assertEquals(judged(deleted(9, 8), anew), 1);
  assertEquals(judged(deleted(1), anew), 1);
  const maybe = (oracle: Oracle) =>
    oracle.failed([["a", null, null]], new ProcessEndedError());
  assertEquals(judged(maybe, anew), 0);
  assertEquals(judged(maybe, version(9, 8)), 1);
});

/** So many turns of the event loop. */
async function turnsOf(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

Deno.test("a direction is cut while any fault cuts it, and whole afterwards, however long changes take", async () => {
  const cut = new Map<string, boolean>();
  let changing = 0;
  const network = {
    kind: "none",
    async setCut(from: number, to: number, wanted: boolean) {
      const name = `${from} ${to}`;
      assertEquals(cut.get(name) ?? false, !wanted);
      changing++;
      // The first of two that begin together takes longer.
      await turnsOf(wanted ? 1 : 20);
      changing--;
      cut.set(name, wanted);
    },
  } as unknown as ChaosNetwork;
  const faults = new Faults({ network, members: [], reopen: () => ({}) });
  const cuts = Array.from({ length: 12 }, async (_, i) => {
    await turnsOf(i * 7);
    const kind = i % 3 === 0 ? "isolate" as const : "cut" as const;
    await faults.perform({
      kind,
      forMs: 1,
      nodes: [i % 2, 1 - i % 2, 2],
      atMs: 0,
    });
  });
  await Promise.all(cuts);
  assertEquals(changing, 0);
  assert(cut.size === 6 && [...cut.values()].every((isCut) => !isCut));
});

Deno.test("the oracle finds stores that differ, half batches, watches that go back, and reads of what is old", () => {
  const differ = new Oracle();
  const one = left({ a: ["one", version(1)] });
  differ.judge([one, one, left({ a: [null, version(1)] })], []);
  differ.judge([one, left({})], []);
  assertEquals(differ.divergent, 2);

  // A tombstone that all have may be gone from some, a value may not.
  const going = (value: string | null, covered: number, lifeGone = 1) => {
    const oracle = new Oracle();
    const row = left({ a: [value, version(2)] }, { covered: 2, lifeGone: 1 });
    const none = left({}, { covered, lifeGone });
    oracle.judge([row, none], []);
    oracle.judge([none, row], []);
    return oracle.divergent;
  };
  assertEquals(going(null, 2), 0);
  assertEquals(going("two", 2), 2);
  assertEquals(going(null, 2, 0), 2);
  // Twice that, as vectors differ, too.
  assertEquals(going(null, 1), 4);

  const half = new Oracle();
  const batch = left({ a: ["one", version(1)], b: ["two", version(2)] });
  half.judge([batch], [["a", "b"], ["c", "d"]]);
  assertEquals(half.unfit, 1);
  half.conflict("z", version(1), ["b"]);
  half.judge([batch], [["a", "b"]]);
  assertEquals(half.unfit, 1);

  // A list of one moment shows a batch whole, or a conflict says why not.
  const listed = new Oracle();
  listed.listed(1, ["a", "b"], new Set(["one"]));
  listed.listed(1, ["c", "d"], new Set(["one", undefined]));
  listed.listed(2, ["e", "f"], new Set(["one", "two"]));
  listed.conflict("f", version(1));
  listed.judge([batch], []);
  assertEquals(listed.unfit, 1);

  const reads = new Oracle();
  reads.wrote("a", "one");
  reads.read(1, "a", "one");
  assertEquals(reads.unfit, 0);
  reads.read(1, "b", "one");
  assertEquals(reads.unfit, 1);

  const watch = new Oracle();
  watch.shown(1, "a", version(2));
  watch.shown(2, "a", version(1));
  watch.shown(1, "a", version(3));
  assertEquals(watch.unfit, 0);
  watch.shown(1, "a", version(3));
  watch.readOwn(1, "a", version(3), version(2));
  assertEquals(watch.unfit, 2);
});

/** Two ends of a stream through a proxy: of node 0, which dials node 1. */
async function joined(stack: AsyncDisposableStack) {
  const network = stack.use(new ProxyNetwork());
  const { via } = await network.place();
  const listener = await new DenoNetwork().listen("127.0.0.1:0");
  stack.defer(() => listener.close());
  network.located(1, listener.address);
  const proxy = new ThroughProxy(via!, 0);
  const [dialler, accepted] = await Promise.all([
    proxy.dial(listener.address),
    listener.accept(),
  ]);
  stack.defer(() => dialler.close());
  stack.defer(() => accepted!.close());
  return { network, proxy, dialler, accepted: accepted! };
}

Deno.test("a proxy holds back one direction that is cut, the end of the stream too, and sends it on when healed", async () => {
  await using stack = new AsyncDisposableStack();
  const { network, dialler, accepted } = await joined(stack);
  const buffer = new Uint8Array(8);
  await network.setCut(0, 1, true);
  await dialler.write(Uint8Array.of(1));
  let heard: number | null | undefined;
  const hearing = accepted.read(buffer).then((n) => heard = n);
  // The other direction is whole, and slower than the cut one would be.
  for (let i = 0; i < 20; i++) {
    await accepted.write(Uint8Array.of(2));
    assertEquals(await dialler.read(new Uint8Array(8)), 1);
  }
  dialler.close();
  assertEquals(heard, undefined);
  await network.setCut(0, 1, false);
  assertEquals(await hearing, 1);
  assertEquals(buffer[0], 1);
  assertEquals(await accepted.read(buffer), null);
});

Deno.test("a proxy breaks the streams of a pair, and says when nobody listens", async () => {
  await using stack = new AsyncDisposableStack();
  const { network, dialler, accepted, proxy } = await joined(stack);
  const ended = (stream: typeof dialler) =>
    stream.read(new Uint8Array(1)).catch(() => null);
  await network.reset(1, 0);
  assertEquals(await ended(dialler), null);
  assertEquals(await ended(accepted), null);
  // Not where one has just stopped: by now somebody else may listen there.
  const nobody = "127.0.0.1:1";
  network.located(1, nobody);
  await assertRejects(() => proxy.dial(nobody), Error, "dial");
});

Deno.test("a guard does what it was told, the last thing first, when its owner is killed with -9", async () => {
  await using temp = new TempDir();
  const file = temp.at("done");
  await using child = new Child("guarded", {
    args: [file],
    permissions: ["--allow-run"],
  });
  await child.line("ready");
  const watcher = Deno.watchFs(temp.path);
  await child.kill();
  for await (const _ of watcher) {
    if (await Deno.readTextFile(file).catch(() => "") === "it's 2\n1\n") break;
  }
});

Deno.test("a guard does what it was told when it is disposed of", async () => {
  await using temp = new TempDir();
  {
    await using guard = new Guard();
    await guard.atEnd("rm", "-rf", temp.at("dir"));
    await guard.atEnd("mkdir", temp.at("dir"));
    await guard.atEnd("touch", temp.at("file"));
  }
  assertEquals([...Deno.readDirSync(temp.path)].map(({ name }) => name), [
    "file",
  ]);
});
