/**
 * What somebody says to a node who wishes it ill, or whose bytes were damaged.
 *
 * Guarantees: the seed decides every byte. A conversation says how many frames
 * and handshakes it holds that the node has to judge: what would be read only
 * behind a mistake is not counted.
 *
 * Assumes: nobody may join. Where there is no secret whoever pledges becomes a
 * member, and who names the cluster and a member is taken for it: that is what a
 * secret is for. So an attacker of such a cluster knows neither.
 *
 * @module
 */

import {
  type Bytes,
  CHUNK_BYTES,
  concatBytes,
  crc32,
  FRAME_BYTES_MAX,
  toBytes,
  Writer,
} from "../../runtime/mod.ts";
import type { Prng } from "../../runtime/virtual/mod.ts";
import { encodeCommit } from "../../gossip/lease/messages.ts";
import { encodeFailure } from "../../transport/failure.ts";
import {
  FRAME_OVERHEAD_BYTES,
  FrameFlag,
  writeFrame,
} from "../../transport/frame.ts";
import {
  CHALLENGE_BYTES,
  encodeHello,
  encodeIdentity,
  encodeWelcome,
} from "../../transport/handshake.ts";
import {
  type Identity,
  messageName,
  MessageType,
} from "../../transport/mod.ts";

/** What is said on one stream. */
export interface Conversation {
  readonly kind: string;
  readonly bytes: Bytes;
  /** Said a little later: what is asked before is answered by then. */
  readonly last?: Bytes;
  /** Frames and handshakes in it that are judged, one by one. */
  readonly judged: number;
  /** Whether all that comes back is to be said again. */
  readonly echo?: boolean;
}

/** What an attacker knows. */
export interface AttackerOptions {
  readonly random: Prng;
  /** The cluster, where that is of no use without the secret. */
  readonly clusterId: Uint8Array | undefined;
  /** What members have said to the node, a stream each, as it was said. */
  readonly recorded: readonly Bytes[];
}

/** Frames of one visit that leave the connection whole. */
const VISIT_FRAMES_MAX = 14;

/** Lengths that no frame has, or none at that point. */
const WRONG_LENGTHS = [
  0,
  1,
  FRAME_OVERHEAD_BYTES - 5,
  16 * 1024 + 1,
  FRAME_BYTES_MAX,
  FRAME_BYTES_MAX + 1,
  2 ** 31,
  2 ** 32 - 1,
];

/** Draws conversations. */
export class Attacker {
  readonly #options: AttackerOptions;

  /** An attacker who has said nothing yet. */
  constructor(options: AttackerOptions) {
    this.#options = options;
  }

  /** The next conversation. */
  next(): Conversation {
    const { random, recorded, clusterId } = this.#options;
    // Where nothing is proved, what comes behind the handshake is judged too.
    if (clusterId === undefined && random.chance(0.4)) return this.#visit();
    const kinds: (() => Conversation)[] = [
      () => one("garbage", this.#bytes(1 + random.below(400))),
      () => one("length", this.#wrongLength()),
      () => one("truncated", this.#cut(this.#greeting())),
      () => one("mutated", this.#mutated(this.#greeting())),
      () => one("forged", this.#forged()),
      () => ({ ...one("reflected", this.hello()), echo: true }),
    ];
    if (recorded.length > 0 && clusterId !== undefined) {
      const of = recorded[random.below(recorded.length)]!;
      kinds.push(
        () => one("replayed", of),
        () => one("replayed and cut", this.#cut(of)),
        () => one("replayed and mutated", this.#mutated(of)),
      );
    }
    return kinds[random.below(kinds.length)]!();
  }

  /** A HELLO. */
  hello(): Bytes {
    const { random } = this.#options;
    const min = random.chance(0.9) ? 1 : random.below(10);
    const protocols = { min, max: min + random.below(3) };
    const challenge = this.#bytes(CHALLENGE_BYTES);
    return own(MessageType.HELLO, encodeHello({ protocols, challenge }));
  }

  /** The greeting of who is nobody: of a client, who could send in chunks. */
  guest(role: "member" | "client", clusterId: Uint8Array): Bytes {
    return this.#introduce({ node: 0, generation: 0, clusterId, role });
  }

  /** What answers a node that has dialled this attacker. */
  answer(): Bytes {
    const { random } = this.#options;
    const challenge = this.#bytes(CHALLENGE_BYTES);
    const proofs = [this.#bytes(16), this.#bytes(16)].slice(random.below(3));
    const welcome = encodeWelcome({
      protocol: random.below(3),
      challenge,
      proofs,
    });
    const failure = { code: "NotMember", message: "go", data: this.#bytes(9) };
    const answers = [
      this.#bytes(100),
      this.#wrongLength(),
      own(MessageType.WELCOME, welcome),
      this.#mutated(own(MessageType.WELCOME, welcome)),
      own(MessageType.REJECT, encodeFailure(failure)),
      new Uint8Array(0),
    ];
    return answers[random.below(answers.length)]!;
  }

  /** A chunk of what never becomes whole. */
  chunk(correlation: number): Bytes {
    const flags = FrameFlag.MORE | FrameFlag.ONE_WAY;
    const payload = new Uint8Array(CHUNK_BYTES);
    return frame(MessageType.COMMIT, payload, flags, correlation);
  }

  /** A sign of life. */
  alive(): Bytes {
    const none = new Uint8Array(0);
    return frame(MessageType.KEEPALIVE, none, FrameFlag.ONE_WAY, 1);
  }

  /** A visit that pledges nothing: frames that are answered, and a last one. */
  #visit(): Conversation {
    const { random } = this.#options;
    const said = [this.guest("member", new Uint8Array(16))];
    const count = random.below(VISIT_FRAMES_MAX);
    for (let i = 0; i < count; i++) said.push(this.#harmless());
    const bytes = concatBytes(...said);
    return { kind: "visit", bytes, last: this.#fatal(), judged: count + 2 };
  }

  /** A frame that is well formed and asks for what is not given. */
  #harmless(): Bytes {
    const { random } = this.#options;
    const size = random.chance(0.05) ? random.below(15_000) : random.below(120);
    const payload = this.#bytes(size);
    const odd = random.u32() | 1;
    switch (random.below(5)) {
      case 4:
        return frame(MessageType.COMMIT, this.#commit(), 0, odd >>> 0);
      case 0:
        return frame(this.#type(), payload, FrameFlag.ONE_WAY, odd >>> 0);
      case 1: {
        // A reply to what was never asked.
        const failed = random.chance(0.5) ? FrameFlag.ERROR : 0;
        const flags = FrameFlag.RESPONSE | failed;
        return frame(this.#type(), payload, flags, (odd ^ 1) >>> 0);
      }
      case 2:
        return frame(7 + random.below(9), payload, FrameFlag.ONE_WAY, 1);
      default:
        return frame(this.#type(), payload, 0, odd >>> 0);
    }
  }

  /** A frame that ends the connection. */
  #fatal(): Bytes {
    const { random } = this.#options;
    const payload = this.#bytes(random.below(100));
    const good = frame(this.#type(), payload, 0, 1);
    const at = (index: number, bits: number) => {
      const bad = good.slice();
      bad[index]! ^= bits;
      return resealed(bad);
    };
    const kinds: (() => Bytes)[] = [
      () => this.#wrongLength(),
      () => at(4, 1 + random.below(255)), // the version
      () => at(5, 32 << random.below(3)), // flags that nobody knows
      () => at(5, FrameFlag.ERROR), // an error that answers nothing
      () => at(7, 1 + random.below(255)), // another lane
      () => at(8, 1), // a request with a correlation of the other end
      () => frame(this.#type(), payload, FrameFlag.MORE, 1),
      () => this.chunk(1),
      () => own(1 + random.below(5), payload),
      () => frame(this.#type(), new Uint8Array(17_000), 0, 1),
      () => {
        const bad = good.slice();
        bad[4 + random.below(bad.length - 4)]! ^= 1 << random.below(8);
        return bad;
      },
    ];
    return kinds[random.below(kinds.length)]!();
  }

  /** A type that is not PLEDGE: who pledges may join, where there is no secret. */
  #type(): number {
    const { random } = this.#options;
    for (;;) {
      const type = random.chance(0.5)
        ? KNOWN_TYPES[random.below(KNOWN_TYPES.length)]!
        : 16 + random.below(240);
      if (type !== MessageType.PLEDGE) return type;
    }
  }

  #greeting(): Bytes {
    const { random, clusterId } = this.#options;
    return this.#introduce({
      node: random.below(6),
      generation: random.below(5),
      clusterId: clusterId ?? this.#bytes(16),
      role: random.chance(0.8) ? "member" : "client",
    });
  }

  /** Who claims to be a member, and then speaks as one. */
  #forged(): Bytes {
    const { random } = this.#options;
    const { RECORDS, RUMOURS, FEEDBACK, CLUSTER_NEWS } = MessageType;
    const { COMMIT, REGISTER_ACCEPT } = MessageType;
    const types = [
      RECORDS,
      RUMOURS,
      FEEDBACK,
      CLUSTER_NEWS,
      COMMIT,
      REGISTER_ACCEPT,
    ];
    const said = [this.#greeting()];
    for (let i = random.below(4); i >= 0; i--) {
      const type = types[random.below(types.length)]!;
      const flags = random.chance(0.5) ? FrameFlag.ONE_WAY : 0;
      const payload = type === COMMIT
        ? this.#commit()
        : this.#bytes(random.below(200));
      said.push(frame(type, payload, flags, 1));
    }
    return concatBytes(...said);
  }

  /** A write as members forward it. */
  #commit(): Bytes {
    const { random } = this.#options;
    const head = { configEpoch: 1, nonce: this.#bytes(8), number: 1 };
    const key = toBytes(`key ${random.below(5)}`);
    const ops = [{ key, value: toBytes("forged") }];
    return encodeCommit(head, { checks: [], ops });
  }

  #introduce(
    who: Pick<Identity, "node" | "generation" | "clusterId" | "role">,
  ): Bytes {
    const { random } = this.#options;
    const identity: Identity = {
      ...who,
      nonce: this.#bytes(8),
      replica: "full",
      features: random.below(4),
      address: random.chance(0.5) ? "" : "x:1",
      hello: who.node === 0 ? new Uint8Array(0) : this.#bytes(random.below(60)),
    };
    const purpose = random.chance(0.5) ? "lane" : "visit";
    const protocols = { min: 1, max: 1 };
    const challenge = this.#bytes(CHALLENGE_BYTES);
    return concatBytes(
      own(MessageType.HELLO, encodeHello({ protocols, challenge })),
      own(MessageType.IDENTITY, encodeIdentity({ identity, purpose })),
      own(MessageType.KEEPALIVE, new Uint8Array(0)),
    );
  }

  #wrongLength(): Bytes {
    const { random } = this.#options;
    const length = WRONG_LENGTHS[random.below(WRONG_LENGTHS.length)]!;
    return new Writer().u32(length).raw(this.#bytes(random.below(64))).finish();
  }

  #cut(bytes: Bytes): Bytes {
    return bytes.slice(0, 1 + this.#options.random.below(bytes.length));
  }

  /** With bits flipped; half of the time with the first frame's checksum right. */
  #mutated(bytes: Bytes): Bytes {
    const { random } = this.#options;
    const mutated = bytes.slice();
    for (let i = random.below(3); i >= 0; i--) {
      mutated[random.below(mutated.length)]! ^= 1 << random.below(8);
    }
    return random.chance(0.5) ? resealed(mutated) : mutated;
  }

  #bytes(length: number): Bytes {
    return this.#options.random.fill(new Uint8Array(length));
  }
}

const KNOWN_TYPES = Object.values(MessageType).filter((type) =>
  type >= 16 && messageName(type) !== "PLEDGE"
);

function one(kind: string, bytes: Bytes): Conversation {
  return { kind, bytes, judged: 1 };
}

function own(type: number, payload: Uint8Array): Bytes {
  return frame(type, payload, FrameFlag.ONE_WAY, 0);
}

function frame(
  type: number,
  payload: Uint8Array,
  flags: number,
  correlation: number,
): Bytes {
  const writer = new Writer(payload.length + FRAME_OVERHEAD_BYTES);
  writeFrame(writer, { flags, type, lane: 0, correlation }, payload);
  return writer.finish();
}

/** The same bytes with the checksum of the first frame set right, if it is whole. */
function resealed(bytes: Bytes): Bytes {
  const view = new DataView(bytes.buffer);
  if (bytes.length < FRAME_OVERHEAD_BYTES) return bytes;
  const end = 4 + view.getUint32(0, true);
  if (end < FRAME_OVERHEAD_BYTES || end > bytes.length) return bytes;
  view.setUint32(end - 4, crc32(bytes.subarray(4, end - 4)), true);
  return bytes;
}
