import { assertEquals } from "@std/assert";
import { PROPAGATION_DEFAULT, PROPAGATION_FAST } from "./propagation.ts";

/** A number as README writes it. */
function numberOf(cell: string): number {
  const [digits, unit] = cell.trim().split(" ");
  return Number(digits!.replaceAll(",", "")) * (unit === "Mi" ? 2 ** 20 : 1);
}

Deno.test("README lists every option of propagation with what it is by default and if fast", async () => {
  const readme = await Deno.readTextFile(
    new URL("../README.md", import.meta.url),
  );
  const [, section] = readme.split("\n## Propagation\n");
  const rows = section!.split("\n## ")[0]!.matchAll(
    /^\| `(\w+)` *\|([^|]+)\|([^|]+)\|/gm,
  );
  const listed: Record<string, [number, number]> = {};
  for (const [, name, byDefault, fast] of rows) {
    listed[name!] = [numberOf(byDefault!), numberOf(fast!)];
  }

  const expected = Object.fromEntries(
    Object.entries(PROPAGATION_DEFAULT).map(([name, value]) => [
      name,
      [value, PROPAGATION_FAST[name as keyof typeof PROPAGATION_FAST]],
    ]),
  );
  assertEquals(listed, expected);
});
