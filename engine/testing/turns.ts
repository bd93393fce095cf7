/**
 * Lets promises get on: whatever needs no timer and no device has happened then.
 *
 * @module
 */

/** Waits for some turns of the microtask queue. */
export async function turns(count = 50): Promise<void> {
  for (let turn = 0; turn < count; turn++) await undefined;
}
