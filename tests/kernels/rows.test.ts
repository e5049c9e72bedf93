/** The stages that copy rows: embed, capture, replay. */
import { chain } from "../../decode/rows.ts";
import { initialState } from "../../decode/state.ts";
import { MAX_ROWS } from "../../kernels/stages.ts";
import { isQuantized, type WeightType } from "../../kernels/weight_types.ts";
import { seeded } from "../random.ts";
import { assertSameBits, bits, Harness, type Job, poisoned, poisonedFloats } from "./harness.ts";
import { e4m3, f8Row, Matrix } from "./numbers.ts";
import { cut, Stream } from "./products.ts";
import { encodeRows, randomTree, ROWS } from "./rows.ts";

const harness = await Harness.open();
Deno.test.afterAll(() => harness[Symbol.dispose]());

/** Makes zeros positive. */
function dropSigns(values: Float32Array<ArrayBuffer>): void {
  bits(values).forEach((word, i, words) => words[i] = word === 0x80000000 ? 0 : word);
}

for (const weights of ["BF16", "F16", "F32", "F8", "Q8", "Q4"] satisfies WeightType[]) {
  Deno.test(
    `embed, promptEmbed: every token's row, in passes of 1 to 32 rows and in prompts (${weights})`,
    seeded(async (random) => {
      for (const [vocab, hidden] of [[259, 36], [96, 520], [1, 8], [70, 299]] as const) {
        const matrix = new Matrix(random, weights, vocab, hidden);
        const stride = 8 * matrix.k8;
        const planes = random.pick([2, 4] as const);
        const ofPrompt = harness.kernel("promptEmbed", { weights }, { K8: matrix.k8 });
        const parts = cut(random, vocab, random.between(1, Math.min(3, vocab)));
        const bound = parts.map(([first, count]) => ({
          words: matrix.rows(first, count),
          part: Uint32Array.of(first, count),
        }));
        // Every number of rows of a pass, then a prompt; more workgroups than rows do no harm.
        const counts = [...Array.from({ length: MAX_ROWS }, (_, i) => i + 1), 200];
        const runs = counts.map((count) => {
          const tokens = Array.from({ length: count }, () => random.below(vocab));
          const isPrompt = count > MAX_ROWS;
          const ids = isPrompt
            ? Uint32Array.from([count, ...tokens, 0, 0])
            : encodeRows(chain(tokens[0]!, tokens.slice(1)));
          // Behind the rows are tokens too, of a pass that had more of them.
          if (!isPrompt) ids.fill(random.below(vocab), ROWS.token + count, ROWS.token + MAX_ROWS);
          const stream = new Stream(random, hidden, planes);
          const x = isPrompt ? poisonedFloats(count * stride) : stream.residual;
          const between = isPrompt ? stride : stream.constants.STRIDE;
          const expected = poisonedFloats(x.length);
          tokens.forEach((token, i) =>
            expected.set(matrix.values.subarray(token * stride, (token + 1) * stride), i * between)
          );
          const constants = { K8: matrix.k8, ...stream.constants };
          const ofPass = harness.kernel("embed", { weights }, constants);
          const jobs: Job[] = bound.map(({ words, part }) => ({
            kernel: isPrompt ? ofPrompt : ofPass,
            bindings: [words, ids, part, ...isPrompt ? [x] : stream.bindings],
            workgroups: [Math.max(MAX_ROWS, count + 2)],
          }));
          const outputs = isPrompt ? [x] : stream.outputs;
          return { count, x, expected, between, jobs, outputs, stream };
        });
        await harness.run(
          runs.flatMap(({ jobs }) => jobs),
          runs.flatMap(({ outputs }) => outputs),
        );
        for (const { count, x, expected, between, stream } of runs) {
          const what = `${count} embeddings of ${hidden}, vocabulary ${vocab} in [${parts}]`;
          if (count <= MAX_ROWS) stream.check(what, count, stride / 4);
          if (isQuantized(weights)) [x, expected].forEach(dropSigns);
          assertSameBits(what, x, expected, between);
        }
      }
    }),
  );
}

Deno.test(
  "promptEmbed: all numbers of E4M3 are exact, wherever they are in a row",
  seeded(async (random) => {
    const codes = Array.from({ length: 256 }, (_, code) => code).filter((code) =>
      !Number.isNaN(e4m3(code))
    );
    for (const k of [1, 7, 8, 9, 16, 17, 40, 254, 300]) {
      const all = random.shuffled(codes.length).map((i) => codes[i]!);
      while (all.length % k !== 0) all.push(random.pick(codes));
      const rows = all.length / k;
      const stride = Math.ceil(k / 8) * 8;
      const expected = new Float32Array(rows * stride);
      const bytes = Array.from({ length: rows }, (_, row) => {
        const own = all.slice(row * k, (row + 1) * k);
        const scale = random.pick([1, 2 ** -99, 2 ** 99, Math.fround(random.float(1) + 2)]);
        own.forEach((code, i) => expected[row * stride + i] = e4m3(code) * scale);
        return f8Row(own, scale);
      });
      const weights = new Uint32Array(Uint8Array.from(bytes.flatMap((row) => [...row])).buffer);
      const x = poisonedFloats(rows * stride);
      const ids = Uint32Array.from([rows, ...Array.from({ length: rows }, (_, row) => row)]);
      await harness.run([{
        kernel: harness.kernel("promptEmbed", { weights: "F8" }, { K8: stride / 8 }),
        bindings: [weights, ids, Uint32Array.of(0, rows), x],
        workgroups: [rows],
      }], [x]);
      assertSameBits(`rows of ${k}`, x, expected, stride);
    }
  }),
);

Deno.test(
  "capture: the logits of the accepted rows, in the step's slot",
  seeded(async (random) => {
    const RING = 3;
    for (const vocab of [64, 96, 259]) {
      const kernel = harness.kernel("capture", {}, { VOCAB: vocab, RING });
      const logits = random.floats(MAX_ROWS * vocab);
      const runs = Array.from({ length: MAX_ROWS + 1 }, (_, accepted) => {
        const step = random.between(1, 1000); // of the step that comes next
        const state = initialState(9, 99);
        state[3] = step;
        const commitRows = random.shuffled(MAX_ROWS).slice(0, accepted).sort((a, b) => a - b);
        const rows = encodeRows(randomTree(random, MAX_ROWS, () => 0), { commitRows });
        const captured = poisoned(RING * MAX_ROWS * vocab);
        const expected = poisoned(captured.length);
        const slot = (step - 1) % RING;
        commitRows.forEach((row, i) => {
          const words = bits(logits).subarray(row * vocab, (row + 1) * vocab);
          expected.set(words, (slot * MAX_ROWS + i) * vocab);
        });
        return { state, rows, captured, expected, commitRows, step };
      });
      await harness.run(
        runs.map(({ state, rows, captured }) => ({
          kernel,
          bindings: [state, rows, bits(logits), captured],
          workgroups: [Math.ceil(vocab / 64), MAX_ROWS],
        })),
        runs.map(({ captured }) => captured),
      );
      for (const { captured, expected, commitRows, step } of runs) {
        const what = `rows [${commitRows}] of step ${step - 1}, ${vocab} logits`;
        assertSameBits(what, captured, expected, MAX_ROWS, vocab);
      }
    }
  }),
);

Deno.test(
  "replay: the recorded token after each row's position, in every slice",
  seeded(async (random) => {
    for (const slices of [1, 3]) {
      const kernel = harness.kernel("replay", {}, { SLICES: slices });
      const recorded = Uint32Array.from({ length: 100 }, () => random.below(32_000));
      const runs = Array.from({ length: MAX_ROWS + 1 }, (_, count) => {
        const tree = count > 0 ? randomTree(random, count, () => 0) : [];
        const base = random.below(60);
        const best = poisoned(MAX_ROWS * slices * 2);
        const expected = poisoned(best.length);
        tree.forEach(({ depth }, row) => {
          for (let slice = 0; slice < slices; slice++) {
            expected.set([0, recorded[base + depth + 1]!], 2 * (row * slices + slice));
          }
        });
        return { rows: encodeRows(tree, { base }), best, expected, base };
      });
      await harness.run(
        runs.map(({ rows, best }) => ({
          kernel,
          bindings: [rows, recorded, best],
          workgroups: [1],
        })),
        runs.map(({ best }) => best),
      );
      runs.forEach(({ best, expected, base }, count) =>
        assertSameBits(`${count} rows from position ${base}`, best, expected, slices, 2)
      );
    }
  }),
);
