/** Defects of `runtime/`, to be put in on purpose; see `mutants_table.ts`. */

import type { Mutant } from "./mutant.ts";

/** The defects. */
export const RUNTIME_MUTANTS: readonly Mutant[] = [
  {
    name: "bytes-compared-without-length",
    file: "runtime/bytes.ts",
    find: "  return a.length - b.length;",
    replace: "  return 0;",
    caughtBy: "tests/bytes_test.ts :: a prefix comes before",
  },
  {
    name: "varint-beyond-53-bits-accepted",
    file: "runtime/bytes.ts",
    find: "if (value > Number.MAX_SAFE_INTEGER) break;",
    replace: "if (value > Number.MAX_VALUE) break;",
    caughtBy: "tests/bytes_test.ts :: more than 53 bits",
  },
  {
    name: "what-a-writer-finished-is-written-over",
    file: "runtime/bytes.ts",
    find:
      "    const written = isCopied ? copyOf(this.view(), from) : this.view();",
    replace: "    const written = this.view();",
    caughtBy: "runtime/bytes_test.ts :: not touched by later writes",
  },
  {
    name: "writer-writes-on-in-what-it-gave-away",
    file: "runtime/bytes.ts",
    find: "    this.#bytes = EMPTY_BYTES;\n",
    replace: "",
    caughtBy: "runtime/bytes_test.ts :: not touched by later writes",
  },
  {
    name: "reads-stop-where-the-system-does",
    file: "runtime/deno/read_file.ts",
    find: "      while (done < length) {",
    replace: "      while (done < Math.min(length, 1)) {",
    caughtBy: "tests/real/short_reads_test.ts",
  },
  {
    name: "reads-of-the-rest-go-to-the-start",
    file: "runtime/deno/read_file.ts",
    find: "const part = done === 0 && length <= CALL_BYTES_MAX",
    replace: "const part = length <= CALL_BYTES_MAX",
    caughtBy: "tests/real/short_reads_test.ts",
  },
  {
    name: "reads-at-zero-go-on-from-the-last",
    file: "runtime/deno/read_file.ts",
    find: "0, part.length, position + done);",
    replace: "0, part.length, position + done || null);",
    caughtBy: "runtime/deno/files_test.ts :: is only read is neither cut",
  },
  {
    name: "files-only-read-stay-open",
    file: "runtime/deno/read_file.ts",
    find: "    closeSync(this.#handle);\n",
    replace: "",
    caughtBy: "runtime/deno/files_test.ts :: are given back",
  },
  {
    name: "directories-only-read-stay-open",
    file: "runtime/deno/read_file.ts",
    find: "      closeSync(handle);\n",
    replace: "",
    caughtBy: "runtime/deno/files_test.ts :: are given back",
  },
  {
    name: "reads-fail-without-a-type",
    file: "runtime/deno/read_file.ts",
    find: 'throw storageError("read", this.#path, error);',
    replace: "throw error;",
    caughtBy: "runtime/deno/files_test.ts :: is only read is neither cut",
  },
  {
    name: "refusals-of-the-system-lose-their-cause",
    file: "runtime/deno/system_error.ts",
    find: "return new FileNotFoundError(action, path, { cause: error });",
    replace: "return new FileNotFoundError(action, path);",
    caughtBy: "runtime/deno/system_error_test.ts",
  },
  {
    name: "threads-that-ended-are-said-to-be-up",
    file: "runtime/deno/workers.ts",
    find: "    return this.#worker !== undefined;",
    replace: "    return this.#lastCall > 0;",
    caughtBy: "runtime/deno/workers_test.ts :: nothing to do is ended",
  },
  {
    name: "thread-started-for-each-flush",
    file: "runtime/deno/workers.ts",
    find: `      : Math.min(max, Math.max(this.#idleMs, 2 * pause));`,
    replace: `      : Math.min(max, Math.max(min, 2 * pause));`,
    caughtBy: "runtime/deno/workers_test.ts :: asked again and again",
  },
  {
    name: "thread-kept-whoever-asks",
    file: "runtime/deno/workers.ts",
    find: `    this.#idleMs = pause > max
      ? min`,
    replace: `    this.#idleMs = pause > max
      ? max`,
    caughtBy: "runtime/deno/workers_test.ts :: asked again and again",
  },
  {
    name: "thread-asked-before-it-listens",
    file: "runtime/deno/workers.ts",
    find:
      "      for (const [call, { request }] of this.#calls) this.#send(call, request);\n",
    replace: "",
    caughtBy: "runtime/deno/workers_test.ts :: before it listens",
  },
  {
    name: "lock-left-to-a-forked-process",
    file: "runtime/deno/files.ts",
    find: "if (this.#locked) this.#file?.unlockSync();",
    replace: "",
    caughtBy: "runtime/deno/lock_test.ts",
  },
  {
    name: "tls-that-reads-on-and-on",
    file: "runtime/deno/tls.ts",
    find:
      "if (!this.#asked || this.#feeding || this.#chunks.length > 0) return;",
    replace: "if (!this.#asked || this.#feeding) return;",
    caughtBy: "runtime/deno/tls_test.ts :: what nobody reads",
  },
  {
    name: "tls-as-old-as-it-comes",
    file: "runtime/deno/tls.ts",
    find: `minVersion: "TLSv1.3",`,
    replace: `minVersion: "TLSv1.2",`,
    caughtBy: "runtime/deno/tls_test.ts :: nothing older than",
  },
  {
    name: "client-certificates-asked-for-and-not-judged",
    file: "runtime/deno/tls.ts",
    find: "rejectUnauthorized: clientCerts,",
    replace: "rejectUnauthorized: false,",
    caughtBy: "runtime/deno/tls_test.ts :: client certificates are demanded",
  },
  {
    name: "virtual-links-stay-slow-for-what-is-on-its-way",
    file: "runtime/virtual/network.ts",
    find: "        stream.redraw();",
    replace: "        void stream;",
    caughtBy: "runtime/virtual/faults_test.ts :: once the link is fast again",
  },
  {
    name: "slab-gives-bytes-twice",
    file: "runtime/slab.ts",
    find: "    this.#used = start + length;\n",
    replace: "    this.#used = start + (length >>> 1);\n",
    caughtBy: "runtime/slab_test.ts :: nobody else's",
  },
];
