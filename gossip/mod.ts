/**
 * The cluster, as users see it: the database and the types of its face.
 *
 * @module
 */

export type { KeyLike, ValueLike } from "./check.ts";
export { DB } from "./db.ts";
export type {
  CaughtUp,
  Check,
  ClusterView,
  CommitOptions,
  CommitRequestInit,
  CommitResult,
  DeleteOp,
  EntryView,
  KeyValue,
  ListOptions,
  Metrics,
  RangeOptions,
  ReadOptions,
  SetOp,
  SetOptions,
  WriteResult,
} from "./face.ts";
export type { DatabaseEvent } from "./events.ts";
export type { CallOptions } from "./lease/router.ts";
export type { MemberLag } from "./membership/cluster.ts";
export type { AgreementMetrics } from "./membership/agreement.ts";
export type { EndpointMetrics } from "../transport/mod.ts";
export type { DetectorMetrics } from "./membership/detector.ts";
export type { DetectionMetrics } from "./membership/prober.ts";
export type {
  Heartbeat,
  MemberChange,
  Node,
  NodeState,
} from "./membership/mod.ts";
export {
  type Propagation,
  PROPAGATION_DEFAULT,
  PROPAGATION_FAST,
} from "./propagation.ts";
export type {
  AuditMetrics,
  Divergence,
  DivergenceSide,
  DivergentKey,
} from "./replication/audit.ts";
export type { Conflict, ConflictSide } from "./replication/conflict.ts";
export type { Dot, Origin } from "./replication/dot.ts";
export { compareVersions, type Version } from "./replication/entry.ts";
export type { SirState } from "./replication/rumours.ts";
export type { SpreadMetrics } from "./replication/spread.ts";
export { joinTokens, type Token } from "./token.ts";
export type { Transaction } from "./transaction.ts";
export type {
  Change,
  ChangeStream,
  KeyChange,
  LaggedChange,
  ResetChange,
  WatchOptions,
} from "./watch.ts";
