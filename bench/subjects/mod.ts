/** The stores by name. */

import type { SubjectKind } from "../engine/subject.ts";
import type { SubjectName } from "../peers/settings.ts";
import { aspen } from "./aspen.ts";
import { classicLevel } from "./classic_level.ts";
import { denoKv } from "./deno_kv.ts";
import { lmdb } from "./lmdb.ts";
import { map } from "./map.ts";
import { nodeSqlite } from "./node_sqlite.ts";

/** How to open each store. */
export const SUBJECTS: Readonly<Record<SubjectName, SubjectKind>> = {
  "aspen": aspen,
  "classic-level": classicLevel,
  "lmdb": lmdb,
  "node:sqlite": nodeSqlite,
  "deno-kv": denoKv,
  "map": map,
};
