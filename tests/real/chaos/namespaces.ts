/**
 * A network of network namespaces: one for each node, and one for the bridge
 * between them, so that packets are lost, and addresses move, for real. Needs root
 * and `ip`; `reset` needs `iptables`, `delay` and `throttle` the kernel's netem and tbf.
 *
 * Guarantees: whatever is changed is inside namespaces made here, which go with
 * the guard. There is no way out of them: no route, no gateway.
 *
 * @module
 */

import type { Guard } from "./guard.ts";
import {
  type ChaosNetwork,
  DELAY_MS,
  type Place,
  type Slowness,
  THROTTLED_BYTES,
} from "./network.ts";
import { isRoot, run, succeeds } from "./shell.ts";

/** How long connections between two nodes are answered by resets. */
const RESET_MS = 300;
/** Hosts of a /24, without those that are none: so many moves later an address comes again. */
const MOVES = 250;

/** A namespace for each node, and a bridge. */
export class NamespaceNetwork implements ChaosNetwork {
  readonly kind = "namespaces";
  readonly can: Set<Slowness | "reset"> = new Set();
  readonly #prefix: string;
  readonly #moves: number[];

  private constructor(prefix: string, nodes: number) {
    this.#prefix = prefix;
    this.#moves = Array(nodes).fill(0);
  }

  /** The network, or `undefined` where it cannot be had. */
  static async make(
    nodes: number,
    guard: Guard,
  ): Promise<NamespaceNetwork | undefined> {
    if (!await isRoot() || !await succeeds("ip", "-V")) return undefined;
    const network = new NamespaceNetwork(`aspen-chaos-${Deno.pid}`, nodes);
    try {
      await network.#build(nodes, guard);
      return network;
    } catch {
      return undefined;
    }
  }

  async place(node: number, moved: boolean): Promise<Place> {
    const name = this.#name(node);
    const host = (n: number) => `10.213.${node}.${1 + n % MOVES}`;
    const addr = ["ip", "-n", name, "addr"];
    if (moved) {
      const before = this.#moves[node]!++;
      // Without an address there is no route: what a dead node sent last ends here.
      if (before > 0) {
        await run(...addr, "del", `${host(before)}/16`, "dev", "eth0");
      }
      await run(...addr, "add", `${host(before + 1)}/16`, "dev", "eth0");
    }
    return {
      address: `${host(this.#moves[node]!)}:0`,
      prefix: ["ip", "netns", "exec", name],
      via: undefined,
    };
  }

  located(): void {
    // Addresses are found by their packets.
  }

  /** Packets to the other's subnet turn back at the door and vanish. */
  async setCut(from: number, to: number, cut: boolean): Promise<void> {
    await run(
      ...["ip", "-n", this.#name(from), "route", cut ? "replace" : "del"],
      ...[subnet(to), "dev", "lo"],
    );
  }

  async setSlow(node: number, slowness: Slowness | undefined): Promise<void> {
    const device = ["dev", "eth0", "root"];
    const tc = ["tc", "-n", this.#name(node), "qdisc"];
    if (slowness === undefined) await run(...tc, "del", ...device);
    else await run(...tc, "replace", ...device, ...qdisc(slowness));
  }

  async reset(a: number, b: number): Promise<void> {
    const rule = (verb: string, node: number, other: number) =>
      run(
        ...["ip", "netns", "exec", this.#name(node), "iptables", "-w", verb],
        ...["INPUT", "-s", subnet(other), "-p", "tcp"],
        ...["-j", "REJECT", "--reject-with", "tcp-reset"],
      );
    await rule("-A", a, b);
    await rule("-A", b, a);
    await new Promise((resolve) => setTimeout(resolve, RESET_MS));
    await rule("-D", a, b);
    await rule("-D", b, a);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The guard removes the namespaces, and all that is in them with them.
  }

  #name(node: number): string {
    return `${this.#prefix}-${node}`;
  }

  async #build(nodes: number, guard: Guard): Promise<void> {
    const hub = `${this.#prefix}-hub`;
    const add = async (name: string) => {
      await guard.atEnd("ip", "netns", "del", name);
      await run("ip", "netns", "add", name);
    };
    await add(hub);
    const bridge = ["link", "add", "name", "br0", "type", "bridge"];
    await run("ip", "-n", hub, ...bridge);
    await run("ip", "-n", hub, "link", "set", "br0", "up");
    for (let i = 0; i < nodes; i++) {
      const name = this.#name(i);
      await add(name);
      await run(
        ...["ip", "-n", hub, "link", "add", `veth${i}`, "type", "veth"],
        ...["peer", "name", "eth0", "netns", name],
      );
      const port = ["link", "set", `veth${i}`, "master", "br0", "up"];
      await run("ip", "-n", hub, ...port);
      for (const device of ["lo", "eth0"]) {
        await run("ip", "-n", name, "link", "set", device, "up");
      }
    }
    for (const slowness of ["delay", "throttle"] as const) {
      const tc = ["tc", "-n", hub, "qdisc"];
      const device = ["dev", "veth0", "root"];
      if (!await succeeds(...tc, "add", ...device, ...qdisc(slowness))) {
        continue;
      }
      await run(...tc, "del", ...device);
      this.can.add(slowness);
    }
    const iptables = ["iptables", "-w", "-L"];
    if (await succeeds("ip", "netns", "exec", hub, ...iptables)) {
      this.can.add("reset");
    }
  }
}

function subnet(node: number): string {
  return `10.213.${node}.0/24`;
}

function qdisc(slowness: Slowness): string[] {
  return slowness === "delay" ? ["netem", "delay", `${DELAY_MS}ms`] : [
    ...["tbf", "rate", `${THROTTLED_BYTES * 8}bit`],
    ...["burst", "4k", "latency", "400ms"],
  ];
}
