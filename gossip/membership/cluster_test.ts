import { assertEquals, assertRejects } from "@std/assert";
import { RejectedError, toHex } from "../../runtime/mod.ts";
import { Prng, World } from "../../runtime/virtual/mod.ts";
import { Events } from "../events.ts";
import { incarnationKey } from "../keyspace.ts";
import { encodeConfig } from "../register/mod.ts";
import { Vector } from "../replication/vector.ts";
import { HandKV } from "../replication/world_test.ts";
import { Cluster } from "./cluster.ts";
import { foundHost } from "./host.ts";
import { encodePledge } from "./pledge.ts";

Deno.test("a hello and an incarnation have golden bytes; a start is durable before it is let in, who is no member is not", async () => {
  const { clock, timers } = new World({ seed: 1 }).runtime("a");
  const kv = new HandKV();
  const random = new Prng(1);
  const cluster = await Cluster.open({
    kv,
    clock,
    timers,
    random,
    host: await foundHost(kv, random),
    nonce: new Uint8Array(8).fill(1),
    software: "test",
    records: [],
    endpoint: undefined,
    gossipIntervalMs: 1000,
    probeIntervalMs: 1000,
    probeTimeoutMs: 500,
    events: new Events(),
    birth: new Vector().encode(),
  });
  const pledge = encodePledge({ ticket: new Uint8Array(16), address: "b:1" });
  await cluster.answerPledge(pledge, new AbortController().signal);
  assertEquals(cluster.config.members, [1, 2]);

  const own = cluster.identity();
  const config = encodeConfig(cluster.config);
  const length = config.length.toString(16).padStart(2, "0");
  assertEquals(toHex(own.hello), `01${length}${toHex(config)}0100`);

  const nonce = new Uint8Array(8).fill(7);
  const remote = { ...own, node: 2, generation: 300, nonce };
  kv.automatic = false;
  let letIn = false;
  const admitted = cluster.admit(remote).then(() => letIn = true);
  for (let i = 0; i < 50; i++) await null;
  assertEquals([kv.writing, letIn], [true, false]);
  kv.finish();
  kv.automatic = true;
  await admitted;
  assertEquals(
    toHex(kv.getDurable(incarnationKey(2))!),
    `ac02${"07".repeat(8)}`,
  );
  await assertRejects(
    () => cluster.admit({ ...remote, node: 3 }),
    RejectedError,
  );
  assertEquals(kv.getDurable(incarnationKey(3)), undefined);
});
