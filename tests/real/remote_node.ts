/**
 * A node in a process of its own, driven by its test.
 *
 * Guarantees: every call settles: by the node's answer, or by
 * {@linkcode ProcessEndedError} when the process ended first: then nobody knows
 * whether it happened.
 *
 * @module
 */

import type {
  CaughtUp,
  Metrics,
  Node,
  OpenOptions,
  Version,
} from "../../mod.ts";
import { Child, type ChildOptions, within } from "./child.ts";

/** What a test says to a node. */
export interface RemoteOptions extends Pick<ChildOptions, "prefix"> {
  /** The program that runs it. @default {"node"} */
  program?: URL;
  /** How long it may take until it is open, in milliseconds. */
  startMs?: number;
  /** The directory. */
  dir: string;
  /** Options of `open` that JSON can say. */
  open: OpenOptions;
  /** Permission flags; by default read and write on the directory, and net. */
  permissions?: readonly string[];
  /** Variables added to the environment. */
  env?: Record<string, string>;
  /** A proxy that it dials through, and what it is called there. */
  via?: { readonly proxy: string; readonly name: number };
  /** Takes what it tells of its own accord: conflicts, failures, what a watch shows. */
  onReport?: (report: NodeReport) => void;
}

/** What a node tells of its own accord. */
export interface NodeReport {
  /** The type of an event of the database. */
  readonly event?: string;
  /** Of an event about an error: what it says. */
  readonly error?: string;
  /** Of a conflict: the key, and the version that lost. */
  readonly lost?: { readonly key: string; readonly version: Version };
  /** Of a conflict: the other keys of the batch. */
  readonly batchKeys?: readonly string[];
  /** How a node stands, by its key, as of now. */
  readonly standing?: readonly [number, string];
  /** What its watch has shown. */
  readonly shown?: readonly (readonly [string, Version])[];
  /** Whether a whole copy has taken the place of what it has shown. */
  readonly reset?: boolean;
}

/** A write: key, value or `null` to delete, node that is to lead it or `null`. */
export type RemoteOp = readonly [string, string | null, number | null];

/** What a commit left. */
export interface RemoteCommitted {
  /** The new version of each op, `null` where nothing changed. */
  readonly versions: readonly (Version | null)[];
  /** How often a whole copy had taken the place of what is there. */
  readonly copies: number;
}

/** What a node has of a key. */
export interface RemoteVersion {
  /** `null` if it is not there. */
  readonly version: Version | null;
  /** As of a commit. */
  readonly copies: number;
}

/** The node answered with an error. */
export class RemoteCallError extends Error {
  /** The name of the error there. */
  readonly code: string;
  /** Of a commit of which a part failed: the keys, and the names of the errors. */
  readonly failed: readonly [string, string][];
  constructor(
    { name, message, failed = [] }: {
      name: string;
      message: string;
      failed?: [string, string][];
    },
  ) {
    super(`${name}: ${message}`);
    this.code = name;
    this.failed = failed;
  }
}

/** The process ended before it answered. */
export class ProcessEndedError extends Error {}

/** A node in a process of its own. */
export class RemoteNode implements AsyncDisposable {
  readonly #child: Child;
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #pump: Promise<void>;
  readonly #onReport: ((report: NodeReport) => void) | undefined;
  #started = Promise.withResolvers<{ node: number; address: string }>();
  #next = 0;
  #ended = false;

  /** Its node key. */
  key = 0;
  /** Where it listens. */
  address = "";

  private constructor(
    child: Child,
    onReport: ((report: NodeReport) => void) | undefined,
  ) {
    this.#child = child;
    this.#onReport = onReport;
    this.#started.promise.catch(() => {});
    this.#pump = this.#read();
  }

  /**
   * Starts a node and waits until it is open.
   *
   * @throws {RemoteCallError} If `open` failed there.
   */
  static async start(options: RemoteOptions): Promise<RemoteNode> {
    const { dir, open, env = {}, prefix = [], via, onReport } = options;
    const { program = "node", startMs } = options;
    const report = onReport !== undefined;
    const node = new RemoteNode(
      new Child(program, {
        args: [JSON.stringify({ dir, options: open, via, report })],
        permissions: options.permissions ??
          [`--allow-read=${dir}`, `--allow-write=${dir}`, "--allow-net"],
        env,
        prefix,
      }),
      onReport,
    );
    try {
      const started = await within(
        "a node's start",
        node.#started.promise,
        startMs,
      );
      node.key = started.node;
      node.address = started.address;
      return node;
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Commits; gives the new version of each op, `null` where nothing changed. */
  async commit(...ops: RemoteOp[]): Promise<readonly (Version | null)[]> {
    const { versions } = await this.call<RemoteCommitted>({
      name: "commit",
      ops,
    });
    return versions;
  }

  /** Commits within a time. */
  commitWithin(
    timeoutMs: number,
    ops: readonly RemoteOp[],
  ): Promise<RemoteCommitted> {
    return this.call({ name: "commit", ops, timeoutMs });
  }

  /** The version of a key. */
  version(key: string): Promise<RemoteVersion> {
    return this.call({ name: "version", key });
  }

  /** The nodes that it knows. */
  nodes(): Promise<Node[]> {
    return this.call({ name: "nodes" });
  }

  /** A text that stands for all keys, values and versions that are alive. */
  digest(): Promise<string> {
    return this.call({ name: "digest" });
  }

  /** The numbers of the database. */
  metrics(): Promise<Metrics> {
    return this.call({ name: "metrics" });
  }

  /** The value of a key, as text. */
  get(key: string): Promise<string | null> {
    return this.call({ name: "get", key });
  }

  /** The keys that begin so, with their values, of one moment. */
  list(prefix: string): Promise<[string, string][]> {
    return this.call({ name: "list", key: prefix });
  }

  /** Has the node take what the others have, until all have answered. */
  async caughtUp(): Promise<void> {
    const asked = async () => {
      for (;;) {
        const { missing } = await this.call<CaughtUp>({ name: "caughtUp" });
        if (missing.length === 0) return;
      }
    };
    await within("catching up", asked());
  }

  /** Closes the node and lets the process end, which it must do with code 0. */
  async close(): Promise<void> {
    await this.call({ name: "close" });
    await this.#child.closeInput();
    const { code } = await this.#child.ended();
    if (code !== 0) throw new Error(`Exit ${code}: ${await this.stderr}`);
    await this[Symbol.asyncDispose]();
  }

  /** Its number in the system. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Aborts when its process has ended. */
  get gone(): AbortSignal {
    return this.#child.gone;
  }

  /** Sends a signal that does not end it, such as SIGSTOP. */
  signal(signal: Deno.Signal): void {
    this.#child.signal(signal);
  }

  /** Kills it at once. */
  async kill(): Promise<void> {
    await this.#child.kill();
    await this[Symbol.asyncDispose]();
  }

  /** What it wrote to its standard error; resolves when it has ended. */
  get stderr(): Promise<string> {
    return this.#child.stderr;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
    await this.#pump;
  }

  /**
   * Has its program do something.
   *
   * @throws {RemoteCallError} If that failed there.
   * @throws {ProcessEndedError} If the process ended first.
   */
  async call<T>(call: Record<string, unknown>): Promise<T> {
    if (this.#ended) throw new ProcessEndedError();
    const id = this.#next++;
    const answered = Promise.withResolvers<unknown>();
    this.#calls.set(id, answered);
    // A write that fails has its reason: the process has ended.
    this.#child.send(JSON.stringify({ id, ...call })).catch(() => {});
    return await answered.promise as T;
  }

  async #read(): Promise<void> {
    for (;;) {
      const line = await this.#child.nextLine();
      if (line === undefined) break;
      const { id, result, error, ready, refused } = JSON.parse(line);
      if (ready !== undefined) this.#started.resolve(ready);
      else if (refused !== undefined) {
        this.#started.reject(new RemoteCallError(refused));
      } else if (id === undefined) this.#onReport?.(JSON.parse(line));
      else {
        const call = this.#calls.get(id)!;
        this.#calls.delete(id);
        if (error === undefined) call.resolve(result);
        else call.reject(new RemoteCallError(error));
      }
    }
    this.#ended = true;
    this.#started.reject(new ProcessEndedError(await this.stderr));
    for (const call of this.#calls.values()) {
      call.reject(new ProcessEndedError());
    }
    this.#calls.clear();
  }
}
