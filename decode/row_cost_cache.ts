/**
 * Remembers what passes cost on a device, so that a model measures it the first time only.
 *
 * @module
 */

/** Where caches belong on this system, or null if that is unknown or may not be asked. */
function cacheDirectory(): string | null {
  const given = variable("DITTO_CACHE");
  if (given) return given;
  const home = variable("HOME");
  const { os } = Deno.build;
  const base = os === "windows"
    ? variable("LOCALAPPDATA")
    : os === "darwin"
    ? home && `${home}/Library/Caches`
    : variable("XDG_CACHE_HOME") || (home && `${home}/.cache`);
  return base ? `${base}/ditto` : null;
}

/** An environment variable, if it may be read; a library does not make Deno ask the user. */
function variable(name: string): string | undefined {
  return isGranted({ name: "env", variable: name }) ? Deno.env.get(name) : undefined;
}

function isGranted(permission: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(permission).state === "granted";
}

/**
 * The costs that were measured for `key` before, or else those that `measure` finds, which are then
 * remembered in the user's cache directory (`DITTO_CACHE` names another). A cache that cannot be read or
 * written is done without.
 *
 * @param key Tells device, driver, kernels and model shape.
 * @param measure Returns null where nothing can be measured; that is not remembered.
 */
export async function rememberedRowCosts(
  key: string,
  measure: () => Promise<number[] | null>,
): Promise<number[] | null> {
  const directory = cacheDirectory();
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key)));
  const file = `${directory}/row-costs-${hash.toHex().slice(0, 32)}.json`;
  if (directory && isGranted({ name: "read", path: file })) {
    try {
      const known = JSON.parse(await Deno.readTextFile(file));
      if (isCosts(known)) return known;
    } catch {
      // Not measured yet, or not readable: measure.
    }
  }
  const costs = await measure();
  if (directory && costs && isGranted({ name: "write", path: directory })) {
    try {
      await Deno.mkdir(directory, { recursive: true });
      const half = `${file}.${Deno.pid}`; // another process may write the same file
      await Deno.writeTextFile(half, JSON.stringify(costs));
      await Deno.rename(half, file);
    } catch {
      // Not writable: measured again next time.
    }
  }
  return costs;
}

function isCosts(value: unknown): value is number[] {
  return Array.isArray(value) && value.length === 32 &&
    value.every((cost) => typeof cost === "number" && cost >= 1 && cost <= 1000);
}
