/** Every decoder of replication, leases, keyspace and host against bad bytes. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  AspenError,
  crc32,
  DecodeError,
  EMPTY_BYTES,
  FormatVersionError,
  Reader,
  toBytes,
  toHex,
  Writer,
} from "../../runtime/mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import {
  decodeCommit,
  decodeOutcome,
  encodeCommit,
  encodeOutcome,
} from "../lease/messages.ts";
import {
  decodePledge,
  decodePledgeReply,
  encodePledge,
  encodePledgeReply,
} from "../membership/pledge.ts";
import { nodeRecord } from "../membership/mod.ts";
import { decodeConfig, encodeConfig, foundConfig } from "../register/mod.ts";
import {
  decodeBuckets,
  decodeBucketsReply,
  decodeEntries,
  decodeEntriesReply,
  decodeList,
  decodeListReply,
  decodeRoot,
  decodeVerdict,
  encodeBuckets,
  encodeDifferent,
  encodeEntries,
  encodeItems,
  encodeList,
  encodeListReply,
  encodeRoot,
  encodeVerdict,
  Verdict,
} from "./audit_messages.ts";
import { decodeClash, encodeClash } from "./conflict.ts";
import { Coverage, MemberList } from "./coverage.ts";
import { makeOrigin } from "./dot.ts";
import {
  compareVersions,
  decodeEntry,
  encodeEntry,
  type Entry,
  EntryFlag,
  readVersion,
  versionOf,
  writeVersion,
} from "./entry.ts";
import { decodeMarks, encodeMarks } from "./log.ts";
import {
  decodeChunkRequest,
  decodeFeedback,
  decodePull,
  decodePullReply,
  decodeRecords,
  decodeRumours,
  encodeBusyReply,
  encodeChunkRequest,
  encodeFeedback,
  encodePull,
  encodeRecords,
  encodeRecordsReply,
  encodeRumours,
  encodeSessionReply,
} from "./messages.ts";
import { decodeRecord, makeRecord, RecordKind } from "./record.ts";
import { GOLDEN } from "./golden_test.ts";
import { foldOp, readFold } from "./fold.ts";
import {
  decodeChunk,
  decodeOffer,
  encodeOffer,
  type SessionOffer,
} from "./session.ts";
import { decodeCounters, encodeCounters } from "./state.ts";
import { Vector } from "./vector.ts";
import { entry, origin, record, T0 } from "./world_test.ts";

const KEY = toBytes("key");
const PLAIN = record({
  deps: [{ origin: origin(3), seq: 300 }],
  entries: [
    { key: KEY, value: toBytes("value") },
    { key: toBytes("gone"), value: undefined },
  ],
});
const FULL = makeRecord({
  ...PLAIN,
  tenure: 2,
  generation: 300,
  entries: [
    entry({
      key: KEY,
      flags: EntryFlag.TTL | EntryFlag.FAILOVER,
      life: 3,
      term: 4,
      sub: 5,
      claimHlc: T0 - 7,
      claimNode: 65_535,
      hlc: PLAIN.hlc + 1,
      origin: PLAIN.origin,
      seq: PLAIN.seq,
      tenure: 2,
      holder: 9,
      holderTenure: 8,
      expiresAt: 1_800_000_001_000,
    }),
  ],
});
const INTENT = makeRecord({
  ...PLAIN,
  kind: RecordKind.INTENT,
  intent: {
    txn: { origin: makeOrigin(4, 5, 1), seq: 6 },
    body: new Writer().varint(makeOrigin(4, 5, 1)).varint(6).u8(77).finish(),
  },
  entries: [],
});
const FOLD = {
  origin: origin(2),
  seq: 7,
  list: [{ origin: origin(2, 9), seq: 300 }, { origin: origin(3), seq: 1 }],
};
const FOLDING = record({
  seq: 7,
  kind: RecordKind.FOLD,
  deps: FOLD.list,
  hlc: T0,
});
const VECTOR = new Vector();
VECTOR.add(origin(2), 1);
VECTOR.add(origin(2), 2);
for (const seq of [1, 5, 6, 9]) VECTOR.add(makeOrigin(3, 7, 1), seq);
const COUNTERS = {
  clock: T0,
  lifeGone: 1,
  lifeFloor: 2,
  caughtUp: true,
  conflictNumber: 300,
  conflictsForgotten: 200,
  bank: 8,
} as const;
/** What ends before the number of conflicts that are forgotten. */
const OLD_COUNTERS = encodeCounters(COUNTERS).slice(0, -2);
function vectorOfOne(): Vector {
  const vector = new Vector();
  vector.add(origin(2), 1);
  return vector;
}

const OFFER = {
  id: 300,
  vector: VECTOR,
  lifeGone: 1,
  lifeFloor: 2,
  floor: vectorOfOne(),
  intents: [{
    txn: { origin: makeOrigin(4, 5, 1), seq: 6 },
    intent: { origin: origin(2), seq: 1 },
    body: toBytes("body"),
  }],
  config: toBytes("config"),
  incarnations: [{ node: 2, generation: 3, nonce: new Uint8Array(8).fill(4) }],
  goesOn: false,
  folds: [FOLD],
};
const CLASH = {
  kept: entry({ key: KEY }),
  lost: entry({ key: KEY, value: undefined, holder: 2 }),
  batchKeys: [toBytes("other")],
};
const HEAD = { configEpoch: 7, nonce: new Uint8Array(8).fill(5), number: 300 };
const REQUEST = {
  checks: [
    { key: KEY, version: null },
    { key: KEY, version: versionOf(entry({ key: KEY })) },
  ],
  ops: [
    { key: KEY, value: toBytes("value"), lease: 3 },
    { key: KEY, value: undefined, lease: undefined },
  ],
};
const PLEDGED = {
  clusterId: new Uint8Array(16).fill(1),
  node: 2,
  config: foundConfig(1, new Uint8Array(8)),
  responder: 1,
  records: [
    nodeRecord({
      key: 1,
      address: "localhost:22646",
      generation: 1,
      nonce: new Uint8Array(8),
    }),
  ],
};

function chunkOf(last: boolean, rows: [Uint8Array, Uint8Array][]): Uint8Array {
  const writer = new Writer().u8(last ? 1 : 0).varint(rows.length);
  for (const [key, row] of rows) writer.bytes(key).bytes(row);
  return writer.finish();
}

const LIST = new MemberList([1, 2, 3, 4, 5, 6, 7, 8, 9]);
const GROUP = {
  id: 300,
  coverage: Coverage.of(LIST, 1, 9).bytes,
  records: [PLAIN],
  announced: [{ origin: origin(2), seq: 9 }],
};
const ITEMS = ([[], "all", [0, 3, 4], "refused"] as const).map((
  redundant,
  i,
) => ({
  id: 300 + i,
  coverage: Coverage.of(LIST, 2, 9).bytes,
  redundant,
}));

const SUM = { count: 300, a: 2 ** 32 - 1, b: 5 };
const ITEM = { key: KEY, entry: FULL.entries[0]!, isIndexed: true };
const AUDITED = [
  ITEM,
  { ...ITEM, isIndexed: false },
  { key: toBytes("gone"), entry: undefined, isIndexed: false },
];
const LISTED = { isLast: false, upTo: KEY, listed: [{ key: KEY, a: 7, b: 8 }] };

const FORMATS: Record<
  string,
  { sample: Uint8Array; decode: (bytes: Uint8Array) => unknown }
> = {
  "record": { sample: PLAIN.bytes, decode: decodeRecord },
  "record with all fields": { sample: FULL.bytes, decode: decodeRecord },
  "intent": { sample: INTENT.bytes, decode: decodeRecord },
  "fold": { sample: FOLDING.bytes, decode: decodeRecord },
  "fold row": {
    sample: foldOp(FOLD).value!,
    decode: (bytes) => readFold(FOLD, bytes),
  },
  "entry": {
    sample: encodeEntry(FULL.entries[0]!),
    decode: (bytes) => decodeEntry(KEY, bytes),
  },
  "version": {
    sample: (() => {
      const writer = new Writer();
      writeVersion(writer, versionOf(FULL.entries[0]!));
      return writer.finish();
    })(),
    decode: (bytes) => readVersion(new Reader(bytes, "a version")),
  },
  "vector": { sample: VECTOR.encode(), decode: Vector.decode },
  "vector row": {
    sample: VECTOR.encodeOrigin(makeOrigin(3, 7, 1)),
    decode: (bytes) => new Vector().decodeOrigin(makeOrigin(3, 7, 1), bytes),
  },
  "counters": { sample: encodeCounters(COUNTERS), decode: decodeCounters },
  "counters of who kept the newest conflicts only": {
    sample: OLD_COUNTERS,
    decode: decodeCounters,
  },
  "log marks": {
    sample: encodeMarks({ lost: [0, 300], won: [2] }),
    decode: decodeMarks,
  },
  "conflict": { sample: encodeClash(CLASH), decode: decodeClash },
  "offer": { sample: encodeOffer(OFFER), decode: decodeOffer },
  "chunk": {
    sample: chunkOf(true, [[KEY, encodeEntry(FULL.entries[0]!)]]),
    decode: readChunk,
  },
  "records": {
    sample: encodeRecords([{ origin: origin(2), seq: 9 }], [
      PLAIN.bytes,
      FULL.bytes,
    ]),
    decode: decodeRecords,
  },
  "rumours": {
    sample: encodeRumours(LIST, [GROUP, { ...GROUP, records: [] }]),
    decode: decodeRumours,
  },
  "feedback": {
    sample: encodeFeedback(LIST, ITEMS),
    decode: decodeFeedback,
  },
  "pull": {
    sample: encodePull({ configEpoch: 3, whole: true, vector: VECTOR }),
    decode: decodePull,
  },
  "reply of records": {
    sample: encodeRecordsReply(VECTOR, [PLAIN.bytes], true),
    decode: decodePullReply,
  },
  "reply of a session": {
    sample: encodeSessionReply(encodeOffer(OFFER)),
    decode: decodePullReply,
  },
  "reply that it is busy": {
    sample: encodeBusyReply(VECTOR),
    decode: decodePullReply,
  },
  "request for a chunk": {
    sample: encodeChunkRequest(300),
    decode: decodeChunkRequest,
  },
  "audit": {
    sample: encodeRoot({ vector: VECTOR, sum: SUM }),
    decode: decodeRoot,
  },
  "verdict": {
    sample: encodeVerdict(Verdict.DIFFERENT),
    decode: decodeVerdict,
  },
  "reply of buckets": {
    sample: encodeDifferent([0, 1, 300, 4095]),
    decode: decodeBucketsReply,
  },
  "question for a list": {
    sample: encodeList({ buckets: [0, 300], after: KEY }),
    decode: decodeList,
  },
  "list of an audit": {
    sample: encodeListReply(LISTED),
    decode: decodeListReply,
  },
  "entries of an audit": {
    sample: encodeEntries({ vector: VECTOR, items: AUDITED }),
    decode: decodeEntries,
  },
  "reply of entries": {
    sample: encodeItems(AUDITED),
    decode: decodeEntriesReply,
  },
  "commit": { sample: encodeCommit(HEAD, REQUEST), decode: decodeCommit },
  "commit that ends": {
    sample: encodeCommit(HEAD, {
      checks: [],
      ops: [
        { key: KEY, value: toBytes("value"), expireIn: 1000 },
        { key: KEY, value: toBytes("value"), lease: 3, expireIn: 7 },
      ],
    }),
    decode: decodeCommit,
  },
  "outcome": {
    sample: encodeOutcome({
      record: PLAIN,
      after: [{ origin: origin(2), seq: 1 }],
    }),
    decode: decodeOutcome,
  },
  "pledge": {
    sample: encodePledge({
      ticket: new Uint8Array(16).fill(3),
      address: "localhost:1",
    }),
    decode: decodePledge,
  },
  "pledge of who says how long it waits": {
    sample: encodePledge({
      ticket: new Uint8Array(16).fill(3),
      address: "localhost:1",
      patienceMs: 5000,
    }),
    decode: decodePledge,
  },
  "reply to a pledge": {
    sample: encodePledgeReply(PLEDGED),
    decode: decodePledgeReply,
  },
};

function isTyped(error: unknown): boolean {
  return error instanceof DecodeError || error instanceof FormatVersionError;
}

for (const [name, { sample, decode }] of Object.entries(FORMATS)) {
  Deno.test(`bad bytes as ${name} give a value or a typed error`, () => {
    const random = new Prng(1, name);
    const attempt = (bytes: Uint8Array) => {
      try {
        decode(bytes);
      } catch (error) {
        assert(
          isTyped(error),
          `${toHex(bytes)}: ${error instanceof Error ? error.stack : error}`,
        );
        assert(error instanceof AspenError);
      }
    };
    decode(sample);
    for (let end = 0; end < sample.length; end++) {
      attempt(sample.subarray(0, end));
    }
    for (let i = 0; i < 500; i++) {
      const bytes = new Uint8Array(sample);
      for (let n = 1 + random.u32() % 3; n > 0; n--) {
        const at = random.u32() % bytes.length;
        bytes[at] = random.u32() % 4 === 0 ? 0xff : random.u32();
      }
      // A record that was harmed after its checksum was made is one thing, a
      // writer that computes nonsense another.
      if (decode === decodeRecord && i % 2 === 0) {
        const body = bytes.subarray(0, bytes.length - 4);
        new DataView(bytes.buffer).setUint32(body.length, crc32(body), true);
      }
      attempt(bytes);
      attempt(random.fill(new Uint8Array(random.u32() % 80)));
    }
  });
}

Deno.test("every format has the bytes that it had: golden", () => {
  const samples = Object.entries(FORMATS).map(([name, { sample }]) =>
    [name, toHex(sample)] as const
  );
  assertEquals(Object.fromEntries(samples), GOLDEN);
});

Deno.test("formats that a release cannot read are refused by their version", () => {
  for (const decode of [decodeRecord, decodeCounters, decodeClash]) {
    const body = Uint8Array.of(2, ...new Uint8Array(40));
    const crc = new Writer().raw(body).u32(crc32(body)).finish();
    const error = assertThrows(() => decode(crc));
    assert(isTyped(error), String(error));
  }
});

function readChunk(bytes: Uint8Array): Entry[] {
  return [...decodeChunk(bytes).slices].flat();
}

Deno.test("a count that nothing stands behind allocates nothing", () => {
  const huge = (write: (writer: Writer) => Writer) =>
    write(new Writer()).varint(1_000_000).finish();
  const cases: [(bytes: Uint8Array) => unknown, Uint8Array][] = [
    [Vector.decode, huge((w) => w)],
    [decodeRecords, huge((w) => w)],
    [decodeRumours, huge((w) => w.varint(9).u32(1))],
    [decodeRumours, Uint8Array.of(0xff, 0xff, 3, 0, 0, 0, 0, 1, 7)],
    [decodeFeedback, huge((w) => w.varint(9).u32(1))],
    [readChunk, huge((w) => w.u8(1))],
    [decodePull, huge((w) => w.varint(1).u8(0))],
  ];
  for (const [decode, bytes] of cases) {
    assertThrows(() => decode(bytes), DecodeError);
  }
});

Deno.test("a message cannot be blown up into millions of small parts", () => {
  const zeros = new Uint8Array(8 * 1024 * 1024);
  const heads = new Writer().varint(zeros.length / 2).raw(zeros).finish();
  assertThrows(() => decodeRecords(heads), DecodeError, "at most");
  const head = () => new Writer().varint(0).u32(0);
  const announced = head().varint(1).varint(1).varint(0)
    .varint(zeros.length / 2).raw(zeros).finish();
  assertThrows(() => decodeRumours(announced), DecodeError, "at most");
  const places = head().varint(2);
  for (let id = 0; id < 2; id++) {
    places.varint(id).u8(2).varint(40_000).raw(zeros.subarray(0, 40_000));
  }
  assertThrows(() => decodeFeedback(places.finish()), DecodeError, "at most");
  const checks = new Writer().varint(1).raw(new Uint8Array(8)).varint(1)
    .varint(zeros.length / 3 | 0).raw(zeros).finish();
  assertThrows(() => decodeCommit(checks), DecodeError, "at most");
});

Deno.test("an op that deletes its key and keeps its value is refused", () => {
  const flags = EntryFlag.TOMBSTONE | EntryFlag.VALUE_UNCHANGED;
  const { bytes } = record({ entries: [{ key: KEY, flags }] });
  assertThrows(() => decodeRecord(bytes), DecodeError, "keeps its value");
});

Deno.test("a harmed record is never taken for one: any bit that flips is seen", () => {
  for (let at = 0; at < FULL.bytes.length; at++) {
    for (const bit of [1, 128]) {
      const bytes = new Uint8Array(FULL.bytes);
      bytes[at]! ^= bit;
      assertThrows(() => decodeRecord(bytes), DecodeError);
    }
  }
});

// ---- golden bytes and round trips

Deno.test("records: golden bytes, and all fields come back", () => {
  const golden = record({
    origin: makeOrigin(2, 3, 0),
    seq: 4,
    hlc: 5,
    nonce: new Uint8Array(8).fill(0xaa),
    deps: [{ origin: makeOrigin(1, 0, 0), seq: 7 }],
    entries: [
      { key: toBytes("k"), value: toBytes("v"), claimHlc: 1 },
      { key: toBytes("t"), value: undefined, hlc: 4, claimHlc: 4 },
    ],
  });
  assertEquals(
    toHex(golden.bytes),
    "0100868080804004" + "0101" + "aa".repeat(8) + "05" + // head
      "01808080802007" + // deps
      "02" + "00016b010000010201" + "76" + // k
      "410174010000040204" + // t, its own hlc
      toHex(golden.bytes.subarray(-4)),
  );
  for (const each of [golden, PLAIN, FULL, INTENT]) {
    const decoded = decodeRecord(new Uint8Array(each.bytes));
    assertEquals(decoded.entries, [...each.entries]);
    assertEquals(decoded.deps, [...each.deps]);
    assertEquals(decoded.intent?.txn, each.intent?.txn);
    assertEquals(toHex(makeRecord(decoded).bytes), toHex(each.bytes));
  }
});

Deno.test("entry rows: golden bytes, and all fields come back", () => {
  const plain = entry({
    key: KEY,
    value: toBytes("v"),
    holder: 2,
    origin: makeOrigin(2, 0, 0),
    claimHlc: 3,
    hlc: 4,
  });
  assertEquals(
    toHex(encodeEntry(plain)),
    "0e0001000003020480808080400101" + "76",
  );
  for (const each of [plain, FULL.entries[0]!, CLASH.lost]) {
    assertEquals(decodeEntry(each.key, encodeEntry(each)), each);
  }
  const later = encodeEntry(plain);
  const grown = new Uint8Array(later.length + 2);
  grown.set(later.subarray(0, -1));
  grown.set([9, 9, 0x76], later.length - 1);
  grown[0]! += 2;
  assertEquals(decodeEntry(KEY, grown), plain, "later fields are skipped");
});

Deno.test("vectors and counters: golden bytes, and all comes back", () => {
  assertEquals(
    toHex(VECTOR.encode()),
    "02" + "828080804002" + "8d8080802001" + "02" + "0301" + "0200",
  );
  assertEquals(
    Vector.decode(VECTOR.encode()).fingerprint(),
    VECTOR.fingerprint(),
  );
  assertEquals(
    toHex(encodeCounters({ ...COUNTERS, clock: 5 })),
    "010501020" + "1ac0208" + "c801",
  );
  assertEquals(decodeCounters(encodeCounters(COUNTERS)), COUNTERS);
});

Deno.test("the buckets of an audit come back as they were, and too few are an error", () => {
  const sample = encodeBuckets(VECTOR, (a) => ({ a, b: a + 1 }));
  const { vector, sums } = decodeBuckets(sample);
  assert(vector.equals(VECTOR));
  assertEquals(sums.length, 4096);
  assertEquals([sums[0], sums[4095]], [{ a: 0, b: 1 }, { a: 4095, b: 4096 }]);
  const head = VECTOR.encode().length;
  assertEquals(sample.length, head + 4096 * 8);
  assertEquals(
    toHex(sample.subarray(head, head + 12)),
    "000000000100000001000000",
  );
  for (const end of [0, 5, head, head + 8, sample.length - 1]) {
    assertThrows(() => decodeBuckets(sample.subarray(0, end)), DecodeError);
  }
});

Deno.test("messages of the audit come back as they were", () => {
  const root = decodeRoot(FORMATS["audit"]!.sample);
  assert(root.vector.equals(VECTOR));
  assertEquals(root.sum, SUM);
  assertEquals(decodeBucketsReply(encodeDifferent([0, 1, 300, 4095])), {
    verdict: Verdict.DIFFERENT,
    buckets: [0, 1, 300, 4095],
  });
  assertEquals(decodeBucketsReply(encodeVerdict(Verdict.OTHER_VECTOR)), {
    verdict: Verdict.OTHER_VECTOR,
    buckets: [],
  });
  // The next one would be beyond the last bucket.
  assertThrows(
    () => decodeList(new Writer().varint(2).varint(4095).varint(0).finish()),
    DecodeError,
  );
  const question = { buckets: [0, 300], after: EMPTY_BYTES };
  assertEquals(decodeList(encodeList(question)), question);
  assertEquals(decodeListReply(encodeListReply(LISTED)), LISTED);
  const entries = decodeEntries(FORMATS["entries of an audit"]!.sample);
  assert(entries.vector.equals(VECTOR));
  assertEquals(entries.items, AUDITED);
  assertEquals(decodeEntriesReply(encodeItems(AUDITED)), {
    verdict: Verdict.DIFFERENT,
    items: AUDITED,
  });
  assertEquals(decodeEntriesReply(encodeVerdict(Verdict.NOT_READY)).items, []);
});

Deno.test("counters of a release that kept the newest 10,000 conflicts say which those are", () => {
  assertEquals(decodeCounters(OLD_COUNTERS), {
    ...COUNTERS,
    conflictsForgotten: 0,
  });
  for (const [newest, gone] of [[9_999, 0], [10_000, 0], [10_001, 1]]) {
    const counters = { ...COUNTERS, conflictNumber: newest! };
    const row = encodeCounters({ ...counters, conflictsForgotten: 0 });
    assertEquals(decodeCounters(row.slice(0, -1)).conflictsForgotten, gone);
    assertEquals(decodeCounters(row).conflictsForgotten, 0);
  }
  const nonsense = { ...COUNTERS, conflictsForgotten: 301 };
  assertThrows(() => decodeCounters(encodeCounters(nonsense)), DecodeError);
});

Deno.test("messages come back as they were", () => {
  const { heads, records } = decodeRecords(FORMATS["records"]!.sample);
  assertEquals(heads, [{ origin: origin(2), seq: 9 }]);
  assertEquals(records.map(({ bytes }) => toHex(bytes)), [
    toHex(PLAIN.bytes),
    toHex(FULL.bytes),
  ]);
  const name = { members: LIST.size, hash: LIST.hash };
  const rumours = decodeRumours(FORMATS["rumours"]!.sample);
  assertEquals(rumours.list, name);
  assertEquals(rumours.groups.map(({ records }) => records.length), [1, 0]);
  assertEquals(toHex(rumours.groups[0]!.records[0]!.bytes), toHex(PLAIN.bytes));
  for (const { records: _, ...group } of rumours.groups) {
    const { records: _, ...sent } = GROUP;
    assertEquals(group, sent);
  }
  assertEquals(decodeFeedback(FORMATS["feedback"]!.sample), {
    list: name,
    items: ITEMS,
  });
  const pull = decodePull(FORMATS["pull"]!.sample);
  assertEquals([pull.configEpoch, pull.whole], [3, true]);
  assertEquals(pull.vector.fingerprint(), VECTOR.fingerprint());
  const { vector, ...offer } = decodeOffer(encodeOffer(OFFER));
  assertEquals({ ...offer, vector: OFFER.vector }, OFFER as SessionOffer);
  assert(decodeOffer(encodeOffer({ ...OFFER, goesOn: true })).goesOn);
  assertEquals(vector.fingerprint(), VECTOR.fingerprint());
  const clash = decodeClash(encodeClash(CLASH));
  assertEquals(clash, CLASH);
  const commit = decodeCommit(encodeCommit(HEAD, REQUEST));
  assertEquals(commit, { head: HEAD, request: REQUEST });
  const outcome = decodeOutcome(encodeOutcome({ record: PLAIN, after: [] }));
  assertEquals(toHex(outcome.record!.bytes), toHex(PLAIN.bytes));
  assertEquals(
    decodeOutcome(encodeOutcome({ record: undefined, after: [] })).record,
    undefined,
  );
  const pledged = decodePledgeReply(encodePledgeReply(PLEDGED));
  assertEquals({ ...pledged, records: [] }, {
    ...PLEDGED,
    config: decodeConfig(encodeConfig(PLEDGED.config)),
    records: [],
  });
  assertEquals(pledged.records[0]!.address, "localhost:22646");
  const version = versionOf(FULL.entries[0]!);
  const read = readVersion(new Reader(FORMATS["version"]!.sample, "v"));
  assertEquals(compareVersions(version, read), 0);
  assertEquals(EMPTY_BYTES.length, 0);
});
