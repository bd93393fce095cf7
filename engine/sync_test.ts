import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import {
  PoisonedError,
  StorageError,
  toBytes,
  toText,
} from "../runtime/mod.ts";
import { type BatchOp, type Lsm, type LsmOptions, openLsm } from "./mod.ts";
import { COMMIT_SLICE_WORK, EARLY_BATCHES } from "./options.ts";
import { StepFiles } from "./testing/step_files.ts";
import { turns } from "./testing/turns.ts";

const DIR = "store";

/** A device that ends each sync of a log when the test says so. */
class HeldSyncs extends StepFiles {
  /** The syncs that were begun since, in their order. */
  readonly held: PromiseWithResolvers<void>[] = [];
  holds = false;

  override async sync(path: string, begin: () => () => void): Promise<void> {
    if (this.holds && path.endsWith(".wal")) {
      const gate = Promise.withResolvers<void>();
      this.held.push(gate);
      await gate.promise;
    }
    await super.sync(path, begin);
  }
}

/** Of a store whose log is named, so that no other sync than its own is held. */
async function opened(
  options: Partial<LsmOptions> = {},
): Promise<{ files: HeldSyncs; store: Lsm }> {
  const files = new HeldSyncs();
  const store = await openLsm(DIR, { ...options, files });
  await store.write(set("first", "1"), { sync: true });
  files.holds = true;
  return { files, store };
}

function set(key: string, value: string): BatchOp[] {
  return [{ key: toBytes(key), value: toBytes(value) }];
}

/** Writes a key, and takes down when that was acked, and what could be read then. */
function writing(store: Lsm, sync = true) {
  const acked: string[] = [];
  const seen = (key: string) => {
    const value = store.get(toBytes(key));
    return value && toText(value);
  };
  const write = async (key: string) => {
    await store.write(set(key, key), { sync });
    acked.push(`${key} ${seen(key)}`);
  };
  return { acked, seen, write };
}

/** Closes a store whose device does what it is told at once. */
async function closed(files: HeldSyncs, store: Lsm): Promise<void> {
  files.holds = false;
  await store.close();
}

function gate(files: HeldSyncs, at: number): PromiseWithResolvers<void> {
  const gate = files.held[at];
  assert(gate !== undefined, `no sync ${at} was begun`);
  return gate;
}

Deno.test("a group is synced while another one is, is acked and seen behind it, and a third one waits", async () => {
  const { files, store } = await opened();
  const { acked, seen, write } = writing(store);
  const writes: Promise<void>[] = [];
  for (const key of ["a", "b", "c", "d"]) {
    writes.push(write(key));
    await turns();
  }
  assertEquals(files.held.length, 2);
  gate(files, 1).resolve();
  await turns();
  assertEquals([acked, seen("a"), seen("b")], [[], undefined, undefined]);
  assertEquals(files.held.length, 2);
  gate(files, 0).resolve();
  await turns();
  assertEquals(acked, ["a a", "b b"]);
  // The two that waited are one group.
  assertEquals(files.held.length, 3);
  gate(files, 2).resolve();
  await Promise.all(writes);
  assertEquals(acked, ["a a", "b b", "c c", "d d"]);
  await closed(files, store);
  const reopened = await openLsm(DIR, { files });
  const values = ["a", "b", "c", "d"].map((key) => reopened.get(toBytes(key)));
  assertEquals(values.map((value) => toText(value!)), ["a", "b", "c", "d"]);
  await reopened.close();
});

Deno.test("if a sync fails, all fail that were not acked, whatever became of their own syncs", async () => {
  for (const failing of [0, 1]) {
    const { files, store } = await opened();
    const { acked, seen, write } = writing(store);
    const { count } = store.metrics().syncs;
    const writes: Promise<void>[] = [];
    for (const key of ["a", "b", "c"]) {
      writes.push(write(key));
      await turns();
    }
    assertEquals(files.held.length, 2);
    files.holds = false;
    gate(files, failing).reject(new StorageError("sync", "it", "so it is"));
    await turns();
    gate(files, 1 - failing).resolve();
    await assertRejects(() => writes[0]!, StorageError, "so it is");
    await assertRejects(() => writes[1]!, StorageError, "so it is");
    await assertRejects(() => writes[2]!, PoisonedError);
    assertEquals(acked, []);
    assertEquals([seen("a"), seen("b"), seen("c")], Array(3).fill(undefined));
    // The one that failed is none whose time says anything.
    assertEquals(store.metrics().syncs.count, count + 1);
    await closed(files, store);
  }
});

Deno.test("if a sync fails, what need not be synced behind it fails too", async () => {
  const { files, store } = await opened();
  const { seen, write } = writing(store);
  const first = write("a");
  await turns();
  const second = store.write(set("b", "b"));
  await turns();
  gate(files, 0).reject(new StorageError("sync", "the log", "so it is"));
  await assertRejects(() => first, StorageError, "so it is");
  await assertRejects(() => second, PoisonedError);
  assertEquals([seen("a"), seen("b")], [undefined, undefined]);
  await closed(files, store);
});

Deno.test("a batch that need not be synced is seen behind those before it that must", async () => {
  const { files, store } = await opened();
  const { acked, write } = writing(store);
  const first = write("a");
  await turns();
  const unsynced = writing(store, false);
  const second = unsynced.write("b");
  await turns();
  assertEquals([unsynced.acked, unsynced.seen("b")], [[], undefined]);
  gate(files, 0).resolve();
  await Promise.all([first, second]);
  assertEquals([acked, unsynced.acked], [["a a"], ["b b"]]);
  assertEquals(files.held.length, 1);
  await closed(files, store);
});

Deno.test("memtables are sealed when no sync is on its way", async () => {
  const logs = (files: HeldSyncs) =>
    files.list(DIR).filter((name) => name.endsWith(".wal"));
  for (const isFull of [true, false]) {
    const { files, store } = await opened({ memtableBytes: 4000 });
    const before = logs(files);
    const large = "v".repeat(isFull ? 4000 : 10);
    const first = store.write(set("a", large), { sync: true });
    await turns();
    const second = isFull
      ? store.write(set("b", "b"), { sync: true })
      : store.flush();
    await turns();
    assertEquals([logs(files), files.held.length], [before, 1]);
    files.holds = false;
    gate(files, 0).resolve();
    await Promise.all([first, second]);
    assertNotEquals(logs(files), before);
    assertEquals(toText(store.get(toBytes("a"))!), large);
    await closed(files, store);
  }
});

Deno.test("while a log that is not named yet is synced, nothing else is", async () => {
  const { files, store } = await opened({ memtableBytes: 4000 });
  const { acked, write } = writing(store);
  const logs = () => files.list(DIR).filter((name) => name.endsWith(".wal"));
  const before = logs().length;
  for (let i = 0; logs().length === before; i++) {
    await store.write(set(`${i}`, "v".repeat(500)));
  }
  const writes: Promise<void>[] = [];
  for (const key of ["a", "b"]) {
    writes.push(write(key));
    await turns();
  }
  // Of the log before.
  assertEquals(files.held.length, 1);
  files.holds = false;
  gate(files, 0).resolve();
  await Promise.all(writes);
  assertEquals(acked, ["a a", "b b"]);
  await closed(files, store);
});

Deno.test("of many writers in one turn a part is on its way before the turn is over, if the device has nothing to do", async () => {
  const { files, store } = await opened();
  const { acked, write } = writing(store);
  const writes: Promise<void>[] = [];
  for (let i = 1; i <= 2 * EARLY_BATCHES; i++) {
    writes.push(write(`${i}`));
    assertEquals(files.held.length, i < EARLY_BATCHES ? 0 : 1, `${i}`);
  }
  await turns();
  assertEquals(files.held.length, 2);
  gate(files, 0).resolve();
  gate(files, 1).resolve();
  await Promise.all(writes);
  assertEquals(acked.length, 2 * EARLY_BATCHES);
  files.held.length = 0;
  // Nobody waits for a sync: the turn is one group.
  const unsynced = writing(store, false);
  const many = Array.from(
    { length: EARLY_BATCHES },
    (_, i) => unsynced.write(`unsynced ${i}`),
  );
  assertEquals(unsynced.seen("unsynced 0"), undefined);
  await Promise.all(many);
  assertEquals(files.held.length, 0);
  await closed(files, store);
});

Deno.test("who is called while a group waits for its turn may write, behind it", async () => {
  const files = new HeldSyncs();
  const behind: Promise<void>[] = [];
  let armed = false;
  const store: Lsm = await openLsm(DIR, {
    files,
    yieldNow() {
      if (armed) {
        armed = false;
        for (let i = 0; i < EARLY_BATCHES; i++) {
          behind.push(store.write(set("key", "later"), { sync: true }));
        }
      }
      return Promise.resolve();
    },
  });
  // So much work that others have their turn before the next group.
  await store.write(set("large", "v".repeat(COMMIT_SLICE_WORK)));
  armed = true;
  await store.write(set("key", "earlier"));
  assertEquals(behind.length, EARLY_BATCHES);
  await Promise.all(behind);
  assertEquals(toText(store.get(toBytes("key"))!), "later");
  await closed(files, store);
});

Deno.test("a store that closes waits for what is on its way", async () => {
  const { files, store } = await opened();
  const writes: Promise<void>[] = [];
  for (const key of ["a", "b"]) {
    writes.push(store.write(set(key, key), { sync: true }));
    await turns();
  }
  let isClosed = false;
  const closing = store.close().then(() => void (isClosed = true));
  gate(files, 1).resolve();
  await turns();
  assertEquals([isClosed, files.held.length], [false, 2]);
  files.holds = false;
  gate(files, 0).resolve();
  await Promise.all([...writes, closing]);
  const reopened = await openLsm(DIR, { files });
  assertEquals(toText(reopened.get(toBytes("b"))!), "b");
  await reopened.close();
});
