import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ClosedError, compareBytes, toText } from "../runtime/mod.ts";
import type { CommitRequestInit, KeyValue, ListOptions } from "./face.ts";
import { Transaction } from "./transaction.ts";

function home(stored: Record<string, string>) {
  const commits: CommitRequestInit[] = [];
  const encode = (text: string) => new TextEncoder().encode(text);
  const transaction = new Transaction({
    get: (key) => {
      const text = typeof key === "string" ? key : toText(key);
      return Promise.resolve(
        text in stored ? encode(stored[text]!) : undefined,
      );
    },
    async *list({ prefix, reverse }: ListOptions): AsyncIterable<KeyValue> {
      await undefined;
      const rows = Object.entries(stored).map(([key, value]) => ({
        key: encode(key),
        value: encode(value),
      })).sort((a, b) => compareBytes(a.key, b.key));
      if (reverse) rows.reverse();
      for (const row of rows) {
        if (toText(row.key).startsWith(String(prefix ?? ""))) yield row;
      }
    },
    commit: (request) => {
      commits.push(request);
      return Promise.resolve({ versions: [], token: "" });
    },
  });
  return { transaction, commits };
}

async function listed(
  transaction: Transaction,
  options: ListOptions = {},
): Promise<string[]> {
  const rows: string[] = [];
  for await (const { key, value } of transaction.list(options)) {
    rows.push(`${toText(key)}=${toText(value)}`);
  }
  return rows;
}

Deno.test("a transaction reads its own writes above what is stored", async () => {
  const { transaction } = home({ a: "1", c: "3", d: "4" });
  transaction.set("b", "2").set("c", "new").delete("d").set("e", "5");
  assertEquals(await transaction.get("d"), undefined);
  assertEquals(toText((await transaction.get("c"))!), "new");
  assertEquals(toText((await transaction.get("a"))!), "1");
  assertEquals(await listed(transaction), ["a=1", "b=2", "c=new", "e=5"]);
  assertEquals(await listed(transaction, { reverse: true, limit: 3 }), [
    "e=5",
    "c=new",
    "b=2",
  ]);
  assertEquals(await listed(transaction, { prefix: "c" }), ["c=new"]);
});

Deno.test("the last write of a key is committed, once, with the lease that was asked for", async () => {
  const { transaction, commits } = home({});
  transaction.set("a", "1", { lease: 3 }).delete("b").set("a", "2");
  await transaction.commit();
  assertEquals(commits.length, 1);
  const shown = commits[0]!.ops!.map((op) =>
    op.type === "set"
      ? `${toText(op.key as Uint8Array)}=${
        toText(op.value as Uint8Array)
      }@${op.lease}`
      : `-${toText(op.key as Uint8Array)}`
  );
  assertEquals(shown, ["a=2@3", "-b"]);
  await assertRejects(() => transaction.commit(), ClosedError);
});

Deno.test("a transaction that was left or rolled back commits nothing", async () => {
  const { transaction, commits } = home({});
  {
    await using left = transaction;
    left.set("a", "1");
  }
  assertThrows(() => transaction.set("a", "1"), ClosedError);
  await assertRejects(() => transaction.get("a"), ClosedError);
  await assertRejects(() => transaction.commit(), ClosedError);
  assertEquals(commits, []);
});
