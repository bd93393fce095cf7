// deno-lint-ignore-file no-console -- an example prints
/**
 * A cache kept current by a watch: one node writes settings, another one has all
 * of them in a `Map`, without ever asking for one.
 *
 * ```
 * deno run --allow-net=localhost:22646,localhost:22647 examples/watch.ts
 * ```
 *
 * Prints the cache, as it was found and as it is after each batch of changes.
 */

import { open } from "@aspen/core";

await using writer = await open(":memory:", {
  address: "localhost:22646",
  bootstrap: true,
});
await writer.set("settings/theme", "light");
await writer.set("settings/beta", "on");

// A node that joins has all the data when `open` resolves.
await using reader = await open(":memory:", {
  address: "localhost:22647",
  peers: ["localhost:22646"],
});

const prefix = "settings/";
const cache = new Map<string, string>();
const text = (bytes?: Uint8Array) => new TextDecoder().decode(bytes);

async function load(): Promise<void> {
  cache.clear();
  for await (const { key, value } of reader.list({ prefix })) {
    cache.set(text(key), text(value));
  }
  console.log(Object.fromEntries(cache));
}

// First the watch, then the list: so nothing falls between the two. What both
// tell of is set twice, which does no harm, since a watch keeps the order.
// A node that updates its cache as it writes would add `ignoreHost: true`.
const changes = reader.watch({ prefix });
await load();

// These two happen together, on every node and in every watch.
await writer.transaction().set("settings/theme", "dark")
  .delete("settings/beta").commit();

for await (const batch of changes) {
  for (const change of batch) {
    // A watch slows nobody: what a reader is too slow for is dropped, and said.
    if (change.type === "lagged" || change.type === "reset") await load();
    else if (change.type === "delete") cache.delete(text(change.key));
    else cache.set(text(change.key), text(change.value));
  }
  console.log(Object.fromEntries(cache));
  if (cache.get("settings/theme") === "dark") break; // ends the watch
}
