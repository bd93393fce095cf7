/**
 * One life of one node in a virtual world: from `world.runtime(name)` to
 * `world.kill(name)`.
 *
 * Guarantees: what a host waits for never comes once it is dead: its timers do
 * not fire, its promises do not settle, and what its leftover continuations call
 * neither throws nor reaches anybody. While a host is stalled nothing of it runs
 * either, and its clock goes on; what came in the meantime runs in its order
 * afterwards, one event each.
 *
 * @module
 */

import type { Clock, Timer, Timers } from "../runtime.ts";
import type { Prng } from "./prng.ts";
import type { ScheduledEvent, Scheduler } from "./scheduler.ts";
import type { Trace } from "./trace.ts";

/** The wall-clock time at virtual time 0: 2026-01-01T00:00:00Z, in ms. */
export const EPOCH_MS = 1_767_225_600_000;

/** A node while it lives. */
export class Host {
  /** The node's name. */
  readonly name: string;
  /** Decides what the world does to this host (not what the host draws). */
  readonly fate: Prng;
  readonly #scheduler: Scheduler;
  readonly #trace: Trace;
  #diedAt: number | undefined;
  /** While it is stalled: what runs when it wakes. */
  #deferred: (() => void)[] | undefined;
  #wakesAt = 0;

  /** A host in the world of `scheduler`. */
  constructor(name: string, scheduler: Scheduler, trace: Trace, fate: Prng) {
    this.name = name;
    this.fate = fate;
    this.#scheduler = scheduler;
    this.#trace = trace;
  }

  /** Whether it still runs. */
  get alive(): boolean {
    return this.#diedAt === undefined;
  }

  /** Whether it is alive and nothing of it runs. */
  get stalled(): boolean {
    return this.#deferred !== undefined && this.alive;
  }

  /** Virtual time in milliseconds; stands still after death. */
  get now(): number {
    return this.#diedAt ?? this.#scheduler.now;
  }

  /** Runs `callback` later, if the host still lives then. */
  schedule(
    delayMs: number,
    label: string,
    callback: () => void,
  ): ScheduledEvent {
    const event = this.#scheduler.schedule(
      this.alive ? delayMs : Infinity,
      `${this.name} ${label}`,
      () => {
        if (!this.alive) return;
        if (this.#deferred === undefined) callback();
        // What runs first at the waking may take it back.
        else this.#deferred.push(() => event.cancelled || callback());
      },
    );
    return event;
  }

  /** Runs `callback`, which something outside sets off, as soon as it can. */
  run(callback: () => void): void {
    if (!this.alive) return;
    if (this.#deferred === undefined) callback();
    else this.#deferred.push(callback);
  }

  /** Lets nothing of it run for `ms` milliseconds. */
  stall(ms: number): void {
    if (!this.alive) return;
    this.trace("stall", String(ms));
    this.#wakesAt = Math.max(this.#wakesAt, this.now + ms);
    if (this.#deferred !== undefined) return;
    this.#deferred = [];
    this.#wakeAt(this.#wakesAt);
  }

  #wakeAt(time: number): void {
    this.#scheduler.schedule(time - this.now, `${this.name} wakes`, () => {
      if (!this.alive) return;
      if (this.now < this.#wakesAt) return this.#wakeAt(this.#wakesAt);
      const next = this.#deferred!.shift();
      // Until all that waits has run, what comes waits behind it.
      if (next === undefined) this.#deferred = undefined;
      else {
        next();
        this.#wakeAt(this.now);
      }
    });
  }

  /** Records an event of this host. */
  trace(kind: string, detail: string): void {
    if (this.alive) this.#trace.add(this.now, this.name, kind, detail);
  }

  /** Ends it. */
  die(): void {
    this.#diedAt ??= this.#scheduler.now;
  }
}

/** A promise that never settles: what the dead wait for. */
export function never<T>(): Promise<T> {
  return new Promise(() => {});
}

/** The clock of a host; its wall clock may be wrong. */
export class VirtualClock implements Clock {
  readonly #host: Host;
  readonly #skewMs: () => number;

  /** A clock that is off by `skewMs()` milliseconds. */
  constructor(host: Host, skewMs: () => number) {
    this.#host = host;
    this.#skewMs = skewMs;
  }

  /** Wall-clock time, in milliseconds since 1970. */
  now(): number {
    return Math.floor(EPOCH_MS + this.#host.now + this.#skewMs());
  }

  /** Time that never goes back, in milliseconds. */
  monotonic(): number {
    return this.#host.now;
  }
}

/** The timers of a host; all are alike, persistent or not. */
export class VirtualTimers implements Timers {
  readonly #host: Host;

  /** Timers of `host`. */
  constructor(host: Host) {
    this.#host = host;
  }

  /** Calls `callback` once, after `delayMs` milliseconds. */
  set(callback: () => void, delayMs: number): Timer {
    return this.#host.schedule(delayMs, `timer of ${delayMs} ms`, () => {
      this.#host.trace("timer", String(delayMs));
      callback();
    });
  }
}
