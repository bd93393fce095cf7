/**
 * What every file system does, run against the machine's, the one in memory and
 * the virtual one.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DenoFiles } from "./deno/files.ts";
import { FileNotFoundError, StorageError } from "./errors.ts";
import { MemoryFiles } from "./memory_files.ts";
import type { FileSystem } from "./runtime.ts";
import { World } from "./virtual/mod.ts";

interface Subject extends Disposable {
  files: FileSystem;
  root: string;
  run<T>(program: () => Promise<T>): Promise<T>;
}

const subjects: Record<string, () => Subject> = {
  "Deno's files": () => {
    const root = Deno.makeTempDirSync();
    return {
      files: new DenoFiles(),
      root,
      run: (program) => program(),
      [Symbol.dispose]: () => Deno.removeSync(root, { recursive: true }),
    };
  },
  "memory files": () => ({
    files: new MemoryFiles(),
    root: "",
    run: (program) => program(),
    [Symbol.dispose]() {},
  }),
  "virtual files": () => {
    const world = new World({ seed: 1 });
    return {
      files: world.runtime("node").files,
      root: "",
      run: (program) => world.run(program),
      [Symbol.dispose]() {},
    };
  },
};

const bytes = (...values: number[]) => new Uint8Array(values);

Deno.test("room is made in the file that was opened, and in none that has its name by now", () => {
  const root = Deno.makeTempDirSync();
  try {
    const path = `${root}/f`;
    using file = new DenoFiles().open(path, { mode: "create" });
    file.append(bytes(1, 2));
    Deno.renameSync(path, `${path}.moved`);
    Deno.writeFileSync(path, bytes(7, 7, 7, 7));
    assertThrows(() => file.reserve(4), StorageError, "another file");
    file.append(bytes(3));
    assertEquals(Deno.readFileSync(path), bytes(7, 7, 7, 7));
    assertEquals(Deno.readFileSync(`${path}.moved`), bytes(1, 2, 3));
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});

for (const [name, make] of Object.entries(subjects)) {
  Deno.test(`${name} append at the end and read at any position`, () => {
    using subject = make();
    using file = subject.files.open(`${subject.root}/f`, { mode: "append" });
    file.append(bytes(1, 2, 3));
    const buffer = new Uint8Array(2);
    assertEquals(file.readAt(buffer, 1), 2);
    assertEquals(buffer, bytes(2, 3));
    file.append(bytes(4));
    file.append(bytes());
    assertEquals(file.size(), 4);
    assertEquals(file.readAt(buffer, 3), 1);
    assertEquals(buffer, bytes(4, 3));
    assertEquals(file.readAt(buffer, 4), 0);
    assertEquals(file.readAt(buffer, 400), 0);
  });

  Deno.test(`${name} take large appends whole`, () => {
    using subject = make();
    using file = subject.files.open(`${subject.root}/f`, { mode: "create" });
    const large = new Uint8Array(3_000_001).map((_, i) => i * 7);
    file.append(bytes(9));
    file.append(large);
    const back = new Uint8Array(large.length);
    assertEquals(file.readAt(back, 1), large.length);
    assert(back.every((byte, i) => byte === large[i]));
  });

  Deno.test(`${name} keep what is appended when opened again`, () => {
    using subject = make();
    const path = `${subject.root}/f`;
    const first = subject.files.open(path, { mode: "create" });
    first.append(bytes(1));
    first.close();
    first.close();
    using second = subject.files.open(path, { mode: "append" });
    second.append(bytes(2));
    using reader = subject.files.open(path, { mode: "read" });
    const buffer = new Uint8Array(9);
    assertEquals(reader.readAt(buffer, 0), 2);
    assertEquals(buffer.subarray(0, 2), bytes(1, 2));
    second.append(bytes(3));
    assertEquals(reader.size(), 3);
  });

  Deno.test(`${name} cut, never lengthen, and append behind the cut`, () => {
    using subject = make();
    using file = subject.files.open(`${subject.root}/f`, { mode: "create" });
    file.append(bytes(1, 2, 3, 4));
    file.truncate(9);
    assertEquals(file.size(), 4);
    file.truncate(2);
    file.append(bytes(5));
    const buffer = new Uint8Array(9);
    assertEquals(file.readAt(buffer, 0), 3);
    assertEquals(buffer.subarray(0, 3), bytes(1, 2, 5));
  });

  Deno.test(`${name} make room, which appends replace and then outgrow`, () => {
    using subject = make();
    const path = `${subject.root}/f`;
    using file = subject.files.open(path, { mode: "create" });
    const content = () => {
      using reader = subject.files.open(path, { mode: "read" });
      const buffer = new Uint8Array(99);
      return [...buffer.subarray(0, reader.readAt(buffer, 0))];
    };
    file.append(bytes(1, 2));
    file.reserve(4);
    assertEquals(content(), [1, 2, 0, 0, 0, 0]);
    assertEquals(file.size(), 6);
    file.append(bytes(3));
    assertEquals(file.readAt(new Uint8Array(9), 0), 6);
    file.append(bytes(4, 5));
    assertEquals(content(), [1, 2, 3, 4, 5, 0]);
    file.append(bytes(6, 7, 8));
    assertEquals(content(), [1, 2, 3, 4, 5, 6, 7, 8]);
    file.reserve(1);
    file.reserve(3);
    file.append(bytes(9));
    assertEquals(content(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0]);
    // A cut takes what is behind it, room or not.
    file.truncate(9);
    file.append(bytes(10));
    file.truncate(3);
    file.append(bytes(11));
    assertEquals(content(), [1, 2, 3, 11]);
  });

  Deno.test(`${name} make room of any size, whatever was there before`, () => {
    using subject = make();
    using file = subject.files.open(`${subject.root}/f`, { mode: "append" });
    file.append(new Uint8Array(100_000).fill(1));
    file.truncate(10);
    file.reserve(200_001);
    const buffer = new Uint8Array(200_011);
    assertEquals(file.readAt(buffer, 0), buffer.length);
    assertEquals(buffer.indexOf(0), 10);
    assert(buffer.subarray(10).every((byte) => byte === 0));
  });

  Deno.test(`${name} refuse what the mode forbids`, () => {
    using subject = make();
    const { files, root } = subject;
    assertThrows(
      () => files.open(`${root}/f`, { mode: "read" }),
      FileNotFoundError,
      "Cannot open",
    );
    assertThrows(
      () => files.open(`${root}/none/f`, { mode: "append" }),
      FileNotFoundError,
    );
    files.open(`${root}/f`, { mode: "create" }).close();
    assertThrows(
      () => files.open(`${root}/f`, { mode: "create" }),
      StorageError,
      "it exists already",
    );
    using reader = files.open(`${root}/f`, { mode: "read" });
    assertThrows(() => reader.append(bytes(1)), StorageError, "Cannot append");
    assertThrows(() => reader.reserve(1), StorageError);
    assertEquals(reader.size(), 0);
    assertThrows(
      () => files.open(`${root}/f/g`, { mode: "append" }),
      StorageError,
      "not a directory",
    );
    files.makeDirectory(`${root}/d`);
    for (const mode of ["read", "append"] as const) {
      assertThrows(
        () => files.open(`${root}/d`, { mode }),
        StorageError,
        "it is a directory",
      );
    }
  });

  Deno.test(`${name} refuse the use of a closed file`, async () => {
    using subject = make();
    const file = subject.files.open(`${subject.root}/f`, { mode: "append" });
    file.close();
    assertThrows(() => file.append(bytes(1)), StorageError, "it is closed");
    assertThrows(() => file.readAt(bytes(1), 0), StorageError, "it is closed");
    assertThrows(() => file.size(), StorageError, "it is closed");
    assertThrows(() => file.tryLock(), StorageError, "it is closed");
    await assertRejects(() => file.syncData(), StorageError, "it is closed");
  });

  Deno.test(`${name} list sorted names, directories with a slash`, () => {
    using subject = make();
    const { files, root } = subject;
    for (const file of ["b", "a", "c"]) {
      files.open(`${root}/${file}`, { mode: "create" }).close();
    }
    files.makeDirectory(`${root}/d/e`);
    files.makeDirectory(`${root}/d`);
    assertEquals(files.list(root === "" ? "/" : root), ["a", "b", "c", "d/"]);
    assertEquals(files.list(`${root}/d/`), ["e/"]);
    assertThrows(() => files.list(`${root}/x`), FileNotFoundError);
    assertThrows(() => files.list(`${root}/a`), StorageError);
    assertThrows(() => files.makeDirectory(`${root}/a`), StorageError);
    assertThrows(() => files.makeDirectory(`${root}/a/b`), StorageError);
  });

  Deno.test(`${name} tell what exists`, () => {
    using subject = make();
    const { files, root } = subject;
    files.makeDirectory(`${root}/d`);
    files.open(`${root}/f`, { mode: "create" }).close();
    assertEquals(
      [`d`, `f`, `g`, `f/g`, `g/f`].map((p) => files.exists(`${root}/${p}`)),
      [true, true, false, false, false],
    );
  });

  Deno.test(`${name} remove files only, and open ones live on`, async () => {
    using subject = make();
    const { files, root } = subject;
    files.makeDirectory(`${root}/d`);
    using file = files.open(`${root}/f`, { mode: "create" });
    file.append(bytes(1));
    files.remove(`${root}/f`);
    assert(!files.exists(`${root}/f`));
    assertEquals(file.readAt(bytes(0), 0), 1);
    assertThrows(() => files.remove(`${root}/f`), FileNotFoundError);
    assertThrows(() => files.remove(`${root}/d`), StorageError, "directory");
    if (files.removeAside === undefined) return;
    files.open(`${root}/g`, { mode: "create" }).close();
    await files.removeAside(`${root}/g`);
    assert(!files.exists(`${root}/g`));
    await assertRejects(
      () => files.removeAside!(`${root}/g`),
      FileNotFoundError,
    );
    await assertRejects(
      () => files.removeAside!(`${root}/d`),
      StorageError,
      "directory",
    );
  });

  Deno.test(`${name} rename over what stood there`, () => {
    using subject = make();
    const { files, root } = subject;
    using a = files.open(`${root}/a`, { mode: "create" });
    a.append(bytes(1));
    using b = files.open(`${root}/b`, { mode: "create" });
    files.rename(`${root}/a`, `${root}/b`);
    assertEquals(files.exists(`${root}/a`), false);
    using opened = files.open(`${root}/b`, { mode: "read" });
    assertEquals([opened.size(), b.size()], [1, 0]);
    assertThrows(
      () => files.rename(`${root}/a`, `${root}/c`),
      FileNotFoundError,
    );
    files.makeDirectory(`${root}/d`);
    assertThrows(() => files.rename(`${root}/b`, `${root}/d`), StorageError);
  });

  Deno.test(`${name} link a second name to a file, and to no taken name`, () => {
    using subject = make();
    const { files, root } = subject;
    using file = files.open(`${root}/f`, { mode: "create" });
    file.append(bytes(1, 2));
    files.makeDirectory(`${root}/d`);
    files.link(`${root}/f`, `${root}/d/g`);
    files.remove(`${root}/f`);
    using linked = files.open(`${root}/d/g`, { mode: "read" });
    assertEquals([linked.size(), files.exists(`${root}/f`)], [2, false]);
    const link = (from: string, to: string) => () =>
      files.link(`${root}/${from}`, `${root}/${to}`);
    assertThrows(link("none", "h"), FileNotFoundError, "Cannot link");
    assertThrows(link("d/g", "none/h"), FileNotFoundError);
    assertThrows(link("d", "h"), StorageError, "it is a directory");
    files.open(`${root}/h`, { mode: "create" }).close();
    assertThrows(link("d/g", "h"), StorageError, "exists already");
  });

  Deno.test(`${name} give a lock to one handle until it closes`, () => {
    using subject = make();
    const path = `${subject.root}/LOCK`;
    const first = subject.files.open(path, { mode: "append" });
    using second = subject.files.open(path, { mode: "append" });
    assert(first.tryLock());
    assert(!second.tryLock());
    // A third handle that comes and goes takes nothing with it.
    subject.files.open(path, { mode: "read" }).close();
    assert(!second.tryLock());
    first.close();
    assert(second.tryLock());
  });

  Deno.test(`${name} sync while appends go on`, async () => {
    using subject = make();
    const { files, root } = subject;
    await subject.run(async () => {
      using file = files.open(`${root}/f`, { mode: "create" });
      file.append(bytes(1));
      const syncing = file.syncData();
      file.append(bytes(2));
      const buffer = bytes(0, 0);
      assertEquals(file.readAt(buffer, 0), 2);
      await syncing;
      await file.syncData();
      assertEquals(buffer, bytes(1, 2));
      await files.syncDirectory(root === "" ? "/" : root);
      await assertRejects(
        () => files.syncDirectory(`${root}/none`),
        FileNotFoundError,
      );
    });
  });
}

Deno.test("Deno's files word what the system refuses", () => {
  const root = Deno.makeTempDirSync();
  try {
    const files = new DenoFiles();
    const error = assertThrows(
      () => files.open(`${root}/a\0b`, { mode: "append" }),
      StorageError,
    );
    assert(error.cause !== undefined);
    assertEquals(error.name, "StorageError");
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});

Deno.test({
  name: "Deno's files copy where the system cannot link: to another device",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // In a process of its own: this device may be used with all rights only.
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        `import { DenoFiles } from ${
          JSON.stringify(new URL("./deno/files.ts", import.meta.url).href)
        };
        const here = Deno.makeTempDirSync();
        const there = Deno.makeTempDirSync({ dir: "/dev/shm" });
        const files = new DenoFiles();
        const file = files.open(here + "/f", { mode: "create" });
        file.append(new Uint8Array(3_000_000).fill(7));
        files.link(here + "/f", there + "/g");
        file.append(new Uint8Array(1));
        const copy = Deno.readFileSync(there + "/g");
        console.log(copy.length, copy.every((byte) => byte === 7));
        try { files.link(here + "/f", there + "/g"); } catch (error) {
          console.log(error.name);
        }
        Deno.removeSync(here, { recursive: true });
        Deno.removeSync(there, { recursive: true });`,
      ],
    }).output();
    assertEquals(
      new TextDecoder().decode(stdout),
      "3000000 true\nStorageError\n",
      new TextDecoder().decode(stderr),
    );
  },
});

Deno.test({
  name: "Deno's files say that the device is full",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // In a process of its own: devices may be opened with all rights only.
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        `import { DenoFiles } from ${
          JSON.stringify(new URL("./deno/files.ts", import.meta.url).href)
        };
        const file = new DenoFiles().open("/dev/full", { mode: "append" });
        try { file.append(new Uint8Array(1)); } catch (error) {
          console.log(error.name, error.message, error.cause.code);
        }`,
      ],
    }).output();
    assertEquals(
      new TextDecoder().decode(stdout),
      'StorageError Cannot append to "/dev/full": no space is left on the device ENOSPC\n',
    );
  },
});

Deno.test({
  name: "Deno's files name a missing permission",
  permissions: { read: false, write: false },
  fn() {
    const error = assertThrows(
      () => new DenoFiles().open("f", { mode: "append" }),
      StorageError,
      "the process lacks the permission",
    );
    assert(error.cause instanceof Deno.errors.NotCapable);
  },
});

Deno.test("memory files are seen by their own object only", () => {
  const files = new MemoryFiles();
  files.open("f", { mode: "create" }).close();
  assertEquals(files.list("."), ["f"]);
  assertEquals(files.list("a/.."), ["f"]);
  assertEquals(new MemoryFiles().list("/"), []);
});
