/** Has a guard write to a file at the end, which does not come by itself. */

import { Guard } from "../chaos/guard.ts";

const guard = new Guard();
const append = ["sh", "-c", 'echo "$1" >> "$0"', Deno.args[0]!];
await guard.atEnd(...append, "1");
await guard.atEnd(...append, "it's 2");
// A pipe: what was written is with the shell, whether it has read it or not.
Deno.stdout.writeSync(new TextEncoder().encode("ready\n"));
await new Promise((resolve) => setTimeout(resolve, 1e9));
