/** Defects of `gossip/membership/`, to be put in on purpose; see `mutants_table.ts`. */

import type { Mutant } from "./mutant.ts";

/** The defects. */
export const GOSSIP_MEMBERSHIP_MUTANTS: readonly Mutant[] = [
  {
    name: "let-in-before-the-higher-config-is-told",
    file: "gossip/membership/cluster.ts",
    find: "    if (!isHigher) await this.#admitMember(remote);\n",
    replace: "    await this.#admitMember(remote);\n",
    caughtBy: "gossip/membership/cluster_test.ts :: nobody is let in who names",
  },
  {
    name: "higher-config-kept-by-who-dials",
    file: "gossip/membership/hello.ts",
    find: "  return told ? encodeConfig(config) : EMPTY_BYTES;",
    replace:
      "  return told && config.epoch < 3 ? encodeConfig(config) : EMPTY_BYTES;",
    caughtBy: "gossip/membership/cluster_test.ts :: whoever of two knows",
  },
  {
    name: "generation-not-durable-at-start",
    file: "gossip/membership/host.ts",
    find: `  await kv.write([hostOp(next)], { sync: true });`,
    replace: `  void kv.write([hostOp(next)], { sync: true });`,
    caughtBy: "gossip/membership/host_test.ts :: the generation rises",
  },
  {
    name: "moved-node-keeps-its-old-address",
    file: "gossip/membership/cluster.ts",
    find: "      this.#members.update({ address });\n",
    replace: "      this.#members.update();\n",
    caughtBy: "tests/scenarios/cluster_test.ts :: X10",
  },
  {
    name: "node-does-not-answer-doubts-about-it",
    file: "gossip/membership/members.ts",
    find: "else if (this.refute(record)) refuted = true;",
    replace: "",
    caughtBy: "gossip/membership/members_test.ts :: doubts about a node",
  },
  {
    name: "refutation-that-is-no-newer",
    file: "gossip/membership/members.ts",
    find: "this.#say({ ...self, version: said.version + 1 });",
    replace: "this.#say({ ...self, version: said.version });",
    caughtBy: "gossip/membership/members_test.ts :: doubts about a node",
  },
  {
    name: "better-state-wins-of-two-equally-old",
    file: "gossip/membership/node_record.ts",
    find: "|| rankOf(a.state) - rankOf(b.state);",
    replace: "|| rankOf(b.state) - rankOf(a.state);",
    caughtBy: "gossip/membership/members_test.ts :: N4",
  },
  {
    name: "state-is-not-in-the-hash",
    file: "gossip/membership/members.ts",
    find: "const state = rankOf(record.state) + 4",
    replace: "const state = 4",
    caughtBy:
      "gossip/membership/members_test.ts :: a sync between equal states",
  },
  {
    name: "thread-that-stood-still-blames-others",
    file: "gossip/membership/detector.ts",
    find: "this.#stoodStill(now, sleptMs);",
    replace: "this.#counts.lagged++;",
    caughtBy: "gossip/membership/detector_test.ts :: a thread that stood still",
  },
  {
    name: "suspect-without-asking-others",
    file: "gossip/membership/detector.ts",
    find: "const helpers = this.#helpersFor(node);",
    replace: "const helpers = this.#helpersFor(node).slice(0, 0);",
    caughtBy:
      "gossip/membership/detector_test.ts :: a node that does not answer",
  },
  {
    name: "one-accuser-counted-again-and-again",
    file: "gossip/membership/detector.ts",
    find:
      "if (suspicion === undefined || suspicion.accusers.has(accuser)) return;",
    replace: "if (suspicion === undefined) return;",
    caughtBy: "gossip/membership/detector_test.ts :: two more accusers",
  },
  {
    name: "dead-are-probed-for-ever",
    file: "gossip/membership/detector.ts",
    find: "isAlive(members.get(node)?.state);",
    replace: `members.get(node)?.state !== "left";`,
    caughtBy: "gossip/membership/detector_test.ts :: every node is pinged",
  },
  {
    name: "suspicion-as-long-whoever-agrees",
    file: "gossip/membership/suspicion.ts",
    find: "const share = Math.log(accusers)",
    replace: "const share = Math.log(1)",
    caughtBy: "gossip/membership/detector_test.ts :: a suspicion is what",
  },
  {
    name: "node-is-probed-at-each-loss-of-its-connection",
    file: "gossip/membership/detector.ts",
    find: "now - probedAt >= this.#options.intervalMs",
    replace: "now - probedAt >= 0",
    caughtBy: "gossip/membership/detector_test.ts :: a node whose connection",
  },
  {
    name: "stall-uses-up-a-suspicion",
    file: "gossip/membership/detector.ts",
    find: "Math.min(now, suspicion.since + sleptMs);",
    replace: "Math.min(now, suspicion.since);",
    caughtBy: "gossip/membership/detector_test.ts :: a stall across",
  },
  {
    name: "accusers-of-an-older-word-count",
    file: "gossip/membership/detector.ts",
    find: "      if (!isAbout(said, record)) continue;\n",
    replace: "",
    caughtBy: "gossip/membership/detector_test.ts :: what was held against",
  },
  {
    name: "suspicion-of-an-older-word-kills",
    file: "gossip/membership/detector.ts",
    find: "if (record !== undefined && !isAbout(suspicion, record)) {",
    replace: "if (record !== undefined && !isAbout(record, record)) {",
    caughtBy: "gossip/membership/detector_test.ts :: what was held against",
  },
  {
    name: "outcome-of-an-old-probe-counts",
    file: "gossip/membership/detector.ts",
    find: "if (probe?.number !== number || probe.asked !== undefined)",
    replace: "if (probe === undefined || probe.asked !== undefined)",
    caughtBy: "gossip/membership/detector_test.ts :: the outcome of an old",
  },
  {
    name: "generation-that-leaves-no-room",
    file: "gossip/membership/members.ts",
    find: "    if (!isPlausible(record)) return false;\n",
    replace: "",
    caughtBy: "gossip/membership/members_test.ts :: what no node can have",
  },
  {
    name: "two-starts-of-one-standing-are-one",
    file: "gossip/membership/node_record.ts",
    find: "    compareBytes(a.nonce, b.nonce) || rankOf",
    replace: "    0 * compareBytes(a.nonce, b.nonce) || rankOf",
    caughtBy: "gossip/membership/members_test.ts :: of two starts",
  },
  {
    name: "what-a-copy-said-of-a-node-stands",
    file: "gossip/membership/cluster.ts",
    find: "    this.#reassertion.hear(cloned);\n",
    replace: "",
    caughtBy: "tests/scenarios/membership_test.ts :: what a copy",
  },
  {
    name: "generation-above-a-copy-is-forgotten",
    file: "gossip/membership/reassertion.ts",
    find: "    await this.#options.raise(heard + 1);\n",
    replace: "",
    caughtBy: "tests/scenarios/membership_test.ts :: what a copy",
  },
  {
    name: "incarnation-not-durable-when-let-in",
    file: "gossip/membership/incarnations.ts",
    find: "    await this.#kv.write([{ key: incarnationKey(node), value }], {",
    replace:
      "    void this.#kv.write([{ key: incarnationKey(node), value }], {",
    caughtBy: "gossip/membership/cluster_test.ts :: a start is durable before",
  },
  {
    name: "no-member-let-in",
    file: "gossip/membership/cluster.ts",
    find: "    if (!this.config.members.includes(remote.node)) {",
    replace: "    if (this.config.removed.includes(remote.node)) {",
    caughtBy: "gossip/membership/cluster_test.ts :: who is no member is not",
  },
  {
    name: "clone-not-told-of",
    file: "gossip/membership/cluster.ts",
    find: "    if (cloned === undefined) return;",
    replace: "    if (cloned === undefined || cloned.key > 0) return;",
    caughtBy: "tests/scenarios/directory_test.ts",
  },
  {
    name: "ticket-drawn-anew-at-each-start",
    file: "gossip/membership/host.ts",
    find: `  const row = await kv.get(metaKey("ticket"));
  if (row !== undefined) {`,
    replace: `  const row = await kv.get(metaKey("ticket"));
  if (row !== undefined && row.length === 0) {`,
    caughtBy: "tests/scenarios/cluster_test.ts :: X12: a node that is killed",
  },
  {
    name: "peers-are-asked-although-they-are-connected",
    file: "gossip/membership/seeds.ts",
    find: "      if (reaches(address)) continue;\n",
    replace: "      void reaches;\n",
    caughtBy: "gossip/membership/seeds_test.ts",
  },
];
