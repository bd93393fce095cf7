import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ClusterRequiredError,
  CorruptionError,
  FormatVersionError,
  LockedError,
  open,
  StorageError,
} from "../../mod.ts";
import { frameChecksum, frameLength } from "../../engine/log/frame.ts";
import { openLsm } from "../../engine/mod.ts";
import { metaKey } from "../../gossip/keyspace.ts";
import { DenoFiles } from "../../runtime/deno/mod.ts";
import { Child } from "./child.ts";
import { alterFile, namesIn, TempDir } from "./paths.ts";
import { RemoteCallError, RemoteNode } from "./remote_node.ts";
import { readRows } from "./rows.ts";

/** Enough for several blocks of a table. */
const KEYS = 400;

/** A store with `KEYS` keys, closed. */
async function makeStore(dir: string): Promise<void> {
  await using db = await open(dir);
  const sets: Promise<unknown>[] = [];
  for (let i = 0; i < KEYS; i++) sets.push(db.set(`key ${i}`, valueOf(i)));
  await Promise.all(sets);
}

function valueOf(i: number): string {
  return `${i} `.padEnd(200, "x");
}

/** Everything is there, and a write is taken. */
async function assertWhole(dir: string): Promise<void> {
  await using db = await open(dir);
  const text = new TextDecoder();
  for (let i = 0; i < KEYS; i++) {
    assertEquals(text.decode(await db.get(`key ${i}`)), valueOf(i));
  }
  assertEquals(await db.count({ prefix: "key " }), KEYS);
  await db.set("later", "value");
}

/** Whether this user may read what nobody may. */
function isRoot(): boolean {
  if (Deno.build.os === "windows") return true;
  const { stdout } = new Deno.Command("id", { args: ["-u"] }).outputSync();
  return new TextDecoder().decode(stdout).trim() === "0";
}

Deno.test("a directory that this process has open is a LockedError, and the first handle goes on", async () => {
  await using temp = new TempDir();
  const dir = temp.at("store");
  await using first = await open(dir);
  await first.set("key", "value");
  const error = await assertRejects(
    () => open(dir),
    LockedError,
    "has it open",
  );
  assertEquals([error.path, error.owner], [dir, `process ${Deno.pid}`]);
  await first.set("key 2", "value");
  await first.close();
  await using second = await open(dir);
  assertEquals(await second.count(), 2);
});

Deno.test("a directory that another process has open is a LockedError, until that process ends, however", async () => {
  await using temp = new TempDir();
  const dir = temp.at("store");
  await using holder = await RemoteNode.start({ dir, open: {} });
  await holder.commit(["key", "value", null]);
  await assertRejects(() => open(dir), LockedError, `Cannot open "${dir}"`);
  const refused = await assertRejects(
    () => RemoteNode.start({ dir, open: {} }),
    RemoteCallError,
  );
  assertEquals(refused.code, "LockedError");
  await holder.commit(["key 2", "value", null]);
  await holder.kill();
  await using db = await open(dir);
  assertEquals(await db.count(), 2);
});

for (
  const [lacking, permissions] of [
    ["read", (dir: string) => [`--allow-write=${dir}`]],
    ["write", (dir: string) => [`--allow-read=${dir}`]],
  ] as const
) {
  Deno.test(`a directory without permission to ${lacking} it is a StorageError that says so, and nothing in it is changed`, async () => {
    await using temp = new TempDir();
    const dir = temp.at("store");
    await makeStore(dir);
    const before = namesIn(dir, "");
    const error = await assertRejects(
      () => RemoteNode.start({ dir, open: {}, permissions: permissions(dir) }),
      RemoteCallError,
    );
    assertEquals(error.code, "StorageError");
    for (const part of [dir, "lacks the permission", `--allow-${lacking}`]) {
      assert(error.message.includes(part), error.message);
    }
    assertEquals(namesIn(dir, ""), before);
    await assertWhole(dir);
  });
}

Deno.test("a file in the place of the directory, or of one above it, is a StorageError", async () => {
  await using temp = new TempDir();
  const file = temp.at("file");
  Deno.writeTextFileSync(file, "mine");
  for (const path of [file, `${file}/store`, `${file}/a/b`]) {
    const error = await assertRejects(() => open(path), StorageError, file);
    assert(error.message.startsWith("Cannot "), error.message);
  }
  assertEquals(Deno.readTextFileSync(file), "mine");
});

Deno.test({
  name:
    "a directory that the system denies (not shown to root) is a StorageError",
  ignore: isRoot(),
  async fn() {
    await using temp = new TempDir();
    const dir = temp.at("store");
    await makeStore(dir);
    for (const mode of [0o000, 0o500]) {
      Deno.chmodSync(dir, mode);
      // LOCK is there, so that without write only what makes files fails.
      try {
        await assertRejects(() => open(dir), StorageError, "denies access");
      } finally {
        Deno.chmodSync(dir, 0o700);
      }
    }
    await assertWhole(dir);
  },
});

Deno.test("an empty directory, an address and no way to a cluster is a ClusterRequiredError that says both ways out", async () => {
  await using temp = new TempDir();
  const dir = temp.at("node");
  const address = "127.0.0.1:0";
  for (let i = 0; i < 2; i++) {
    const error = await assertRejects(
      () => open(dir, { address }),
      ClusterRequiredError,
      `pass "peers" to join one or "bootstrap: true" to found one`,
    );
    assertEquals(error.path, dir);
  }
  await using db = await open(dir, { address, bootstrap: true });
  await db.set("key", "value");
  await db.close();
  // Now it holds one, and needs no way.
  await using again = await open(dir, { address });
  assertEquals(await again.has("key"), true);
});

Deno.test("an option that is none is a TypeError or RangeError, and the directory stays free", async () => {
  await using temp = new TempDir();
  const dir = temp.at("store");
  for (
    const options of [
      { durability: "sometimes" as "synced" },
      { address: "nowhere" },
      { address: "127.0.0.1:0", advertise: ":1", bootstrap: true },
      { address: "0.0.0.0:0", bootstrap: true },
      { address: "127.0.0.1:99999", bootstrap: true },
      { address: "127.0.0.1:0", peers: "127.0.0.1:1" as unknown as string[] },
      { propagation: { pushDelayMs: -1 } },
      { propagation: { pushDelay: 1 } as Record<string, number> },
      { propagation: "slow" as "fast" },
      { peers: ["127.0.0.1:1"] },
      { advertise: "127.0.0.1:1" },
    ]
  ) {
    const error = await assertRejects(() => open(dir, options));
    assert(error instanceof TypeError || error instanceof RangeError);
    assert(error.message.startsWith("Cannot "), error.message);
  }
  for (const bad of [new URL("http://localhost/"), "", 5 as never]) {
    await assertRejects(() => open(bad), TypeError, "Cannot open");
  }
  await using db = await open(new URL(`file://${dir}`));
  await db.set("key", "value");
});

Deno.test("a flipped bit in a table is a CorruptionError that names it; the rest can be read, and flipped back all", async () => {
  await using temp = new TempDir();
  const dir = temp.at("store");
  await makeStore(dir);
  {
    await using store = await openLsm(dir, { files: new DenoFiles() });
    await store.flush();
  }
  const [name] = namesIn(dir, ".sst");
  const table = `${dir}/${name}`;
  // The value of a key in the middle.
  const at = new TextDecoder("latin1").decode(Deno.readFileSync(table))
    .lastIndexOf(valueOf(200)) + 100;
  assert(at > 100);
  const flip = () =>
    alterFile(table, (bytes) => {
      bytes[at]! ^= 0x10;
    });
  flip();
  {
    await using db = await open(dir);
    const error = await assertRejects(
      () => db.get("key 200"),
      CorruptionError,
      `Cannot read "${table}" at byte`,
    );
    assert(error.offset <= at);
    assertEquals(error.path, table);
    await assertRejects(() => Array.fromAsync(db.list()), CorruptionError);
    let readable = 0;
    for (let i = 0; i < KEYS; i++) {
      await db.get(`key ${i}`).then(() => readable++, (error) => {
        assert(error instanceof CorruptionError);
      });
    }
    assert(readable > KEYS / 2, `${readable}`);
    // Reading is not what breaks a store.
    await db.set("another", "value");
  }
  flip();
  await assertWhole(dir);
});

/** A store of a process that was killed, and how many writes it had acked. */
async function makeKilled(dir: string): Promise<number> {
  await using child = new Child("writer", {
    args: [dir, "synced"],
    permissions: [`--allow-read=${dir}`, `--allow-write=${dir}`],
  });
  let acked = -1;
  while (acked < 100) acked = Number(await child.nextLine());
  await child.kill();
  return acked;
}

Deno.test("a torn tail of the log of a killed process is cut, and nothing acked is lost", async () => {
  await using temp = new TempDir();
  const dir = temp.at("store");
  const acked = await makeKilled(dir);
  const wal = `${dir}/${namesIn(dir, ".wal").at(-1)}`;
  // A frame that was begun: its head says more than there is.
  alterFile(wal, (bytes) => {
    const torn = new Uint8Array(bytes.length + 77);
    torn.set(bytes);
    torn.set(bytes.subarray(0, 77), bytes.length);
    return torn;
  });
  const rows = await readRows(dir);
  for (let i = 0; i <= acked; i++) {
    assertEquals(rows.get(`key ${i}`)?.value, `value ${i}`);
  }
  await using db = await open(dir);
  await db.set("later", "value");
});

Deno.test("a log of a killed process cut within its last frame opens with all before it", async () => {
  await using temp = new TempDir();
  const dir = temp.at("store");
  await makeKilled(dir);
  const before = (await readRowsOfCopy(temp, dir)).size;
  const wal = `${dir}/${namesIn(dir, ".wal").at(-1)}`;
  alterFile(wal, (bytes) => bytes.slice(0, endOf(bytes) - 3));
  const rows = await readRows(dir);
  // The group that was written last, at most all that were in flight.
  assert(rows.size < before && rows.size >= before - 8, `${rows.size}`);
  for (let i = 0; i < rows.size; i++) {
    assertEquals(rows.get(`key ${i}`)?.value, `value ${i}`);
  }
});

/** Where a log ends: behind it is room, if anything. */
function endOf(bytes: Uint8Array): number {
  return bytes.findLastIndex((byte) => byte !== 0) + 1;
}

/** Rows of a copy, since opening a store changes it. */
async function readRowsOfCopy(temp: TempDir, dir: string) {
  const copy = temp.at("copy");
  Deno.mkdirSync(copy);
  for (const name of namesIn(dir, "")) {
    Deno.copyFileSync(`${dir}/${name}`, `${copy}/${name}`);
  }
  return await readRows(copy);
}

Deno.test("a hole in the middle of a log is a CorruptionError that says where, and filled again nothing is lost", async () => {
  await using temp = new TempDir();
  const dir = temp.at("store");
  const acked = await makeKilled(dir);
  const wal = `${dir}/${namesIn(dir, ".wal").at(-1)}`;
  const healthy = Deno.readFileSync(wal);
  const at = Math.floor(endOf(healthy) / 2);
  alterFile(wal, (bytes) => {
    bytes.fill(0, at, at + 64);
  });
  for (let i = 0; i < 2; i++) {
    const error = await assertRejects(
      () => open(dir),
      CorruptionError,
      `Cannot read "${wal}" at byte`,
    );
    assert(error.offset > 0 && error.offset < at + 64);
  }
  Deno.writeFileSync(wal, healthy);
  const rows = await readRows(dir);
  for (let i = 0; i <= acked; i++) assert(rows.has(`key ${i}`));
});

Deno.test("a log of a closed store that is cut is a CorruptionError, and made whole again nothing is lost", async () => {
  await using temp = new TempDir();
  const dir = temp.at("store");
  await makeStore(dir);
  const wal = `${dir}/${namesIn(dir, ".wal").at(-1)}`;
  const healthy = Deno.readFileSync(wal);
  for (const size of [0, 100, healthy.length - 1]) {
    Deno.writeFileSync(wal, healthy.subarray(0, size));
    await assertRejects(() => open(dir), CorruptionError, wal);
  }
  Deno.removeSync(wal);
  await assertRejects(() => open(dir), CorruptionError, wal);
  Deno.writeFileSync(wal, healthy);
  await assertWhole(dir);
});

Deno.test("files of a newer release are a FormatVersionError, and stay as they are", async () => {
  await using temp = new TempDir();
  const dir = temp.at("store");
  await makeStore(dir);
  const names = [
    "CURRENT",
    ...namesIn(dir, "").filter((name) => /^MANIFEST|wal$/.test(name)),
  ];
  assert(names.length >= 3);
  for (const name of names) {
    const path = `${dir}/${name}`;
    const healthy = Deno.readFileSync(path);
    alterFile(path, (bytes) => {
      const view = new DataView(bytes.buffer);
      view.setUint32(24, 9, true);
      const frame = bytes.subarray(0, frameLength(view.getUint32(4, true)));
      view.setUint32(0, frameChecksum(frame, 0), true);
    });
    const error = await assertRejects(() => open(dir), FormatVersionError, "9");
    assertEquals([error.path, error.found, error.supported], [path, 9, 1]);
    Deno.writeFileSync(path, healthy);
  }
  await assertWhole(dir);
});

Deno.test("rows of a newer release are a FormatVersionError, and stay as they are", async () => {
  await using temp = new TempDir();
  const dir = temp.at("store");
  await makeStore(dir);
  const setFormat = async (version: number) => {
    await using store = await openLsm(dir, { files: new DenoFiles() });
    const value = Uint8Array.of(version);
    await store.write([{ key: metaKey("format"), value }], { sync: true });
  };
  await setFormat(2);
  for (let i = 0; i < 2; i++) {
    const error = await assertRejects(
      () => open(dir),
      FormatVersionError,
      "this release reads up to 1",
    );
    assertEquals([error.found, error.supported], [2, 1]);
  }
  await setFormat(1);
  await assertWhole(dir);
});
