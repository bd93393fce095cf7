/**
 * What a thread of `workers.ts` runs: loads the module that it is told and
 * answers with it, one call after the other.
 *
 * @module
 */

import { parentPort, workerData } from "node:worker_threads";
import type { WorkerModule } from "../runtime.ts";
import { DenoFiles } from "./files.ts";
import type { WorkerMessage } from "./workers.ts";

function send(message: WorkerMessage): void {
  parentPort!.postMessage(message);
}

// The one computed import: runtime knows no room above it, so the room that
// starts the thread names its own module.
// deno-lint-ignore aspen/layers
const module: WorkerModule = await import(workerData.module);
const serve = module.serve({ files: new DenoFiles() });

parentPort!.on("message", async (request: unknown) => {
  try {
    send({
      type: "answer",
      value: await serve(request, () => send({ type: "note" })),
    });
  } catch (error) {
    // Errors of our own classes arrive as plain ones; all are told in full.
    send({
      type: "error",
      error: error instanceof Error
        ? new Error(`${error.name}: ${error.message}`)
        : new Error(String(error)),
    });
  }
});
// A request that came before there was a listener would be lost.
send({ type: "ready" });
