/**
 * The nodes of a chaos run: each a process of its own on a directory of its own,
 * started again and again.
 *
 * @module
 */

import { Vector } from "../../../gossip/replication/vector.ts";
import type { OpenOptions } from "../../../mod.ts";
import { within } from "../child.ts";
import {
  type NodeReport,
  RemoteCallError,
  RemoteNode,
} from "../remote_node.ts";
import type { Guard } from "./guard.ts";
import type { ChaosNetwork } from "./network.ts";
import type { Oracle } from "./oracle.ts";
import { readConflicts, readVector } from "../rows.ts";
import { isRoot, run, succeeds } from "./shell.ts";

/** Size of the disk that becomes full. */
const DISK_BYTES = 96 * 1024 * 1024;
const FILL_CHUNK = new Uint8Array(256 * 1024);

/** Events after which a node is not what it should be. */
const WRONG_EVENTS = ["failed", "cloned", "handlerFailed"];

/** A copy of a node's directory; it goes when it is disposed of. */
export interface Image extends AsyncDisposable {
  readonly dir: string;
}

/** What all nodes share. */
export interface MemberContext {
  readonly root: string;
  readonly guard: Guard;
  readonly network: ChaosNetwork;
  readonly oracle: Oracle;
  /** Counts things that happened. */
  readonly count: (path: string, n?: number) => void;
}

/** One node. */
export class Member {
  readonly #context: MemberContext;
  readonly index: number;
  readonly dir: string;
  /** Whether it has a disk of its own, which can be filled. */
  ownDisk = false;
  /** The node while it is up, or stopped. */
  node: RemoteNode | undefined;
  key = 0;
  /** Whether a fault is at work on its process or disk. */
  busy = false;
  /** Whether its disk was full since it was last started. */
  starved = false;
  /** How long it was stopped, in all. */
  stoppedMs = 0;
  #address = "";

  constructor(index: number, context: MemberContext) {
    this.#context = context;
    this.index = index;
    this.dir = `${context.root}/node-${index}`;
  }

  /** Gives it a small disk of its own, where that can be had. */
  async mountDisk(): Promise<void> {
    if (!await isRoot()) return;
    await Deno.mkdir(this.dir);
    await this.#context.guard.atEnd("umount", this.dir);
    const size = `size=${DISK_BYTES}`;
    this.ownDisk = await succeeds(
      ...["mount", "-t", "tmpfs", "-o", size, "tmpfs", this.dir],
    );
  }

  /** Starts it, at an address that it never had or at the one it had last. */
  async start(open: OpenOptions, moved: boolean): Promise<void> {
    const { network, guard, root, oracle, count } = this.#context;
    await Deno.mkdir(this.dir, { recursive: true });
    const place = await network.place(this.index, moved);
    const start = (address: string) =>
      RemoteNode.start({
        dir: `${this.dir}/store`,
        open: { ...open, address },
        prefix: place.prefix,
        ...place.via !== undefined &&
          { via: { proxy: place.via, name: this.index } },
        onReport: (report) => this.#heard(report),
      });
    const node = await start(moved ? place.address : this.#address).catch(
      (error) => {
        if (!(error instanceof RemoteCallError)) throw error;
        if (error.code !== "AddressInUseError") throw error;
        // Somebody dials from that port just now.
        count("addressTaken");
        return start(place.address);
      },
    );
    await guard.killAtEnd(node.pid, root);
    network.located(this.index, node.address);
    this.#address = node.address;
    if (this.key !== 0 && node.key !== this.key) {
      oracle.violate(`node ${this.index} came back with another node key`);
    }
    this.key = node.key;
    this.node = node;
    this.starved = false;
    node.gone.addEventListener("abort", () => {
      if (this.node !== node) return;
      this.node = undefined;
      void node.stderr.then((text) =>
        oracle.violate(`node ${this.index} ended by itself: ${text}`)
      );
    });
  }

  /** Kills it, as nothing can prevent. */
  async kill(): Promise<void> {
    const { node } = this;
    this.node = undefined;
    await node?.kill();
  }

  /** Closes it; a node whose disk was full is killed if it cannot be closed. */
  async close(): Promise<void> {
    const { node } = this;
    this.node = undefined;
    try {
      await within(`the close of node ${this.index}`, node!.close());
    } catch (error) {
      if (!this.starved) this.#context.oracle.violate(`close: ${error}`);
      await node![Symbol.asyncDispose]();
    }
  }

  /** A copy of the directory of a node that is down. */
  async image(): Promise<Image> {
    const dir = await Deno.makeTempDir({ dir: this.#context.root });
    await run("cp", "-a", `${this.dir}/store`, dir);
    return {
      dir: `${dir}/store`,
      [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
    };
  }

  /** Puts the directory of a node that is down back to what a copy has. */
  async putBack(image: Image): Promise<void> {
    const { oracle } = this.#context;
    const store = `${this.dir}/store`;
    for (const { key, lost, batchKeys } of await readConflicts(store)) {
      oracle.conflict(key, lost, batchKeys);
    }
    oracle.discard({
      before: await readVector(store),
      after: await readVector(image.dir),
    });
    oracle.forgetShown(this.index);
    await Deno.remove(store, { recursive: true });
    await run("cp", "-a", image.dir, this.dir);
  }

  /** Runs a copy of it beside it for a while, as another process. */
  async runClone(
    image: Image,
    open: OpenOptions,
    forMs: number,
  ): Promise<void> {
    const { network, guard, root, oracle } = this.#context;
    const place = await network.place(this.index, false);
    oracle.images = true;
    {
      await using clone = await RemoteNode.start({
        dir: image.dir,
        open: { ...open, address: place.address },
        prefix: place.prefix,
        ...place.via !== undefined &&
          { via: { proxy: place.via, name: this.index } },
        onReport: ({ lost, batchKeys }) => {
          if (lost) oracle.conflict(lost.key, lost.version, batchKeys);
        },
      });
      await guard.killAtEnd(clone.pid, root);
      network.located(this.index, clone.address);
      await sleep(forMs);
      await clone.kill();
    }
    for (const { key, lost, batchKeys } of await readConflicts(image.dir)) {
      oracle.conflict(key, lost, batchKeys);
    }
    // With the copy goes what only it had.
    oracle.discard({
      before: await readVector(image.dir),
      after: new Vector(),
    });
  }

  /** Keeps it from running for a while. */
  async stop(forMs: number): Promise<void> {
    const node = this.node!;
    const began = performance.now();
    node.signal("SIGSTOP");
    await sleep(forMs);
    node.signal("SIGCONT");
    this.stoppedMs += performance.now() - began;
  }

  /** Leaves no byte free on its disk. */
  async fillDisk(): Promise<void> {
    this.starved = true;
    using file = await Deno.open(`${this.dir}/full`, {
      write: true,
      create: true,
    });
    for (let bytes = FILL_CHUNK; bytes.length > 0;) {
      try {
        await file.write(bytes);
      } catch {
        bytes = bytes.subarray(0, bytes.length >> 1);
      }
    }
  }

  /** Makes room again. */
  async freeDisk(): Promise<void> {
    await Deno.remove(`${this.dir}/full`);
  }

  #heard({ event, error, lost, batchKeys, shown, reset }: NodeReport): void {
    const { oracle, count } = this.#context;
    if (reset) oracle.forgetShown(this.index);
    for (const [key, version] of shown ?? []) {
      oracle.shown(this.index, key, version);
    }
    if (event === undefined) return;
    // What failed tells more than that something did.
    if (event === "peerFailed" || event === "refused") {
      count(`${event}: ${error!.split(":")[0]}`);
    } else if (event !== "engine") count(event);
    if (lost !== undefined) oracle.conflict(lost.key, lost.version, batchKeys);
    if (event === "cloned" && oracle.images) return;
    // Also of one whose disk is full: its rows are right all the same.
    if (event === "divergence") {
      oracle.violate(
        `S1: node ${this.index} holds what others do not: ${error}`,
      );
      return;
    }
    if (WRONG_EVENTS.includes(event) && !this.starved) {
      oracle.violate(`node ${this.index} says "${event}": ${error}`);
    }
  }
}

/** Waits. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
