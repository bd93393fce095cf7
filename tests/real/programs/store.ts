// deno-lint-ignore-file no-console -- it prints how far it got
/**
 * A program as users write them: opens a database, sets, and ends in one of
 * several ways. Arguments: directory, options, ending.
 */

import { open } from "../../../mod.ts";

const [dir, options, ending] = Deno.args;

async function main(): Promise<void> {
  switch (ending) {
    case "using": {
      await using db = await open(dir!, JSON.parse(options!));
      await db.set("key", "value");
      break;
    }
    case "forgets": {
      const db = await open(dir!, JSON.parse(options!));
      await db.set("key", "value");
      if (db.cluster.host.address !== "") console.log(db.cluster.host.address);
      break;
    }
    case "reads": {
      const db = await open(dir!, JSON.parse(options!));
      const watch = db.watch().getReader();
      const next = watch.read();
      await db.set("key", "value");
      await next;
      // Nobody will write again.
      void watch.read();
      void db.events().getReader().read();
      break;
    }
    case "many": {
      const db = await open(dir!, JSON.parse(options!));
      const sets: Promise<unknown>[] = [];
      for (let i = 0; i < 300; i++) sets.push(db.set(`key ${i}`, "value"));
      await db.set("key", "value");
      await Promise.all(sets);
      break;
    }
    case "large": {
      // More than stays in memory: writes wait for tables to be written.
      const db = await open(dir!, JSON.parse(options!));
      const sets: Promise<unknown>[] = [];
      for (let i = 0; i < 40; i++) {
        sets.push(db.set(`key ${i}`, new Uint8Array(1024 * 1024)));
      }
      await Promise.all(sets);
      await db.set("key", "value");
      break;
    }
  }
  console.log("done");
}

// Not awaited: the process must not end before the promise has settled.
void main();
