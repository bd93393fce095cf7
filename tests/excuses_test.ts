import { assertEquals } from "@std/assert";
import {
  ClosedError,
  CorruptionError,
  LeaseholderUnavailableError,
  OutcomeUnknownError,
  PartialCommitError,
  PoisonedError,
  RemoteError,
  StorageError,
  UnreachableError,
} from "../mod.ts";
import { isOfDisk, unexplained } from "./sim/excuses.ts";

const WHOLE = { here: false, elsewhere: false };
const HERE = { here: true, elsewhere: false };
const ELSEWHERE = { here: false, elsewhere: true };
const ALL = { here: true, elsewhere: true };

const full = new StorageError("append to", "f", "no space");
const poisoned = new PoisonedError({ cause: full });

function unknown(cause: unknown): OutcomeUnknownError {
  return new OutcomeUnknownError("commit", { cause });
}

Deno.test("an engine's errors are explained where its own disk fails, and nowhere else", () => {
  for (const error of [full, poisoned, unknown(poisoned)]) {
    assertEquals(unexplained(error, HERE), undefined);
    assertEquals(unexplained(error, ELSEWHERE), unexplained(error, WHOLE));
  }
  assertEquals(unexplained(full, WHOLE), "StorageError");
  assertEquals(unexplained(poisoned, WHOLE), "PoisonedError");
  const told = unknown(new RemoteError("StorageError", "no space"));
  assertEquals(unexplained(told, ELSEWHERE), undefined);
  assertEquals(unexplained(told, HERE), "StorageError");
  assertEquals(isOfDisk(poisoned, true), true);
  assertEquals(isOfDisk(poisoned, false), false);
  assertEquals(isOfDisk(new ClosedError("read", "the store"), true), false);
});

Deno.test("a mistake of the program is explained by nothing, wherever it lies and whoever made it", () => {
  const remote = new RemoteError("TypeError", "a is undefined");
  const part = { leaseholder: 1, keys: [] };
  for (
    const error of [
      new TypeError("a is undefined"),
      remote,
      unknown(remote),
      new LeaseholderUnavailableError(1, {
        cause: new UnreachableError("reach", ["b:1"], { cause: remote }),
      }),
      new PartialCommitError([part], [
        { ...part, error: unknown(undefined) },
        { ...part, error: unknown(remote) },
      ]),
    ]
  ) assertEquals(unexplained(error, ALL), "TypeError", String(error));
  const damaged = new CorruptionError("f", 0, "a checksum is wrong");
  assertEquals(unexplained(damaged, ALL), "CorruptionError");
  assertEquals(
    unexplained(new PoisonedError({ cause: damaged }), ALL),
    "CorruptionError",
  );
  assertEquals(unexplained("text", ALL), "a thrown string");
});

Deno.test("what nodes that are gone, or busy, lead to is explained", () => {
  const gone = new UnreachableError("reach", ["b:1"], {
    cause: new Error("reset"),
  });
  for (
    const error of [gone, unknown(gone), new LeaseholderUnavailableError(1)]
  ) {
    assertEquals(unexplained(error, WHOLE), undefined);
  }
});
