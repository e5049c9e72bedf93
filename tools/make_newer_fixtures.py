"""Makes the fixtures in tests/fixtures/ that need a newer transformers than tools/make_fixtures.py has.

Run from the repository root (about a minute on one core):

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch==2.11.0 transformers==5.17.0
    /tmp/venv/bin/python tools/make_newer_fixtures.py [name ...]

Folders are as make_fixtures.py says. `rope.json` holds what transformers makes of the positions in some `config.json`:
the frequencies of the rotary embedding, and what cosines and sines are multiplied by.
"""

import json
import shutil
import sys

import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from make_fixtures import EOS, FIXTURES, answer_all, draw_weights, first_clear, write_answers

VISION = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, head_dim=4,
              image_size=28, patch_size=14)

SPECS = {
    # As Ministral 3: sees as well, YaRN and growing queries, far beyond the original context; heads * head_dim (96) is
    # more than hidden_size; tied.
    "ministral3-bf16": dict(
        dtype="bfloat16", seed=900, context=0.1, architecture="mistral3", vocab_size=320, hidden_size=64,
        intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=24,
        tie_word_embeddings=True,
        rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=21.333333333333332,
                             original_max_position_embeddings=96, beta_fast=8.0, beta_slow=1.0, mscale=1.0,
                             mscale_all_dim=0.5, llama_4_scaling_beta=0.1)),
    # As Llama 3.1: wavelengths that stay, that grow, and between.
    "llama3-f16": dict(
        dtype="float16", seed=1000, context=0.1, architecture="llama", vocab_size=256, hidden_size=64,
        intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1,
        rope_parameters=dict(rope_type="llama3", rope_theta=5e4, factor=8.0, low_freq_factor=1.0,
                             high_freq_factor=4.0, original_max_position_embeddings=256)),
}

MINISTRAL3 = dict(rope_type="yarn", rope_theta=1e6, factor=16.0, original_max_position_embeddings=16384,
                  beta_fast=32.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0)
LLAMA31 = dict(rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
               original_max_position_embeddings=8192)
ROPES = [
    (128, 262144, MINISTRAL3),
    (64, 4096, dict(MINISTRAL3, mscale=0.7, mscale_all_dim=0.3)),
    (64, 4096, dict(MINISTRAL3, attention_factor=1.25)),
    (80, 65536, dict(rope_type="yarn", rope_theta=1e4, factor=16.0, original_max_position_embeddings=4096)),
    (80, 65536, dict(rope_type="yarn", rope_theta=1e4, factor=16.0, original_max_position_embeddings=4096,
                     truncate=False)),
    (24, 2048, dict(rope_type="yarn", rope_theta=100.0, factor=2.5, original_max_position_embeddings=819,
                    beta_fast=3.0, beta_slow=3.0)),
    (48, 512, dict(rope_type="yarn", rope_theta=1e4, factor=1.0)),
    # No dimension turns as often as beta_fast says, and none as seldom as beta_slow.
    (16, 65536, dict(rope_type="yarn", rope_theta=30.0, factor=8.0, original_max_position_embeddings=8192,
                     beta_fast=3000.0)),
    (128, 131072, LLAMA31),
    (64, 131072, dict(LLAMA31, factor=32.0)),
    (22, 1024, dict(rope_type="llama3", rope_theta=300.0, factor=1.5, low_freq_factor=0.5, high_freq_factor=2.0)),
    (128, 16384, dict(rope_type="linear", rope_theta=1e4, factor=4.0)),
    (20, 2048, dict(rope_type="linear", rope_theta=1e6, factor=1.7)),
]


def build(spec, seed):
    """The model with random weights, rounded to the checkpoint's dtype and held in float32."""
    fields = {key: value for key, value in spec.items() if key not in ("dtype", "seed", "architecture", "context")}
    fields.update(max_position_embeddings=2048, bos_token_id=1, eos_token_id=EOS, pad_token_id=0)
    if spec["architecture"] == "llama":
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**fields))
    else:
        model = transformers.Mistral3ForConditionalGeneration(transformers.Mistral3Config(
            text_config=transformers.Ministral3Config(**fields), vision_config=transformers.PixtralVisionConfig(**VISION),
            tie_word_embeddings=spec["tie_word_embeddings"]))
    draw_weights(model, seed, getattr(torch, spec["dtype"]), spec["context"])
    model.generation_config = transformers.GenerationConfig(bos_token_id=1, eos_token_id=EOS)
    return model.eval()


def make(name, spec):
    def attempt(seed):
        model = build(spec, seed)
        answers = answer_all(model, spec["vocab_size"], seed)
        return answers and (model, answers)

    seed, (model, answers) = first_clear(name, spec["seed"], attempt)
    folder = FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    model.to(getattr(torch, spec["dtype"])).save_pretrained(folder)
    write_answers(folder, seed, answers, "tools/make_newer_fixtures.py")


def make_ropes():
    cases = []
    for head_dim, context, rope in ROPES:
        shape = dict(hidden_size=4 * head_dim, num_attention_heads=4, head_dim=head_dim, max_position_embeddings=context)
        config = transformers.LlamaConfig(**shape, rope_parameters=dict(rope))
        frequencies, length = ROPE_INIT_FUNCTIONS[rope["rope_type"]](config, "cpu")
        cases.append(dict(config=dict(model_type="llama", **shape, rope_parameters=rope),
                          frequencies=frequencies.tolist(), attentionFactor=length))
    path = FIXTURES / "rope.json"
    versions = dict(torch=torch.__version__, transformers=transformers.__version__)
    path.write_text(json.dumps(dict(madeBy="tools/make_newer_fixtures.py", versions=versions, cases=cases),
                               separators=(",", ":")).replace('{"config"', '\n{"config"') + "\n")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for fixture in sys.argv[1:] or [*SPECS, "rope"]:
        make_ropes() if fixture == "rope" else make(fixture, SPECS[fixture])
