/**
 * Rumours: how records reach many nodes without their origin sending to all of
 * them, by SIR gossip with coverage. A state machine without I/O: what happens is
 * told by its methods, {@linkcode Rumours.step} says what to send.
 *
 * A record is at each node *susceptible* (not here, or not durable yet), *infected*
 * (durable, and this node still brings it to others), then *recovered*.
 *
 * Guarantees:
 * - A record is passed on only after it was told that it is durable here.
 * - A rumour carries a coverage (coverage.ts): a member in it has the record, or
 *   somebody else brings it there. Targets are drawn from the others only. Who
 *   draws `f` targets shares the members that are left out among them: each gets a
 *   coverage in which just its own share is missing. So where nothing is lost a
 *   record goes to each node once, over some log N / log f hops.
 * - A target answers soon, by which records were not new, and again once they are
 *   durable there and once its share has them, by who is known to have them. Of a
 *   record that was not new the target refuses the share: it falls back to the
 *   sender. Who does not answer in time is asked again, with the records where they
 *   may not have come, under the same id, so that what comes twice is known for it;
 *   then what it was given falls back too.
 * - A record is recovered when all of its members have it or are somebody else's,
 *   or after `redundancyMax` targets had it already, or after
 *   {@linkcode ATTEMPTS_MAX} rounds in vain, or when the bytes of all rumours are
 *   more than `bytesMax`, the oldest first. What is missing then is pulled.
 * - Members that are dead, or joined later, are nobody's to bring it to.
 * - All that is kept is bounded, also against members that say nonsense.
 *
 * Assumes: `step` is called at {@linkcode Rumours.dueAt}, and after each call that
 * may have moved it.
 *
 * A node whose list of live members is another than the sender's cannot read the
 * coverage: it takes the sender and itself for covered, and, since the sender takes
 * the share back, passes the record on only after a silence.
 *
 * @module
 */

import { EMPTY_BYTES, type Random } from "../../runtime/mod.ts";
import { AnswerTimes } from "./answer_times.ts";
import { Coverage, MemberList } from "./coverage.ts";
import type { Dot } from "./dot.ts";
import { DotMap } from "./dot_map.ts";
import type { FeedbackItem, ListName, RumourGroup } from "./messages.ts";
import { BATCH_BYTES, RECORD_BYTES_PUSHED_MAX } from "./push.ts";
import type { PassedRecord } from "./record.ts";

/** Bytes of infected records, unless told otherwise. */
const BYTES_MAX = 16 * 1024 * 1024;

/** What a record costs beside its bytes, for {@linkcode BYTES_MAX}. */
const RECORD_OVERHEAD_BYTES = 256;

/** Rounds in vain, of targets that do not answer, after which one gives up. */
export const ATTEMPTS_MAX = 4;

/** How often a target that is silent is asked again. */
const RETRIES_MAX = 2;

/** How often one is asked that answers, and has not brought it to its share. */
const ASKS_MAX = 4;

/** Arrivals whose answers can be repeated. */
const KNOWN_MAX = 16_384;

/** Answers wait so long for others to the same node, in milliseconds. */
const FEEDBACK_DELAY_MS = 20;

/** Answers to one node that do not wait. */
const FEEDBACK_ITEMS_MAX = 1024;

/** Records that have come and are not durable yet, of which answers are due. */
const WAITING_MAX = 65_536;

/** After so long a record that came early is asked for, in milliseconds. */
export const GAP_MS = 1000;

/** How long after that it is waited for. */
const ARRIVAL_MS = 10_000;

/**
 * The order in which targets are drawn stays for so long, in milliseconds: batches
 * of one origin that follow each other take the same ways, and so arrive in order.
 */
const REDRAW_MS = 10_000;

/** What rumours are made of. */
export interface RumoursOptions {
  /** This node. */
  readonly node: number;
  readonly random: Pick<Random, "float">;
  /** How long records wait for others, in milliseconds. */
  readonly delayMs: number;
  /** Targets of one draw; 0: {@linkcode fanoutOf} the number of members. */
  readonly fanout: number;
  /** So many targets that had a record already end its spread here. */
  readonly redundancyMax: number;
  /** Bytes of infected records that are kept. @default {16 MiB} */
  readonly bytesMax?: number;
  /** Whether this node has a copy of the data: if not, it passes nothing on. */
  readonly isWhole: () => boolean;
  /** Whether a record is durable here. */
  readonly covers: (origin: number, seq: number) => boolean;
}

/** What is to be done. */
export type RumourEffect =
  | {
    readonly type: "rumour";
    readonly node: number;
    readonly list: MemberList;
    readonly group: RumourGroup;
  }
  | {
    readonly type: "feedback";
    readonly node: number;
    readonly list: MemberList;
    readonly items: readonly FeedbackItem[];
  }
  /** Whoever told of a record has it, and it did not come. */
  | { readonly type: "pull"; readonly node: number };

/** The state of a record at a node. */
export type SirState = "susceptible" | "infected" | "recovered";

/** Numbers for metrics. */
export interface RumourFigures {
  /** Records that have come and are not durable yet. */
  readonly susceptible: number;
  /** Records that this node still brings to others. */
  readonly infected: number;
  /** Records whose spread has ended here since the start. */
  readonly recovered: number;
  /** Of those, the ones that had to make room for newer ones. */
  readonly evicted: number;
  /** Records that came and were new. */
  readonly useful: number;
  /** Records that came and were not. */
  readonly redundant: number;
}

/** A record that this node brings to others. */
interface Rumour {
  /** Without its bytes, if it is announced only. */
  readonly record: PassedRecord;
  readonly announced: boolean;
  /** Targets that had it already. */
  redundant: number;
  /** `undefined` once it is recovered. */
  bundle: Bundle | undefined;
}

/** Records that travel together. */
interface Bundle {
  readonly rumours: Set<Rumour>;
  /** Who has them, or gets them from somebody: no targets. */
  taken: Coverage;
  /** Who is known to have them. */
  covered: Coverage;
  /** Who was tried in vain: others are asked to bring it there. */
  tried: Coverage;
  readonly contacts: Set<Contact>;
  /** How they came; `undefined` for this node's own. */
  readonly arrival: Arrival | undefined;
  /** Rounds in which a target did not answer. */
  attempts: number;
  /** Whether targets were drawn for it before. */
  drawn: boolean;
  /** When targets are drawn next, if there are members to be drawn. */
  dueAt: number;
}

/** A target that was sent something. */
interface Contact {
  readonly id: number;
  readonly node: number;
  readonly bundle: Bundle;
  /** In the order in which they were sent. */
  readonly rumours: readonly Rumour[];
  /** Whom the target brings it to, and is not known to have done so. */
  share: Coverage;
  readonly sentAt: number;
  /** The attempts of the bundle before it. */
  readonly attempt: number;
  answered: boolean;
  /** How often it was asked again, since it answered last and ever. */
  retries: number;
  asks: number;
  /** When it is asked again, or what it was given falls back to this node. */
  deadline: number;
}

/** Records that came from a node together, and are to be answered. */
interface Arrival {
  readonly node: number;
  readonly id: number;
  /** Who needs them no more; `undefined` if the coverage could not be read. */
  readonly taken: Coverage | undefined;
  /** Those not durable here yet. */
  readonly missing: Set<Dot>;
  /** Places of those that were not new, in the order in which they came. */
  readonly redundant: number[];
  readonly count: number;
  /** Who has those whose spread has ended here; maybe of an earlier list. */
  covered: Coverage | undefined;
  readonly bundles: Set<Bundle>;
  readonly refused: boolean;
  answered: boolean;
  pulled: boolean;
  deadline: number;
}

/** A record that is waited for, as one arrival has it. */
interface Waiting {
  readonly arrival: Arrival;
  readonly dot: Dot;
  /** Whether it came with this arrival first. */
  readonly fresh: boolean;
}

/** The targets of one draw among so many members. */
export function fanoutOf(members: number): number {
  return Math.max(2, Math.ceil(Math.log2(members)));
}

/** The rumours of one node. */
export class Rumours {
  readonly #options: RumoursOptions;
  readonly #bytesMax: number;
  /** In the order in which they began. */
  readonly #bundles = new Set<Bundle>();
  readonly #infected = new DotMap<Rumour>();
  readonly #contacts = new Map<number, Contact>();
  /** Those whose share has a deadline. */
  readonly #open = new Set<Contact>();
  /** Those that wait for records. */
  readonly #arrivals = new Set<Arrival>();
  /** By the names that {@linkcode nameOf} gives; the oldest first. */
  readonly #known = new Map<string, Arrival>();
  readonly #waiting = new DotMap<Waiting[]>();
  readonly #answers = new Map<number, Set<Arrival>>();
  #list: MemberList;
  /** By node key: whoever has the lowest is drawn first. */
  #ranks = new Map<number, number>();
  #ranksUntil = 0;
  #own: PassedRecord[] = [];
  #ownBytes = 0;
  #pulls = new Set<number>();
  #now = 0;
  #bytes = 0;
  #waitingCount = 0;
  #nextId: number | undefined;
  readonly #answerTimes = new AnswerTimes();
  #drawAt = Infinity;
  #answerAt = Infinity;
  #watchAt = Infinity;
  #pullAt = Infinity;
  #figures = {
    recovered: 0,
    evicted: 0,
    useful: 0,
    redundant: 0,
  };

  constructor(options: RumoursOptions) {
    this.#options = options;
    this.#bytesMax = options.bytesMax ?? BYTES_MAX;
    this.#list = new MemberList([options.node]);
  }

  /** Numbers for metrics. */
  get figures(): RumourFigures {
    return {
      susceptible: this.#waitingCount,
      infected: this.#infected.size + this.#own.length,
      ...this.#figures,
    };
  }

  /** Bytes of the records that are infected, and what they cost beside. */
  get bytes(): number {
    return this.#bytes;
  }

  /** When the next step is due; `Infinity` for never. */
  get dueAt(): number {
    return Math.min(
      this.#drawAt,
      this.#answerAt,
      this.#watchAt,
      this.#pullAt,
    );
  }

  /** The live members, as this node sees them. */
  get list(): MemberList {
    return this.#list;
  }

  /** The state of a record here. */
  stateOf({ origin, seq }: Dot): SirState {
    if (!this.#options.covers(origin, seq)) return "susceptible";
    const infected = this.#infected.get(origin, seq) !== undefined ||
      this.#own.some((own) => own.origin === origin && own.seq === seq);
    return infected ? "infected" : "recovered";
  }

  /** The live members are others from now on. */
  members(list: MemberList, now: number): void {
    this.#now = now;
    if (this.#list.isNamed({ members: list.size, hash: list.hash })) return;
    this.#list = list;
    this.#ranksUntil = 0;
    for (const bundle of [...this.#bundles]) {
      bundle.taken = bundle.taken.translate(list, true);
      bundle.covered = bundle.covered.translate(list, false);
      bundle.tried = bundle.tried.translate(list, false);
    }
    for (const contact of this.#contacts.values()) {
      contact.share = contact.share.translate(list, false);
    }
    for (const contact of [...this.#open]) {
      if (list.positionOf(contact.node) === undefined) this.#giveBack(contact);
      else this.#closeIfDone(contact);
    }
    for (const bundle of [...this.#bundles]) this.#settle(bundle);
  }

  /** A record of this node is durable. */
  add(record: PassedRecord, now: number): void {
    this.#now = now;
    this.#own.push(record);
    if (record.bytes.length <= RECORD_BYTES_PUSHED_MAX) {
      this.#ownBytes += record.bytes.length;
    }
    const full = this.#ownBytes >= BATCH_BYTES;
    this.#drawBy(full ? now : now + this.#options.delayMs);
  }

  /**
   * Records have come from a node. Those that are new are to be handed to the
   * replica, and told of by {@linkcode Rumours.applied}.
   *
   * @param list How the sender names its list of members.
   */
  arrive(
    node: number,
    list: ListName,
    groups: readonly RumourGroup[],
    now: number,
  ): void {
    this.#now = now;
    const isReadable = this.#list.isNamed(list);
    for (const group of groups) {
      if (this.#isKnown(node, group)) continue;
      const count = group.records.length + group.announced.length;
      const arrival: Arrival = {
        node,
        id: group.id,
        taken: isReadable
          ? Coverage.read(this.#list, group.coverage)
          : undefined,
        missing: new Set(),
        redundant: [],
        count,
        covered: undefined,
        bundles: new Set(),
        // What is asked without its records, and is not known, is not here.
        refused: count === 0 || !this.#options.isWhole(),
        answered: false,
        pulled: false,
        deadline: now + GAP_MS,
      };
      this.#known.set(nameOf(node, group.id), arrival);
      if (arrival.refused) {
        this.#answer(arrival);
        continue;
      }
      let place = 0;
      for (const { origin, seq } of group.records) {
        this.#expect(arrival, { origin, seq }, place++);
      }
      for (const dot of group.announced) {
        if (this.#expect(arrival, dot, place++)) {
          this.#pulls.add(node);
          this.#pullAt = now;
        }
      }
      this.#answer(arrival);
      if (arrival.missing.size === 0) continue;
      this.#arrivals.add(arrival);
      this.#watchBy(arrival.deadline);
    }
    for (const arrival of this.#arrivals) {
      if (this.#waitingCount <= WAITING_MAX) break;
      this.#drop(arrival);
    }
    for (const name of this.#known.keys()) {
      if (this.#known.size <= KNOWN_MAX) break;
      this.#known.delete(name);
    }
  }

  /** Records, whoever brought them, are durable here. */
  applied(records: readonly PassedRecord[], now: number): void {
    this.#now = now;
    const fresh = new Map<Arrival, PassedRecord[]>();
    for (const record of records) {
      const waiting = this.#waiting.take(record.origin, record.seq) ?? [];
      for (const each of waiting) {
        this.#has(each);
        const taken = fresh.get(each.arrival) ?? [];
        fresh.set(each.arrival, taken);
        if (each.fresh) taken.push(record);
      }
    }
    for (const [arrival, taken] of fresh) this.#pass(arrival, taken);
  }

  /** Much is durable here that did not come record by record. */
  jumped(now: number): void {
    this.#now = now;
    const { covers } = this.#options;
    const touched = new Set<Arrival>();
    for (const arrival of this.#arrivals) {
      for (const { origin, seq } of arrival.missing) {
        if (!covers(origin, seq)) continue;
        for (const each of this.#waiting.take(origin, seq) ?? []) {
          this.#has(each);
          touched.add(each.arrival);
        }
      }
    }
    for (const arrival of touched) this.#pass(arrival, []);
  }

  /** A node answers what it was sent. */
  feedback(
    node: number,
    list: ListName,
    items: readonly FeedbackItem[],
    now: number,
  ): void {
    this.#now = now;
    const isReadable = this.#list.isNamed(list);
    for (const item of items) {
      const contact = this.#contacts.get(item.id);
      if (contact?.node !== node) continue;
      const covered = isReadable
        ? Coverage.read(this.#list, item.coverage)
        : Coverage.of(this.#list, node);
      contact.share.removeAll(covered);
      if (item.redundant === "refused" && !covered.has(node)) {
        // It has forgotten what it had taken.
        contact.answered = false;
        if (this.#open.has(contact)) this.#fail(contact);
        continue;
      }
      if (!contact.answered) this.#firstAnswer(contact, item, covered);
      this.#heard(contact);
      const { bundle, rumours } = contact;
      bundle.covered.addAll(covered);
      bundle.taken.addAll(covered);
      // Records that went apart are known to be at the target only.
      const told = new Set([bundle]);
      for (const { bundle: apart } of rumours) {
        if (apart === undefined || told.has(apart)) continue;
        told.add(apart);
        if (covered.has(node)) apart.covered.add(node);
      }
      if (!isReadable) this.#refuse(contact);
      this.#closeIfDone(contact);
      for (const each of told) this.#settle(each);
    }
  }

  /** The connection to a node broke: what was on its way may be gone. */
  lost(node: number, now: number): void {
    this.#now = now;
    for (const contact of [...this.#open]) {
      if (contact.node === node && this.#open.has(contact)) this.#fail(contact);
    }
  }

  /** What a step wanted sent was not: there is no connection, or no room. */
  unsent(id: number, now: number): void {
    this.#now = now;
    const contact = this.#contacts.get(id);
    if (contact === undefined || !this.#open.has(contact)) return;
    this.#fail(contact);
  }

  /** What is to be done now. */
  step(now: number): RumourEffect[] {
    this.#now = now;
    const effects: RumourEffect[] = [];
    if (now >= this.#watchAt) this.#watch(effects);
    if (now >= this.#drawAt) this.#drawAll(effects);
    if (now >= this.#answerAt) this.#answerAll(effects);
    for (const node of this.#pulls) effects.push({ type: "pull", node });
    this.#pulls.clear();
    this.#pullAt = Infinity;
    return effects;
  }

  /** Sends what waits now, whatever its time: no other step will come. */
  flush(now: number): RumourEffect[] {
    if (this.#drawAt < Infinity) {
      this.#drawAt = now;
      for (const bundle of this.#bundles) {
        if (bundle.dueAt < Infinity) bundle.dueAt = now;
      }
    }
    if (this.#answerAt < Infinity) this.#answerAt = now;
    return this.step(now);
  }

  // ---- what comes

  /** Whether a group came before: the answer is given again. */
  #isKnown(node: number, { id, records, announced }: RumourGroup): boolean {
    const arrival = this.#known.get(nameOf(node, id));
    if (arrival === undefined) return false;
    this.#figures.redundant += records.length + announced.length;
    arrival.answered = false;
    this.#answer(arrival);
    return true;
  }

  /** Whether a record is new here, and is now waited for. */
  #expect(arrival: Arrival, dot: Dot, place: number): boolean {
    const { origin, seq } = dot;
    if (this.#options.covers(origin, seq)) {
      this.#figures.redundant++;
      arrival.redundant.push(place);
      return false;
    }
    const waiting = this.#waiting.get(origin, seq) ?? [];
    const fresh = waiting.length === 0;
    if (fresh) {
      this.#waiting.set(origin, seq, waiting);
      this.#figures.useful++;
    } else {
      this.#figures.redundant++;
      arrival.redundant.push(place);
    }
    waiting.push({ arrival, dot, fresh });
    arrival.missing.add(dot);
    this.#waitingCount++;
    return fresh;
  }

  #has({ arrival, dot }: Waiting): void {
    if (arrival.missing.delete(dot)) this.#waitingCount--;
  }

  /** Records of an arrival are durable: those that are new are passed on. */
  #pass(arrival: Arrival, records: readonly PassedRecord[]): void {
    if (records.length > 0) {
      const { node } = this.#options;
      const list = this.#list;
      const known = Coverage.of(list, node, arrival.node);
      const isReadable = arrival.taken !== undefined;
      const bundle = this.#begin(records, arrival, {
        covered: known,
        taken: arrival.taken?.translate(list, true).addAll(known) ??
          known.clone(),
        dueAt: this.#now +
          (isReadable ? this.#options.delayMs : this.#answerTimes.silenceMs),
      });
      this.#drawBy(bundle.dueAt);
      this.#settle(bundle);
    }
    if (arrival.missing.size > 0) return;
    this.#arrivals.delete(arrival);
    this.#answer(arrival);
  }

  /** An arrival is not waited for any more, nor known: it may come again. */
  #drop(arrival: Arrival): void {
    this.#arrivals.delete(arrival);
    this.#answers.get(arrival.node)?.delete(arrival);
    this.#known.delete(nameOf(arrival.node, arrival.id));
    this.#waitingCount -= arrival.missing.size;
    for (const { origin, seq } of arrival.missing) {
      const left = this.#waiting.take(origin, seq)?.filter((each) =>
        each.arrival !== arrival
      ) ?? [];
      if (left.length > 0) {
        this.#waiting.set(origin, seq, left);
      }
    }
    arrival.missing.clear();
  }

  #answer(arrival: Arrival): void {
    const answers = this.#answers.get(arrival.node) ?? new Set();
    this.#answers.set(arrival.node, answers.add(arrival));
    const full = answers.size >= FEEDBACK_ITEMS_MAX;
    this.#answerAt = Math.min(
      this.#answerAt,
      full ? this.#now : this.#now + FEEDBACK_DELAY_MS,
    );
  }

  #answerAll(effects: RumourEffect[]): void {
    for (const [node, arrivals] of this.#answers) {
      const items: FeedbackItem[] = [];
      for (const arrival of arrivals) {
        const { id, redundant, count, answered, refused } = arrival;
        items.push({
          id,
          coverage: this.#coverageOf(arrival).bytes,
          redundant: refused
            ? "refused"
            : answered
            ? []
            : redundant.length === count
            ? "all"
            : redundant,
        });
        arrival.answered = true;
      }
      for (let at = 0; at < items.length; at += FEEDBACK_ITEMS_MAX) {
        const some = items.slice(at, at + FEEDBACK_ITEMS_MAX);
        effects.push({
          type: "feedback",
          node,
          list: this.#list,
          items: some,
        });
      }
    }
    this.#answers.clear();
    this.#answerAt = Infinity;
  }

  /** Who is known to have all records of an arrival; not this node, too early. */
  #coverageOf(arrival: Arrival): Coverage {
    const { missing, count } = arrival;
    if (missing.size > 0 || count === 0) return Coverage.of(this.#list);
    let covered = arrival.covered?.translate(this.#list, false);
    for (const bundle of arrival.bundles) {
      covered = covered?.keepOnly(bundle.covered) ?? bundle.covered.clone();
    }
    return (covered ?? Coverage.of(this.#list)).add(this.#options.node);
  }

  // ---- what goes out

  #begin(
    records: readonly PassedRecord[],
    arrival: Arrival | undefined,
    { covered, taken, dueAt }: Pick<Bundle, "covered" | "taken" | "dueAt">,
  ): Bundle {
    const bundle: Bundle = {
      rumours: new Set(),
      taken,
      covered,
      tried: Coverage.of(this.#list),
      contacts: new Set(),
      arrival,
      attempts: 0,
      drawn: false,
      dueAt,
    };
    for (const record of ownBytes(records)) {
      const announced = record.bytes.length > RECORD_BYTES_PUSHED_MAX;
      const rumour: Rumour = {
        record: announced ? { ...record, bytes: EMPTY_BYTES } : record,
        announced,
        redundant: 0,
        bundle,
      };
      bundle.rumours.add(rumour);
      this.#infected.set(record.origin, record.seq, rumour);
      this.#bytes += costOf(rumour);
    }
    this.#bundles.add(bundle);
    arrival?.bundles.add(bundle);
    for (const oldest of this.#bundles) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#figures.evicted += oldest.rumours.size;
      this.#end(oldest);
    }
    return bundle;
  }

  #drawAll(effects: RumourEffect[]): void {
    if (this.#own.length > 0) {
      const self = Coverage.of(this.#list, this.#options.node);
      const own = this.#own;
      this.#own = [];
      this.#ownBytes = 0;
      this.#begin(own, undefined, {
        covered: self,
        taken: self.clone(),
        dueAt: this.#now,
      });
    }
    this.#drawAt = Infinity;
    for (const bundle of this.#bundles) {
      if (bundle.dueAt === Infinity) continue;
      if (bundle.dueAt > this.#now) this.#drawBy(bundle.dueAt);
      else this.#draw(bundle, effects);
    }
  }

  /** Draws targets, and shares among them whom they are to bring it to. */
  #draw(bundle: Bundle, effects: RumourEffect[]): void {
    bundle.dueAt = Infinity;
    if (bundle.taken.isFull) return this.#settle(bundle);
    const open = bundle.taken.others();
    this.#rank(open, bundle.tried);
    const { redundancyMax } = this.#options;
    const fanout = this.#options.fanout || fanoutOf(this.#list.size);
    // Who draws again is about to find out that most have it.
    const count = bundle.drawn ? Math.min(fanout, redundancyMax) : fanout;
    bundle.drawn = true;
    // Who was tried in vain from here is left to others, if there are any.
    const untried = open.filter((key) => !bundle.tried.has(key)).length;
    const targets = open.slice(0, Math.min(count, untried || open.length));
    const shares = targets.map(() => Coverage.of(this.#list));
    for (const [i, member] of open.slice(targets.length).entries()) {
      shares[i % targets.length]!.add(member);
    }
    for (const [i, node] of targets.entries()) {
      this.#send(bundle, node, shares[i]!, effects);
    }
    bundle.taken = Coverage.full(this.#list);
  }

  #send(
    bundle: Bundle,
    node: number,
    share: Coverage,
    effects: RumourEffect[],
  ): void {
    // What was asked before a restart is answered under no id of this start.
    this.#nextId ??= Math.floor(this.#options.random.float() * 2 ** 32);
    const rumours = [...bundle.rumours];
    const contact: Contact = {
      id: this.#nextId++,
      node,
      bundle,
      rumours: [
        ...rumours.filter(({ announced }) => !announced),
        ...rumours.filter(({ announced }) => announced),
      ],
      share,
      sentAt: this.#now,
      attempt: bundle.attempts,
      answered: false,
      retries: 0,
      asks: 0,
      deadline: this.#now + this.#answerTimes.silenceMs,
    };
    this.#contacts.set(contact.id, contact);
    this.#open.add(contact);
    bundle.contacts.add(contact);
    this.#tell(contact, effects);
  }

  /**
   * Asks a target again; with the records, unless it is known to have them. After
   * the same time as before: what is lost has to be brought before those that miss
   * it pull it ({@linkcode GAP_MS}). Who is asked for the last time has twice as long.
   */
  #ask(contact: Contact, effects: RumourEffect[]): void {
    contact.asks++;
    contact.retries++;
    const isLast = contact.retries === RETRIES_MAX;
    contact.deadline = this.#now +
      this.#answerTimes.silenceMs * (isLast ? 2 : 1);
    this.#tell(contact, effects);
  }

  #tell(contact: Contact, effects: RumourEffect[]): void {
    const { id, node, rumours, share, answered } = contact;
    this.#watchBy(contact.deadline);
    const records: PassedRecord[] = [];
    const dots: Dot[] = [];
    for (const { record, announced } of answered ? [] : rumours) {
      const { origin, seq } = record;
      if (announced) dots.push({ origin, seq });
      else records.push(record);
    }
    const coverage = Coverage.full(this.#list).removeAll(share).bytes;
    const group = { id, coverage, records, announced: dots };
    effects.push({ type: "rumour", node, list: this.#list, group });
  }

  #rank(members: number[], tried: Coverage): void {
    if (this.#now >= this.#ranksUntil) {
      this.#ranksUntil = this.#now + REDRAW_MS;
      const { random } = this.#options;
      for (const key of this.#list.keys) this.#ranks.set(key, random.float());
    }
    const rank = (key: number) =>
      (tried.has(key) ? 1 : 0) + (this.#ranks.get(key) ?? 0);
    members.sort((a, b) => rank(a) - rank(b));
  }

  // ---- what becomes of it

  #firstAnswer(
    contact: Contact,
    item: FeedbackItem,
    covered: Coverage,
  ): void {
    const { bundle, rumours, share } = contact;
    contact.answered = true;
    this.#answerTimes.take(this.#now - contact.sentAt, contact.asks);
    if (item.redundant === "refused") return this.#refuse(contact);
    const places = item.redundant === "all"
      ? rumours.keys()
      : new Set(item.redundant).values();
    const redundant = new Set<Rumour>();
    for (const place of places) {
      const rumour = rumours[place];
      if (rumour?.bundle === undefined) continue;
      redundant.add(rumour);
      rumour.redundant++;
    }
    if (this.#open.has(contact)) {
      const refused = share.clone().removeAll(covered);
      if (bundle.rumours.isSubsetOf(redundant)) this.#refuse(contact);
      else if (redundant.size > 0 && !refused.isEmpty) {
        this.#split(bundle, redundant, refused);
      }
    }
    const { redundancyMax } = this.#options;
    for (const rumour of redundant) {
      if (rumour.redundant >= redundancyMax) this.#recover(rumour);
    }
  }

  /** Ends a contact that has its records, and so have those of its share. */
  #closeIfDone(contact: Contact): void {
    const { share, bundle, node } = contact;
    if (share.isEmpty && bundle.covered.has(node)) this.#open.delete(contact);
  }

  /** A target answers, and is given the time that its share takes. */
  #heard(contact: Contact): void {
    if (!this.#open.has(contact)) return;
    contact.retries = 0;
    // Down to the leaves of the share and back, with one loss on each level.
    const fanout = this.#options.fanout || fanoutOf(this.#list.size);
    const levels = 1 + Math.log(1 + contact.share.members().length) /
        Math.log(fanout);
    contact.deadline = this.#now + this.#answerTimes.silenceMs * 2 * levels;
    this.#watchBy(contact.deadline);
  }

  /** A target does not bring it to its share: this node does. */
  #refuse(contact: Contact): void {
    const { bundle } = contact;
    const refused = contact.share.removeAll(bundle.covered);
    contact.share = Coverage.of(this.#list);
    if (refused.isEmpty || !this.#bundles.has(bundle)) return;
    bundle.taken.removeAll(refused);
    this.#drawSoon(bundle);
  }

  /** Some records of a bundle go on by themselves, to members of their own. */
  #split(
    bundle: Bundle,
    rumours: Iterable<Rumour>,
    open: Coverage,
  ): void {
    const apart: Bundle = {
      ...bundle,
      rumours: new Set(),
      taken: bundle.taken.clone().removeAll(open),
      covered: bundle.covered.clone(),
      tried: bundle.tried.clone(),
      contacts: new Set(),
    };
    for (const rumour of rumours) {
      if (rumour.bundle !== bundle) continue;
      bundle.rumours.delete(rumour);
      apart.rumours.add(rumour);
      rumour.bundle = apart;
    }
    if (apart.rumours.size === 0) return;
    this.#bundles.add(apart);
    apart.arrival?.bundles.add(apart);
    this.#drawSoon(apart);
  }

  /** What is overdue: answers, shares, records that came early. */
  #watch(effects: RumourEffect[]): void {
    this.#watchAt = Infinity;
    for (const contact of [...this.#open]) {
      if (!this.#open.has(contact)) continue;
      if (contact.deadline > this.#now) this.#watchBy(contact.deadline);
      else if (
        contact.retries < RETRIES_MAX && contact.asks < ASKS_MAX
      ) {
        this.#ask(contact, effects);
      } else this.#fail(contact);
    }
    for (const arrival of [...this.#arrivals]) {
      if (arrival.deadline > this.#now) {
        this.#watchBy(arrival.deadline);
      } else if (arrival.pulled) {
        this.#drop(arrival);
      } else {
        arrival.pulled = true;
        arrival.deadline = this.#now + ARRIVAL_MS;
        this.#pulls.add(arrival.node);
        this.#watchBy(arrival.deadline);
      }
    }
  }

  /** A target has not answered, or not brought it to all of its share. */
  #fail(contact: Contact): void {
    const { bundle } = contact;
    if (!contact.answered) bundle.tried.add(contact.node);
    this.#giveBack(contact);
    if (!this.#bundles.has(bundle)) return;
    bundle.attempts = Math.max(bundle.attempts, contact.attempt + 1);
    if (bundle.attempts > ATTEMPTS_MAX) this.#end(bundle);
    else if (!bundle.taken.isFull) this.#drawSoon(bundle);
    else this.#settle(bundle);
  }

  #giveBack(contact: Contact): void {
    const { bundle, share, node, answered } = contact;
    this.#open.delete(contact);
    if (!answered) share.add(node);
    bundle.taken.removeAll(share.removeAll(bundle.covered));
  }

  #drawSoon(bundle: Bundle): void {
    bundle.dueAt = Math.min(bundle.dueAt, this.#now + this.#options.delayMs);
    this.#drawBy(bundle.dueAt);
  }

  /** Ends a bundle of which nothing is left to be done. */
  #settle(bundle: Bundle): void {
    if (!this.#bundles.has(bundle)) return;
    if (!bundle.taken.isFull) {
      if (bundle.dueAt < Infinity || bundle.rumours.size === 0) return;
      // By a change of members, which has no time of its own.
      bundle.dueAt = 0;
      this.#drawBy(0);
      return;
    }
    for (const contact of bundle.contacts) {
      if (this.#open.has(contact)) return;
    }
    this.#end(bundle);
  }

  #recover(rumour: Rumour): void {
    const { bundle, record } = rumour;
    if (bundle === undefined) return;
    rumour.bundle = undefined;
    bundle.rumours.delete(rumour);
    this.#infected.delete(record.origin, record.seq);
    this.#bytes -= costOf(rumour);
    this.#figures.recovered++;
    if (bundle.rumours.size === 0) this.#end(bundle);
  }

  /** All of a bundle is recovered. */
  #end(bundle: Bundle): void {
    if (!this.#bundles.delete(bundle)) return;
    for (const rumour of [...bundle.rumours]) this.#recover(rumour);
    for (const contact of bundle.contacts) {
      this.#contacts.delete(contact.id);
      this.#open.delete(contact);
    }
    const { arrival, covered } = bundle;
    if (arrival === undefined) return;
    arrival.bundles.delete(bundle);
    arrival.covered =
      arrival.covered?.translate(this.#list, false).keepOnly(covered) ??
        covered;
    // Whoever sent it learns that all of its share has it.
    if (arrival.bundles.size === 0 && arrival.missing.size === 0) {
      if (arrival.answered) this.#answer(arrival);
    }
  }

  // ---- times

  #drawBy(at: number): void {
    this.#drawAt = Math.min(this.#drawAt, at);
  }

  #watchBy(at: number): void {
    this.#watchAt = Math.min(this.#watchAt, at);
  }
}

function costOf({ record }: Rumour): number {
  return record.bytes.length + RECORD_OVERHEAD_BYTES;
}

/**
 * What came in a message is a view of it: where little of the message is left, the
 * records are kept, and not the message.
 */
function ownBytes(records: readonly PassedRecord[]): readonly PassedRecord[] {
  const buffers = new Set<ArrayBufferLike>();
  let used = 0;
  for (const { bytes } of records) {
    buffers.add(bytes.buffer);
    used += bytes.length;
  }
  let kept = 0;
  for (const { byteLength } of buffers) kept += byteLength;
  if (kept <= 2 * used) return records;
  return records.map(({ origin, seq, bytes }) => (
    { origin, seq, bytes: new Uint8Array(bytes) }
  ));
}

function nameOf(node: number, id: number): string {
  return `${node} ${id}`;
}
