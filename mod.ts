/**
 * Aspen: an embedded, eventually consistent, heavily read-optimized, distributed
 * key-value store. Every node holds all data and answers every read from its own
 * disk and memory, network or no network; each key has one leaseholder, the only
 * node that orders its writes, and every node forwards to it.
 *
 * @example A store of one's own: no network, no server
 * ```ts
 * import { open } from "@aspen/core";
 *
 * await using db = await open(":memory:");
 * await db.set("greeting", "hello");
 * const value = await db.get("greeting"); // the bytes of "hello"
 * new TextDecoder().decode(value);
 * ```
 *
 * @example The first node of a cluster, and one that joins it
 * ```ts
 * import { open } from "@aspen/core";
 *
 * await using one = await open(":memory:", {
 *   address: "localhost:0",
 *   bootstrap: true,
 * });
 * await using two = await open(":memory:", {
 *   address: "localhost:0",
 *   peers: [one.cluster.host.address],
 * });
 * await one.set("key", "value");
 * await two.caughtUp();
 * await two.get("key");
 * ```
 *
 * @module
 */

import { openLsm } from "./engine/mod.ts";
import type { KV } from "./engine/mod.ts";
import { optionsIn } from "./engine/options.ts";
import type { DB } from "./gossip/db.ts";
import { Events } from "./gossip/events.ts";
import { openNode } from "./gossip/open.ts";
import { type Propagation, propagationOf } from "./gossip/propagation.ts";
import {
  DenoNetwork,
  denoRuntime,
  type TlsOptions,
} from "./runtime/deno/mod.ts";
import {
  MemoryFiles,
  type Runtime,
  toBytes,
  type Transport,
} from "./runtime/mod.ts";

export * from "./runtime/errors.ts";
export type {
  Awaitable,
  Bytes,
  ByteStream,
  Clock,
  DialOptions,
  FileOptions,
  FileSystem,
  Listener,
  Random,
  Runtime,
  RuntimeFile,
  Timer,
  TimerOptions,
  Timers,
  Transport,
  Workers,
  WorkerThread,
} from "./runtime/mod.ts";
export type {
  BatchOp,
  EngineMetrics,
  IterateOptions,
  KV,
  KVIterator,
  KVReader,
  KVSnapshot,
  LevelMetrics,
  LsmEvent,
  LsmMetrics,
  StallReason,
  SyncBucket,
  WriteOptions,
} from "./engine/mod.ts";
export * from "./gossip/mod.ts";
export type { TlsOptions } from "./runtime/deno/mod.ts";

/** This release, as nodes tell each other. */
const RELEASE = "@aspen/core 0.1.0";

/** When a write is acked, and so after which kind of failure it is still there. */
export type Durability =
  /** Once it is on the device: it survives a power failure. */
  | "synced"
  /** Once the system has it: it survives the end of the process. */
  | "written";

/** Options for {@linkcode open}. All have defaults. */
export interface OpenOptions {
  /**
   * Where this node listens, `host:port`; port 0 takes a free one. Without it
   * the store is local: it uses no network.
   */
  address?: string;
  /** Where peers reach it, if elsewhere. Needed with 0.0.0.0 and [::]. */
  advertise?: string;
  /**
   * Addresses of nodes of the cluster to join: needed until this node has joined.
   * Later they are asked, now and then, who the members are and where, unless a
   * member is connected there: so nodes that have all moved find each other, if one
   * of these addresses is somebody's. Needs an `address`.
   */
  peers?: readonly string[];
  /**
   * Founds a new cluster, unless the directory holds one already.
   *
   * @default {false}
   */
  bootstrap?: boolean;
  /**
   * An engine to keep the data in, instead of one in the directory. It serves
   * this database only, and is not closed with it.
   */
  engine?: KV;
  /** Byte streams to reach peers by, instead of TCP. */
  transport?: Transport;
  /**
   * What an acked write survives; see {@linkcode Durability}.
   *
   * @default {"synced"}
   */
  durability?: Durability;
  /**
   * `"fast"` ({@linkcode PROPAGATION_FAST}), or intervals that differ from
   * {@linkcode PROPAGATION_DEFAULT}.
   */
  propagation?: "fast" | Partial<Propagation>;
  /**
   * What all nodes of the cluster have and nobody else: each proves it to the
   * other before either says who it is, and every frame between them is sealed
   * with it. At least 16 bytes that cannot be guessed; of a string, its UTF-8.
   * While it changes, an array of the new one and the old one, which counts too:
   * first start every node with `[new, old]`, one after the other, then with
   * `new`. Frames are not encrypted.
   */
  secret?: string | Uint8Array | readonly (string | Uint8Array)[];
  /**
   * Encrypts connections by TLS 1.3, and with `clientCerts` has nodes prove by
   * certificates that they belong to the cluster; see {@linkcode TlsOptions}. All
   * nodes have it or none: one that has it and one that has not cannot talk, and say
   * so by a {@linkcode TlsError}. It stands on TCP, so not with a `transport`, nor
   * a `runtime` with a network, of one's own. A `secret` goes with it or without.
   */
  tls?: TlsOptions;
  /**
   * Gives up opening when aborted: with its reason, or, once a peer was asked,
   * with a {@linkcode JoinAbortedError} that says why nobody let this node in.
   * Without it a node that joins asks its peers for ever.
   */
  signal?: AbortSignal;
  /** The world: clock, timers, randomness, files, network. Deno's by default. */
  runtime?: Runtime;
}

/**
 * Opens a database.
 *
 * A directory that holds a node is opened as that node, and serves at once,
 * whatever peers are down. An empty one founds a cluster (with `bootstrap`, or
 * without `address`), or joins that of the `peers`: then `open` asks them in turn
 * until one lets it in, and waits until it has its first copy of the data. Pass a
 * `signal` to bound that.
 *
 * @example On disk
 * ```ts
 * import { open } from "@aspen/core";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * {
 *   await using db = await open(dir);
 *   await db.set("planet", "Earth");
 * }
 * {
 *   await using db = await open(dir);
 *   assertEquals(await db.has("planet"), true);
 * }
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @param dir A directory, or `":memory:"` to keep everything in memory.
 * @throws {ClusterRequiredError} If there is an `address`, and the directory
 * holds no cluster, and neither `peers` nor `bootstrap` are given.
 * @throws {JoinAbortedError} If the `signal` aborts while it joins.
 * @throws {LockedError} If another process or handle has the directory open.
 * @throws {StorageError} If the directory cannot be read or written.
 * @throws {CorruptionError} If stored bytes are damaged.
 * @throws {FormatVersionError} If a newer release wrote the directory.
 * @throws {AddressInUseError} If the address, or what it advertises, is taken.
 * @throws {TlsError} If the certificate is not for the address that is advertised.
 * @throws {TypeError} If an option has the wrong type or form.
 * @throws {RangeError} If an interval of `propagation` is not positive, or
 * `probeTimeoutMs` more than half of `probeIntervalMs`, or `secret` is too short or
 * more than two.
 */
export async function open(
  dir: string | URL,
  options: OpenOptions = {},
): Promise<DB> {
  const { secret, tls, signal, address, advertise } = options;
  const secrets = secretsOf(secret);
  const path = pathOf(dir);
  checkAddresses(options);
  const propagation = propagationOf(options.propagation);
  const sync = checkDurability(options.durability ?? "synced") === "synced";
  signal?.throwIfAborted();
  const base = options.runtime ?? denoRuntime();
  const network = tls === undefined
    ? options.transport ?? base.network
    : await tlsOver(tls, options, base.network);
  const runtime = { ...base, network };
  const events = new Events();
  const engine = options.engine ?? await openEngine(path, runtime, events);
  return await openNode({
    runtime,
    path,
    kv: engine,
    ownsEngine: options.engine === undefined,
    isVolatile: options.engine === undefined && path === ":memory:",
    address,
    advertise,
    peers: options.peers ?? [],
    bootstrap: options.bootstrap ?? false,
    sync,
    propagation,
    secrets,
    signal,
    events,
    software: RELEASE,
  });
}

/** The default engine, in the directory or in memory. */
async function openEngine(
  path: string,
  runtime: Runtime,
  events: Events,
): Promise<KV> {
  const inMemory = path === ":memory:";
  return await openLsm(inMemory ? "memory" : path, {
    ...optionsIn(runtime),
    ...inMemory && { files: new MemoryFiles(), workers: undefined },
    onEvent: (event) => events.emit({ type: "engine", event }),
  });
}

/** Secrets at once: the new one and, while it changes, the old. */
const SECRETS_MAX = 2;

/** The shortest secret, in bytes. */
const SECRET_BYTES_MIN = 16;

/** The secrets of a node, in bytes of their own. */
function secretsOf(secret: OpenOptions["secret"]): Uint8Array[] {
  if (secret === undefined) return [];
  const given: readonly unknown[] = Array.isArray(secret) ? secret : [secret];
  if (given.length === 0 || given.length > SECRETS_MAX) {
    throw new RangeError(
      `Cannot open: there must be 1 to ${SECRETS_MAX} secrets, received ${given.length}`,
    );
  }
  return given.map((each) => {
    if (typeof each !== "string" && !(each instanceof Uint8Array)) {
      throw new TypeError("Cannot open: a secret must be a string or bytes");
    }
    // No `slice`: of a Buffer of Node, that is a view.
    const bytes = typeof each === "string"
      ? toBytes(each)
      : new Uint8Array(each);
    if (bytes.length < SECRET_BYTES_MIN) {
      throw new RangeError(
        `Cannot open: a secret must have at least ${SECRET_BYTES_MIN} bytes, received ${bytes.length}`,
      );
    }
    return bytes;
  });
}

/** TLS on TCP; on what else would not be for us to say. */
async function tlsOver(
  tls: TlsOptions,
  { transport }: OpenOptions,
  network: Transport,
): Promise<Transport> {
  if (transport !== undefined || !(network instanceof DenoNetwork)) {
    throw new TypeError(
      'Cannot open: "tls" stands on TCP, and not on a transport of one\'s own',
    );
  }
  if (typeof tls !== "object" || tls === null) {
    throw new TypeError(
      `Cannot open: "tls" must be an object of certificates, received ${typeof tls}`,
    );
  }
  const { TlsNetwork } = await import("./runtime/deno/tls.ts");
  return new TlsNetwork(tls, network);
}

function checkDurability(durability: Durability): Durability {
  if (durability === "synced" || durability === "written") return durability;
  throw new TypeError(
    `Cannot open: durability must be "synced" or "written", received "${durability}"`,
  );
}

/** An address, as far as its form goes. */
const ADDRESS = /^.+:\d{1,5}$/;

/** Addresses that nobody can dial must not be told to peers. */
function checkAddresses({ address, advertise, peers }: OpenOptions): void {
  for (const [name, value] of Object.entries({ address, advertise })) {
    if (value !== undefined && !ADDRESS.test(value)) {
      throw new TypeError(
        `Cannot open: ${name} must be "host:port", received "${value}"`,
      );
    }
  }
  if (peers !== undefined && !Array.isArray(peers)) {
    throw new TypeError("Cannot open: peers must be an array of addresses");
  }
  for (const peer of peers ?? []) {
    if (typeof peer !== "string" || !ADDRESS.test(peer)) {
      throw new TypeError(
        `Cannot open: peers must be "host:port" each, received "${peer}"`,
      );
    }
  }
  // It would found a cluster of its own in silence.
  if (address === undefined && (peers?.length || advertise !== undefined)) {
    throw new TypeError(
      'Cannot open: "peers" and "advertise" need an "address", without which no network is used',
    );
  }
  if (advertise === undefined && /^(0\.0\.0\.0|\[::\]):/.test(address ?? "")) {
    throw new TypeError(
      `Cannot open: "${address}" is no address that peers can dial, pass "advertise"`,
    );
  }
}

function pathOf(dir: string | URL): string {
  if (dir instanceof URL) {
    if (dir.protocol === "file:") return decodeURIComponent(dir.pathname);
    throw new TypeError(`Cannot open "${dir.href}": it is no file: URL`);
  }
  if (typeof dir === "string" && dir !== "") return dir;
  throw new TypeError(
    `Cannot open: the directory must be a path or a file: URL, received ${
      typeof dir === "string" ? `""` : typeof dir
    }`,
  );
}
