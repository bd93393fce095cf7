/**
 * What a defect is that is put in on purpose, and how its entry is read.
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
   * test's name, as `deno test --filter` takes it; or {@linkcode SEEDS}.
   */
  readonly caughtBy: string;
}

/** Caught by the random lives of the simulator, within 500 seeds. */
export const SEEDS = "seeds";

/** What random lives say of the first that broke an invariant, if one did. */
export function brokenBy(output: string): string | undefined {
  const line = /^seed (\d+): (\w+) does not hold$/m.exec(output);
  return line === null ? undefined : `seed ${line[1]}: ${line[2]}`;
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
