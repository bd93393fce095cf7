/**
 * A module for a thread that takes a while to load, and answers with what it was
 * asked; or with when it was loaded, with an error, or only once another call is
 * answered, and the same.
 *
 * @module
 */

import type { WorkerModule } from "../../runtime.ts";

await new Promise((resolve) => setTimeout(resolve, 50));

const born = Date.now();

/** Serves. */
export const serve: WorkerModule["serve"] = () => {
  const next = Promise.withResolvers<unknown>();
  return async (request) => {
    const asked = Object(request) as Record<string, boolean>;
    if (asked.born) return born;
    if (asked.wrong) throw new TypeError("it is wrong");
    if (asked.late) return await next.promise;
    next.resolve(request);
    return request;
  };
};
