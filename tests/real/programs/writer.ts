// deno-lint-ignore-file no-console -- it prints what was acked
/** Writes to an embedded store without end, and prints each number once acked. */

import { type Durability, open } from "../../../mod.ts";

const db = await open(Deno.args[0]!, {
  durability: Deno.args[1] as Durability,
});
const flights: Promise<void>[] = [];
for (let i = 0;; i++) {
  // Several at a time, so that groups form.
  if (flights.length === 8) await flights.shift();
  flights.push(
    db.set(`key ${i}`, `value ${i}`).then(() => console.log(i)),
  );
}
