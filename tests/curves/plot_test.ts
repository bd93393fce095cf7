import { assert, assertEquals } from "@std/assert";
import { type Figure, plot } from "./plot.ts";

const FIGURE: Figure = {
  title: "A & B",
  unit: "s",
  onDemandFrom: 65,
  command: "deno task x",
  curves: [
    { name: "measured", colour: "#111111", points: [[10, 1], [1000, 4]] },
    {
      name: "promised",
      colour: "#222222",
      promised: true,
      points: [[10, 2], [1000, 5]],
    },
  ],
};

Deno.test("a figure has its axes, a mark a measured point, its legend and its command", () => {
  const svg = plot(FIGURE);
  assertEquals(svg, plot(FIGURE));
  assertEquals(svg.split("<circle").length - 1, 2);
  assertEquals(svg.split("stroke-dasharray").length - 1, 2);
  for (
    const words of [
      "A &amp; B",
      ">measured<",
      ">promised<",
      ">1,000<",
      ">nodes (logarithmic)<",
      ">connected on demand<",
      ">deno task x<",
      // The least and the most nodes stand at the ends, 0 at the bottom.
      "64.0,",
      "696.0,",
    ]
  ) assert(svg.includes(words), words);
  assert(!svg.includes("NaN"));
});
