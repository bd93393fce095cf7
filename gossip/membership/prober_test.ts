import { assertEquals } from "@std/assert";
import { RemoteError, UnreachableError } from "../../runtime/mod.ts";
import { Prng, World } from "../../runtime/virtual/mod.ts";
import type { Peer } from "../../transport/mod.ts";
import { Members, type MergeOutcome } from "./members.ts";
import { encodePing } from "./messages.ts";
import { nodeRecord } from "./node_record.ts";
import { Prober } from "./prober.ts";

Deno.test("who is too busy to answer a ping lives, who says nothing is dead before long", async () => {
  for (const [busy, state] of [[true, "healthy"], [false, "dead"]] as const) {
    const world = new World({ seed: 1 });
    const { clock, timers } = world.runtime("a");
    const record = (key: number) =>
      nodeRecord({
        key,
        address: `${key}:1`,
        generation: 1,
        nonce: new Uint8Array(8).fill(key),
      });
    const error = busy
      ? new RemoteError("overloaded", "too many are in work")
      : new UnreachableError("ping", ["2:1"]);
    const members = new Members(record(1), {
      others: [record(2)],
      onChange: (changes) =>
        prober.changed(changes.map(({ node }) => node.key)),
    });
    const prober: Prober = new Prober({
      members,
      clock,
      timers,
      random: new Prng(1),
      intervalMs: 1000,
      timeoutMs: 500,
      peer: () => ({ request: () => Promise.reject(error) }) as unknown as Peer,
      connected: () => [],
      merged: () => {},
    });
    prober.start();
    await world.advance(60_000);
    assertEquals(members.get(2)!.state, state);
    prober.close();
  }
});

Deno.test("who is pinged as another start of its generation hears of it, before it answers", () => {
  const world = new World({ seed: 1 });
  const { clock, timers } = world.runtime("a");
  const record = (byte: number) =>
    nodeRecord({
      key: 1,
      address: "1:1",
      generation: 4,
      nonce: new Uint8Array(8).fill(byte),
    });
  for (const [mine, theirs] of [[1, 2], [2, 1]] as const) {
    const outcomes: MergeOutcome[] = [];
    const members = new Members(record(mine));
    const prober = new Prober({
      members,
      clock,
      timers,
      random: new Prng(1),
      intervalMs: 1000,
      timeoutMs: 500,
      peer: () => undefined,
      connected: () => [],
      merged: (outcome) => outcomes.push(outcome),
    });
    prober.answerPing(encodePing({ ...record(theirs), state: "suspect" }, []));
    assertEquals(outcomes.map(({ cloned }) => cloned?.generation), [4]);
    assertEquals(members.self, record(mine));
  }
});
