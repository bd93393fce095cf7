import { assert, assertEquals, assertRejects } from "@std/assert";
import { JoinAbortedError, open, type OpenOptions } from "../../mod.ts";
import { Child, within } from "./child.ts";
import { TempDir } from "./paths.ts";
import { readRows } from "./rows.ts";

function program(
  dir: string,
  ending: string,
  options: OpenOptions = {},
): Child {
  return new Child("store", {
    args: [dir, JSON.stringify(options), ending],
    permissions: [
      `--allow-read=${dir}`,
      `--allow-write=${dir}`,
      ...options.address === undefined ? [] : ["--allow-net=127.0.0.1"],
    ],
  });
}

for (
  const [ending, what] of [
    ["forgets", "that forgets close()"],
    ["reads", "that leaves a watch and a stream of events open"],
    ["many", "whose writes are on their way when its module ends"],
    ["large", "whose writes wait for tables to be written"],
    ["using", "with `await using`"],
  ] as const
) {
  Deno.test(`an embedded program ${what} ends by itself with code 0, and what was acked is there`, async () => {
    await using temp = new TempDir();
    const dir = temp.at("store");
    await using child = program(dir, ending);
    await child.line("done");
    const { code } = await child.ended();
    assertEquals([code, await child.stderr], [0, ""]);
    const rows = await readRows(dir);
    assertEquals(rows.get("key")?.value, "value");
    assertEquals(rows.size, { many: 301, large: 41 }[ending as string] ?? 1);
  });
}

Deno.test("a listening program with `await using` ends by itself with code 0", async () => {
  await using temp = new TempDir();
  const dir = temp.at("node");
  const options = { address: "127.0.0.1:0", bootstrap: true };
  await using child = program(dir, "using", options);
  await child.line("done");
  const { code } = await child.ended();
  assertEquals([code, await child.stderr], [0, ""]);
  assertEquals((await readRows(dir)).get("key")?.value, "value");
});

Deno.test("a listening program that forgets close() stays up, serves, and ends at SIGTERM with nothing lost", async () => {
  await using temp = new TempDir();
  const dir = temp.at("node");
  const options = { address: "127.0.0.1:0", bootstrap: true };
  await using child = program(dir, "forgets", options);
  const address = (await within("the address", child.nextLine()))!;
  await child.line("done");
  // Its module has ended, and all that it awaited.
  {
    await using peer = await open(temp.at("peer"), {
      address: "127.0.0.1:0",
      peers: [address],
      signal: child.gone,
    });
    await peer.set("key", "forwarded");
    assertEquals((await peer.getEntry("key"))?.leaseholder, 1);
  }
  const { signal } = await child.kill("SIGTERM");
  assertEquals(signal, "SIGTERM");
  assertEquals((await readRows(dir)).get("key")?.value, "forwarded");
});

Deno.test("`await using` closes: the directory and the address are free again", async () => {
  await using temp = new TempDir();
  let address: string;
  {
    await using db = await open(temp.at("node"), {
      address: "127.0.0.1:0",
      bootstrap: true,
    });
    address = db.cluster.host.address;
    await db.set("key", "value");
  }
  await using db = await open(temp.at("node"), { address });
  assertEquals(db.cluster.host.address, address);
  assertEquals(await db.has("key"), true);
});

Deno.test("an open that is aborted while it pledges leaves nothing behind", async () => {
  await using temp = new TempDir();
  // Takes the dial, and never says a word.
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const controller = new AbortController();
  const reason = new Error("the user has lost patience");
  const dir = temp.at("node");
  const opening = open(dir, {
    address: "127.0.0.1:0",
    peers: [`127.0.0.1:${silent.addr.port}`],
    signal: controller.signal,
  });
  const connection = await silent.accept();
  controller.abort(reason);
  const error = await assertRejects(
    () => within("the abort", opening),
    JoinAbortedError,
  );
  assert(error.reason === reason);
  connection.close();
  silent.close();
  // The lock is given back, and the directory is still nobody's.
  await using db = await open(dir, { address: "127.0.0.1:0", bootstrap: true });
  assertEquals(db.cluster.host.key, 1);
});

Deno.test("a joiner whose peers cannot be reached asks them in turn until its signal aborts", async () => {
  await using temp = new TempDir();
  const controller = new AbortController();
  const doors = [0, 1].map(() =>
    Deno.listen({ hostname: "127.0.0.1", port: 0 })
  );
  const knocks = doors.map(async (door) => {
    for (let i = 0; i < 2; i++) (await door.accept()).close();
  });
  const opening = open(temp.at("node"), {
    address: "127.0.0.1:0",
    peers: doors.map(({ addr }) => `127.0.0.1:${addr.port}`),
    propagation: "fast",
    signal: controller.signal,
  });
  await within("two knocks at each door", Promise.all(knocks));
  for (const door of doors) door.close();
  controller.abort();
  const error = await assertRejects(
    () => within("the abort", opening),
    JoinAbortedError,
    `"127.0.0.1:${doors[0]!.addr.port}"`,
  );
  assertEquals((error.reason as Error).name, "AbortError");
  // An abort before anything was done.
  await assertRejects(
    () => open(temp.at("other"), { signal: AbortSignal.abort() }),
    DOMException,
  );
  await assertRejects(() => Deno.stat(temp.at("other")), Deno.errors.NotFound);
});
