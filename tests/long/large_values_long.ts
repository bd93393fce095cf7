// deno-lint-ignore-file no-console -- a campaign says what it has seen
/** Values of 64 MiB in a process of their own, whose memory is looked at. */

import { assert, assertEquals } from "@std/assert";
import { Child } from "../real/child.ts";
import { TempDir } from "../real/paths.ts";

/** The most that a process may take, in MiB: seventeen values were seen. */
const PEAK_MIB_MAX = 1536;

async function peakOf(count: number): Promise<number> {
  await using temp = new TempDir();
  const dir = temp.at("store");
  await using child = new Child("large_values", {
    args: [dir, `${count}`],
    permissions: ["--allow-read", `--allow-write=${dir}`],
  });
  const line = await child.nextLine();
  if (line === undefined) throw new Error(await child.stderr);
  console.log(`${count} values of 64 MiB: ${line}`);
  const { right, peakMiB } = JSON.parse(line);
  assertEquals(right, 6);
  return peakMiB;
}

Deno.test("values of 64 MiB are written, compacted and read in bounded memory, however many there are", async () => {
  const few = await peakOf(6);
  const many = await peakOf(30);
  assert(few < PEAK_MIB_MAX && many < PEAK_MIB_MAX, `${few}, ${many} MiB`);
  // 24 values more, which are 1,536 MiB.
  assert(many < few + 768, `${few} MiB for 6 values, ${many} for 30`);
});
