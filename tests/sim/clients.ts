/**
 * Clients: make the calls of a script on the nodes, and tell the oracle how each
 * of them ended.
 *
 * @module
 */

import {
  type Change,
  CheckFailedError,
  ClosedError,
  compareVersions,
  CorruptionError,
  type DB,
  DeadlineExceededError,
  LeaseholderUnavailableError,
  LeaseNotTransferableError,
  NodeNotFoundError,
  NotCaughtUpError,
  NotMemberError,
  NotSupportedError,
  OutcomeUnknownError,
  PartialCommitError,
  PoisonedError,
  StorageError,
  type Version,
} from "../../mod.ts";
import type { World } from "../../runtime/virtual/mod.ts";
import { text } from "./cluster.ts";
import type { Coverage } from "./coverage.ts";
import { dbOf, isHindered, type Life, type Member, peek } from "./member.ts";
import type { Members } from "./members.ts";
import { unexplained } from "./excuses.ts";
import type { Oracle } from "./oracle.ts";
import type { WatchJudge } from "./watch_judge.ts";
import {
  type NodeState,
  readRow,
  readState,
  readVector,
  type Row,
} from "./rows.ts";
import type { CallStep, OpStep } from "./script.ts";

/** Deadline of every call, in ms. */
const TIMEOUT_MS = 2000;

/**
 * What a call may take beyond its deadline, in ms: the commit's own place in the
 * queue of a node and its sync are not the network's.
 */
const GRACE_MS = 1000;

/** Bytes that wait for a watcher that is too slow. */
const SLOW_QUEUE_BYTES = 2000;

/**
 * How long a write may be tried, and take to be read on all nodes, once all is
 * well, in ms: the longest idle timeout and pause between dials, and some.
 */
const PROOF_MS = 30_000;

/** The numbers of values that are written then: no script has drawn so many. */
const PROOFS_FROM = 1_000_000_000;

/** A write that was acked when all was well. */
interface ProvenWrite {
  readonly key: string;
  readonly version: Version;
}

interface Call {
  readonly life: Life;
  readonly member: Member;
  readonly what: CallStep["call"];
  readonly startedAt: number;
  late: boolean;
}

/** The clients of all nodes. */
export class Clients {
  readonly #world: World;
  readonly #members: Members;
  readonly #oracle: Oracle;
  readonly #coverage: Coverage;
  readonly #calls = new Set<Call>();
  #made = 0;
  #proofs = PROOFS_FROM;

  /** Clients of these nodes. */
  constructor(
    parts: {
      world: World;
      members: Members;
      oracle: Oracle;
      coverage: Coverage;
    },
  ) {
    this.#world = parts.world;
    this.#members = parts.members;
    this.#oracle = parts.oracle;
    this.#coverage = parts.coverage;
  }

  /** Calls that were made. */
  get made(): number {
    return this.#made;
  }

  /** Calls that have not ended. */
  get pending(): number {
    return this.#calls.size;
  }

  /** Calls on a node that is gone: nobody will ever hear of them. */
  forget(life: Life): void {
    for (const call of this.#calls) {
      if (call.life !== life) continue;
      this.#calls.delete(call);
      this.#coverage.path("unknown");
    }
  }

  /**
   * Makes a call at its node, or at the next one if that cannot take one; at none,
   * if none can. Does not wait for it.
   */
  begin(step: CallStep): void {
    const { all, up } = this.#members;
    const able = up.filter(({ name }) => !this.#world.stalled(name));
    const span = 1 + Math.max(step.node, ...all.map(({ index }) => index));
    const distance = ({ index }: Member) => (index - step.node + span) % span;
    const member = able.reduce<Member | undefined>(
      (best, each) => best && distance(best) <= distance(each) ? best : each,
      undefined,
    );
    const db = member && dbOf(member);
    if (member === undefined || db === undefined) return;
    this.#made++;
    const call: Call = {
      life: member.life!,
      member,
      what: step.call,
      startedAt: this.#world.now,
      late: false,
    };
    this.#calls.add(call);
    this.#make(step, db, call).catch((error) => this.#fails(error, call))
      .finally(() => {
        this.#calls.delete(call);
        this.#checkDeadline(call);
      });
  }

  /**
   * All is well: each of these nodes writes a new key, and one of every node that
   * leads some, the keys of those that are gone with them; all then read it.
   *
   * @param rows What they all have.
   */
  async prove(
    members: readonly Member[],
    rows: ReadonlyMap<string, Row>,
  ): Promise<void> {
    const ledBy = new Map<number, string[]>();
    for (const [key, { leaseholder }] of rows) {
      const keys = ledBy.get(leaseholder);
      if (keys === undefined) ledBy.set(leaseholder, [key]);
      else keys.push(key);
    }
    const acked: ProvenWrite[] = [];
    const write = (member: Member, key: string) =>
      this.#proveWrite(member, key, acked);
    const own = (member: Member) => `end-${member.name}`;
    await Promise.all(members.map((member) => write(member, own(member))));
    for (const member of members) {
      const { nodeKey } = member;
      if (!ledBy.has(nodeKey)) ledBy.set(nodeKey, [own(member)]);
    }
    // What a node that is gone led one of them claims anew.
    for (const [leaseholder, keys] of ledBy) {
      const others = members.filter(({ nodeKey }) => nodeKey !== leaseholder);
      const isThere = others.length < members.length;
      await Promise.all(
        others.slice(0, isThere ? members.length : 1).map((member, i) =>
          write(member, keys[i % keys.length]!)
        ),
      );
    }
    await this.#proveReads(members, acked);
  }

  async #proveWrite(
    member: Member,
    key: string,
    acked: ProvenWrite[],
  ): Promise<void> {
    const end = this.#world.now + PROOF_MS;
    for (;;) {
      const db = dbOf(member);
      if (db === undefined) return;
      const op: OpStep = [key, ++this.#proofs, 0];
      const started = this.#world.now;
      try {
        const { versions: [version] } = await db.commit(
          { ops: [this.#op(op)] },
          { timeoutMs: TIMEOUT_MS },
        );
        this.#oracle.acks(key, version!, { value: valueOf(op) });
        acked.push({ key, version: version! });
        this.#judgeProof(member, key, started);
        return;
      } catch (error) {
        this.#judgeProof(member, key, started);
        // A connection of which only one end is left is found out before long.
        if (this.#world.now < end) {
          await this.#world.sleep(500);
          continue;
        }
        const what = `${member.name} could not write "${key}": ${error}`;
        this.#oracle.violate("L3", what);
        return;
      }
    }
  }

  #judgeProof({ name }: Member, key: string, started: number): void {
    const tookMs = this.#world.now - started;
    if (tookMs <= TIMEOUT_MS + GRACE_MS) return;
    const what = `${name} wrote "${key}" for ${Math.round(tookMs)} ms`;
    this.#oracle.violate("D1", what);
  }

  async #proveReads(
    members: readonly Member[],
    acked: readonly ProvenWrite[],
  ): Promise<void> {
    const end = this.#world.now + PROOF_MS;
    for (const member of members) {
      for (const { key, version } of acked) {
        for (;;) {
          const db = dbOf(member);
          if (db === undefined) return;
          const here = readRow(member.life!.engine!, key);
          if (here !== undefined && compareVersions(here, version) >= 0) {
            const value = text(db.getSync(key));
            const where = `a read at ${member.name}`;
            this.#oracle.holds(key, { version: here, value }, where);
            break;
          }
          if (this.#world.now > end) {
            const what = `${member.name} does not read "${key}"`;
            this.#oracle.violate("L3", what);
            return;
          }
          await this.#world.sleep(50);
        }
      }
    }
  }

  /** Calls that should have ended by now have not. */
  checkDeadlines(): void {
    for (const call of this.#calls) this.#checkDeadline(call);
  }

  async #make(step: CallStep, db: DB, call: Call): Promise<void> {
    switch (step.call) {
      case "write": {
        const ops = step.ops.map((op) => this.#op(op));
        const { versions } = await db.commit({ ops }, {
          timeoutMs: TIMEOUT_MS,
        });
        this.#acked(step.ops, versions, call);
        return;
      }
      case "swap": {
        const [key] = step.op;
        const entry = await db.getEntry(key);
        const version = entry?.version ?? null;
        const { versions } = await db.commit({
          checks: [{ key, version }],
          ops: [this.#op(step.op)],
        }, { timeoutMs: TIMEOUT_MS });
        this.#acked([step.op], versions, call, entry?.version);
        return;
      }
      case "transact": {
        await using tx = db.transaction();
        for (const op of step.ops) {
          const { type, key, value } = this.#op(op);
          if (type === "set") tx.set(key, value!);
          else tx.delete(key);
          if (text(await tx.get(key)) !== value) {
            this.#oracle.violate("R1", `a transaction does not read "${key}"`);
          }
        }
        const { versions } = await tx.commit({ timeoutMs: TIMEOUT_MS });
        // A transaction has one write a key, in the order of the first ones.
        const keys = [...new Set(step.ops.map(([key]) => key))];
        const last = new Map(step.ops.map((op) => [op[0], op]));
        this.#acked(keys.map((key) => last.get(key)!), versions, call);
        return;
      }
      case "read":
        return await this.#read(step.key, db, call);
      case "list":
        return await this.#list(step, db, call);
      case "catchUp":
        return await this.#catchUp(db, call);
      case "forget":
        return await this.#members.forgetConflicts(db);
      case "watch":
        this.#calls.delete(call);
        return await this.#watchSlowly(step, db, call);
    }
  }

  #op(op: OpStep) {
    const [key, number, , wanted] = op;
    const value = valueOf(op);
    if (value === undefined) return { type: "delete" as const, key, value };
    this.#oracle.writes(key, number);
    const lease = wanted === undefined
      ? 0
      : this.#members.at(wanted)?.nodeKey ?? 0;
    return {
      type: "set" as const,
      key,
      value,
      ...lease !== 0 && { lease },
    };
  }

  #acked(
    ops: readonly OpStep[],
    versions: readonly (Version | undefined)[],
    call: Call,
    checked?: Version,
  ): void {
    // What ends in the very turn its node does is told to nobody: the caller went too.
    if (!this.#calls.has(call)) return;
    const { member, life } = call;
    const last = new Map(ops.map((op) => [op[0], op]));
    ops.forEach((op, i) => {
      const version = versions[i];
      if (version === undefined || last.get(op[0]) !== op) return;
      const [key] = op;
      if (version.life > 1) this.#coverage.path("takenOver");
      this.#oracle.acks(key, version, {
        value: valueOf(op),
        // Two nodes with one key both may decide.
        ...checked && !this.#members.images && { checked },
      });
      if (Math.floor(version.dot.origin / 2 ** 33) !== member.nodeKey) {
        this.#coverage.path("forwarded");
      }
      const waited = this.#world.now - call.startedAt >= TIMEOUT_MS - 1;
      if (waited || life.failed || member.life !== life) return;
      // Nobody reads any more where the database is closing; and a whole copy may
      // have taken the place of what a node wrote whose disk was old.
      if (life.closing || life.damaged || member.doubled) return;
      const here = readRow(life.engine!, key);
      if (here === undefined || compareVersions(here, version) < 0) {
        this.#oracle.violate("R1", `${member.name} does not read "${key}"`);
        return;
      }
      // As its callers read it: of the very version that stands there now.
      const found = text(dbOf(member)!.getSync(key));
      this.#oracle.holds(
        key,
        { version: here, value: found },
        `a read at ${member.name}`,
      );
    });
  }

  async #read(key: string, db: DB, { member, life }: Call): Promise<void> {
    const entry = await db.getEntry(key);
    if (entry === undefined) return;
    const { version } = entry;
    const value = text(entry.value);
    this.#oracle.holds(key, { version, value }, `a read at ${member.name}`);
    const before = life.reads.get(key);
    if (
      before && compareVersions(entry.version, before) < 0 && !member.doubled
    ) {
      this.#oracle.violate("R2", `"${key}" went back at ${member.name}`);
    }
    life.reads.set(key, entry.version);
  }

  async #list(
    { prefix, reverse, limit }: Extract<CallStep, { call: "list" }>,
    db: DB,
    { member }: Call,
  ): Promise<void> {
    let previous: string | undefined;
    let rows = 0;
    for await (
      const row of db.list({
        reverse,
        ...prefix !== "" && { prefix },
        ...limit > 0 && { limit },
      })
    ) {
      const key = text(row.key);
      const inOrder = previous === undefined ||
        (reverse ? key < previous : key > previous);
      if (!key.startsWith(prefix) || !inOrder) {
        this.#oracle.violate("R4", `"${key}" in a list of "${prefix}"`);
      }
      this.#oracle.reads(key, text(row.value), `a list of ${member.name}`);
      previous = key;
      rows++;
    }
    if (limit > 0 && rows > limit) {
      this.#oracle.violate("R4", `a list of ${limit} rows had ${rows}`);
    }
  }

  /** What those had who answered when they were asked must be here. */
  async #catchUp(db: DB, { member, life }: Call): Promise<void> {
    const before = this.#members.up.filter((other) => !other.life!.failed)
      .map((other) => ({
        other,
        life: other.life,
        vector: peek(other.life!, readVector),
      }));
    const { peers } = await db.caughtUp({ timeoutMs: TIMEOUT_MS });
    this.#coverage.path("caughtUp", peers.length);
    // A copy may have answered in a node's place.
    if (this.#members.images || life.failed || member.life !== life) return;
    const here = peek(life, readVector);
    for (const { other, life, vector } of before) {
      if (other.life !== life || !peers.includes(other.nodeKey)) continue;
      if (here === undefined || vector === undefined) continue;
      if (here.includes(vector)) continue;
      this.#oracle.violate(
        "R5",
        `${member.name} has caught up without all that ${other.name} had`,
      );
    }
  }

  /** Reads a watch with a small queue, with long pauses. */
  async #watchSlowly(
    { forMs, prefix }: Extract<CallStep, { call: "watch" }>,
    db: DB,
    call: Call,
  ): Promise<void> {
    const { member, life } = call;
    const read = () =>
      dbOf(member) === db && !life.failed
        ? peek(life, (engine) => readState(engine, prefix))
        : undefined;
    const where = `${member.name} (slowly)`;
    const judge = this.#oracle.watch(where, new Map(), { prefix, read });
    const reader = db.watch({
      queueBytesMax: SLOW_QUEUE_BYTES,
      ...prefix !== "" && { prefix },
    }).getReader();
    const first = read();
    if (first !== undefined) judge.begins(first);
    const end = this.#world.now + forMs;
    while (this.#world.now < end) {
      const { done, value } = await reader.read();
      if (done) return;
      judge.takes(value);
      do await this.#world.sleep(400); while (
        this.#world.stalled(member.name)
      );
      if (member.life !== life) return;
    }
    await this.#readRest(reader, judge, { member, life, read });
    this.#coverage.path("lagged", judge.lagged);
    await reader.cancel();
  }

  /** Reads what waits for a watcher: it is shown all, or told of it, before long. */
  async #readRest(
    reader: ReadableStreamDefaultReader<Change[]>,
    judge: WatchJudge,
    { member, life, read }: Pick<Call, "member" | "life"> & {
      read: () => NodeState | undefined;
    },
  ): Promise<void> {
    const state = judge.isJudged ? read() : undefined;
    if (state === undefined) return;
    const started = this.#world.now;
    const late = this.#world.sleep(GRACE_MS * 5).then(() => undefined);
    while (!judge.hasSeen(state)) {
      const next = await Promise.race([reader.read(), late]);
      if (member.life !== life || life.failed || life.closing) return;
      if (next === undefined) {
        if (!isHindered(member, started)) judge.ends(state);
        return;
      }
      if (next.done) return;
      judge.takes(next.value);
    }
  }

  #fails(error: unknown, { member, life, startedAt }: Call): void {
    if (error instanceof PartialCommitError) this.#coverage.path("partial");
    const strange = unexplained(error, {
      here: life,
      elsewhere: this.#members.troubleSince(startedAt),
    });
    if (strange !== undefined) {
      this.#oracle.violate("E1", `a call failed by a ${strange}: ${error}`);
    } else if (
      error instanceof OutcomeUnknownError ||
      error instanceof PartialCommitError
    ) {
      this.#coverage.path("unknown");
    } else if (error instanceof CheckFailedError) {
      this.#coverage.path("checkFailed");
      this.#coverage.path("refused");
    } else if (error instanceof LeaseNotTransferableError) {
      this.#coverage.path("leaseRefused");
      this.#coverage.path("refused");
    } else if (
      // It leaves, or the key's leaseholder does.
      error instanceof NotMemberError ||
      (error instanceof NodeNotFoundError && this.#members.haveGone) ||
      error instanceof LeaseholderUnavailableError ||
      error instanceof DeadlineExceededError ||
      // Checks over several leaseholders.
      error instanceof NotSupportedError ||
      // Who has just joined has not told everybody by itself.
      (error instanceof NodeNotFoundError && this.#members.areOnDemand) ||
      (error instanceof ClosedError && life.closing) ||
      // Its disk was old, and a whole copy is under way.
      (error instanceof NotCaughtUpError && member.doubled)
    ) {
      this.#coverage.path("refused");
    } else if (
      error instanceof StorageError || error instanceof PoisonedError ||
      error instanceof CorruptionError
    ) {
      if (error instanceof CorruptionError) this.#coverage.path("rot");
      this.#coverage.path("unknown");
    } else this.#oracle.violate("E1", `a call failed: ${error}`);
  }

  #checkDeadline(call: Call): void {
    const tookMs = this.#world.now - call.startedAt;
    if (call.late || call.what === "watch") return;
    if (tookMs <= TIMEOUT_MS + GRACE_MS) return;
    call.late = true;
    // Its own node's disk and loop are not the network's; those of others are.
    const hindered = isHindered(call.member, call.startedAt);
    if (hindered && tookMs < TIMEOUT_MS + 20_000) {
      call.late = false;
      return;
    }
    this.#oracle.violate(
      "D1",
      `a ${call.what} at ${call.member.name} took ${Math.round(tookMs)} ms`,
    );
  }
}

/** What an op writes; \`undefined\` if it deletes. */
function valueOf([, number, size]: OpStep): string | undefined {
  return number === 0 ? undefined : `v${number}.${"x".repeat(size)}`;
}
