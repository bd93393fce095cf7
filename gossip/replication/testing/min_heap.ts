/**
 * A queue in the order of a number; equal ones in the order of coming.
 *
 * @module
 */

/** Things, each at a time. */
export class MinHeap<T> {
  readonly #items: { at: number; n: number; value: T }[] = [];
  #n = 0;

  /** The lowest time. */
  get first(): number | undefined {
    return this.#items[0]?.at;
  }

  /** Puts something in. */
  push(at: number, value: T): void {
    const items = this.#items;
    const item = { at, n: this.#n++, value };
    let i = items.length;
    items.push(item);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(item, items[parent]!)) break;
      items[i] = items[parent]!;
      i = parent;
    }
    items[i] = item;
  }

  /** Takes what is first. */
  pop(): T | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (first === undefined || last === undefined) return undefined;
    if (items.length === 0) return first.value;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= items.length) break;
      if (
        child + 1 < items.length && isBefore(items[child + 1]!, items[child]!)
      ) child++;
      if (!isBefore(items[child]!, last)) break;
      items[i] = items[child]!;
      i = child;
    }
    items[i] = last;
    return first.value;
  }
}

function isBefore(
  a: { at: number; n: number },
  b: { at: number; n: number },
): boolean {
  return a.at < b.at || (a.at === b.at && a.n < b.n);
}
