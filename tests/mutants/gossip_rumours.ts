/** Defects of what spreads records, to be put in on purpose; see `mutants_table.ts`. */

import type { Mutant } from "./mutant.ts";

/** The defects. */
export const GOSSIP_RUMOURS_MUTANTS: readonly Mutant[] = [
  {
    name: "spread-sends-what-comes-after-its-end",
    file: "gossip/replication/spread.ts",
    find: "    if (this.#closed) return;\n    this.#look();\n",
    replace: "    this.#look();\n",
    caughtBy: "gossip/replication/spread_test.ts :: once it is closed",
  },
  {
    name: "rumour-acknowledged-before-it-is-durable",
    file: "gossip/replication/rumours.ts",
    find:
      `    if (missing.size > 0 || count === 0) return Coverage.of(this.#list);
`,
    replace: ``,
    caughtBy: "gossip/replication/rumours_test.ts :: only once it is durable",
  },
  {
    name: "rumour-shares-overlap",
    file: "gossip/replication/rumours.ts",
    find: `      shares[i % targets.length]!.add(member);`,
    replace:
      `      for (const share of shares.slice(0, i + 9)) share.add(member);`,
    caughtBy: "gossip/replication/rumours_test.ts :: targets are drawn from",
  },
  {
    name: "coverage-of-another-list-read",
    file: "gossip/replication/coverage.ts",
    find: `    return name.members === this.size && name.hash === this.hash;`,
    replace:
      `    return name.members === this.size || name.hash !== this.hash;`,
    caughtBy: "gossip/replication/rumours_test.ts :: whose list is another",
  },
  {
    name: "redundant-target-keeps-its-share",
    file: "gossip/replication/rumours.ts",
    find:
      `      if (bundle.rumours.isSubsetOf(redundant)) this.#refuse(contact);`,
    replace: `      if (bundle.rumours.size === 0) this.#refuse(contact);`,
    caughtBy: "gossip/replication/rumours_test.ts :: who had a record already",
  },
  {
    name: "share-of-one-record-taken-for-all",
    file: "gossip/replication/rumours.ts",
    find: `      else if (redundant.size > 0 && !refused.isEmpty) {`,
    replace:
      `      else if (redundant.size > rumours.length && !refused.isEmpty) {`,
    caughtBy:
      "gossip/replication/rumours_test.ts :: of records that come together",
  },
  {
    name: "redundancy-threshold-ignored",
    file: "gossip/replication/rumours.ts",
    find: `      if (rumour.redundant >= redundancyMax) this.#recover(rumour);`,
    replace:
      `      if (rumour.redundant > 99 * redundancyMax) this.#recover(rumour);`,
    caughtBy: "gossip/replication/rumours_test.ts :: who had a record already",
  },
  {
    name: "silent-target-keeps-its-share",
    file: "gossip/replication/rumours.ts",
    find: `      } else this.#fail(contact);
    }
    for (const arrival`,
    replace: `      } else this.#open.delete(contact);
    }
    for (const arrival`,
    caughtBy:
      "gossip/replication/rumours_test.ts :: a silent target is asked again",
  },
  {
    name: "rumours-unbounded",
    file: "gossip/replication/rumours.ts",
    find: `      if (this.#bytes <= this.#bytesMax) break;`,
    replace: `      if (this.#bytes <= this.#bytesMax * 1e9) break;`,
    caughtBy: "gossip/replication/rumours_test.ts :: the bytes of all rumours",
  },
  {
    name: "late-answer-measured",
    file: "gossip/replication/answer_times.ts",
    find: `    if (asks > 0 && ++this.#doubtful < DOUBTFUL_MAX) return;
`,
    replace: ``,
    caughtBy: "gossip/replication/rumours_test.ts :: a second question",
  },
  {
    name: "slow-answers-never-learned",
    file: "gossip/replication/answer_times.ts",
    find: `    if (asks > 0 && ++this.#doubtful < DOUBTFUL_MAX) return;
`,
    replace: `    if (asks > 0) return;
`,
    caughtBy: "gossip/replication/rumours_test.ts :: instead of 100",
  },
  {
    name: "silent-target-asked-after-its-record-is-pulled",
    file: "gossip/replication/rumours.ts",
    find: `(isLast ? 2 : 1);`,
    replace: `(isLast ? 4 : 2);`,
    caughtBy: "gossip/replication/rumours_test.ts :: after the same time",
  },
  {
    name: "group-that-comes-twice-taken-twice",
    file: "gossip/replication/rumours.ts",
    find: `      if (this.#isKnown(node, group)) continue;
`,
    replace: ``,
    caughtBy: "gossip/replication/rumours_test.ts :: a group that comes twice",
  },
  {
    name: "gap-never-pulled",
    file: "gossip/replication/rumours.ts",
    find: `        this.#pulls.add(arrival.node);
`,
    replace: ``,
    caughtBy:
      "gossip/replication/rumours_test.ts :: before one that precedes it",
  },
  {
    name: "dead-member-waited-for",
    file: "gossip/replication/rumours.ts",
    find:
      `      if (list.positionOf(contact.node) === undefined) this.#giveBack(contact);`,
    replace:
      `      if (list.positionOf(contact.node) === 1e9) this.#giveBack(contact);`,
    caughtBy:
      "gossip/replication/rumours_test.ts :: the share of a target that dies",
  },
  {
    name: "rumours-do-not-dial",
    file: "gossip/replication/spread.ts",
    find: `    const dialled = this.#dials < DIALS_MAX`,
    replace: `    const dialled = this.#dials > DIALS_MAX`,
    caughtBy:
      "tests/scenarios/rumours_test.ts :: connections are made on demand",
  },
  {
    name: "rumours-dial-without-bound",
    file: "gossip/replication/spread.ts",
    find: `    const dialled = this.#dials < DIALS_MAX`,
    replace: `    const dialled = this.#dials < 99 * DIALS_MAX`,
    caughtBy: "gossip/replication/spread_test.ts :: so many at once",
  },
  {
    name: "rumours-where-few-nodes-are",
    file: "gossip/replication/spread.ts",
    find:
      `    return this.#rumours.list.size - 1 <= this.#options.directPeersMax;`,
    replace:
      `    return this.#rumours.list.size + 1 <= this.#options.directPeersMax;`,
    caughtBy: "gossip/replication/spread_test.ts :: to few nodes",
  },
  {
    name: "lone-commit-waits-for-others",
    file: "gossip/replication/push.ts",
    find: "    if (restMs <= 0) this.flush();\n    else this.#timer",
    replace: "    this.#timer",
    caughtBy: "gossip/replication/pull_test.ts :: a lone commit is pushed",
  },
  {
    name: "commits-are-pushed-one-by-one",
    file: "gossip/replication/push.ts",
    find: "    if (restMs <= 0) this.flush();",
    replace: "    if (restMs < Infinity) this.flush();",
    caughtBy: "gossip/replication/pull_test.ts :: a lone commit is pushed",
  },
  {
    name: "pushes-that-waited-begin-no-pause",
    file: "gossip/replication/push.ts",
    find: "    else this.#timer ??= timers.set(() => this.flush(), restMs);",
    replace: `    else {
      this.#timer ??= timers.set(() => {
        this.flush();
        this.#lastAt = -Infinity;
      }, restMs);
    }`,
    caughtBy: "gossip/replication/pull_test.ts :: a lone commit is pushed",
  },
  {
    name: "push-timer-without-records",
    file: "gossip/replication/push.ts",
    find:
      "    if (this.#runs.size === 0) return;\n    const { timers, clock, delayMs }",
    replace: "    const { timers, clock, delayMs }",
    caughtBy: "gossip/replication/pull_test.ts :: durable together are pushed",
  },
  {
    name: "records-of-a-group-pushed-apart",
    file: "gossip/replication/spread.ts",
    find: "      } else if (this.#isDirect) this.#push.add(record);\n",
    replace: `      } else if (this.#isDirect) {
        this.#push.add(record);
        this.#push.gathered();
      }
`,
    caughtBy: "gossip/replication/spread_test.ts :: to few nodes",
  },
  {
    name: "void-data-is-pushed",
    file: "gossip/replication/spread.ts",
    find: "    this.#push.clear();\n",
    replace: "",
    caughtBy: "gossip/replication/spread_test.ts :: S5",
  },
  {
    name: "rumour-relayed-on-arrival",
    file: "gossip/replication/spread.ts",
    find: "    replica.receiveAll(records).catch((error) => {\n",
    replace: `    this.#rumours.applied(records, this.#now);
    replica.receiveAll(records).catch((error) => {
`,
    caughtBy:
      "gossip/replication/spread_test.ts :: passed on once told of as durable",
  },
  {
    name: "joiner-takes-its-share",
    file: "gossip/replication/rumours.ts",
    find: `        refused: count === 0 || !this.#options.isWhole(),`,
    replace: `        refused: count === 0,`,
    caughtBy: "gossip/replication/rumours_test.ts :: a node without a copy",
  },
  {
    name: "coverage-of-an-earlier-list",
    file: "gossip/replication/rumours.ts",
    find: `    let covered = arrival.covered?.translate(this.#list, false);`,
    replace: `    let covered = arrival.covered?.clone();`,
    caughtBy: "gossip/replication/rumours_test.ts :: members may come and go",
  },
  {
    name: "forgotten-group-acknowledged",
    file: "gossip/replication/rumours.ts",
    find: `    this.#known.delete(nameOf(arrival.node, arrival.id));
`,
    replace: ``,
    caughtBy: "gossip/replication/rumours_test.ts :: waited for in vain",
  },
];
