/**
 * What is measured, in the same way for all stores:
 *
 * - Percentiles: of single calls (a get, a put, a batch, a page of a scan).
 * - `maxStallMs`: how much later than due a timer of 1 ms came, at most. Rows
 *   whose own loop never leaves the thread do not have it.
 * - `rssMb`: `process.memoryUsage().rss`, native memory and mapped files with it.
 * - `diskMb`: blocks that the files of the directory occupy.
 * - `writeAmp`: pages that the process made dirty on storage (`write_bytes` of
 *   /proc/self/io), worker and native threads included, by bytes of the entries
 *   that were written. A page that is overwritten before the kernel wrote it back
 *   counts once, which favours stores that write in place. Nothing on tmpfs and
 *   off Linux: `null`.
 */

import { memoryUsage } from "node:process";
import { clearImmediate, setImmediate } from "node:timers";

/** Calls whose durations are kept, at most. */
const LAPS_MAX = 4_000_000;

/** Durations of calls. */
export class Laps {
  #micros = new Float32Array(1024);
  #count = 0;

  /** Adds the duration of one call, in ms. */
  add(ms: number): void {
    if (this.#count === this.#micros.length) {
      if (this.#count >= LAPS_MAX) return;
      const more = new Float32Array(this.#count * 2);
      more.set(this.#micros);
      this.#micros = more;
    }
    this.#micros[this.#count++] = ms * 1000;
  }

  /** The duration, in µs, that the share `q` of the calls did not exceed. */
  percentile(q: number): number | null {
    if (this.#count === 0) return null;
    const sorted = this.#micros.subarray(0, this.#count).toSorted();
    return sorted[Math.min(this.#count - 1, Math.ceil(q * this.#count) - 1)]!;
  }

  /** The longest, in µs. */
  max(): number | null {
    return this.percentile(1);
  }
}

/** Watches by how much a timer of 1 ms is late while a row runs. */
export class LoopMonitor implements Disposable {
  /** How late it was, each time. */
  readonly delays: Laps = new Laps();
  readonly #timer: ReturnType<typeof setInterval>;
  #last = performance.now();

  constructor() {
    this.#timer = setInterval(() => this.#tick(), 1);
  }

  /** Ends the watch; a block that has not ended yet counts. */
  stop(): void {
    this.#tick();
    clearInterval(this.#timer);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const now = performance.now();
    this.delays.add(Math.max(0, now - this.#last - 1));
    this.#last = now;
  }
}

/** What a process is started with that calls {@linkcode collectGarbage}. */
export const GC_FLAG = "--v8-flags=--expose-gc";

/**
 * Collects what is garbage by now, so that what a row left behind when it made
 * its keys is not paid for inside its clock.
 *
 * By the function that V8 exposes at the start, and no other way: `gc` of a new
 * context tells V8 that memory is low, after which it lets the heap grow by a few
 * MB only, and collects what the row holds, its keys, once more inside the clock.
 */
export function collectGarbage(): void {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) throw new TypeError(`Cannot collect: no ${GC_FLAG}`);
  gc();
}

/** Lets timers and sockets have their turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    const immediate = setImmediate(() => {
      clearImmediate(immediate);
      resolve();
    });
  });
}

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Memory of this process that is resident, in MB. */
export function rssMb(): number {
  return memoryUsage().rss / 1e6;
}

/** A count of /proc/self/io; `undefined` off Linux. */
function ioCount(name: "wchar" | "write_bytes"): number | undefined {
  try {
    const text = Deno.readTextFileSync("/proc/self/io");
    const found = new RegExp(`^${name}: (\\d+)`, "m").exec(text);
    return found === null ? undefined : Number(found[1]);
  } catch {
    return undefined;
  }
}

/** Bytes of storage that this process made dirty; `undefined` off Linux. */
export function bytesDirtied(): number | undefined {
  return ioCount("write_bytes");
}

/** How long a process must have written next to nothing to be called idle, in ms. */
const QUIET_MS = 250;
const POLL_MS = 5;
/** The event loop's own wake-ups are writes too, of 8 bytes each. */
const NOISE_BYTES = 4096;
/** No store here compacts longer, in ms. */
const BUSY_MS_MAX = 600_000;

/**
 * Waits until the process has written nothing for a while, and gives the moment
 * of `performance.now()` since when. Off Linux it just waits for that while.
 */
export async function quietSince(): Promise<number> {
  const start = performance.now();
  let since = start;
  let before = ioCount("wchar") ?? 0;
  while (performance.now() - since < QUIET_MS) {
    await pause(POLL_MS);
    const now = ioCount("wchar") ?? 0;
    if (now - before >= NOISE_BYTES) since = performance.now();
    before = now;
    if (since - start > BUSY_MS_MAX) {
      throw new Error("Cannot go on: the store does not become idle");
    }
  }
  return since;
}

/** What the files below a directory occupy, in MB. */
export function diskMb(dir: string): number {
  let bytes = 0;
  for (const entry of Deno.readDirSync(dir)) {
    const path = `${dir}/${entry.name}`;
    if (entry.isDirectory) bytes += diskMb(path) * 1e6;
    else {
      const { blocks, size } = Deno.statSync(path);
      bytes += blocks === null ? size : blocks * 512;
    }
  }
  return bytes / 1e6;
}
