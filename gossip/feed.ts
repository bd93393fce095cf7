/**
 * Feeds: streams of what happens, each with a bounded queue.
 *
 * Guarantees: a slow reader never holds up what it watches. Beyond the limit
 * items are dropped, and the reader is told how many, in their place in the
 * order; what it has then missed it can read from the database.
 *
 * @module
 */

/** What a feed is made of. */
export interface FeedOptions<T> {
  /** Weight of the items that may wait. */
  readonly weightMax: number;
  /** The weight of an item; 1 if absent. */
  readonly weigh?: (item: T) => number;
  /** The item that says how many were dropped. */
  readonly lagged: (missed: number) => T;
  /** The reader has gone, or the feed was closed. */
  readonly onEnd: () => void;
}

/** A stream of items with a bounded queue. */
export class Feed<T> {
  readonly #options: FeedOptions<T>;
  #queue: T[] = [];
  #weight = 0;
  #missed = 0;
  #wake: (() => void) | undefined;
  #closed = false;

  /** What the reader reads. */
  readonly stream: ReadableStream<T>;

  constructor(options: FeedOptions<T>) {
    this.#options = options;
    this.stream = new ReadableStream<T>({
      pull: (controller) => this.#pull(controller),
      cancel: () => this.close(),
    }, { highWaterMark: 0 });
  }

  /** Adds an item. */
  push(item: T): void {
    if (this.#closed) return;
    const weight = this.#options.weigh?.(item) ?? 1;
    const full = this.#queue.length > 0 &&
      this.#weight + weight > this.#options.weightMax;
    // Once something was dropped the rest is too, until the reader is told.
    if (full || this.#missed > 0) this.#missed++;
    else {
      this.#queue.push(item);
      this.#weight += weight;
    }
    this.#wake?.();
  }

  /** Ends the stream, after what waits. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake?.();
    this.#options.onEnd();
  }

  async #pull(controller: ReadableStreamDefaultController<T>): Promise<void> {
    while (
      this.#queue.length === 0 && this.#missed === 0 && !this.#closed
    ) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    this.#wake = undefined;
    const item = this.#queue.shift();
    if (item !== undefined) {
      this.#weight -= this.#options.weigh?.(item) ?? 1;
      controller.enqueue(item);
    } else if (this.#missed > 0) {
      const missed = this.#missed;
      this.#missed = 0;
      controller.enqueue(this.#options.lagged(missed));
    } else controller.close();
  }
}
