import { assert, assertEquals } from "@std/assert";

const here = new URL("./", import.meta.url);
const table = await Deno.readTextFile(new URL("SCENARIOS.md", here));

/** The rows of the table of scenarios: id, and where it is or what replaces it. */
const rows = table.split("\n")
  .filter((line) => line.startsWith("| "))
  .slice(2)
  .map((line) => {
    const [id, , where] = line.split(/(?<!\\)\|/).slice(1).map((cell) =>
      cell.trim()
    );
    return { id: id!, where: where! };
  });

/** The ids of the scenarios, and how many there are of each letter. */
const COUNTS = { O: 1, M: 5, C: 9, G: 4, P: 7, S: 6, N: 5, K: 24, X: 21 };

/** A file that is named, and a part of a test's name in it. */
const QUOTE = /`([a-z_/]+_test\.ts)`: `([^`]+)`/g;

Deno.test("every scenario has one row in SCENARIOS.md, with a test or with what replaces it", () => {
  const ids = rows.map(({ id }) => id);
  assertEquals(ids.length, new Set(ids).size);
  for (const [letter, count] of Object.entries(COUNTS)) {
    for (let i = 1; i <= count; i++) {
      assert(ids.includes(`${letter}${i}`), `${letter}${i} has no row`);
    }
  }
  for (const id of ["x/kv iterators", "x/kv tx", "x/observe", "x/version"]) {
    assert(ids.includes(id), `${id} has no row`);
  }
  for (const { id, where } of rows) {
    const said = [...where.matchAll(QUOTE)].length > 0 ||
      /^(Replaced: |Issue \d+: ).{20}/.test(where);
    assert(said, `${id} says neither a test nor what replaces it`);
  }
});

Deno.test("every test that SCENARIOS.md names exists", async () => {
  const quotes = [...table.matchAll(QUOTE)];
  assert(quotes.length > 100);
  for (const [, path, name] of quotes) {
    const source = await Deno.readTextFile(new URL(`../${path}`, here));
    assert(source.includes(name!), `${path} has no test "${name}"`);
  }
  for (const [path] of table.matchAll(/(?<=`)[\w/]+\/\w+\.ts(?=`)/g)) {
    await Deno.stat(new URL(`../${path}`, here));
  }
});

Deno.test("every test whose name begins with an id is in SCENARIOS.md", async () => {
  let found = 0;
  for await (const { name } of Deno.readDir(new URL("scenarios/", here))) {
    const source = await Deno.readTextFile(new URL(`scenarios/${name}`, here));
    const tests = source.matchAll(
      /(?:scenario|Deno\.test)\(\s*(["`])(?<name>(?:[A-Z]\d+|x\/).*?)\1,/g,
    );
    for (const { groups } of tests) {
      // Of a name that is put together, its longest fixed part.
      const fixed = groups!.name!.split(/\$\{.*?\}/)
        .sort((a, b) => b.length - a.length)[0]!.trim();
      assert(table.includes(fixed), `SCENARIOS.md does not name "${fixed}"`);
      found++;
    }
  }
  assert(found > 60, `${found}`);
});
