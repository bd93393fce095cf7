import { assert, assertEquals } from "@std/assert";
import { PlaceCache } from "./place_cache.ts";

interface Named {
  readonly name: number;
}

/** What is known of a hash: the names of the tables, and where in them. */
function placesOf(places: PlaceCache<Named>, hash: number): number[][] {
  const found: number[][] = [];
  for (let at = places.first(hash); at >= 0; at = places.next(at, hash)) {
    const table = places.tableOf(at);
    if (table === undefined) continue;
    found.push([table.name, places.blockOf(at), places.rowOf(at)]);
  }
  return found;
}

Deno.test("a place is known until its key is forgotten, its table goes, or all do", () => {
  const places = new PlaceCache<Named>(4096);
  const [one, two] = [{ name: 1 }, { name: 2 }];
  // Hashes of one set, of which no two have the same upper half.
  const [a, b, c] = [0x1_0000, 0x2_0000, 0x3_0000];
  const learn = () => {
    places.remember(a, one, { block: 3, row: 4 });
    places.remember(b, two, { block: 5, row: 6 });
    places.remember(c, one, { block: 7, row: 8 });
  };
  const known = () => [a, b, c].map((hash) => placesOf(places, hash));
  places.forget(a);
  assertEquals(known(), [[], [], []]);
  assert(places.isEmpty);
  learn();
  assert(!places.isEmpty);
  assertEquals(known(), [[[1, 3, 4]], [[2, 5, 6]], [[1, 7, 8]]]);
  places.forget(a);
  assertEquals(known(), [[], [[2, 5, 6]], [[1, 7, 8]]]);
  places.drop(one);
  assertEquals(known(), [[], [[2, 5, 6]], []]);
  // One that has gone before it was ever named.
  places.drop({ name: 3 });
  places.clear();
  assertEquals(known(), [[], [], []]);
  learn();
  assertEquals(known(), [[[1, 3, 4]], [[2, 5, 6]], [[1, 7, 8]]]);
});

Deno.test("a hash of zeros has no place before it was given one", () => {
  const places = new PlaceCache<Named>(4096);
  places.remember(1, { name: 1 }, { block: 0, row: 0 });
  assertEquals(placesOf(places, 0), []);
});

Deno.test("a table that comes later is never taken for one that has gone, however many there were", () => {
  const places = new PlaceCache<Named>(4096);
  const [first, second] = [0, 1];
  places.remember(first, { name: first }, { block: 1, row: 1 });
  const gone = { name: second };
  places.remember(second, gone, { block: 2, row: 2 });
  places.drop(gone);
  for (let name = 2; name < 150_000; name++) {
    // In sets of their own, so that nothing takes the room of those two.
    const hash = 2 + name % 100;
    places.remember(hash, { name }, { block: 0, row: 0 });
    const known = placesOf(places, hash).map(([name]) => name);
    assert(known.includes(name));
    assert(placesOf(places, first).every(([name]) => name === first));
    assertEquals(placesOf(places, second), []);
  }
});

Deno.test("a cache without room knows nothing", () => {
  const places = new PlaceCache<Named>(0);
  places.remember(1, { name: 1 }, { block: 1, row: 1 });
  places.forget(1);
  assertEquals(placesOf(places, 1), []);
  assert(places.bytes === 0);
});
