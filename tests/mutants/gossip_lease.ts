/** Defects of `gossip/lease/`, to be put in on purpose; see `mutants_table.ts`. */

import { type Mutant, SEEDS } from "./mutant.ts";

/** The defects. */
export const GOSSIP_LEASE_MUTANTS: readonly Mutant[] = [
  {
    name: "forwarded-value-never-ends",
    file: "gossip/lease/messages.ts",
    find: "...expireIn && { expireIn }",
    replace: "...expireIn && {}",
    caughtBy: "tests/scenarios/ttl_test.ts :: through any node",
  },
  {
    name: "what-is-due-forgotten-by-a-restart",
    file: "gossip/lease/expiry.ts",
    find: "    this.#wakeAt(0);\n",
    replace: "    this.#wakeAt(Infinity);\n",
    caughtBy: "tests/scenarios/ttl_test.ts :: that was killed",
  },
  {
    name: "values-end-in-one-batch-however-many",
    file: "gossip/lease/expiry.ts",
    find: "due.length === BATCH_MAX",
    replace: "due.length === BATCH_MAX * 100",
    caughtBy: "gossip/lease/expiry_test.ts :: bounded batches",
  },
  {
    name: "lease-of-a-node-not-heard-of-yet-is-of-no-member",
    file: "gossip/lease/router.ts",
    find:
      "      throw new LeaseholderUnavailableError(holder);\n    }\n    const head",
    replace:
      "      throw new NodeNotFoundError(holder);\n    }\n    const head",
    caughtBy: "gossip/lease/router_test.ts :: has not been heard of yet",
  },
  {
    name: "forwards-no-more-after-a-while",
    file: "gossip/lease/router.ts",
    find:
      "    const head = { configEpoch: configEpoch(), nonce, number: ++this.#calls };\n",
    replace:
      `    if (this.#calls > 30) throw new LeaseholderUnavailableError(holder);
    const head = { configEpoch: configEpoch(), nonce, number: ++this.#calls };
`,
    caughtBy: SEEDS,
  },
  {
    name: "forwarded-write-not-readable-here",
    file: "gossip/lease/router.ts",
    find: `    await this.#readHere(holder, outcome, arrived, context.signal);`,
    replace:
      `    void this.#readHere(holder, outcome, arrived, context.signal);`,
    caughtBy: "tests/sim_test.ts :: random lives",
  },
  {
    name: "calls-outlive-their-deadline",
    file: "gossip/lease/router.ts",
    find: `startDeadline(timers, timeoutMs, "commit", signal)`,
    replace: `startDeadline(timers, timeoutMs * 100, "commit", signal)`,
    caughtBy:
      "gossip/lease/router_test.ts :: that cannot be read here yet, resolves",
  },
  {
    name: "lease-of-an-earlier-op-forgotten",
    file: "gossip/lease/router.ts",
    find: "    const lease = op.lease ?? ops.get(text)?.lease;",
    replace: "    const lease = op.lease;",
    caughtBy: "tests/scenarios/transaction_test.ts",
  },
  {
    name: "batch-split-key-by-key",
    file: "gossip/lease/router.ts",
    find: `    const entries = await replica.entries(
      [...ops, ...checks].map(({ key }) => key),
    );
`,
    replace: `    const entries: Awaited<ReturnType<Replica["entries"]>> = [];
    for (const { key } of [...ops, ...checks]) {
      entries.push(...await replica.entries([key]));
    }
`,
    caughtBy: "gossip/lease/router_test.ts :: a batch is not torn",
  },
  {
    name: "entry-without-its-tombstone",
    file: "gossip/replication/replica.ts",
    find: "get(Space.LIVE, key) ?? get(Space.DEAD, key))\n      );\n    }",
    replace: "get(Space.LIVE, key))\n      );\n    }",
    caughtBy: "gossip/replication/replica_test.ts :: the entry of a key",
  },
  {
    name: "overload-reaches-the-caller-raw",
    file: "gossip/lease/router.ts",
    find: "    case FailureCode.OVERLOADED:",
    replace: "    case FailureCode.CLOSED:",
    caughtBy: "gossip/lease/router_test.ts",
  },
  {
    name: "claims-what-it-has-acked-for-another",
    file: "gossip/lease/router.ts",
    find: "this.#led.get(keyText(key))?.holder;",
    replace: "(key.length > 1e6 ? nodeKey : undefined);",
    caughtBy: "gossip/lease/router_test.ts :: a node claims no key",
  },
  {
    name: "leaseholder-that-trips-over-large-batches",
    file: "gossip/lease/router.ts",
    find: `    checkBatch(request.ops);
    try {
      return encodeOutcome(`,
    replace: `    checkBatch(request.ops);
    if (request.ops.length > 3) ({} as { a: string }).a.trim();
    try {
      return encodeOutcome(`,
    caughtBy: SEEDS,
  },
  {
    name: "damaged-leaseholder-is-told-of-as-it-says-it",
    file: "gossip/lease/router.ts",
    find: `    case "CorruptionError":\n`,
    replace: "",
    caughtBy: "gossip/lease/router_test.ts :: whose disk failed in the commit",
  },
];
