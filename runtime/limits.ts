/**
 * The limits that users meet, in one place: they hold on every path, before
 * anything is allocated for what they bound.
 *
 * @module
 */

/** Largest key of a user, in bytes. The smallest is 1. */
export const KEY_BYTES_MAX = 4096;

/** Largest value, in bytes. */
export const VALUE_BYTES_MAX = 64 * 1024 * 1024;

/** Largest batch, in bytes of its keys and values. */
export const BATCH_BYTES_MAX = 64 * 1024 * 1024;

/** Largest frame on the wire, in bytes after the length field. */
export const FRAME_BYTES_MAX = 1024 * 1024;

/** What a large message is cut into, in bytes of payload. */
export const CHUNK_BYTES = 256 * 1024;

/** Largest message once its chunks are put together: a batch and its envelope. */
export const MESSAGE_BYTES_MAX = BATCH_BYTES_MAX + 8 * 1024 * 1024;

/** Largest node key: keys are u16, and 0 means "none yet". */
export const NODE_KEY_MAX = 65_535;

/** Default deadline of a networked call, in milliseconds. */
export const TIMEOUT_MS_DEFAULT = 10_000;
