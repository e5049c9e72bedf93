/**
 * Models in Hugging Face's cache, which `hf download ORGANIZATION/NAME` fills. Source: huggingface_hub's constants.py, and
 * its guide "Understand caching".
 *
 * @module
 */
import { environmentVariable, isGranted } from "./permissions.ts";

/** The name of a repository: that of an organization or a user, and its own. */
const REPOSITORY = /^\w[\w.-]*\/\w[\w.-]*$/;

/** Whether this could be the name of a repository. */
export function isRepository(name: string): boolean {
  return REPOSITORY.test(name);
}

/**
 * The directory of a model.
 *
 * @param path A path, which is taken if anything is there; or the name of a repository, for which the snapshot of its main
 * branch in Hugging Face's cache is taken, if the program may look there.
 * @param cache Hugging Face's cache; null if that is unknown.
 * @returns That snapshot's path, or `path`, whatever is there.
 */
export async function findModel(
  path: string,
  cache: string | null = cacheDirectory(),
): Promise<string> {
  if (!isRepository(path) || await isThere(path)) return path;
  if (cache === null || !isGranted({ name: "read", path: cache })) return path;
  const repository = `${cache}/models--${path.replace("/", "--")}`;
  const commit = await Deno.readTextFile(`${repository}/refs/main`).catch(() => "");
  const snapshot = `${repository}/snapshots/${commit.trim()}`;
  return /^[0-9a-f]+$/.test(commit.trim()) && await isThere(snapshot) ? snapshot : path;
}

function isThere(path: string): Promise<boolean> {
  return Deno.stat(path).then(() => true, () => false);
}

function cacheDirectory(): string | null {
  const given = environmentVariable("HF_HUB_CACHE") ??
    environmentVariable("HUGGINGFACE_HUB_CACHE");
  if (given) return given;
  const userHome = environmentVariable(Deno.build.os === "windows" ? "USERPROFILE" : "HOME");
  const userCache = environmentVariable("XDG_CACHE_HOME") ?? (userHome && `${userHome}/.cache`);
  const home = environmentVariable("HF_HOME") ?? (userCache && `${userCache}/huggingface`);
  return home ? `${home}/hub` : null;
}
