import { assert, assertEquals } from "@std/assert";
import { open, type OpenOptions } from "../../mod.ts";
import { Child } from "./child.ts";
import { TempDir } from "./paths.ts";
import { RemoteNode } from "./remote_node.ts";
import { readRows } from "./rows.ts";

/** Nothing but a question of a peer moves data, once there was a push. */
const SILENT: NonNullable<OpenOptions["propagation"]> = {
  pushDelayMs: 1e9,
  antiEntropyIntervalMs: 1e9,
};

Deno.test("X4: what was acked right before a kill -9 is there at the reopen, and reaches all others", async () => {
  await using temp = new TempDir();
  const dir = temp.at("a");
  const founder = {
    dir,
    open: { address: "127.0.0.1:0", propagation: SILENT },
  };
  await using killed = await RemoteNode.start({
    ...founder,
    open: { ...founder.open, bootstrap: true },
  });
  const peers = [killed.address];
  const join = (name: string) =>
    open(temp.at(name), {
      address: "127.0.0.1:0",
      peers,
      propagation: SILENT,
    });
  await using b = await join("b");
  await using c = await join("c");
  // What is committed first is pushed at once; what follows would be much later.
  await killed.commit(["first", "", null]);
  const last = 20;
  for (let i = 0; i <= last; i++) {
    await killed.commit([`key ${i}`, `${i}`, null]);
  }
  await killed.kill();
  // Nobody else had heard of it.
  assertEquals(await b.get(`key ${last}`), undefined);
  assertEquals(await c.get(`key ${last}`), undefined);

  await using again = await RemoteNode.start(founder);
  assertEquals(again.key, killed.key);
  for (let i = 0; i <= last; i++) {
    assertEquals(await again.get(`key ${i}`), `${i}`);
  }
  // It comes at another address; the two are told where by its own dials.
  await again.caughtUp();
  for (const other of [b, c]) {
    const { missing } = await other.caughtUp();
    assertEquals(missing, []);
    for (let i = 0; i <= last; i++) {
      assertEquals(
        new TextDecoder().decode(await other.get(`key ${i}`)),
        `${i}`,
      );
    }
    assertEquals((await other.getEntry("key 0"))?.leaseholder, killed.key);
  }
});

for (const durability of ["synced", "written"] as const) {
  Deno.test(`every write acked before a kill -9 in full flight is there, with durability "${durability}"`, async () => {
    await using temp = new TempDir();
    const dir = temp.at("store");
    await using child = new Child("writer", {
      args: [dir, durability],
      permissions: [`--allow-read=${dir}`, `--allow-write=${dir}`],
    });
    let acked = -1;
    while (acked < 500) acked = Number(await child.nextLine());
    const killed = child.kill();
    // What is in the pipe was acked too.
    for (;;) {
      const line = await child.nextLine();
      if (line === undefined) break;
      if (/^\d+$/.test(line)) acked = Number(line);
    }
    assertEquals((await killed).signal, "SIGKILL");
    const rows = await readRows(dir);
    for (let i = 0; i <= acked; i++) {
      assertEquals(rows.get(`key ${i}`)?.value, `value ${i}`, `of ${acked}`);
    }
    // A prefix: no write without those before it.
    for (let i = 0; i < rows.size; i++) assert(rows.has(`key ${i}`));
  });
}
