/**
 * Tools of the system.
 *
 * @module
 */

/** Runs a command to its end; whether it succeeded. */
export async function succeeds(...words: string[]): Promise<boolean> {
  return await failureOf(words) === undefined;
}

/**
 * Runs a command to its end.
 *
 * @throws {Error} If it fails, with what it said.
 */
export async function run(...words: string[]): Promise<void> {
  const failure = await failureOf(words);
  if (failure !== undefined) throw new Error(failure);
}

/** Whether this process is root. */
export function isRoot(): boolean {
  try {
    return Deno.uid() === 0;
  } catch {
    return false;
  }
}

async function failureOf(words: string[]): Promise<string | undefined> {
  try {
    const { success, stderr } = await new Deno.Command(words[0]!, {
      args: words.slice(1),
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    if (success) return undefined;
    return `${words.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`;
  } catch (error) {
    return `${words.join(" ")}: ${error}`;
  }
}
