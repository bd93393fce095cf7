/**
 * A module for a thread that takes a while to load, and answers with what it was
 * asked.
 *
 * @module
 */

import type { WorkerModule } from "../../runtime.ts";

await new Promise((resolve) => setTimeout(resolve, 50));

/** Serves. */
export const serve: WorkerModule["serve"] = () => (request) =>
  Promise.resolve(request);
