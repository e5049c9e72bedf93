/** One recorded answer, as in ../shared/traces/README.md. */
export interface Trace {
  readonly task: string;
  readonly prompt: string;
  readonly prompt_ids: readonly number[];
  readonly output_ids: readonly number[];
}

/** The recorded answers of the real model beside the repository, or null where there are none. */
export async function tracesOrNull(): Promise<Trace[] | null> {
  const file = new URL(
    "../../../shared/traces/mistral-7b-instruct-v0.1.jsonl",
    import.meta.url,
  );
  try {
    const text = await Deno.readTextFile(file);
    return text.trim().split("\n").map((line) => JSON.parse(line));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
