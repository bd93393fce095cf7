import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { AddressInUseError, UnreachableError } from "../errors.ts";
import type { ByteStream } from "../runtime.ts";
import { sleep } from "../time.ts";
import { DIAL_TIMEOUT_MS, EPOCH_MS, World } from "./mod.ts";

const bytes = (...values: number[]) => new Uint8Array(values);

/** A world in which "b" has dialled "a". */
async function joined(seed = 1) {
  const world = new World({ seed });
  const a = world.runtime("a");
  const b = world.runtime("b");
  const listener = await a.network.listen("a:1");
  const accepting = listener.accept();
  const dialled = await world.run(b.network.dial("a:1"));
  const accepted = (await world.run(accepting))!;
  return { world, a, b, listener, accepted, dialled };
}

/** Notes how a promise ends. */
function watch<T>(promise: Promise<T>) {
  const watched: { done?: T; failed?: unknown } = {};
  promise.then(
    (value) => watched.done = value,
    (error) => watched.failed = error,
  );
  return watched;
}

Deno.test("clocks show virtual time and may be wrong", async () => {
  const world = new World({ seed: 1 });
  const { clock } = world.runtime("a");
  await world.advance(1500.5);
  assertEquals([clock.now(), clock.monotonic()], [EPOCH_MS + 1500, 1500.5]);
  world.skewClock("a", -60_000);
  assertEquals(clock.now(), EPOCH_MS + 1500 - 60_000);
  assertEquals(clock.monotonic(), 1500.5);
  assertEquals(world.runtime("b").clock.now(), EPOCH_MS + 1500);
});

Deno.test("a run that cannot end says when and what is pending", async () => {
  const world = new World({ seed: 1 });
  const never = new Promise<void>(() => {});
  await assertRejects(
    () => world.run(never),
    Error,
    "at 0.000 ms nothing is left to happen",
  );
  const { timers } = world.runtime("a");
  const again = () => {
    timers.set(again, 7);
  };
  again();
  await assertRejects(
    () => world.run(never, { maxMs: 100 }),
    Error,
    "the limit of 100 ms is reached and the program still waits; pending: 1 events, next a timer of 7 ms",
  );
  const error = new Error("its own");
  assertEquals(
    await assertRejects(() => world.run(Promise.reject(error))),
    error,
  );
});

Deno.test("a runtime is the node's until it is killed", () => {
  const world = new World({ seed: 1 });
  const first = world.runtime("a");
  assert(world.runtime("a") === first);
  world.kill("a");
  assert(!world.running("a"));
  assertThrows(() => world.kill("a"), Error, 'Cannot kill "a"');
  const second = world.runtime("a");
  assert(second !== first);
  assertNotEquals(first.random.u32(), second.random.u32());
});

Deno.test("what one node draws shifts nothing for another", () => {
  const draw = (times: number) => {
    const world = new World({ seed: 4 });
    const { random } = world.runtime("a");
    for (let i = 0; i < times; i++) random.u32();
    return world.runtime("b").random.u32();
  };
  assertEquals(draw(0), draw(100));
});

Deno.test("nothing that a killed node waits for ever comes", async () => {
  const { world, a, b, listener, accepted, dialled } = await joined();
  let settled = 0;
  const note = () => {
    settled++;
  };
  const file = a.files.open("f", { mode: "create" });
  a.timers.set(note, 1);
  for (
    const promise of [
      file.syncData(),
      a.files.syncDirectory("/"),
      accepted.read(bytes(0)),
      listener.accept(),
      a.network.dial("a:1"),
      a.network.dial("nobody:1"),
    ]
  ) promise.then(note, note);
  const atPeer = watch(dialled.read(bytes(0)));
  world.kill("a");
  // What was queued already runs on and does no harm.
  a.timers.set(note, 1);
  for (
    const promise of [
      a.network.listen("a:2"),
      a.network.dial("a:1"),
      accepted.read(bytes(0)),
      accepted.write(bytes(1)),
      listener.accept(),
      file.syncData(),
    ]
  ) promise.then(note, note);
  accepted.close();
  listener.close();
  file.append(bytes(1));
  const diedAt = a.clock.monotonic();
  await world.advance(200_000);
  assertEquals(settled, 0);
  assertEquals(a.clock.monotonic(), diedAt);
  assert(atPeer.failed instanceof Error);
  await assertRejects(() => dialled.write(bytes(1)), Error, "reset");
  await assertRejects(
    () => world.run(b.network.dial("a:1")),
    UnreachableError,
  );
  const reborn = await world.runtime("a").network.listen("a:1");
  assertEquals(reborn.address, "a:1");
});

Deno.test("bytes that arrived are read before the break is seen", async () => {
  const { world, accepted, dialled } = await joined();
  await accepted.write(bytes(1, 2));
  world.kill("a");
  await world.advance(10);
  const buffer = bytes(0, 0);
  let length = 0;
  while (length < 2) length += (await dialled.read(buffer.subarray(length)))!;
  assertEquals(buffer, bytes(1, 2));
  await assertRejects(() => dialled.read(buffer), Error, "reset by the peer");
});

Deno.test("a cut holds bytes and dials back, the healing lets them through in order", async () => {
  const { world, b, listener, accepted, dialled } = await joined();
  world.cut("a", "b");
  await dialled.write(bytes(1));
  await dialled.write(bytes(2));
  const buffer = bytes(0, 0);
  const reading = watch(accepted.read(buffer));
  const dialling = watch(b.network.dial("a:1"));
  const accepting = watch(listener.accept());
  await world.advance(60_000);
  assertEquals([reading, dialling, accepting], [{}, {}, {}]);
  world.heal("b", "a");
  await world.advance(10);
  assertEquals(buffer[0], 1);
  if (reading.done === 1) {
    assertEquals(await accepted.read(buffer.subarray(1)), 1);
  }
  assertEquals(buffer, bytes(1, 2));
  assert(dialling.done !== undefined && accepting.done !== undefined);
});

Deno.test("a cut holds back what was under way, other links go on", async () => {
  const { world, a, accepted, dialled } = await joined();
  await dialled.write(bytes(1));
  world.cut("a", "b");
  const reading = watch(accepted.read(bytes(0)));
  await world.advance(1000);
  assertEquals(reading, {});
  const other = await world.runtime("c").network.listen("c:1");
  const stream = await world.run(a.network.dial("c:1"));
  stream.close();
  other.close();
  world.heal();
  await world.advance(10);
  assertEquals(reading.done, 1);
});

Deno.test("a dial across a cut ends by its signal or after two minutes", async () => {
  const { world, b } = await joined();
  world.cut("a", "b");
  const controller = new AbortController();
  const dialling = watch(
    b.network.dial("a:1", { signal: controller.signal }),
  );
  await world.advance(1000);
  const reason = new Error("enough");
  controller.abort(reason);
  await world.advance(0);
  assertEquals(dialling.failed, reason);
  const began = world.now;
  await assertRejects(
    () => world.run(b.network.dial("a:1")),
    UnreachableError,
  );
  assertEquals(Math.round(world.now - began), DIAL_TIMEOUT_MS);
});

Deno.test("a reset breaks both ends, also of a dial that was nearly through", async () => {
  const { world, a, b, accepted, dialled } = await joined();
  const reading = watch(dialled.read(bytes(0)));
  assertEquals([world.reset("b", "c"), world.reset("b", "a")], [0, 2]);
  await assertRejects(() => accepted.write(bytes(1)), Error, "was lost");
  await world.advance(0);
  assert(reading.failed instanceof Error);
  accepted.close();
  dialled.close();
  let failures = 0;
  for (let i = 0; i < 30; i++) {
    const began = world.now;
    const dialling = watch(b.network.dial("a:1"));
    await world.advance(0.1 + i / 10);
    world.reset("a", "b");
    await world.advance(10);
    assert(dialling.done !== undefined || dialling.failed !== undefined);
    if (dialling.failed !== undefined) failures++;
    assert(world.now - began < 100);
  }
  assert(failures > 0 && failures < 30);
  assert(a.clock.monotonic() > 0);
});

Deno.test("an address belongs to one node, port 0 to nobody before", async () => {
  const world = new World({ seed: 1 });
  const a = world.runtime("a").network;
  const b = world.runtime("b").network;
  const first = await a.listen("host:7");
  await assertRejects(() => b.listen("host:7"), AddressInUseError);
  const free = [await a.listen("host:0"), await b.listen("host:0")];
  assertNotEquals(free[0]!.address, free[1]!.address);
  first.close();
  (await b.listen("host:7")).close();
});

Deno.test("streams that nobody accepts break when the listener closes, and are bounded", async () => {
  const world = new World({ seed: 1 });
  const listener = await world.runtime("a").network.listen("a:1");
  const { network } = world.runtime("b");
  const dials = await world.run(
    Promise.allSettled(
      Array.from({ length: 130 }, () => network.dial("a:1")),
    ),
  );
  const streams = dials.filter((dial) => dial.status === "fulfilled");
  assertEquals(streams.length, 128);
  listener.close();
  for (const { value } of streams) {
    await assertRejects(() => world.run(value.read(bytes(0))), Error, "reset");
  }
});

Deno.test("small reads of a large write stay cheap", async () => {
  const { world, accepted, dialled } = await joined();
  const size = 4 * 1024 * 1024;
  const before = world.events;
  await world.run(async () => {
    const writing = dialled.write(new Uint8Array(size));
    const buffer = new Uint8Array(700);
    for (let at = 0; at < size;) at += (await accepted.read(buffer))!;
    await writing;
  });
  assert(world.events - before < 200);
});

/** A program that uses every part of the world, faults included. */
async function everything(seed: number): Promise<World> {
  const world = new World({ seed });
  const serve = async (name: string): Promise<void> => {
    const { network, files, random } = world.runtime(name);
    const log = files.open("log", { mode: "append" });
    await files.syncDirectory("/");
    const listener = await network.listen(`${name}:1`);
    const echo = async (stream: ByteStream) => {
      const buffer = new Uint8Array(64);
      try {
        while (true) {
          const length = await stream.read(buffer);
          if (length === null) break;
          log.append(buffer.subarray(0, length));
          await log.syncData();
          await stream.write(random.fill(new Uint8Array(length)));
        }
      } catch {
        // A broken stream is part of the program.
      }
      stream.close();
    };
    while (true) {
      const stream = await listener.accept();
      if (stream === null) return;
      echo(stream);
    }
  };
  const talk = async (name: string, to: string): Promise<void> => {
    const { network, timers, random, clock } = world.runtime(name);
    for (let i = 0; i < 20; i++) {
      await sleep(timers, random.float() * 50);
      const controller = new AbortController();
      const timer = timers.set(() => controller.abort(), 100);
      try {
        const stream = await network.dial(to, { signal: controller.signal });
        await stream.write(new TextEncoder().encode(`${name} ${clock.now()}`));
        await stream.read(new Uint8Array(9));
        stream.close();
      } catch {
        // So is an unreachable peer.
      }
      timer.cancel();
    }
  };
  const names = ["a", "b", "c"];
  for (const name of names) {
    serve(name);
    for (const to of names) talk(name, `${to}:1`);
  }
  await world.advance(200);
  world.cut("a", "b");
  world.skewClock("c", 5000);
  await world.advance(200);
  world.kill("c");
  world.heal();
  serve("c");
  talk("c", "a:1");
  world.reset("a", "c");
  await world.advance(500);
  world.disk("a").flip("log", 0);
  world.runtime("a").files.rename("log", "log.old");
  world.runtime("a").files.remove("log.old");
  world.kill("a", { unsynced: "lost" });
  await world.advance(500);
  return world;
}

Deno.test("the same seed gives the same trace, another seed another", async () => {
  const hashes = new Set<string>();
  for (let seed = 0; seed < 5; seed++) {
    const first = await everything(seed);
    const second = await everything(seed);
    assert(first.events > 300);
    assertEquals(first.events, second.events);
    assertEquals(first.traceHash(), second.traceHash());
    hashes.add(first.traceHash());
  }
  assertEquals(hashes.size, 5);
});

Deno.test("the trace is printed as lines of time, node, kind and detail", async () => {
  const lines: string[] = [];
  const world = new World({ seed: 1, trace: (line) => lines.push(line) });
  const { files, timers } = world.runtime("a");
  files.open("f", { mode: "create" }).append(bytes(1, 2, 3));
  await world.run(sleep(timers, 2));
  assertEquals(lines, [
    "0 a start a#0",
    "0 a make f",
    "0 a append f 3 1438416925",
    "2 a timer 2",
  ]);
});
