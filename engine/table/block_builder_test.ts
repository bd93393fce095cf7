import { assert, assertEquals } from "@std/assert";
import { withAllocationsUpTo } from "../testing/allocations.ts";
import { BLOCK_DATA, BlockBuilder } from "./block_builder.ts";

const MiB = 1024 * 1024;

/** A block of one value. */
function blockOf(builder: BlockBuilder, valueBytes: number): Uint8Array {
  const value = new Uint8Array(valueBytes).fill(7);
  builder.add(new Uint8Array([1]), 0, 1, 1, value, 0, value.length);
  return builder.finish(0);
}

Deno.test("a block of up to 4 MiB is made in the memory of the one before, a larger one in its own", async () => {
  const builder = new BlockBuilder(BLOCK_DATA);
  blockOf(builder, 3 * MiB);
  const value = new Uint8Array(3 * MiB);
  await withAllocationsUpTo(MiB, () => {
    builder.add(new Uint8Array([1]), 0, 1, 1, value, 0, value.length);
    assert(builder.finish(0).length > 3 * MiB);
  });
  assert(builder.memoryBytes < 5 * MiB);
  const other = new BlockBuilder(BLOCK_DATA);
  const large = blockOf(other, 5 * MiB);
  assertEquals(large.at(-1), 7);
  // It is not kept.
  assert(other.memoryBytes < MiB);
});
