/**
 * The world as Deno gives it: the clock, timers, randomness, files and TCP of
 * the machine.
 *
 * Guarantees: nothing is asked of the system, and no permission is needed,
 * before a method is called.
 *
 * @module
 */

import type { Runtime } from "../runtime.ts";
import { DenoClock } from "./clock.ts";
import { DenoFiles } from "./files.ts";
import { DenoNetwork } from "./network.ts";
import { DenoRandom } from "./random.ts";
import { DenoTimers } from "./timers.ts";
import { DenoWorkers } from "./workers.ts";

export {
  DenoClock,
  DenoFiles,
  DenoNetwork,
  DenoRandom,
  DenoTimers,
  DenoWorkers,
};
// Not the network itself: `node:tls` is loaded by whoever asks for it only.
export type { TlsOptions } from "./tls.ts";

/** The runtime of this process. */
export function denoRuntime(): Runtime {
  return {
    clock: new DenoClock(),
    timers: new DenoTimers(),
    random: new DenoRandom(),
    files: new DenoFiles(),
    network: new DenoNetwork(),
    processId: Deno.pid,
    workers: new DenoWorkers(),
  };
}
