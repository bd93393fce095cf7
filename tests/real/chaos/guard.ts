/**
 * What a chaos run leaves behind: nothing, whatever happens to it.
 *
 * Guarantees: every command given to the guard runs, the last one first, once the
 * guard is disposed of or this process ends in any way, SIGKILL and Ctrl-C
 * included: the guard is a shell that waits for the end of its input and ignores
 * signals that a terminal sends.
 *
 * @module
 */

const SCRIPT = `
trap '' INT TERM HUP
all=
while IFS= read -r line; do
  all="$line
$all"
done
eval "$all"
`;

/** Runs commands at the end. */
export class Guard implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;

  constructor() {
    this.#process = new Deno.Command("sh", {
      args: ["-c", SCRIPT],
      stdin: "piped",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    this.#stdin = this.#process.stdin.getWriter();
  }

  /** Has a line of shell run at the end; each word is quoted. */
  async atEnd(...words: string[]): Promise<void> {
    await this.#line(words.map(quoted).join(" "));
  }

  /** Has a process killed at the end, if it is still the one with this word. */
  async killAtEnd(pid: number, word: string): Promise<void> {
    await this.#line(
      `grep -qsF ${quoted(word)} /proc/${pid}/cmdline && kill -9 ${pid}`,
    );
  }

  /** Runs the commands, and waits for them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.close();
    await this.#process.status;
  }

  async #line(line: string): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(line + "\n"));
  }
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
