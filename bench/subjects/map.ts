/**
 * A `Map` in memory, the mark to measure by: keys are latin1 strings of the same
 * bytes, values are copied in and out. It has no order and no disk, so it takes
 * part in the rows of gets and of writes in memory only.
 */

import type { Subject, SubjectKind } from "../engine/subject.ts";

/** A map in memory. */
export const map: SubjectKind = { volatile: true, open };

function open(): Promise<Subject<string>> {
  const entries = new Map<string, Uint8Array>();
  const get = (key: string): Uint8Array | undefined => {
    const value = entries.get(key);
    return value === undefined ? undefined : new Uint8Array(value);
  };
  return Promise.resolve({
    key: (bytes) => String.fromCharCode(...bytes),
    getSync: get,
    get,
    scan() {
      throw new Error("Cannot scan a map: it has no order");
    },
    writeBatch(keys, values, from, to) {
      for (let i = from; i < to; i++) {
        entries.set(keys[i]!, new Uint8Array(values[i - from]!));
      }
    },
    put(key, value) {
      entries.set(key, new Uint8Array(value));
    },
    remove: (key) => entries.delete(key),
    idle: () => Promise.resolve(performance.now()),
    close: () => entries.clear(),
  });
}
