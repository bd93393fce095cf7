/**
 * Listing: bounds, prefixes, directions and limits, of the database and of
 * transactions: the original's scenarios of iterators.
 *
 * @module
 */

import { assertEquals, assertRejects } from "@std/assert";
import { ClosedError, type DB, type ListOptions } from "../../mod.ts";
import { scenario, type SimCluster, text } from "../sim/cluster.ts";

/** Ways of listing that must all say the same. */
async function listed(db: DB, options: ListOptions = {}): Promise<string> {
  const rows: string[] = [];
  for await (const { key, value } of db.list(options)) {
    rows.push(`${text(key)}=${text(value)}`);
  }
  const sync = [...db.listSync(options)].map(({ key, value }) =>
    `${text(key)}=${text(value)}`
  );
  assertEquals(sync, rows);
  const keys: string[] = [];
  for await (const key of db.keys(options)) keys.push(text(key));
  assertEquals(keys, rows.map((row) => row.split("=")[0]!));
  if (options.limit === undefined) {
    assertEquals(await db.count(options), rows.length);
  }
  return keys.join("");
}

async function filled(cluster: SimCluster): Promise<DB> {
  const db = await cluster.open("a");
  // Written in no order, with what was overwritten and deleted among it.
  for (const key of [..."8305197246"]) await db.set(key, "old");
  for (const key of [..."024681357"]) await db.set(key, key);
  await db.delete("9");
  await db.delete("0");
  return db;
}

scenario(
  "x/kv iterators: keys come in order within bounds: start inclusive, end exclusive",
  async (cluster) => {
    const db = await filled(cluster);
    assertEquals(await listed(db), "12345678");
    assertEquals(await listed(db, { start: "1", end: "4" }), "123");
    assertEquals(await listed(db, { start: "3" }), "345678");
    assertEquals(await listed(db, { end: "3" }), "12");
    assertEquals(await listed(db, { start: "11", end: "31" }), "23");
    assertEquals(await listed(db, { start: "", end: "2" }), "1");
    assertEquals(await listed(db, { start: "9" }), "");
    assertEquals(await listed(db, { end: "0" }), "");
  },
  { seeds: 1 },
);

scenario(
  "x/kv iterators: in reverse the same keys come from the last one back",
  async (cluster) => {
    const db = await filled(cluster);
    assertEquals(await listed(db, { reverse: true }), "87654321");
    assertEquals(
      await listed(db, { start: "1", end: "4", reverse: true }),
      "321",
    );
    assertEquals(await listed(db, { start: "6", reverse: true }), "876");
    assertEquals(await listed(db, { end: "3", reverse: true }), "21");
  },
  { seeds: 1 },
);

scenario(
  "x/kv iterators: reversed and empty bounds are an empty list, not an error",
  async (cluster) => {
    const db = await filled(cluster);
    for (const reverse of [false, true]) {
      assertEquals(await listed(db, { start: "4", end: "1", reverse }), "");
      assertEquals(await listed(db, { start: "4", end: "4", reverse }), "");
      assertEquals(await listed(db, { end: "", reverse }), "");
      assertEquals(await listed(db, { prefix: "x", start: "1", reverse }), "");
      assertEquals(await listed(db, { prefix: "1", end: "1", reverse }), "");
    }
  },
  { seeds: 1 },
);

scenario(
  "x/kv iterators: a limit ends the list, and does not count what is deleted",
  async (cluster) => {
    const db = await filled(cluster);
    assertEquals(await listed(db, { limit: 3 }), "123");
    assertEquals(await listed(db, { limit: 2, reverse: true }), "87");
    assertEquals(await listed(db, { limit: 0 }), "");
    assertEquals(await listed(db, { limit: 100 }), "12345678");
  },
  { seeds: 1 },
);

scenario(
  "x/kv IterPrefix: a prefix counts the keys that begin so, also one of 0xFF only",
  async (cluster) => {
    const db = await cluster.open("a");
    const keys = [
      [0x00],
      [0x61],
      [0x61, 0x00],
      [0x61, 0xff],
      [0x61, 0xff, 0xff],
      [0x62],
      [0xfe, 0xff],
      [0xff],
      [0xff, 0x00],
      [0xff, 0xff],
      [0xff, 0xff, 0xff],
    ];
    await db.commit({
      ops: keys.map((key) => ({
        type: "set",
        key: Uint8Array.from(key),
        value: "x",
      })),
    });
    const count = (...prefix: number[]) =>
      db.count({ prefix: Uint8Array.from(prefix) });
    assertEquals(await count(), keys.length);
    assertEquals(await count(0x61), 4);
    assertEquals(await count(0x61, 0xff), 2);
    assertEquals(await count(0xfe), 1);
    assertEquals(await count(0xff), 4);
    assertEquals(await count(0xff, 0xff), 2);
    assertEquals(await count(0xff, 0xff, 0xff), 1);
    assertEquals(await count(0x63), 0);
    // With bounds of its own, both hold.
    const bounds = { start: Uint8Array.of(0x61, 0), end: Uint8Array.of(0xff) };
    assertEquals(await db.count({ prefix: Uint8Array.of(0x61), ...bounds }), 3);
    assertEquals(await db.count({ prefix: Uint8Array.of(0xff), ...bounds }), 0);
    await using tx = db.transaction();
    tx.set(Uint8Array.of(0xff, 0x01), "x").delete(Uint8Array.of(0xff));
    const own: number[][] = [];
    for await (const { key } of tx.list({ prefix: Uint8Array.of(0xff) })) {
      own.push([...key]);
    }
    assertEquals(own, [
      [0xff, 0x00],
      [0xff, 0x01],
      [0xff, 0xff],
      [0xff, 0xff, 0xff],
    ]);
  },
  { seeds: 1 },
);

scenario(
  "x/kv iterators: a list shows one moment, whatever is written while it is read",
  async (cluster) => {
    const db = await filled(cluster);
    const seen: string[] = [];
    for await (const { key, value } of db.list()) {
      seen.push(`${text(key)}${text(value)}`);
      await db.set(`${text(key)}5`, "new");
      await db.set("8", "changed");
      await db.delete("7");
    }
    assertEquals(seen.join(" "), "11 22 33 44 55 66 77 88");
    assertEquals(text(db.getSync("8")), "changed");
    assertEquals(await db.has("7"), false);
  },
);

scenario(
  "x/kv iterators: a list that is left early, and bytes that are changed, do no harm",
  async (cluster) => {
    const db = await filled(cluster);
    for await (const { key, value } of db.list()) {
      key.fill(0);
      value.fill(0);
      break;
    }
    for (const { key, value } of db.listSync()) {
      key.fill(0);
      value.fill(0);
    }
    for await (const key of db.keys()) key.fill(0);
    assertEquals(await listed(db), "12345678");
    const rows = [];
    for await (const row of db.list()) rows.push(row);
    assertEquals(rows.map(({ value }) => text(value)).join(""), "12345678");
    // An open list does not keep the database from closing.
    const open = db.list()[Symbol.asyncIterator]();
    await open.next();
    await db.close();
    await assertRejects(async () => {
      for (let i = 0; i < 20; i++) await open.next();
    }, ClosedError);
    await assertRejects(() => db.list().next(), ClosedError);
  },
);

scenario(
  "x/kv tx iterators: a transaction lists its own writes among those of the database",
  async (cluster) => {
    const db = await filled(cluster);
    await using tx = db.transaction();
    tx.set("0", "a").set("45", "b").set("5", "c").delete("2").delete("8")
      .delete("never").set("9", "d").delete("9").set("7", "e").set("7", "f");
    const rows = async (options: ListOptions = {}) => {
      const rows: string[] = [];
      for await (const { key, value } of tx.list(options)) {
        rows.push(`${text(key)}=${text(value)}`);
      }
      return rows.join(" ");
    };
    const all = ["0=a", "1=1", "3=3", "4=4", "45=b", "5=c", "6=6", "7=f"];
    assertEquals(await rows(), all.join(" "));
    assertEquals(await rows({ reverse: true }), all.toReversed().join(" "));
    assertEquals(await rows({ start: "2", end: "5" }), "3=3 4=4 45=b");
    assertEquals(
      await rows({ start: "2", end: "5", reverse: true }),
      "45=b 4=4 3=3",
    );
    assertEquals(await rows({ prefix: "4" }), "4=4 45=b");
    assertEquals(await rows({ limit: 2 }), "0=a 1=1");
    assertEquals(await rows({ limit: 2, reverse: true }), "7=f 6=6");
    assertEquals(await rows({ start: "8" }), "");
    assertEquals(await rows({ start: "5", end: "1" }), "");
    // Outside nothing of it is seen.
    assertEquals(await listed(db), "12345678");
    await tx.commit();
    assertEquals(await listed(db), "0134" + "455" + "67");
  },
  { seeds: 1 },
);
