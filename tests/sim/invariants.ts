/**
 * What must hold in every life of a cluster, each with its id. I1 to I7 are the
 * invariants of `shared/protocol/replication.md`.
 *
 * @module
 */

/** The invariants, and what each says. */
export const INVARIANTS = {
  I1: "once the faults have stopped, all nodes hold the same: keys, values, " +
    "versions, leaseholders and vectors, and within a minute no tombstone",
  I2:
    "an acked write is kept, superseded by a later version of its claim, or by " +
    "who took its key over from a removed node or claimed it after it was deleted, " +
    "or reported in a conflict, on " +
    "record and by an event of every node that met it; all nodes have covered it. " +
    "What only a disk held that was put back, or lost its power under durability " +
    "`written`, is gone with it",
  I3:
    "deleted stays deleted: below an acked delete no version comes back, and by " +
    "its own there is no value, anywhere",
  I4:
    "a batch is whole or absent on every node at every moment, on every disk " +
    "that a node is started on, at what a watch shows when it shows it, and in " +
    "every watch; what is missing of it in a watch was reported as a conflict",
  I5: "no dot names two contents",
  I6:
    "vectors tell the truth: of a covered record every key has that version " +
    "or one above it, and no entry is of a record that is not covered; they " +
    "speak of synced data only: what a node covered it covers after a crash",
  I7:
    "a watcher sees each version of a key at most once, in order, and every one " +
    "that was applied and did not lose, also those between two others: what it did " +
    "not see it was told of (`lagged`, `coalesced`), and then finds in the database",
  I8: "a node that merely crashed takes no whole copy in the place of its data",
  R1: "an acked write is readable at the node that made it",
  R2:
    "versions that are read at a node never go back while it runs, but where its " +
    "disk was put back or copied",
  R3:
    "what is read was written, under that key; what a version holds, wherever it " +
    "is met, is what was acked as that version",
  R4: "lists are in order, without doubles, within their prefix and limit",
  R5:
    "who has caught up has all that those who answered had when it asked them",
  C1:
    "of two commits that checked for one version at most one is acked, unless " +
    "the other is reported or excused as in I2",
  D1:
    "every call ends by its deadline, whatever other nodes do; the time apart " +
    "that its own node stood still or waited for its disk",
  B1: "queues and logs stay within their bounds",
  H1: "by one claim a key is led by one node, on all nodes and for ever",
  A1:
    "no node forgets a config that it knew; of one epoch all nodes know one " +
    "config, settled or not, and each is built on those before it",
  S1:
    "nodes that cover the same hold the same: in no life does an audit find a " +
    "divergence, whatever else goes wrong",
  G1:
    "once the faults have stopped, who leaves or is to be removed is gone within " +
    "a minute",
  K1: "node keys are unique, and a node keeps its own",
  N1:
    "nothing leaves a node before it is durable there: what others cover of its " +
    "writes it covers itself, while it runs and on its disk after a crash, but for " +
    "what a fault took from its disk",
  L1:
    "once the faults have stopped a random connected core converges by itself " +
    "within a minute, then all nodes within two, and the time that two copies take " +
    "at the world's rate",
  L2:
    "once all nodes have converged, all know one config within half a minute, " +
    "settled and with nothing left to be counted",
  L3:
    "once all nodes have converged, are healthy and settled, each can write within " +
    "half a minute a new key and one of every leaseholder, removed ones too, and " +
    "all nodes read it within as much",
  M1:
    "once all nodes have converged, all are healthy to each other within half " +
    "a minute",
  V1:
    "once all nodes have converged, vectors name no more than one origin a member " +
    "within a minute",
  T1: "the same seed gives the same trace (every 25th seed is run twice)",
  E1: "no error but those that the faults explain",
  F1:
    "a damaged disk, also under a node that runs, gives right data or a typed " +
    "error, never wrong data, nor " +
    "less: but for what no frame of the newest log says was synced, which nobody " +
    "can tell from a torn write",
} as const;

/** The id of an invariant. */
export type InvariantId = keyof typeof INVARIANTS;

/** An invariant that did not hold. */
export interface Violation {
  readonly id: InvariantId;
  /** Virtual time, in ms. */
  readonly at: number;
  readonly text: string;
}
