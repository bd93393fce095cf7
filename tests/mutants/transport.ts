/** Defects of `transport/`, to be put in on purpose; see `mutants_table.ts`. */

import type { Mutant } from "./mutant.ts";

/** The defects. */
export const TRANSPORT_MUTANTS: readonly Mutant[] = [
  {
    name: "first-peers-dialled-though-they-are-too-many",
    file: "transport/peer.ts",
    find: "else void Promise.resolve().then(() => this.#dialKept());",
    replace: "else this.#dialKept();",
    caughtBy: "transport/on_demand_test.ts :: with more peers than connections",
  },
  {
    name: "unused-connection-counts-as-lost",
    file: "transport/peer.ts",
    find:
      "    if (unused || (connection.retired && this.#context.onDemand())) {",
    replace:
      "    if (connection.retired && !unused && this.#context.onDemand()) {",
    caughtBy: "transport/on_demand_test.ts :: with more peers than connections",
  },
  {
    name: "unused-connection-ends-without-taking-leave",
    file: "transport/connection.ts",
    find: "    ) this.release();\n",
    replace: `    ) this.close("nobody uses it");\n`,
    caughtBy: "transport/on_demand_test.ts :: no request is lost",
  },
  {
    name: "fresh-connection-is-the-first-to-end",
    file: "transport/endpoint.ts",
    find: "if (connection === fresh || connection.busy) continue;",
    replace: "if (connection.busy) continue;",
    caughtBy: "transport/on_demand_test.ts :: what is in work",
  },
  {
    name: "any-number-of-connections-on-demand",
    file: "transport/endpoint.ts",
    find: "      if (this.onDemand) this.#endUnused(connection);\n",
    replace: "",
    caughtBy: "transport/on_demand_test.ts :: the longest unused",
  },
  {
    name: "cluster-id-not-checked",
    file: "transport/handshake.ts",
    find: `  if (equalBytes(local.clusterId, remote.clusterId)) return;`,
    replace:
      `  if (local.clusterId.length === remote.clusterId.length) return;`,
    caughtBy: "transport/endpoint_test.ts :: nodes of two clusters both get",
  },
  {
    name: "requests-without-a-deadline",
    file: "transport/pending.ts",
    find: "const timer = this.#options.timers.set(expire, timeoutMs, {",
    replace: "const timer = this.#options.timers.set(() => {}, timeoutMs, {",
    caughtBy: "transport/endpoint_test.ts :: a deadline that passes after",
  },
  {
    name: "dialler-speaks-without-a-proof",
    file: "transport/greeting.ts",
    find: "const chosen = provedSecret(proofs, secrets, transcript);",
    replace:
      "const chosen = provedSecret(proofs, secrets, transcript) ?? secrets[0];",
    caughtBy: "transport/seal_test.ts :: a stranger learns nothing",
  },
  {
    name: "acceptor-takes-frames-without-a-seal",
    file: "transport/greeting.ts",
    find: "      this.#decoder.demand(new Seal(secrets, true, transcript));\n",
    replace: "",
    caughtBy: "transport/seal_test.ts",
  },
  {
    name: "seal-that-knows-no-number",
    file: "transport/seal.ts",
    find: "const counted = new Writer(6).u48(number).view();",
    replace: "const counted = new Writer(6).u48(number * 0).view();",
    caughtBy: "transport/seal_test.ts :: a frame that is changed",
  },
  {
    name: "one-key-for-both-ends",
    file: "transport/seal.ts",
    find: "const label = dialler ? DIALLER_LABEL : ACCEPTOR_LABEL;",
    replace: "const label = dialler ? DIALLER_LABEL : DIALLER_LABEL;",
    caughtBy: "transport/seal_test.ts :: a frame that is changed",
  },
  {
    name: "keys-that-know-no-challenge",
    file: "transport/seal.ts",
    find: "hmac(secret, label, transcript)",
    replace: "hmac(secret, label, transcript.subarray(0, 6))",
    caughtBy: "transport/seal_test.ts :: what was recorded",
  },
  {
    name: "wrong-seal-goes-through",
    file: "transport/frame.ts",
    find: "if (found < 0) throw",
    replace: "if (found < -1) throw",
    caughtBy: "transport/seal_test.ts :: a frame that is changed",
  },
  {
    name: "frame-checksum-not-checked",
    file: "transport/frame.ts",
    find: `        this.#view.getUint32(crcAt, true)
    ) {`,
    replace: `        this.#view.getUint32(crcAt, true) && length < 0
    ) {`,
    caughtBy: "transport/frame_test.ts",
  },
];
