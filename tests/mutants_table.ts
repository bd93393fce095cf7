/**
 * Defects to be put in on purpose. Each names a test that must fail with it: a
 * promise without such a test is only a hope. `deno task mutants` tries them.
 *
 * To add one: copy the text to break into `find` as it stands in the file (it
 * must occur exactly once, so take as many lines as that needs), write the
 * broken text, and name the test that is meant to notice. The broken code must
 * still type-check.
 *
 * @module
 */

/** One defect and the test that must notice it. */
export interface Mutant {
  /** A short name in kebab case that says what goes wrong. */
  readonly name: string;
  /** The file to break, from the root of the repository. */
  readonly file: string;
  /** The text to replace; occurs exactly once in the file. */
  readonly find: string;
  /** The text that stands there instead. */
  readonly replace: string;
  /**
   * The test that must fail: a test file, or `file :: filter` with a part of the
   * test's name, as `deno test --filter` takes it.
   */
  readonly caughtBy: string;
}

/** How often a text occurs in another, overlaps not counted. */
export function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}

/** The test file and the filter of {@linkcode Mutant.caughtBy}. */
export function parseCaughtBy(
  caughtBy: string,
): { file: string; filter: string | undefined } {
  const at = caughtBy.indexOf(" :: ");
  return at < 0
    ? { file: caughtBy, filter: undefined }
    : { file: caughtBy.slice(0, at), filter: caughtBy.slice(at + 4) };
}

/** All defects. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "bytes-compared-without-length",
    file: "runtime/bytes.ts",
    find: "  return a.length - b.length;",
    replace: "  return 0;",
    caughtBy: "tests/bytes_test.ts :: a prefix comes before",
  },
  {
    name: "varint-beyond-53-bits-accepted",
    file: "runtime/bytes.ts",
    find: "if (value > Number.MAX_SAFE_INTEGER) break;",
    replace: "if (value > Number.MAX_VALUE) break;",
    caughtBy: "tests/bytes_test.ts :: more than 53 bits",
  },
];
