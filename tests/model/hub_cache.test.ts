import { assert, assertEquals } from "@std/assert";
import { findModel, isRepository } from "../../model/hub_cache.ts";
import { TempDir } from "./tiny_checkpoint.ts";

const COMMIT = "b35d4df0123456789abcdef0123456789abcdef0";

/** A cache as huggingface_hub lays it out, with one repository. */
async function cacheOf(name: string, ref: string, ...snapshots: string[]): Promise<TempDir> {
  const dir = new TempDir();
  const repository = `${dir.path}/models--${name.replace("/", "--")}`;
  await Deno.mkdir(`${repository}/refs`, { recursive: true });
  await Deno.writeTextFile(`${repository}/refs/main`, ref);
  for (const each of snapshots) {
    await Deno.mkdir(`${repository}/snapshots/${each}`, { recursive: true });
  }
  return dir;
}

Deno.test("findModel() finds the snapshot of a repository's main branch", async () => {
  const name = "mistralai/Mistral-7B_v0.1";
  for (const ref of [COMMIT, `${COMMIT}\n`]) {
    await using cache = await cacheOf(name, ref, "0123abc", COMMIT);
    const found = `${cache.path}/models--mistralai--Mistral-7B_v0.1/snapshots/${COMMIT}`;
    assertEquals(await findModel(name, cache.path), found);
  }
});

Deno.test("findModel() leaves what is a path, or is not in the cache", async () => {
  await using cache = await cacheOf("org/model", COMMIT, COMMIT);
  const same = async (path: string, directory: string | null = cache.path) =>
    assertEquals(await findModel(path, directory), path);
  await same("org/other");
  await same("org/model", null);
  await same("org/model", `${cache.path}/nowhere`);
  await same("/org/model");
  for (const path of ["./model", "../model", "org/..", "./."]) assert(!isRepository(path), path);
  await same("org/model/");
  await same("model");
  await same("");
  await same("tests/fixtures"); // which is there
  await using without = await cacheOf("org/model", COMMIT);
  await same("org/model", without.path);
  for (const ref of ["", "../snapshots", "main"]) {
    await using strange = await cacheOf("org/model", ref, "main");
    await same("org/model", strange.path);
  }
});
