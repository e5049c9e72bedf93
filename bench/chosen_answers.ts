/**
 * Which of the recorded answers a benchmark replays.
 *
 * @module
 */
import { DittoError } from "../kernels/errors.ts";
import type { RecordedAnswer } from "./replay/answers.ts";

/**
 * The first answers of each task, or of one.
 *
 * @param task Default: all tasks.
 * @param perTask Answers of a task at most. Default: all.
 * @throws {DittoError} If there is no such task.
 */
export function chosenAnswers(
  answers: readonly RecordedAnswer[],
  task: string | undefined,
  perTask = Infinity,
): RecordedAnswer[] {
  const tasks = Map.groupBy(answers, (answer) => answer.task);
  if (task === undefined) return [...tasks.values()].flatMap((of) => of.slice(0, perTask));
  const found = tasks.get(task);
  if (found) return found.slice(0, perTask);
  throw new DittoError(`There is no task "${task}": there are ${[...tasks.keys()].join(", ")}.`);
}
