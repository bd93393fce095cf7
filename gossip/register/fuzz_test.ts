/** Every decoder of registers and membership against random and damaged bytes. */

import { assert } from "@std/assert";
import { DecodeError, Reader, Writer } from "../../runtime/mod.ts";
import {
  decodeAck,
  decodeMembers,
  decodeNews,
  decodePing,
  decodePingRequest,
  decodeRecords,
  decodeStandings,
  decodeSync,
  encodeAck,
  encodeNews,
  encodePing,
  encodePingRequest,
  encodeRecords,
  Members,
  nodeRecord,
  readNodeRecord,
  writeNodeRecord,
} from "../membership/mod.ts";
import { decodeHello, encodeHello } from "../membership/hello.ts";
import {
  decodeReport,
  decodeReportRequest,
  encodeReport,
  encodeReportRequest,
} from "../membership/report.ts";
import { Vector } from "../replication/vector.ts";
import {
  assign,
  decodeAccept,
  decodeConfig,
  decodeIds,
  decodeList,
  decodePrepare,
  decodeReply,
  decodeSeatRequest,
  encodeAccept,
  encodeConfig,
  encodeIds,
  encodeList,
  encodePrepare,
  encodeReply,
  encodeSeatRequest,
  foundIds,
  readBallot,
  writeBallot,
} from "./mod.ts";
import { Dice, seat, ticket, votersConfig } from "./world_test.ts";

const CONFIG = {
  ...votersConfig(3),
  removed: [4],
  finals: new Map([[5, 6], [700, 8000]]),
};
const BALLOT = { epoch: 300, n: 5, node: 2, generation: 1 };
const REQUEST = {
  config: CONFIG,
  seat: seat(2),
  register: "ids",
  ballot: BALLOT,
};
const VALUE = new Uint8Array(20).fill(3);
const RECORD = nodeRecord({
  key: 2,
  address: "localhost:22647",
  generation: 300,
  nonce: seat(3),
  software: "0.1.0",
});
const REPORT = {
  node: 300,
  era: 0,
  epoch: 300,
  generation: 7,
  nonce: seat(4),
  number: 300,
  birth: new Vector(),
  vector: new Vector(),
  floor: new Vector(),
  leaving: false,
};
REPORT.vector.add(300, 1);
const NEWS = { record: RECORD, accusers: [3, 300] };
const MEMBERS = new Members({ ...RECORD, key: 1 }, { others: [RECORD] });

function bytesOf(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer();
  write(writer);
  return writer.finish();
}

const CODECS: [string, Uint8Array, (bytes: Uint8Array) => unknown][] = [
  [
    "ballot",
    bytesOf((writer) => writeBallot(writer, BALLOT)),
    (bytes) => readBallot(new Reader(bytes, "a ballot")),
  ],
  ["config", encodeConfig(CONFIG), decodeConfig],
  ["node keys", encodeIds(assign(foundIds(ticket(1)), ticket(2))), decodeIds],
  ["prepare", encodePrepare(REQUEST), decodePrepare],
  ["accept", encodeAccept({ ...REQUEST, value: VALUE }), decodeAccept],
  ["list", encodeList(REQUEST), decodeList],
  [
    "promise",
    encodeReply({
      kind: "promise",
      accepted: BALLOT,
      value: VALUE,
      vector: VALUE,
    }),
    decodeReply,
  ],
  ["nack", encodeReply({ kind: "known", config: CONFIG }), decodeReply],
  [
    "names",
    encodeReply({ kind: "names", names: ["config", "ids"], vector: VALUE }),
    decodeReply,
  ],
  [
    "node record",
    bytesOf((writer) => writeNodeRecord(writer, RECORD)),
    (bytes) => readNodeRecord(new Reader(bytes, "a record")),
  ],
  ["sync", MEMBERS.sync(), decodeSync],
  ["list of standings", MEMBERS.answer(seat(1)), decodeStandings],
  ["ack", encodeAck([RECORD], [3, 4]), decodeAck],
  ["list of records", encodeRecords([RECORD, RECORD]), decodeRecords],
  ["piece of news", encodeNews([NEWS, NEWS]), decodeNews],
  ["ping", encodePing(RECORD, [NEWS]), decodePing],
  ["request to ping", encodePingRequest(7), decodePingRequest],
  ["request for a seat", encodeSeatRequest(CONFIG), decodeSeatRequest],
  ["seat", encodeReply({ kind: "seat", seat: seat(1) }), decodeReply],
  ["request for a report", encodeReportRequest(CONFIG), decodeReportRequest],
  ["report", encodeReport(REPORT), decodeReport],
  [
    "hello",
    encodeHello(CONFIG, CONFIG, REPORT.birth, REPORT.floor, true),
    decodeHello,
  ],
];

/** A value or a DecodeError; anything else fails the test. */
function decodes(
  decode: (bytes: Uint8Array) => unknown,
  bytes: Uint8Array,
  also: new (...args: never[]) => Error = DecodeError,
): boolean {
  try {
    decode(bytes);
    return true;
  } catch (error) {
    assert(error instanceof DecodeError || error instanceof also, `${error}`);
    return false;
  }
}

for (const [name, whole, decode] of CODECS) {
  Deno.test(`damaged bytes of a ${name} give a value or a DecodeError`, () => {
    const dice = new Dice(whole.length);
    assert(decodes(decode, whole));
    for (let length = 0; length < whole.length; length++) {
      decodes(decode, whole.subarray(0, length));
    }
    for (let round = 0; round < 2000; round++) {
      const bytes = whole.slice();
      for (let flips = 1 + dice.below(4); flips > 0; flips--) {
        bytes[dice.below(bytes.length)] = dice.below(256);
      }
      decodes(decode, bytes);
      decodes(decode, dice.fill(new Uint8Array(dice.below(64))));
    }
  });
}

Deno.test("damaged bytes of the persisted members give a value or a typed error", () => {
  const whole = MEMBERS.encode();
  const dice = new Dice(1);
  for (let round = 0; round < 2000; round++) {
    const bytes = whole.slice();
    bytes[1 + dice.below(bytes.length - 1)] = dice.below(256);
    decodes(decodeMembers, bytes);
    decodes(decodeMembers, bytes.subarray(0, dice.below(bytes.length)));
  }
});

Deno.test("damaged gossip leaves the members as they were, or merges whole records", () => {
  const dice = new Dice(2);
  const answer = MEMBERS.answer(seat(1));
  const ack = encodeAck([RECORD], [1, 2]);
  for (let round = 0; round < 1000; round++) {
    const members = new Members({ ...RECORD, key: 3 });
    for (const whole of [answer, ack]) {
      const bytes = whole.slice();
      bytes[dice.below(bytes.length)] = dice.below(256);
      decodes((message) => members.answer(message), bytes);
      decodes((message) => members.ack(message), bytes);
      decodes((message) => members.ack2(message), bytes);
      decodes((message) => members.take(message), bytes);
    }
    assert(decodeMembers(members.encode()).others.length === members.size - 1);
  }
});
