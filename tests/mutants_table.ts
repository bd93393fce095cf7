/**
 * Defects to be put in on purpose. Each names a test that must fail with it: a
 * promise without such a test is only a hope. `deno task mutants` tries them.
 *
 * To add one, in the file of its room in `mutants/`: copy the text to break into
 * `find` as it stands in the file (it must occur exactly once, so take as many
 * lines as that needs), write the broken text, and name the test that is meant to
 * notice. The broken code must still type-check.
 *
 * @module
 */

import { ENGINE_MUTANTS } from "./mutants/engine.ts";
import { ENGINE_COMMIT_MUTANTS } from "./mutants/engine_commit.ts";
import { ENGINE_MEMTABLE_MUTANTS } from "./mutants/engine_memtable.ts";
import { ENGINE_MERGE_MUTANTS } from "./mutants/engine_merge.ts";
import { ENGINE_TABLE_MUTANTS } from "./mutants/engine_table.ts";
import { GOSSIP_MUTANTS } from "./mutants/gossip.ts";
import { GOSSIP_ANTI_ENTROPY_MUTANTS } from "./mutants/gossip_anti_entropy.ts";
import { GOSSIP_LEASE_MUTANTS } from "./mutants/gossip_lease.ts";
import { GOSSIP_MEMBERSHIP_MUTANTS } from "./mutants/gossip_membership.ts";
import { GOSSIP_REGISTER_MUTANTS } from "./mutants/gossip_register.ts";
import { GOSSIP_REPLICATION_MUTANTS } from "./mutants/gossip_replication.ts";
import { GOSSIP_RUMOURS_MUTANTS } from "./mutants/gossip_rumours.ts";
import { RUNTIME_MUTANTS } from "./mutants/runtime.ts";
import { SIM_MUTANTS } from "./mutants/sim.ts";
import { TRANSPORT_MUTANTS } from "./mutants/transport.ts";
import type { Mutant } from "./mutants/mutant.ts";

/** All defects: a file a room, or a part of one. */
export const MUTANTS: readonly Mutant[] = [
  ...ENGINE_MUTANTS,
  ...ENGINE_COMMIT_MUTANTS,
  ...ENGINE_MEMTABLE_MUTANTS,
  ...ENGINE_MERGE_MUTANTS,
  ...ENGINE_TABLE_MUTANTS,
  ...GOSSIP_MUTANTS,
  ...GOSSIP_ANTI_ENTROPY_MUTANTS,
  ...GOSSIP_LEASE_MUTANTS,
  ...GOSSIP_MEMBERSHIP_MUTANTS,
  ...GOSSIP_REGISTER_MUTANTS,
  ...GOSSIP_REPLICATION_MUTANTS,
  ...GOSSIP_RUMOURS_MUTANTS,
  ...RUNTIME_MUTANTS,
  ...SIM_MUTANTS,
  ...TRANSPORT_MUTANTS,
];
