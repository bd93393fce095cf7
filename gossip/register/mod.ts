/**
 * Registers: what the cluster agreed on, by majority of its voters.
 *
 * @module
 */

export * from "./acceptor.ts";
export * from "./ballot.ts";
export * from "./config.ts";
export * from "./electorate.ts";
export * from "./ids.ts";
export * from "./messages.ts";
export * from "./policy.ts";
export * from "./proposer.ts";
