// deno-lint-ignore-file no-console -- a program whose output is a report
/**
 * Lives in a process of their own: a line of JSON each, as
 * {@linkcode LifeReport}. Its argument is {@linkcode CampaignOptions} as JSON. It
 * ends when its input does, so that it does not outlive who started it.
 *
 * @module
 */

import { type CampaignOptions, runLife } from "./campaign.ts";

const { seed, seeds, ...options } = JSON.parse(
  Deno.args[0]!,
) as CampaignOptions;

async function watchInput(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.exit(1);
}

void watchInput();
for (let i = 0; i < seeds; i++) {
  console.log(JSON.stringify(await runLife({ ...options, seed: seed + i })));
}
Deno.exit(0);
