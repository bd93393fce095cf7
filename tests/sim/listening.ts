/**
 * What nodes of a life tell: their events, those of their engines, and their
 * watches. All of it is judged and counted as it comes.
 *
 * @module
 */

import type { LsmEvent } from "../../engine/options.ts";
import { Vector } from "../../gossip/replication/vector.ts";
import {
  compareVersions,
  CorruptionError,
  type DatabaseEvent,
  type DB,
  type Divergence,
  type DivergenceSide,
  TokenTooOldError,
  type Version,
} from "../../mod.ts";
import { text } from "./cluster.ts";
import { isOfDisk, unexplained } from "./excuses.ts";
import { TIMEOUT_MS_DEFAULT } from "../../runtime/mod.ts";
import {
  conflictText,
  dbOf,
  DISK_ERROR_MS,
  type Life,
  type Member,
  type MembersOptions,
  peek,
  RETRY_MS,
} from "./member.ts";
import type { Members } from "./members.ts";
import { versionText } from "./oracle.ts";
import { type NodeState, readRow, readState } from "./rows.ts";

/** Listens to all nodes. */
export class Listening {
  readonly #members: Members;
  readonly #options: MembersOptions;

  /** Listens to these. */
  constructor(members: Members, options: MembersOptions) {
    this.#members = members;
    this.#options = options;
  }

  /** Reads what a start of a node tells, until it ends. */
  async readEvents(member: Member, life: Life, db: DB): Promise<void> {
    const { world, oracle, coverage } = this.#options;
    const events = db.events() as AsyncIterable<DatabaseEvent>;
    // What is on record by now may have been told before.
    this.#members.harvest(member);
    life.allRead = true;
    this.#members.forgetQuietly(life);
    for await (const event of events) {
      this.databaseEvent(event);
      switch (event.type) {
        case "conflict": {
          const { key, kept, lost } = event.conflict;
          const name = conflictText(text(key), kept?.version, lost.version);
          life.told.add(name);
          life.untold.delete(name);
          break;
        }
        case "outdated":
          coverage.path("outdated");
          if (!this.#members.images) {
            oracle.violate("I8", `${member.name} was reset, and only crashed`);
          }
          break;
        case "reset":
          coverage.path("reset");
          // Of the copy before, nothing is promised any more.
          member.vector = new Vector();
          this.#members.harvest(member);
          break;
        case "conflictsFull":
          coverage.path("conflictsFull");
          this.#members.forgetQuietly(life);
          break;
        case "lagged":
          this.#members.forgetQuietly(life);
          life.allRead = false;
          life.untold.clear();
          break;
        case "failed":
          life.failed = true;
          if (!isOfDisk(event.error, life)) {
            oracle.violate("E1", `${member.name} failed: ${event.error}`);
          }
          this.#options.coverage.path("poisoned");
          if (event.error instanceof CorruptionError) {
            this.#options.coverage.path("rot");
          }
          world.schedule(RETRY_MS, () => {
            if (member.life !== life) return;
            this.#members.kill(member, "torn");
            void this.#members.start(member);
          });
          break;
        case "handlerFailed":
          oracle.violate("E1", `${member.name}: ${event.error}`);
          break;
        case "peerFailed": {
          const strange = unexplained(event.error, {
            here: life,
            // An answer may be under way until its request's deadline, where a cut holds it up.
            elsewhere: this.#members.troubleSince(
              world.now - DISK_ERROR_MS - TIMEOUT_MS_DEFAULT,
            ),
          });
          if (strange === undefined) break;
          oracle.violate("E1", `${member.name} blames a peer: ${event.error}`);
          break;
        }
        case "removed":
          this.#options.onRemoved(member);
          break;
        case "cloned":
          if (!this.#members.images) {
            oracle.violate("E1", `${member.name} saw a clone of ${event.node}`);
          }
          break;
      }
    }
  }

  /** Judges and counts what a database tells, whichever it is. */
  databaseEvent(event: DatabaseEvent): void {
    const { oracle, coverage } = this.#options;
    switch (event.type) {
      case "conflict":
        {
          const { key, lost: { version, value } } = event.conflict;
          const lost = { version, value: text(value) };
          oracle.reports(text(key), lost, "an event");
        }
        break;
      case "divergence":
        oracle.violate(
          "S1",
          `node ${event.node} has others: ${divergent(event)}`,
        );
        break;
      case "clockSkew":
      case "cloned":
      case "overdue":
        coverage.path(event.type);
        break;
      case "disconnected":
        if (causes(event.reason).includes("checksum")) {
          coverage.path("badFrame");
        }
        break;
    }
  }

  /** Counts what an engine tells. */
  engineEvent(life: Life, event: LsmEvent): void {
    const { coverage } = this.#options;
    if (
      event.type === "flush" || event.type === "compaction" ||
      event.type === "abandoned"
    ) {
      coverage.path(event.type);
    } else if (event.type === "ingest") {
      coverage.path("bulkLoad");
    } else if (event.type === "opened" && event.tornBytes > 0) {
      coverage.path("tornWal");
    } else if (event.type === "poisoned") life.failed = true;
  }

  /** Watches a node; after a restart the watch goes on where it was, if it can. */
  async watch(member: Member, life: Life, db: DB): Promise<void> {
    const { oracle, coverage } = this.#options;
    const since = member.watched?.last.token;
    const changes = db.watch({ since });
    const watch = oracle.watch(member.name, member.shown, {
      now: () =>
        dbOf(member) === db && !life.failed && !life.damaged
          ? (key) => readRow(life.engine!, key)
          : undefined,
    });
    life.watch = watch;
    const first = since === undefined
      ? peek(life, readState)
      : wasShown(member.watched!.first, member.shown);
    if (first !== undefined) watch.begins(first);
    let isKnown = first !== undefined;
    try {
      for await (const batch of changes) {
        watch.takes(batch);
        // Nobody knows what was there when a whole copy had come.
        if (batch.some(({ type }) => type === "reset")) isKnown = false;
        coverage.path("resumed", since === undefined ? 0 : 1);
        // What was dropped, nobody sees any more.
        member.watched = watch.lagged > 0 || !isKnown
          ? undefined
          : { last: batch.at(-1)!, first: first! };
      }
    } catch (error) {
      member.watched = undefined;
      if (!(error instanceof TokenTooOldError)) {
        const explained = life.failed || life.faulted || life.closing ||
          life.damaged;
        if (!explained) oracle.violate("E1", `a watch failed: ${error}`);
        return;
      }
      if (dbOf(member) === db && !life.failed) {
        await this.watch(member, life, db);
      }
    }
  }
}

/** What a watcher knows who began with a state, and was shown versions since. */
function wasShown(
  { rows, vector }: NodeState,
  shown: ReadonlyMap<string, Version>,
): NodeState {
  const known = new Map(rows);
  for (const [key, version] of shown) {
    // It may have been shown that before this watch began.
    const began = known.get(key)?.version;
    if (began !== undefined && compareVersions(began, version) >= 0) continue;
    known.set(key, { value: undefined, leaseholder: 0, version });
  }
  return { rows: known, vector };
}

/** The keys of a divergence, with what both nodes had. */
function divergent({ keys }: Divergence): string {
  const side = (held: DivergenceSide | undefined) =>
    held === undefined
      ? "nothing"
      : `${held.isDeleted ? "deleted " : ""}${versionText(held.version)}`;
  return keys.map(({ key, here, there, isTaken }) =>
    `"${text(key)}" ${side(here)}, there ${side(there)}${
      isTaken ? ", taken" : ""
    }`
  ).join("; ") || "sums only";
}

/** An error and its causes, as text. */
function causes(error: unknown): string {
  let result = "";
  for (let at = error; at instanceof Error; at = at.cause) {
    result += `${at.message}; `;
  }
  return result;
}
