import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { FileNotFoundError, StorageError } from "../errors.ts";
import { storageError } from "./system_error.ts";

function refusal(code: string): Error {
  return Object.assign(new Error("as the system says it"), { code });
}

Deno.test("what the system says is told by its codes, and what it said is kept", () => {
  const reasons: Record<string, string> = {
    EACCES: "the operating system denies access",
    EPERM: "the operating system denies access",
    ENOTDIR: "a part of the path is not a directory",
    EISDIR: "it is a directory",
    EEXIST: "it exists already",
    ENOSPC: "no space is left on the device",
    EIO: "as the system says it",
  };
  for (const [code, reason] of Object.entries(reasons)) {
    const cause = refusal(code);
    const error = storageError("read", "a/b", cause);
    assert(error instanceof StorageError);
    assert(!(error instanceof FileNotFoundError));
    assert(error.message.includes(reason), error.message);
    assertStrictEquals(error.cause, cause);
  }
});

Deno.test("that there is no file has a type of its own, however it is told", () => {
  for (const cause of [refusal("ENOENT"), new Deno.errors.NotFound("none")]) {
    const error = storageError("open", "a/b", cause);
    assert(error instanceof FileNotFoundError);
    assertStrictEquals(error.cause, cause);
  }
});

Deno.test("an error that has a type passes through", () => {
  const error = new StorageError("open", "a/b", "it is closed");
  assertEquals(storageError("read", "c", error), error);
  assertStrictEquals(storageError("read", "c", error), error);
});
