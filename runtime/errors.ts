/**
 * Every error that a user of the module can meet, as a class with the facts in
 * fields. Messages read `Cannot <action>: <state>`.
 *
 * @module
 */

/** The base of all errors that this module throws on its own account. */
export class AspenError extends Error {
  /** Takes the whole message. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The store, stream or connection was used after it was closed. */
export class ClosedError extends AspenError {
  /** `action` is what was asked for, `what` the thing that is closed. */
  constructor(action: string, what = "the database", options?: ErrorOptions) {
    super(`Cannot ${action}: ${what} is closed`, options);
  }
}

/** Options for {@linkcode LockedError}. */
export interface LockedErrorOptions extends ErrorOptions {
  /** Who has the directory open. */
  owner?: string | undefined;
}

/** Another handle, in this process or another, has the directory open. */
export class LockedError extends AspenError {
  /** The locked directory. */
  readonly path: string;
  /** Who has it open, as they call themselves, such as "process 4711". */
  readonly owner: string | undefined;

  /** Names the locked directory and, where known, who has it open. */
  constructor(path: string, options?: LockedErrorOptions) {
    const owner = options?.owner;
    super(
      `Cannot open "${path}": ${
        owner ?? "another process or handle"
      } has it open`,
      options,
    );
    this.path = path;
    this.owner = owner;
  }
}

/** Stored bytes are not what was written. Never answered with wrong data. */
export class CorruptionError extends AspenError {
  /** The damaged file. */
  readonly path: string;
  /** Where in the file, in bytes. */
  readonly offset: number;

  /** Says where the damage is, and in `detail` what it is. */
  constructor(
    path: string,
    offset: number,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(`Cannot read "${path}" at byte ${offset}: ${detail}`, options);
    this.path = path;
    this.offset = offset;
  }
}

/** The files were written by a newer version than this one can read. */
export class FormatVersionError extends AspenError {
  /** What carries the version. */
  readonly path: string;
  /** The version found. */
  readonly found: number;
  /** The newest version that is understood here. */
  readonly supported: number;

  /** Says what was found, and what is understood. */
  constructor(path: string, found: number, supported: number) {
    super(
      `Cannot open "${path}": its format version is ${found}, this release reads up to ${supported}`,
    );
    this.path = path;
    this.found = found;
    this.supported = supported;
  }
}

/** The operating system refused a file operation. */
export class StorageError extends AspenError {
  /** The file or directory. */
  readonly path: string;

  /** `action` is what was asked for, `detail` why it was refused. */
  constructor(
    action: string,
    path: string,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(`Cannot ${action} "${path}": ${detail}`, options);
    this.path = path;
  }
}

/** A file that had to be there is not. */
export class FileNotFoundError extends StorageError {
  /** `action` is what was asked for. */
  constructor(action: string, path: string, options?: ErrorOptions) {
    super(action, path, "it does not exist", options);
  }
}

/**
 * A write or sync failed earlier, so the store takes no more writes until it is
 * opened anew: after a failed sync nobody knows what reached the device.
 */
export class PoisonedError extends AspenError {
  /** `options.cause` is the earlier failure. */
  constructor(options: ErrorOptions) {
    super(
      "Cannot write: an earlier write failed, reopen the store",
      options,
    );
  }
}

/** The feature is not part of this version, or not possible on this engine. */
export class NotSupportedError extends AspenError {
  /** What was asked for. */
  readonly feature: string;

  /** `detail` says why, or when it comes. */
  constructor(feature: string, detail: string) {
    super(`Cannot use ${feature}: ${detail}`);
    this.feature = feature;
  }
}

/** Bytes that do not follow their format. */
export class DecodeError extends AspenError {
  /** `what` is the format, `detail` what is wrong. */
  constructor(what: string, detail: string, options?: ErrorOptions) {
    super(`Cannot decode ${what}: ${detail}`, options);
  }
}

/** A key, value, batch or argument beyond its limit. */
export class LimitError extends RangeError {
  /** What is limited. */
  readonly what: string;
  /** The size given. */
  readonly actual: number;
  /** The smallest size allowed. */
  readonly min: number;
  /** The largest size allowed. */
  readonly max: number;

  /** `action` is what was asked for; all sizes are in bytes. */
  constructor(
    action: string,
    what: string,
    actual: number,
    min: number,
    max: number,
  ) {
    super(
      `Cannot ${action}: ${what} must be ${min} to ${max} bytes, received ${actual}`,
    );
    this.name = "LimitError";
    this.what = what;
    this.actual = actual;
    this.min = min;
    this.max = max;
  }
}

/** The deadline of a call passed before anything was decided. */
export class DeadlineExceededError extends AspenError {
  /** The deadline, in milliseconds. */
  readonly timeoutMs: number;

  /** `action` is what was asked for. */
  constructor(action: string, timeoutMs: number, options?: ErrorOptions) {
    super(`Cannot ${action}: no answer within ${timeoutMs} ms`, options);
    this.timeoutMs = timeoutMs;
  }
}

/** Options for {@linkcode UnreachableError}. */
export interface UnreachableErrorOptions extends ErrorOptions {
  /** Whether the address said that nobody listens there. */
  refused?: boolean | undefined;
}

/** Nobody could be reached at the addresses tried; nothing was sent. */
export class UnreachableError extends AspenError {
  /** The addresses tried. */
  readonly addresses: readonly string[];
  /**
   * Whether the address said that nobody listens there: its program is gone. If
   * not, it was silent, or a connection broke.
   */
  readonly refused: boolean;

  /** `action` is what was asked for. */
  constructor(
    action: string,
    addresses: readonly string[],
    options?: UnreachableErrorOptions,
  ) {
    super(
      `Cannot ${action}: nobody answers at ${
        addresses.map((a) => `"${a}"`).join(", ")
      }`,
      options,
    );
    this.addresses = addresses;
    this.refused = options?.refused ?? false;
  }
}

/** Something else listens on the address already. */
export class AddressInUseError extends AspenError {
  /** The address. */
  readonly address: string;

  /** `detail` says who has it, where that is known. */
  constructor(
    address: string,
    detail = "it is in use",
    options?: ErrorOptions,
  ) {
    super(`Cannot listen on "${address}": ${detail}`, options);
    this.address = address;
  }
}

/** The peer belongs to another cluster. */
export class ClusterMismatchError extends AspenError {
  /** The cluster of this node. */
  readonly expected: string;
  /** The cluster of the peer. */
  readonly actual: string;

  /** Names the two clusters. */
  constructor(expected: string, actual: string, options?: ErrorOptions) {
    super(
      `Cannot connect: the peer belongs to cluster ${actual}, this node to ${expected}`,
      options,
    );
    this.expected = expected;
    this.actual = actual;
  }
}

/** A peer does not follow the protocol, or speaks no common version of it. */
export class ProtocolError extends AspenError {
  /** `detail` says what the peer did. */
  constructor(detail: string, options?: ErrorOptions) {
    super(`Cannot talk to the peer: ${detail}`, options);
  }
}

/** A range of versions of the protocol between nodes, both ends included. */
export interface ProtocolRange {
  /** The oldest version spoken. */
  readonly min: number;
  /** The newest version spoken. */
  readonly max: number;
}

/** This node and the peer speak no common version of the protocol. */
export class ProtocolMismatchError extends ProtocolError {
  /** The versions that this node speaks. */
  readonly ours: ProtocolRange;
  /** The versions that the peer speaks. */
  readonly theirs: ProtocolRange;

  /** Names the two ranges. */
  constructor(
    ours: ProtocolRange,
    theirs: ProtocolRange,
    options?: ErrorOptions,
  ) {
    super(
      `it speaks protocol ${rangeText(theirs)}, this node ${rangeText(ours)}`,
      options,
    );
    this.ours = ours;
    this.theirs = theirs;
  }
}

function rangeText({ min, max }: ProtocolRange): string {
  return min === max ? `${min}` : `${min} to ${max}`;
}

/** A node and who answers where it dialled have no secret in common. */
export class SecretMismatchError extends AspenError {
  /** The address. */
  readonly address: string;

  /** `detail` says which of the two has none, or that both have others. */
  constructor(address: string, detail: string, options?: ErrorOptions) {
    super(`Cannot connect to "${address}": ${detail}`, options);
    this.address = address;
  }
}

/**
 * A connection could not be made private: one of the two has no TLS, or no
 * certificate that the other one takes.
 */
export class TlsError extends AspenError {
  /** The address of the other end. */
  readonly address: string;

  /** `detail` says what is wrong. */
  constructor(address: string, detail: string, options?: ErrorOptions) {
    super(`Cannot talk to "${address}" by TLS: ${detail}`, options);
    this.address = address;
  }
}

/** Options for {@linkcode RejectedError}. */
export interface RejectedErrorOptions extends ErrorOptions {
  /** What the peer said, for programs. */
  data?: Uint8Array;
}

/** The peer refused this node's connection, or ended it with a reason. */
export class RejectedError extends AspenError {
  /** The peer's word for its reason: mostly the name of an error. */
  readonly code: string;
  /** What the peer said, for people. */
  readonly detail: string;

  /** More, in a format that the code implies; mostly nothing. */
  readonly data: Uint8Array;

  /** `code` and `detail` are as the peer gave them. */
  constructor(
    code: string,
    detail: string,
    { data = new Uint8Array(0), ...options }: RejectedErrorOptions = {},
  ) {
    super(`Cannot connect: the peer refused: ${detail}`, options);
    this.code = code;
    this.detail = detail;
    this.data = data;
  }
}

/** Options for {@linkcode RemoteError}. */
export interface RemoteErrorOptions extends ErrorOptions {
  /** Bytes that tell more, in a format that the code implies. */
  data?: Uint8Array;
}

/**
 * A peer answered a request with an error. One who answers requests throws it
 * to choose the code and the data.
 */
export class RemoteError extends AspenError {
  /** What kind of error: the name of its class, or a word agreed on. */
  readonly code: string;
  /** Bytes that tell more; empty mostly. */
  readonly data: Uint8Array;

  /** `code` and `message` are what the asker gets. */
  constructor(code: string, message: string, options?: RemoteErrorOptions) {
    super(message, options);
    this.code = code;
    this.data = options?.data ?? new Uint8Array(0);
  }
}

/** A directory without a cluster was opened with an address and no way to get one. */
export class ClusterRequiredError extends AspenError {
  /** The directory. */
  readonly path: string;

  /** Names the directory. */
  constructor(path: string) {
    super(
      `Cannot open "${path}" with an address: it holds no cluster, pass "peers" to join one or "bootstrap: true" to found one`,
    );
    this.path = path;
  }
}

/** A node gave up joining a cluster, because its signal aborted. */
export class JoinAbortedError extends AspenError {
  /** The addresses that it asked. */
  readonly peers: readonly string[];
  /** Why it gave up: the signal's reason. */
  readonly reason: unknown;
  /**
   * Says which peers were asked, and with what result.
   *
   * @param options Its `cause` is why the last attempt failed.
   */
  constructor(
    peers: readonly string[],
    reason: unknown,
    options: ErrorOptions,
  ) {
    const { cause } = options;
    const last = cause instanceof Error ? cause.message : "no answer yet";
    super(
      `Cannot join the cluster of ${
        peers.map((peer) => `"${peer}"`).join(", ")
      }: aborted, the last attempt failed so: ${last}`,
      options,
    );
    this.peers = peers;
    this.reason = reason;
  }
}

/** No node with that key is known. */
export class NodeNotFoundError extends AspenError {
  /** The node key. */
  readonly node: number;

  /** Names the node key. */
  constructor(node: number) {
    super(`Cannot find node ${node}: it is no member of the cluster`);
    this.node = node;
  }
}

/** The key is led by another node than the one asked for. */
export class LeaseNotTransferableError extends AspenError {
  /** The node that leads the key. */
  readonly leaseholder: number;
  /** The node that was asked for. */
  readonly requested: number;

  /** Names the node that leads the key, and the one asked for. */
  constructor(leaseholder: number, requested: number) {
    super(
      `Cannot lease the key to node ${requested}: node ${leaseholder} holds its lease`,
    );
    this.leaseholder = leaseholder;
    this.requested = requested;
  }
}

/** The node that leads the key cannot be reached; nothing was written. */
export class LeaseholderUnavailableError extends AspenError {
  /** The node that leads the key. */
  readonly leaseholder: number;

  /** Names the node that leads the key; `options.cause` says what was tried. */
  constructor(leaseholder: number, options?: ErrorOptions) {
    super(
      `Cannot write the key: its leaseholder, node ${leaseholder}, does not answer`,
      options,
    );
    this.leaseholder = leaseholder;
  }
}

/** A request was sent and its reply never came: it may or may not have happened. */
export class OutcomeUnknownError extends AspenError {
  /** `action` is what may have happened. */
  constructor(action: string, options?: ErrorOptions) {
    super(
      `Cannot tell whether the ${action} happened: the reply never came`,
      options,
    );
  }
}

/** A condition of a commit did not hold; nothing was written. */
export class CheckFailedError extends AspenError {
  /** The key whose version was not the expected one. */
  readonly key: Uint8Array;

  /** Names the key. */
  constructor(key: Uint8Array) {
    super("Cannot commit: a checked key has another version");
    this.key = key;
  }
}

/** What became of the part of a commit that one leaseholder decided. */
export interface CommitPart {
  /** The leaseholder. */
  leaseholder: number;
  /** The keys of the part. */
  keys: Uint8Array[];
  /** Why it failed; absent if it was committed. */
  error?: unknown;
}

/** A commit over several leaseholders succeeded on some and failed on others. */
export class PartialCommitError extends AspenError {
  /** The parts that were committed. */
  readonly committed: readonly CommitPart[];
  /** The parts that failed. */
  readonly failed: readonly CommitPart[];

  /** Says which parts were committed and which failed. */
  constructor(
    committed: readonly CommitPart[],
    failed: readonly CommitPart[],
  ) {
    super(
      `Cannot commit on all leaseholders: ${committed.length} committed, ${failed.length} failed`,
      { cause: failed[0]?.error },
    );
    this.committed = committed;
    this.failed = failed;
  }
}

/**
 * What happened after a token cannot be told any more: it is older than the recent
 * records that the node keeps, or the node has caught up with many changes at once
 * since. Read what is there, or watch with `initial`.
 */
export class TokenTooOldError extends AspenError {
  /** `action` is what was asked for. */
  constructor(action: string, options?: ErrorOptions) {
    super(
      `Cannot ${action}: the changes since the token are no longer kept`,
      options,
    );
  }
}

/** No majority of the voters answered. */
export class QuorumUnavailableError extends AspenError {
  /** The voters that did not answer. */
  readonly missing: readonly number[];

  /** `action` is what was asked for. */
  constructor(
    action: string,
    missing: readonly number[],
    options?: ErrorOptions,
  ) {
    super(
      `Cannot ${action}: no majority of the voters answers, missing ${
        missing.toSorted((a, b) => a - b).join(", ")
      }`,
      options,
    );
    this.missing = missing;
  }
}

/** The acceptor asked is no voter of the config it was asked under, so it stays silent. */
export class NotVoterError extends AspenError {
  /** The node asked. */
  readonly node: number;

  /** Names the node. */
  constructor(node: number) {
    super(`Cannot vote: node ${node} holds no seat of the config named`);
    this.node = node;
  }
}

/** Voters or members cannot change before the last change of voters is settled. */
export class ConfigUnsettledError extends AspenError {
  /** The config epoch that is not settled. */
  readonly epoch: number;

  /** `action` is what was asked for. */
  constructor(action: string, epoch: number) {
    super(`Cannot ${action}: config epoch ${epoch} is not settled yet`);
    this.epoch = epoch;
  }
}

/**
 * The node has left the cluster, or was removed from it: its key is retired for
 * ever. An empty directory may join under a new one.
 */
export class NotMemberError extends AspenError {
  /** `action` is what was asked for. */
  constructor(action: string) {
    super(
      `Cannot ${action}: this node is no member of the cluster any more; open an empty directory to join anew`,
    );
  }
}

/**
 * The node has left the cluster, and no voter has said that it knows: without this
 * node they may be unable to decide anything. Keep it, and let it run, until one has
 * heard; leaving again tells them, and resolves then.
 */
export class LeftUnheardError extends AspenError {
  /** The voters that have not said that they know. */
  readonly missing: readonly number[];

  /** Names the voters; `options.cause` is why they were not told any longer. */
  constructor(missing: readonly number[], options?: ErrorOptions) {
    super(
      `Cannot let this node go: it has left, but no voter has said that it knows, of ${
        missing.toSorted((a, b) => a - b).join(", ")
      }; keep it running or open it again, and leave again`,
      options,
    );
    this.missing = missing;
  }
}

/** Every node key was given away; keys are never given twice. */
export class NodeKeysExhaustedError extends AspenError {
  /** The message says it all. */
  constructor() {
    super("Cannot give a node key: all 65,535 were given");
  }
}

/** The node has not yet taken its first copy of the data. */
export class NotCaughtUpError extends AspenError {
  /** `action` is what was asked for. */
  constructor(action: string) {
    super(
      `Cannot ${action}: this node has not received the cluster's data yet`,
    );
  }
}

/** More is asked for than is done meanwhile: nothing was done, try again later. */
export class OverloadedError extends AspenError {
  /** `action` is what was asked for; `waitingBytes` wait to be done before it. */
  constructor(action: string, waitingBytes: number) {
    super(
      `Cannot ${action}: ${waitingBytes} bytes wait to be written already`,
    );
  }
}
