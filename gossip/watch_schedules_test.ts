/**
 * Random schedules of watchers that come and go: three replicas write keys that
 * they claim without knowing of each other, hear of each other late, by records and
 * by sessions, and crash; readers go from one to the other with the token of the
 * last batch they have seen.
 */

import { assert, assertEquals } from "@std/assert";
import { TokenTooOldError, toText } from "../runtime/mod.ts";
import { Prng } from "../runtime/virtual/mod.ts";
import { Arrivals } from "./replication/arrivals.ts";
import { type Applied, NotLeaseholderError } from "./replication/draft.ts";
import {
  compareVersions,
  decodeEntry,
  type Entry,
  type Version,
  versionOf,
} from "./replication/entry.ts";
import { decodeRecord } from "./replication/record.ts";
import type { Replica } from "./replication/replica.ts";
import { decodeChunk, SessionReader } from "./replication/session.ts";
import { Vector } from "./replication/vector.ts";
import {
  HandClock,
  HandKV,
  HandTimers,
  openReplica,
  sets,
  turns,
} from "./replication/world_test.ts";
import { readToken, type Token, tokenOf, vectorToken } from "./token.ts";
import { type Change, Watchers } from "./watch.ts";

const KEYS = ["a", "b", "c", "d"];
const SEEDS = 150;
const STEPS = 90;

interface Node {
  kv: HandKV;
  readonly clock: HandClock;
  replica: Replica;
  watchers: Watchers;
  /** What was applied here, in order, and whether it came by a session. */
  readonly told: { text: string; isSession: boolean }[];
}

interface Reader {
  /** Where it always reads; `undefined`: anywhere. */
  readonly home: number | undefined;
  token: Token;
  /** How much of `told` it has seen, at home. */
  at: number;
  shown: Map<string, Version>;
}

const figures = {
  resumed: 0,
  afterWrites: 0,
  tooOld: 0,
  hidden: 0,
  sessions: 0,
  crashes: 0,
};

class Schedule {
  readonly random: Prng;
  readonly nodes: Node[] = [];
  readonly readers: Reader[] = [];
  /** All versions written, by key. */
  readonly written = new Map<string, Version[]>();
  /** Tokens of writes, where they were made, and how much was told there by then. */
  readonly writes: { node: number; token: Token; at: number }[] = [];
  readonly logBytesMax: number;

  constructor(seed: number) {
    this.random = new Prng(seed, "watch");
    this.logBytesMax = this.random.u32() % 3 === 0 ? 900 : 1e6;
  }

  dice(sides: number): number {
    return this.random.u32() % sides;
  }

  async open(i: number, kv: HandKV, clock: HandClock): Promise<void> {
    const told = this.nodes[i]?.told ?? [];
    const current: { watchers?: Watchers } = {};
    const { replica } = await openReplica(i + 1, {
      kv,
      clock,
      logBytesMax: this.logBytesMax,
      listener: {
        applied: (applied) => {
          for (const each of applied) this.tells(told, each);
          current.watchers!.publish(applied);
        },
        clashed: () => {},
        full: () => {},
        skewed: () => {},
        failed: () => {},
      },
    });
    const arrivals = new Arrivals({
      replica,
      timers: new HandTimers(),
      random: this.random,
      isOther: () => false,
      candidates: () => [],
      pullFrom: () => Promise.resolve(),
    });
    const watchers = new Watchers(i + 1, { replica, arrivals, clock });
    current.watchers = watchers;
    this.nodes[i] = { kv, clock, replica, watchers, told };
  }

  tells(told: Node["told"], { record, changes }: Applied): void {
    const isSession = record === undefined;
    const lost = record !== undefined && changes.length < record.entries.length;
    if (lost) figures.hidden++;
    if (changes.length === 0 && !isSession) return;
    const text = changes.map((entry) => textOf(entry)).join(" ");
    told.push({ text, isSession });
  }

  async write(i: number): Promise<void> {
    const { replica, clock } = this.nodes[i]!;
    clock.ms += this.dice(3);
    const pairs: Record<string, string | undefined> = {};
    for (let n = 1 + this.dice(2); n > 0; n--) {
      const value = this.dice(5) === 0 ? undefined : "x".repeat(this.dice(60));
      pairs[KEYS[this.dice(KEYS.length)]!] = value;
    }
    try {
      const { record, after } = await replica.commit(sets(pairs));
      const at = this.nodes[i]!.told.length;
      if (record !== undefined) {
        this.writes.push({ node: i, token: tokenOf(after), at });
      }
      for (const entry of record?.entries ?? []) {
        const key = toText(entry.key);
        const versions = this.written.get(key) ?? [];
        this.written.set(key, [...versions, versionOf(entry)]);
      }
    } catch (error) {
      assert(error instanceof NotLeaseholderError, `${error}`);
    }
  }

  async pull(i: number, from: number): Promise<void> {
    const [here, donor] = [this.nodes[i]!.replica, this.nodes[from]!.replica];
    const recent = await donor.recent(here.vector, 150 + this.dice(2000));
    if (recent !== null) {
      for (const bytes of recent.records) {
        await here.receive(decodeRecord(bytes));
      }
      return;
    }
    figures.sessions++;
    const base = here.vector;
    const frozen = await donor.freeze();
    const { vector } = frozen;
    const reader = new SessionReader(frozen, base);
    const { slices, last } = decodeChunk(await reader.chunk(1e6));
    const entries = [...slices].flat();
    assert(last);
    await here.ingest({
      whole: false,
      base,
      vector,
      entries,
      intents: [],
      lifeGone: 0,
      lifeFloor: 0,
      floor: new Vector(),
      incarnations: [],
      folds: [],
    });
  }

  async crash(i: number): Promise<void> {
    figures.crashes++;
    const { kv, clock, replica, watchers } = this.nodes[i]!;
    await watchers.close();
    await replica.close();
    await this.open(i, kv.crash(), clock);
  }

  /** A reader goes on somewhere, for a while, during which things happen. */
  async read(reader: Reader, at: number, whole = false): Promise<void> {
    const node = this.nodes[at]!;
    const isCovered = node.replica.vector.includes(
      readToken("read", "it", reader.token).vector,
    );
    if (!isCovered) return;
    const stream = node.watchers.watch({ since: reader.token }).getReader();
    figures.resumed++;
    for (let n = whole ? Infinity : 1 + this.dice(6); n > 0; n--) {
      let batch: Change[] | undefined;
      let failure: unknown;
      const next = stream.read().then(
        ({ value }) => batch = value,
        (error) => failure = error,
      );
      await turns(60);
      if (failure instanceof TokenTooOldError) {
        this.isTooOld(reader, node);
        this.begin(reader, node);
        return;
      }
      assertEquals(failure, undefined);
      if (batch === undefined) {
        void next;
        break;
      }
      this.sees(reader, node, batch);
      // Live things come between.
      if (!whole && this.dice(4) === 0) await this.write(at);
    }
    await stream.cancel();
  }

  /** After a write comes what its node applied later, whoever wrote it. */
  async readAfterWrite(): Promise<void> {
    const write = this.writes[this.dice(this.writes.length)];
    if (write === undefined) return;
    const { watchers, told } = this.nodes[write.node]!;
    const reader = watchers.watch({ since: write.token }).getReader();
    const later = told.slice(write.at);
    const wanted = later.filter(({ text }) => text !== "").slice(0, 4);
    const seen: string[] = [];
    try {
      for (const _ of wanted) {
        const { value } = await reader.read();
        seen.push(value!.map((change) => changeText(change)).join(" "));
      }
      assertEquals(seen, wanted.map(({ text }) => text));
      figures.afterWrites++;
    } catch (error) {
      assert(error instanceof TokenTooOldError, `${error}`);
      const isSession = later.some(({ isSession }) => isSession);
      assert(isSession || this.logBytesMax < 1e6);
      return;
    }
    await reader.cancel();
  }

  /** It reads what is there, and goes on from there. */
  begin(reader: Reader, node: Node): void {
    reader.token = vectorToken(node.replica.vector);
    reader.at = node.told.length;
    reader.shown = new Map();
    for (const space of [0x20, 0x21]) {
      const rows = node.kv.iterate({ prefix: Uint8Array.of(space) });
      while (rows.next()) {
        const key = rows.key.subarray(1);
        const entry = decodeEntry(key, rows.value);
        reader.shown.set(toText(key), versionOf(entry));
      }
    }
  }

  isTooOld(reader: Reader, node: Node): void {
    figures.tooOld++;
    // With room for all, only a session makes a token too old.
    if (this.logBytesMax < 1e6) return;
    assert(node.told.some(({ isSession }) => isSession));
    if (reader.home === undefined) return;
    assert(node.told.slice(reader.at).some(({ isSession }) => isSession));
  }

  sees(reader: Reader, node: Node, batch: readonly Change[]): void {
    if (reader.home !== undefined) {
      // What it sees is what was applied, batch by batch, whenever it looked.
      while (node.told[reader.at]?.text === "") reader.at++;
      const { text } = node.told[reader.at++]!;
      assertEquals(batch.map((change) => changeText(change)).join(" "), text);
    }
    for (const change of batch) {
      assert(change.type !== "lagged" && change.type !== "reset");
      const key = toText(change.key);
      const { version } = change;
      const before = reader.shown.get(key);
      assert(
        before === undefined || compareVersions(version, before) > 0,
        `"${key}" was shown twice, or out of order`,
      );
      if (!change.coalesced) this.assertNoneSkipped(key, version, before);
      reader.shown.set(key, version);
    }
    reader.token = batch.at(-1)!.token!;
  }

  /** Of its claim, no version between this one and what was shown before. */
  assertNoneSkipped(key: string, version: Version, before?: Version): void {
    for (const other of this.written.get(key) ?? []) {
      if (
        other.claim.hlc === version.claim.hlc &&
        other.claim.node === version.claim.node &&
        compareVersions(other, version) < 0 &&
        (before === undefined || compareVersions(other, before) > 0)
      ) assert(false, `a version of "${key}" was skipped`);
    }
  }

  async run(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      await this.open(i, new HandKV(), new HandClock());
    }
    const empty = vectorToken(new Vector());
    for (const home of [0, 1, undefined, undefined, undefined]) {
      this.readers.push({ home, token: empty, at: 0, shown: new Map() });
    }
    for (let step = 0; step < STEPS; step++) {
      const i = this.dice(3);
      const dice = this.dice(20);
      if (dice < 7) await this.write(i);
      else if (dice < 12) await this.pull(i, (i + 1 + this.dice(2)) % 3);
      else if (dice < 13) await this.crash(i);
      else if (dice < 15) await this.readAfterWrite();
      else {
        const reader = this.readers[this.dice(this.readers.length)]!;
        await this.read(reader, reader.home ?? i);
      }
    }
    // All hear of all, and every reader sees the end.
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 3; i++) await this.pull(i, (i + 1) % 3);
    }
    for (const reader of this.readers) {
      await this.read(reader, reader.home ?? this.dice(3), true);
      const end: Reader = { ...reader };
      this.begin(end, this.nodes[reader.home ?? 0]!);
      assertEquals(
        [...reader.shown].sort().map(versionText),
        [...end.shown].sort().map(versionText),
      );
    }
    for (const { watchers } of this.nodes) assertEquals(watchers.size, 0);
  }
}

function versionText([key, version]: [string, Version]): string {
  return `${key} ${JSON.stringify(version)}`;
}

function textOf(entry: Entry): string {
  const value = entry.value === undefined ? "-" : toText(entry.value);
  return `${toText(entry.key)}=${value}@${entry.hlc}`;
}

function changeText(change: Change): string {
  if (change.type === "lagged" || change.type === "reset") return change.type;
  const value = change.value === undefined ? "-" : toText(change.value);
  return `${toText(change.key)}=${value}@${change.version.hlc}`;
}

Deno.test("readers that go from node to node by their tokens see each version of a key once, in order, none skipped, and miss nothing, or are told", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      await new Schedule(seed).run();
    } catch (cause) {
      throw new Error(`With seed ${seed}: ${cause}`, { cause });
    }
  }
  for (const [name, count] of Object.entries(figures)) {
    assert(count > 20, `${name}: ${count}`);
  }
});
