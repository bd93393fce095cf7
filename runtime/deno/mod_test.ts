import { assert, assertEquals } from "@std/assert";
import { denoRuntime } from "./mod.ts";

Deno.test("Deno's clocks go on, the monotonic one never back", () => {
  const { clock } = denoRuntime();
  assert(Math.abs(clock.now() - Date.now()) < 1000);
  const before = clock.monotonic();
  assert(clock.monotonic() >= before);
});

Deno.test("Deno's timers fire once, in time, unless cancelled", async () => {
  const { clock, timers } = denoRuntime();
  const started = clock.monotonic();
  const cancelled = timers.set(
    () => {
      throw new Error("it was cancelled");
    },
    1,
    { persistent: true },
  );
  cancelled.cancel();
  await new Promise<void>((resolve) => {
    timers.set(resolve, 10, { persistent: true });
  });
  assert(clock.monotonic() - started >= 9);
  cancelled.cancel();
});

Deno.test("Deno's timers wait longer than the platform's can", async () => {
  const { timers } = denoRuntime();
  let fired = false;
  const timer = timers.set(
    () => {
      fired = true;
    },
    2 ** 40,
    { persistent: true },
  );
  await new Promise<void>((resolve) => {
    timers.set(resolve, 5, { persistent: true });
  });
  timer.cancel();
  assert(!fired);
});

Deno.test("Deno's background timers let the process end", async () => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `import { denoRuntime } from ${
        JSON.stringify(new URL("./mod.ts", import.meta.url).href)
      };
      const { timers } = denoRuntime();
      timers.set(() => console.log("background"), 600_000);
      timers.set(() => console.log("persistent"), 10, { persistent: true });`,
    ],
  }).output();
  assertEquals(code, 0);
  assertEquals(new TextDecoder().decode(stdout), "persistent\n");
});

Deno.test("Deno's randomness fills any length and repeats nothing", () => {
  const { random } = denoRuntime();
  for (const length of [0, 1, 63, 64, 65, 4096, 200_000]) {
    const bytes = random.fill(new Uint8Array(length));
    assertEquals(bytes.length, length);
    if (length > 60) assert(new Set(bytes).size > 20);
    // The last bytes are filled too.
    if (length > 60) assert(bytes.subarray(-16).some((byte) => byte !== 0));
  }
  const seen = new Set<number>();
  for (let i = 0; i < 5000; i++) {
    const number = random.float();
    assert(number >= 0 && number < 1);
    seen.add(number);
    const integer = random.u32();
    assert(Number.isInteger(integer) && integer >= 0 && integer < 2 ** 32);
  }
  assertEquals(seen.size, 5000);
});
