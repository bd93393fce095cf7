/**
 * Watches how much memory is asked for at once.
 *
 * @module
 */

const WATCHED = ["ArrayBuffer", "Uint8Array", "Uint32Array"] as const;

/**
 * Runs `body`, and fails any `new ArrayBuffer`, `Uint8Array` or `Uint32Array` of
 * more than `max` elements in it, so that a length that nobody has checked shows
 * before the memory is gone. What V8 and Deno allocate on their own is not seen.
 */
export async function withAllocationsUpTo<T>(
  max: number,
  body: () => T | Promise<T>,
): Promise<T> {
  const world = globalThis as unknown as Record<string, object>;
  const originals = WATCHED.map((name) => [name, world[name]!] as const);
  for (const [name, original] of originals) {
    world[name] = new Proxy(original, {
      construct(target, args, newTarget) {
        const length = args[0];
        if (typeof length === "number" && length > max) {
          throw new Error(`${name} of ${length} elements, ${max} may be`);
        }
        return Reflect.construct(
          target as new () => object,
          args,
          newTarget === world[name] ? target as new () => object : newTarget,
        );
      },
    });
  }
  try {
    return await body();
  } finally {
    for (const [name, original] of originals) world[name] = original;
  }
}
