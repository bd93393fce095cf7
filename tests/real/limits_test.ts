import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type DB, LimitError, open, type OpenOptions } from "../../mod.ts";
import {
  BATCH_BYTES_MAX,
  KEY_BYTES_MAX,
  VALUE_BYTES_MAX,
} from "../../runtime/mod.ts";
import { TempDir } from "./paths.ts";

/** A node with one key, which must still be there afterwards. */
async function withDatabase(
  options: OpenOptions,
  body: (db: DB) => Promise<void>,
): Promise<void> {
  await using temp = new TempDir();
  {
    await using db = await open(temp.at("store"), options);
    await db.set("key", "value");
    await body(db);
    await db.set("key 2", "value");
  }
  await using db = await open(temp.at("store"));
  assertEquals(new TextDecoder().decode(await db.get("key")), "value");
  assertEquals(await db.count(), 2);
}

Deno.test("empty and oversized keys are LimitErrors of every method that takes one", async () => {
  await withDatabase({}, async (db) => {
    const tooLong = KEY_BYTES_MAX + 1;
    for (
      const [key, length] of [
        ["", 0],
        [new Uint8Array(0), 0],
        ["k".repeat(tooLong), tooLong],
        [new Uint8Array(tooLong), tooLong],
        // Its UTF-8 counts, not its characters.
        ["é".repeat(KEY_BYTES_MAX / 2) + "k", tooLong],
      ] as const
    ) {
      const calls: (() => unknown)[] = [
        () => db.get(key),
        () => db.getSync(key),
        () => db.getEntry(key),
        () => db.has(key),
        () => db.set(key, "value"),
        () => db.delete(key),
        () => db.commit({ ops: [{ type: "delete", key }] }),
        () => db.commit({ checks: [{ key, version: null }], ops: [] }),
        () => db.transaction().get(key),
        () => db.transaction().set(key, "value"),
        () => db.transaction().delete(key),
      ];
      for (const call of calls) {
        const error = await assertRejects(
          async () => await call(),
          LimitError,
          `the key must be 1 to ${KEY_BYTES_MAX} bytes, received ${length}`,
          String(call),
        );
        assertEquals([error.what, error.actual], ["the key", length]);
        assertEquals([error.min, error.max], [1, KEY_BYTES_MAX]);
      }
    }
    // The longest one is a key.
    await db.set("k".repeat(KEY_BYTES_MAX), "value");
    assert(await db.has("k".repeat(KEY_BYTES_MAX)));
    await db.delete("k".repeat(KEY_BYTES_MAX));
  });
});

Deno.test("oversized values and batches are LimitErrors; nothing of them is written", async () => {
  await withDatabase({}, async (db) => {
    const tooLarge = new Uint8Array(VALUE_BYTES_MAX + 1);
    const error = await assertRejects(
      () => db.set("large", tooLarge),
      LimitError,
      `the value must be 0 to ${VALUE_BYTES_MAX} bytes`,
    );
    assertEquals(error.actual, tooLarge.length);
    assertThrows(() => db.transaction().set("large", tooLarge), LimitError);
    const half = tooLarge.subarray(0, BATCH_BYTES_MAX / 2);
    const batch = await assertRejects(
      () =>
        db.commit({
          ops: ["1", "2", "3"].map((key) => ({
            type: "set",
            key,
            value: half,
          })),
        }),
      LimitError,
      "the batch",
    );
    assert(batch.actual > BATCH_BYTES_MAX);
    for (const key of ["large", "1", "2", "3"]) {
      assertEquals(await db.has(key), false);
    }
  });
});

Deno.test("ops, filters and handlers that are none are TypeErrors, not silence", async () => {
  await using db = await open(":memory:");
  for (const bad of [undefined, {}, { ops: "k" }, { ops: [null] }]) {
    await assertRejects(
      () => db.commit(bad as never),
      TypeError,
      "Cannot commit",
    );
  }
  for (const bad of [{ prefix: 5 }, { keys: "ab" }, { keys: [5] }]) {
    assertThrows(() => db.watch(bad as never), TypeError, "Cannot watch");
    assertThrows(() => db.onChange(() => {}, bad as never), TypeError);
  }
  assertThrows(() => db.onChange(undefined as never), TypeError);
});

Deno.test("keys and values that are no bytes are TypeErrors", async () => {
  await withDatabase(
    { address: "127.0.0.1:0", bootstrap: true },
    async (db) => {
      for (const wrong of [undefined, null, 1, {}, [1], new ArrayBuffer(1)]) {
        const key = wrong as unknown as string;
        for (
          const call of [
            () => db.get(key),
            () => db.getSync(key),
            () => db.getEntry(key),
            () => db.set(key, "value"),
            () => db.set("other", key),
            () => db.delete(key),
          ]
        ) {
          await assertRejects(
            async () => {
              await call();
            },
            TypeError,
            "must be a string or a Uint8Array",
            String(call),
          );
        }
      }
      for (const lease of [0, -1, 1.5, 65_536, NaN, "1" as unknown as number]) {
        await assertRejects(
          () => db.set("other", "value", { lease }),
          TypeError,
        );
      }
      await assertRejects(
        () =>
          db.commit({ ops: [{ type: "put" as "set", key: "a", value: "b" }] }),
        TypeError,
        `must be "set" or "delete"`,
      );
    },
  );
});
