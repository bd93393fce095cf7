import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  NotCaughtUpError,
  ProtocolError,
  RejectedError,
  toHex,
  Writer,
} from "../../runtime/mod.ts";
import { Prng, World } from "../../runtime/virtual/mod.ts";
import { type Endpoint, MessageType, type Peer } from "../../transport/mod.ts";
import { Events } from "../events.ts";
import { incarnationKey, metaKey } from "../keyspace.ts";
import { encodeConfig } from "../register/mod.ts";
import { makeOrigin } from "../replication/dot.ts";
import { OwnIncarnation } from "../replication/incarnation.ts";
import { Vector } from "../replication/vector.ts";
import { HandKV } from "../replication/world_test.ts";
import { Cluster, type ClusterOptions } from "./cluster.ts";
import { encodeHello } from "./hello.ts";
import { foundHost, Generation, type HostState, joinHost } from "./host.ts";
import { decodeMembers, encodeAck, Members, nodeRecord } from "./mod.ts";
import { decodePledgeReply, encodePledge } from "./pledge.ts";
import { decodeReport, encodeReport, encodeReportRequest } from "./report.ts";

const { signal } = new AbortController();
const NONCE = new Uint8Array(8).fill(99);

function openCluster(
  kv: HandKV,
  host: HostState,
  nonce: Uint8Array,
  endpoint?: Endpoint,
  world = new World({ seed: 1 }),
  isCaughtUp = () => true,
  data: Partial<ClusterOptions> = {},
): Promise<Cluster> {
  const { clock, timers } = world.runtime("a");
  return Cluster.open({
    kv,
    clock,
    timers,
    random: new Prng(host.node),
    host,
    generation: new Generation(host),
    incarnation: new OwnIncarnation({ ...host, nonce }, new Vector()),
    software: "test",
    records: [],
    endpoint,
    gossipIntervalMs: 1000,
    probeIntervalMs: 1000,
    probeTimeoutMs: 500,
    events: new Events(),
    pledgeTimeoutMs: 5000,
    votersMax: 5,
    voterGoneMs: 60_000,
    maxOfflineMs: 60_000,
    isCaughtUp,
    restoreCopy: () => Promise.resolve(),
    vector: () => new Vector(),
    durable: () =>
      Promise.resolve({ vector: new Vector(), floor: new Vector() }),
    floor: () => new Vector(),
    foldedOrigins: () => [],
    foldedSeq: () => 0,
    onAccepted: () => {},
    onKnown: () => {},
    onRemoved: () => {},
    ...data,
  });
}

/** The founder of a cluster, node 1. */
async function founded(
  endpoint?: Endpoint,
  world?: World,
  data?: Partial<ClusterOptions>,
): Promise<{ cluster: Cluster; kv: HandKV }> {
  const kv = new HandKV();
  const host = await foundHost(kv, new Prng(1));
  const nonce = new Uint8Array(8).fill(1);
  const cluster = await openCluster(
    kv,
    host,
    nonce,
    endpoint,
    world,
    undefined,
    data,
  );
  return { cluster, kv };
}

/** A node that the founder lets in. */
async function joined(
  founder: Cluster,
  ticket: number,
  isCaughtUp?: () => boolean,
): Promise<Cluster> {
  const pledge = encodePledge({
    ticket: new Uint8Array(16).fill(ticket),
    address: "b:1",
  });
  const { clusterId, node, config } = decodePledgeReply(
    await founder.answerPledge(pledge, signal),
  );
  const kv = new HandKV();
  const host = { clusterId, node, generation: 1 };
  const nonce = new Uint8Array(8).fill(node);
  const self = nodeRecord({ key: node, address: "", generation: 1, nonce });
  const members = new Members(self).encode();
  await joinHost(kv, host, { config, members });
  return await openCluster(
    kv,
    host,
    nonce,
    undefined,
    undefined,
    isCaughtUp,
  );
}

/** A handshake as far as clusters have a say in it; returns bytes of configs. */
async function shake(dialler: Cluster, acceptor: Cluster): Promise<number> {
  const first = dialler.identity();
  await acceptor.admit(first, false);
  const answer = acceptor.identity(first);
  await dialler.admit(answer, true);
  const said = dialler.confirm(answer);
  await acceptor.confirmed(first, said);
  return answer.hello.length - acceptor.identity().hello.length + said.length;
}

Deno.test("a hello and an incarnation have golden bytes; a start is durable before it is let in, who is no member is not", async () => {
  const { cluster, kv } = await founded();
  const pledge = encodePledge({ ticket: new Uint8Array(16), address: "b:1" });
  await cluster.answerPledge(pledge, signal);
  assertEquals(cluster.config.members, [1, 2]);

  const own = cluster.identity();
  assertEquals(toHex(own.hello), "0300020100" + "01000100" + "00");

  const nonce = new Uint8Array(8).fill(7);
  const remote = { ...own, node: 2, generation: 300, nonce };
  kv.automatic = false;
  let letIn = false;
  const admitted = cluster.admit(remote, false).then(() => letIn = true);
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
    () => cluster.admit({ ...remote, node: 3 }, true),
    RejectedError,
  );
  assertEquals(kv.getDurable(incarnationKey(3)), undefined);
});

Deno.test("whoever of two knows the higher config tells it in the handshake, and where both know the same it does not travel", async () => {
  const { cluster: founder } = await founded();
  const two = await joined(founder, 2);
  assertEquals(await shake(two, founder), 0);
  const three = await joined(founder, 3);
  // Who dials knows less, then more; each time both know the higher one then.
  assert(await shake(two, three) > 0);
  assertEquals(two.config.members, [1, 2, 3]);
  await joined(founder, 4);
  assert(await shake(founder, two) > 0);
  assertEquals(two.config.members, [1, 2, 3, 4]);
  assert(await shake(three, two) > 0);
  assertEquals(three.config, founder.config);
  assertEquals(await shake(three, founder), 0);
  assertEquals(await shake(founder, three), 0);
});

Deno.test("nobody is let in who names a higher config and does not tell it", async () => {
  const { cluster: founder } = await founded();
  const two = await joined(founder, 2);
  const three = await joined(founder, 3);
  const higher = founder.identity();
  await assertRejects(() => two.admit(higher, true), ProtocolError);
  await two.admit(higher, false);
  await assertRejects(
    () => two.confirmed(higher, new Uint8Array(0)),
    ProtocolError,
  );
  assertEquals([...two.incarnations].map(({ node }) => node), [2]);
  // One that is no member of that config is not let in with it either.
  const stranger = { ...three.identity(), node: 9 };
  await two.admit(stranger, false);
  await assertRejects(
    () => two.confirmed(stranger, encodeConfig(founder.config)),
    RejectedError,
  );
  assertEquals([...two.incarnations].map(({ node }) => node), [2]);
});

Deno.test("where connections are made on demand all that are not dead may be asked, else the connected", async () => {
  let onDemand = false;
  const endpoint = {
    get onDemand() {
      return onDemand;
    },
    peer: (node: number) => ({ node, connected: node === 3 }),
  };
  const { cluster } = await founded(endpoint as unknown as Endpoint);
  const nonce = new Uint8Array(8);
  const states = ["healthy", "healthy", "suspect", "dead", "left"] as const;
  const records = states.map((state, i) =>
    nodeRecord({
      key: i + 2,
      address: `n${i + 2}:1`,
      generation: 1,
      state,
      nonce,
    })
  );
  const ack = encodeAck(records, []);
  await cluster.answerAck(new Writer().bytes(ack).varint(0).finish());
  assertEquals(cluster.candidates(), [3]);
  assertEquals(cluster.reaches("n2:1"), false);
  onDemand = true;
  assertEquals(cluster.candidates(), [2, 3, 4]);
  // Who only may live there does not answer for it.
  assertEquals(cluster.reaches("n2:1"), false);
  assertEquals(cluster.reaches("n3:1"), true);
});

Deno.test("where the members are many they are written once an interval, and all of them before the end", async () => {
  const world = new World({ seed: 1 });
  const endpoint = { onDemand: true, peer: () => undefined };
  const { cluster, kv } = await founded(
    endpoint as unknown as Endpoint,
    world,
  );
  const nonce = new Uint8Array(8);
  const hear = async (key: number) => {
    const address = `n${key}:1`;
    const record = nodeRecord({ key, address, generation: 1, nonce });
    const ack = encodeAck([record], []);
    await cluster.answerAck(new Writer().bytes(ack).varint(0).finish());
    for (let i = 0; i < 50; i++) await null;
  };
  const written = () =>
    decodeMembers(kv.getDurable(metaKey("members"))!).others.length;
  await hear(2);
  assertEquals(written(), 1);
  for (const key of [3, 4, 5]) await hear(key);
  assertEquals(written(), 1);
  await world.advance(1000);
  assertEquals(written(), 4);
  await hear(6);
  await cluster.close();
  assertEquals(written(), 5);
});

Deno.test("a node is dialled where it went, also where it is suspect there", async () => {
  const kept: string[] = [];
  const endpoint = {
    onDemand: false,
    peer: () => undefined,
    keep: (node: number, address: string) => kept.push(`${node} ${address}`),
  };
  const { cluster } = await founded(endpoint as unknown as Endpoint);
  await cluster.enter("a:1");
  const nonce = new Uint8Array(8).fill(2);
  const said = (more: Partial<Parameters<typeof nodeRecord>[0]>) => {
    const record = { key: 2, address: "b:1", generation: 1, nonce };
    const records = [nodeRecord({ ...record, ...more })];
    return cluster.answerAck(
      new Writer().bytes(encodeAck(records, [])).varint(0).finish(),
    );
  };
  await said({});
  await said({ version: 2, state: "suspect" });
  await said({ version: 3, state: "suspect", address: "b:2" });
  assertEquals(kept, ["2 b:1", "2 b:2"]);
});

Deno.test("what a node reported before it was another incarnation counts no more, also by others", async () => {
  const { cluster: founder } = await founded();
  const two = await joined(founder, 2);
  await two.report();
  const ask = (type: number, payload: Uint8Array) =>
    type === MessageType.CLUSTER_SYNC
      ? Promise.resolve(two.answerSync(payload))
      : type === MessageType.REPORTS
      ? two.answerReports(payload)
      : two.answerAck(payload);
  const request = { request: ask } as unknown as Peer;
  await founder.gossipOver(request);
  assertEquals(founder.reported().map((report) => report?.generation), [1]);
  const { basis } = founder;

  const next = { ...two.identity(), generation: 2, nonce: NONCE };
  await founder.admit(next, false);
  assertEquals(founder.reported(), [undefined]);
  assert(founder.basis !== basis);
  // Nor what comes by who has not heard of the new one.
  await founder.gossipOver(request);
  assertEquals(founder.reported(), [undefined]);
});

Deno.test("a node without a copy says so in its handshake, is not judged, and reports nothing", async () => {
  const { cluster: founder } = await founded();
  let caughtUp = false;
  const two = await joined(founder, 2, () => caughtUp);
  const request = encodeReportRequest(two.config);
  await assertRejects(() => two.answerReport(request), NotCaughtUpError);
  await assertRejects(() => two.reportOf(2, signal), NotCaughtUpError);
  await founder.admit(two.identity(), false);
  assertEquals(founder.isAccepted(two.identity()), false);
  caughtUp = true;
  await founder.admit(two.identity(), false);
  assertEquals(founder.isAccepted(two.identity()), true);
  assertEquals(decodeReport(await two.answerReport(request)).node, 2);
});

Deno.test("[16] who has more of a removed node than was counted knows it, once it was counted", async () => {
  const { cluster } = await founded();
  const vector = new Vector();
  const of = makeOrigin(7, 1, 0);
  for (let seq = 1; seq <= 3; seq++) vector.add(of, seq);
  const known = { ...cluster.config, epoch: 9, removed: [7] };
  await cluster.adopt({ ...known, sealing: [7] });
  assertEquals(cluster.isBeyondSeal(vector), false);
  await cluster.adopt({ ...known, epoch: 10, finals: new Map([[of, 3]]) });
  assertEquals(cluster.isBeyondSeal(vector), false);
  vector.add(of, 4);
  assertEquals(cluster.isBeyondSeal(vector), true);
  vector.add(makeOrigin(6, 1, 0), 1);
  await cluster.adopt({ ...known, epoch: 11, finals: new Map([[of, 4]]) });
  assertEquals(cluster.isBeyondSeal(vector), false);
});

Deno.test("what was folded of a removed node is not beyond a seal whose reports do not name it; the first member folds what is left", async () => {
  const of = makeOrigin(7, 1, 0);
  const { cluster } = await founded(undefined, undefined, {
    foldedSeq: (origin) => origin === of ? 3 : 0,
  });
  const vector = Vector.upTo([{ origin: of, seq: 3 }]);
  const known = { ...cluster.config, removed: [7] };
  await cluster.adopt({ ...known, epoch: 9 });
  assertEquals(cluster.isBeyondSeal(vector), false);
  vector.add(of, 4);
  assertEquals(cluster.isBeyondSeal(vector), true);
  assertEquals([1, 2, 7].map((node) => cluster.folds(node)), [
    true,
    false,
    true,
  ]);
  const two = await joined(cluster, 2);
  await two.adopt({ ...known, epoch: 10, members: [1, 2] });
  assertEquals([1, 2, 7].map((node) => two.folds(node)), [false, true, false]);
});

Deno.test("who does not cover what another one says that every member has judges nothing by it, and takes no report of it", async () => {
  const [mine, fold] = [makeOrigin(1, 1, 0), makeOrigin(2, 1, 0)];
  const [has, lacks] = [mine, fold].map((origin) =>
    Vector.upTo([{ origin, seq: 1 }])
  ) as [Vector, Vector];
  const { cluster } = await founded(undefined, undefined, {
    vector: () => has,
    floor: () => has,
  });
  const two = await joined(cluster, 2);
  const own = { ...cluster.identity(), node: 2 };
  const nonce = new Uint8Array(8).fill(7);
  const said = (floor: Vector) => ({
    ...own,
    nonce,
    hello: encodeHello(cluster.config, undefined, lacks, floor, false),
  });
  await cluster.admit(said(lacks), false);
  assertEquals(cluster.isAccepted(said(lacks)), false);
  // It reads all of that: it is below.
  await assertRejects(() => cluster.admit(said(has), false), RejectedError);

  const { era, epoch } = cluster.config;
  const report = {
    ...{ node: 2, era, epoch, generation: 1, nonce, number: 1 },
    ...{ birth: has, vector: has, leaving: false },
  };
  for (const [floor, count] of [[lacks, 0], [has, 1]] as const) {
    const bytes = encodeReport({ ...report, floor });
    await cluster.answerReports(
      new Writer().u8(1).varint(1).bytes(bytes).finish(),
    );
    const heard = cluster.reported().filter((each) => each !== undefined);
    assertEquals(heard.length, count);
  }
  await two.close();
});

Deno.test("S6: who has no copy accepts nobody, who would be judged by a floor that is to come", async () => {
  const { cluster: founder } = await founded();
  let caughtUp = false;
  const two = await joined(founder, 2, () => caughtUp);
  await two.admit(founder.identity(), true);
  assertEquals(two.isAccepted(founder.identity()), false);
  caughtUp = true;
  await two.admit(founder.identity(), true);
  assertEquals(two.isAccepted(founder.identity()), true);
});
