import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ClosedError,
  DecodeError,
  NotCaughtUpError,
  NotVoterError,
  QuorumUnavailableError,
} from "../../runtime/mod.ts";
import { World } from "../../runtime/virtual/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import {
  Acceptor,
  beginningOps,
  CONFIG_REGISTER,
  encodeConfig,
  encodeList,
  encodeSeatRequest,
} from "../register/mod.ts";
import {
  Dice,
  ForgetfulKV,
  seat,
  votersConfig,
} from "../register/world_test.ts";
import { Vector } from "../replication/vector.ts";
import { Agreement, type AgreementOptions } from "./agreement.ts";
import { ACCEPTOR_PREFIX } from "./host.ts";
import { encodeReport, type Report } from "./report.ts";

const WITNESS_MS = 5000;

/** Opens node 1 on what its engine has; nobody else is there, unless told. */
function openFirst(
  world: World,
  kv: ForgetfulKV,
  more: Partial<AgreementOptions> = {},
): Promise<Agreement> {
  const { clock, timers } = world.runtime("a");
  return Agreement.open({
    kv,
    clock,
    timers,
    random: new Dice(1),
    host: { clusterId: new Uint8Array(16), node: 1, generation: 2 },
    votersMax: 5,
    voterGoneMs: 60_000,
    witnessMs: WITNESS_MS,
    isCaughtUp: () => true,
    stateOf: () => "healthy",
    request: () => Promise.reject(new Error("nobody is there")),
    report: () => Promise.reject(new Error("not asked for")),
    onKnown: () => {},
    ...more,
  });
}

/** Node 1, one of so many that vote, after a start. */
async function started(voters: number, { caughtUp = true } = {}) {
  const config = votersConfig(voters);
  const kv = new ForgetfulKV(true);
  const ops = beginningOps(ACCEPTOR_PREFIX, { config, seat: seat(1) });
  await kv.write(ops, { sync: true });
  const world = new World({ seed: 1 });
  const agreement = await openFirst(world, kv, { isCaughtUp: () => caughtUp });
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

Deno.test("who is closed begins no era, also where it was asked to before", async () => {
  const { agreement } = await started(3);
  const silent = agreement.fallSilent();
  const begun = assertRejects(() => agreement.beginEra(3, []), ClosedError);
  await agreement.close();
  await begun;
  await silent;
  assertEquals(agreement.known.era, 0);
});

Deno.test("who answers what is not to be understood has answered", async () => {
  // Its register holds no config.
  const { agreement } = await started(1);
  const { signal } = new AbortController();
  await assertRejects(() => agreement.answers(signal), DecodeError);
  await agreement.close();
});

/** Node 1, a voter, alone mostly, of some members, of which one has no copy yet. */
async function growing(
  withoutCopy: number,
  { sealing = [], members = 3, voters: voting = 1 }: {
    sealing?: readonly number[];
    members?: number;
    voters?: number;
  } = {},
) {
  const config = { ...votersConfig(voting, members), removed: [9], sealing };
  const kv = new ForgetfulKV(true);
  const registers = { [CONFIG_REGISTER]: encodeConfig(config) };
  const ops = beginningOps(ACCEPTOR_PREFIX, {
    config,
    seat: seat(1),
    registers,
  });
  await kv.write(ops, { sync: true });
  const world = new World({ seed: 1 });
  const asked: number[] = [];
  const others = new Map<number, Acceptor>();
  for (let node = 2; node <= members; node++) {
    const kv = new ForgetfulKV(true);
    const beginning = node > voting
      ? { config }
      : { config, seat: seat(node), registers };
    await kv.write(beginningOps(ACCEPTOR_PREFIX, beginning), { sync: true });
    const prefix = ACCEPTOR_PREFIX;
    others.set(
      node,
      await Acceptor.open({ kv, prefix, node, random: new Dice(node) }),
    );
  }
  const agreement: Agreement = await openFirst(world, kv, {
    request: async (node, type, payload) => {
      if (type === MessageType.REGISTER_SEAT) {
        asked.push(node);
        if (node === withoutCopy) throw new NotCaughtUpError("vote");
      }
      if (type === MessageType.REPORT) {
        const { known: { era, epoch } } = agreement;
        return encodeReport(report(era, epoch));
      }
      return await others.get(node)!.handle(type, payload);
    },
    report: () => {
      const { known: { era, epoch } } = agreement;
      return Promise.resolve(report(era, epoch));
    },
  });
  agreement.witness();
  /** Tends it for a while. */
  const tend = async (ms: number) => {
    for (let left = ms; left > 0; left -= 500) {
      agreement.tend();
      await world.advance(500);
    }
  };
  const voters = () => agreement.known.voters.map(({ node }) => node);
  return { agreement, tend, voters, asked, world, others };
}

function report(era: number, epoch: number): Report {
  return {
    era,
    epoch,
    generation: 1,
    nonce: new Uint8Array(8),
    birth: new Vector().encode(),
    vector: new Vector(),
    leaving: false,
  };
}

Deno.test("nobody is promoted before both have a copy whom it takes, and then both are", async () => {
  for (const withoutCopy of [2, 3]) {
    const { agreement, tend, voters, asked } = await growing(withoutCopy);
    const { epoch } = agreement.known;
    await tend(20_000);
    assertEquals([voters(), agreement.known.epoch], [[1], epoch]);
    assert(asked.includes(withoutCopy));
    await agreement.close();
  }
  for (const withoutCopy of [0, 2]) {
    const members = withoutCopy === 0 ? 3 : 4;
    const { agreement, tend, voters } = await growing(withoutCopy, { members });
    await tend(30_000);
    // Others are promoted instead of one that has none.
    assertEquals(voters(), withoutCopy === 0 ? [1, 2, 3] : [1, 3, 4]);
    await agreement.close();
  }
});

Deno.test("the last records of removed nodes are counted also while nobody can be promoted", async () => {
  const { agreement, tend, voters } = await growing(3, { sealing: [9] });
  await tend(20_000);
  assertEquals([voters(), agreement.known.sealing], [[1], []]);
  await agreement.close();
});

Deno.test("a node leaves none behind that cannot decide: who answers pings, but does not vote, is not counted on", async () => {
  const { signal } = new AbortController();
  for (const members of [3, 4]) {
    const options = { voters: 3, members };
    const { agreement, voters, others, world } = await growing(0, options);
    await others.get(3)!.fallSilent();
    const left = agreement.makeDispensable(1, signal);
    left.catch(() => {});
    await world.advance(20_000);
    if (members === 3) {
      const error = await assertRejects(() => left, QuorumUnavailableError);
      assertEquals(error.missing, [3]);
    } else {
      // Another one votes before: two of three are left that do.
      await left;
      assertEquals(voters(), [1, 2, 3, 4]);
    }
    await agreement.close();
  }
});

Deno.test("a node that is silent beside enough others is not waited for", async () => {
  const { signal } = new AbortController();
  const options = { voters: 5, members: 5 };
  const { agreement, others } = await growing(0, options);
  others.get(3)!.handle = () => new Promise(() => {});
  await agreement.makeDispensable(1, signal);
  await agreement.close();
});
