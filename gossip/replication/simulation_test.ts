/**
 * The replication model (`protocol/replication.md`) run with real replicas,
 * donors, pulls and pushes: a seed decides every step of a schedule of writes,
 * syncs, deliveries, losses, repeats, crashes, old disk images and clock errors;
 * then faults stop, everything is exchanged, and the nodes are compared.
 *
 * What the checker knows and no rule reads: which write was built upon which.
 */

import {
  EMPTY_BYTES,
  Reader,
  toBytes,
  toHex,
  toText,
  UnreachableError,
} from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import {
  type Bank,
  indexKey,
  metaKey,
  originOfVectorKey,
  Space,
  spacePrefix,
  vectorKey,
} from "../keyspace.ts";
import type { Clash } from "./conflict.ts";
import { Donor } from "./donor.ts";
import { type Origin, originText } from "./dot.ts";
import { type Applied, NotLeaseholderError } from "./draft.ts";
import { compareEntries, decodeEntry, type Entry } from "./entry.ts";
import { decodePull, decodePullReply, decodeRecords } from "./messages.ts";
import { Pull } from "./pull.ts";
import { Push } from "./push.ts";
import type { LogRecord } from "./record.ts";
import { Replica } from "./replica.ts";
import { decodeOffer } from "./session.ts";
import { decodeCounters } from "./state.ts";
import {
  AbandoningKV,
  HandClock,
  HandKV,
  HandTimers,
  turns,
  writeCounters,
} from "./world_test.ts";

/** A broken promise. */
export class Violation extends Error {
  constructor(readonly kind: string, detail: string) {
    super(`${kind}: ${detail}`);
  }
}

/** A write as the checker knows it: one entry of one record. */
interface Write {
  readonly entry: Entry;
  /** Its bit among the writes of its key, and those it was built upon. */
  readonly bit: number;
  readonly known: number;
}

interface Message {
  readonly from: SimNode;
  readonly to: SimNode;
  readonly toStart: number;
  readonly what: string;
  deliver(): void;
  lose?: () => void;
}

const WRITES_PER_KEY_MAX = 30;

/** What a piece of a session takes: one entry or two. */
const PIECE_BYTES = 60;

class SimNode {
  kv: HandKV;
  readonly clock = new HandClock();
  replica!: Replica;
  donor!: Donor;
  pull!: Pull;
  push!: Push;
  timers = new HandTimers();
  /** Those that end sessions nobody asks for. */
  idle = new HandTimers();
  alive = false;
  /** The process is about to die: nothing of it is heard any more. */
  mute = false;
  start = 0;
  skewMs = 0;
  restored = false;
  /** It has not yet had its first copy. */
  void = false;
  image: HandKV["durable"] | undefined;
  /** What stands, per key, as the listener was told. */
  mirror = new Map<string, Entry>();

  constructor(readonly id: number) {
    this.kv = this.newKv();
  }

  /** Every other node's engine lets go of what is abandoned. */
  newKv(rows?: HandKV["durable"]): HandKV {
    const Engine = this.id % 2 === 0 ? AbandoningKV : HandKV;
    return new Engine(false, rows);
  }
}

export interface ScheduleResult {
  readonly violation: Violation | undefined;
  readonly trace: readonly string[];
  readonly figures: Figures;
}

/** What happened, to see that schedules meet what they are for. */
export interface Figures {
  acked: number;
  conflicts: number;
  sessions: number;
  resumed: number;
  restarts: number;
  restored: number;
  records: number;
}

/** One schedule. */
class Simulation {
  readonly #random: Prng;
  readonly #nodes: SimNode[] = [];
  readonly #keys: string[] = [];
  readonly #writes = new Map<string, Write>();
  readonly #counts = new Map<string, number>();
  readonly #contents = new Map<string, string>();
  readonly #records: LogRecord[] = [];
  readonly #acked: string[] = [];
  readonly #reported = new Set<string>();
  readonly trace: string[] = [];
  readonly figures: Figures = {
    acked: 0,
    conflicts: 0,
    sessions: 0,
    resumed: 0,
    restarts: 0,
    restored: 0,
    records: 0,
  };
  #net: Message[] = [];
  readonly #asked = new Set<{ to: SimNode; lose: () => void }>();
  #ms = 1_800_000_000_000;
  #loss = 0;
  #repeat = 0;
  #logBytes = 0;
  #values = 0;
  #second = 0;
  #broken: Violation | undefined;
  #steps: number;

  constructor(readonly seed: number) {
    this.#random = new Prng(seed, "schedule");
    this.#steps = this.#range(25, 70);
  }

  #range(low: number, high: number): number {
    return low + Math.floor(this.#random.float() * (high - low + 1));
  }
  #chance(p: number): boolean {
    return this.#random.float() < p;
  }
  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random.float() * from.length)]!;
  }
  #live(): SimNode[] {
    return this.#nodes.filter((node) => node.alive);
  }
  #fail(kind: string, detail: string): void {
    this.#broken ??= new Violation(kind, detail);
  }

  async run(): Promise<Violation | undefined> {
    const nodes = this.#range(2, 4);
    for (let k = this.#range(1, 3); k > 0; k--) this.#keys.push(`k${k}`);
    this.#loss = this.#chance(0.5) ? 0 : this.#random.float() * 0.4;
    this.#repeat = this.#chance(0.5) ? 0 : this.#random.float() * 0.4;
    this.#logBytes = this.#chance(0.4) ? 100_000 : this.#range(1, 500);
    const images = this.#chance(0.5);
    const joiner = this.#chance(0.2);
    for (let id = 1; id <= nodes; id++) {
      const node = new SimNode(id);
      this.#nodes.push(node);
      node.void = joiner && id === nodes;
      writeCounters(node.kv, !node.void);
      await this.#open(node);
    }
    for (let i = 0; i < this.#steps && !this.#broken; i++) {
      this.#ms += this.#range(0, 2);
      await this.#step(images);
      await turns(20);
    }
    if (!this.#broken) await this.#heal();
    return this.#broken;
  }

  async #step(images: boolean): Promise<void> {
    const dice = this.#random.float() * 100;
    const live = this.#live();
    if (dice < 33) return this.#deliver();
    if (live.length === 0 || dice > 95.5) {
      return await this.#restart(this.#pick(this.#nodes));
    }
    const node = this.#pick(live);
    if (dice < 53) this.#write(node);
    else if (dice < 67) node.kv.finish();
    else if (dice < 71.5) node.timers.fire();
    else if (dice < 72) node.idle.fire();
    else if (dice < 84) {
      const other = this.#pick(this.#nodes);
      if (other !== node) this.#pullFrom(node, other);
    } else if (dice < 88) await this.#crash(node);
    else if (dice < 89) {
      node.skewMs = this.#chance(0.5)
        ? this.#range(-1000, 1000)
        : this.#range(-3, 3);
      this.#tick();
    } else if (images && dice < 92) {
      node.image = node.kv.durable;
      this.#say(`n${node.id} has its disk copied`);
    } else if (images) await this.#putBack(node);
  }

  #say(line: string): void {
    this.trace.push(line);
  }

  #tick(): void {
    for (const node of this.#nodes) node.clock.ms = this.#ms + node.skewMs;
  }

  async #open(node: SimNode): Promise<void> {
    node.start++;
    const start = node.start;
    const current = () => node.alive && node.start === start && !node.mute;
    const random = new Prng(this.seed, `node ${node.id} ${start}`);
    node.timers = new HandTimers();
    node.idle = new HandTimers();
    this.#tick();
    node.replica = await Replica.open({
      kv: node.kv,
      clock: node.clock,
      random,
      nodeKey: node.id,
      generation: start,
      nonce: new Uint8Array(8).fill(start),
      tenure: 1,
      sync: true,
      logBytesMax: this.#logBytes,
      renew: () => ({
        generation: start,
        nonce: random.fill(new Uint8Array(8)),
        ops: [],
      }),
      listener: {
        applied: (applied) => this.#applied(node, applied),
        clashed: (clashes) => this.#clashed(clashes),
        full: () => {},
        skewed: () => {},
        failed: (error) => this.#fail("failed", String(error)),
      },
    });
    node.donor = new Donor({
      replica: node.replica,
      random,
      // Small pieces, and never a pause: copies break off in between.
      clock: { monotonic: () => this.#second += 1e6 },
      bytesPerSecond: PIECE_BYTES * 10,
      timers: node.idle,
      sessionsMax: 2,
      idleMs: 1,
      cluster: () => ({ config: EMPTY_BYTES, incarnations: [] }),
    });
    node.pull = new Pull({
      replica: node.replica,
      timers: node.timers,
      random,
      intervalMs: 1,
      candidates: () => [],
      request: (to, type, payload) =>
        this.#request(node, this.#nodes[to - 1]!, type, payload),
      configEpoch: () => 1,
      adopt: () => Promise.resolve(),
      began: ({ resumed }) => this.figures.resumed += resumed ? 1 : 0,
      failed: () => {},
    });
    node.push = new Push({
      timers: node.timers,
      // The node's own is set wrong at times, also back.
      clock: { monotonic: () => this.#ms },
      delayMs: 1,
      broadcast: (message) => {
        if (!current()) return;
        for (const { origin, seq } of decodeRecords(message).records) {
          this.#mustBeDurable(node, origin, seq, "pushes");
        }
        for (const to of this.#nodes) {
          if (to !== node) this.#sendRecords(node, to, message);
        }
      },
    });
    node.alive = true;
    node.mute = false;
  }

  // ---- the network

  #send(message: Omit<Message, "toStart">): void {
    if (message.from.mute || !message.from.alive) return;
    this.#net.push({ ...message, toStart: message.to.start });
  }

  #sendRecords(from: SimNode, to: SimNode, payload: Uint8Array): void {
    const deliver = () => {
      const { heads, records } = decodeRecords(payload);
      const taken = records.map((each) => to.replica.receive(each));
      Promise.all(taken).then(() => {
        const missing = heads.some(({ origin, seq }) =>
          !to.replica.vector.covers(origin, seq)
        );
        if (missing) to.pull.nudge(from.id);
      }, () => {});
    };
    this.#send({ from, to, what: "records", deliver });
  }

  #request(
    from: SimNode,
    to: SimNode,
    type: number,
    payload: Uint8Array,
  ): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    // A connection that breaks fails all that was asked over it.
    const asked = { to, lose: () => reject(new UnreachableError("ask", [])) };
    const { lose } = asked;
    this.#asked.add(asked);
    const settled = () => this.#asked.delete(asked);
    promise.then(settled, settled);
    const fromStart = from.start;
    const deliver = () => {
      const answered = type === MessageType.PULL
        ? to.donor.pull(from.id, decodePull(payload))
        : to.donor.chunk(from.id, payload);
      answered.then((reply) => {
        if (type === MessageType.PULL) this.#checkReply(to, reply);
        if (from.start !== fromStart) return;
        const what = `reply ${type}`;
        const deliver = () => resolve(reply);
        this.#send({ from: to, to: from, what, deliver, lose });
      }, lose);
    };
    this.#send({ from, to, what: `request ${type}`, deliver, lose });
    return promise;
  }

  #deliver(reliably = false): void {
    if (this.#net.length === 0) return;
    const at = reliably ? 0 : this.#range(0, this.#net.length - 1);
    const message = this.#net[at]!;
    const { from, to, toStart, what, deliver, lose } = message;
    const again = lose === undefined && !reliably &&
      this.#chance(this.#repeat);
    if (!again) this.#net.splice(at, 1);
    if (
      !to.alive || to.start !== toStart ||
      (!reliably && this.#chance(this.#loss))
    ) {
      lose?.();
      return;
    }
    this.#say(`n${from.id} -> n${to.id} ${what}`);
    deliver();
  }

  #pullFrom(node: SimNode, other: SimNode): void {
    this.#say(`n${node.id} pulls from n${other.id}`);
    node.pull.nudge(other.id);
  }

  // ---- writes

  #write(node: SimNode): void {
    const keys = this.#keys.filter((key) =>
      (this.#counts.get(key) ?? 0) < WRITES_PER_KEY_MAX - 6 &&
      this.#chance(0.6)
    );
    if (keys.length === 0) return;
    const ops = keys.map((key) => ({
      key: toBytes(key),
      value: this.#chance(0.25) ? undefined : toBytes(`v${++this.#values}`),
    }));
    const text = ops.map(({ key, value }) =>
      `${toText(key)}=${value === undefined ? "-" : toText(value)}`
    ).join(" ");
    this.#say(`n${node.id} writes ${text}`);
    this.#tick();
    const commitAt = (at: SimNode, forwarded: boolean): void => {
      const { start } = at;
      at.replica.commit({ checks: [], ops }).then(({ record }) => {
        if (record === undefined || at.mute || at.start !== start) return;
        this.#mustBeDurable(at, record.origin, record.seq, "acks");
        this.#say(`n${at.id} acks ${text}`);
        for (const { key } of record.entries) {
          this.#acked.push(nameOf(record, toText(key)));
          this.figures.acked++;
        }
        // What was forwarded is taken at the gateway from the reply.
        if (forwarded && node.alive) void node.replica.receive(record);
      }, (error) => {
        const to = error instanceof NotLeaseholderError && !forwarded
          ? this.#nodes[error.holder - 1]
          : undefined;
        if (to?.alive && !this.#chance(this.#loss)) commitAt(to, true);
      });
    };
    commitAt(node, false);
  }

  // ---- faults

  async #crash(node: SimNode): Promise<void> {
    // What is under way may be durable by then, or not.
    if (this.#chance(0.3)) {
      node.mute = true;
      node.kv.finish();
      await turns(30);
    }
    this.#say(`n${node.id} crashes`);
    node.alive = false;
    node.kv = node.kv.crash();
    for (const { to, lose } of [...this.#asked]) if (to === node) lose();
  }

  async #restart(node: SimNode): Promise<void> {
    if (node.alive) return;
    this.#say(`n${node.id} restarts`);
    this.figures.restarts++;
    await this.#open(node);
    this.#checkDisk(node);
  }

  async #putBack(node: SimNode): Promise<void> {
    if (node.image === undefined) return;
    await this.#crash(node);
    this.#say(`n${node.id} gets its old disk`);
    node.kv = node.newKv(node.image);
    node.image = undefined;
    node.restored = true;
    const { caughtUp, bank } = decodeCounters(
      node.kv.get(metaKey("counters"))!,
    );
    node.void = !caughtUp;
    node.mirror = node.void ? new Map() : entriesOf(node.kv, bank);
    this.figures.restored++;
    await this.#restart(node);
  }

  // ---- what is checked on the way

  /** D1. */
  #mustBeDurable(
    node: SimNode,
    origin: Origin,
    seq: number,
    what: string,
  ): void {
    const row = node.kv.getDurable(
      vectorKey(node.replica.bank, origin),
    );
    const durable = row === undefined ? 0 : new Reader(row, "").varint();
    if (durable < seq) {
      const dot = `(${originText(origin)},${seq})`;
      this.#fail("D1", `n${node.id} ${what} ${dot} before it is durable`);
    }
  }

  #checkReply(node: SimNode, bytes: Uint8Array): void {
    const reply = decodePullReply(bytes);
    const vector = reply.kind === "session"
      ? decodeOffer(reply.offer).vector
      : reply.vector;
    for (const origin of vector.origins()) {
      this.#mustBeDurable(node, origin, vector.seq(origin), "reports");
    }
    if (reply.kind !== "records") return;
    for (const { origin, seq } of reply.records) {
      this.#mustBeDurable(node, origin, seq, "answers with");
    }
  }

  #applied(node: SimNode, applied: readonly Applied[]): void {
    for (const { record, changes } of applied) {
      if (record === undefined) {
        this.#say(`n${node.id} takes a session`);
        this.figures.sessions++;
        if (node.void) this.#firstCopy(node, applied);
        this.#checkOrder(node, changes);
        for (const each of changes) node.mirror.set(toText(each.key), each);
        continue;
      }
      this.#appliedRecord(node, record, changes);
      this.#checkOrder(node, changes);
      for (const each of changes) node.mirror.set(toText(each.key), each);
      if (record.origin === node.replica.origin) node.push.add(record);
    }
    node.push.gathered();
    this.#checkEffects(node);
  }

  /** A first copy was written as it came: what follows it is told apart. */
  #firstCopy(node: SimNode, applied: readonly Applied[]): void {
    node.void = false;
    node.mirror = entriesOf(node.kv, node.replica.bank);
    for (const { changes } of applied) {
      for (const { key } of changes) node.mirror.delete(toText(key));
    }
  }

  #checkOrder(node: SimNode, changes: readonly Entry[]): void {
    for (const each of changes) {
      const key = toText(each.key);
      const before = node.mirror.get(key);
      if (before !== undefined && compareEntries(each, before) <= 0) {
        this.#fail("I7 order", `n${node.id} shows ${key} again or back`);
      }
    }
  }

  #appliedRecord(
    node: SimNode,
    record: LogRecord,
    changes: readonly Entry[],
  ): void {
    const dot = nameOf(record, "");
    this.#say(`n${node.id} has ${dot}`);
    const contents = toHex(record.bytes);
    const own = record.origin === node.replica.origin;
    if (!this.#contents.has(dot)) {
      if (!own) this.#fail("D1", `${dot} was seen before it was durable`);
      this.#contents.set(dot, contents);
      this.#records.push(record);
      this.figures.records++;
      for (const each of record.entries) this.#register(node, each);
    } else if (this.#contents.get(dot) !== contents) {
      this.#fail("I5", `${dot} names two contents`);
    } else if (own) this.#fail("I5", `${dot} was written twice`);
    for (const each of record.entries) {
      const key = toText(each.key);
      if (changes.some((change) => toText(change.key) === key)) continue;
      const standing = node.mirror.get(key);
      const winner = standing && this.#writeOf(standing, key);
      const loser = this.#writeOf(each, key);
      if (own || (winner && loser && winner.known & (1 << loser.bit))) {
        this.#fail("I7 skipped", `n${node.id} never shows ${dot} ${key}`);
      }
    }
  }

  #register(node: SimNode, each: Entry): void {
    const key = toText(each.key);
    const below = node.mirror.get(key);
    const under = below && this.#writeOf(below, key);
    const bit = this.#counts.get(key) ?? 0;
    this.#counts.set(key, bit + 1);
    const known = under === undefined ? 0 : under.known | (1 << under.bit);
    this.#writes.set(nameOf(each, key), { entry: each, bit, known });
  }

  #writeOf(each: Entry, key: string): Write | undefined {
    return this.#writes.get(nameOf(each, key));
  }

  /** I4 and I6: no part of a record, and all that the vector says. */
  #checkEffects(node: SimNode): void {
    const { vector } = node.replica;
    for (const [key, each] of node.mirror) {
      if (!vector.covers(each.origin, each.seq)) {
        this.#fail("I4", `n${node.id} shows ${key} of an uncovered record`);
      }
    }
    for (const { origin, seq, entries } of this.#records) {
      if (!vector.covers(origin, seq)) continue;
      for (const each of entries) {
        const standing = node.mirror.get(toText(each.key));
        if (standing === undefined || compareEntries(standing, each) < 0) {
          const dot = `(${originText(origin)},${seq})`;
          this.#fail("I6", `n${node.id} covers ${dot} without its effect`);
        }
      }
    }
  }

  #clashed(clashes: readonly Clash[]): void {
    for (const { kept, lost } of clashes) {
      const key = toText(lost.key);
      this.figures.conflicts++;
      this.#reported.add(nameOf(lost, key));
      const winner = kept && this.#writeOf(kept, key);
      const loser = this.#writeOf(lost, key);
      if (winner && loser && winner.known & (1 << loser.bit)) {
        this.#fail("conflict", `${nameOf(lost, key)} was built upon`);
      }
    }
  }

  /** The rows of a node against what its listener was told. */
  #checkDisk(node: SimNode): void {
    if (node.void) return;
    const { bank } = node.replica;
    const entries = entriesOf(node.kv, bank);
    const index = new Set<string>();
    const rows = node.kv.iterate({
      prefix: spacePrefix(Space.DOT_INDEX + bank),
    });
    while (rows.next()) index.add(toHex(rows.key));
    for (const [key, each] of entries) {
      const told = node.mirror.get(key);
      if (told === undefined || compareEntries(told, each) !== 0) {
        this.#fail("I6", `n${node.id} holds another ${key} than it told`);
      }
      const { origin, seq } = each;
      if (!index.delete(toHex(indexKey(bank, origin, seq, toBytes(key))))) {
        this.#fail("index", `n${node.id} has no index row of ${key}`);
      }
    }
    if (entries.size !== node.mirror.size) {
      this.#fail("I6", `n${node.id} lost a key`);
    }
    if (index.size > 0) this.#fail("index", `n${node.id} has a row too many`);
    const vectors = node.kv.iterate({
      prefix: spacePrefix(Space.VECTOR + bank),
    });
    while (vectors.next()) {
      const origin = originOfVectorKey(vectors.key);
      const seq = new Reader(vectors.value, "").varint();
      if (node.replica.vector.seq(origin) !== seq) {
        this.#fail("I6", `n${node.id} says another vector than it stored`);
      }
    }
  }

  // ---- the end

  async #heal(): Promise<void> {
    this.#say("faults stop");
    for (const node of this.#nodes) await this.#restart(node);
    for (let round = 0; round < 12 && !this.#broken; round++) {
      for (const node of this.#nodes) {
        for (const other of this.#nodes) {
          if (other !== node) this.#pullFrom(node, other);
        }
      }
      for (let i = 0; i < 400; i++) {
        await turns(12);
        for (const node of this.#nodes) {
          node.kv.finish();
          node.timers.fire();
        }
        if (this.#net.length === 0 && i > 4) break;
        this.#deliver(true);
      }
      await turns(50);
      if (round > 0 && this.#difference() === undefined) break;
    }
    const difference = this.#difference();
    if (difference !== undefined) this.#fail("I1", difference);
    for (const node of this.#nodes) this.#checkDisk(node);
    this.#account();
  }

  #difference(): string | undefined {
    const [first, ...others] = this.#nodes.map((node) => ({
      node,
      entries: entriesOf(node.kv, node.replica.bank),
      vector: node.replica.vector.fingerprint(),
    }));
    for (const { node, entries, vector } of others) {
      const both = `n${first!.node.id} and n${node.id}`;
      if (!node.replica.caughtUp) return `n${node.id} is void`;
      for (const key of this.#keys) {
        const [a, b] = [first!.entries.get(key), entries.get(key)];
        const same = a === undefined || b === undefined
          ? a === b
          : compareEntries(a, b) === 0 && a.holder === b.holder &&
            toHex(a.value ?? EMPTY_BYTES) === toHex(b.value ?? EMPTY_BYTES);
        if (!same) return `${both} differ in ${key}`;
      }
      if (vector !== first!.vector) return `the vectors of ${both} differ`;
    }
    return undefined;
  }

  /** I2: what was acked is below the final write, or was reported. */
  #account(): void {
    const final = this.#nodes[0]!;
    for (const name of this.#acked) {
      const write = this.#writes.get(name);
      if (write === undefined) {
        this.#fail("I2", `${name} was acked and never applied`);
        continue;
      }
      const key = toText(write.entry.key);
      const standing = final.mirror.get(key);
      const top = standing && this.#writeOf(standing, key);
      let known = top === undefined ? 0 : top.known | (1 << top.bit);
      for (const reported of this.#reported) {
        const loser = this.#writes.get(reported);
        if (loser !== undefined && toText(loser.entry.key) === key) {
          known |= loser.known | (1 << loser.bit);
        }
      }
      if (known & (1 << write.bit)) continue;
      const { origin, seq, holder } = write.entry;
      const lives = this.#nodes.some((node) =>
        node.replica.vector.covers(origin, seq)
      );
      // An old disk was put back and nobody else had it.
      if (!lives && this.#nodes[holder - 1]!.restored) continue;
      this.#fail("I2", `${name} was acked and is lost in silence`);
    }
  }
}

function nameOf({ origin, seq }: { origin: Origin; seq: number }, key: string) {
  return `(${originText(origin)},${seq})${key}`;
}

function entriesOf(kv: HandKV, bank: Bank): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const space of [Space.LIVE, Space.DEAD]) {
    const rows = kv.iterate({ prefix: spacePrefix(space + bank) });
    while (rows.next()) {
      const key = rows.key.subarray(1);
      if (entries.has(toText(key))) {
        throw new Violation("rows", `${toText(key)} lives and is dead`);
      }
      entries.set(toText(key), decodeEntry(key, rows.value));
    }
  }
  return entries;
}

/** Runs the schedule of a seed. */
export async function runSchedule(seed: number): Promise<ScheduleResult> {
  const simulation = new Simulation(seed);
  let violation: Violation | undefined;
  try {
    violation = await simulation.run();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = error;
  }
  const { trace, figures } = simulation;
  return { violation, trace, figures };
}

/**
 * Runs schedules from a seed on; throws with the seed and the schedule of the
 * first that breaks a promise.
 */
export async function runSchedules(
  count: number,
  firstSeed = 1,
): Promise<Figures> {
  const total: Figures = {
    acked: 0,
    conflicts: 0,
    sessions: 0,
    resumed: 0,
    restarts: 0,
    restored: 0,
    records: 0,
  };
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    const { violation, trace, figures } = await runSchedule(seed);
    if (violation !== undefined) {
      throw new Error(
        `seed ${seed}: ${violation.message}\n  ${trace.join("\n  ")}`,
      );
    }
    for (const name of Object.keys(total) as (keyof Figures)[]) {
      total[name] += figures[name];
    }
  }
  return total;
}
