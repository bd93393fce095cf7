/**
 * Whole copies that break off and go on, with the same donor or another one.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { type KV, openLsm } from "../../engine/mod.ts";
import { TINY } from "../../engine/testing/history.ts";
import {
  EMPTY_BYTES,
  toBytes,
  toText,
  UnreachableError,
} from "../../runtime/mod.ts";
import { MemoryFiles } from "../../runtime/memory_files.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import { type Bank, metaKey, Space, spacePrefix } from "../keyspace.ts";
import { Donor } from "./donor.ts";
import { decodeEntry, type Entry } from "./entry.ts";
import { rowsOf } from "./entry_rows.ts";
import { floorOf } from "./floor.ts";
import { decodePull } from "./messages.ts";
import { Pull, type PullFigures } from "./pull.ts";
import { decodeRecord } from "./record.ts";
import { Replica } from "./replica.ts";
import { decodeCounters } from "./state.ts";
import {
  HandClock,
  HandKV,
  HandTimers,
  NOBODY,
  openReplica,
  readText,
  sets,
  type TestNode,
} from "./world_test.ts";

type Joiner = Pick<TestNode, "replica"> & { readonly kv: KV };

/** What is in a bank, as lines. */
interface Content {
  readonly live: string[];
  readonly dead: Map<string, Entry>;
  /** Rows that tell of entries and stand elsewhere. */
  readonly guides: string[];
  /** What these must be, for the entries that there are. */
  readonly expected: string[];
}

const GUIDES: readonly number[] = [
  Space.DOT_INDEX,
  Space.EXPIRY,
  Space.EXPIRING,
];

async function rowsIn(kv: KV, space: number) {
  const found: { key: Uint8Array; value: Uint8Array }[] = [];
  const rows = kv.iterate({ prefix: spacePrefix(space) });
  while (await rows.next()) found.push({ key: rows.key, value: rows.value });
  return found;
}

function lineOf(key: Uint8Array, value: Uint8Array | undefined): string {
  return `${key.join()}=${value?.join()}`;
}

async function contentOf(kv: KV, bank: Bank): Promise<Content> {
  const live: string[] = [];
  const dead = new Map<string, Entry>();
  const expected: string[] = [];
  for (const space of [Space.LIVE, Space.DEAD]) {
    for (const { key, value } of await rowsIn(kv, space + bank)) {
      const entry = decodeEntry(key.slice(1), value);
      if (space === Space.DEAD) dead.set(toText(entry.key), entry);
      else live.push(lineOf(entry.key, value));
      for (const row of rowsOf(bank, entry)) {
        if (row.key[0] !== space + bank) {
          expected.push(lineOf(row.key, row.value));
        }
      }
    }
  }
  const guides: string[] = [];
  for (const space of GUIDES) {
    for (const { key, value } of await rowsIn(kv, space + bank)) {
      guides.push(lineOf(key, value));
    }
  }
  return { live, dead, guides: guides.sort(), expected: expected.sort() };
}

async function openJoiner(seed: number): Promise<Joiner> {
  const kv = seed % 2 === 0
    ? new HandKV()
    : await openLsm("data", { ...TINY, files: new MemoryFiles() });
  const replica = await Replica.open({
    kv,
    clock: new HandClock(),
    random: new Prng(seed, "joiner"),
    nodeKey: 9,
    generation: 1,
    nonce: new Uint8Array(8),
    tenure: 1,
    sync: true,
    logBytesMax: 1,
    listener: NOBODY,
    renew: () => ({ generation: 2, nonce: new Uint8Array(8), ops: [] }),
  });
  return { kv, replica };
}

/** Two nodes that write, tell each other, and collect; a third that joins. */
class Life {
  readonly #random: Prng;
  readonly #donors: TestNode[] = [];
  readonly #givers: Donor[] = [];
  readonly #keys: number;
  #second = 0;

  constructor(seed: number) {
    this.#random = new Prng(seed);
    this.#keys = 3 + this.#random.below(25);
  }

  get donors(): readonly TestNode[] {
    return this.#donors;
  }

  async open(): Promise<void> {
    for (const node of [1, 2]) {
      const donor = await openReplica(node, { logBytesMax: 1e8 });
      this.#donors.push(donor);
      this.#givers.push(
        new Donor({
          replica: donor.replica,
          random: new Prng(1),
          // An entry at a time, and never a pause.
          clock: { monotonic: () => this.#second += 1e6 },
          bytesPerSecond: 1 + this.#random.below(1500),
          timers: new HandTimers(),
          sessionsMax: 2,
          idleMs: 1,
          cluster: () => ({ config: EMPTY_BYTES, incarnations: [] }),
        }),
      );
    }
    for (let i = 20 + this.#random.below(80); i > 0; i--) await this.step(0.2);
  }

  /** Something happens among the two, now and then a collection. */
  async step(collects: number): Promise<void> {
    const at = this.#random.below(2);
    const { replica } = this.#donors[at]!;
    if (this.#random.chance(collects)) return await this.#collect(at);
    if (this.#random.chance(0.3)) return await this.tell(at, replica);
    const key = `${at}/${String(this.#random.below(this.#keys)).padStart(3)}`;
    if (this.#random.chance(0.3)) {
      await replica.commit(sets({ [key]: undefined }));
    } else {
      const value = toBytes(String(this.#random.below(1000)));
      const expireIn = this.#random.chance(0.2)
        ? 1e6 + this.#random.below(1e6)
        : undefined;
      await replica.commit({
        checks: [],
        ops: [{ key: toBytes(key), value, expireIn }],
      });
    }
  }

  /** One of the two tells somebody all that it has. */
  async tell(at: number, from: Replica): Promise<void> {
    await bring(from, this.#donors[1 - at]!.replica);
  }

  async #collect(at: number): Promise<void> {
    const [own, other] = [this.#donors[at]!, this.#donors[1 - at]!];
    const reportOf = ({ replica: { vector, floor } }: TestNode) => ({
      era: 1,
      epoch: 1,
      vector,
      floor,
    });
    const floor = floorOf({ own: reportOf(own), others: [reportOf(other)] });
    if (floor === undefined) return;
    await own.replica.collect(floor, () => true);
  }

  /** A pull whose requests fail now and then, and beside which things happen. */
  pullOf({ replica }: Joiner, fails: number, collects: number): Pull {
    return new Pull({
      replica,
      timers: new HandTimers(),
      random: new Prng(1),
      intervalMs: 1,
      candidates: () => [],
      request: async (node, type, payload) => {
        if (this.#random.chance(0.5)) await this.step(collects);
        const giver = this.#givers[node - 1]!;
        if (type === MessageType.PULL) {
          return await giver.pull(9, decodePull(payload));
        }
        const chunk = await giver.chunk(9, payload);
        if (this.#random.chance(fails)) throw new UnreachableError("ask", []);
        return chunk;
      },
      configEpoch: () => 1,
      adopt: () => Promise.resolve(),
      failed: () => {},
    });
  }

  async copy(joiner: Joiner): Promise<PullFigures> {
    const fails = this.#random.float() * 0.5;
    const pull = this.pullOf(joiner, fails, this.#random.chance(0.3) ? 0.1 : 0);
    for (let tries = 0; !joiner.replica.caughtUp; tries++) {
      // In the end nothing fails any more.
      const last = tries > 50 ? this.pullOf(joiner, 0, 0) : pull;
      await last.from(1 + this.#random.below(2)).catch((error) => {
        assert(error instanceof UnreachableError, String(error.stack));
      });
    }
    return pull.figures;
  }

  /** All three have all. */
  async level(joiner: Joiner): Promise<void> {
    const [a, b] = this.#donors as [TestNode, TestNode];
    await bring(a.replica, b.replica);
    await bring(b.replica, a.replica);
    await bring(a.replica, joiner.replica);
  }
}

async function bring(from: Replica, to: Replica): Promise<void> {
  const recent = await from.recent(to.vector, 1e9);
  assert(recent !== null);
  for (const bytes of recent.records) await to.receive(decodeRecord(bytes));
}

Deno.test("a copy that breaks off anywhere goes on with any donor, and is what a donor had", async () => {
  let resumed = 0;
  let entries = 0;
  let collected = 0;
  for (let seed = 1; seed <= 100; seed++) {
    const life = new Life(seed);
    await life.open();
    const joiner = await openJoiner(seed);
    const figures = await life.copy(joiner);
    resumed += figures.resumed;
    entries += figures.entries;
    await life.level(joiner);
    const [a, b] = await Promise.all(
      life.donors.map(({ kv, replica }) => contentOf(kv, replica.bank)),
    ) as [Content, Content];
    const here = await contentOf(joiner.kv, joiner.replica.bank);
    assertEquals(here.live, a.live, `seed ${seed}`);
    assertEquals(here.live, b.live, `seed ${seed}`);
    assertEquals(here.guides, here.expected, `seed ${seed}: guides`);
    const { lifeGone } = decodeCounters(
      (await joiner.kv.get(metaKey("counters")))!,
    );
    for (const key of new Set([...a.dead.keys(), ...b.dead.keys()])) {
      const [one, two, mine] = [a, b, here].map(({ dead }) => dead.get(key));
      if (mine !== undefined) continue;
      collected++;
      assert(!one || !two, `seed ${seed}: the tombstone of ${key} is missing`);
      // Who claims it anew claims it above the tombstone.
      assert(lifeGone >= (one ?? two)!.life, `seed ${seed}: life of ${key}`);
    }
    await joiner.replica.close();
    await joiner.kv.close();
  }
  assert(resumed > 100, `${resumed} went on`);
  assert(collected > 5, `${collected} had been collected`);
  assert(entries > 1000, `${entries} entries`);
});

/** A pull of a copy from donors that answer at once. */
function pullFrom(joiner: Joiner, donors: Record<number, TestNode>): Pull {
  const givers = Object.fromEntries(
    Object.entries(donors).map(([node, { replica }]) => [
      node,
      new Donor({
        replica,
        random: new Prng(1),
        clock: { monotonic: () => 0 },
        bytesPerSecond: Infinity,
        timers: new HandTimers(),
        sessionsMax: 1,
        idleMs: 1,
        cluster: () => ({ config: EMPTY_BYTES, incarnations: [] }),
      }),
    ]),
  );
  return new Pull({
    replica: joiner.replica,
    timers: new HandTimers(),
    random: new Prng(1),
    intervalMs: 1,
    candidates: () => [],
    request: (node, type, payload) =>
      type === MessageType.PULL
        ? givers[node]!.pull(9, decodePull(payload))
        : givers[node]!.chunk(9, payload),
    configEpoch: () => 1,
    adopt: () => Promise.resolve(),
    failed: () => {},
  });
}

/** A donor that has so many keys, from k100 on. */
async function richDonor(count: number): Promise<TestNode> {
  const donor = await openReplica(1, { logBytesMax: 1e6 });
  for (let i = 0; i < count; i++) {
    await donor.replica.commit(sets({ [`k${100 + i}`]: "v" }));
  }
  return donor;
}

/** A joiner to which a donor gave its first entries, then broke off. */
async function joinerWith(
  count: number,
  { kv, replica }: TestNode,
  lifeGone = 0,
): Promise<Joiner> {
  const joiner = await openJoiner(1);
  await joiner.replica.beginCopy();
  const rows = (await rowsIn(kv, Space.LIVE)).slice(0, count);
  const entries = rows.map(({ key, value }) =>
    decodeEntry(key.slice(1), value)
  );
  const { vector } = replica;
  await joiner.replica.fill(entries, { vector, lifeGone });
  return joiner;
}

Deno.test("what had come is not sent again, but for what has changed since", async () => {
  const donor = await richDonor(50);
  const joiner = await joinerWith(30, donor);
  await donor.replica.commit(sets({ k105: "new", k120: undefined, k140: "n" }));
  const pull = pullFrom(joiner, { 1: donor });
  await pull.from(1);
  // 20 behind the last one, of which one has changed as two before it have.
  assertEquals([pull.figures.resumed, pull.figures.entries], [1, 22]);
  assertEquals(await readText(joiner.replica, "k105"), "new");
  assertEquals(await readText(joiner.replica, "k120"), undefined);
  assertEquals(await readText(joiner.replica, "k129"), "v");
  await joiner.kv.close();
});

Deno.test("delta 3: a copy does not go on with who has collected what it may lack", async () => {
  const donor = await richDonor(10);
  const joiner = await joinerWith(5, donor);
  const other = await openReplica(2);
  await donor.replica.commit(sets({ k101: undefined }));
  await bring(donor.replica, other.replica);
  const { vector } = other.replica;
  const gone = { floor: vector, gate: vector };
  assertEquals(await other.replica.collect(gone, () => true), 1);
  const pull = pullFrom(joiner, { 2: other });
  await pull.from(2);
  assertEquals([pull.figures.resumed, pull.figures.copies], [0, 1]);
  assertEquals(await readText(joiner.replica, "k101"), undefined);
  assertEquals(await readText(joiner.replica, "k102"), "v");
  await joiner.kv.close();
});

Deno.test("[1] a copy of two donors keeps the lives of what either has collected", async () => {
  const donor = await richDonor(10);
  await donor.replica.commit(sets({ gone: "v" }));
  await donor.replica.commit(sets({ gone: undefined }));
  const other = await openReplica(2);
  await bring(donor.replica, other.replica);
  const { vector } = donor.replica;
  await donor.replica.collect({ floor: vector, gate: vector }, () => true);
  const { lifeGone } = await donor.replica.freeze();
  assertEquals(lifeGone, 1);
  const joiner = await joinerWith(5, donor, lifeGone);
  const pull = pullFrom(joiner, { 2: other });
  await pull.from(2);
  assertEquals(pull.figures.resumed, 1);
  assertEquals((await joiner.replica.freeze()).lifeGone, 1);
  await joiner.kv.close();
});
