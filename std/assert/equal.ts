type Elements = ArrayLike<number | bigint>;

const TypedArray = Object.getPrototypeOf(Uint8Array) as { new (): Elements };

/** Kinds of objects that hold all they are in slots that only their text shows. */
const COMPARED_AS_TEXT = new Set<object>(
  [RegExp, URL, URLSearchParams, Intl.Locale].map((kind) => kind.prototype),
);

/**
 * Tells whether two values are equal in depth, as `assertEquals` means it.
 *
 * `NaN` equals `NaN` and `0` equals `-0`. Objects are equal when they have the same prototype and
 * equal properties (a property that is `undefined` is not one that is missing), sets and maps when
 * they have equal members in any order. Cycles are allowed.
 *
 * @param a One value.
 * @param b The other.
 * @returns Whether they are equal.
 * @throws {TypeError} When asked to compare two `WeakMap`s or `WeakSet`s.
 *
 * @example
 * ```ts
 * import { assert, equal } from "@std/assert";
 *
 * assert(equal({ shape: [2, 3] }, { shape: [2, 3] }));
 * assert(!equal({ shape: [2, 3] }, { shape: [3, 2] }));
 * ```
 */
export function equal(a: unknown, b: unknown): boolean {
  return compare(a, b, new Map());
}

/** `seen` maps an object being compared to its counterpart: met again, the pair counts as equal. */
function compare(a: unknown, b: unknown, seen: Map<object, object>): boolean {
  if (a === b || Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Date && b instanceof Date) return Object.is(a.getTime(), b.getTime());
  if (prototypeOf(a) !== prototypeOf(b)) return false;

  if (a instanceof TypedArray) return sameElements(a, b as Elements);
  if (a instanceof ArrayBuffer || a instanceof SharedArrayBuffer) {
    return sameElements(new Uint8Array(a), new Uint8Array(b as ArrayBuffer | SharedArrayBuffer));
  }
  if (COMPARED_AS_TEXT.has(prototypeOf(a))) return String(a) === String(b);
  if (a instanceof WeakMap || a instanceof WeakSet) {
    throw new TypeError(`Cannot compare ${a.constructor.name} instances`);
  }
  if (a instanceof WeakRef) return compare(a.deref(), (b as WeakRef<WeakKey>).deref(), seen);

  if (seen.get(a) === b) return true;
  seen.set(a, b);
  if (a instanceof Set) return sameMembers([...a], [...(b as Set<unknown>)], seen);
  if (a instanceof Map) return sameMembers([...a], [...(b as Map<unknown, unknown>)], seen);

  const keys = keysOf(a);
  const otherKeys = keysOf(b);
  if (keys.size !== otherKeys.size) return false;
  for (const key of keys) {
    if (!otherKeys.has(key)) return false;
    if (!compare(Reflect.get(a, key), Reflect.get(b, key), seen)) return false;
  }
  return true;
}

/** An object without a prototype counts as a plain one. */
function prototypeOf(value: object): object {
  return Object.getPrototypeOf(value) ?? Object.prototype;
}

function sameElements(a: Elements, b: Elements): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i] && !Object.is(a[i], b[i])) return false;
  }
  return true;
}

/** Whether each of `a` has an equal of its own in `b`, and none is left. */
function sameMembers(a: unknown[], b: unknown[], seen: Map<object, object>): boolean {
  if (a.length !== b.length) return false;
  const left = new Set(b);
  for (const member of a) {
    if (left.delete(member)) continue; // the same primitive or the same object
    // A guess that turns out wrong must not leave its pairs behind.
    const match = left.values().find((other) => compare(member, other, new Map(seen)));
    if (match === undefined) return false;
    left.delete(match);
  }
  return true;
}

/** The keys that count: a plain object's or array's enumerable ones, an instance's inherited too. */
function keysOf(value: object): Set<PropertyKey> {
  const prototype = prototypeOf(value);
  if (prototype === Object.prototype || prototype === Array.prototype) {
    return new Set(Reflect.ownKeys({ ...value }));
  }
  const keys = new Set<PropertyKey>();
  for (
    let at: object | null = value;
    at !== null && at !== Object.prototype && at !== Array.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    for (const key of Reflect.ownKeys(at)) keys.add(key);
  }
  return keys;
}
