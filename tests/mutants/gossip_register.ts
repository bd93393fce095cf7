/** Defects of `gossip/register/`, to be put in on purpose; see `mutants_table.ts`. */

import type { Mutant } from "./mutant.ts";

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
    find: "    if (batch.length > 0) await this.#write(batch);",
    replace: "    if (ops.length > 0) await this.#write(batch);",
    caughtBy: "gossip/register/acceptor_test.ts :: a newer config that comes",
  },
  {
    name: "no-epoch-gate",
    file: "gossip/register/acceptor.ts",
    find: "    if (compareConfigs(config, this.#known) < 0) {",
    replace: "    if (config.epoch < 0) {",
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
];
