// deno-lint-ignore-file no-console -- a program that a test reads
/** Reads a file in one call, and in the platform's way; says what is the same. */

import { DenoFiles } from "../../../runtime/deno/files.ts";

const path = Deno.args[0]!;
const expected = Deno.readFileSync(path);
const bytes = new Uint8Array(expected.length + 1000);
using file = new DenoFiles().open(path, { mode: "read" });
const length = file.readAt(bytes, 0);
const same = expected.every((byte, i) => bytes[i] === byte);
using plain = Deno.openSync(path);
const first = plain.readSync(new Uint8Array(expected.length))!;
console.log(JSON.stringify({
  whole: length === expected.length,
  same,
  short: first < expected.length,
}));
