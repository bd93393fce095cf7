// deno-lint-ignore-file no-console -- an example prints
/**
 * Three nodes on disk. One, a process of its own, is killed with SIGKILL; the
 * others write on. It is reopened without peers, reads at once, and catches up.
 *
 * ```
 * deno run --allow-read --allow-write --allow-net=localhost --allow-run examples/restart.ts
 * ```
 *
 * Prints what the third node acknowledged before it was killed, and what it
 * reads when it has caught up. `--allow-run` is for the process that is killed.
 */

import { type DB, open } from "@aspen/core";

const text = (bytes?: Uint8Array) => new TextDecoder().decode(bytes);

/** The third node: it joins, writes, says so once that is acknowledged. */
async function third(dir: string, peer: string): Promise<DB> {
  const db = await open(dir, { address: "localhost:0", peers: [peer] });
  await db.set("written by", `node ${db.cluster.host.key}`);
  console.log("acknowledged");
  return db; // A node that listens keeps its process alive.
}

async function main(): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "aspen-" });
  try {
    // Port 0 takes a free one; `host.address` tells which.
    const address = "localhost:0";
    await using one = await open(`${dir}/1`, { address, bootstrap: true });
    const peers = [one.cluster.host.address];
    await using two = await open(`${dir}/2`, { address, peers });

    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", import.meta.filename!, `${dir}/3`, ...peers],
      stdout: "piped",
    }).spawn();
    for await (
      const line of child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      if (line.includes("acknowledged")) child.kill("SIGKILL");
    }
    await child.status;
    await two.set("meanwhile", "written by node 2");

    // No peers, no bootstrap: the directory knows its cluster. It comes back at
    // another address, and would serve as well if all others were down.
    await using three = await open(`${dir}/3`, { address });
    console.log("at once:", text(await three.get("written by")));

    const { peers: answered } = await three.caughtUp();
    console.log("caught up with nodes", answered.join(" and "));
    console.log("then:", text(await three.get("meanwhile")));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const [dir, peer] = Deno.args;
if (dir !== undefined && peer !== undefined) await third(dir, peer);
else await main();
