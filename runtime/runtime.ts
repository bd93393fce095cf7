/**
 * What the world gives to a node: clock, timers, randomness, files and
 * ordered byte streams.
 *
 * Guarantees: these interfaces are the only way by which `engine`, `transport`,
 * `gossip` and `mod.ts` touch the world. There are two sets of implementations:
 * Deno's (`runtime/deno/`) and virtual ones (`runtime/virtual/`), in which one
 * seed decides everything that happens.
 *
 * Assumes: one JavaScript thread a node.
 *
 * @module
 */

/** Tells the time. */
export interface Clock {
  /** Wall-clock time, in milliseconds since 1970 (UTC). May jump. */
  now(): number;
  /** Time since an arbitrary moment, in milliseconds. Never goes back. */
  monotonic(): number;
}

/** A timer that was set and has not yet fired. */
export interface Timer {
  /** Stops the timer; does nothing if it has fired or was stopped. */
  cancel(): void;
}

/** Options for {@linkcode Timers.set}. */
export interface TimerOptions {
  /**
   * Whether the timer keeps the process alive. Background work must not.
   *
   * @default {false}
   */
  persistent?: boolean;
}

/** Sets timers. */
export interface Timers {
  /** Calls `callback` once, `delayMs` milliseconds from now or later. */
  set(callback: () => void, delayMs: number, options?: TimerOptions): Timer;
}

/** Draws random numbers. */
export interface Random {
  /** Fills `bytes` with random bytes and returns it. */
  fill(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>;
  /** A random integer from 0 to 2^32 - 1. */
  u32(): number;
  /** A random number from 0, inclusive, to 1, exclusive. */
  float(): number;
}

/** How to open a file. */
export interface FileOptions {
  /**
   * - `"read"`: an existing file, for reading only.
   * - `"append"`: for reading and appending; made if absent.
   * - `"create"`: for reading and appending; made, must not exist.
   */
  mode: "read" | "append" | "create";
}

/**
 * An open file. Reads name their position; writes go to the end.
 *
 * Reads and writes are synchronous: on this platform a read from the page cache
 * costs 1–2 µs so, and tens to hundreds of µs when awaited. Only
 * {@linkcode RuntimeFile.syncData} waits for the device.
 */
export interface RuntimeFile extends Disposable {
  /** The file's size in bytes. */
  size(): number;
  /**
   * Reads into `buffer` from byte `position` on, as much as there is.
   *
   * @returns The bytes read: fewer than asked only at the end of the file.
   * @throws {StorageError} If the file cannot be read.
   */
  readAt(buffer: Uint8Array, position: number): number;
  /**
   * Appends all of `data` to the file.
   *
   * @throws {StorageError} If not everything could be written.
   */
  append(data: Uint8Array): void;
  /**
   * Makes room for `bytes` more bytes: zeros behind what was appended, which what
   * is appended from now on replaces. {@linkcode RuntimeFile.size} counts them.
   * Once the room was synced, a sync of what replaces it is faster: the file
   * system has nothing to note of the file itself.
   *
   * @throws {StorageError} If there is not as much; what is appended goes where
   * it would have gone all the same.
   */
  reserve(bytes: number): void;
  /** Cuts the file to `size` bytes. */
  truncate(size: number): void;
  /**
   * Waits until all that was appended or cut before this call is on the device.
   *
   * @throws {StorageError} If the device reports an error: what had not been
   * synced before may then be lost, and syncing again must not be trusted.
   */
  syncData(): Promise<void>;
  /**
   * Takes the exclusive lock of the file, held until the file is closed.
   *
   * @returns `false` if another handle, in this process or another, has it.
   */
  tryLock(): boolean;
  /** Closes the file. Idempotent. */
  close(): void;
}

/** Files in directories. Paths are strings with `/` as separator. */
export interface FileSystem {
  /**
   * Opens a file.
   *
   * @throws {FileNotFoundError} If it is absent and the mode does not make it.
   * @throws {StorageError} If it cannot be opened, or exists against the mode.
   */
  open(path: string, options: FileOptions): RuntimeFile;
  /** Whether a file or directory stands at the path. */
  exists(path: string): boolean;
  /** The names in a directory, sorted; those of directories end in `/`. */
  list(path: string): string[];
  /** Makes a directory and its parents; does nothing if it exists. */
  makeDirectory(path: string): void;
  /**
   * Removes a file.
   *
   * @throws {FileNotFoundError} If it is absent.
   */
  remove(path: string): void;
  /**
   * Removes a file without keeping this thread, which a large one does for
   * milliseconds. Absent where removing takes no time.
   *
   * @throws {StorageError} As {@linkcode FileSystem.remove}.
   */
  removeAside?(path: string): Promise<void>;
  /** Renames a file, replacing what stood at `to`, in one step. */
  rename(from: string, to: string): void;
  /**
   * Gives a file a second name, `to`, which must not be taken: both then name
   * the same content until one of them is removed or replaced. Where the system
   * cannot (another device), `to` becomes a copy whose content is on the device.
   *
   * @throws {FileNotFoundError} If `from` is absent.
   * @throws {StorageError} If `to` is taken, or the system refuses.
   */
  link(from: string, to: string): void;
  /**
   * Waits until the names in the directory (files made, renamed, removed) are
   * on the device.
   */
  syncDirectory(path: string): Promise<void>;
}

/** One end of an ordered, reliable stream of bytes between two nodes. */
export interface ByteStream {
  /** The other end, for messages to people: `host:port` as far as known. */
  readonly remote: string;
  /**
   * Reads at least one byte into `buffer`.
   *
   * @returns The number of bytes read, or `null` at the end of the stream.
   * @throws {Error} If the stream is broken. One read at a time.
   */
  read(buffer: Uint8Array): Promise<number | null>;
  /**
   * Writes all of `data`; resolves when the stream has taken it, which is the
   * backpressure. One write at a time. The bytes are the caller's: a stream keeps
   * none, and gives away none of their memory, in which other bytes may lie.
   *
   * @throws {Error} If the stream is broken.
   */
  write(data: Uint8Array): Promise<void>;
  /** Closes both directions at once. Idempotent; never throws. */
  close(): void;
}

/** A listening address. */
export interface Listener {
  /** Where it listens, with the real port: `host:port`. */
  readonly address: string;
  /**
   * Waits for the next stream that a peer has dialled.
   *
   * @returns The stream, or `null` once the listener is closed.
   */
  accept(): Promise<ByteStream | null>;
  /** Stops listening. Streams already accepted live on. Idempotent. */
  close(): void;
}

/** Options for {@linkcode Transport.dial}. */
export interface DialOptions {
  /** Gives up when aborted. */
  signal?: AbortSignal;
}

/**
 * Carries ordered byte streams between addresses: TCP, or whatever a user
 * brings. Frames, handshake and lanes stand on it and are Aspen's own.
 */
export interface Transport {
  /**
   * Listens on an address, `host:port`; port 0 takes a free one.
   *
   * @throws {AddressInUseError} If something listens there already.
   */
  listen(address: string): Promise<Listener>;
  /**
   * Opens a stream to an address.
   *
   * @throws {UnreachableError} If nobody answers there.
   */
  dial(address: string, options?: DialOptions): Promise<ByteStream>;
}

/** A thread that serves calls, several at a time if they wait for something. */
export interface WorkerThread {
  /** Whether it is there: not before its first call, nor once it ended itself. */
  readonly isUp: boolean;
  /**
   * Sends a request, which is copied, and waits for the answer. Large memory goes
   * as bare `SharedArrayBuffer`s: of a typed array the platform looks at each
   * element.
   *
   * @param onNote Called whenever the thread says that it has got on.
   * @throws {Error} If the module fails, or the thread dies or is closed.
   */
  call(request: unknown, onNote: () => void): Promise<unknown>;
  /** Ends the thread. Idempotent. */
  close(): void;
}

/**
 * Starts threads. They keep the process alive only while they serve a call, and
 * shortly after.
 */
export interface Workers {
  /** How many threads run at the same time, this one included. */
  readonly parallelism: number;
  /**
   * Makes a thread that serves with the {@linkcode WorkerModule} at a URL, started
   * by its first call; `undefined` where there are none, or the permissions do not allow it.
   */
  start(module: string): WorkerThread | undefined;
}

/** What a thread is given. */
export interface WorkerTools {
  /** Files in directories. */
  readonly files: FileSystem;
  /** Lets other calls get on. */
  readonly yieldNow: () => Promise<void>;
}

/** What a module exports that a thread serves with. */
export interface WorkerModule {
  /** Makes the function that answers requests; `note` says that it gets on. */
  serve(
    tools: WorkerTools,
  ): (request: unknown, note: () => void) => Promise<unknown>;
}

/** All that a node asks of the world. */
export interface Runtime {
  /** Tells the time. */
  readonly clock: Clock;
  /** Sets timers. */
  readonly timers: Timers;
  /** Draws random numbers. */
  readonly random: Random;
  /** Files in directories. */
  readonly files: FileSystem;
  /** Byte streams between nodes. */
  readonly network: Transport;
  /** The number of this process, for who looks for the holder of a lock. */
  readonly processId?: number;
  /** Threads, where there are any: an engine's compaction runs in one. */
  readonly workers?: Workers | undefined;
}
