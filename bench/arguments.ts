/**
 * What the programs that measure rows are told on their command lines.
 */

/** Arguments that were understood. */
export interface Arguments {
  /** `quick` and `json`, those that were given. */
  readonly flags: ReadonlySet<string>;
  /** The values, by the names of their options. */
  readonly values: ReadonlyMap<string, string>;
  /** The value of an option that is a number of something, or `fallback`. */
  count(name: string, fallback: number): number;
}

/**
 * Understands arguments.
 *
 * @param known The options that have a value.
 * @throws {TypeError} If one is not understood, here or by `count`.
 */
export function readArguments(
  args: readonly string[],
  known: readonly string[],
): Arguments {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const name = args[i]!.replace(/^--/, "");
    if (name === "quick" || name === "json") flags.add(name);
    else if (known.includes(name) && args[i + 1] !== undefined) {
      values.set(name, args[++i]!);
    } else throw new TypeError(`Cannot understand ${args[i]}`);
  }
  return {
    flags,
    values,
    count(name, fallback) {
      const value = Number(values.get(name) ?? fallback);
      if (Number.isSafeInteger(value) && value > 0) return value;
      throw new TypeError(`Cannot understand --${name} ${values.get(name)}`);
    },
  };
}

/**
 * The rows whose names begin as one of those that are wanted; all without any.
 *
 * @throws {TypeError} If there are none.
 */
export function rowsNamed<T extends { readonly name: string }>(
  rows: readonly T[],
  wanted: string = "",
): T[] {
  const starts = wanted.split(",");
  const named = rows.filter(({ name }) =>
    starts.some((start) => name.startsWith(start))
  );
  if (named.length > 0) return named;
  const names = rows.map(({ name }) => name).join(", ");
  throw new TypeError(`Cannot find such rows; there are ${names}`);
}
