/**
 * Remembers what passes cost on a device, so that a model measures it the first time only.
 *
 * @module
 */

/** Where caches belong on this system, or null if that is unknown or may not be asked. */
function cacheDirectory(): string | null {
  try {
    const given = Deno.env.get("DITTO_CACHE");
    if (given) return given;
    const home = Deno.env.get("HOME");
    const { os } = Deno.build;
    const base = os === "windows"
      ? Deno.env.get("LOCALAPPDATA")
      : os === "darwin"
      ? home && `${home}/Library/Caches`
      : Deno.env.get("XDG_CACHE_HOME") || (home && `${home}/.cache`);
    return base ? `${base}/ditto` : null;
  } catch {
    return null; // without --allow-env
  }
}

/**
 * The costs that were measured for `key` before, or else those that `measure` finds, which are then
 * remembered in the user's cache directory (`DITTO_CACHE` names another). A cache that cannot be read or
 * written is done without.
 *
 * @param key Tells device, driver and model shape.
 */
export async function rememberedRowCosts(
  key: string,
  measure: () => Promise<number[]>,
): Promise<number[]> {
  const directory = cacheDirectory();
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key)));
  const file = `${directory}/row-costs-${hash.toHex().slice(0, 16)}.json`;
  if (directory) {
    try {
      const known = JSON.parse(await Deno.readTextFile(file));
      if (known.key === key && isCosts(known.costs)) return known.costs;
    } catch {
      // Not measured yet, or not readable: measure.
    }
  }
  const costs = await measure();
  if (directory) {
    try {
      await Deno.mkdir(directory, { recursive: true });
      const text = JSON.stringify({ key, costs });
      const half = `${file}.${Deno.pid}`; // another process may write the same file
      await Deno.writeTextFile(half, text);
      await Deno.rename(half, file);
    } catch {
      // Not writable: measured again next time.
    }
  }
  return costs;
}

function isCosts(value: unknown): value is number[] {
  return Array.isArray(value) && value.length === 32 &&
    value.every((cost) => typeof cost === "number" && cost >= 1 && cost < 1000);
}
