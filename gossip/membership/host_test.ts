import { assert, assertEquals, assertRejects } from "@std/assert";
import { DecodeError, FormatVersionError, toHex } from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { metaKey } from "../keyspace.ts";
import { HandKV, turns } from "../replication/world_test.ts";
import { decodeCounters } from "../replication/state.ts";
import { foundConfig } from "../register/mod.ts";
import {
  foundHost,
  Generation,
  joinHost,
  loadHost,
  loadTicket,
  restartHost,
} from "./host.ts";

Deno.test("a founder is node 1, whole, in its first generation; its rows are golden", async () => {
  const kv = new HandKV();
  assertEquals(await loadHost(kv), undefined);
  const host = await foundHost(kv, new Prng(1));
  assertEquals([host.node, host.generation], [1, 1]);
  assertEquals(await loadHost(kv), host);
  assertEquals(
    toHex(kv.get(metaKey("host"))!),
    `01${toHex(host.clusterId)}010001`,
  );
  assertEquals(toHex(kv.get(metaKey("format"))!), "01");
  assert(decodeCounters(kv.get(metaKey("counters"))!).caughtUp);
});

Deno.test("a joiner is void until its first copy, and its acceptor, members and key come in one batch", async () => {
  const kv = new HandKV();
  kv.keepBatches = true;
  const clusterId = new Uint8Array(16).fill(7);
  const host = { clusterId, node: 300, generation: 1 };
  const config = foundConfig(1, new Uint8Array(8));
  const members = Uint8Array.of(1, 2, 3);
  await joinHost(kv, host, { config, members });
  assertEquals(kv.batches.length, 1);
  assertEquals(await loadHost(kv), host);
  assertEquals(kv.get(metaKey("members")), members);
  assertEquals(decodeCounters(kv.get(metaKey("counters"))!).caughtUp, false);
});

Deno.test("the generation rises at every start, and is durable before the start goes on", async () => {
  const kv = new HandKV(false);
  kv.automatic = true;
  const host = await foundHost(kv, new Prng(1));
  kv.automatic = false;
  let started = false;
  const starting = restartHost(kv, host).then((next) => {
    started = true;
    return next;
  });
  await turns();
  assertEquals([started, decodeGeneration(kv)], [false, 1]);
  kv.finish();
  assertEquals((await starting).generation, 2);
  assertEquals(decodeGeneration(kv), 2);
});

Deno.test("a generation that was raised is below that of the next start", async () => {
  const kv = new HandKV();
  const host = await foundHost(kv, new Prng(1));
  const running = new Generation(host);
  await kv.write([running.raise(7)]);
  // It does not fall.
  await kv.write([running.raise(5)]);
  assertEquals(running.current, 7);
  assertEquals(decodeGeneration(kv), 7);
  const { generation, ...rest } = await restartHost(kv, (await loadHost(kv))!);
  assertEquals(generation, 8);
  assertEquals(rest, { clusterId: host.clusterId, node: host.node });
});

function decodeGeneration(kv: HandKV): number {
  return kv.getDurable(metaKey("host"))!.at(-1)!;
}

Deno.test("a ticket is drawn once, and durable before it is used", async () => {
  const kv = new HandKV();
  const random = new Prng(3);
  const ticket = await loadTicket(kv, random);
  assertEquals(await loadTicket(kv, random), ticket);
  assertEquals(toHex(kv.getDurable(metaKey("ticket"))!), `01${toHex(ticket)}`);
});

Deno.test("a directory of a newer release, or a harmed one, is refused by a typed error", async () => {
  const kv = new HandKV();
  await foundHost(kv, new Prng(1));
  const row = kv.get(metaKey("host"))!;
  kv.write([{ key: metaKey("host"), value: row.subarray(0, 9) }]);
  await assertRejects(() => loadHost(kv), DecodeError);
  row[0] = 2;
  kv.write([{ key: metaKey("host"), value: row }]);
  await assertRejects(() => loadHost(kv), FormatVersionError);
  kv.write([{ key: metaKey("format"), value: Uint8Array.of(2) }]);
  await assertRejects(() => loadHost(kv), FormatVersionError);
});
