/**
 * A network that loses messages of some types, whole: what a full queue, or a
 * connection that breaks, does to messages nobody promises to deliver.
 *
 * Guarantees: streams stay whole and in order, but for the frames that are lost.
 * Assumes: frames are not sealed, are written whole, and messages of these types
 * are one frame each.
 *
 * @module
 */

import type {
  ByteStream,
  Random,
  Runtime,
  Transport,
} from "../../runtime/mod.ts";

/** Which messages are lost. */
export interface Loss {
  /** The share of them that is lost; may change. */
  share: number;
  /** Their types (`transport/registry.ts`). */
  readonly types: ReadonlySet<number>;
  readonly random: Pick<Random, "float">;
  /** How many were lost. */
  lost: number;
}

/** A runtime whose network loses messages. */
export function lossyRuntime(runtime: Runtime, loss: Loss): Runtime {
  const { network } = runtime;
  const lossy: Transport = {
    async listen(address) {
      const listener = await network.listen(address);
      return {
        address: listener.address,
        async accept() {
          const stream = await listener.accept();
          return stream && lossyStream(stream, loss);
        },
        close: () => listener.close(),
      };
    },
    async dial(address, options) {
      return lossyStream(await network.dial(address, options), loss);
    },
  };
  return { ...runtime, network: lossy };
}

function lossyStream(stream: ByteStream, loss: Loss): ByteStream {
  return {
    remote: stream.remote,
    read: (buffer) => stream.read(buffer),
    async write(data) {
      const kept = loss.share > 0 ? withoutLost(data, loss) : data;
      if (kept.length > 0) await stream.write(kept);
    },
    close: () => stream.close(),
  };
}

/** The frames of a write that are not lost (transport/frame.ts). */
function withoutLost(data: Uint8Array, loss: Loss): Uint8Array {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const kept = new Uint8Array(data.length);
  let length = 0;
  for (let at = 0; at < data.length;) {
    const end = at + 4 + view.getUint32(at, true);
    const isLost = loss.types.has(data[at + 6]!) &&
      loss.random.float() < loss.share;
    if (isLost) loss.lost++;
    else {
      kept.set(data.subarray(at, end), length);
      length += end - at;
    }
    at = end;
  }
  return kept.subarray(0, length);
}
