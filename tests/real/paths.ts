/**
 * Directories and files of tests with real ones.
 *
 * @module
 */

/** A directory that is removed when disposed of. */
export class TempDir implements AsyncDisposable {
  /** Where it is. */
  readonly path: string;

  constructor() {
    this.path = Deno.makeTempDirSync({ prefix: "aspen-real-" });
  }

  /** A path inside. */
  at(name: string): string {
    return `${this.path}/${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** The path of a `file:` URL. */
export function fromFileUrl(url: URL): string {
  return decodeURIComponent(url.pathname);
}

/** The names in a directory that end so, sorted. */
export function namesIn(dir: string, end: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name)
    .filter((name) => name.endsWith(end)).sort();
}

/** Changes the bytes of a file. */
export function alterFile(
  path: string,
  alter: (bytes: Uint8Array) => Uint8Array | void,
): void {
  const bytes = Deno.readFileSync(path);
  Deno.writeFileSync(path, alter(bytes) ?? bytes);
}
