import { assertEquals, assertRejects } from "@std/assert";
import { NotCaughtUpError, NotVoterError } from "../../runtime/mod.ts";
import { World } from "../../runtime/virtual/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import {
  beginningOps,
  encodeList,
  encodeSeatRequest,
} from "../register/mod.ts";
import {
  Dice,
  ForgetfulKV,
  seat,
  votersConfig,
} from "../register/world_test.ts";
import { Agreement } from "./agreement.ts";
import { ACCEPTOR_PREFIX } from "./host.ts";

const WITNESS_MS = 5000;

/** Node 1, one of so many that vote, after a start. */
async function started(voters: number, { caughtUp = true } = {}) {
  const config = votersConfig(voters);
  const kv = new ForgetfulKV(true);
  const ops = beginningOps(ACCEPTOR_PREFIX, { config, seat: seat(1) });
  await kv.write(ops, { sync: true });
  const world = new World({ seed: 1 });
  const { clock, timers } = world.runtime("a");
  const agreement = await Agreement.open({
    kv,
    clock,
    timers,
    random: new Dice(1),
    host: { clusterId: new Uint8Array(16), node: 1, generation: 2 },
    votersMax: 5,
    voterGoneMs: 60_000,
    witnessMs: WITNESS_MS,
    isCaughtUp: () => caughtUp,
    stateOf: () => "healthy",
    request: () => Promise.reject(new Error("nobody is there")),
    report: () => Promise.reject(new Error("not asked for")),
    onKnown: () => {},
  });
  const ask = () =>
    agreement.answerRegister(
      MessageType.REGISTER_LIST,
      encodeList({ config, seat: seat(1) }),
    );
  let answers = 0;
  const answered = async (): Promise<number> => {
    for (let i = 0; i < 50; i++) await null;
    return answers;
  };
  const askLater = () => void ask().then(() => answers++);
  return { agreement, config, world, ask, askLater, answered };
}

Deno.test("A10: after a start nothing is answered before another member has spoken", async () => {
  const { agreement, askLater, answered } = await started(3);
  askLater();
  assertEquals(await answered(), 0);
  agreement.witness();
  assertEquals(await answered(), 1);
  await agreement.close();
});

Deno.test("A10: where nobody speaks it is answered after a while", async () => {
  const { agreement, world, askLater, answered } = await started(3);
  askLater();
  await world.advance(WITNESS_MS - 1);
  assertEquals(await answered(), 0);
  await world.advance(1);
  assertEquals(await answered(), 1);
  await agreement.close();
});

Deno.test("A10: who knows of no other member answers at once", async () => {
  const { agreement, askLater, answered } = await started(1);
  askLater();
  assertEquals(await answered(), 1);
  await agreement.close();
});

Deno.test("A9: a voter that is told of an old disk falls silent, but for one that votes alone", async () => {
  const { agreement: alone, ask } = await started(1);
  await alone.fallSilent();
  await ask();
  await alone.close();

  const { agreement, ask: askOne } = await started(3);
  agreement.witness();
  await agreement.fallSilent();
  await assertRejects(askOne, NotVoterError);
  await agreement.close();
});

Deno.test("a node without a copy of the data takes no seat", async () => {
  const { agreement, config } = await started(3, { caughtUp: false });
  await assertRejects(
    () =>
      agreement.answerRegister(
        MessageType.REGISTER_SEAT,
        encodeSeatRequest(config),
      ),
    NotCaughtUpError,
  );
  await agreement.close();
});
