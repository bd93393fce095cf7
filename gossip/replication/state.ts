/**
 * What a replica knows of itself, in memory: the mirror of its durable rows,
 * moved on only after they are durable.
 *
 * ```
 * counters := u8 version (1) | varint clock | varint lifeGone | varint lifeFloor
 *             u8 caughtUp | varint conflictNumber | u8 bank
 *             varint conflictsForgotten | later fields, ignored
 * floor    := vector
 * ```
 * A row without `conflictsForgotten` is of a release that kept the newest
 * {@linkcode CONFLICTS_KEPT_BEFORE} reports and dropped the others.
 *
 * @module
 */

import {
  type Bytes,
  FormatVersionError,
  isPromise,
  type Random,
  Reader,
  Writer,
} from "../../runtime/mod.ts";
import type { BatchOp, KV } from "../../engine/kv.ts";
import {
  type Bank,
  foldOfKey,
  metaKey,
  originOfVectorKey,
  Space,
  spacePrefix,
} from "../keyspace.ts";
import { AuditSums } from "./audit_sums.ts";
import type { makeOrigin, Origin } from "./dot.ts";
import { Folds, readFold } from "./fold.ts";
import { OwnIncarnation } from "./incarnation.ts";
import { RecentLog } from "./log.ts";
import { Vector } from "./vector.ts";

/** Reports of conflicts that were kept before they went by being forgotten only. */
const CONFLICTS_KEPT_BEFORE = 10_000;

/** Durable numbers of a replica. */
export interface Counters {
  /** The highest hlc issued or adopted. */
  clock: number;
  /** The highest life of a tombstone collected here, or by a session's donor. */
  lifeGone: number;
  /** The highest life of a tombstone that every member has. */
  lifeFloor: number;
  /** Whether this state is a whole copy; if not, it is void. */
  caughtUp: boolean;
  /** The number of the newest conflict report. */
  conflictNumber: number;
  /** The reports up to this number are forgotten; those above it stand. */
  conflictsForgotten: number;
  /** Where the copy of the data is that counts. */
  bank: Bank;
}

/** Who writes: this node, in this start. */
export interface Writership {
  /** The node key. */
  readonly nodeKey: number;
  /** Which start of the node this is. */
  readonly generation: number;
  /** Random bytes of this start, 8. */
  readonly nonce: Uint8Array;
  /** The tenure in which it leads: 1 until tenures are in use. */
  readonly tenure: number;
}

/** The state of one replica. */
export class ReplicaState implements Counters {
  readonly nodeKey: number;
  readonly tenure: number;
  readonly #writer: Writership;
  readonly #random: Random;
  readonly #logBytesMax: number;
  log: RecentLog;
  /** Made anew by {@linkcode ReplicaState.load}, which knows its birth. */
  incarnation: OwnIncarnation;
  /** The folds that are known here. */
  readonly folds: Folds = new Folds();
  vector: Vector = new Vector(this.folds);
  clock = 0;
  lifeGone = 0;
  lifeFloor = 0;
  caughtUp = false;
  conflictNumber = 0;
  conflictsForgotten = 0;
  bank: Bank = 0;
  /** Which records every member has, as far as is known here for ever. */
  floor: Vector = new Vector(this.folds);
  /** The origin of this start, once it has committed something. */
  origin: Origin | undefined;
  /** What the living entries come to, of the bank that counts. */
  readonly sums: AuditSums = new AuditSums();

  constructor(writer: Writership, random: Random, logBytesMax: number) {
    this.nodeKey = writer.nodeKey;
    this.tenure = writer.tenure;
    this.#writer = writer;
    this.#random = random;
    this.#logBytesMax = logBytesMax;
    this.log = this.emptyLog(this.bank);
    this.incarnation = this.#begin();
  }

  /** Reads the durable rows. */
  async load(kv: KV): Promise<void> {
    const row = await kv.get(metaKey("counters"));
    if (row !== undefined) Object.assign(this, decodeCounters(row));
    const floor = await kv.get(metaKey("floor"));
    if (floor !== undefined) {
      this.floor = Vector.decode(floor).readAs(this.vector);
    }
    await forEachRow(kv, Space.FOLD, (key, row) => {
      this.folds.add(readFold(foldOfKey(key), row));
    });
    await forEachRow(kv, Space.VECTOR + this.bank, (key, row) => {
      this.vector.decodeOrigin(originOfVectorKey(key), row);
    });
    this.log = this.emptyLog(this.bank);
    await this.log.load(kv);
    this.log.giveUp(kv);
    this.incarnation = this.#begin();
  }

  /** A log without records, which begins behind all positions there were. */
  emptyLog(bank: Bank, position?: number): RecentLog {
    return new RecentLog(this.#logBytesMax, bank, position);
  }

  /**
   * Draws the origin of this start. An origin of an earlier start is never
   * continued: its last records may be gone from this disk, and known elsewhere.
   */
  openOrigin(make: typeof makeOrigin): Origin {
    do {
      this.origin = make(this.nodeKey, this.#random.u32(), 0);
    } while (this.vector.seq(this.origin) > 0);
    return this.origin;
  }

  #begin(): OwnIncarnation {
    const { nodeKey: node, generation, nonce } = this.#writer;
    return new OwnIncarnation({ node, generation, nonce }, this.vector);
  }
}

async function forEachRow(
  kv: KV,
  space: number,
  take: (key: Uint8Array, row: Uint8Array) => void,
): Promise<void> {
  const rows = kv.iterate({ prefix: spacePrefix(space) });
  try {
    for (;;) {
      const more = rows.next();
      if (!(isPromise(more) ? await more : more)) return;
      take(rows.key, rows.value);
    }
  } finally {
    await rows.close();
  }
}

/** The counters of a state, as a copy. */
export function countersOf(state: Counters): Counters {
  const { clock, lifeGone, lifeFloor, caughtUp, bank } = state;
  const { conflictNumber, conflictsForgotten } = state;
  return {
    clock,
    lifeGone,
    lifeFloor,
    caughtUp,
    conflictNumber,
    conflictsForgotten,
    bank,
  };
}

/** How many reports of conflicts stand. */
export function conflictsStanding(
  { conflictNumber, conflictsForgotten }: Pick<
    Counters,
    "conflictNumber" | "conflictsForgotten"
  >,
): number {
  return conflictNumber - conflictsForgotten;
}

/** The row of the counters. */
export function encodeCounters(counters: Counters): Bytes {
  return new Writer(48).u8(1).varint(counters.clock)
    .varint(counters.lifeGone).varint(counters.lifeFloor)
    .u8(counters.caughtUp ? 1 : 0).varint(counters.conflictNumber)
    .u8(counters.bank).varint(counters.conflictsForgotten).finish();
}

/** Reads the row of the counters. */
export function decodeCounters(row: Uint8Array): Counters {
  const reader = new Reader(row, "the counters");
  const version = reader.u8();
  if (version !== 1) throw new FormatVersionError("counters", version, 1);
  const counters = {
    clock: reader.varint(),
    lifeGone: reader.varint(),
    lifeFloor: reader.varint(),
    caughtUp: reader.u8() === 1,
    conflictNumber: reader.varint(),
    bank: readBank(reader),
  };
  const { conflictNumber } = counters;
  const conflictsForgotten = reader.remaining === 0
    ? Math.max(0, conflictNumber - CONFLICTS_KEPT_BEFORE)
    : reader.varint();
  if (conflictsForgotten > conflictNumber) {
    reader.fail(
      `conflicts up to ${conflictsForgotten} of ${conflictNumber} are forgotten`,
    );
  }
  return { ...counters, conflictsForgotten };
}

function readBank(reader: Reader): Bank {
  const bank = reader.u8();
  if (bank !== 0 && bank !== 8) reader.fail(`its bank is ${bank}`);
  return bank;
}

/** What makes a floor durable. */
export function floorOp(floor: Vector): BatchOp {
  return { key: metaKey("floor"), value: floor.encode() };
}
