import { assertEquals, assertRejects } from "@std/assert";
import { Child } from "./child.ts";
import { TempDir } from "./paths.ts";
import { RemoteCallError, RemoteNode } from "./remote_node.ts";

/** Each permission that was used, with its values, sorted, each once. */
async function audited(path: string): Promise<Record<string, string[]>> {
  const used: Record<string, Set<string>> = {};
  const lines = (await Deno.readTextFile(path).catch(() => "")).trim();
  for (const line of lines === "" ? [] : lines.split("\n")) {
    const { permission, value } = JSON.parse(line);
    (used[permission] ??= new Set()).add(value ?? "");
  }
  return Object.fromEntries(
    Object.entries(used).map(([name, values]) => [name, [...values].sort()]),
  );
}

/** What lies neither in the directory nor is it. */
function outside(paths: readonly string[] | undefined, dir: string): string[] {
  return (paths ?? []).filter((path) =>
    path !== dir && !path.startsWith(`${dir}/`)
  );
}

/** A port that nothing listens on, to name it in a permission. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

Deno.test("importing the module needs no permission, and uses none", async () => {
  await using temp = new TempDir();
  const audit = temp.at("audit");
  await using child = new Child("import_only", {
    env: { DENO_AUDIT_PERMISSIONS: audit },
  });
  await child.line("function");
  assertEquals((await child.ended()).code, 0);
  assertEquals(await audited(audit), {});
});

Deno.test('a store in ":memory:" needs no permission, and uses none', async () => {
  await using temp = new TempDir();
  const audit = temp.at("audit");
  await using child = new Child("store", {
    args: [":memory:", "{}", "forgets"],
    env: { DENO_AUDIT_PERMISSIONS: audit },
  });
  await child.line("done");
  assertEquals((await child.ended()).code, 0);
  assertEquals(await audited(audit), {});
});

Deno.test('a node in ":memory:" uses net on its address, and nothing else', async () => {
  await using temp = new TempDir();
  const audit = temp.at("audit");
  const address = `127.0.0.1:${freePort()}`;
  await using node = await RemoteNode.start({
    dir: ":memory:",
    open: { address, bootstrap: true },
    permissions: [`--allow-net=${address}`],
    env: { DENO_AUDIT_PERMISSIONS: audit },
  });
  await node.commit(["key", "value", null]);
  await node.close();
  assertEquals(await audited(audit), { net: [address] });
});

for (const made of [false, true]) {
  Deno.test(`an embedded store uses read and write on its directory, ${made ? "" : "which it makes, "}and nothing else`, async () => {
    await using temp = new TempDir();
    const dir = temp.at("store");
    if (made) Deno.mkdirSync(dir);
    // The second time it recovers.
    for (let i = 0; i < 2; i++) {
      const audit = temp.at(`audit ${i}`);
      await using child = new Child("store", {
        args: [dir, "{}", "forgets"],
        permissions: [`--allow-read=${dir}`, `--allow-write=${dir}`],
        env: { DENO_AUDIT_PERMISSIONS: audit },
      });
      await child.line("done");
      assertEquals((await child.ended()).code, 0);
      const used = await audited(audit);
      assertEquals(Object.keys(used).sort(), ["read", "write"]);
      assertEquals(outside(used.read, dir), []);
      assertEquals(outside(used.write, dir), []);
    }
  });
}

Deno.test("a listening node uses read and write on its directory, net on its address and its peers', and nothing else", async () => {
  await using temp = new TempDir();
  const addresses = [freePort(), freePort()].map((port) => `127.0.0.1:${port}`);
  const start = (i: number) => {
    const dir = temp.at(`node ${i}`);
    return RemoteNode.start({
      dir,
      open: {
        address: addresses[i]!,
        ...i === 0 ? { bootstrap: true } : { peers: [addresses[0]!] },
      },
      permissions: [
        `--allow-read=${dir}`,
        `--allow-write=${dir}`,
        `--allow-net=${addresses.join(",")}`,
      ],
      env: { DENO_AUDIT_PERMISSIONS: temp.at(`audit ${i}`) },
    });
  };
  await using a = await start(0);
  await using b = await start(1);
  await a.commit(["key", "value", null]);
  await b.caughtUp();
  await b.commit(["key", "forwarded", null]);
  await a.caughtUp();
  await b.kill();
  await using again = await start(1);
  await again.caughtUp();
  assertEquals(await again.get("key"), "forwarded");
  await again.close();
  await a.close();
  for (const i of [0, 1]) {
    const used = await audited(temp.at(`audit ${i}`));
    assertEquals(Object.keys(used).sort(), ["net", "read", "write"]);
    // The founder dials the other only if that one has not dialled it before.
    const net = new Set([...used.net!, ...i === 0 ? addresses : []]);
    assertEquals([...net].sort(), addresses.toSorted());
    assertEquals(outside(used.read, temp.at(`node ${i}`)), []);
    assertEquals(outside(used.write, temp.at(`node ${i}`)), []);
  }
});

Deno.test("a node that may not dial a new member's address lives on, and the member's own dials serve", async () => {
  await using temp = new TempDir();
  const port = freePort();
  const address = `127.0.0.1:${port}`;
  const dir = temp.at("narrow");
  await using narrow = await RemoteNode.start({
    dir,
    open: { address, bootstrap: true, propagation: "fast" },
    permissions: [
      `--allow-read=${dir}`,
      `--allow-write=${dir}`,
      `--allow-net=${address}`,
    ],
  });
  await using other = await RemoteNode.start({
    dir: temp.at("other"),
    open: { address: "127.0.0.1:0", peers: [address], propagation: "fast" },
  });
  await other.commit(["theirs", "1", null]);
  await narrow.commit(["ours", "2", null]);
  await other.caughtUp();
  await other.commit(["ours", "3", null]);
  await narrow.caughtUp();
  await other.caughtUp();
  assertEquals(await narrow.get("theirs"), "1");
  assertEquals(await other.get("ours"), "3");
  await other.close();
  await narrow.close();
});

Deno.test("an address that may not be listened on is refused as the platform words it, and nothing was founded", async () => {
  await using temp = new TempDir();
  const dir = temp.at("node");
  const permissions = [`--allow-read=${dir}`, `--allow-write=${dir}`];
  const options = { address: "127.0.0.1:0", bootstrap: true };
  const error = await assertRejects(
    () => RemoteNode.start({ dir, open: options, permissions }),
    RemoteCallError,
    "--allow-net",
  );
  assertEquals(error.code, "NotCapable");
  await using node = await RemoteNode.start({ dir, open: options });
  assertEquals(node.key, 1);
});
