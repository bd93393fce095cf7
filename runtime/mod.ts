/**
 * What the world gives to a node, and the plain tools that every room uses:
 * typed errors, bytes, limits, waiting.
 *
 * @module
 */

export * from "./address.ts";
export * from "./awaitable.ts";
export * from "./bytes.ts";
export * from "./mac.ts";
export * from "./errors.ts";
export * from "./limits.ts";
export { MemoryFiles } from "./memory_files.ts";
export * from "./runtime.ts";
export * from "./slab.ts";
export * from "./time.ts";
export * from "./young.ts";
export * from "./zstd.ts";
