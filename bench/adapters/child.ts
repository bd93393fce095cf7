// deno-lint-ignore-file no-console -- talks to adapters_test.ts by its output
/**
 * Runs the conformance suite on one native store, in a process of its own: native
 * code needs permissions that the tests as a whole shall not have. Prints one
 * JSON object: for each case the error that it ended with, or `null`.
 */

import { kvConformance } from "../../engine/conformance.ts";
import { openClassicLevelKv } from "./classic_level.ts";
import type { OpenKv } from "./kv.ts";
import { openLmdbKv } from "./lmdb.ts";
import type { StoreSettings } from "../peers/settings.ts";

const STORES: Record<string, OpenKv> = {
  "classic-level": openClassicLevelKv,
  "lmdb": openLmdbKv,
};

/** Small sizes for little data. */
export const TEST_SETTINGS: StoreSettings = {
  cacheBytes: 1024 * 1024,
  writeBufferBytes: 1024 * 1024,
  synced: false,
  defaults: false,
};

/** Runs a case on a store in a fresh directory. */
export async function runCase(
  run: (typeof kvConformance)[number]["run"],
  open: OpenKv,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "aspen-peer-" });
  try {
    await run(() => open(dir, TEST_SETTINGS));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) {
  const open = STORES[Deno.args[0]!]!;
  const results: Record<string, string | null> = {};
  for (const { name, run } of kvConformance) {
    try {
      await runCase(run, open);
      results[name] = null;
    } catch (error) {
      results[name] = error instanceof Error ? `${error.stack}` : `${error}`;
    }
  }
  console.log(JSON.stringify(results));
  Deno.exit(0);
}
