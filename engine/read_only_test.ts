import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  CorruptionError,
  FileNotFoundError,
  type FileOptions,
  NotSupportedError,
  type RuntimeFile,
} from "../runtime/mod.ts";
import { DenoFiles } from "../runtime/deno/mod.ts";
import { MemoryFiles } from "../runtime/memory_files.ts";
import { type LsmOptions, openLsm } from "./mod.ts";
import { batchOf, prefixOf, TINY } from "./testing/history.ts";
import { FaultyFiles } from "./testing/faulty_files.ts";
import { StepFiles } from "./testing/step_files.ts";

const DIR = "store";

Deno.test("a store that is open for reading only gives everything, and changes nothing", async () => {
  const files = new StepFiles();
  const writer = await openLsm(DIR, { ...TINY, files });
  for (let i = 1; i <= 25; i++) await writer.write(batchOf(i));
  await writer.idle();
  const before = JSON.stringify([...files.disk.image().files].map(String));
  const steps = files.steps;
  const reader = await openLsm(DIR, { ...TINY, files, readOnly: true });
  assertEquals(await prefixOf(reader), 25);
  using snapshot = reader.snapshot();
  assertEquals(await prefixOf(reader), 25);
  assert(snapshot.get(batchOf(25)[0]!.key) !== undefined);
  const refused: (() => unknown)[] = [
    () => reader.write(batchOf(1)),
    () => reader.flush(),
    () => reader.compact(),
    () => reader.checkpoint("other"),
    () => reader.ingest([]),
    () => reader.deleteRange({}),
  ];
  for (const call of refused) {
    await assertRejects(
      async () => await call(),
      NotSupportedError,
      "open for reading only",
    );
  }
  assertEquals((await reader.check()).damages, []);
  await reader.idle();
  await reader.close();
  await reader.close();
  assertEquals(files.steps, steps);
  assertEquals(
    JSON.stringify([...files.disk.image().files].map(String)),
    before,
  );
  await writer.close();
});

Deno.test("what is open for reading only stays as it is while another writes and compacts", async () => {
  const files = new MemoryFiles();
  const writer = await openLsm(DIR, { ...TINY, files });
  for (let i = 1; i <= 25; i++) await writer.write(batchOf(i));
  const options: LsmOptions = { ...TINY, cacheBytes: 0, files, readOnly: true };
  const reader = await openLsm(DIR, options);
  for (let i = 26; i <= 90; i++) await writer.write(batchOf(i));
  await writer.flush();
  await writer.idle();
  assertEquals(await prefixOf(reader), 25);
  const later = await openLsm(DIR, options);
  assertEquals(await prefixOf(later), 90);
  await later.close();
  await reader.close();
  await writer.close();
  const closed = await openLsm(DIR, options);
  assertEquals(await prefixOf(closed), 90);
  await closed.close();
});

Deno.test("a writer that moves on while the store is opened for reading is no damage", async () => {
  const inner = new MemoryFiles();
  const writer = await openLsm(DIR, { ...TINY, files: inner });
  for (let i = 1; i <= 25; i++) await writer.write(batchOf(i));
  await writer.idle();
  const name = inner.list(DIR).find((name) => name.endsWith(".sst"))!;
  const table = `${DIR}/${name}`;
  inner.link(table, "kept");
  const edit = () => {
    using file = inner.open(`${DIR}/MANIFEST-000001`, { mode: "append" });
    file.append(new Uint8Array(8));
  };
  // Between the reader's look at the MANIFEST and at a table, that table goes.
  let gone = false;
  const files = new FaultyFiles(inner, ({ action, path }) => {
    if (action === "open" && path === table && !gone) {
      gone = true;
      inner.remove(path);
      edit();
    }
    return false;
  });
  // It is looked for anew, and then it is damage: no further edit came.
  await assertRejects(
    () => openLsm(DIR, { ...TINY, files, readOnly: true }),
    CorruptionError,
    "the file is missing",
  );
  assertEquals(files.handles, 0);

  inner.link("kept", table);
  let moves = 0;
  const again = new FaultyFiles(inner, ({ action, path }) => {
    if (action === "open" && path === table && moves === 0) {
      moves = 1;
      inner.remove(table);
      edit();
    } else if (action === "open" && path.includes("MANIFEST") && moves === 1) {
      moves = 2;
      inner.link("kept", table);
    }
    return false;
  });
  const reader = await openLsm(DIR, { ...TINY, files: again, readOnly: true });
  assertEquals(await prefixOf(reader), 25);
  assertEquals(moves, 2);
  await reader.close();
  assertEquals(again.handles, 0);
});

Deno.test("reading only makes no store", async () => {
  const files = new MemoryFiles();
  files.makeDirectory(DIR);
  await assertRejects(
    () => openLsm(DIR, { files, readOnly: true }),
    FileNotFoundError,
  );
  await assertRejects(
    () => openLsm("none", { files, readOnly: true }),
    FileNotFoundError,
  );
  assertEquals(files.list(DIR), []);
});

Deno.test("reading only needs no permission to write", async () => {
  const dir = Deno.makeTempDirSync();
  try {
    const files = new DenoFiles();
    const writer = await openLsm(dir, { ...TINY, files });
    for (let i = 1; i <= 25; i++) await writer.write(batchOf(i));
    const engine = new URL("./mod.ts", import.meta.url).href;
    const deno = new URL("../runtime/deno/mod.ts", import.meta.url).href;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        `--allow-read=${dir}`,
        "--no-prompt",
        "--quiet",
        `data:application/typescript,
        import { openLsm } from ${JSON.stringify(engine)};
        import { DenoFiles } from ${JSON.stringify(deno)};
        const store = await openLsm(${JSON.stringify(dir)}, {
          files: new DenoFiles(), readOnly: true });
        const key = new TextEncoder().encode("count");
        console.log(new TextDecoder().decode(store.get(key)));
        await store.close();`,
      ],
    }).output();
    assertEquals(
      [code, new TextDecoder().decode(stdout)],
      [0, "25\n"],
      new TextDecoder().decode(stderr),
    );
    await writer.close();
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a flush between the look at the MANIFEST and at the logs hides nothing from who opens for reading", async () => {
  const inner = new MemoryFiles();
  const manifest = `${DIR}/MANIFEST-000001`;
  await using writer = await openLsm(DIR, { files: inner });
  await writer.write(batchOf(1));
  await writer.flush();
  // In a log that no MANIFEST names.
  await writer.write(batchOf(2));
  {
    using now = inner.open(manifest, { mode: "read" });
    using before = inner.open("before", { mode: "create" });
    const bytes = new Uint8Array(now.size());
    now.readAt(bytes, 0);
    before.append(bytes);
  }
  // The batch goes to a table, and the log with it.
  await writer.flush();
  await writer.idle();
  let looked = false;
  const files = new class extends FaultyFiles {
    override open(path: string, options: FileOptions): RuntimeFile {
      return super.open(
        path === manifest && !looked ? "before" : path,
        options,
      );
    }
    override exists(path: string): boolean {
      if (path.endsWith(".wal")) looked = true;
      return super.exists(path);
    }
  }(inner, () => false);
  await using reader = await openLsm(DIR, { files, readOnly: true });
  assert(looked);
  assertEquals(await prefixOf(reader), 2);
});
