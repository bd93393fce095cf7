/**
 * The nodes of a life: opened, killed, closed, moved, copied and put back, with
 * the oracle told of all that it must know.
 *
 * Guarantees: nodes run through the public `open`, over the default engine, which
 * is opened as `open` opens its own (`optionsIn`), but for its sizes; copies of
 * nodes have the one that `open` makes. What a killed node had on record
 * (conflicts, log) is read before it goes.
 *
 * @module
 */

import { type KV, Lsm, openLsm } from "../../engine/mod.ts";
import { optionsIn } from "../../engine/options.ts";
import { openReadOnly } from "../../engine/read_only.ts";
import { originNode } from "../../gossip/replication/dot.ts";
import { Vector } from "../../gossip/replication/vector.ts";
import {
  type DatabaseEvent,
  type DB,
  open,
  type OpenOptions,
} from "../../mod.ts";
import type { DiskImage, Unsynced } from "../../runtime/virtual/mod.ts";
import { sleep } from "../../runtime/time.ts";
import { text } from "./cluster.ts";
import { ConfigJudge } from "./configs.ts";
import { isTable, pickBit } from "./damage.ts";
import { isOfDisk, type Trouble } from "./excuses.ts";
import { Listening } from "./listening.ts";
import {
  conflictText,
  dbOf,
  DISK_ERROR_MS,
  forgetShown,
  isHindered,
  isStaying,
  type Life,
  type Member,
  type MembersOptions,
  peek,
  RETRY_MS,
} from "./member.ts";
import { Probes } from "./probes.ts";
import {
  configRow,
  conflictGap,
  hasSeat,
  type NodeState,
  readConflicts,
  readLog,
  readNamed,
  readState,
  readVector,
} from "./rows.ts";

/** Work of a slice of the engine, in bytes: small, as memtables are. */
const SLICE_BYTES = 16 * 1024;

/** What a slice takes, in ms: what a large one does on a machine. */
const SLICE_MS_MAX = 2;

/**
 * Calls and records that may wait for one node's apply loop: one that stood still
 * for ten seconds, and then waits for its disk, has all that was pushed meanwhile,
 * and once more what each pull brought. (The product bounds them by their bytes.)
 */
const WAITING_MAX = 4000;

/**
 * Records that came early and wait, at one node; and where some wait until conflicts
 * are forgotten, in which time all that builds on them comes, as many as `early.ts`
 * holds of both kinds.
 */
const HELD_MAX = 1000;
const HELD_ASIDE_MAX = 16_384 + 4096;

/** Conflicts that no life has standing at once. */
const CONFLICTS_ENOUGH = 10_000;

/** Sessions that a node gives at once: as `gossip/open.ts` has it. */
const SESSIONS_MAX = 2;

/** Timers set and portions of bytes under way, for each node. */
const PENDING_MAX = 200;

/** What an entry takes in a copy beside its key and value: its version, lease and frame. */
const ENTRY_BYTES = 64;

/** All nodes. */
export class Members {
  readonly all: Member[] = [];
  /** Whether directories were put back or copied: nothing is strange then. */
  images = false;
  readonly probes: Probes;
  readonly #options: MembersOptions;
  readonly #configs: ConfigJudge;
  readonly #listening: Listening;
  #areQuiet = false;

  /** Nodes in a world. */
  constructor(options: MembersOptions) {
    this.#options = options;
    this.probes = new Probes(options);
    this.#configs = new ConfigJudge(options.oracle);
    this.#listening = new Listening(this, options);
  }

  /** Whether nodes have too many others to be connected to all of them. */
  get areOnDemand(): boolean {
    const { connectionsMax = Infinity } = this.#options.draw.propagation;
    return this.all.length - 1 > connectionsMax;
  }

  /** Those that are up and not closing. */
  get up(): Member[] {
    return this.all.filter((member) => dbOf(member) !== undefined);
  }

  /** The node of a number; those of a shrunk script may have gaps. */
  at(index: number): Member | undefined {
    return this.all.find((member) => member.index === index);
  }

  /** Adds a node, that is not started yet. */
  add(index: number, ways: () => OpenOptions): Member {
    const member: Member = {
      index,
      name: String.fromCharCode(97 + index),
      port: 1,
      nodeKey: 0,
      ways,
      life: undefined,
      vector: new Vector(),
      covered: new Vector(),
      shown: new Map(),
      watched: undefined,
      doubled: false,
      cutShort: new Set(),
      discards: [],
      fate: undefined,
      seen: { epoch: 0, voters: "" },
      onSlice: undefined,
      hindrances: 0,
      hinderedAt: -Infinity,
      faultedAt: -Infinity,
      damagedAt: -Infinity,
    };
    this.all.push(member);
    return member;
  }

  /** Those that are, or are to become, members. */
  get staying(): Member[] {
    return this.all.filter(isStaying);
  }

  /** Whether nodes have gone for ever, or are about to. */
  get haveGone(): boolean {
    return this.all.some(({ fate }) => fate !== undefined);
  }

  /** Whether a node votes, as far as it knows. */
  votes(member: Member): boolean {
    const db = dbOf(member);
    if (db === undefined) return false;
    // One with a seat may have been named without having heard of it.
    return (peek(member.life!, hasSeat) ?? true) ||
      db.metrics().agreement.voters.includes(member.nodeKey);
  }

  /** Whether all know the same config, in which nothing is left to be done. */
  haveSettled(members: readonly Member[]): boolean {
    const seen = new Set(members.map((member) => {
      this.#judgeConfig(member, member.life!);
      const { epoch, settled, sealing } = dbOf(member)!.metrics().agreement;
      return settled && sealing.length === 0 ? epoch : -1;
    }));
    return seen.size === 1 && !seen.has(-1);
  }

  /** Where a node is reached. */
  address({ name, port }: Member): string {
    return `${name}:${port}`;
  }

  /** Whether a node joins by addresses all of which have passed away. */
  isAstray({ nodeKey, life }: Member): boolean {
    const peers = life?.ways.peers;
    if (nodeKey !== 0 || peers === undefined) return false;
    return !this.staying.some((member) => peers.includes(this.address(member)));
  }

  /** Starts a node that is down. Never rejects; resolves when it is up. */
  async start(member: Member): Promise<void> {
    if (member.life !== undefined || !isStaying(member)) return;
    const { world, oracle, coverage, draw } = this.#options;
    const runtime = world.runtime(member.name);
    const { full, failingSyncs } = world.disk(member.name).faults;
    const life: Life = {
      db: undefined,
      engine: undefined,
      faulted: full || failingSyncs > 0,
      damaged: false,
      mend: undefined,
      failed: false,
      closing: false,
      joining: member.nodeKey === 0 && member.index > 0,
      ways: member.ways(),
      watch: undefined,
      logRow: undefined,
      conflictRow: undefined,
      told: new Set(),
      untold: new Set(),
      allRead: false,
      reads: new Map(),
    };
    member.life = life;
    try {
      const options = optionsIn(runtime);
      const slices = world.random(`slices:${member.name}`);
      life.engine = await openLsm("/data", {
        ...options,
        sliceBytes: SLICE_BYTES,
        // Time passes with the work of a slice: others have their turn amid it.
        yieldNow: async () => {
          const { onSlice } = member;
          member.onSlice = undefined;
          onSlice?.();
          await sleep(runtime.timers, SLICE_MS_MAX * slices.float());
          await options.yieldNow!();
        },
        memtableBytes: draw.memtableBytes,
        tableBytes: Math.min(draw.memtableBytes / 2, 64 * 1024),
        levelBytes: 8 * draw.memtableBytes,
        onEvent: (event) => this.#listening.engineEvent(life, event),
      });
      if (member.life !== life) return;
      this.#judgeDisk(member, life);
      const db = await open("/data", {
        address: this.address(member),
        runtime,
        engine: life.engine,
        durability: draw.durability,
        propagation: draw.propagation,
        ...member.nodeKey === 0 && life.ways,
      });
      if (member.life !== life) return;
      life.db = db;
      const { key } = db.cluster.host;
      if (member.nodeKey !== 0 && key !== member.nodeKey) {
        oracle.violate("K1", `${member.name} came back as node ${key}`);
      }
      if (life.joining) coverage.path("snapshot");
      member.nodeKey = key;
      void this.#listening.readEvents(member, life, db);
      void this.#listening.watch(member, life, db);
    } catch (error) {
      if (member.life !== life) return;
      if (!isOfDisk(error, life)) {
        oracle.violate("E1", `${member.name} could not be opened: ${error}`);
      }
      coverage.path("poisoned");
      this.kill(member, "kept");
      world.schedule(RETRY_MS, () => void this.start(member));
    }
  }

  /** Reads the conflicts that a node has on record, and forgets those. */
  async forgetConflicts(db: DB): Promise<void> {
    const { oracle, coverage } = this.#options;
    let last = 0;
    for await (const { number, key, lost } of db.conflicts()) {
      const { version, value } = lost;
      oracle.reports(text(key), { version, value: text(value) }, "a record");
      if (number <= last) oracle.violate("B1", `conflict ${number} comes late`);
      last = number;
      coverage.path("forgotten");
    }
    await db.forgetConflicts(last);
  }

  /** From now on conflicts are forgotten as they come: nothing is to wait. */
  quiet(): void {
    this.#areQuiet = true;
    for (const { life } of this.up) this.forgetQuietly(life!);
  }

  /** The end of a node, or of its disk, is told elsewhere. */
  forgetQuietly(life: Life): void {
    const { db } = life;
    if (!this.#areQuiet || db === undefined || life.closing) return;
    const { oracle, world } = this.#options;
    this.forgetConflicts(db).catch((error) => {
      if (life.closing || life.failed) return;
      if (isOfDisk(error, life)) {
        world.schedule(RETRY_MS, () => this.forgetQuietly(life));
        return;
      }
      oracle.violate(
        "E1",
        `conflicts are not forgotten: ${error}`,
      );
    });
  }

  /** Ends a node at once. */
  kill(member: Member, unsynced: Unsynced): void {
    const { world, draw } = this.#options;
    const { life } = member;
    if (life === undefined) return;
    this.harvest(member);
    const lossy = draw.durability === "written" && unsynced !== "kept";
    member.covered = this.#covered(member, life);
    if (lossy) this.discard(member, member.covered);
    this.#down(member, life);
    world.kill(member.name, { unsynced });
  }

  /** Closes a node in order. */
  async close(member: Member): Promise<void> {
    const { life } = member;
    if (life?.db === undefined || life.closing) return;
    const { world, oracle } = this.#options;
    life.closing = true;
    this.harvest(member);
    const started = world.now;
    try {
      await life.db.close();
      // It cannot be read any more while it closes.
      if (member.life === life) this.harvest(member);
      await life.engine!.close();
    } catch (error) {
      if (!isOfDisk(error, life)) {
        oracle.violate("E1", `${member.name} could not be closed: ${error}`);
      }
    }
    if (member.life !== life) return;
    if (world.now - started > 30_000 && !isHindered(member, started)) {
      oracle.violate("D1", `${member.name} took half a minute to close`);
    }
    this.#down(member, life);
    // What a process closed in order is the system's to write.
    world.kill(member.name, { unsynced: "kept" });
  }

  /** The first image of a disk that is known to be whole. */
  image(member: Member): DiskImage | undefined {
    if (member.life?.damaged) return undefined;
    return dbOf(member) && this.#options.world.disk(member.name).image();
  }

  /** Puts an image back. */
  putBack(member: Member, image: DiskImage): void {
    this.images = true;
    member.doubled = true;
    if (member.life !== undefined) {
      this.harvest(member);
      this.discard(member, this.#covered(member, member.life));
      this.#down(member, member.life);
      this.#options.world.kill(member.name, { unsynced: "lost" });
    } else {
      const before = member.covered.clone();
      before.join(member.vector);
      this.discard(member, before);
    }
    this.#options.world.disk(member.name).restore(image);
    // Not known before it is opened.
    member.vector = new Vector();
    forgetShown(member);
  }

  /**
   * Opens a copy of a node's directory beside it, with an engine of its own as
   * users have it. After a while it ends: every other copy in order.
   */
  async clone(member: Member, forMs: number): Promise<void> {
    const image = this.image(member);
    if (image === undefined) return;
    const { world, oracle, draw } = this.#options;
    this.images = true;
    member.doubled = true;
    const number = this.probes.number();
    const name = `${member.name}x${number}`;
    const inOrder = number % 2 === 0;
    world.disk(name).restore(image);
    let db: DB | undefined;
    const end = async () => {
      try {
        if (inOrder) await db?.close();
      } catch (error) {
        oracle.violate(
          "E1",
          `a copy of ${member.name} was not closed: ${error}`,
        );
      }
      const before = this.#readDisk(name);
      this.discard(undefined, before);
      world.kill(name, { unsynced: "lost" });
    };
    world.schedule(forMs, () => void end());
    try {
      db = await open("/data", {
        address: `${name}:1`,
        runtime: world.runtime(name),
        propagation: draw.propagation,
      });
      for await (const event of db.events() as AsyncIterable<DatabaseEvent>) {
        this.#listening.databaseEvent(event);
      }
    } catch (error) {
      oracle.violate("E1", `a copy of ${member.name} failed: ${error}`);
    }
  }

  /** What a disk that is in use covers; the conflicts on it are reported. */
  #readDisk(name: string): Vector {
    const { world } = this.#options;
    const reader = `${name}r`;
    world.disk(reader).restore(world.disk(name).image());
    const { files } = world.runtime(reader);
    const engine = new Lsm(openReadOnly("/data", { files }), undefined);
    this.#readReports(engine);
    const vector = readVector(engine);
    void engine.close();
    world.kill(reader);
    return vector;
  }

  /** Something is about to keep a node from answering in time. */
  hinder(member: Member, { disk = false } = {}): void {
    member.hindrances++;
    if (!disk) return;
    if (member.life !== undefined) member.life.faulted = true;
  }

  /** It has passed. */
  unhinder(member: Member, { disk = false } = {}): void {
    member.hindrances--;
    member.hinderedAt = this.#options.world.now;
    if (disk) this.#expectHealth(member, member.life);
  }

  /** What was wrong with any disk since then: callers elsewhere may be told. */
  troubleSince(since: number): Trouble {
    return {
      faulted: this.all.some(({ life, faultedAt }) =>
        life?.faulted || faultedAt >= since
      ),
      damaged: this.all.some(({ life, damagedAt }) =>
        life?.damaged || damagedAt >= since
      ),
    };
  }

  /**
   * Flips a bit of a table under a node that runs, if it has one; whether it has.
   *
   * @param pick Which bit, counted over all tables and around.
   */
  rot(member: Member, pick: number): boolean {
    const { life } = member;
    if (life === undefined || dbOf(member) === undefined) return false;
    if (life.failed || life.damaged) return false;
    const disk = this.#options.world.disk(member.name);
    const bit = pickBit(disk, pick, isTable);
    if (bit === undefined) return false;
    life.damaged = true;
    life.mend = disk.flip(bit.path, bit.offset, bit.mask);
    return true;
  }

  /** The bit is what it was, unless that happened before: when the node went down. */
  mend(member: Member, life: Life): void {
    if (life.mend === undefined) return;
    life.mend();
    life.mend = undefined;
    this.#expectHealth(member, life);
  }

  /** After a while an engine that has not failed by then has no reason to. */
  #expectHealth(member: Member, life: Life | undefined): void {
    this.#options.world.schedule(DISK_ERROR_MS, () => {
      if (life === undefined || life !== member.life || life.failed) return;
      // What was under way is later where it stands still, or has a slow disk.
      if (member.hindrances > 0 || life.mend) {
        this.#expectHealth(member, life);
      } else life.faulted = life.damaged = false;
    });
  }

  /** Whether nodes are up and cover the same. */
  vectorsAgree(members: readonly Member[]): boolean {
    let first: Vector | undefined;
    for (const member of members) {
      const { life } = member;
      if (dbOf(member) === undefined || life!.failed) return false;
      const vector = peek(life!, readVector);
      if (vector === undefined) return false;
      first ??= vector;
      if (!first.includes(vector) || !vector.includes(first)) return false;
    }
    return true;
  }

  /** How many origins the vector of a node names; `undefined` if it is not up. */
  namedOrigins({ life }: Member): number | undefined {
    if (life?.db === undefined || life.failed) return undefined;
    return peek(life, (engine) => readNamed(engine).size);
  }

  /** About what a copy of the entries of a node takes, in bytes; 0 if it is down. */
  entryBytes(member: Member): number {
    const { life } = member;
    if (life === undefined || dbOf(member) === undefined) return 0;
    let bytes = 0;
    for (const [key, { value = "" }] of peek(life, readState)?.rows ?? []) {
      bytes += key.length + value.length + ENTRY_BYTES;
    }
    return bytes;
  }

  /** Reads what a node has on record, and judges its state. */
  inspect(member: Member): NodeState | undefined {
    const { life } = member;
    const db = dbOf(member);
    if (life === undefined || db === undefined || life.failed) return undefined;
    const { oracle, coverage, draw } = this.#options;
    this.harvest(member);
    const state = peek(life, readState);
    if (state === undefined) return undefined;
    const gap = peek(life, conflictGap);
    if (gap !== undefined) {
      const what = `${member.name} has lost reports of conflicts: ${gap}`;
      oracle.violate("I2", what);
    }
    oracle.inspects(member.name, state);
    const {
      heldRecords,
      logBytes,
      logRecords,
      waiting,
      sessionsOpen,
      agreement: { epoch, voters, sealing },
    } = db.metrics();
    coverage.path("held", heldRecords);
    if (epoch < member.seen.epoch && !this.images) {
      oracle.violate("A1", `${member.name} has forgotten a config`);
    }
    this.#judgeConfig(member, life);
    if (epoch > member.seen.epoch) {
      coverage.path("electorate", voters.join() === member.seen.voters ? 0 : 1);
    }
    member.seen = { epoch, voters: voters.join() };
    coverage.path("sealing", sealing.length);
    const { logBytesMax = Infinity, conflictsMax = CONFLICTS_ENOUGH } =
      draw.propagation;
    const heldMax = conflictsMax < CONFLICTS_ENOUGH ? HELD_ASIDE_MAX : HELD_MAX;
    if (logRecords > 1 && logBytes > logBytesMax + 16 * 1024) {
      oracle.violate("B1", `the log of ${member.name} has ${logBytes} bytes`);
    }
    if (
      waiting > WAITING_MAX || heldRecords > heldMax ||
      sessionsOpen > SESSIONS_MAX
    ) {
      oracle.violate(
        "B1",
        `${member.name}: ${waiting} wait, ${heldRecords} are held, ${sessionsOpen} sessions are open`,
      );
    }
    const { pending } = this.#options.world;
    if (pending > PENDING_MAX * this.all.length) {
      oracle.violate("B1", `${pending} timers and messages are under way`);
    }
    return state;
  }

  /** Reads what would be gone with a node. */
  harvest(member: Member): void {
    const { life } = member;
    if (life?.engine === undefined || life.failed) return;
    const { engine } = life;
    try {
      member.vector = readVector(engine);
      this.#readReports(engine, life);
      const { records, last } = readLog(engine, life.logRow);
      life.logRow = last;
      for (const record of records) {
        this.#options.oracle.sees(record, member.name);
      }
    } catch (error) {
      if (!life.closing && !isOfDisk(error, life)) throw error;
    }
  }

  /**
   * What a node covers, also one whose engine has failed since it was last looked
   * at: what it acked before that may go with what was not synced.
   */
  #covered(member: Member, { engine, failed }: Life): Vector {
    if (engine === undefined) {
      // It was never opened: its disk has what the life before left.
      const covered = member.covered.clone();
      covered.join(member.vector);
      return covered;
    }
    if (!failed) return member.vector;
    try {
      const covered = readVector(engine);
      covered.join(member.vector);
      return covered;
    } catch {
      // It cannot even be read: only what was seen before is known.
      return member.vector;
    }
  }

  /** What a disk, or a copy that was in use, had is gone. */
  discard(member: Member | undefined, before: Vector): void {
    const others = new Vector();
    const { draw } = this.#options;
    for (const other of this.all) {
      if (other === member) continue;
      // Who has gone for ever keeps nothing for the others.
      if (other.fate === "lost" || other.fate === "gone") continue;
      this.harvest(other);
      // What a killed node had written but not synced may be gone with it.
      if (other.life !== undefined || draw.durability === "synced") {
        others.join(other.vector);
      }
    }
    const discard = { before, after: new Vector(), others };
    this.#options.oracle.discard(discard);
    member?.discards.push(discard);
    for (const origin of before.origins()) member?.cutShort.add(origin);
    if (!others.includes(before)) this.#options.coverage.path("discard");
  }

  /** Who was up when two writes met has told of what lost, not only noted it. */
  judgeReports(members: readonly Member[]): void {
    for (const member of members) {
      this.harvest(member);
      for (const conflict of member.life?.untold ?? []) {
        const what = `${member.name} has told nobody of ${conflict}`;
        this.#options.oracle.violate("I2", what);
      }
    }
  }

  /** Of what a node has written others have nothing that it does not have itself. */
  judgeLeaks(): void {
    for (const member of this.all) {
      const { life } = member;
      if (dbOf(member) === undefined || life!.failed) continue;
      const own = peek(life!, readVector);
      if (own !== undefined) this.#judgeLeaks(member, own, "covers");
    }
  }

  #judgeLeaks(member: Member, own: Vector, verb: string): void {
    const { nodeKey, doubled, cutShort, name } = member;
    if (nodeKey === 0 || doubled) return;
    for (const other of this.all) {
      if (other === member) continue;
      for (const origin of other.vector.origins()) {
        if (originNode(origin) !== nodeKey || cutShort.has(origin)) continue;
        const seq = other.vector.seq(origin);
        if (own.covers(origin, seq)) continue;
        this.#options.oracle.violate(
          "N1",
          `${other.name} covers ${origin}.${seq}, but ${name}, which wrote it, ` +
            `${verb} no more than ${own.seq(origin)} of it`,
        );
      }
    }
  }

  /** What nodes that run say of each other, where it is not that they live. */
  doubts(): string[] {
    const up = this.staying.filter((member) => dbOf(member) !== undefined);
    return up.flatMap((member) => {
      const nodes = dbOf(member)!.cluster.nodes();
      return up.flatMap(({ nodeKey, name }) => {
        const state = nodes.get(nodeKey)?.state;
        return state === "healthy" ? [] : [`${member.name}: ${name} ${state}`];
      });
    });
  }

  /**
   * What a disk has when a node is started on it: batches whole, vectors true,
   * and of what the node showed before it went down all that no fault took away.
   */
  #judgeDisk(member: Member, life: Life): void {
    const { oracle } = this.#options;
    const state = readState(life.engine!);
    this.#judgeConfig(member, life);
    oracle.inspects(`the disk of ${member.name}`, state);
    if (member.discards.length > 0) forgetShown(member);
    else {
      if (!state.vector.includes(member.vector)) {
        oracle.violate(
          "I6",
          `${member.name} does not cover what it covered before it went down`,
        );
      }
      for (const other of this.all) {
        if (other !== member) this.harvest(other);
      }
      this.#judgeLeaks(member, state.vector, "has kept");
    }
    for (const discard of member.discards) discard.after = state.vector;
    member.discards = [];
    member.vector = state.vector;
    member.covered = state.vector;
  }

  /** Judges the configs that nodes know now: they are gone with the next ones. */
  judgeConfigs(): void {
    for (const member of this.all) {
      const { life } = member;
      if (life?.engine === undefined || life.failed || life.closing) continue;
      this.#judgeConfig(member, life);
    }
  }

  #judgeConfig(member: Member, life: Life): void {
    const row = peek(life, configRow);
    if (row !== undefined) this.#configs.judge(member.name, row);
  }

  #down(member: Member, life: Life): void {
    const { coverage, world } = this.#options;
    if (life.faulted) member.faultedAt = world.now;
    if (life.damaged) member.damagedAt = world.now;
    // There is no repair from peers yet: somebody puts the bit right meanwhile.
    life.mend?.();
    life.mend = undefined;
    if (life.db !== undefined) {
      const {
        recordsApplied,
        pulls,
        sessionsTaken,
        copiesTaken,
        copiesResumed,
        sessionPausesMs,
        detection,
        spread,
        tombstonesCollected,
        audit,
        foldedOrigins,
      } = life.db.metrics();
      coverage.path("audited", audit.same);
      coverage.path("folded", foldedOrigins);
      coverage.path("collected", tombstonesCollected);
      coverage.path("record", recordsApplied);
      coverage.path("rumour", spread?.extraBytes);
      coverage.path("pull", pulls);
      coverage.path("suspected", detection.suspected);
      coverage.path("died", detection.died);
      coverage.path("refuted", detection.refuted);
      coverage.path("deltaSession", sessionsTaken - copiesTaken);
      coverage.path("copyResumed", copiesResumed);
      coverage.path("paced", sessionPausesMs > 0 ? 1 : 0);
    }
    coverage.path("coalesced", life.watch?.coalesced);
    member.life = undefined;
    this.#options.onDown(life);
  }

  #readReports(engine: KV, life?: Life): void {
    const { conflicts, last } = readConflicts(engine, life?.conflictRow);
    if (life !== undefined) life.conflictRow = last;
    for (const { key, kept, lost } of conflicts) {
      this.#options.oracle.reports(key, lost, "a log");
      const name = conflictText(key, kept, lost.version);
      if (life?.allRead && !life.told.has(name)) life.untold.add(name);
    }
  }
}
