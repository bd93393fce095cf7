import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { StorageError } from "../errors.ts";
import { sleep } from "../time.ts";
import { EPOCH_MS, World, type WorldOptions } from "./mod.ts";

const text = new TextEncoder();

/** A world with a latency of 1 ms in which "b" has dialled "a". */
async function joined(options: Partial<WorldOptions> = {}) {
  const world = new World({ seed: 1, latencyMs: [1, 1], ...options });
  const a = world.runtime("a");
  const b = world.runtime("b");
  const listener = await a.network.listen("a:1");
  const accepting = listener.accept();
  const dialled = await world.run(b.network.dial("a:1"));
  const accepted = (await world.run(accepting))!;
  return { world, a, b, accepted, dialled };
}

/** Everything that a stream gives, as it comes. */
function collect(stream: { read(buffer: Uint8Array): Promise<number | null> }) {
  const got: number[] = [];
  void (async () => {
    const buffer = new Uint8Array(1024);
    for (;;) {
      const n = await stream.read(buffer);
      if (n === null) return;
      got.push(...buffer.subarray(0, n));
    }
  })().catch(() => {});
  return got;
}

Deno.test("a one-way cut lets the other way through", async () => {
  const { world, accepted, dialled } = await joined();
  const atA = collect(accepted);
  const atB = collect(dialled);
  world.cut("a", "b", { oneWay: true });
  await world.run(Promise.all([
    dialled.write(text.encode("to a")),
    accepted.write(text.encode("to b")),
  ]));
  await world.advance(50);
  assertEquals([atA.length, atB.length], [4, 0]);
  world.heal("a", "b");
  await world.advance(50);
  assertEquals(atB.length, 4);
});

Deno.test("a slow link delays, and lets so many bytes through in a millisecond", async () => {
  const { world, accepted, dialled } = await joined();
  const atA = collect(accepted);
  world.condition("b", "a", { delayMs: 100, bytesPerMs: 10 });
  await world.run(dialled.write(new Uint8Array(1000)));
  await world.advance(150);
  assert(atA.length < 1000);
  await world.advance(60);
  assertEquals(atA.length, 1000);
  world.condition("b", "a");
  await world.run(dialled.write(new Uint8Array(1000)));
  await world.advance(2);
  assertEquals(atA.length, 2000);
});

Deno.test("what is on its way over a slow link arrives once the link is fast again, in order", async () => {
  const { world, accepted, dialled } = await joined();
  const atA = collect(accepted);
  world.condition("b", "a", { bytesPerMs: 1 });
  await world.run(dialled.write(new Uint8Array(60_000).fill(1)));
  await world.advance(20);
  assert(atA.length < 60_000);
  world.condition("b", "a");
  await world.run(dialled.write(Uint8Array.of(2)));
  await world.advance(50);
  assertEquals(atA.length, 60_001);
  assertEquals(atA.indexOf(2), 60_000);
});

Deno.test("a corrupted link flips one bit of what is sent next, once", async () => {
  const { world, accepted, dialled } = await joined();
  const atA = collect(accepted);
  world.corruptNext("b", "a");
  const sent = new Uint8Array(100);
  await world.run(dialled.write(sent));
  await world.advance(10);
  await world.run(dialled.write(sent));
  await world.advance(10);
  assertEquals(atA.length, 200);
  const flipped = atA.filter((byte) => byte !== 0);
  assertEquals(flipped.length, 1);
  assertEquals(Math.log2(flipped[0]!) % 1, 0);
  assertEquals(world.corrupted, 1);
  assert(sent.every((byte) => byte === 0), "the sender's bytes are its own");
});

Deno.test("once all is healed nothing is damaged any more, also what was to be next", async () => {
  const { world, accepted, dialled } = await joined();
  const atA = collect(accepted);
  world.corruptNext("b", "a");
  world.heal();
  await world.run(dialled.write(new Uint8Array(100)));
  await world.advance(10);
  assertEquals([atA.length, atA.filter((byte) => byte !== 0)], [100, []]);
  assertEquals(world.corrupted, 0);
});

Deno.test("a forgotten stream is half open: one end is broken, the other hears nothing", async () => {
  const { world, accepted, dialled } = await joined();
  assertEquals([world.forget("a", "c"), world.forget("a", "b")], [0, 1]);
  assertEquals(world.forget("a", "b"), 0);
  const reading = dialled.read(new Uint8Array(8));
  let settled = false;
  reading.then(() => settled = true, () => settled = true);
  await assertRejects(
    () => accepted.read(new Uint8Array(8)),
    Error,
    "forgotten",
  );
  await world.run(dialled.write(text.encode("lost")));
  accepted.close();
  await world.advance(10_000);
  assertEquals(settled, false);
});

Deno.test("while a node is stalled nothing of it runs and its clock goes on; then all runs in order", async () => {
  const { world, a, accepted, dialled } = await joined();
  const seen: string[] = [];
  const atA = collect(accepted);
  const note = async (ms: number) => {
    await sleep(a.timers, ms);
    seen.push(`${ms} at ${Math.round(a.clock.monotonic() - start)}`);
  };
  const start = a.clock.monotonic();
  void note(10);
  void note(20);
  void note(2000);
  world.stall("a", 1000);
  assert(world.stalled("a") && !world.stalled("b"));
  await world.run(dialled.write(text.encode("while it stands")));
  await world.advance(999);
  assertEquals([seen.length, atA.length], [0, 0]);
  await world.advance(2000);
  assertEquals(seen, ["10 at 1000", "20 at 1000", "2000 at 2000"]);
  assertEquals(atA.length, 15);
  assert(!world.stalled("a"));
});

Deno.test("what runs first after a stall can take back a timer whose time has come", async () => {
  const world = new World({ seed: 1 });
  const { timers } = world.runtime("a");
  let fired = false;
  const late = timers.set(() => fired = true, 20);
  timers.set(() => late.cancel(), 10);
  world.stall("a", 100);
  await world.advance(200);
  assertEquals(fired, false);
});

Deno.test("a drifting clock gains or loses with time, and keeps that when it is set right", async () => {
  const world = new World({ seed: 1 });
  const { clock } = world.runtime("a");
  world.driftClock("a", 0.1);
  await world.advance(1000);
  assertEquals(clock.now(), EPOCH_MS + 1100);
  world.driftClock("a", 0);
  await world.advance(1000);
  assertEquals(clock.now(), EPOCH_MS + 2100);
  world.skewClock("a", 0);
  assertEquals(clock.now(), EPOCH_MS + 2000);
});

/** A file of a node "a" that has "synced" durably. */
async function written() {
  const world = new World({ seed: 3 });
  const { files } = world.runtime("a");
  const file = files.open("file", { mode: "create" });
  file.append(text.encode("synced"));
  await world.run(file.syncData());
  await world.run(files.syncDirectory("/"));
  const survives = () => {
    world.kill("a", { unsynced: "lost" });
    return new TextDecoder().decode(world.disk("a").read("file"));
  };
  return { world, files, file, survives };
}

Deno.test("a full disk takes a part of what is appended, and no new file", async () => {
  const { world, files, file } = await written();
  world.disk("a").faults.full = true;
  assertThrows(() => file.append(new Uint8Array(100)), StorageError, "space");
  assert(file.size() < 106);
  assertThrows(() => files.open("new", { mode: "create" }), StorageError);
  assertEquals(files.exists("new"), false);
  files.open("file", { mode: "append" }).close();
  world.disk("a").repair();
  file.append(new Uint8Array(100));
  file.close();
});

Deno.test("after a sync that failed nothing more of the file becomes durable, though later syncs succeed", async () => {
  const { world, file, survives } = await written();
  world.disk("a").faults.failingSyncs = 1;
  file.append(text.encode(" not synced"));
  await assertRejects(() => world.run(file.syncData()), StorageError);
  await world.run(file.syncData());
  assertEquals(survives(), "synced");
});

Deno.test("a lying disk says that it has synced", async () => {
  const { world, file, survives } = await written();
  world.disk("a").faults.lying = true;
  file.append(text.encode(" not"));
  await world.run(file.syncData());
  assertEquals(survives(), "synced");
});

Deno.test("a slow sync takes longer, and somebody can be told when one begins", async () => {
  const { world, file, survives } = await written();
  const { faults } = world.disk("a");
  faults.slowMs = 500;
  let syncMs = 0;
  faults.onSync = (ms) => syncMs = ms;
  file.append(text.encode("!"));
  const started = world.now;
  await world.run(file.syncData());
  assertEquals(Math.round(world.now - started), Math.round(syncMs));
  assert(syncMs > 500);
  assertEquals(faults.onSync, undefined);
  assertEquals(survives(), "synced!");
});

Deno.test("of what is wrong with a disk is counted what a program has met of it", async () => {
  const { world, files, file } = await written();
  const disk = world.disk("a");
  const { faults, faults: { met } } = disk;
  faults.full = true;
  faults.failingSyncs = 2;
  faults.slowMs = 10;
  assertEquals(met, { full: 0, failing: 0, slow: 0, lying: 0 });
  assertThrows(() => file.append(new Uint8Array(100)));
  assertThrows(() => files.open("new", { mode: "create" }));
  await assertRejects(() => world.run(file.syncData()));
  assertEquals(met, { full: 2, failing: 1, slow: 1, lying: 0 });
  disk.repair();
  file.append(new Uint8Array(100));
  await world.run(file.syncData());
  disk.faults.lying = true;
  await world.run(file.syncData());
  assertEquals(disk.faults.met, { full: 2, failing: 1, slow: 1, lying: 1 });
});

Deno.test("a bit flips under who has the file open, and is mended under whatever name the file has then", async () => {
  const { world, files, file } = await written();
  const reader = files.open("file", { mode: "read" });
  const read = () => {
    const bytes = new Uint8Array(6);
    reader.readAt(bytes, 0);
    return new TextDecoder().decode(bytes);
  };
  const mend = world.disk("a").flip("file", 1, 0b10);
  assertEquals(read(), "s{nced");
  files.rename("file", "other");
  files.open("file", { mode: "create" }).close();
  mend();
  assertEquals(read(), "synced");
  reader.close();
  file.close();
});
