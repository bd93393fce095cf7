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
    find: "    this.#tellEnd(connection, reason, unused || replaced);",
    replace: "    this.#tellEnd(connection, reason, replaced && !unused);",
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
  {
    name: "features-that-one-side-knows",
    file: "transport/handshake.ts",
    find: "return high * 2 ** 32 + ((ours & theirs) >>> 0);",
    replace: "return high * 2 ** 32 + ((ours | theirs) >>> 0);",
    caughtBy: "transport/endpoint_test.ts :: the features that both know",
  },
  {
    name: "refused-version-not-told",
    file: "transport/endpoint.ts",
    find:
      "      if (isMismatch(error)) this.#tellRefused(stream.remote, error);\n",
    replace: "",
    caughtBy: "tests/scenarios/versions_test.ts",
  },
  {
    name: "every-stranger-that-is-refused-told-of",
    file: "transport/endpoint.ts",
    find: "if (now < this.#refusalToldAt + REFUSAL_PAUSE_MS) return;",
    replace: "if (now < this.#refusalToldAt) return;",
    caughtBy: "transport/endpoint_test.ts :: without a common version",
  },
  {
    name: "visits-without-end",
    file: "transport/bounds.ts",
    find: "    lifeMsMax: VISIT_MS_MAX,",
    replace: "    lifeMsMax: VISIT_MS_MAX * 1000,",
    caughtBy: "transport/hostile_test.ts :: visits are bounded",
  },
  {
    name: "each-visit-with-a-room-of-its-own",
    file: "transport/bounds.ts",
    find: "room: pledges ? new Room(0) : visitRoom,",
    replace: "room: pledges ? new Room(0) : new Room(HELD_BYTES_MAX),",
    caughtBy: "transport/hostile_test.ts :: visits are bounded",
  },
  {
    name: "visit-forgotten-before-its-stream-is-closed",
    file: "transport/endpoint.ts",
    find: "void serving.then(() => this.#visits--);",
    replace: "void Promise.resolve().then(() => this.#visits--);",
    caughtBy: "transport/hostile_test.ts :: a visit whose stream",
  },
  {
    name: "any-number-of-handshakes-at-once",
    file: "transport/endpoint.ts",
    find: "if (this.#handshakes.size >= tuning.handshakesMax) {",
    replace: "if (this.#handshakes.size >= tuning.handshakesMax * 1e6) {",
    caughtBy: "tests/hostile_test.ts",
  },
  {
    name: "any-number-of-visits-at-once",
    file: "transport/endpoint.ts",
    find: "this.#visits >= VISITS_MAX",
    replace: "this.#visits >= VISITS_MAX * 1e6",
    caughtBy: "tests/hostile_test.ts",
  },
  {
    name: "handshakes-without-a-deadline",
    file: "transport/greeting.ts",
    find: 'startDeadline(timers, timeoutMs, "shake hands", signal)',
    replace: 'startDeadline(timers, timeoutMs * 1e6, "shake hands", signal)',
    caughtBy: "tests/hostile_test.ts",
  },
  {
    name: "half-received-without-a-bound",
    file: "transport/bounds.ts",
    find: "if (this.#taken + bytes > this.#bytesMax) return false;",
    replace: "if (this.#taken + bytes > this.#bytesMax * 1e6) return false;",
    caughtBy: "tests/hostile_test.ts",
  },
  {
    name: "who-has-no-key-commits",
    file: "gossip/dispatch.ts",
    find: "} else if (node === 0 && type !== MessageType.PLEDGE) {",
    replace: "} else if (node === 0 && type > 255) {",
    caughtBy: "tests/hostile_test.ts",
  },
  {
    name: "frame-begun-and-never-whole",
    file: "transport/silence.ts",
    find: "const whole = (this.#begunAt ?? Infinity) +",
    replace: "const whole = (this.#begunAt ?? Infinity) * 1e6 +",
    caughtBy: "transport/hostile_test.ts :: never becomes whole",
  },
  {
    name: "tls-taken-for-a-long-frame",
    file: "transport/greeting.ts",
    find:
      "if (!(cause instanceof ProtocolError && this.#decoder.looksLikeTls)) {",
    replace: "if (cause !== this.#decoder.looksLikeTls) {",
    caughtBy: "tests/real/tls_test.ts",
  },
  {
    name: "forgotten-is-told-of-as-closed",
    file: "transport/endpoint.ts",
    find: 'connection.drop("the node is forgotten")',
    replace: 'connection.close("the node is forgotten")',
    caughtBy: "transport/peer_test.ts :: was not sent when the transport",
  },
  {
    name: "ping-waits-its-turn",
    file: "transport/registry.ts",
    find:
      "  return type === MessageType.PING || type === MessageType.PING_REQ;",
    replace: "  return type < 0;",
    caughtBy: "transport/send_queue_test.ts :: urgent",
  },
  {
    name: "asks-more-than-is-worked-on",
    file: "transport/window.ts",
    find: "    return this.#underWay.size <\n",
    replace: "    return this.#underWay.size / 1e9 <\n",
    caughtBy: "transport/endpoint_test.ts :: a burst of more",
  },
  {
    name: "gives-up-a-lane-amid-a-message",
    file: "transport/connection.ts",
    find: "(this.#reassembly.held > 0 && unusedMs < TIMEOUT_MS_DEFAULT)",
    replace: "(this.#reassembly.held > 0 && unusedMs < 0)",
    caughtBy: "transport/endpoint_test.ts :: a lane is not given up",
  },
  {
    name: "silent-strangers-keep-others-out",
    file: "transport/endpoint.ts",
    find: '          oldest!.abort(new Error("others want to shake hands"));',
    replace: "          stream.close();\n          continue;",
    caughtBy: "transport/endpoint_test.ts :: who dials and is silent",
  },
  {
    name: "any-refusal-believed-before-a-proof",
    file: "transport/greeting.ts",
    find: "        !(refusal instanceof ProtocolMismatchError)",
    replace: "        !(refusal instanceof ProtocolError)",
    caughtBy: "transport/endpoint_test.ts :: of who refuses without",
  },
  {
    name: "urgent-places-taken-by-others",
    file: "transport/window.ts",
    find: "        if (!this.#fits(next)) break;\n",
    replace: "",
    caughtBy: "transport/window_test.ts :: never taken by others",
  },
  {
    name: "to-end-and-forgotten",
    file: "transport/connection.ts",
    find:
      "          // All that waited had been given up.\n          this.#drain();\n",
    replace: "",
    caughtBy: "transport/endpoint_test.ts :: all that waits on it was given up",
  },
  {
    name: "acceptor-deaf-to-refusals",
    file: "transport/greeting.ts",
    find: `        this.#options.refusedBy?.(remote, error);
`,
    replace: "",
    caughtBy:
      "tests/scenarios/directory_test.ts :: dialled by who knows where it is",
  },
];
