// deno-lint-ignore-file no-console -- an example prints
/**
 * A store inside one program: no server, no network, no net permission.
 *
 * ```
 * deno run --allow-read=data --allow-write=data examples/embedded.ts
 * ```
 *
 * Its data stays in `data/embedded`: run it again, and it counts on.
 */

import { CheckFailedError, type DB, open } from "@aspen/core";

// Without an address nothing listens and nothing is dialled.
await using db = await open("data/embedded");
const text = (bytes?: Uint8Array) => new TextDecoder().decode(bytes);

// Keys and values are bytes; strings are stored as UTF-8. A set resolves when it
// would survive a power failure.
await db.set("planet/3", "Earth");
console.log(text(await db.get("planet/3")));

// Writes of one transaction happen together, or not at all; until then only the
// transaction itself reads them.
{
  await using tx = db.transaction();
  tx.set("planet/2", "Venus").set("planet/4", "Mars").set("planet/9", "Pluto");
  await tx.commit();
}
await db.delete("planet/9");

// Keys come in the order of their bytes.
for await (const { key, value } of db.list({ prefix: "planet/" })) {
  console.log(text(key), text(value));
}

/** Counts up by compare and swap: whoever comes between makes it try again. */
async function increment(db: DB, key: string): Promise<number> {
  for (;;) {
    const entry = await db.getEntry(key);
    const next = Number(text(entry?.value)) + 1;
    try {
      await db.commit({
        // `null`: only if the key does not exist yet.
        checks: [{ key, version: entry?.version ?? null }],
        ops: [{ type: "set", key, value: String(next) }],
      });
      return next;
    } catch (error) {
      if (!(error instanceof CheckFailedError)) throw error;
    }
  }
}

// Ten at once, and none is lost.
await Promise.all(Array.from({ length: 10 }, () => increment(db, "counter")));
console.log("counter", text(await db.get("counter")));
