// deno-lint-ignore-file no-console -- an example prints
/**
 * Two nodes of one cluster: a set on the one, the get on the other.
 *
 * ```
 * deno run --allow-net=localhost:22646,localhost:22647 examples/cluster.ts
 * ```
 *
 * Prints the value and the addresses of the two nodes.
 */

import { open } from "@aspen/core";

// The first node founds a new cluster, and listens on port 22646.
await using db1 = await open(":memory:", {
  address: "localhost:22646",
  bootstrap: true,
});

// The second one joins it. One address of a peer is needed, the first time only:
// from then on the database remembers the cluster.
await using db2 = await open(":memory:", {
  address: "localhost:22647",
  peers: ["localhost:22646"],
});

await db1.set("key", "value");

// A commit is pushed to all nodes at once; this waits until it is here.
await db2.caughtUp();
console.log(new TextDecoder().decode(await db2.get("key")));

const nodes = db1.cluster.nodes();
console.log(nodes.get(1)?.address);
console.log(nodes.get(2)?.address);
