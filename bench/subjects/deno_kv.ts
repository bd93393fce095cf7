/**
 * Deno KV on a local file: one key part of bytes, `get`, `list` with its largest
 * batch, `atomic()` of a thousand sets. It has no synchronous reads, no choice of
 * cache or durability, and does not say whether a commit is synced: it takes no
 * part in the rows about syncing.
 */

import type { StoreSettings } from "../peers/settings.ts";
import { MissingPeerError } from "../peers/settings.ts";
import type { Subject, SubjectKind } from "../engine/subject.ts";

/** Deno KV. */
export const denoKv: SubjectKind = { volatile: false, open };

type Key = [Uint8Array];

/** The part of Deno KV that is used; its types need `--unstable-kv`. */
interface Kv {
  get(key: Key): Promise<{ value: Uint8Array | null }>;
  set(key: Key, value: Uint8Array): Promise<unknown>;
  delete(key: Key): Promise<void>;
  list(
    selector: { start: Key; end: Key },
    options: { reverse?: boolean; limit?: number; batchSize: number },
  ): AsyncIterable<{ key: Key; value: Uint8Array }>;
  atomic(): Atomic;
  close(): void;
}

interface Atomic {
  set(key: Key, value: Uint8Array): Atomic;
  commit(): Promise<{ ok: boolean }>;
}

/** The most that `list` takes. */
const PAGE = 500;

/** Behind every key of the bench, whose keys are shorter than this one. */
const END: Key = [new Uint8Array(32).fill(255)];
const BEGIN: Key = [new Uint8Array(0)];

async function open(
  dir: string,
  _settings: StoreSettings,
): Promise<Subject<Key>> {
  const { openKv } = Deno as unknown as {
    openKv?: (path: string) => Promise<Kv>;
  };
  if (openKv === undefined) throw new MissingPeerError("deno-kv");
  const kv = await openKv(`${dir}/data.kv`);
  return {
    key: (bytes) => [bytes],
    async get(key) {
      return (await kv.get(key)).value ?? undefined;
    },
    async scan({ start, reverse, limit }, visit) {
      const entries = kv.list({ start: start ?? BEGIN, end: END }, {
        ...limit === undefined ? {} : { limit },
        reverse: reverse ?? false,
        batchSize: Math.min(PAGE, limit ?? PAGE),
      });
      for await (const { key, value } of entries) visit(key[0], value);
    },
    async writeBatch(keys, values, from, to) {
      const atomic = kv.atomic();
      for (let i = from; i < to; i++) atomic.set(keys[i]!, values[i - from]!);
      const { ok } = await atomic.commit();
      if (!ok) throw new Error("Cannot write the batch: it was refused");
    },
    put: (key, value) => kv.set(key, value),
    remove: (key) => kv.delete(key),
    idle: () => Promise.resolve(performance.now()),
    close: () => kv.close(),
  };
}
