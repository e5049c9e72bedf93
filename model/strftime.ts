import { DittoError, show } from "./errors.ts";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  ...["January", "February", "March", "April", "May", "June", "July", "August", "September"],
  ...["October", "November", "December"],
];

/** What Python's directives write in English; numbers with the width and the character they are filled up with. */
const DIRECTIVES: Readonly<
  Record<string, (date: Date) => string | [number, width: number, fill: string]>
> = {
  a: (date) => DAYS[date.getDay()]!.slice(0, 3),
  A: (date) => DAYS[date.getDay()]!,
  b: (date) => MONTHS[date.getMonth()]!.slice(0, 3),
  B: (date) => MONTHS[date.getMonth()]!,
  c: (date) => strftime(date, "%a %b %e %H:%M:%S %Y"),
  d: (date) => [date.getDate(), 2, "0"],
  D: (date) => strftime(date, "%m/%d/%y"),
  e: (date) => [date.getDate(), 2, " "],
  f: (date) => String(date.getMilliseconds()).padStart(3, "0") + "000",
  F: (date) => strftime(date, "%Y-%m-%d"),
  h: (date) => MONTHS[date.getMonth()]!.slice(0, 3),
  H: (date) => [date.getHours(), 2, "0"],
  I: (date) => [(date.getHours() + 11) % 12 + 1, 2, "0"],
  j: (date) => [dayOfYear(date), 3, "0"],
  m: (date) => [date.getMonth() + 1, 2, "0"],
  M: (date) => [date.getMinutes(), 2, "0"],
  n: () => "\n",
  p: (date) => date.getHours() < 12 ? "AM" : "PM",
  R: (date) => strftime(date, "%H:%M"),
  S: (date) => [date.getSeconds(), 2, "0"],
  t: () => "\t",
  T: (date) => strftime(date, "%H:%M:%S"),
  u: (date) => [(date.getDay() + 6) % 7 + 1, 1, "0"],
  w: (date) => [date.getDay(), 1, "0"],
  x: (date) => strftime(date, "%m/%d/%y"),
  X: (date) => strftime(date, "%H:%M:%S"),
  y: (date) => [date.getFullYear() % 100, 2, "0"],
  Y: (date) => [date.getFullYear(), 1, "0"],
  z: () => "", // the date of a template has no time zone
  Z: () => "",
  "%": () => "%",
};

/**
 * Writes a date as Python's `strftime` does in English, which templates were written for.
 *
 * @throws {DittoError} If the format has a directive that is not known here.
 */
export function strftime(date: Date, format: unknown): string {
  if (typeof format !== "string") {
    throw new DittoError(`strftime_now needs a format and was given ${show(format)}.`);
  }
  return format.replaceAll(/%(-?)(.?)/gsu, (directive, minus, letter) => {
    const written = Object.hasOwn(DIRECTIVES, letter) ? DIRECTIVES[letter]!(date) : null;
    if (Array.isArray(written)) {
      const [number, width, fill] = written;
      return String(number).padStart(minus ? 1 : width, fill);
    }
    if (written !== null && !minus) return written;
    throw new DittoError(
      `strftime_now is asked for ${show(format)}, and Ditto does not know ${show(directive)}.`,
    );
  });
}

/** Counted from 1, in days of the calendar: some have 23 hours. */
function dayOfYear(date: Date): number {
  const day = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return (day - Date.UTC(date.getFullYear(), 0, 1)) / 86_400_000 + 1;
}
