/**
 * Real processes for tests.
 *
 * Guarantees: whatever a test does, a child is killed and reaped when it is
 * disposed of, and its pipes are closed; nothing waits for ever: every wait has a
 * deadline, which only a failure reaches.
 *
 * @module
 */

import { fromFileUrl } from "./paths.ts";

/** Reached by failures only, in milliseconds. */
export const DEADLINE_MS = 60_000;

/** Waits for a promise, no longer than a failure may take. */
export async function within<T>(
  what: string,
  promise: Promise<T>,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what}: not within ${deadlineMs} ms`)),
      deadlineMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Options for {@linkcode Child}. */
export interface ChildOptions {
  /** Permission flags of Deno; none by default. */
  permissions?: readonly string[];
  /** Arguments of the program. */
  args?: readonly string[];
  /** Variables added to the environment. */
  env?: Record<string, string>;
  /** What is put before the command line of Deno. */
  prefix?: readonly string[];
}

/** A program in a process of its own. */
export class Child implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncGenerator<string>;
  readonly #stderr: Promise<string>;
  readonly #gone = new AbortController();
  #ended = false;

  /** @param program One of `tests/real/programs/` by its name, or any by its URL. */
  constructor(program: string | URL, options: ChildOptions = {}) {
    const { permissions = [], args = [], env = {}, prefix = [] } = options;
    const url = typeof program === "string"
      ? new URL(`./programs/${program}.ts`, import.meta.url)
      : program;
    const words = [
      ...prefix,
      Deno.execPath(),
      "run",
      "--quiet",
      "--no-prompt",
      ...permissions,
      fromFileUrl(url),
      ...args,
    ];
    this.#process = new Deno.Command(words[0]!, {
      args: words.slice(1),
      env: { NO_COLOR: "1", ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#process.status.then(() =>
      this.#gone.abort(new Error("The process has ended"))
    );
    this.#stdin = this.#process.stdin.getWriter();
    this.#lines = linesOf(this.#process.stdout);
    this.#stderr = new Response(this.#process.stderr).text();
  }

  /** Its number in the system. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Aborts when it has ended. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** What it wrote to its standard error; resolves when it has ended. */
  get stderr(): Promise<string> {
    return this.#stderr;
  }

  /** The next line that it prints; `undefined` when it has ended. */
  async nextLine(): Promise<string | undefined> {
    const { done, value } = await this.#lines.next();
    return done === true ? undefined : value;
  }

  /** Waits for a line, skipping others. */
  async line(wanted: string): Promise<void> {
    for (;;) {
      const line = await within(`the line "${wanted}"`, this.nextLine());
      if (line === wanted) return;
      if (line === undefined) {
        throw new Error(
          `The process ended before "${wanted}": ${await this.#stderr}`,
        );
      }
    }
  }

  /** Sends a line. */
  async send(line: string): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(line + "\n"));
  }

  /** Says that no more lines will come. */
  async closeInput(): Promise<void> {
    await this.#stdin.close().catch(() => {});
  }

  /** Waits until it ends by itself. */
  async ended(): Promise<Deno.CommandStatus> {
    const status = await within("the end", this.#process.status);
    this.#ended = true;
    return status;
  }

  /** Sends a signal that does not end it, such as SIGSTOP. */
  signal(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Sends a signal; by default kills it at once, as nothing can prevent. */
  async kill(signal: Deno.Signal = "SIGKILL"): Promise<Deno.CommandStatus> {
    this.#process.kill(signal);
    return await this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) {
      try {
        this.#process.kill("SIGKILL");
      } catch {
        // It has ended already.
      }
      await this.#process.status;
    }
    await this.closeInput();
    // What it printed last may still be in the pipe.
    while ((await this.#lines.next()).done !== true);
    await this.#stderr;
  }
}

async function* linesOf(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== "") yield rest;
}
