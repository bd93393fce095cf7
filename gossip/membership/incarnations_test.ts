import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DecodeError, RejectedError, toHex } from "../../runtime/mod.ts";
import { incarnationKey } from "../keyspace.ts";
import { HandKV, turns } from "../replication/world_test.ts";
import type { Incarnation } from "../replication/incarnation.ts";
import { Vector } from "../replication/vector.ts";
import { Incarnations } from "./incarnations.ts";
import { isOutdated, outdatedError, readOutdated } from "./outdated.ts";

function said(generation: number, nonce: number) {
  return { node: 2, generation, nonce: new Uint8Array(8).fill(nonce) };
}

/** Accepts an incarnation, where nobody relies on anything. */
function accept(
  incarnations: Incarnations,
  incarnation: Incarnation,
): Promise<boolean> {
  return incarnations.accept(incarnation, new Vector(), new Vector());
}

Deno.test("S3: an incarnation is old that is not above the accepted one, and is not it", () => {
  assertEquals(isOutdated(said(5, 1), said(5, 1)), false);
  assertEquals(isOutdated(said(6, 2), said(5, 1)), false);
  assertEquals(isOutdated(said(5, 2), said(5, 1)), true);
  assertEquals(isOutdated(said(4, 2), said(5, 1)), true);
});

Deno.test("the refusal of an old disk has golden bytes, and says what was judged and what to be above", () => {
  const error = outdatedError(said(4, 7), 300);
  assertEquals(toHex(error.data), "ac02" + "07".repeat(8));
  assertEquals(readOutdated(error), {
    generation: 300,
    nonce: said(4, 7).nonce,
  });
  assertEquals(readOutdated(new RejectedError("Removed", "gone")), undefined);
  assertEquals(readOutdated(new Error("other")), undefined);
  // Above that there is no room for the node itself.
  const beyond = outdatedError(said(4, 7), 2 ** 50);
  assertThrows(() => readOutdated(beyond), DecodeError, "generation");
});

Deno.test("S5: an incarnation is accepted once it is durable, by all that wait for it, and survives", async () => {
  const kv = new HandKV(false);
  const incarnations = await Incarnations.load(kv, () => {});
  const accepted: boolean[] = [];
  const lanes = [1, 2].map(async () => {
    accepted.push(await accept(incarnations, said(5, 1)));
  });
  await turns();
  // The second lane waits as well: nothing may be said on it earlier.
  assertEquals([kv.writing, accepted], [true, []]);
  kv.finish();
  await Promise.all(lanes);
  assertEquals(accepted.sort(), [false, true]);
  assert(kv.getDurable(incarnationKey(2)) !== undefined);

  const again = await Incarnations.load(kv.crash(), () => {});
  assert(again.isAccepted(said(5, 1)));
  assert(!again.isAccepted(said(5, 2)));
  assert(!again.isAccepted(said(6, 1)));
  assert(!again.isAccepted({ ...said(5, 1), node: 3 }));
});

Deno.test("S3: of two incarnations that come at once the older one is refused, and does not come back", async () => {
  const kv = new HandKV();
  const incarnations = await Incarnations.load(kv, () => {});
  const newer = accept(incarnations, said(6, 2));
  const older = assertRejects(
    () => accept(incarnations, said(5, 1)),
    RejectedError,
    "older than what the node has said",
  );
  assertEquals(await newer, true);
  assertEquals(readOutdated(await older)?.generation, 6);
  assert(incarnations.isAccepted(said(6, 2)));
  await assertRejects(() => accept(incarnations, said(6, 3)), RejectedError);
  assertEquals(await accept(incarnations, said(7, 3)), true);
  const again = await Incarnations.load(kv.crash(), () => {});
  assert(again.isAccepted(said(7, 3)));
});

Deno.test("S4: an incarnation that began below the floor is refused, one that is accepted is not judged again", async () => {
  const told: number[] = [];
  const incarnations = await Incarnations.load(
    new HandKV(),
    ({ generation }) => told.push(generation),
  );
  const floor = new Vector();
  floor.add(4, 1);
  const above = new Vector();
  above.add(4, 1);
  above.add(4, 2);
  // What it has fetched since does not undo what it wrote before.
  const below = await assertRejects(
    () => incarnations.accept(said(5, 1), new Vector(), floor),
    RejectedError,
  );
  assertEquals(readOutdated(below), { generation: 0, nonce: said(5, 1).nonce });
  assertEquals(await incarnations.accept(said(5, 1), above, floor), true);
  assertEquals(
    await incarnations.accept(said(5, 1), new Vector(), floor),
    false,
  );
  // At once, before it is durable: what the one before said counts no more.
  const next = incarnations.accept(said(6, 2), above, floor);
  assertEquals(told, [5, 6]);
  await next;
  // Those of a donor take the place of all.
  incarnations.replace([{ ...said(3, 3), node: 7 }]);
  assertEquals(incarnations.isAccepted(said(6, 2)), false);
  assertEquals(incarnations.isAccepted({ ...said(3, 3), node: 7 }), true);
});

Deno.test("[21] what was overtaken while it was made durable is not accepted, nor what all were replaced over", async () => {
  for (const overtakes of ["a newer one", "those of a donor"]) {
    const kv = new HandKV(false);
    const incarnations = await Incarnations.load(kv, () => {});
    const older = accept(incarnations, said(6, 1));
    older.catch(() => {});
    await turns();
    const newer = overtakes === "a newer one"
      ? accept(incarnations, said(7, 2))
      : incarnations.replace([]);
    while (kv.writing) {
      kv.finish();
      await turns();
    }
    await newer;
    await assertRejects(() => older, RejectedError, "older than");
    assertEquals(
      incarnations.isAccepted(said(7, 2)),
      overtakes === "a newer one",
    );
  }
});
