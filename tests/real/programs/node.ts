/**
 * A node that does what it is told by lines of JSON on its standard input, and
 * answers by such lines. It closes and ends when the input does, so that no node
 * outlives its test.
 */

import { open, PartialCommitError } from "../../../mod.ts";

interface Call {
  readonly id: number;
  readonly name: "commit" | "get" | "caughtUp" | "nodes" | "close";
  /** Of a commit: key, value or null, node that is to lead it or null. */
  readonly ops?: readonly [string, string | null, number | null][];
  readonly key?: string;
}

const { dir, options } = JSON.parse(Deno.args[0]!);
const db = await open(dir, options).catch((error) => {
  say({ refused: described(error) });
  Deno.exit(1);
});
const { key: node, address } = db.cluster.host;
say({ ready: { node, address } });
let rest = "";
for await (
  const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())
) {
  const lines = (rest + text).split("\n");
  rest = lines.pop()!;
  for (const line of lines) void answer(JSON.parse(line));
}
await db.close();

async function answer(call: Call): Promise<void> {
  const { id } = call;
  try {
    say({ id, result: await perform(call) });
  } catch (error) {
    say({ id, error: described(error) });
  }
}

async function perform(call: Call): Promise<unknown> {
  switch (call.name) {
    case "commit": {
      const ops = call.ops!.map(([key, value, lease]) =>
        value === null
          ? { type: "delete" as const, key }
          : { type: "set" as const, key, value, ...lease !== null && { lease } }
      );
      const { versions } = await db.commit({ ops });
      return versions.map((version) => version ?? null);
    }
    case "get": {
      const value = await db.get(call.key!);
      return value === undefined ? null : new TextDecoder().decode(value);
    }
    case "caughtUp":
      return await db.caughtUp();
    case "nodes":
      return [...db.cluster.nodes().values()];
    case "close":
      return await db.close();
  }
}

function described(error: unknown): unknown {
  const { name, message } = error as Error;
  if (!(error instanceof PartialCommitError)) return { name, message };
  const text = new TextDecoder();
  const failed = error.failed.flatMap(({ keys, error }) =>
    keys.map((key) => [text.decode(key), (error as Error).name])
  );
  return { name, message, failed };
}

function say(message: unknown): void {
  const bytes = new TextEncoder().encode(JSON.stringify(message) + "\n");
  for (let done = 0; done < bytes.length;) {
    done += Deno.stdout.writeSync(bytes.subarray(done));
  }
}
