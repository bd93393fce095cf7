import { assertEquals } from "@std/assert";
import {
  type Config,
  encodeConfig,
  foundConfig,
} from "../../gossip/register/config.ts";
import { ConfigJudge } from "./configs.ts";

const FIRST: Config = {
  ...foundConfig(1, new Uint8Array(8)),
  members: [1, 2],
};

/** What is violated by what nodes know, one after the other. */
function violated(...known: readonly Partial<Config>[]): string[] {
  const ids: string[] = [];
  const judge = new ConfigJudge({ violate: (id) => void ids.push(id) });
  for (const [i, config] of known.entries()) {
    judge.judge(`n${i}`, encodeConfig({ ...FIRST, ...config }));
  }
  return ids;
}

Deno.test("A1: of one epoch there is one config, settled or not", () => {
  const { epoch } = FIRST;
  assertEquals(violated({}, { settled: !FIRST.settled }, {}), []);
  assertEquals(violated({}, { members: [1, 3] }), ["A1"]);
  // Although the one might come after the other.
  const more = { members: [1, 2, 3] };
  assertEquals(violated({}, more), ["A1"]);
  assertEquals(violated(more, {}), ["A1"]);
  assertEquals(violated({}, { epoch: epoch + 1, members: [1, 2, 3] }), []);
});

Deno.test("A1: no member is lost and none comes back, in whatever order it is seen", () => {
  const { epoch } = FIRST;
  const removed = { epoch: epoch + 1, members: [1], removed: [2] };
  const lost = { epoch: epoch + 1, members: [1] };
  const back = { epoch: epoch + 2 };
  assertEquals(violated({}, removed), []);
  assertEquals(violated(removed, {}), []);
  assertEquals(violated({}, lost), ["A1"]);
  assertEquals(violated(lost, {}), ["A1"]);
  assertEquals(violated(removed, back), ["A1"]);
  assertEquals(violated(back, removed), ["A1"]);
});
