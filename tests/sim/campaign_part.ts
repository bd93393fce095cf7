// deno-lint-ignore-file no-console -- a program whose output is a report
/**
 * Lives in a process of their own: a line of JSON each, as
 * {@linkcode LifeReport}. Arguments: first seed, seeds, nodes, steps. It ends
 * when its input does, so that it does not outlive who started it.
 *
 * @module
 */

import { runLife } from "./campaign.ts";

const [seed, seeds, nodes, steps] = Deno.args.map(Number) as [
  number,
  number,
  number,
  number,
];

async function watchInput(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.exit(1);
}

void watchInput();
for (let i = 0; i < seeds; i++) {
  console.log(JSON.stringify(await runLife(seed + i, { nodes, steps })));
}
Deno.exit(0);
