/** Defects of `gossip/register/`, to be put in on purpose; see `mutants_table.ts`. */

import { type Mutant, SEEDS } from "./mutant.ts";

/** The defects. */
export const GOSSIP_REGISTER_MUTANTS: readonly Mutant[] = [
  {
    name: "promise-not-durable",
    file: "gossip/register/acceptor.ts",
    find: "    await this.#admit(config, [\n      registerOp(",
    replace: "    void this.#admit(config, [\n      registerOp(",
    caughtBy: "gossip/register/acceptor_test.ts :: no reply is given before",
  },
  {
    name: "accept-not-durable",
    file: "gossip/register/acceptor.ts",
    find:
      "    await this.#admit(config, [registerOp(this.#prefix, register, state)]);",
    replace:
      "    void this.#admit(config, [registerOp(this.#prefix, register, state)]);",
    caughtBy: "gossip/register/schedules_test.ts",
  },
  {
    name: "adopted-config-not-durable",
    file: "gossip/register/acceptor.ts",
    find:
      "    await this.#write([stateOp(this.#prefix, seat, config), ...ops]);",
    replace: "    await this.#write(ops);",
    caughtBy: "gossip/register/acceptor_test.ts :: a newer config that comes",
  },
  {
    name: "adopted-config-not-as-it-was-chosen",
    file: "gossip/register/acceptor.ts",
    find:
      "    await this.#write([stateOp(this.#prefix, seat, config), ...ops]);",
    replace: `    const mixed = { ...config, removed: this.#known.removed };
    await this.#write([stateOp(this.#prefix, seat, mixed), ...ops]);`,
    caughtBy: SEEDS,
  },
  {
    name: "no-epoch-gate",
    file: "gossip/register/acceptor.ts",
    find:
      "#gate({ config, seat }: RequestHead): Reply | undefined {\n    if (compareConfigs(config, this.#known) < 0) {",
    replace:
      "#gate({ config, seat }: RequestHead): Reply | undefined {\n    if (config.epoch < 0) {",
    caughtBy: "gossip/register/acceptor_test.ts :: a request under an older",
  },
  {
    name: "seat-not-checked",
    file: "gossip/register/acceptor.ts",
    find:
      "      this.#seat === undefined || !equalBytes(seat, this.#seat) ||\n      !hasSeat(config, this.#node, this.#seat)",
    replace: "      this.#seat === undefined || !equalBytes(seat, seat)",
    caughtBy:
      "gossip/register/acceptor_test.ts :: an acceptor without the seat",
  },
  {
    name: "ballot-without-epoch",
    file: "gossip/register/ballot.ts",
    find: "  return a.epoch - b.epoch || a.n - b.n || a.node - b.node ||",
    replace: "  return a.n - b.n || a.node - b.node ||",
    caughtBy: "gossip/register/proposer_test.ts :: a late accept of an older",
  },
  {
    name: "ballot-without-generation",
    file: "gossip/register/ballot.ts",
    find: "a.node - b.node ||\n    a.generation - b.generation;",
    replace: "a.node - b.node;",
    caughtBy: "gossip/register/acceptor_test.ts :: proposer's earlier start",
  },
  {
    name: "builds-on-a-found-config",
    file: "gossip/register/proposer.ts",
    find: "    const value = newer ? found : change(found);",
    replace: "    const value = change(found);",
    caughtBy: "gossip/register/proposer_test.ts :: a newer config found",
  },
  {
    name: "config-adopted-before-it-is-chosen",
    file: "gossip/register/proposer.ts",
    find: `    if (oks.outcome !== "majority") return oks;
    if (register`,
    replace: `    if (register === CONFIG_REGISTER) {
      await knowledge.adopt(decodeConfig(value));
    }
    if (oks.outcome !== "majority") return oks;
    if (register`,
    caughtBy:
      "gossip/register/proposer_test.ts :: a config that only a minority",
  },
  {
    name: "half-counts-as-a-majority",
    file: "gossip/register/proposer.ts",
    find: "    const majority = Math.floor(voters.length / 2) + 1;",
    replace: "    const majority = Math.max(1, Math.floor(voters.length / 2));",
    caughtBy: "gossip/register/schedules_test.ts",
  },
  {
    name: "known-ticket-not-written-back",
    file: "gossip/register/proposer.ts",
    find: `if (value === undefined) return { outcome: "chosen", value };`,
    replace: `if (value === undefined || String(value) === String(found)) {
      return { outcome: "chosen", value: value as Bytes };
    }`,
    caughtBy: "gossip/register/proposer_test.ts :: a minority had accepted",
  },
  {
    name: "ticket-gets-a-key-each-time",
    file: "gossip/register/ids.ts",
    find: "  if (ids.tickets.has(name)) return ids;",
    replace: "  if (ids.tickets.size < 1) return ids;",
    caughtBy: "gossip/register/schedules_test.ts",
  },
  {
    name: "changes-voters-while-unsettled",
    file: "gossip/register/config.ts",
    find:
      "  if (!config.settled) {\n    throw new ConfigUnsettledError(`${change.kind} node",
    replace:
      "  if (config.epoch < 0) {\n    throw new ConfigUnsettledError(`${change.kind} node",
    caughtBy: "gossip/register/electorate_test.ts :: settled by whoever",
  },
  {
    name: "no-register-is-carried-over",
    file: "gossip/register/electorate.ts",
    find: "      if (name === CONFIG_REGISTER) continue;",
    replace: '      if (name !== "") continue;',
    caughtBy: "gossip/register/electorate_test.ts :: what one voter decided",
  },
  {
    name: "voters-changed-by-who-was-overtaken",
    file: "gossip/register/config.ts",
    find: "  if (config.epoch !== epoch) return config;\n  const { node }",
    replace: "  if (config.epoch < epoch) return config;\n  const { node }",
    caughtBy: "gossip/register/electorate_test.ts :: of two changes that began",
  },
  {
    name: "promoted-with-its-memory",
    file: "gossip/register/acceptor.ts",
    find: "      ...await this.#wipingOps(),\n      stateOp(",
    replace: "      stateOp(",
    caughtBy: "gossip/register/electorate_test.ts :: a seat is new",
  },
  {
    name: "seat-lost-at-a-start",
    file: "gossip/register/acceptor.ts",
    find: "    return new Acceptor(options, seat, known);",
    replace: "    const named = seat && hasSeat(known, options.node, seat);\n" +
      "    return new Acceptor(options, named ? seat : undefined, known);",
    caughtBy: "gossip/register/electorate_test.ts :: outlives a start",
  },
  {
    name: "voter-removed-by-who-has-not-seen-the-last-change",
    file: "gossip/register/config.ts",
    find: "  if (votes && config.epoch !== epoch) return config;",
    replace: "",
    caughtBy: "gossip/register/electorate_test.ts :: has not seen",
  },
  {
    name: "retired-keeps-its-seat",
    file: "gossip/register/acceptor.ts",
    find: "    const seat = isKept ? this.#seat : undefined;",
    replace: "    const seat = isKept ? this.#seat : this.#seat;",
    caughtBy: "gossip/register/electorate_test.ts :: a seat is new",
  },
  {
    name: "seat-that-nobody-named-is-kept",
    file: "gossip/register/acceptor.ts",
    find: "    const isKept = !isNewer ||",
    replace: "    const isKept = !isNewer || !this.votes ||",
    caughtBy: "gossip/register/electorate_test.ts :: that nobody named goes",
  },
  {
    name: "seat-lost-when-a-config-is-settled",
    file: "gossip/register/acceptor.ts",
    find: "    const isKept = !isNewer ||",
    replace: "    const isKept = (isNewer && !isNewer) ||",
    caughtBy: "gossip/register/electorate_test.ts :: gets settled",
  },
  {
    name: "told-of-an-old-disk-votes-on",
    file: "gossip/register/acceptor.ts",
    find:
      "      await this.#write([stateOp(this.#prefix, undefined, this.#known)]);",
    replace:
      "      await this.#write([stateOp(this.#prefix, this.#seat, this.#known)]);",
    caughtBy: "gossip/register/electorate_test.ts :: who has fallen silent",
  },
  {
    name: "even-number-of-voters-at-rest",
    file: "gossip/register/policy.ts",
    find: "  const needed = gone !== undefined || isEven ? 1 : 2;",
    replace: "  const needed: number = 1;",
    caughtBy: "gossip/register/policy_test.ts",
  },
  {
    name: "dead-voter-never-replaced",
    file: "gossip/register/policy.ts",
    find: "  const gone = voters.find(isGone);",
    replace: "  const gone = voters.find((node) => node < 0 && isGone(node));",
    caughtBy: "tests/scenarios/electorate_test.ts",
  },
  {
    name: "new-era-with-keys-that-may-have-been-given",
    file: "gossip/register/ids.ts",
    find: "Math.min(highestSeen + ERA_KEYS, NODE_KEY_MAX) + 1",
    replace: "Math.min(highestSeen, NODE_KEY_MAX) + 1",
    caughtBy: "tests/scenarios/electorate_test.ts :: an operator begins anew",
  },
  {
    name: "new-era-that-lets-the-unheard-in",
    file: "gossip/register/config.ts",
    find: "    removed,\n    sealing: [...config.sealing, ...unheard]",
    replace: "    sealing: [...config.sealing, ...unheard]",
    caughtBy: "tests/scenarios/electorate_test.ts :: cut off, take over",
  },
  {
    name: "two-eras-of-one-age",
    file: "gossip/register/config.ts",
    find: "      node * FOUNDER_EPOCHS,",
    replace: "      node + 0 * FOUNDER_EPOCHS,",
    caughtBy: "gossip/register/config_test.ts :: never of one age",
  },
  {
    name: "waits-for-the-mute-beside-a-rival",
    file: "gossip/register/proposer.ts",
    find:
      "        this.#options.sleep(GRACE_MS, signal).then(giveUp, () => {});\n",
    replace: "",
    caughtBy: "gossip/register/proposer_test.ts :: promised a rival more",
  },
];
