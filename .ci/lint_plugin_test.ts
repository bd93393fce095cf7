import { assertEquals, assertStringIncludes } from "@std/assert";
import plugin from "./lint_plugin.ts";

const ROOT = new URL("../", import.meta.url);

/** What the plugin says about a file of the house with this text. */
function lint(path: string, source: string): string[] {
  const filename = decodeURIComponent(new URL(path, ROOT).pathname);
  return Deno.lint.runPlugin(plugin, filename, source)
    .map((found) => `${found.id}: ${found.message}`);
}

function assertBad(path: string, source: string, ...expected: string[]): void {
  const found = lint(path, source);
  assertEquals(found.length, expected.length, `${source}\n${found.join("\n")}`);
  expected.forEach((part, i) => assertStringIncludes(found[i]!, part));
}

function assertGood(path: string, source: string): void {
  assertEquals(lint(path, source), [], `${path}: ${source}`);
}

Deno.test("a room imports itself and the rooms below it", () => {
  assertGood("runtime/a.ts", `import { b } from "./b.ts";`);
  assertGood("engine/lsm/a.ts", `import { b } from "../../runtime/mod.ts";`);
  assertGood("engine/lsm/a.ts", `import type { KV } from "../kv.ts";`);
  assertGood("transport/a.ts", `import { b } from "../runtime/time.ts";`);
  assertGood("gossip/db.ts", `import type { KV } from "../engine/kv.ts";`);
  assertGood("gossip/db.ts", `import { E } from "../transport/mod.ts";`);
  assertGood("gossip/lease/a.ts", `import { r } from "../register/mod.ts";`);
  assertGood("mod.ts", `export { DB } from "./gossip/mod.ts";`);
  assertGood("mod.ts", `import { d } from "./runtime/deno/mod.ts";`);
  assertGood("runtime/deno/mod.ts", `import { f } from "./files.ts";`);
  assertGood("runtime/virtual/mod.ts", `import { f } from "./disk.ts";`);
});

Deno.test("a room does not import what stands beside or above it", () => {
  const says = "aspen/layers: Cannot import";
  assertBad("runtime/a.ts", `import "../engine/kv.ts";`, says);
  assertBad("engine/a.ts", `import { p } from "../transport/mod.ts";`, says);
  assertBad("engine/a.ts", `import type { D } from "../gossip/db.ts";`, says);
  assertBad("transport/a.ts", `export * from "../engine/kv.ts";`, says);
  assertBad("transport/a.ts", `export { K } from "../engine/kv.ts";`, says);
  assertBad("gossip/a.ts", `import { t } from "../engine/table.ts";`, says);
  assertBad("gossip/a.ts", `import { f } from "../transport/frame.ts";`, says);
  assertBad("gossip/a.ts", `import { b } from "../runtime/bytes.ts";`, says);
  assertBad("gossip/a.ts", `await import("../engine/table.ts");`, says);
  assertBad("gossip/a.ts", `let t: import("../engine/table.ts").T;`, says);
  assertBad("engine/a.ts", `import { open } from "../mod.ts";`, says);
  assertBad("engine/a.ts", `import { x } from "../../elsewhere.ts";`, says);
  assertBad("engine/a.ts", `await import(path);`, "computed path");
});

Deno.test("product code never imports tests, benchmarks or examples", () => {
  assertBad("mod.ts", `import "./tests/a.ts";`, "aspen/layers");
  assertBad("mod.ts", `import "./bench/a.ts";`, "aspen/layers");
  assertBad("mod.ts", `import "./examples/a.ts";`, "aspen/layers");
  assertBad("engine/a.ts", `import "./a_test.ts";`, "never imports tests");
  assertBad("engine/a.ts", `import "./testing/b.ts";`, "never imports tests");
});

Deno.test("only tests import the virtual world, only mod.ts Deno's", () => {
  const virtual = "runtime/virtual; take a Runtime";
  assertBad("mod.ts", `import "./runtime/virtual/mod.ts";`, virtual);
  assertBad("engine/a.ts", `import "../runtime/virtual/disk.ts";`, virtual);
  assertBad("runtime/mod.ts", `export * from "./virtual/mod.ts";`, virtual);
  const deno = "only mod.ts imports runtime/deno";
  assertBad("engine/a.ts", `import "../runtime/deno/files.ts";`, deno);
  assertBad("runtime/mod.ts", `export * from "./deno/mod.ts";`, deno);
  assertGood("engine/a_test.ts", `import "../runtime/virtual/mod.ts";`);
  assertGood("engine/testing/a.ts", `import "../../runtime/virtual/mod.ts";`);
  assertGood("tests/a.ts", `import "../runtime/virtual/mod.ts";`);
});

Deno.test("product rooms import no package that reaches the world", () => {
  assertGood("engine/a.ts", `import { encodeHex } from "@std/encoding";`);
  assertGood("gossip/a.ts", `import { pooledMap } from "@std/async";`);
  assertGood("runtime/a.ts", `import { crc32 } from "node:zlib";`);
  assertBad("engine/a.ts", `import { readSync } from "node:fs";`, "node:");
  assertBad("engine/a.ts", `import { walk } from "@std/fs";`, "@std/fs");
  assertBad("engine/a.ts", `import x from "npm:x@1";`, "npm:x@1");
  for (const timed of ["delay", "deadline", "retry", "debounce", "throttle"]) {
    const source = `import { ${timed} } from "@std/async";`;
    assertBad("gossip/a.ts", source, `${timed} of @std/async`);
  }
  assertBad("gossip/a.ts", `import * as a from "@std/async";`, "by name");
  assertBad("gossip/a.ts", `export * from "@std/async";`, "by name");
  assertBad("mod.ts", `export { delay } from "@std/async";`, "delay");
});

Deno.test("product rooms name nothing of the platform's world", () => {
  const bad: Record<string, string> = {
    "Deno.readFileSync(path);": "Deno",
    "let file: Deno.FsFile;": "Deno",
    "const now = Date.now();": "Date",
    "const now = new Date();": "Date",
    "const now = Temporal.Now.instant();": "Temporal",
    "const now = performance.now();": "performance",
    "const x = Math.random();": "Math.random",
    'const x = Math["random"]();': "Math.random",
    "const { random } = Math;": "Math as a value",
    "const id = crypto.randomUUID();": "crypto",
    "crypto.getRandomValues(buffer);": "crypto",
    'await crypto.subtle.digest("SHA-256", data);': "crypto",
    "setTimeout(f, 1);": "setTimeout",
    "const id = setInterval(f, 1);": "setInterval",
    "setImmediate(f);": "setImmediate",
    "const signal = AbortSignal.timeout(5);": "AbortSignal.timeout",
    "new Worker(url);": "Worker",
    'new BroadcastChannel("a");': "BroadcastChannel",
    "await fetch(url);": "fetch",
    "const weak = new WeakRef(view);": "WeakRef",
    "class A { #r: FinalizationRegistry<B>; }": "FinalizationRegistry",
    "console.log(1);": "console",
    "const now = globalThis.Date.now();": "globalThis",
    'const now = (globalThis as any)["Date"].now();': "globalThis",
    "const { Date: D } = globalThis;": "globalThis",
    "const world = { setTimeout };": "setTimeout",
    "const world = { timer: setTimeout };": "setTimeout",
    "f(setTimeout);": "setTimeout",
    "process.exit();": "process",
    "function f(now = Date.now()) {}": "Date",
  };
  for (const [source, name] of Object.entries(bad)) {
    for (const path of ["engine/a.ts", "transport/a.ts", "gossip/x/a.ts"]) {
      assertBad(path, source, `aspen/world: Cannot use ${name}`);
    }
    assertBad("mod.ts", source, `Cannot use ${name}`);
    for (const path of ["runtime/a.ts", "engine/a_test.ts", "tests/a.ts"]) {
      assertGood(path, source);
    }
  }
});

Deno.test("a name of one's own is not the platform's", () => {
  const good = [
    "this.random.fetch(1);",
    "const options = { Date: 1, fetch: 2, crypto: 3 };",
    "interface I { fetch(): void; readonly process: number }",
    "class C { fetch(): void {} process = 1; }",
    "function f(process: number): number { return process + 1; }",
    "const f = (self: C) => self.x;",
    "const { global } = options; g(global);",
    "for (const window of windows) g(window);",
    'import { process } from "./process.ts"; process();',
    "const x = Math.floor(Math.max(1, 2));",
    "const signal = AbortSignal.any([a, b]);",
    "queueMicrotask(f);",
    "const u = import.meta.url;",
  ];
  for (const source of good) assertGood("engine/a.ts", source);
});
