/**
 * The members on disk, so that the next start knows them.
 *
 * Guarantees: one write at a time, of the newest; after {@linkcode
 * MembersFile.close} the newest is there, unless the engine has failed.
 *
 * @module
 */

import { type Bytes, sleep, type Timers } from "../../runtime/mod.ts";
import type { BatchOp, KV } from "../../engine/kv.ts";
import { metaKey } from "../keyspace.ts";

/** What the file is made of. */
export interface MembersFileOptions {
  readonly kv: KV;
  readonly timers: Timers;
  /** The members of this moment. */
  readonly encode: () => Bytes;
  /** What is written with them. */
  readonly also: () => readonly BatchOp[];
  /** Time between two writes, in milliseconds. */
  readonly pauseMs: () => number;
}

/** Writes the members. */
export class MembersFile {
  readonly #options: MembersFileOptions;
  readonly #abort = new AbortController();
  #saving: Promise<void> | undefined;
  #unsaved = false;

  /** Makes one that writes nothing before it is told to. */
  constructor(options: MembersFileOptions) {
    this.#options = options;
  }

  /** They have changed: to be written before long. Never rejects. */
  changed(): void {
    void this.save().catch(() => {
      // The engine has failed, and said so by its own event.
    });
  }

  /** Resolves when they are durable; rejects as the engine does. */
  save(): Promise<void> {
    this.#unsaved = true;
    return this.#saving ??= this.#run();
  }

  /** Waits until what has changed is written. Never rejects. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#saving?.catch(() => {
      // As above: a failed engine must not keep the node from closing.
    });
  }

  async #run(): Promise<void> {
    const { kv, timers, encode, also, pauseMs } = this.#options;
    try {
      while (this.#unsaved) {
        this.#unsaved = false;
        const members = { key: metaKey("members"), value: encode() };
        await kv.write([members, ...also()], { sync: true });
        const ms = pauseMs();
        if (ms > 0) {
          const { signal } = this.#abort;
          await sleep(timers, ms, { signal }).catch(() => {});
        }
      }
    } finally {
      // In the same turn: who changes something in the next one begins anew.
      this.#saving = undefined;
    }
  }
}
