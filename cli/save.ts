/**
 * Writes a quantized copy of a model.
 *
 * @module
 */
import { type LoadOptions, type LoadProgress, type Quantization, saveQuantized } from "../mod.ts";
import { chooseModel } from "./choose_model.ts";
import { slowDriverNote } from "./devices.ts";
import { bytesText } from "./figures.ts";
import { Interrupt } from "./interrupt.ts";
import type { Options, SaveOptions } from "./options.ts";
import { ProgressBar } from "./progress_bar.ts";
import { tell } from "./terminal.ts";

/** Does what --save-quantized asks for. Returns the exit code. */
export async function save(
  { model, quiet, load: { device } }: Options,
  { quantization, target }: SaveOptions,
): Promise<number> {
  const { directory, note } = chooseModel(model);
  for (const each of [note, await slowDriverNote()]) {
    if (each !== null && !quiet) await tell(`${each}\n`);
  }
  using interrupt = new Interrupt();
  const isSilent = quiet || !Deno.stderr.isTerminal();
  const options = { device, signal: interrupt.signal };
  const bytes = await write(directory, target, quantization, isSilent, options);
  if (bytes === null) {
    await tell(`Interrupted: what was written to ${target} is removed again.\n`);
    return interrupt.exitCode;
  }
  if (!quiet) await tell(`The model in ${quantization} is in ${target}: ${bytesText(bytes)}.\n`);
  return 0;
}

/** Writes it; null if that is interrupted. */
async function write(
  directory: string | URL,
  target: string,
  quantization: Quantization,
  isSilent: boolean,
  options: { readonly device: LoadOptions["device"]; readonly signal: AbortSignal },
): Promise<number | null> {
  using bar = isSilent ? null : new ProgressBar();
  const onProgress = (progress: LoadProgress) => bar?.update(progress);
  try {
    return await saveQuantized(directory, target, quantization, { ...options, onProgress });
  } catch (error) {
    if (error !== options.signal.reason) throw error;
    return null;
  }
}
