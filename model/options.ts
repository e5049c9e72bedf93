/**
 * Checks of options that loading and saving a model share, and generating too.
 *
 * @module
 */
import type { OpenOptions } from "../kernels/open_gpu.ts";
import { inputError, show } from "./errors.ts";

/**
 * The options that are given: what is null or undefined is as if it were left out. Refuses options that there are not.
 * TypeScript does so too, but `deno run` checks no types.
 *
 * @param known All names that there are.
 * @param within The option whose own options they are, if any.
 */
export function givenOptions<Options extends object>(
  options: Options,
  known: Readonly<Record<keyof Options & string, true>>,
  within = "",
): Options {
  if (typeof options !== "object" || options === null) {
    const what = within ? `option ${within} is` : "options are";
    throw inputError(
      `The ${what} ${show(options)}: ${within ? "it" : "they"} must be an object.`,
    );
  }
  const names = Object.keys(known) as (keyof Options & string)[];
  const wrong = Object.keys(options).find((name) => !Object.hasOwn(known, name));
  if (wrong === undefined) {
    const given = names.filter((name) => options[name] !== null && options[name] !== undefined);
    return Object.fromEntries(given.map((name) => [name, options[name]])) as Options;
  }
  const plain = (name: string) => name.replaceAll(/[_-]/g, "").toLowerCase();
  const meant = names.find((name) => plain(name) === plain(wrong));
  throw inputError(
    `There is no option ${wrong}${within && ` within ${within}`}: ` +
      (meant ? `it is called ${meant}.` : `the options are ${names.join(", ")}.`),
  );
}

const DEVICE_OPTIONS = {
  name: true,
  subgroups: true,
  smallestSubgroup: true,
  f16Conversions: true,
  maxBindingBytes: true,
} satisfies Record<keyof OpenOptions, true>;

/** What opens the GPU. */
export function deviceOptions(device: OpenOptions = {}): OpenOptions {
  const given = givenOptions(device, DEVICE_OPTIONS, "device");
  if (given.name !== undefined && typeof given.name !== "string") {
    throw inputError(`The device's name is ${show(given.name)}: it must be a string.`);
  }
  return given;
}

/** What is told how far it has come. */
export function checkProgress(onProgress: unknown): void {
  if (onProgress === undefined || typeof onProgress === "function") return;
  throw inputError(`The option onProgress is ${show(onProgress)}: it must be a function.`);
}

/** What ends the work early. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined || signal instanceof AbortSignal) return;
  throw inputError(`The option signal is ${show(signal)}: it must be an AbortSignal.`);
}
