/**
 * The newest report of each member, this node's own with them; they spread by
 * gossip, so that what a member has is known from whoever heard it last.
 *
 * Guarantees: of each member the newest report of the incarnation that was accepted
 * here counts, in whatever order they come and from whomever; a report of one that
 * was not is judged first, as its hello would be (rule S5 of the replication
 * protocol), and what an earlier one has said counts no more. One exchange makes
 * both sides equal, as far as the message's size allows.
 *
 * ```text
 * REPORTS := u8 0 | varint count | count x (u16 node | varint generation | varint number)
 *   reply := varint count | count x u16 node wanted | varint count | count x bytes report
 * REPORTS := u8 1 | varint count | count x bytes report
 *   reply := nothing
 * ```
 *
 * Bytes after these are fields of newer releases and are ignored.
 *
 * @module
 */

import {
  type Bytes,
  EMPTY_BYTES,
  FRAME_BYTES_MAX,
  NODE_KEY_MAX,
  Reader,
  Writer,
} from "../../runtime/mod.ts";
import { MessageType } from "../../transport/mod.ts";
import { SetHash } from "./mix.ts";
import { COUNTER_MAX } from "./node_record.ts";
import { decodeReport, encodeReport, type Report } from "./report.ts";

/** Reports of one message, in bytes, after which the rest waits for a later one. */
const REPORTS_BYTES_MAX = FRAME_BYTES_MAX / 2;

/** What tells which of two reports of a node is newer. */
type Age = Pick<Report, "generation" | "number">;

/** What the reports are made of. */
export interface ReportsOptions {
  /** The key of this node. */
  readonly node: number;
  /** Whether a node is a member. */
  readonly isMember: (node: number) => boolean;
  /**
   * Judges the incarnation of a report, and accepts it, durably. Resolves to whether
   * it counts.
   */
  readonly accept: (report: Report) => Promise<boolean>;
}

/** The newest report of each member. */
export class Reports {
  readonly #options: ReportsOptions;
  readonly #reports = new Map<number, { report: Report; bytes: Bytes }>();
  readonly #hash = new SetHash();

  /** Makes one that has heard nothing. */
  constructor(options: ReportsOptions) {
    this.#options = options;
  }

  /** The newest report of a node. */
  get(node: number): Report | undefined {
    return this.#reports.get(node)?.report;
  }

  /** Says what this node has. */
  say(report: Report): void {
    this.#put(report, encodeReport(report));
  }

  /** What a node has said counts no more: it is no member, or another incarnation. */
  forget(node: number): void {
    const old = this.#reports.get(node);
    if (old === undefined) return;
    this.#count(old.report, -1);
    this.#reports.delete(node);
  }

  /** Nothing that was heard counts any more, nor what this node has said. */
  clear(): void {
    for (const node of [...this.#reports.keys()]) this.forget(node);
  }

  /** What tells whether two nodes have heard the same. */
  hash(): Bytes {
    return this.#hash.bytes();
  }

  /** Exchanges with whoever answers `ask`; rejects as that does. */
  async run(
    ask: (type: number, payload: Uint8Array) => Promise<Uint8Array>,
  ): Promise<void> {
    const asked = new Writer(64).u8(0).varint(this.#reports.size);
    for (const [node, { report: { generation, number } }] of this.#reports) {
      asked.u16(node).varint(generation).varint(number);
    }
    const reader = new Reader(
      await ask(MessageType.REPORTS, asked.finish()),
      "the reply to reports",
    );
    const wanted: number[] = [];
    for (let n = reader.count(NODE_KEY_MAX); n > 0; n--) {
      wanted.push(reader.u16());
    }
    await this.#take(reader);
    if (wanted.length === 0) return;
    const given = new Writer(1024).u8(1);
    this.#write(given, wanted);
    await ask(MessageType.REPORTS, given.finish());
  }

  /**
   * Answers REPORTS.
   *
   * @throws {DecodeError} If the payload is none.
   */
  async answer(payload: Uint8Array): Promise<Bytes> {
    const reader = new Reader(payload, "reports");
    if (reader.u8() === 1) {
      await this.#take(reader);
      return EMPTY_BYTES;
    }
    const theirs = new Map<number, Age>();
    for (let n = reader.count(NODE_KEY_MAX); n > 0; n--) {
      theirs.set(reader.u16(), {
        generation: reader.count(COUNTER_MAX),
        number: reader.count(COUNTER_MAX),
      });
    }
    const wanted: number[] = [];
    for (const [node, age] of theirs) {
      if (this.#isNews(node, age)) wanted.push(node);
    }
    const newer: number[] = [];
    for (const [node, { report }] of this.#reports) {
      const known = theirs.get(node);
      if (known === undefined || compareAges(report, known) > 0) {
        newer.push(node);
      }
    }
    const writer = new Writer(1024).varint(wanted.length);
    for (const node of wanted) writer.u16(node);
    this.#write(writer, newer);
    return writer.finish();
  }

  #isNews(node: number, age: Age): boolean {
    const { node: own, isMember } = this.#options;
    if (node === own || !isMember(node)) return false;
    const known = this.get(node);
    return known === undefined || compareAges(age, known) > 0;
  }

  async #take(reader: Reader): Promise<void> {
    for (let n = reader.count(NODE_KEY_MAX); n > 0; n--) {
      const bytes = reader.bytes(FRAME_BYTES_MAX).slice();
      const report = decodeReport(bytes);
      if (!this.#isNews(report.node, report)) continue;
      if (!await this.#options.accept(report)) continue;
      // Others may have come while that was made durable.
      if (this.#isNews(report.node, report)) this.#put(report, bytes);
    }
  }

  #write(writer: Writer, nodes: readonly number[]): void {
    const parts: Bytes[] = [];
    let bytes = 0;
    for (const node of nodes) {
      const part = this.#reports.get(node)?.bytes;
      if (part === undefined) continue;
      if (parts.length > 0 && bytes + part.length > REPORTS_BYTES_MAX) break;
      parts.push(part);
      bytes += part.length;
    }
    writer.varint(parts.length);
    for (const part of parts) writer.bytes(part);
  }

  #put(report: Report, bytes: Bytes): void {
    this.forget(report.node);
    this.#reports.set(report.node, { report, bytes });
    this.#count(report, 1);
  }

  #count({ node, generation, number }: Report, sign: 1 | -1): void {
    this.#hash.count([node, generation, number], sign);
  }
}

function compareAges(a: Age, b: Age): number {
  return a.generation - b.generation || a.number - b.number;
}
