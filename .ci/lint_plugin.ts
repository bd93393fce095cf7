/**
 * The house rules that `deno lint` cannot know, as a lint plugin.
 *
 * - `aspen/layers`: which room may import what. `runtime` imports nothing of
 *   ours; `engine` and `transport` stand on `runtime`; `gossip` on `runtime` and
 *   on the faces of the two; `mod.ts` on all. Product code never imports tests.
 * - `aspen/world`: in `engine`, `transport`, `gossip` and `mod.ts` nothing comes
 *   from the platform that a seed cannot replay: no clock, timer, randomness,
 *   file, socket or worker but those handed in by `runtime/`, and nothing that
 *   depends on the garbage collector.
 *
 * Both judge product code only: `*_test.ts`, `testing/` folders and whatever
 * lies outside the rooms are free. The world rule knows no scopes: a name that
 * the file declares anywhere counts as its own everywhere in it.
 *
 * @module
 */

type Room = "runtime" | "engine" | "transport" | "gossip" | "mod.ts";
type Node = Deno.lint.Node;

const ROOT = new URL("../", import.meta.url).href;

/** What a room may import besides its own files: folders end in `/`. */
const LAYERS: Record<Room, { allowed: readonly string[]; instead: string }> = {
  "runtime": { allowed: [], instead: "runtime imports nothing of ours" },
  "engine": { allowed: ["runtime/"], instead: "engine stands on runtime only" },
  "transport": {
    allowed: ["runtime/"],
    instead: "transport stands on runtime only",
  },
  "gossip": {
    allowed: ["runtime/mod.ts", "engine/kv.ts", "transport/mod.ts"],
    instead:
      "gossip imports runtime/mod.ts, engine/kv.ts and transport/mod.ts only",
  },
  "mod.ts": {
    allowed: ["runtime/", "engine/", "transport/", "gossip/"],
    instead: "mod.ts imports the four rooms only",
  },
};

/** Packages that touch no clock, file or socket; the rest is the world's. */
const PACKAGES = ["@std/async", "@std/encoding"];

/** What of `@std/async` does not wait for time to pass. */
const UNTIMED = new Set(["abortable", "MuxAsyncIterator", "pooledMap", "tee"]);

const CLOCK = "use the Clock of runtime/runtime.ts that is handed in";
const TIMERS =
  "use the Timers of runtime/runtime.ts, or sleep and startDeadline of runtime/time.ts";
const RANDOM = "use the Random of runtime/runtime.ts that is handed in";
const FILES = "use the FileSystem of runtime/runtime.ts that is handed in";
const NETWORK = "use the Transport of runtime/runtime.ts that is handed in";
const ORDER =
  "it settles in an order that no seed controls; let runtime/ offer what is needed";
const COLLECTED =
  "when garbage is collected no seed decides; close what is to be closed";
const SILENT =
  "the module never writes to the console; report through events() or an error";

/** Names of the platform that product code does not touch. */
const GLOBALS: ReadonlyMap<string, string> = new Map([
  ["Deno", "use the Runtime of runtime/runtime.ts that is handed in"],
  ["globalThis", "name what you use, so that this rule can judge it"],
  ["self", "name what you use, so that this rule can judge it"],
  ["window", "name what you use, so that this rule can judge it"],
  ["global", "name what you use, so that this rule can judge it"],
  ["process", "use the Runtime of runtime/runtime.ts that is handed in"],
  ["navigator", "use the Runtime of runtime/runtime.ts that is handed in"],
  ["Date", CLOCK],
  ["Temporal", CLOCK],
  ["performance", CLOCK],
  ["setTimeout", TIMERS],
  ["setInterval", TIMERS],
  ["setImmediate", TIMERS],
  ["clearTimeout", TIMERS],
  ["clearInterval", TIMERS],
  ["clearImmediate", TIMERS],
  ["crypto", RANDOM],
  ["Worker", ORDER],
  ["BroadcastChannel", ORDER],
  ["MessageChannel", ORDER],
  ["CompressionStream", ORDER],
  ["DecompressionStream", ORDER],
  ["FinalizationRegistry", COLLECTED],
  ["WeakRef", COLLECTED],
  ["fetch", NETWORK],
  ["WebSocket", NETWORK],
  ["localStorage", FILES],
  ["sessionStorage", FILES],
  ["caches", FILES],
  ["console", SILENT],
]);

/** Members, by object, of names that are otherwise free. */
const MEMBERS: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map([
  ["Math", new Map([["random", RANDOM]])],
  ["AbortSignal", new Map([["timeout", TIMERS]])],
  ["Atomics", new Map([["wait", ORDER], ["waitAsync", ORDER]])],
]);

/** Where a file stands: its path from the root, and the room if it is product. */
function placeOf(filename: string): { path: string; room: Room } | undefined {
  const href = filename.startsWith("file:")
    ? filename
    : new URL(`file://${filename.replaceAll("\\", "/")}`).href;
  if (!href.startsWith(ROOT)) return undefined;
  const path = decodeURIComponent(href.slice(ROOT.length));
  if (path.endsWith("_test.ts") || path.includes("/testing/")) return undefined;
  const room = path.split("/")[0]!;
  return Object.hasOwn(LAYERS, room) ? { path, room: room as Room } : undefined;
}

/** The path from the root that a relative import means; `undefined` outside. */
function resolvePath(from: string, specifier: string): string | undefined {
  const href = new URL(specifier, ROOT + from).href;
  return href.startsWith(ROOT)
    ? decodeURIComponent(href.slice(ROOT.length))
    : undefined;
}

function isRelative(specifier: string): boolean {
  return /^(\.{0,2}\/|file:)/.test(specifier);
}

/** Whether a path is in, or is, `runtime/<name>`: a folder, or one file of it. */
function isRuntimePart(path: string, name: string): boolean {
  return path.startsWith(`runtime/${name}/`) || path === `runtime/${name}.ts`;
}

/** Why a product file may not import a path of ours; `undefined` if it may. */
function forbiddenPath(
  from: { path: string; room: Room },
  to: string | undefined,
): string | undefined {
  if (to === undefined) return "it lies outside the repository";
  if (to.endsWith("_test.ts") || to.includes("/testing/")) {
    return "product code never imports tests; move what is shared out of them";
  }
  if (
    isRuntimePart(to, "virtual") && !isRuntimePart(from.path, "virtual")
  ) {
    return "only tests import runtime/virtual; take a Runtime as an argument";
  }
  if (
    isRuntimePart(to, "deno") && !isRuntimePart(from.path, "deno") &&
    from.room !== "mod.ts"
  ) {
    return "only mod.ts imports runtime/deno; take a Runtime as an argument";
  }
  if (to === from.room || to.startsWith(`${from.room}/`)) return undefined;
  const { allowed, instead } = LAYERS[from.room];
  const ok = allowed.some((entry) =>
    entry.endsWith("/") ? to.startsWith(entry) : to === entry
  );
  return ok ? undefined : instead;
}

/** Why a product file may not import a package; `undefined` if it may. */
function forbiddenPackage(
  room: Room,
  specifier: string,
  names: readonly string[] | "all",
): string | undefined {
  if (room === "runtime") return undefined;
  if (specifier.startsWith("node:")) {
    return "product rooms import no node: modules; let runtime/ offer what is needed";
  }
  const name = PACKAGES.find((entry) =>
    specifier === entry || specifier.startsWith(`${entry}/`)
  );
  if (name === undefined) {
    return `product rooms import ${
      PACKAGES.join(" and ")
    } only; let runtime/ offer what is needed`;
  }
  if (name !== "@std/async") return undefined;
  if (names === "all") {
    return "import the functions by name, so that this rule can judge them";
  }
  const timed = names.filter((each) => !UNTIMED.has(each));
  if (timed.length === 0) return undefined;
  return `${timed.join(", ")} of @std/async may wait for time; ${TIMERS}`;
}

/** The text of a string literal, if a node is one. */
function literal(node: Node | null | undefined): string | undefined {
  return node?.type === "Literal" && typeof node.value === "string"
    ? node.value
    : undefined;
}

function nameOf(node: Node): string {
  return node.type === "Identifier" ? node.name : literal(node) ?? "";
}

const layers: Deno.lint.Rule = {
  create(context) {
    const place = placeOf(context.filename);
    if (place === undefined) return {};

    function judge(
      node: Node,
      source: Node | null | undefined,
      names: readonly string[] | "all",
    ): void {
      const specifier = literal(source);
      if (specifier === undefined) return;
      const reason = isRelative(specifier)
        ? forbiddenPath(place!, resolvePath(place!.path, specifier))
        : forbiddenPackage(place!.room, specifier, names);
      if (reason !== undefined) {
        context.report({
          node,
          message: `Cannot import "${specifier}" here: ${reason}`,
        });
      }
    }

    return {
      ImportDeclaration(node) {
        const named = node.specifiers.map((each) =>
          each.type === "ImportSpecifier" ? nameOf(each.imported) : undefined
        );
        const all = named.some((name) => name === undefined);
        judge(node, node.source, all ? "all" : named as string[]);
      },
      ExportNamedDeclaration(node) {
        judge(
          node,
          node.source,
          node.specifiers.map((each) => nameOf(each.local)),
        );
      },
      ExportAllDeclaration(node) {
        judge(node, node.source, "all");
      },
      ImportExpression(node) {
        judge(node, node.source, "all");
        if (literal(node.source) === undefined) {
          context.report({
            node,
            message:
              "Cannot import a computed path here: the layers could not be checked",
          });
        }
      },
      TSImportType(node) {
        // The parser gives the bare literal, whatever the declared type says.
        const argument = node.argument as Node;
        judge(
          node,
          argument.type === "TSLiteralType" ? argument.literal : argument,
          "all",
        );
      },
    };
  },
};

const world: Deno.lint.Rule = {
  create(context) {
    const place = placeOf(context.filename);
    if (place === undefined || place.room === "runtime") return {};

    const declared = new Set<string>();
    // By position: a shorthand property is visited as key and as value.
    const uses = new Map<
      number,
      { node: Node; root: string; name: string; reason: string }
    >();

    /** Collects the names that a declaration or a parameter binds. */
    function bind(pattern: Node | null | undefined): void {
      switch (pattern?.type) {
        case "Identifier":
          declared.add(pattern.name);
          break;
        case "ObjectPattern":
          for (const property of pattern.properties) {
            bind(
              property.type === "Property" ? property.value : property.argument,
            );
          }
          break;
        case "ArrayPattern":
          for (const element of pattern.elements) bind(element);
          break;
        case "AssignmentPattern":
          bind(pattern.left);
          break;
        case "RestElement":
          bind(pattern.argument);
          break;
      }
    }

    function bindFunction(
      node: { id?: Node | null; params: readonly Deno.lint.Parameter[] },
    ): void {
      bind(node.id);
      for (const param of node.params) {
        bind(param.type === "TSParameterProperty" ? param.parameter : param);
      }
    }

    /** Whether an identifier names a property or label, not a value or type. */
    function isOnlyAName(node: Node, parent: Node): boolean {
      const at = (other: Node | null | undefined) =>
        other?.range[0] === node.range[0] && other.range[1] === node.range[1];
      switch (parent.type) {
        case "MemberExpression":
          return !parent.computed && at(parent.property);
        case "TSQualifiedName":
          return at(parent.right);
        case "Property":
          return !parent.computed && !parent.shorthand && at(parent.key);
        case "PropertyDefinition":
        case "MethodDefinition":
        case "TSPropertySignature":
        case "TSMethodSignature":
        case "TSAbstractMethodDefinition":
        case "TSAbstractPropertyDefinition":
          return !parent.computed && at(parent.key);
        case "ImportSpecifier":
        case "ExportSpecifier":
        case "LabeledStatement":
        case "BreakStatement":
        case "ContinueStatement":
        case "TSNamedTupleMember":
        case "MetaProperty":
          return true;
        default:
          return false;
      }
    }

    return {
      ImportDeclaration(node) {
        for (const each of node.specifiers) bind(each.local);
      },
      VariableDeclarator(node) {
        bind(node.id);
      },
      FunctionDeclaration: bindFunction,
      FunctionExpression: bindFunction,
      ArrowFunctionExpression: bindFunction,
      ClassDeclaration(node) {
        bind(node.id);
      },
      TSInterfaceDeclaration(node) {
        bind(node.id);
      },
      TSTypeAliasDeclaration(node) {
        bind(node.id);
      },
      CatchClause(node) {
        bind(node.param);
      },
      Identifier(node) {
        const reason = GLOBALS.get(node.name);
        const members = MEMBERS.get(node.name);
        if (reason === undefined && members === undefined) return;
        const parent = node.parent;
        if (isOnlyAName(node, parent)) return;
        const root = node.name;
        if (reason !== undefined) {
          uses.set(node.range[0], { node, root, name: root, reason });
          return;
        }
        if (parent.type === "MemberExpression") {
          const member = parent.computed
            ? literal(parent.property)
            : nameOf(parent.property);
          const why = member === undefined ? undefined : members!.get(member);
          if (why !== undefined) {
            const name = `${root}.${member}`;
            uses.set(node.range[0], { node: parent, root, name, reason: why });
          }
        } else if (
          parent.type === "VariableDeclarator" &&
          parent.init?.range[0] === node.range[0]
        ) {
          const reason =
            "call its functions on it, so that this rule sees them";
          const name = `${root} as a value`;
          uses.set(node.range[0], { node, root, name, reason });
        }
      },
      "Program:exit"() {
        for (const { node, root, name, reason } of uses.values()) {
          if (declared.has(root)) continue;
          context.report({
            node,
            message: `Cannot use ${name} in a product room: ${reason}`,
          });
        }
      },
    };
  },
};

const plugin: Deno.lint.Plugin = {
  name: "aspen",
  rules: { layers, world },
};

export default plugin;
