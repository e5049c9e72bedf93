/**
 * Writes a quantized copy of a model.
 *
 * @module
 */
import { DittoError, type LoadProgress, type Quantization, saveQuantized } from "../mod.ts";
import { chooseModel } from "./choose_model.ts";
import { slowDriverNote } from "./devices.ts";
import { bytesText } from "./figures.ts";
import { Interrupt } from "./interrupt.ts";
import type { Options } from "./options.ts";
import { ProgressBar } from "./progress_bar.ts";
import { tell } from "./terminal.ts";

/** Does what --save-quantized asks for. */
export async function save(
  { model, quiet }: Options,
  quantization: Quantization,
  target: string,
): Promise<void> {
  const { directory, note } = chooseModel(model);
  for (const each of [note, await slowDriverNote()]) {
    if (each !== null && !quiet) await tell(`${each}\n`);
  }
  const bytes = await write(directory, target, quantization, quiet || !Deno.stderr.isTerminal());
  if (!quiet) await tell(`The model in ${quantization} is in ${target}: ${bytesText(bytes)}.\n`);
}

async function write(
  directory: string | URL,
  target: string,
  quantization: Quantization,
  isSilent: boolean,
): Promise<number> {
  using interrupt = new Interrupt();
  using bar = isSilent ? null : new ProgressBar();
  const { signal } = interrupt;
  const onProgress = (progress: LoadProgress) => bar?.update(progress);
  try {
    return await saveQuantized(directory, target, quantization, { onProgress, signal });
  } catch (error) {
    if (error !== signal.reason) throw error;
    throw new DittoError(`Interrupted: what was written to ${target} is removed again.`);
  }
}
