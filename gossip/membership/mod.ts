/**
 * Membership: which nodes there are, and what they say of themselves.
 *
 * @module
 */

export * from "./members.ts";
export * from "./messages.ts";
export * from "./node_record.ts";
