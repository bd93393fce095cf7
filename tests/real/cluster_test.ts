import { assert, assertEquals } from "@std/assert";
import { compareVersions, type Version } from "../../mod.ts";
import { Prng } from "../../runtime/virtual/mod.ts";
import { TempDir } from "./paths.ts";
import {
  ProcessEndedError,
  RemoteCallError,
  RemoteNode,
  type RemoteOp,
} from "./remote_node.ts";
import { countConflicts, readRows, type Row } from "./rows.ts";

/** Writes that must be acked. */
const WRITES = 10_000;
/** Calls in flight. */
const WORKERS = 48;
/** Groups of keys, each led by one node; the calls of a group are in order. */
const GROUPS = 360;
/** Keys of a group, which a batch may write together. */
const GROUP_KEYS = 3;

/** Refusals that promise that nothing was written. */
const NOT_WRITTEN = ["LeaseholderUnavailableError", "UnreachableError"];
/** What a caller hears when nobody knows. */
const UNKNOWN = ["OutcomeUnknownError"];

/** What must be there of one key, exactly. */
interface Expected {
  value: string | null;
  /** `undefined` while the key was never written. */
  version: Version | undefined;
  /**
   * The nodes that have surely heard of the key. Another one may know of no
   * leaseholder yet: it must be told, and has nothing to delete.
   */
  readonly knownBy: Set<number>;
}

/** Keys with one leaseholder. */
interface Group {
  readonly leader: number;
  readonly keys: readonly string[];
  readonly expected: Expected[];
  /** A call whose outcome nobody knows; no other was made after it. */
  unknown: RemoteOp[] | undefined;
}

const counts = {
  acked: 0,
  sets: 0,
  deletes: 0,
  overwrites: 0,
  forwarded: 0,
  batches: 0,
  refused: 0,
  unanswered: 0,
  unknown: 0,
};

Deno.test(`three processes, ${WRITES} writes, one killed with -9 and restarted: all agree on everything, and every acked write is there`, async () => {
  await using temp = new TempDir();
  const random = new Prng(2);
  const names = ["a", "b", "c"];
  const nodes: (RemoteNode | undefined)[] = [];
  await using stack = new AsyncDisposableStack();
  const start = async (i: number, peers?: string[]) => {
    const node = await RemoteNode.start({
      dir: temp.at(names[i]!),
      open: {
        address: "127.0.0.1:0",
        ...peers === undefined
          ? {}
          : peers.length === 0
          ? { bootstrap: true }
          : { peers },
      },
    });
    stack.use(node);
    nodes[i] = node;
    return node;
  };
  const founder = await start(0, []);
  await start(1, [founder.address]);
  await start(2, [founder.address]);
  const keyOf = nodes.map((node) => node!.key);
  assertEquals(new Set(keyOf).size, 3);

  const groups: Group[] = Array.from({ length: GROUPS }, (_, i) => ({
    leader: i % 3,
    keys: Array.from({ length: GROUP_KEYS }, (_, j) => `group ${i} key ${j}`),
    expected: Array.from(
      { length: GROUP_KEYS },
      () => ({ value: null, version: undefined, knownBy: new Set() }),
    ),
    unknown: undefined,
  }));
  const idle = [...groups];
  const middle = Promise.withResolvers<void>();
  let number = 0;

  /** One call on a group that nobody else is busy with. */
  async function write(group: Group): Promise<void> {
    const alive = [0, 1, 2].filter((i) => nodes[i] !== undefined);
    const gateway = alive[random.below(alive.length)]!;
    const whole = random.below(10) === 0;
    const chosen = whole
      ? group.keys.map((_, i) => i)
      : [random.below(GROUP_KEYS)];
    const ops = chosen.map((i): RemoteOp => {
      const known = group.expected[i]!.knownBy.has(gateway);
      const value = known && random.below(5) === 0
        ? null
        : `value ${number++} ${"x".repeat(random.below(100))}`;
      const lease = known ? null : keyOf[group.leader]!;
      return [group.keys[i]!, value, lease];
    });
    try {
      const versions = await nodes[gateway]!.commit(...ops);
      chosen.forEach((i, at) => {
        const expected = group.expected[i]!;
        const [, value] = ops[at]!;
        const version = versions[at] ?? undefined;
        // Only deleting what is not there changes nothing.
        assert(
          version !== undefined || value === null && expected.value === null,
        );
        counts[value === null ? "deletes" : "sets"]++;
        if (expected.version !== undefined) counts.overwrites++;
        if (gateway !== group.leader) counts.forwarded++;
        expected.value = value;
        expected.version = version ?? expected.version;
        expected.knownBy.add(gateway).add(group.leader);
      });
      counts.acked += chosen.length;
      if (whole) counts.batches++;
    } catch (error) {
      if (
        error instanceof RemoteCallError && NOT_WRITTEN.includes(error.code)
      ) {
        counts.refused++;
      } else if (error instanceof ProcessEndedError) {
        counts.unanswered++;
        group.unknown = ops;
      } else if (
        error instanceof RemoteCallError && UNKNOWN.includes(error.code)
      ) {
        counts.unknown++;
        group.unknown = ops;
      } else throw error;
    }
  }

  /** Writes until so many are acked, in all. */
  async function writeUntil(target: number): Promise<void> {
    const work = async () => {
      while (counts.acked < target) {
        const at = random.below(idle.length);
        const group = idle[at]!;
        idle[at] = idle.at(-1)!;
        idle.pop();
        await write(group);
        if (group.unknown === undefined) idle.push(group);
        if (counts.acked >= WRITES * 0.4) middle.resolve();
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, work));
  }

  await writeUntil(WRITES * 0.1);
  for (const node of nodes) await node!.caughtUp();
  for (const { expected } of groups) {
    for (const { version, knownBy } of expected) {
      if (version !== undefined) [0, 1, 2].forEach((i) => knownBy.add(i));
    }
  }
  const victim = 1;
  const killed = nodes[victim]!;
  await Promise.all([
    writeUntil(WRITES * 0.6),
    // In the middle of calls to it, and of calls that it forwards.
    middle.promise.then(() => {
      nodes[victim] = undefined;
      return killed.kill();
    }),
  ]);
  const again = await start(victim);
  assertEquals(again.key, killed.key);
  await writeUntil(WRITES);

  for (const node of nodes) await node!.caughtUp();
  for (const node of nodes) await node!.close();

  for (const [kind, count] of Object.entries(counts)) {
    assert(count > 0, `there were no ${kind}: ${JSON.stringify(counts)}`);
  }
  assert(
    counts.unanswered + counts.unknown <= 2 * WORKERS,
    JSON.stringify(counts),
  );
  const [rows, ...others] = await Promise.all(
    names.map((name) => readRows(temp.at(name))),
  );
  for (const other of others) assertEquals(sorted(other), sorted(rows!));
  for (const name of names) {
    assertEquals(await countConflicts(temp.at(name)), 0, name);
  }
  for (const group of groups) check(group, rows!, keyOf[group.leader]!);
  const dead = [...rows!.values()].filter(({ value }) => value === null);
  assert(dead.length > 10, `${dead.length} tombstones`);
});

/** Every acked write is there, unless a later one of which nobody knows is. */
function check(
  { keys, expected, unknown }: Group,
  rows: ReadonlyMap<string, Row>,
  leader: number,
): void {
  const changed: boolean[] = [];
  keys.forEach((key, i) => {
    const row = rows.get(key);
    const { value, version } = expected[i]!;
    if (row !== undefined) assertEquals(row.leaseholder, leader, key);
    const sameVersion = row === undefined || version === undefined
      ? row === version
      : compareVersions(row.version, version) === 0;
    if (sameVersion) {
      assertEquals(row?.value ?? null, value, key);
      if (unknown?.some(([name]) => name === key)) changed.push(false);
      return;
    }
    const op = unknown?.find(([name]) => name === key);
    assert(op !== undefined, `"${key}" is not as it was acked`);
    assertEquals(row!.value, op[1], key);
    if (version !== undefined) {
      assert(compareVersions(row!.version, version) > 0, key);
    }
    changed.push(true);
  });
  // A batch of one leaseholder is there whole, or not at all. Deleting what was
  // not there leaves no trace.
  const effective = unknown?.length === 1 ||
    !unknown?.some(([, value]) => value === null);
  if (effective) assert(new Set(changed).size <= 1, `half a batch: ${keys}`);
}

function sorted(rows: ReadonlyMap<string, Row>): [string, Row][] {
  return [...rows].sort(([a], [b]) => a < b ? -1 : 1);
}
