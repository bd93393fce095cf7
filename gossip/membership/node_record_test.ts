import { assertEquals, assertThrows } from "@std/assert";
import {
  DecodeError,
  LimitError,
  Reader,
  toHex,
  Writer,
} from "../../runtime/mod.ts";
import {
  ADDRESS_BYTES_MAX,
  compareStandings,
  nodeRecord,
  readNodeRecord,
  sameStanding,
  toNode,
  writeNodeRecord,
} from "./node_record.ts";
import type { NodeRecord } from "./node_record.ts";

const RECORD = nodeRecord({
  key: 2,
  address: "localhost:22647",
  generation: 3,
  version: 300,
  state: "left",
  nonce: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  role: "client",
  replica: "witness",
  features: 5,
  protocolMin: 1,
  protocolMax: 2,
  software: "0.1.0",
});

function encode(record: NodeRecord): Uint8Array {
  const writer = new Writer();
  writeNodeRecord(writer, record);
  return writer.finish();
}

function decode(bytes: Uint8Array): NodeRecord {
  return readNodeRecord(new Reader(bytes, "a test"));
}

Deno.test("a node's record has its golden bytes", () => {
  const bytes = encode(RECORD);
  assertEquals(
    toHex(bytes),
    "2b020003ac020301020304050607080102050100" +
      "02000f6c6f63616c686f73743a323236343705302e312e30",
  );
  assertEquals(decode(bytes), RECORD);
});

Deno.test("fields that a newer release appended to a record travel on", () => {
  const newer = encode({ ...RECORD, rest: Uint8Array.of(9, 9, 9) });
  assertEquals(decode(newer).rest, Uint8Array.of(9, 9, 9));
  assertEquals(encode(decode(newer)), newer);
});

Deno.test("a record with a length beyond its limit is refused before it is read", () => {
  const huge = new Writer().varint(2 ** 40).finish();
  assertThrows(() => decode(huge), DecodeError);
  const address = "a".repeat(ADDRESS_BYTES_MAX + 1);
  assertThrows(() => nodeRecord({ ...RECORD, address }), LimitError);
  assertThrows(() => decode(encode({ ...RECORD, address })), DecodeError);
});

Deno.test("N1: a node key that is none is refused", () => {
  assertThrows(() => decode(encode({ ...RECORD, key: 0 })), DecodeError);
  assertEquals(decode(encode({ ...RECORD, key: 65_535 })).key, 65_535);
});

Deno.test("an unknown state of a node is refused", () => {
  const bytes = encode(RECORD);
  bytes[6] = 4;
  assertThrows(() => decode(bytes), DecodeError, "state is 4");
});

Deno.test("a later start of a node is newer than an earlier one, whatever their versions", () => {
  const compare = (a: [number, number], b: [number, number]) =>
    Math.sign(compareStandings(
      { ...RECORD, generation: a[0], version: a[1] },
      { ...RECORD, generation: b[0], version: b[1] },
    ));
  assertEquals(compare([2, 0], [1, 9]), 1);
  assertEquals(compare([1, 8], [1, 9]), -1);
  assertEquals(compare([1, 9], [1, 9]), 0);
});

Deno.test("users see key, address, state and heartbeat of a node", () => {
  assertEquals(toNode(RECORD), {
    key: 2,
    address: "localhost:22647",
    state: "left",
    heartbeat: { generation: 3, version: 300 },
  });
});

Deno.test("a heartbeat leaves a node's standing as it is, an address or start does not", () => {
  assertEquals(sameStanding(RECORD, { ...RECORD, version: 301 }), true);
  assertEquals(sameStanding(RECORD, { ...RECORD, generation: 4 }), false);
  assertEquals(sameStanding(RECORD, { ...RECORD, address: "other:1" }), false);
});
