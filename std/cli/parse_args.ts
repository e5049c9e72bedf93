/**
 * Command line arguments in the manner of minimist.
 *
 * @module
 */

type Names = string | undefined;
type Switches = boolean | string | undefined;
type Aliases = Record<string, string | readonly string[]>;

/**
 * The names that become keys of the result: not those with dots (parts of objects), and none at all
 * where the compiler knows no more than `string`.
 */
type Keys<TNames, TName = Extract<TNames, string>> = string extends TName ? never
  : Exclude<TName, "_" | `${string}.${string}`>;

/** The value of one option: a list if it is collected, also `false` if it can be negated. */
type ValueOf<TName, TType, TCollect, TNegatable> =
  | (TName extends TCollect ? TType[] : TType)
  | (TName extends TNegatable ? false : never);

/** What each declared option holds before its default is considered. */
type Declared<TBooleans, TStrings, TCollect, TNegatable> =
  & { [K in Keys<TBooleans>]: ValueOf<K, boolean, TCollect, TNegatable> }
  & { [K in Extract<Keys<TStrings>, TCollect>]: ValueOf<K, string, TCollect, TNegatable> }
  & { [K in Exclude<Keys<TStrings>, TCollect>]?: ValueOf<K, string, TCollect, TNegatable> }
  & {
    [K in Exclude<Keys<TCollect>, TBooleans | TStrings>]: ValueOf<K, unknown, TCollect, TNegatable>;
  };

/** An option with a default is always there, and may hold the default. */
type WithDefaults<TOptions, TDefaults> = TDefaults extends Record<string, unknown> ?
    & Omit<TOptions, keyof TDefaults>
    & {
      [K in keyof TDefaults]: K extends keyof TOptions ? NonNullable<TOptions[K]> | TDefaults[K]
        : unknown;
    }
  : TOptions;

/** Each option under its name and under its aliases. */
type WithAliases<TOptions, TAliases> = {
  [
    K in keyof TOptions as
      | K
      | (K extends keyof TAliases ? TAliases[K] extends string ? TAliases[K]
        : TAliases[K] extends readonly (infer Alias extends string)[] ? Alias
        : never
        : never)
  ]: TOptions[K];
};

/** All options; of any type when none was declared. */
type Values<TBooleans, TStrings, TCollect, TNegatable, TDefaults, TAliases> =
  [Exclude<TBooleans, false> | TStrings | TCollect] extends [undefined]
    // deno-lint-ignore no-explicit-any
    ? Record<string, any>
    :
      & Record<string, unknown>
      & WithAliases<
        WithDefaults<Declared<TBooleans, TStrings, TCollect, TNegatable>, TDefaults>,
        TAliases
      >;

type DoubleDash = {
  /** The arguments after `--`. */
  "--"?: string[];
};

/** What {@linkcode parseArgs} returns: the options by name, and the other arguments. */
export type Args<
  // deno-lint-ignore no-explicit-any
  TArgs extends Record<string, unknown> = Record<string, any>,
  TDoubleDash extends boolean | undefined = undefined,
> =
  & TArgs
  & {
    /** The arguments that belong to no option. */
    _: Array<string | number>;
  }
  & (boolean extends TDoubleDash ? DoubleDash
    : true extends TDoubleDash ? Required<DoubleDash>
    : Record<never, never>);

/** How {@linkcode parseArgs} reads the arguments. */
export interface ParseOptions<
  TBooleans extends Switches = Switches,
  TStrings extends Names = Names,
  TCollectable extends Names = Names,
  TNegatable extends Names = Names,
  TDefault extends Record<string, unknown> | undefined = Record<string, unknown> | undefined,
  TAliases extends Aliases | undefined = Aliases | undefined,
  TDoubleDash extends boolean | undefined = boolean | undefined,
> {
  /** Whether the arguments after `--` go to `"--"` instead of `_` (default: false). */
  "--"?: TDoubleDash;
  /** Other names of options: whichever is used, all hold the value. */
  alias?: TAliases;
  /** Options that take no value and are `false` unless given; `true` for all with two hyphens. */
  boolean?: TBooleans | ReadonlyArray<Extract<TBooleans, string>>;
  /** The values of options that are not given. */
  default?: TDefault;
  /** Whether the first argument that belongs to no option ends the options (default: false). */
  stopEarly?: boolean;
  /** Options whose values stay strings, even if they look like numbers. */
  string?: TStrings | ReadonlyArray<Extract<TStrings, string>>;
  /** Options that hold a list of all the values given, not the last one. */
  collect?: TCollectable | ReadonlyArray<Extract<TCollectable, string>>;
  /** Options that `--no-NAME` sets to `false`. */
  negatable?: TNegatable | ReadonlyArray<Extract<TNegatable, string>>;
  /**
   * Called for each argument that belongs to no option declared in `boolean`, `string` or `alias`,
   * with the argument and, if it is an option, its name and value. `false` drops the argument.
   */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

type Value = string | number | boolean;
type Nested = { [key: string]: unknown };

/**
 * Reads command line arguments.
 *
 * `--name value`, `--name=value`, `-n value`, `-n=value` and `-n5` give an option a value, `--name`
 * and `-n` set it to `true` (to `""` if it is a string), and `-abc` is `-a -b -c`. A value that
 * looks like a number becomes one unless the option is declared a string. A name with dots makes
 * nested objects. The value of an option never begins with a hyphen unless it is given with `=`.
 *
 * @param args The arguments, as in `Deno.args`.
 * @param options How to read them.
 * @returns The options by name and alias, and the other arguments as `_`.
 * @throws {TypeError} When an alias is `undefined`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseArgs } from "@std/cli/parse-args";
 *
 * const args = parseArgs(["--model", "mistral", "--no-color", "-q", "a.txt"], {
 *   string: ["model"],
 *   boolean: ["color", "quiet"],
 *   negatable: ["color"],
 *   default: { color: true },
 *   alias: { quiet: "q" },
 * });
 * assertEquals(args, { model: "mistral", color: false, quiet: true, q: true, _: ["a.txt"] });
 * ```
 */
export function parseArgs<
  TArgs extends Values<TBooleans, TStrings, TCollectable, TNegatable, TDefaults, TAliases>,
  TDoubleDash extends boolean | undefined = undefined,
  TBooleans extends Switches = undefined,
  TStrings extends Names = undefined,
  TCollectable extends Names = undefined,
  TNegatable extends Names = undefined,
  TDefaults extends Record<string, unknown> | undefined = undefined,
  const TAliases extends Aliases | undefined = undefined,
>(
  args: string[],
  options: ParseOptions<
    TBooleans,
    TStrings,
    TCollectable,
    TNegatable,
    TDefaults,
    TAliases,
    TDoubleDash
  > = {},
): Args<TArgs, TDoubleDash> {
  const aliases = groupAliases(options.alias ?? {});
  const booleans = namesOf(options.boolean, aliases);
  const strings = namesOf(options.string, aliases);
  const collected = namesOf(options.collect, aliases);
  const negatable = namesOf(options.negatable, aliases);
  const allBoolean = options.boolean === true;
  const result: Nested & { _: Array<string | number> } = { _: [] };

  function assign(name: string, value: unknown, collect: boolean) {
    for (const each of [name, ...aliases.get(name) ?? []]) setAt(result, each, value, collect);
  }

  function setOption(arg: string, name: string, value: Value, collect = collected.has(name)) {
    const known = booleans.has(name) || strings.has(name) || aliases.has(name) ||
      allBoolean && /^--[^=]+$/.test(arg);
    if (!known && options.unknown?.(arg, name, value) === false) return;
    assign(name, strings.has(name) ? value : numberIfNumeric(value), collect);
  }

  /** The value of an option that stands alone. */
  const bare = (name: string) => strings.has(name) ? "" : true;

  /** The value that the next argument gives to an option, if it gives one. */
  function valueFrom(next: string | undefined, takesValue: boolean): Value | undefined {
    if (!next) return undefined;
    if (takesValue) return next;
    return next === "true" ? true : next === "false" ? false : undefined;
  }

  const end = args.indexOf("--");
  const parsed = end < 0 ? args : args.slice(0, end);
  const rest = end < 0 ? [] : args.slice(end + 1);

  for (let i = 0; i < parsed.length; i++) {
    const arg = parsed[i]!;
    const next = parsed[i + 1];

    if (/^--./s.test(arg)) {
      const [, no = "", base, given] = /^--(no-)?(.+?)(?:=(.+))?$/s.exec(arg)!;
      if (given !== undefined) {
        setOption(arg, base!, booleans.has(base!) ? given !== "false" : given);
      } else if (no && negatable.has(base!)) {
        setOption(arg, base!, false, false); // replaces a list instead of joining it
      } else {
        const name = no + base!;
        const takesValue = !booleans.has(name) && !allBoolean && !next?.startsWith("-");
        const value = valueFrom(next, takesValue);
        if (value !== undefined) i++;
        setOption(arg, name, value ?? bare(name));
      }
    } else if (/^-./s.test(arg)) {
      const last = setLetters(arg);
      if (last === undefined) continue;
      const takesValue = !booleans.has(last) && !/^--?[^-]/.test(next ?? "");
      const value = valueFrom(next, takesValue);
      if (value !== undefined) i++;
      setOption(arg, last, value ?? bare(last));
    } else {
      if (options.unknown?.(arg) !== false) {
        result._.push(strings.has("_") ? arg : numberIfNumeric(arg));
      }
      if (options.stopEarly) {
        result._.push(...parsed.slice(i + 1));
        break;
      }
    }
  }

  /** Sets the options of `-abc` but the last, and returns that one unless it got its value too. */
  function setLetters(arg: string): string | undefined {
    for (let i = 1; i < arg.length - 1; i++) {
      const letter = arg[i]!;
      const tail = arg.slice(i + 1);
      if (tail === "-") {
        setOption(arg, letter, tail);
        continue;
      }
      const given = /[A-Za-z]/.test(letter)
        ? /=(.+)/.exec(tail)?.[1] ?? (/\d(\.\d*)?(e-?\d+)?$/.test(tail) ? tail : undefined)
        : undefined;
      const value = given ?? (i + 1 < arg.length - 1 && /^\W/.test(tail) ? tail : undefined);
      setOption(arg, letter, value ?? bare(letter));
      if (value !== undefined) return undefined;
    }
    return arg.endsWith("-") ? undefined : arg.at(-1);
  }

  for (const [name, value] of Object.entries(options.default ?? {})) {
    if (!hasAt(result, name)) assign(name, value, false);
  }
  for (const name of booleans) {
    if (!hasAt(result, name)) setAt(result, name, collected.has(name) ? [] : false, false);
  }
  for (const name of strings) {
    if (!hasAt(result, name) && collected.has(name)) setAt(result, name, [], false);
  }
  if (options["--"]) result["--"] = rest;
  else result._.push(...rest);
  return result as unknown as Args<TArgs, TDoubleDash>;
}

/** Each name that has aliases, with the other names of the same option. */
function groupAliases(alias: Aliases): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const [name, value] of Object.entries(alias)) {
    if (value === undefined) throw new TypeError("Alias value must be defined");
    const group = [name, ...typeof value === "string" ? [value] : value];
    for (const each of group) groups.set(each, group.filter((other) => other !== each));
  }
  return groups;
}

/** The names in an option of {@linkcode parseArgs}, and their aliases. */
function namesOf(
  names: boolean | string | readonly string[] | undefined,
  aliases: Map<string, string[]>,
): Set<string> {
  const list = typeof names === "string" ? [names] : typeof names === "object" ? names : [];
  return new Set(list.filter(Boolean).flatMap((name) => [name, ...aliases.get(name) ?? []]));
}

function numberIfNumeric<T>(value: T): T | number {
  const numeric = typeof value === "string" && /\S/.test(value) && Number.isFinite(Number(value));
  return numeric ? Number(value) : value;
}

function setAt(object: Nested, path: string, value: unknown, collect: boolean) {
  const keys = path.split(".");
  const last = keys.pop()!;
  for (const key of keys) {
    if (!Object.hasOwn(object, key) || object[key] == null) object[key] = {};
    object = object[key] as Nested;
  }
  const before = object[last];
  if (collect && Array.isArray(before)) before.push(value);
  else object[last] = collect ? before ? [before, value] : [value] : value;
}

function hasAt(object: Nested, path: string): boolean {
  for (const key of path.split(".")) {
    if (!Object.hasOwn(object, key)) return false;
    object = object[key] as Nested;
  }
  return true;
}
