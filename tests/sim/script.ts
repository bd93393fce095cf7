/**
 * Scripts: what happens to a cluster in one life, written down before it begins.
 *
 * Guarantees: a script is plain JSON, is all that decides a run (with its seed,
 * which draws latencies, ties and what crashes leave), and each of its steps can
 * be left out without changing the others: what cannot be done when its time
 * comes (a call on a node that is down) does nothing. So a failing script can be
 * shrunk step by step.
 *
 * @module
 */

import { Prng, type Unsynced } from "../../runtime/virtual/mod.ts";
import type { Propagation } from "../../mod.ts";

/**
 * An op of a batch: key, number of the value (0 deletes), bytes of the value,
 * and which node is to lead the key, if that is asked for.
 */
export type OpStep = readonly [
  key: string,
  value: number,
  size: number,
  lease?: number,
];

/** What a client asks of a node. */
export type CallStep =
  & { readonly at: number; readonly node: number }
  & (
    | { readonly call: "write"; readonly ops: readonly OpStep[] }
    /** Reads a key and writes it if it is still so. */
    | { readonly call: "swap"; readonly op: OpStep }
    /** Reads its own writes, then commits them. */
    | { readonly call: "transact"; readonly ops: readonly OpStep[] }
    | { readonly call: "read"; readonly key: string }
    | {
      readonly call: "list";
      readonly prefix: string;
      readonly reverse: boolean;
      /** Rows at most; 0: all. */
      readonly limit: number;
    }
    /** Waits until the node has what the others have. */
    | { readonly call: "catchUp" }
    /** Reads the conflicts on record and forgets them. */
    | { readonly call: "forget" }
    /** Watches, too slowly, for a while. */
    | {
      readonly call: "watch";
      readonly forMs: number;
      readonly prefix: string;
    }
  );

/** What goes wrong; all but what happens at once ends after `forMs`. */
export type FaultStep =
  & { readonly at: number; readonly forMs: number }
  & (
    | { readonly fault: "cut" | "cutOneWay"; readonly nodes: Pair }
    | { readonly fault: "partition"; readonly side: readonly number[] }
    /** Two sides that only one node reaches. */
    | {
      readonly fault: "bridge";
      readonly side: readonly number[];
      readonly node: number;
    }
    /** Links are cut one by one, and healed one by one in another order. */
    | {
      readonly fault: "swizzle";
      readonly node: number;
      readonly order: readonly number[];
      readonly back: readonly number[];
    }
    | {
      readonly fault: "flap";
      readonly nodes: Pair;
      readonly everyMs: number;
    }
    | {
      readonly fault: "slowLink";
      readonly nodes: Pair;
      readonly delayMs: number;
      readonly jitterMs: number;
      readonly bytesPerMs: number;
    }
    | { readonly fault: "reset" | "halfOpen" | "corrupt"; readonly nodes: Pair }
    | {
      readonly fault: "kill" | "killAtSync" | "killAtSlice";
      readonly node: number;
      readonly unsynced: Unsynced;
    }
    /** Killed, and once more so long after its next start. */
    | {
      readonly fault: "killAtOpen";
      readonly node: number;
      readonly afterMs: number;
    }
    | { readonly fault: "close" | "move"; readonly node: number }
    | { readonly fault: "stall"; readonly node: number }
    | {
      readonly fault: "clockJump";
      readonly node: number;
      readonly byMs: number;
    }
    | {
      readonly fault: "clockDrift";
      readonly node: number;
      readonly drift: number;
    }
    | { readonly fault: "diskFull"; readonly node: number }
    | {
      readonly fault: "syncFails";
      readonly node: number;
      readonly times: number;
    }
    | {
      readonly fault: "slowSync";
      readonly node: number;
      readonly byMs: number;
    }
    /** While it is down a bit of its disk flips, and the disk is then mended. */
    | {
      readonly fault: "bitFlip";
      readonly node: number;
      readonly pick: number;
    }
    /** While it runs a bit of a table reads wrong, until it is down or `forMs` end. */
    | {
      readonly fault: "bitRot";
      readonly node: number;
      readonly pick: number;
    }
    /** Opened a second time on its directory. */
    | { readonly fault: "twice"; readonly node: number }
    /** A copy of its directory is opened beside it. */
    | { readonly fault: "clone"; readonly node: number }
    /**
     * An image of its disk, taken at `at`, is put back after `forMs`; for the
     * last `aloneMs` of it what it writes goes nowhere.
     */
    | {
      readonly fault: "putBack";
      readonly node: number;
      readonly aloneMs: number;
    }
    /** A node joins: the one of this number, that there is not yet. */
    | {
      readonly fault: "join";
      readonly node: number;
      readonly peers: readonly number[];
    }
    /** It leaves for ever; where it cannot in time, it leaves at the end. */
    | { readonly fault: "leave"; readonly node: number }
    /** It is killed, its disk is gone, and after `forMs` others remove it. */
    | { readonly fault: "remove"; readonly node: number }
    /** A device that lies: no promise holds against it. Never drawn. */
    | { readonly fault: "lyingSync"; readonly node: number }
  );

/** Two nodes. */
export type Pair = readonly [number, number];

/** A step of a script. */
export type Step = CallStep | FaultStep;

/** A kind of fault. */
export type FaultKind = FaultStep["fault"];

/** The options of all nodes of a world. */
export interface WorldDraw {
  readonly durability: "synced" | "written";
  readonly memtableBytes: number;
  readonly propagation: Partial<Propagation>;
}

/** One life of a cluster. */
export interface Script {
  readonly seed: number;
  readonly nodes: number;
  readonly world: WorldDraw;
  readonly steps: readonly Step[];
  /** When the faults and the calls stop, in ms. */
  readonly quietAt: number;
  /** The nodes that must then converge first, cut off from the rest. */
  readonly core: readonly number[];
}

/** How a script is drawn. */
export interface ScriptOptions {
  readonly seed: number;
  /** Nodes at the beginning. @default {5} */
  readonly nodes?: number;
  /** Calls. @default {3000} */
  readonly steps?: number;
  /** Calls a simulated second. @default {50} */
  readonly rate?: number;
  /**
   * Faults; by default so many that, of those that can be when their time comes, at
   * least one happens for 150 calls ({@linkcode CALLS_PER_FAULT}) on average.
   */
  readonly faults?: number;
  /** Faults are of these kinds only. */
  readonly kinds?: readonly FaultKind[];
}

/** Nodes that join in one life, at most: a long one is to stay one of few nodes. */
const JOINS_MAX = 3;

/** Calls for which one fault happens, on average. */
export const CALLS_PER_FAULT = 150;

/** So many are drawn for one of them: some cannot be when their time comes. */
const SPARE_FAULTS = 1.25;

/** Calls of a life, unless it is drawn with others. */
const STEPS = 3000;

/** Calls a simulated second, unless a script is drawn with fewer. */
const RATE = 50;

/** Calls for which keys are in fashion. */
const FASHION_CALLS = 100;

/** Calls after which somebody looks after the conflicts of a node, on average. */
const FORGETTING_CALLS = 500;

/** Faults that every world may have. */
const COMMON: readonly FaultKind[] = [
  "cut",
  "cutOneWay",
  "partition",
  "bridge",
  "swizzle",
  "flap",
  "slowLink",
  "reset",
  "halfOpen",
  "corrupt",
  "kill",
  "killAtSync",
  "killAtSlice",
  "killAtOpen",
  "close",
  "move",
  "stall",
  "clockJump",
  "clockDrift",
  "diskFull",
  "syncFails",
  "slowSync",
  "bitFlip",
  "bitRot",
  "twice",
];

/**
 * Directories that go back or double. A voter of the registers that forgets is
 * outside their fault model (`shared/protocol/agreement.md` §1.2), so that those
 * who vote at that moment are spared.
 */
const IMAGES: readonly FaultKind[] = ["clone", "putBack"];

/** Nodes that go for ever. */
const GOING: readonly FaultKind[] = ["leave", "remove"];

/** Nodes that go for ever in one life, at most. */
const GOING_MAX = 2;

/**
 * What a world has beside {@linkcode COMMON}. Nobody goes where disks are put
 * back: a member that has more than a removed node is known to have written must
 * begin anew (replication.md §5), which comes with the collection of tombstones.
 */
const OWN: readonly (readonly FaultKind[])[] = [
  IMAGES,
  ["join"],
  [...IMAGES, "join"],
  [...GOING, "join"],
];

/** All kinds of faults that scripts draw. */
export const FAULT_KINDS: readonly FaultKind[] = [
  ...new Set<FaultKind>([...COMMON, ...IMAGES, ...GOING, "join"]),
];

/** Draws a script. */
export function writeScript(options: ScriptOptions): Script {
  const { seed, nodes = 5, steps = STEPS, rate = RATE } = options;
  const random = new Prng(seed, "script");
  const quietAt = Math.max(2000, steps * 1000 / rate);
  const count = options.faults ??
    Math.max(4, Math.round(steps * SPARE_FAULTS / CALLS_PER_FAULT));
  const kinds = options.kinds ?? [...COMMON, ...pick(random, OWN)];
  const drawn = [...drawFaults(random, nodes, { kinds, count, quietAt })];
  const faults = [...numbered(nodes, drawn.sort((a, b) => a.at - b.at))];
  const all: Step[] = [
    ...drawCalls(random, nodes, { steps, rate, quietAt, faults }),
    ...drawForgetting(random.fork("forgetting"), nodes, { rate, quietAt }),
    ...faults,
  ].sort((a, b) => a.at - b.at);
  const names = shuffled(random, [...Array(nodes).keys()]);
  return {
    seed,
    nodes,
    world: drawWorld(random, steps),
    steps: all,
    quietAt,
    core: names.slice(0, Math.min(nodes, 2 + random.below(nodes))),
  };
}

/** Whether a step is a fault. */
export function isFault(step: Step): step is FaultStep {
  return "fault" in step;
}

/**
 * The options of a world. A long life has more data: its copies are given faster, so
 * that one takes as long as in a life of {@linkcode STEPS} calls.
 */
function drawWorld(random: Prng, steps: number): WorldDraw {
  const size = Math.max(1, steps / STEPS);
  return {
    durability: random.chance(0.8) ? "synced" : "written",
    memtableBytes: pick(random, [16, 64, 8192]) * 1024,
    propagation: {
      // A second: what is acked, and nobody else has, is lost by many a fault.
      pushDelayMs: pick(random, [1, 20, 1000]),
      antiEntropyIntervalMs: pick(random, [300, 1000, 2000]),
      logBytesMax: pick(random, [400, 20_000, 64 * 1024 * 1024]),
      copyBytesPerSecond: pick(random, [2000, 4000, 128 * 1024 * 1024]) * size,
      clusterGossipIntervalMs: pick(random, [500, 1000]),
      redialMaxMs: pick(random, [1000, 10_000]),
      votersMax: pick(random, [1, 3, 5]),
      voterGoneMs: pick(random, [3000, 60_000]),
      ...pick(random, [
        { keepaliveMs: 1000, idleTimeoutMs: 3000 },
        { keepaliveMs: 5000, idleTimeoutMs: 15_000 },
      ]),
      auditIntervalMs: pick(random.fork("audit"), [300, 2000, 10_000]),
      // In some lives connections are made on demand.
      connectionsMax: random.fork("connections").chance(0.25) ? 2 : 64,
      // In some lives writes that would lose wait before long.
      conflictsMax: pick(random.fork("conflicts"), [1, 4, 10_000]),
      maxOfflineMs: 3000,
      // In some lives nothing is pushed directly: records spread by rumours.
      directPeersMax: random.fork("gossip").chance(0.5) ? 0 : 16,
    },
  };
}

function* drawCalls(
  random: Prng,
  nodes: number,
  { steps, rate, quietAt, faults }: {
    steps: number;
    rate: number;
    quietAt: number;
    faults: readonly FaultStep[];
  },
): Generator<CallStep> {
  let values = 0;
  const joins = faults.filter(({ fault }) => fault === "join");
  const fashionMs = FASHION_CALLS * 1000 / rate;
  const key = (at: number) => drawKey(random, Math.floor(at / fashionMs));
  const op = (at: number): OpStep => {
    const name = key(at);
    if (random.chance(0.15)) return [name, 0, 0];
    const size = random.chance(0.05) ? random.below(4000) : random.below(40);
    return random.chance(0.05)
      ? [name, ++values, size, random.below(nodes)]
      : [name, ++values, size];
  };
  const ops = (at: number): OpStep[] => {
    const list = [op(at)];
    while (random.chance(0.3)) list.push(op(at));
    return list;
  };
  for (let i = 0; i < steps; i++) {
    // Some calls come in bursts, so that messages overtake each other.
    const slot = random.chance(0.3) ? i - i % 10 : i;
    const at = Math.round((slot + random.float()) * quietAt / steps * 10) / 10;
    // Those that joined have clients as all have.
    const joined = joins.filter((join) => join.at < at).length;
    const node = random.below(nodes + joined);
    const dice = random.float();
    if (dice < 0.55) yield { at, node, call: "write", ops: ops(at) };
    else if (dice < 0.65) yield { at, node, call: "swap", op: op(at) };
    else if (dice < 0.72) yield { at, node, call: "transact", ops: ops(at) };
    else if (dice < 0.96) {
      yield { at, node, call: "read", key: key(at) };
    } else if (dice < 0.995) {
      yield {
        at,
        node,
        call: "list",
        prefix: pick(random, ["", "s", "k1"]),
        reverse: random.chance(0.3),
        limit: random.chance(0.3) ? 1 + random.below(8) : 0,
      };
    } else if (dice < 0.997) yield { at, node, call: "catchUp" };
    else {
      yield {
        at,
        node,
        call: "watch",
        forMs: 1000 + random.below(9000),
        prefix: pick(random, ["", "", "s"]),
      };
    }
  }
}

/** Somebody looks after the conflicts of a node now and then. */
function* drawForgetting(
  random: Prng,
  nodes: number,
  { rate, quietAt }: { rate: number; quietAt: number },
): Generator<CallStep> {
  const pauseMs = FORGETTING_CALLS * 1000 / rate / nodes;
  for (let at = 0;;) {
    at += Math.round(2 * random.float() * pauseMs);
    if (at >= quietAt) return;
    yield { at, node: random.below(nodes), call: "forget" };
  }
}

/** Keys that stay, and keys that come into fashion together on all nodes. */
function drawKey(random: Prng, fashion: number): string {
  return random.chance(0.4)
    ? `s${random.below(12)}`
    : `k${fashion}-${random.below(5)}`;
}

function* drawFaults(
  random: Prng,
  nodes: number,
  { kinds, count, quietAt }: {
    kinds: readonly FaultKind[];
    count: number;
    quietAt: number;
  },
): Generator<FaultStep> {
  let deck: FaultKind[] = [];
  let going = 0;
  const joinedAt: number[] = [];
  for (let i = 0; i < count; i++) {
    if (deck.length === 0) deck = shuffled(random, kinds);
    // The first half of a second is for the joining.
    const at = Math.round(500 + random.float() * (quietAt - 1000));
    const forMs = Math.round(
      Math.min(quietAt - at, 200 + random.float() ** 2 * 12_000),
    );
    let kind = deck.pop()!;
    if (kind === "join" && joinedAt.length === JOINS_MAX) kind = "kill";
    if (GOING.includes(kind) && ++going > GOING_MAX) kind = "kill";
    // What joined so far, also what is joining just now, is hit like the rest.
    const joined = joinedAt.filter((joinAt) => joinAt <= at).length;
    const step = drawFault(random, nodes + joined, kind, { at, forMs });
    if (kind === "join") joinedAt.push(at);
    yield step;
  }
}

/** Numbers those that join, in their order. */
function* numbered(
  nodes: number,
  faults: readonly FaultStep[],
): Generator<FaultStep> {
  for (const step of faults) {
    yield step.fault === "join" ? { ...step, node: nodes++ } : step;
  }
}

function drawFault(
  random: Prng,
  count: number,
  fault: FaultKind,
  when: { at: number; forMs: number },
): FaultStep {
  const node = random.below(count);
  const other = (node + 1 + random.below(Math.max(1, count - 1))) % count;
  const nodes: Pair = [node, other];
  const all = shuffled(random, [...Array(count).keys()]);
  const side = all.slice(0, 1 + random.below(Math.max(1, count - 1)));
  const unsynced = pick(random, ["torn", "torn", "lost", "kept"] as const);
  switch (fault) {
    case "cut":
    case "cutOneWay":
    case "reset":
    case "halfOpen":
    case "corrupt":
      return { ...when, fault, nodes };
    case "partition":
      return { ...when, fault, side };
    case "bridge":
      return { ...when, fault, side, node };
    case "swizzle": {
      const others = all.filter((each) => each !== node);
      const order = others.slice(0, 1 + random.below(others.length));
      return { ...when, fault, node, order, back: shuffled(random, order) };
    }
    case "flap":
      return { ...when, fault, nodes, everyMs: 20 + random.below(500) };
    case "slowLink":
      return {
        ...when,
        fault,
        nodes,
        delayMs: random.below(400),
        jitterMs: random.below(200),
        bytesPerMs: pick(random, [1, 10, 1000]),
      };
    case "kill":
    case "killAtSync":
    case "killAtSlice":
      return { ...when, fault, node, unsynced };
    case "stall":
      return {
        ...when,
        fault,
        node,
        forMs: Math.min(when.forMs, 100 + random.below(9900)),
      };
    case "clockJump":
      return {
        ...when,
        fault,
        node,
        byMs: pick(random, [-3_600_000, -50_000, -500, 500, 50_000, 3_600_000]),
      };
    case "clockDrift":
      return { ...when, fault, node, drift: pick(random, [-0.1, 0.001, 0.1]) };
    case "killAtOpen":
      return { ...when, fault, node, afterMs: random.below(10) };
    case "putBack":
      return { ...when, fault, node, aloneMs: pick(random, [0, 300]) };
    case "syncFails":
      return { ...when, fault, node, times: pick(random, [1, 1_000_000]) };
    case "slowSync":
      return { ...when, fault, node, byMs: 10 + random.below(1000) };
    case "bitFlip":
    case "bitRot":
      return { ...when, fault, node, pick: random.below(1_000_000) };
    case "join":
      return { ...when, fault, node: 0, peers: side };
    case "clone":
      // Long enough to be met.
      return { ...when, fault, node, forMs: Math.max(when.forMs, 4000) };
    default:
      return { ...when, fault, node };
  }
}

function pick<T>(random: Prng, items: readonly T[]): T {
  return items[random.below(items.length)]!;
}

function shuffled<T>(random: Prng, items: readonly T[]): T[] {
  const left = [...items];
  const result: T[] = [];
  while (left.length > 0) {
    result.push(...left.splice(random.below(left.length), 1));
  }
  return result;
}
