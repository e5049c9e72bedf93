import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parseConfig } from "../../model/config.ts";
import { DittoError } from "../../model/errors.ts";
import { TINY_CONFIG } from "./tiny_checkpoint.ts";

const MISTRAL_7B_V01 = {
  architectures: ["MistralForCausalLM"],
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: "silu",
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 14336,
  max_position_embeddings: 32768,
  model_type: "mistral",
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-05,
  rope_theta: 10000.0,
  sliding_window: 4096,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
  transformers_version: "4.34.0.dev0",
  use_cache: true,
  vocab_size: 32000,
};

/** Asserts that a config is refused in one sentence that has these parts. */
function assertRefused(config: unknown, parts: string[], generation?: unknown): void {
  const error = assertThrows(() => parseConfig(config, generation), DittoError);
  for (const part of parts) assertStringIncludes(error.message, part);
}

Deno.test("parseConfig() reads Mistral-7B-v0.1", () => {
  assertEquals(parseConfig(MISTRAL_7B_V01), {
    architecture: "MistralForCausalLM",
    hiddenSize: 4096,
    intermediateSize: 14336,
    numHiddenLayers: 32,
    numAttentionHeads: 32,
    numKeyValueHeads: 8,
    headDim: 128,
    vocabSize: 32000,
    rmsNormEps: 1e-5,
    ropeTheta: 10000,
    ropeScaling: null,
    queryScaling: null,
    slidingWindow: 4096,
    maxPositionEmbeddings: 32768,
    tieWordEmbeddings: false,
    quantization: null,
    bosTokenId: 1,
    eosTokenIds: [2],
  });
});

Deno.test("parseConfig() reads Nemo's explicit head_dim, no window and large vocabulary", () => {
  const config = parseConfig({
    ...MISTRAL_7B_V01,
    head_dim: 128,
    hidden_size: 5120,
    num_hidden_layers: 40,
    rope_theta: 1e6,
    sliding_window: null,
    vocab_size: 131072,
  });
  assertEquals([config.headDim, config.slidingWindow, config.vocabSize], [128, null, 131072]);
  assertEquals(config.ropeTheta, 1e6);
});

Deno.test("parseConfig() fills in transformers' defaults", () => {
  const { bosTokenId, eosTokenIds, ...mistral } = parseConfig({ model_type: "mistral" });
  assertEquals(mistral, {
    architecture: "MistralForCausalLM",
    hiddenSize: 4096,
    intermediateSize: 14336,
    numHiddenLayers: 32,
    numAttentionHeads: 32,
    numKeyValueHeads: 8,
    headDim: 128,
    vocabSize: 32000,
    rmsNormEps: 1e-6,
    ropeTheta: 10000,
    ropeScaling: null,
    queryScaling: null,
    slidingWindow: 4096,
    maxPositionEmbeddings: 131072,
    tieWordEmbeddings: false,
    quantization: null,
  });
  assertEquals([bosTokenId, eosTokenIds], [1, [2]]);
  const llama = parseConfig({ architectures: ["LlamaForCausalLM"], sliding_window: 7 });
  assertEquals([llama.numKeyValueHeads, llama.intermediateSize], [32, 11008]);
  assertEquals([llama.slidingWindow, llama.maxPositionEmbeddings], [null, 2048]);
  const nulls = parseConfig({ model_type: "mistral", num_key_value_heads: null, head_dim: null });
  assertEquals([nulls.numKeyValueHeads, nulls.headDim], [32, 128]);
});

Deno.test("parseConfig() takes rope_theta from rope_parameters of transformers 5", () => {
  const rope = { rope_theta: 5e5, rope_type: "default" };
  assertEquals(parseConfig({ ...TINY_CONFIG, rope_parameters: rope }).ropeTheta, 5e5);
  assertEquals(parseConfig({ ...TINY_CONFIG, rope_scaling: null, rope_theta: 7 }).ropeTheta, 7);
  for (const rope_scaling of [{ type: "default" }, { type: "linear", factor: 1 }]) {
    assertEquals(parseConfig({ ...TINY_CONFIG, rope_scaling }).ropeTheta, 1e4);
  }
});

Deno.test("parseConfig() takes the rotary embedding's scaling from where transformers does", () => {
  const parse = (fields: object) => parseConfig({ ...TINY_CONFIG, ...fields });
  const linear = { type: "linear", factor: 2 };
  assertEquals(parse({ rope_scaling: linear }).ropeScaling, { type: "linear", factor: 2 });
  const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 16 };
  const scaling = {
    type: "yarn",
    factor: 4,
    betaFast: 32,
    betaSlow: 1,
    truncate: true,
    attentionFactor: 0.1 * Math.log(4) + 1,
    originalMaxPositionEmbeddings: 16,
  } as const;
  assertEquals(parse({ rope_parameters: yarn }).ropeScaling, scaling);
  // rope_scaling counts before rope_parameters, unless it is empty; what stands outside before what stands inside.
  assertEquals(parse({ rope_scaling: linear, rope_parameters: yarn }).ropeScaling?.type, "linear");
  assertEquals(parse({ rope_scaling: {}, rope_parameters: yarn }).ropeScaling?.type, "yarn");
  const outside = parse({ rope_parameters: yarn, original_max_position_embeddings: 8 });
  assertEquals(outside.ropeScaling, { ...scaling, originalMaxPositionEmbeddings: 8 });
  // Without a factor it is how much longer than the original the context is; without an original there is none.
  const implied = parse({ rope_parameters: { ...yarn, factor: null } });
  assertEquals(implied.ropeScaling, scaling);
  const { original_max_position_embeddings: _, ...unsaid } = yarn;
  const { ropeScaling } = parse({ rope_parameters: unsaid });
  assertEquals(ropeScaling, { ...scaling, originalMaxPositionEmbeddings: 64 });
  // One mscale without the other is none, and what shrinks is not sharpened.
  for (const lone of [{ mscale: 0.5 }, { mscale_all_dim: 0.5 }]) {
    assertEquals(parse({ rope_parameters: { ...yarn, ...lone } }).ropeScaling, scaling);
  }
  const shrunk = parse({ rope_parameters: { ...yarn, factor: 0.5 } }).ropeScaling;
  assertEquals(shrunk, { ...scaling, factor: 0.5, attentionFactor: 1 });
  const thetas = { rope_theta: 5, rope_parameters: { ...yarn, rope_theta: 7 } };
  assertEquals(parse(thetas).ropeTheta, 7);
  assertEquals(parse({ ...thetas, rope_parameters: yarn }).ropeTheta, 5);
});

Deno.test("parseConfig() refuses scalings of the rotary embedding that it cannot make sense of", () => {
  const refused = (rope: object, ...parts: string[]) =>
    assertRefused({ ...TINY_CONFIG, rope_parameters: rope }, parts);
  const llama3 = { rope_type: "llama3", factor: 2, low_freq_factor: 1, high_freq_factor: 4 };
  refused({ ...llama3, high_freq_factor: 1 }, "rope_parameters.high_freq_factor 1");
  refused({ ...llama3, low_freq_factor: undefined }, "rope_parameters.low_freq_factor undefined");
  refused({ ...llama3, factor: 0 }, "rope_parameters.factor 0");
  refused({ ...llama3, original_max_position_embeddings: 0.5 }, "original_max_position_embeddings");
  refused({ rope_type: "yarn", factor: "4" }, 'rope_parameters.factor "4"');
  refused({ rope_type: "yarn", factor: 4, beta_fast: -1 }, "rope_parameters.beta_fast -1");
  refused({ rope_type: "yarn", factor: 4, truncate: 1 }, "rope_parameters.truncate 1");
  refused({ rope_type: "yarn", factor: 4, rope_theta: 1 }, "rope_parameters", "supports");
  refused({ rope_type: "linear", factor: 2, partial_rotary_factor: 0.5 }, "rope_parameters");
  refused({ rope_type: "default", factor: 2 }, "rope_parameters");
  refused({ rope_type: "su", factor: 2 }, '"su"');
  refused({ rope_type: "yarn", factor: 4, llama_4_scaling_beta: 0.1 }, "llama_4_scaling_beta");
  for (const rope of [[], "yarn", 4]) {
    assertRefused({ ...TINY_CONFIG, rope_scaling: rope }, ["rope_scaling"]);
  }
});

Deno.test("parseConfig() reads Ministral 3, which sees as well", () => {
  const text = { model_type: "ministral3", hidden_size: 3072, intermediate_size: 9216 };
  const whole = {
    architectures: ["Mistral3ForConditionalGeneration"],
    model_type: "mistral3",
    vision_config: { model_type: "pixtral", hidden_act: "gelu", hidden_size: 1024 },
    text_config: text,
  };
  const config = parseConfig(whole);
  assertEquals(config, {
    architecture: "Mistral3ForConditionalGeneration",
    hiddenSize: 3072,
    intermediateSize: 9216,
    numHiddenLayers: 34,
    numAttentionHeads: 32,
    numKeyValueHeads: 8,
    headDim: 128,
    vocabSize: 131072,
    rmsNormEps: 1e-5,
    ropeTheta: 1e6,
    ropeScaling: {
      type: "yarn",
      factor: 16,
      betaFast: 32,
      betaSlow: 1,
      truncate: true,
      attentionFactor: 1,
      originalMaxPositionEmbeddings: 16384,
    },
    queryScaling: { beta: 0.1, originalMaxPositionEmbeddings: 16384 },
    slidingWindow: null,
    maxPositionEmbeddings: 262144,
    tieWordEmbeddings: true, // unless the checkpoint has another head
    quantization: null,
    bosTokenId: 1,
    eosTokenIds: [2],
  });
  const alone = parseConfig({ architectures: ["Ministral3ForCausalLM"], ...text });
  assertEquals(alone, {
    ...config,
    architecture: "Ministral3ForCausalLM",
    tieWordEmbeddings: false,
  });
  const parsed = (fields: object, inText: object) =>
    parseConfig({ ...whole, ...fields, text_config: { ...text, ...inText } });
  assertEquals(parsed({}, { tie_word_embeddings: false }).tieWordEmbeddings, false);
  const ties = parsed({ tie_word_embeddings: true }, { tie_word_embeddings: false });
  assertEquals(ties.tieWordEmbeddings, true);
  assertEquals(parsed({ eos_token_id: 5 }, {}).eosTokenIds, [5]);
  // The whole counts first, as in the GenerationConfig that transformers makes of it.
  assertEquals(parsed({ eos_token_id: 5 }, { eos_token_id: 6 }).eosTokenIds, [5]);
  assertEquals(parsed({ eos_token_id: 5 }, { eos_token_id: null }).eosTokenIds, [5]);
  assertEquals(parsed({ eos_token_id: null }, { eos_token_id: [6, 7] }).eosTokenIds, [6, 7]);
  assertEquals(parsed({}, { eos_token_id: 6 }).eosTokenIds, [6]);
  assertEquals(parsed({}, { eos_token_id: null }).eosTokenIds, []);
  assertEquals(parsed({ bos_token_id: 5 }, { bos_token_id: 6 }).bosTokenId, 5);
  const quantization_config = { quant_method: "ditto", bits: 8, group_size: 16 };
  assertEquals(parsed({ quantization_config }, {}).quantization, "q8");
  assertEquals(parsed({}, { quantization_config }).quantization, "q8");
  assertEquals(parsed({}, { head_dim: null }).headDim, 96);
  // Mistral Small 3.1: a plain Mistral reads and writes.
  const small = parsed({}, { model_type: undefined, head_dim: 128, sliding_window: null });
  assertEquals([small.ropeTheta, small.ropeScaling, small.queryScaling], [1e4, null, null]);
  assertRefused({ ...whole, text_config: undefined }, ["text_config undefined"]);
  assertRefused({ ...whole, text_config: { model_type: "qwen2" } }, ["text_config", '"qwen2"']);
  assertRefused({ ...whole, text_config: { ...text, mlp_bias: true } }, ["mlp_bias"]);
  assertRefused({ ...whole, model_type: "mistral" }, ["Mistral3ForConditionalGeneration"]);
});

Deno.test("parseConfig() takes the end of sequence from generation_config.json first", () => {
  const eos = (config: object, generation?: unknown) =>
    parseConfig({ ...TINY_CONFIG, ...config }, generation).eosTokenIds;
  assertEquals(eos({ eos_token_id: 3 }), [3]);
  assertEquals(eos({ eos_token_id: 3 }, {}), [3]);
  assertEquals(eos({ eos_token_id: 3 }, { eos_token_id: null }), [3]);
  assertEquals(eos({ eos_token_id: 3 }, { eos_token_id: 4 }), [4]);
  assertEquals(eos({ eos_token_id: 3 }, { eos_token_id: [5, 4, 5] }), [5, 4]);
  assertEquals(eos({ eos_token_id: null }), []);
  assertEquals(parseConfig({ ...TINY_CONFIG, bos_token_id: null }).bosTokenId, null);
});

Deno.test("parseConfig() refuses other architectures", () => {
  const only = "Ditto runs MistralForCausalLM";
  assertRefused({}, [only, "undefined"]);
  assertRefused({ model_type: "mixtral" }, ['"mixtral"', only]);
  assertRefused({ model_type: "constructor" }, ['"constructor"', only]);
  assertRefused({ architectures: ["Qwen2ForCausalLM"] }, ["Qwen2ForCausalLM", only]);
  assertRefused({ architectures: [], model_type: "mistral" }, ["[]", only]);
  assertRefused({ architectures: ["LlamaForCausalLM"], model_type: "mistral" }, ["LlamaFor", only]);
  for (const config of [null, [], "mistral", 7, undefined]) assertRefused(config, ["an object"]);
});

Deno.test("parseConfig() refuses by name what would change the result", () => {
  const refused: Record<string, unknown> = {
    rope_scaling: { type: "dynamic", factor: 2 },
    rope_parameters: { rope_type: "longrope", short_factor: [1], long_factor: [2] },
    attention_bias: true,
    mlp_bias: true,
    hidden_act: "gelu",
    quantization_config: { quant_method: "awq" },
    partial_rotary_factor: 0.5,
    attn_logit_softcapping: 50,
    final_logit_softcapping: 30,
    llama_4_scaling: {},
    add_cross_attention: true,
    is_encoder_decoder: true,
    layer_types: ["full_attention", "sliding_attention"],
  };
  for (const [field, value] of Object.entries(refused)) {
    assertRefused({ ...TINY_CONFIG, [field]: value }, [`config.json has ${field}`]);
  }
  const perLayer = { full_attention: { rope_theta: 1e4, rope_type: "default" } };
  assertRefused({ ...TINY_CONFIG, rope_parameters: perLayer }, ["rope_parameters"]);
  assertRefused({ ...TINY_CONFIG, rope_scaling: { type: "linear" } }, ["rope_scaling"]);
  const harmless = { attention_bias: false, mlp_bias: null, pretraining_tp: 4, hidden_act: "silu" };
  parseConfig({ ...TINY_CONFIG, ...harmless, quantization_config: null });
  parseConfig({ ...TINY_CONFIG, layer_types: ["full_attention", "full_attention"] });
});

Deno.test("parseConfig() reads Ditto's own quantization_config, and no other", () => {
  const own = { quant_method: "ditto", bits: 4, group_size: 16 };
  const read = (quantization_config: unknown) =>
    parseConfig({ ...TINY_CONFIG, quantization_config });
  assertEquals(read(own).quantization, "q4");
  assertEquals(read({ ...own, bits: 8 }).quantization, "q8");
  const others = [{ bits: 3 }, { bits: "4" }, { group_size: 32 }, { quant_method: "gptq" }];
  for (const other of [{}, 4, [], "ditto", ...others.map((other) => ({ ...own, ...other }))]) {
    const config = { ...TINY_CONFIG, quantization_config: other };
    assertRefused(config, ["config.json has quantization_config", "or one that Ditto saved"]);
  }
  // As bitsandbytes writes it: what counts comes last.
  const { quant_method, ...fields } = {
    quant_method: "bitsandbytes",
    _load_in_4bit: true,
    x: "x".repeat(80),
  };
  const config = { ...TINY_CONFIG, quantization_config: { ...fields, quant_method } };
  assertRefused(config, ['quantization_config {"quant_method":"bitsandbytes",']);
});

Deno.test("parseConfig() refuses nonsense in every numeric field", () => {
  const integers = [
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "sliding_window",
  ];
  const nonsense = [0, -1, 1.5, NaN, Infinity, 2 ** 53, "8", true, [], {}];
  for (const field of integers) {
    for (const value of nonsense) assertRefused({ ...TINY_CONFIG, [field]: value }, [field]);
  }
  for (const value of [0, -1, 1e-40, 1.5, NaN, Infinity, "1", [], {}]) {
    assertRefused({ ...TINY_CONFIG, rms_norm_eps: value }, ["rms_norm_eps", "from 1e-30 to 1."]);
  }
  for (const value of [0, -1, 0.5, 1e40, NaN, Infinity, "1", [], {}]) {
    assertRefused({ ...TINY_CONFIG, rope_theta: value }, ["rope_theta", "from 1 to 1e+30."]);
  }
  assertRefused({ ...TINY_CONFIG, max_position_embeddings: 1 }, ["max_position", "from 2 to"]);
  assertRefused({ ...TINY_CONFIG, num_hidden_layers: 1e9 }, ["num_hidden_layers", "1000"]);
  assertRefused({ ...TINY_CONFIG, vocab_size: 2 ** 30 }, ["vocab_size"]);
  assertRefused({ ...TINY_CONFIG, tie_word_embeddings: "no" }, ["tie_word_embeddings"]);
});

Deno.test("parseConfig() takes a window that no context can fill for none", () => {
  for (const [given, expected] of [[2 ** 24, 2 ** 24], [2 ** 24 + 1, null], [2 ** 40, null]]) {
    assertEquals(parseConfig({ ...TINY_CONFIG, sliding_window: given }).slidingWindow, expected);
  }
});

Deno.test("parseConfig() refuses fields that contradict each other", () => {
  assertRefused({ ...TINY_CONFIG, num_attention_heads: 8, num_key_value_heads: 3 }, [
    "num_attention_heads 8",
    "num_key_value_heads 3",
  ]);
  assertRefused({ ...TINY_CONFIG, num_key_value_heads: 4 }, ["no multiple"]);
  assertRefused({ ...TINY_CONFIG, head_dim: 3 }, ["has head_dim 3", "even"]);
  assertRefused({ ...TINY_CONFIG, hidden_size: 10 }, ["implies head_dim 5", "even"]);
  assertRefused({ ...TINY_CONFIG, hidden_size: 9 }, ["head_dim 4.5"]);
  assertRefused({ ...TINY_CONFIG, num_attention_heads: 2 ** 20, head_dim: 64 }, ["heads of 64"]);
  assertEquals(parseConfig({ ...TINY_CONFIG, head_dim: 320 }).headDim, 320);
  assertRefused({ ...TINY_CONFIG, head_dim: 322 }, ["has head_dim 322", "more than 320"]);
});

Deno.test("parseConfig() refuses token ids that are none or outside the vocabulary", () => {
  for (const id of [-1, 1.5, "2", {}, [null], [[1]], true]) {
    assertRefused({ ...TINY_CONFIG, eos_token_id: id }, ["eos_token_id"]);
    assertRefused({ ...TINY_CONFIG, bos_token_id: id }, ["bos_token_id"]);
    assertRefused(TINY_CONFIG, ["generation_config.json", "eos_token_id"], { eos_token_id: id });
  }
  assertRefused({ ...TINY_CONFIG, eos_token_id: 16 }, ["token 16", "vocab_size is 16"]);
  assertRefused({ ...TINY_CONFIG, bos_token_id: 99 }, ["token 99"]);
  for (const generation of [null, [], 5]) {
    assertRefused(TINY_CONFIG, ["generation_config.json"], generation);
  }
});
