/**
 * Lets others get on, so that a test sees what they do.
 *
 * @module
 */

/** Lets promises get on: whatever needs no timer and no device has happened then. */
export async function turns(count = 50): Promise<void> {
  for (let turn = 0; turn < count; turn++) await undefined;
}

/** Lets timers and sockets have a turn, as a program would. */
export function yieldToTimers(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
