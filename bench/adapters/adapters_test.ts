import { assertEquals } from "@std/assert";
import { kvConformance } from "../../engine/conformance.ts";
import { boundsOf } from "./kv.ts";
import { runCase } from "./child.ts";
import { openNodeSqliteKv } from "./node_sqlite.ts";
import { hasPeer } from "../peers/settings.ts";

type Results = Readonly<Record<string, string | null>>;

/** What the suite said of a native store, which has a process of its own. */
async function suiteOn(store: string): Promise<Results> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      new URL("child.ts", import.meta.url).href,
      store,
    ],
    stdout: "piped",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`Cannot test ${store}: its process failed`);
  return JSON.parse(
    new TextDecoder().decode(stdout).trim().split("\n").at(-1)!,
  );
}

for (const store of ["classic-level", "lmdb"]) {
  let results: Promise<Results> | undefined;
  for (const { name } of kvConformance) {
    Deno.test({
      name: `${store} as an engine: ${name}`,
      // `deno task bench:peers` installs it.
      ignore: !hasPeer(store),
      async fn(): Promise<void> {
        const result = (await (results ??= suiteOn(store)))[name];
        if (result !== null) throw new Error(result ?? "the case did not run");
      },
    });
  }
}

for (const { name, run } of kvConformance) {
  Deno.test(
    `node:sqlite as an engine: ${name}`,
    () => runCase(run, openNodeSqliteKv),
  );
}

Deno.test("the bounds of a prefix lie within those of the caller", () => {
  const bytes = (...all: number[]) => new Uint8Array(all);
  assertEquals(boundsOf({ prefix: bytes(1, 255) }), {
    start: bytes(1, 255),
    end: bytes(2),
    empty: false,
  });
  assertEquals(boundsOf({ prefix: bytes(1), start: bytes(2) }).empty, true);
  assertEquals(boundsOf({ end: bytes() }).empty, true);
});
