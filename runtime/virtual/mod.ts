/**
 * A deterministic world in one process, for tests and the simulator.
 *
 * @example Two nodes, one seed
 * ```ts
 * import { World } from "./mod.ts";
 *
 * const world = new World({ seed: 1 });
 * const a = world.runtime("a");
 * const b = world.runtime("b");
 * await world.run(async () => {
 *   const listener = await a.network.listen("a:1");
 *   const stream = await b.network.dial("a:1");
 *   stream.close();
 *   listener.close();
 * });
 * ```
 *
 * @module
 */

export type { DiskFault, DiskFaults, VirtualDisk } from "./disk.ts";
export type { DiskImage, Unsynced } from "./disk_state.ts";
export { EPOCH_MS } from "./host.ts";
export { DIAL_TIMEOUT_MS, type LinkConditions } from "./network.ts";
export { Prng } from "./prng.ts";
export type { ScheduledEvent } from "./scheduler.ts";
export { WINDOW_BYTES } from "./stream.ts";
export {
  type KillOptions,
  type RunOptions,
  World,
  type WorldOptions,
} from "./world.ts";
