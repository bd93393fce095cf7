import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  CHUNK_BYTES,
  MESSAGE_BYTES_MAX,
  ProtocolError,
  Writer,
} from "../runtime/mod.ts";
import { FrameDecoder, FrameFlag } from "./frame.ts";
import { HELD_BYTES_MAX, Room } from "./bounds.ts";
import { Reassembly } from "./reassembly.ts";
import { type Outgoing, SendQueue } from "./send_queue.ts";

function message(correlation: number, length: number): Outgoing {
  return {
    flags: 0,
    type: 80,
    correlation,
    payload: new Uint8Array(length).fill(correlation),
    taken: 0,
    started: false,
    cancelled: false,
  };
}

/** The correlation ids of all frames, in the order in which they leave. */
function drain(queue: SendQueue, reassembly = new Reassembly()): number[] {
  const order: number[] = [];
  const decoder = new FrameDecoder();
  while (!queue.empty) {
    const writer = new Writer();
    queue.take(writer);
    for (let at = 0; at < writer.length;) {
      const space = decoder.space();
      const part = writer.view().subarray(at, at + space.length);
      space.set(part);
      decoder.advance(part.length);
      at += part.length;
      for (let frame = decoder.next(); frame; frame = decoder.next()) {
        order.push(frame.correlation);
        const payload = reassembly.take(frame);
        if (payload) assert(payload.every((b) => b === frame.correlation));
      }
    }
  }
  assertEquals(reassembly.held, 0);
  return order;
}

Deno.test("a small message waits for one chunk of each large one, no more", () => {
  const queue = new SendQueue(1, 1 << 24);
  queue.push(message(1, 4 * CHUNK_BYTES));
  queue.push(message(2, 3 * CHUNK_BYTES));
  queue.push(message(3, 10));
  assertEquals(drain(queue), [1, 2, 3, 1, 2, 1, 2, 1]);
  assertEquals(queue.bytes, 0);
});

Deno.test("urgent messages go before all others, whatever the room", () => {
  const queue = new SendQueue(0, 1000);
  queue.push(message(1, 3 * CHUNK_BYTES));
  assert(queue.offer(message(2, 900)));
  assert(!queue.offer(message(3, 900)));
  for (const correlation of [4, 5]) {
    assert(queue.offer({ ...message(correlation, 900), type: 16 }));
  }
  assertEquals(drain(queue), [4, 5, 1, 2, 1, 1]);
  assertEquals(queue.bytes, 0);
});

Deno.test("room is bounded in bytes, and large messages do not take that of small ones", () => {
  const queue = new SendQueue(0, 1000);
  assert(queue.offer(message(1, 5 * CHUNK_BYTES)), "alone it may be larger");
  assert(!queue.offer(message(2, 2 * CHUNK_BYTES)));
  assert(queue.offer(message(3, 400)));
  assert(queue.offer(message(4, 400)));
  assert(!queue.offer(message(5, 400)));
  const leave = queue.wait(message(6, 400));
  queue.wait(message(7, 100));
  assert(!queue.offer(message(8, 10)), "nobody overtakes those who wait");
  leave();
  const order = drain(queue);
  assertEquals(order.includes(6), false);
  assertEquals(order.includes(7), true);
  assertEquals(queue.bytes, 0);
});

Deno.test("a cancelled message that has not begun never leaves", () => {
  const queue = new SendQueue(0, 1000);
  const cancelled = message(1, 100);
  queue.push(cancelled);
  queue.push(message(2, 100));
  cancelled.cancelled = true;
  assertEquals(drain(queue), [2]);
  assertEquals(queue.bytes, 0);
});

Deno.test("a reassembly holds no more than its bounds", () => {
  const payload = new Uint8Array(CHUNK_BYTES);
  const frame = { flags: FrameFlag.MORE, type: 80, lane: 0, payload };
  const one = new Reassembly();
  for (let sent = 0; sent < MESSAGE_BYTES_MAX; sent += CHUNK_BYTES) {
    one.take({ ...frame, correlation: 1 });
  }
  assertThrows(() => one.take({ ...frame, correlation: 1 }), ProtocolError);
  one.clear();
  const many = new Reassembly();
  for (let sent = 0; sent < HELD_BYTES_MAX; sent += CHUNK_BYTES) {
    many.take({ ...frame, correlation: sent });
  }
  assertThrows(() => many.take({ ...frame, correlation: 1 }), ProtocolError);
  // Several share one room, and give back what they had.
  const room = new Room(3 * CHUNK_BYTES);
  const [first, second] = [new Reassembly(room), new Reassembly(room)];
  first.take({ ...frame, correlation: 1 });
  first.take({ ...frame, correlation: 3 });
  second.take({ ...frame, correlation: 1 });
  assertThrows(() => second.take({ ...frame, correlation: 1 }), ProtocolError);
  first.drop(3);
  second.take({ ...frame, correlation: 1 });
  first.clear();
  second.take({ ...frame, correlation: 1 });
  const tiny = { ...frame, payload: payload.subarray(0, 10), correlation: 1 };
  assertThrows(() => new Reassembly().take(tiny), ProtocolError, "10 bytes");
  const mixed = new Reassembly();
  mixed.take({ ...frame, correlation: 1 });
  assertThrows(
    () => mixed.take({ ...frame, type: 81, correlation: 1 }),
    ProtocolError,
  );
});
