/**
 * What a thread of `workers.ts` runs: loads the module that its name says and
 * answers calls with it.
 *
 * @module
 */

import { setPriority } from "node:os";
import { setImmediate } from "node:timers";
import type { WorkerModule } from "../runtime.ts";
import { DenoFiles } from "./files.ts";
import type { WorkerCall, WorkerMessage } from "./workers.ts";

/** What is used of a thread's global scope; the types here are a window's. */
interface ThreadScope {
  readonly name: string;
  postMessage(message: WorkerMessage): void;
  onmessage: (event: { data: WorkerCall }) => void;
}

const scope = self as unknown as ThreadScope;

/** A tenth of the share of a thread of the usual priority. */
const PRIORITY = 10;

/**
 * Lets the program's own thread go first where there are too few processors for
 * both. Only Linux gives each thread a priority of its own; elsewhere it would be
 * that of the program.
 */
function goSecond(): void {
  if (Deno.build.os !== "linux") return;
  const { state } = Deno.permissions.querySync({
    name: "sys",
    kind: "setPriority",
  });
  if (state !== "granted") return;
  try {
    setPriority(PRIORITY);
  } catch {
    // It goes with any priority.
  }
}

goSecond();

// The one computed import: runtime knows no room above it, so the room that
// starts the thread names its own module.
// deno-lint-ignore aspen/layers
const module: WorkerModule = await import(scope.name);
const serve = module.serve({
  files: new DenoFiles(),
  yieldNow: () => new Promise((resolve) => void setImmediate(resolve)),
});

scope.onmessage = async ({ data: { call, request } }) => {
  try {
    const value = await serve(
      request,
      () => scope.postMessage({ type: "note", call }),
    );
    scope.postMessage({ type: "answer", call, value });
  } catch (error) {
    // Errors of our own classes arrive as plain ones; all are told in full.
    scope.postMessage({
      type: "error",
      call,
      error: error instanceof Error
        ? new Error(`${error.name}: ${error.message}`)
        : new Error(String(error)),
    });
  }
};
// A call that came before there was a listener would be lost.
scope.postMessage({ type: "ready" });
