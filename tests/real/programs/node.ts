/**
 * A node that does what it is told by lines of JSON on its standard input, and
 * answers by such lines. It closes and ends when the input does, so that no node
 * outlives its test.
 */

import { type DatabaseEvent, open } from "../../../mod.ts";
import { ThroughProxy } from "../chaos/through_proxy.ts";
import { described, say, serve } from "../serve.ts";

interface Call {
  /** Of a commit: key, value or null, node that is to lead it or null. */
  readonly ops?: readonly [string, string | null, number | null][];
  readonly timeoutMs?: number;
  readonly key?: string;
}

const text = new TextDecoder();
const { dir, options, via, report } = JSON.parse(Deno.args[0]!);
const transport = via && new ThroughProxy(via.proxy, via.name);
const db = await open(dir, { ...options, ...via && { transport } }).catch(
  (error) => {
    say({ refused: described(error) });
    Deno.exit(1);
  },
);
const calls = {
  async commit({ ops, timeoutMs }: Call) {
    const { versions } = await db.commit({
      ops: ops!.map(([key, value, lease]) =>
        value === null
          ? { type: "delete" as const, key }
          : { type: "set" as const, key, value, ...lease !== null && { lease } }
      ),
    }, timeoutMs === undefined ? {} : { timeoutMs });
    return {
      versions: versions.map((version) => version ?? null),
      ...copies(),
    };
  },
  async get({ key }: Call) {
    const value = await db.get(key!);
    return value === undefined ? null : text.decode(value);
  },
  async list({ key }: Call) {
    const rows: [string, string][] = [];
    for await (const row of db.list({ prefix: key! })) {
      rows.push([text.decode(row.key), text.decode(row.value)]);
    }
    return rows;
  },
  async version({ key }: Call) {
    const entry = await db.getEntry(key!);
    return { version: entry?.version ?? null, ...copies() };
  },
  caughtUp: () => db.caughtUp(),
  nodes: () => [...db.cluster.nodes().values()],
  digest,
  metrics: () => db.metrics(),
  close: () => db.close(),
};
if (report) {
  void tellEvents();
  void tellChanges();
  void tellNodes();
}
const { key: node, address } = db.cluster.host;
say({ ready: { node, address } });
await serve<Call>(calls);
await db.close();

/** How often a whole copy took the place of what is here. */
function copies(): { copies: number } {
  return { copies: db.metrics().copiesTaken };
}

/** Stands for all that is alive here. */
async function digest(): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const key of db.keys()) {
    const entry = await db.getEntry(key);
    if (entry === undefined) continue;
    const { value, version, leaseholder } = entry;
    const row = JSON.stringify([
      text.decode(key),
      text.decode(value),
      version,
      leaseholder,
    ]);
    parts.push(new TextEncoder().encode(row));
  }
  const all = await new Blob(parts as BlobPart[]).arrayBuffer();
  const hash = await crypto.subtle.digest("SHA-256", all);
  return new Uint8Array(hash).toHex();
}

async function tellEvents(): Promise<void> {
  for await (const event of db.events() as AsyncIterable<DatabaseEvent>) {
    if (event.type === "conflict") {
      const { key, lost, batchKeys } = event.conflict;
      say({
        event: event.type,
        lost: { key: text.decode(key), version: lost.version },
        batchKeys: batchKeys.map((key) => text.decode(key)),
      });
    } else if (event.type === "divergence") {
      const error = JSON.stringify({
        node: event.node,
        keys: event.keys.map((each) => ({
          ...each,
          key: text.decode(each.key),
        })),
      });
      say({ event: event.type, error });
    } else if ("error" in event) {
      say({ event: event.type, error: String(event.error) });
    } else say({ event: event.type });
  }
}

async function tellChanges(): Promise<void> {
  for await (const changes of db.watch()) {
    const shown = changes.flatMap((change) =>
      change.type === "lagged" || change.type === "reset"
        ? []
        : [[text.decode(change.key), change.version]]
    );
    // A whole copy has come: all may be older than what was shown.
    const reset = changes.some(({ type }) => type === "reset");
    say({ shown, ...reset && { reset } });
  }
}

async function tellNodes(): Promise<void> {
  for await (const changes of db.cluster.watch()) {
    for (const { node } of changes) say({ standing: [node.key, node.state] });
  }
}
