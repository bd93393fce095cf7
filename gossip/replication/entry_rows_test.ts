import { assertEquals } from "@std/assert";
import { isPromise, toBytes, toHex } from "../../runtime/mod.ts";
import type { KVReader } from "../../engine/kv.ts";
import { rowKey, Space } from "../keyspace.ts";
import { encodeEntry, EntryFlag } from "./entry.ts";
import { readEntry } from "./entry_rows.ts";
import { entry } from "./world_test.ts";

const KEY = toBytes("k");

/** An engine that has this entry, and answers later where it is told to. */
function readerOf(
  space: number,
  isLater: (space: number) => boolean,
): Pick<KVReader, "get"> {
  const living = space === Space.LIVE;
  const flags = living ? 0 : EntryFlag.TOMBSTONE;
  const value = living ? toBytes("v") : undefined;
  const row = encodeEntry(entry({ key: KEY, value, flags, seq: 7 }));
  const at = toHex(rowKey(space, KEY));
  return {
    get(key) {
      const found = toHex(key) === at ? row : undefined;
      return isLater(key[0]!) ? Promise.resolve(found) : found;
    },
  };
}

Deno.test("an entry is read whether it lives or not, and whether the engine answers at once or later", async () => {
  for (const space of [Space.LIVE, Space.DEAD]) {
    const later: ((space: number) => boolean)[] = [
      () => false,
      () => true,
      (space) => space === Space.LIVE,
      (space) => space === Space.DEAD,
    ];
    for (const [i, isLater] of later.entries()) {
      const kv = readerOf(space, isLater) as KVReader;
      const read = readEntry(kv, 0, KEY);
      assertEquals(
        isPromise(read),
        i > 0 && !(i === 3 && space === Space.LIVE),
      );
      const found = await read;
      assertEquals([found?.seq, found?.value === undefined], [
        7,
        space === Space.DEAD,
      ]);
      assertEquals(await readEntry(kv, 0, toBytes("absent")), undefined);
    }
  }
});
