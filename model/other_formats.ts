/**
 * What a directory that is no checkpoint of transformers may be instead, and how to come to one.
 *
 * @module
 */

const FORMATS: readonly (readonly [file: RegExp, what: string])[] = [
  [
    /^(adapter_config\.json|adapter_model\.safetensors)$/,
    "It seems to hold an adapter: merge that into its model (merge_and_unload() of peft), and save the whole.",
  ],
  [
    /^snapshots$/,
    "It seems to be part of Hugging Face's cache: give one of the directories in its snapshots/.",
  ],
  [/\.gguf$/, "GGUF is not read."],
  [
    /^(params\.json|consolidated.*\.(safetensors|pth))$/,
    "It seems to hold Mistral's own format, whose tensors have other names: download config.json and model*.safetensors " +
    "(with their index), which most of Mistral's repositories have as well.",
  ],
];

/**
 * A sentence on what a directory seems to be, after a space; nothing where it is not known.
 *
 * @param present The names of its files and directories.
 */
export function otherFormat(present: ReadonlySet<string>): string {
  const found = FORMATS.find(([file]) => [...present].some((name) => file.test(name)));
  return found ? ` ${found[1]}` : "";
}
