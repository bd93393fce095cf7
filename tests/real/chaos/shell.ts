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
export async function isRoot(): Promise<boolean> {
  return (await finished(["id", "-u"])).said === "0";
}

async function failureOf(words: string[]): Promise<string | undefined> {
  const { success, complaint } = await finished(words);
  return success ? undefined : `${words.join(" ")}: ${complaint}`;
}

async function finished(
  words: string[],
): Promise<{ success: boolean; said: string; complaint: string }> {
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  try {
    const { success, stdout, stderr } = await new Deno.Command(words[0]!, {
      args: words.slice(1),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    return { success, said: text(stdout), complaint: text(stderr) };
  } catch (error) {
    return { success: false, said: "", complaint: String(error) };
  }
}
