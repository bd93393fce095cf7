// deno-lint-ignore-file no-console -- it prints that it got so far
/** Imports the module, and nothing else. */

import { open } from "../../../mod.ts";

console.log(typeof open);
