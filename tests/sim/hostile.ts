/**
 * A node of a small cluster under attack: the row `hostile` of
 * `deno task simulate --scenario membership`.
 *
 * In two worlds, one whose nodes share a secret and one without, an attacker holds
 * conversations with one node (`attacker.ts`): damaged, cut, replayed, reflected
 * and forged. Beside it others are silent, or speak a byte at a time, or send what
 * never becomes whole; hundreds dial or visit at once; bits flip between members; and
 * whom the node dials itself answers with such things too. Meanwhile members write.
 *
 * Guarantees: what is promised is asked of the node itself, by its metrics while
 * it is attacked, and of the whole cluster afterwards; one seed gives one row.
 *
 * @module
 */

import type { DatabaseEvent, OpenOptions, Transport } from "../../mod.ts";
import {
  type Bytes,
  type ByteStream,
  concatBytes,
  FRAME_BYTES_MAX,
} from "../../runtime/mod.ts";
import type { Prng, World } from "../../runtime/virtual/mod.ts";
import {
  HELD_BYTES_MAX,
  VISIT_MS_MAX,
  VISITS_MAX,
} from "../../transport/bounds.ts";
import { FrameDecoder } from "../../transport/frame.ts";
import { MessageType } from "../../transport/mod.ts";
import { Attacker, type Conversation } from "./attacker.ts";
import { dump, SimCluster } from "./cluster.ts";

/** What the row came to. */
export interface HostileRow {
  readonly row: "hostile";
  /** Frames and handshakes that the node was given to judge. */
  readonly n: number;
  readonly conversations: number;
  /** Conversations that got beyond HELLO. */
  readonly welcomed: number;
  /** Requests of strangers that were answered, by an error. */
  readonly answered: number;
  /** Streams closed because there were too many. */
  readonly turnedAway: number;
  /** The most that was seen at once, of what is bounded. */
  readonly most: Readonly<Record<Bounded, number>>;
  /** Writes of members meanwhile. */
  readonly writes: number;
  readonly falseDeaths: number;
  /** What did not hold. */
  readonly broken: readonly string[];
  readonly met: boolean;
}

type Bounded =
  | "handshakes"
  | "visits"
  | "connections"
  | "receivedBytes"
  | "queuedBytes";

/** Nodes of the cluster; the first is attacked, and gives the node keys. */
export const NODES = 4;

/** Frames and handshakes of the row. */
export const ATTACKS = 1_000_000;

/** Connections of the attacked node with members: two lanes each, and a spare. */
const LANES_MAX = 3 * (NODES - 1);

/** Visits that send what never becomes whole. */
const HOARDERS = 4;

/** How the attacked node is bounded, whatever is done to it. */
const BOUNDS: Readonly<Record<Bounded, number>> = {
  handshakes: 64,
  visits: VISITS_MAX,
  connections: VISITS_MAX + LANES_MAX,
  // What is half received, and what a frame takes of each connection's buffer:
  // twice the largest frame where chunks are allowed.
  receivedBytes: HELD_BYTES_MAX +
    (LANES_MAX + HOARDERS) * 2 * FRAME_BYTES_MAX + VISITS_MAX * 64 * 1024,
  queuedBytes: 16 * 1024 * 1024,
};

/** A handshake has ended by then, in milliseconds: 3 s, and the ways. */
const HANDSHAKE_MS_MAX = 3100;

/** Connections that say nothing, and that say little by little. */
const IDLERS = 8;

/** Conversations that go on at once. */
const SPEAKERS = 16;

/** Streams that are dialled at once, twice. */
const FLOOD = 300;

/** Longest that a conversation waits to be ended by the node, in ms. */
const PATIENCE_MS = 60;

/** When the last frame of a conversation follows the others, in ms. */
const LATER_MS = 8;

/** The share of conversations that may find no place: else nothing is shown. */
const TURNED_AWAY_MAX = 0.1;

/** How often a member tries a write. */
const WRITE_TRIES_MAX = 5;

/** Bytes of one stream, and streams, that are recorded. */
const RECORDED_BYTES_MAX = 16 * 1024;
const RECORDED_MAX = 24;

const ADDRESS = "n1:1";
const SECRET = "a secret that is not told";

/** Attacks a node with so many frames and handshakes, half of them in each world. */
export async function measureHostile(
  seed: number,
  count: number,
): Promise<HostileRow> {
  const rows: HostileRow[] = [];
  for (const secret of [SECRET, undefined]) {
    rows.push(await new Attack(seed, count / 2, secret).run());
  }
  const [one, other] = rows as [HostileRow, HostileRow];
  const most = { ...one.most };
  for (const name of Object.keys(most) as Bounded[]) {
    most[name] = Math.max(most[name], other.most[name]);
  }
  const broken = [
    ...one.broken.map((text) => `with a secret: ${text}`),
    ...other.broken.map((text) => `without a secret: ${text}`),
  ];
  return {
    row: "hostile",
    n: one.n + other.n,
    conversations: one.conversations + other.conversations,
    welcomed: one.welcomed + other.welcomed,
    answered: one.answered + other.answered,
    turnedAway: one.turnedAway + other.turnedAway,
    most,
    writes: one.writes + other.writes,
    falseDeaths: one.falseDeaths + other.falseDeaths,
    broken,
    met: broken.length === 0,
  };
}

/** One world. */
class Attack {
  readonly #cluster: SimCluster;
  readonly #world: World;
  readonly #random: Prng;
  readonly #count: number;
  readonly #secret: string | undefined;
  readonly #recorded: Bytes[] = [];
  readonly #names = Array.from({ length: NODES }, (_, i) => `n${i + 1}`);
  readonly #broken = new Set<string>();
  readonly #most: Record<Bounded, number> = {
    handshakes: 0,
    visits: 0,
    connections: 0,
    receivedBytes: 0,
    queuedBytes: 0,
  };
  /** What members have written. */
  readonly #written = new Map<string, string>();
  #attacker!: Attacker;
  #judged = 0;
  #conversations = 0;
  #welcomed = 0;
  #answered = 0;
  #writes = 0;
  #deaths = 0;
  #turnedAway = 0;
  #over = false;

  constructor(seed: number, count: number, secret: string | undefined) {
    this.#cluster = new SimCluster(
      { seed },
      secret === undefined ? {} : { secret },
    );
    this.#world = this.#cluster.world;
    this.#random = this.#world.random("attack");
    this.#count = count;
    this.#secret = secret;
  }

  async run(): Promise<HostileRow> {
    await this.#world.run(async () => {
      await this.#open();
      const pending = this.#world.pending;
      await this.#attack();
      await this.#judgeAfterwards(pending);
      await this.#cluster.close();
    }, { maxMs: 24 * 3_600_000 });
    const broken = [...this.#broken];
    return {
      row: "hostile",
      n: this.#judged,
      conversations: this.#conversations,
      welcomed: this.#welcomed,
      answered: this.#answered,
      turnedAway: this.#turnedAway,
      most: this.#most,
      writes: this.#writes,
      falseDeaths: this.#deaths,
      broken,
      met: broken.length === 0,
    };
  }

  get #victim() {
    return this.#cluster.node("n1");
  }

  /** A cluster at rest, of which all that members say to the node is recorded. */
  async #open(): Promise<void> {
    for (const name of this.#names) {
      const { network } = this.#world.runtime(name);
      const options: OpenOptions = name === "n1"
        // Somebody whom it asks for ever, and who answers as he likes.
        ? { bootstrap: true, peers: ["x:1"] }
        : { transport: recording(network, this.#recorded) };
      const db = await this.#cluster.open(name, options);
      void this.#readEvents(db.events());
      void (async () => {
        for await (const changes of db.cluster.watch()) {
          for (const { node } of changes) {
            if (node.state === "dead") this.#deaths++;
          }
        }
      })();
    }
    for (const name of this.#names) await this.#write(name);
    await this.#cluster.converged(...this.#names);
    await this.#world.sleep(20_000);
    const clusterId = idOf(this.#victim.cluster.key);
    this.#attacker = new Attacker({
      random: this.#random,
      clusterId: this.#secret === undefined ? undefined : clusterId,
      recorded: this.#recorded,
    });
  }

  async #attack(): Promise<void> {
    const beside = [
      this.#sample(),
      this.#writeOn(),
      this.#flipBits(),
      this.#answerDials(),
      ...repeat(IDLERS, () => this.#idle(false)),
      ...repeat(IDLERS, () => this.#idle(true)),
    ];
    if (this.#secret === undefined) {
      beside.push(...repeat(HOARDERS, () => this.#hoard()));
    }
    await this.#flood();
    await Promise.all(repeat(SPEAKERS, () => this.#speak()));
    await this.#flood();
    if (this.#secret === undefined) await this.#crowd();
    this.#turnedAway = this.#victim.metrics().transport!.turnedAway;
    this.#over = true;
    await Promise.all(beside);
  }

  /** Holds one conversation after the other. */
  async #speak(): Promise<void> {
    while (this.#judged < this.#count) {
      const conversation = this.#attacker.next();
      this.#judged += conversation.judged;
      this.#conversations++;
      const stream = await this.#dial();
      if (stream === undefined) continue;
      await stream.write(conversation.bytes).catch(() => {});
      const { last } = conversation;
      if (last !== undefined) {
        this.#world.schedule(LATER_MS, () => {
          void stream.write(last).catch(() => {});
        });
      }
      await this.#listen(stream, conversation);
    }
  }

  /** Reads until the node ends it, or for a while. */
  async #listen(stream: ByteStream, { echo }: Conversation): Promise<void> {
    const patience = this.#world.schedule(PATIENCE_MS, () => stream.close());
    const decoder = new FrameDecoder();
    let frames = 0;
    try {
      for (;;) {
        const space = decoder.space();
        const count = await stream.read(space);
        if (count === null) break;
        if (echo) await stream.write(space.slice(0, count));
        decoder.advance(count);
        for (let frame = decoder.next(); frame; frame = decoder.next()) {
          if (frames++ === 0 && frame.type === MessageType.WELCOME) {
            this.#welcomed++;
          } else if (frame.type >= 16) this.#answered++;
        }
      }
    } catch {
      // Broken off, or sealed: no frame for a stranger.
    }
    patience.cancel();
    stream.close();
  }

  /** Many dial at once, and say nothing. */
  async #flood(): Promise<void> {
    const streams = await Promise.all(repeat(FLOOD, () => this.#dial()));
    await this.#world.sleep(1000);
    for (const stream of streams) stream?.close();
  }

  /** Many visit at once, and stay. */
  async #crowd(): Promise<void> {
    const streams: (ByteStream | undefined)[] = [];
    for (let i = 0; i < FLOOD; i++) {
      const stream = await this.#dial();
      const guest = this.#attacker.guest("member", new Uint8Array(16));
      await stream?.write(guest).catch(() => {});
      streams.push(stream);
    }
    await this.#world.sleep(1000);
    for (const stream of streams) stream?.close();
  }

  /** Dials, and says nothing or a byte now and then, again and again. */
  async #idle(speaks: boolean): Promise<void> {
    while (!this.#over) {
      const stream = await this.#dial();
      if (stream !== undefined) {
        const bytes = this.#attacker.guest("member", new Uint8Array(16));
        const end = ended(stream).then(() => true);
        const late = this.#world.sleep(HANDSHAKE_MS_MAX).then(() => false);
        for (let at = 0; speaks && at < bytes.length && !this.#over; at++) {
          const said = stream.write(bytes.slice(at, at + 1));
          if (!await said.then(() => true, () => false)) break;
          await this.#world.sleep(300);
        }
        if (!await Promise.race([end, late])) {
          this.#breaks(`a stranger may idle for ${HANDSHAKE_MS_MAX} ms`);
        }
        stream.close();
      }
      await this.#world.sleep(100);
    }
  }

  /** Visits, and sends as much as is taken of what never becomes whole. */
  async #hoard(): Promise<void> {
    const clusterId = idOf(this.#victim.cluster.key);
    while (!this.#over) {
      const began = this.#world.now;
      const stream = await this.#dial();
      if (stream !== undefined) {
        const end = ended(stream);
        const say = async (bytes: Bytes, pauseMs = 10) => {
          await stream.write(bytes);
          await this.#world.sleep(pauseMs);
        };
        try {
          await say(this.#attacker.guest("client", clusterId));
          // Less than one of them may hold by itself.
          for (let i = 0; i < 230 && !this.#over; i++) {
            await say(this.#attacker.chunk(3));
          }
          while (!this.#over) await say(this.#attacker.alive(), 500);
        } catch {
          // It was ended.
        }
        if (this.#over) stream.close();
        await end;
        if (this.#world.now - began > VISIT_MS_MAX + 5000) {
          this.#breaks("a visit lasted too long");
        }
      }
      await this.#world.sleep(1000);
    }
  }

  /** Bits flip in what members say to the node and hear of it. */
  async #flipBits(): Promise<void> {
    while (!this.#over) {
      await this.#world.sleep(3000);
      const other = this.#names[1 + this.#random.below(NODES - 1)]!;
      if (this.#random.chance(0.5)) this.#world.corruptNext("n1", other);
      else this.#world.corruptNext(other, "n1");
    }
  }

  /** Answers whom the attacked node takes for a way to the others. */
  async #answerDials(): Promise<void> {
    const listener = await this.#world.runtime("x").network.listen("x:1");
    const answering = (async () => {
      for (;;) {
        const stream = await listener.accept();
        if (stream === null) return;
        await stream.write(this.#attacker.answer()).catch(() => {});
        void ended(stream);
      }
    })();
    while (!this.#over) await this.#world.sleep(100);
    listener.close();
    await answering;
  }

  /** Each second a member writes what the attacked node leads, and the reverse. */
  async #writeOn(): Promise<void> {
    while (!this.#over) {
      await this.#write(this.#names[this.#random.below(NODES)]!);
      await this.#world.sleep(1000);
    }
  }

  async #write(name: string): Promise<void> {
    const { size } = this.#written;
    const key = `key ${size < NODES ? size : this.#random.below(size)}`;
    const value = `${++this.#writes}`;
    let failure: unknown;
    // Where a bit flipped on the way the outcome is not known, so it asks again.
    for (let tries = 0; tries < WRITE_TRIES_MAX; tries++) {
      try {
        await this.#cluster.node(name).set(key, value);
        this.#written.set(key, value);
        return;
      } catch (error) {
        failure = error;
        await this.#world.sleep(500);
      }
    }
    this.#breaks(`${name} could not write: ${failure}`);
  }

  /** Looks at what the node holds, as often as it changes much. */
  async #sample(): Promise<void> {
    while (!this.#over) {
      const metrics = this.#victim.metrics().transport!;
      for (const name of Object.keys(BOUNDS) as Bounded[]) {
        this.#most[name] = Math.max(this.#most[name], metrics[name]);
      }
      await this.#world.sleep(20);
    }
  }

  async #judgeAfterwards(pending: number): Promise<void> {
    for (const [name, bound] of Object.entries(BOUNDS)) {
      const most = this.#most[name as Bounded];
      if (most > bound) this.#breaks(`${most} ${name}, ${bound} are allowed`);
    }
    const share = (this.#turnedAway - 2 * FLOOD) / this.#conversations;
    if (share > TURNED_AWAY_MAX) {
      this.#breaks(`${this.#turnedAway} conversations found no place`);
    }
    // What was begun ends by its own deadlines.
    await this.#world.sleep(VISIT_MS_MAX + 30_000);
    const { handshakes, visits, connections, queuedBytes } = this.#victim
      .metrics().transport!;
    const left = { handshakes, visits, connections, queuedBytes };
    const wanted = { handshakes: 0, visits: 0, connections: 6, queuedBytes: 0 };
    if (JSON.stringify(left) !== JSON.stringify(wanted)) {
      this.#breaks(`afterwards the node holds ${JSON.stringify(left)}`);
    }
    if (this.#world.pending > 2 * pending) {
      this.#breaks(`${this.#world.pending} timers and messages are left over`);
    }
    if (this.#deaths > 0) {
      this.#breaks(`${this.#deaths} times one was called dead`);
    }
    await this.#judgeCluster();
  }

  /** The node serves, lets in who may come, and all hold what was written. */
  async #judgeCluster(): Promise<void> {
    try {
      for (const name of this.#names) await this.#write(name);
      const names = [...this.#names, "late"];
      await this.#cluster.open("late", { peers: [ADDRESS] });
      await this.#cluster.converged(...names);
      await this.#cluster.until(
        "all know all, and that they are well",
        () =>
          names.every((name) => {
            const nodes = [
              ...this.#cluster.node(name).cluster.nodes().values(),
            ];
            return nodes.length === names.length &&
              nodes.every(({ state }) => state === "healthy");
          }),
      );
      const rows = await dump(this.#victim);
      const held = new Map(rows.map(({ key, value }) => [key, value]));
      const wanted = [...this.#written].sort();
      if (JSON.stringify([...held].sort()) !== JSON.stringify(wanted)) {
        this.#breaks(`the data is ${JSON.stringify([...held])}`);
      }
    } catch (error) {
      this.#breaks(`the cluster does not serve: ${error}`);
    }
  }

  async #readEvents(events: ReadableStream<DatabaseEvent>): Promise<void> {
    for await (const event of events) {
      const { type } = event;
      // A member whose bytes were damaged is named, and no other trouble is.
      if (type === "failed" || type === "cloned" || type === "conflict") {
        this.#breaks(`there was an event "${type}"`);
      }
    }
  }

  async #dial(): Promise<ByteStream | undefined> {
    const { network } = this.#world.runtime("x");
    // Refused where too many wait to be let in.
    return await network.dial(ADDRESS).catch(() => undefined);
  }

  #breaks(what: string): void {
    this.#broken.add(what);
  }
}

/** A network that keeps the beginning of what is said on the streams it dials. */
function recording(network: Transport, recorded: Bytes[]): Transport {
  return {
    listen: (address) => network.listen(address),
    async dial(address, options) {
      const stream = await network.dial(address, options);
      if (address !== ADDRESS || recorded.length >= RECORDED_MAX) return stream;
      const at = recorded.push(new Uint8Array(0)) - 1;
      return {
        remote: stream.remote,
        read: (buffer) => stream.read(buffer),
        write(data) {
          const before = recorded[at]!;
          if (before.length + data.length <= RECORDED_BYTES_MAX) {
            recorded[at] = concatBytes(before, data);
          }
          return stream.write(data);
        },
        close: () => stream.close(),
      };
    },
  };
}

/** Reads until a stream is over, and closes it. */
async function ended(stream: ByteStream): Promise<void> {
  const scrap = new Uint8Array(4096);
  try {
    while (await stream.read(scrap) !== null);
  } catch {
    // Reset: over too.
  }
  stream.close();
}

function repeat<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

/** The bytes of a UUID. */
function idOf(uuid: string): Bytes {
  const digits = uuid.replaceAll("-", "").match(/../g)!;
  return Uint8Array.from(digits, (pair) => parseInt(pair, 16));
}
