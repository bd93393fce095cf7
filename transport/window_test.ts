import { assertEquals } from "@std/assert";
import { MessageType } from "./registry.ts";
import type { Outgoing } from "./send_queue.ts";
import { RequestWindow } from "./window.ts";

const { PING, PULL } = MessageType;

/** A window, and the correlations of what was sent, those taken back negative. */
function window(max: number) {
  const sent: number[] = [];
  const made = new RequestWindow({
    max,
    send: ({ correlation }) => {
      sent.push(correlation);
      return () => sent.push(-correlation);
    },
  });
  const ask = (correlation: number, type: number = PULL) =>
    made.ask(
      {
        flags: 0,
        type,
        correlation,
        payload: new Uint8Array(),
        taken: 0,
        started: false,
        cancelled: false,
      } satisfies Outgoing,
    );
  return { window: made, ask, sent };
}

Deno.test("requests beyond the window wait in their order, and one that gives up is never sent", () => {
  const { window: made, ask, sent } = window(10);
  const leave = [1, 2, 3, 4, 5].map((each) => ask(each));
  assertEquals(sent, [1, 2]);
  leave[2]!();
  leave[0]!();
  assertEquals(sent, [1, 2, -1, 4]);
  made.close();
  leave[1]!();
  assertEquals(sent, [1, 2, -1, 4, -2]);
});

Deno.test("the places of urgent requests are never taken by others, however often they are used", () => {
  const { ask, sent } = window(10);
  const first = ask(1);
  ask(2);
  ask(3);
  for (let i = 0; i < 20; i++) ask(100 + i, PING)();
  // As they leave nobody else takes their places.
  assertEquals(sent.filter((each) => each > 0 && each < 100), [1, 2]);
  const pings = Array.from({ length: 9 }, (_, i) => ask(200 + i, PING));
  assertEquals(sent.at(-1), 207);
  // The ninth goes before the others that wait.
  first();
  assertEquals(sent.slice(-2), [-1, 208]);
  for (const leave of pings) leave();
  assertEquals(sent.at(-1), 3);
});

Deno.test("the smallest window lets one through at a time", () => {
  const { ask, sent } = window(1);
  const leave = ask(1);
  ask(2);
  assertEquals(sent, [1]);
  leave();
  assertEquals(sent, [1, -1, 2]);
});
