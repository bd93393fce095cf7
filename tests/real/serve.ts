/**
 * The other side of {@linkcode RemoteNode}: a program that does what lines of JSON
 * on its standard input tell it, and answers by such lines.
 *
 * Guarantees: every call is answered, by its result or by its error; what is said
 * is with the system before the program goes on.
 *
 * @module
 */

import { PartialCommitError } from "../../mod.ts";

/** What a program can do, by name. */
export type Calls<Call> = Readonly<Record<string, (call: Call) => unknown>>;

/** Answers calls until the input ends, so that no program outlives who calls it. */
export async function serve<Call>(calls: Calls<Call>): Promise<void> {
  let rest = "";
  for await (
    const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  ) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) void answer(calls, JSON.parse(line));
  }
}

async function answer<Call>(
  calls: Calls<Call>,
  call: Call & { readonly id: number; readonly name: string },
): Promise<void> {
  const { id, name } = call;
  try {
    const perform = calls[name];
    if (perform === undefined) throw new TypeError(`There is no call ${name}`);
    say({ id, result: await perform(call) });
  } catch (error) {
    say({ id, error: described(error) });
  }
}

/** An error, as its caller is told. */
export function described(error: unknown): unknown {
  const text = new TextDecoder();
  const { name, message } = error as Error;
  if (!(error instanceof PartialCommitError)) return { name, message };
  const failed = error.failed.flatMap(({ keys, error }) =>
    keys.map((key) => [text.decode(key), (error as Error).name])
  );
  return { name, message, failed };
}

/** Says something, as a line. */
export function say(message: unknown): void {
  const bytes = new TextEncoder().encode(JSON.stringify(message) + "\n");
  for (let done = 0; done < bytes.length;) {
    done += Deno.stdout.writeSync(bytes.subarray(done));
  }
}
