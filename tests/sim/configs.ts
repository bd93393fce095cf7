/**
 * The judge of configs (A1): what all nodes of a life have ever known is one chain.
 *
 * Guarantees: of an epoch all know one config, but for whether it has settled; and
 * who is a member, or was removed, stays so in all epochs after it, or was removed
 * since.
 *
 * Assumes: it is shown what nodes know often enough: a config is gone with the next.
 *
 * @module
 */

import {
  compareConfigs,
  type Config,
  decodeConfig,
  encodeConfig,
} from "../../gossip/register/config.ts";
import { equalBytes } from "../../runtime/bytes.ts";
import type { Oracle } from "./oracle.ts";

/** Judges the configs that nodes know. */
export class ConfigJudge {
  readonly #oracle: Pick<Oracle, "violate">;
  /** Those that were seen, one an epoch, and what each is but for settled. */
  readonly #seen: { readonly config: Config; readonly text: string }[] = [];
  /** The rows that nodes were last seen with, by name. */
  readonly #rows = new Map<string, Uint8Array>();

  /** Has seen none. */
  constructor(oracle: Pick<Oracle, "violate">) {
    this.#oracle = oracle;
  }

  /** Judges what a node knows, by the row on its disk. */
  judge(name: string, row: Uint8Array): void {
    const last = this.#rows.get(name);
    if (last !== undefined && equalBytes(row, last)) return;
    this.#rows.set(name, row.slice());
    const config = decodeConfig(row);
    const text = encodeConfig({ ...config, settled: true }).join();
    for (const known of this.#seen) {
      const order = compareConfigs(known.config, config);
      if (order === 0 && known.text === text) return;
      const [before, after] = order < 0
        ? [known.config, config]
        : [config, known.config];
      if (order !== 0 && isBuiltOn(after, before)) continue;
      this.#oracle.violate(
        "A1",
        `${name} knows ${configText(config)}, others knew ${
          configText(known.config)
        }`,
      );
      break;
    }
    this.#seen.push({ text, config });
  }
}

/** Whether a config may come after another: no member is lost, none comes back. */
function isBuiltOn(after: Config, before: Config): boolean {
  const gone = new Set(after.removed);
  const there = new Set(after.members);
  return before.removed.every((node) => gone.has(node)) &&
    before.members.every((node) => there.has(node) || gone.has(node));
}

function configText({ era, epoch, voters, ...config }: Config): string {
  const { members, removed, sealing } = config;
  const nodes = voters.map(({ node }) => node);
  return `${era}.${epoch} ${
    JSON.stringify({ members, voters: nodes, removed, sealing })
  }`;
}
