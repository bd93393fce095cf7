/**
 * Which change of the voters comes next: odd numbers at rest, one step at a time
 * (agreement §1.4). No I/O: `../membership/agreement.ts` takes the step.
 *
 * Guarantees: one voter until three members are up, then three, from five on
 * five. A step towards more begins only when all that it needs are up, so that no
 * even number is left standing; a voter that is gone is replaced only where
 * somebody can take its place. The answer depends on the arguments only, so that
 * rivals want the same.
 *
 * @module
 */

import { type Config, seatOf } from "./config.ts";

/** What is known of the members. */
export interface MembersView {
  /** Whether a member answers, as far as known. */
  readonly isHealthy: (node: number) => boolean;
  /** Whether a member has been gone for so long that another is to vote for it. */
  readonly isGone: (node: number) => boolean;
  /** At most how many are to vote: 1, 3 or 5. */
  readonly votersMax: number;
}

/** A step of the electorate. */
export type ElectorateStep =
  | { readonly kind: "settle" }
  | {
    readonly kind: "promote";
    readonly node: number;
    /** Another one that is needed next: it is to be ready too. */
    readonly next?: number;
  }
  | { readonly kind: "retire"; readonly node: number };

/** How many are to vote, of so many members. */
export function electorateSize(members: number, votersMax: number): number {
  const size = members >= 5 ? 5 : members >= 3 ? 3 : 1;
  return Math.min(size, votersMax);
}

/** The next step; `undefined` if all is as it should be, or nobody can mend it. */
export function nextStep(
  config: Config,
  { isHealthy, isGone, votersMax }: MembersView,
): ElectorateStep | undefined {
  if (!config.settled) return { kind: "settle" };
  const voters = config.voters.map(({ node }) => node);
  const size = electorateSize(config.members.length, votersMax);
  const gone = voters.find(isGone);
  const candidates = config.members.filter((node) =>
    seatOf(config, node) === undefined && isHealthy(node)
  );
  const candidate = candidates[0];
  // Who does not answer first: those who are left are to be a majority that does.
  const last = voters.findLast((node) => !isHealthy(node)) ?? voters.at(-1)!;
  const retire = { kind: "retire", node: gone ?? last } as const;
  if (voters.length > size) return retire;
  const isEven = voters.length % 2 === 0;
  // To replace one takes one; to grow by two takes two, or one where one has come.
  const needed = gone !== undefined || isEven ? 1 : 2;
  const wanted = gone !== undefined || voters.length < size;
  if (candidate !== undefined && wanted && candidates.length >= needed) {
    const next = needed === 2 ? { next: candidates[1]! } : {};
    return { kind: "promote", node: candidate, ...next };
  }
  return isEven ? retire : undefined;
}
