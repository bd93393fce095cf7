import { assert, assertEquals, assertMatch } from "@std/assert";
import * as errors from "./errors.ts";

const cause = new Error("why");

const samples: Error[] = [
  new errors.ClosedError("get"),
  new errors.LockedError("d", { cause }),
  new errors.CorruptionError("f", 3, "the checksum differs"),
  new errors.FormatVersionError("f", 2, 1),
  new errors.StorageError("open", "f", "it is a directory", { cause }),
  new errors.FileNotFoundError("open", "f"),
  new errors.PoisonedError({ cause }),
  new errors.NotSupportedError("getSync", "the engine is asynchronous"),
  new errors.DecodeError("a frame", "it ends early"),
  new errors.LimitError("set", "the key", 5000, 1, 4096),
  new errors.DeadlineExceededError("set", 10),
  new errors.UnreachableError("dial", ["a:1", "b:2"]),
  new errors.AddressInUseError("a:1"),
  new errors.ClusterMismatchError("x", "y"),
  new errors.SecretMismatchError("a:1", "who answers there has no secret"),
  new errors.TlsError("a:1", "its certificate has expired", { cause }),
  new errors.ProtocolError("an unknown message type"),
  new errors.ProtocolMismatchError({ min: 1, max: 2 }, { min: 3, max: 3 }),
  new errors.ClusterRequiredError("d"),
  new errors.NodeNotFoundError(3),
  new errors.LeaseNotTransferableError(1, 2),
  new errors.LeaseholderUnavailableError(1),
  new errors.OutcomeUnknownError("write"),
  new errors.CheckFailedError(new Uint8Array([1])),
  new errors.PartialCommitError([], [{
    leaseholder: 1,
    keys: [],
    error: cause,
  }]),
  new errors.TokenTooOldError("watch"),
  new errors.QuorumUnavailableError("pledge", [1, 2]),
  new errors.NotCaughtUpError("list"),
  new errors.OverloadedError("write", 300),
  new errors.RejectedError("NotMember", "node 7 is no member", { cause }),
  new errors.RemoteError("ClosedError", "Cannot write: it is closed"),
  new errors.NotVoterError(3),
  new errors.ConfigUnsettledError("add node 4", 2),
  new errors.NodeKeysExhaustedError(),
  new errors.NotMemberError("write"),
  new errors.LeftUnheardError([2, 1]),
  new errors.JoinAbortedError(["a:1"], "enough", { cause }),
];

Deno.test("every error has its class as its name and says what cannot be done", () => {
  for (const error of samples) {
    assertEquals(error.name, error.constructor.name);
    assertMatch(error.message, /^Cannot .*[^.]$/);
  }
  const classes = Object.values(errors).filter((each) =>
    each !== errors.AspenError
  );
  assertEquals(
    new Set(samples.map((each) => each.constructor)),
    new Set<unknown>(classes),
  );
});

Deno.test("errors carry their facts and their cause", () => {
  const unreachable = new errors.UnreachableError("dial", ["a:1", "b:2"], {
    cause,
  });
  assertEquals(unreachable.addresses, ["a:1", "b:2"]);
  assertEquals(unreachable.refused, false);
  assert(new errors.UnreachableError("dial", [], { refused: true }).refused);
  assertEquals(new errors.SecretMismatchError("a:1", "no").address, "a:1");
  const { ours, theirs, message } = new errors.ProtocolMismatchError(
    { min: 1, max: 2 },
    { min: 3, max: 3 },
  );
  assertEquals([ours.max, theirs.min], [2, 3]);
  assertEquals(
    message,
    "Cannot talk to the peer: it speaks protocol 3, this node 1 to 2",
  );
  assertEquals(unreachable.cause, cause);
  assertEquals(
    unreachable.message,
    'Cannot dial: nobody answers at "a:1", "b:2"',
  );
  assert(
    new errors.FileNotFoundError("open", "f") instanceof errors.StorageError,
  );
  assert(
    new errors.LimitError("set", "the key", 0, 1, 2) instanceof RangeError,
  );
});
