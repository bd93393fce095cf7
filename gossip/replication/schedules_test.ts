import { assert } from "@std/assert";
import { runSchedules } from "./simulation_test.ts";

const SCHEDULES = 3000;

Deno.test("I1 I2 I4 I5 I6 I7: whatever is lost, late, repeated, crashes or is put back, the nodes converge and no acked write is lost in silence", async () => {
  const { acked, conflicts, sessions, restored } = await runSchedules(
    SCHEDULES,
  );
  // The schedules meet what they are for.
  assert(acked > SCHEDULES, `${acked} acked`);
  assert(conflicts > SCHEDULES / 10, `${conflicts} conflicts`);
  assert(sessions > SCHEDULES / 4, `${sessions} sessions`);
  assert(restored > SCHEDULES / 10, `${restored} old images`);
});
