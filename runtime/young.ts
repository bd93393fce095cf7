/**
 * Objects that are made by the ten thousand a second and live for one group of
 * writes. V8 remembers where in a program an object or array literal stands: where
 * most of what it made outlived a collection, as while a node catches up, all that it
 * makes from then on goes straight to the old space ("pretenuring", `AllocationSite`
 * in V8's sources). There it stays, and with it whatever it names, until the next
 * full collection. What `new` makes of a class, and copies of an array, have no such
 * place, and die young.
 *
 * @module
 */

// Once it has had an object, its copies need not change their kind for one.
const NONE: unknown[] = [{}];
NONE.pop();

/** An empty array, for what is made once a record. */
export function youngArray<T>(): T[] {
  return NONE.slice() as T[];
}
