import { assertEquals } from "@std/assert";
import { turns } from "../../engine/testing/turns.ts";
import type { CommitResult, DB } from "../../mod.ts";
import { World } from "../../runtime/virtual/mod.ts";
import { Clients } from "./clients.ts";
import { Coverage } from "./coverage.ts";
import type { Life, Member } from "./member.ts";
import type { Members } from "./members.ts";
import { Oracle } from "./oracle.ts";

const VERSION = {
  life: 1,
  term: 1,
  sub: 0,
  claim: { hlc: 1, node: 1 },
  hlc: 1,
  dot: { origin: 2 ** 33, seq: 1 },
};

/** A node whose commits end when the test says so, and its clients. */
function setUp() {
  const ends: (() => void)[] = [];
  const db = {
    commit: () => {
      const { promise, resolve } = Promise.withResolvers<CommitResult>();
      ends.push(() => resolve({ versions: [VERSION], token: "" }));
      return promise;
    },
  } as unknown as DB;
  // It is looked at only for what was acked: its state is not read.
  const life = { db, failed: true, closing: false } as Life;
  const member = { index: 0, name: "a", nodeKey: 1, life } as Member;
  const world = new World({ seed: 1 });
  const oracle = new Oracle(() => world.now);
  const coverage = new Coverage();
  const members = { all: [member], up: [member] } as unknown as Members;
  const clients = new Clients({ world, members, oracle, coverage });
  const write = () =>
    clients.begin({ at: 0, node: 0, call: "write", ops: [["k", 1, 9]] });
  /** One write ends, and whatever follows from it has happened. */
  const end = async () => {
    ends.shift()!();
    await turns();
  };
  return { life, oracle, clients, write, end };
}

Deno.test("a write is acked to who lives to hear of it", async () => {
  const { oracle, clients, write, end } = setUp();
  write();
  assertEquals([clients.pending, oracle.acked], [1, 0]);
  await end();
  assertEquals([clients.pending, oracle.acked], [0, 1]);
});

Deno.test("a write that ends in the turn its node is killed in is acked to nobody (seed 3000005)", async () => {
  const { life, oracle, clients, write, end } = setUp();
  write();
  write();
  await end();
  clients.forget(life);
  await end();
  assertEquals([clients.pending, oracle.acked], [0, 1]);
});
