/**
 * Values that are there at once or later.
 *
 * @module
 */

/** A value, or a promise of it. */
export type Awaitable<T> = T | Promise<T>;

/**
 * Whether the value is still to come. Hot paths ask this rather than `await`,
 * which costs a turn even for a value that is there.
 */
export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return value instanceof Promise;
}
