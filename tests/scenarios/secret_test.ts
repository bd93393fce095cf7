/**
 * Clusters whose nodes share a secret.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type DB,
  JoinAbortedError,
  LeaseholderUnavailableError,
  type OpenOptions,
  SecretMismatchError,
} from "../../mod.ts";
import { assertReads, collect, scenario } from "../sim/cluster.ts";

const OLD = "the old secret of all nodes";
const NEW = new TextEncoder().encode("the new secret of all nodes");

scenario(
  "who has not got the secret is not let in, and told why; who has it is",
  async (cluster) => {
    const a = await cluster.open("a", { secret: OLD });
    await cluster.open("b", { secret: OLD });
    await a.set("key", "value");
    await cluster.converged("a", "b");
    const strangers: OpenOptions[] = [{}, { secret: NEW }];
    for (const [i, options] of strangers.entries()) {
      const aborting = new AbortController();
      const joining = assertRejects(
        () => cluster.open(`x${i}`, { ...options, signal: aborting.signal }),
        JoinAbortedError,
      );
      await cluster.world.sleep(10_000);
      aborting.abort();
      const { cause } = await joining;
      assert(cause instanceof SecretMismatchError, `${cause}`);
    }
    assertEquals(a.cluster.nodes().size, 2);
    const c = await cluster.open("c", { secret: OLD });
    await assertReads(c, "key", "value");
  },
);

scenario(
  "the secret of a cluster changes without a moment in which it does not serve",
  async (cluster) => {
    const names = ["a", "b", "c"];
    const dbs = new Map<string, DB>();
    for (const name of names) {
      dbs.set(name, await cluster.open(name, { secret: OLD }));
    }
    await dbs.get("a")!.set("key", "0");
    await cluster.converged(...names);
    let written = 0;
    for (const secret of [[NEW, OLD], NEW]) {
      for (const name of names) {
        await dbs.get(name)!.close();
        const reopening = cluster.reopen(name, { secret });
        // The rest serves meanwhile.
        const [one, two] = names.filter((each) => each !== name);
        await dbs.get(one!)!.set(`of ${one}`, `${written}`);
        await dbs.get(two!)!.set(`of ${one}`, `${written} again`);
        dbs.set(name, await reopening);
        const events = collect(dbs.get(name)!.events());
        // Written at the one that is new, led by another one.
        const other = names[(names.indexOf(name) + 1) % 3]!;
        await dbs.get(other)!.set(`led by ${other}`, "");
        await cluster.converged(...names);
        await dbs.get(name)!.set(`led by ${other}`, `${++written}`);
        await cluster.converged(...names);
        assert(!events.flat().some(({ type }) => type === "refused"));
      }
    }
    for (const db of dbs.values()) await assertReads(db, "led by a", "6");
    // A key whose leaseholder has another secret cannot be written, and says so.
    await dbs.get("a")!.set("of a", "");
    await cluster.converged(...names);
    await dbs.get("b")!.close();
    const b = await cluster.reopen("b", { secret: "yet another secret" });
    const refused = await assertRejects(
      () => b.set("of a", "x"),
      LeaseholderUnavailableError,
    );
    assert(refused.cause instanceof SecretMismatchError, `${refused.cause}`);
    const old = new AbortController();
    const late = assertRejects(
      () => cluster.open("late", { secret: OLD, signal: old.signal }),
      JoinAbortedError,
    );
    await cluster.world.sleep(3000);
    old.abort();
    assert((await late).cause instanceof SecretMismatchError);
  },
);
