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
import { isOfDisk, NO_TROUBLE, unexplained } from "./sim/excuses.ts";

const FAULTED = { faulted: true, damaged: false };
const DAMAGED = { faulted: false, damaged: true };
const WHOLE = { here: NO_TROUBLE, elsewhere: NO_TROUBLE };
const HERE = { here: FAULTED, elsewhere: NO_TROUBLE };
const ELSEWHERE = { here: NO_TROUBLE, elsewhere: FAULTED };
const ALL = { here: FAULTED, elsewhere: FAULTED };

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
  assertEquals(isOfDisk(poisoned, FAULTED), true);
  assertEquals(isOfDisk(poisoned, NO_TROUBLE), false);
  assertEquals(isOfDisk(new ClosedError("read", "the store"), FAULTED), false);
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
  assertEquals(unexplained("text", ALL), "a thrown string");
});

Deno.test("damage is explained where a bit has flipped, and by no other trouble of a disk", () => {
  const damaged = new CorruptionError("f", 0, "a checksum is wrong");
  const failed = new PoisonedError({ cause: damaged });
  for (const error of [damaged, failed, unknown(damaged)]) {
    assertEquals(unexplained(error, ALL), "CorruptionError");
    const here = { here: DAMAGED, elsewhere: NO_TROUBLE };
    assertEquals(unexplained(error, here), undefined);
  }
  const told = new RemoteError("CorruptionError", "a checksum is wrong");
  assertEquals(unexplained(told, ALL), "CorruptionError");
  const elsewhere = { here: NO_TROUBLE, elsewhere: DAMAGED };
  assertEquals(unexplained(told, elsewhere), undefined);
  assertEquals(
    unexplained(full, { here: DAMAGED, elsewhere: DAMAGED }),
    "StorageError",
  );
  assertEquals([isOfDisk(failed, DAMAGED), isOfDisk(failed, FAULTED)], [
    true,
    false,
  ]);
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
