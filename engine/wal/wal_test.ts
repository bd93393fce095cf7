import { assert, assertEquals } from "@std/assert";
import { MemoryFiles } from "../../runtime/memory_files.ts";
import { FrameKind, type LogIdentity } from "../log/frame.ts";
import { createWal, followsOn, identityOf, type WalPlace } from "./wal.ts";

/** Makes a log that follows `previous`, with a frame for each payload. */
function made(
  place: WalPlace,
  previous: LogIdentity,
  payloads: readonly number[],
): LogIdentity {
  const log = createWal(place, previous);
  for (const payload of payloads) {
    log.append(FrameKind.noop, Uint8Array.of(payload));
  }
  log.close();
  return identityOf(place, previous.id + 1);
}

Deno.test("a log that no MANIFEST names follows only on what its header says, to the byte", () => {
  const files = new MemoryFiles();
  files.makeDirectory("store");
  const place = { files, dir: "store", storeId: new Uint8Array(16) };
  const first = { id: 0, length: 0, chain: 0 };
  const whole = made(place, first, [1, 2]);
  made(place, whole, []);
  assert(followsOn(place, 2, whole));
  // The one before is in tables, and gone.
  assert(followsOn(place, 2, undefined));
  assertEquals(followsOn(place, 3, whole), false);
  files.remove("store/000001.wal");
  // A loss of power took the last frame, or there was another one.
  const cut = made(place, first, [1]);
  assertEquals(followsOn(place, 2, cut), false);
  files.remove("store/000001.wal");
  const other = made(place, first, [1, 3]);
  assertEquals(other.length, whole.length);
  assertEquals(followsOn(place, 2, other), false);
});
