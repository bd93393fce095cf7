/**
 * Networks between real processes, which can be broken on purpose.
 *
 * @module
 */

/** How a node's outgoing bytes are slowed down. */
export type Slowness = "delay" | "throttle";

/** What is added to the way of every packet or chunk, in milliseconds. */
export const DELAY_MS = 100;
/** What a throttled node sends, in bytes a second. */
export const THROTTLED_BYTES = 50_000;

/** What is put into the start of a node. */
export interface Place {
  /** Where it is to listen. */
  readonly address: string;
  /** What stands before its command line. */
  readonly prefix: readonly string[];
  /** The proxy that it dials through, if any. */
  readonly via: string | undefined;
}

/** A network that can be broken on purpose. */
export interface ChaosNetwork extends AsyncDisposable {
  readonly kind: "proxy" | "namespaces";
  /** What it can do beside cutting and healing. */
  readonly can: ReadonlySet<Slowness | "reset">;
  /** A place for the next start of a node, at another address if it has moved. */
  place(node: number, moved: boolean): Promise<Place>;
  /** Says where a node listens now. */
  located(node: number, address: string): void;
  /** Whether what one node sends to another vanishes. */
  setCut(from: number, to: number, cut: boolean): Promise<void>;
  /** Slows down all that a node sends; `undefined`: nothing. */
  setSlow(node: number, slowness: Slowness | undefined): Promise<void>;
  /** Breaks all connections between two nodes. */
  reset(a: number, b: number): Promise<void>;
}
