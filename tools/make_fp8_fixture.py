"""Makes tests/fixtures/mistral-fp8: a tiny model in FP8 as Mistral publishes its own, and what transformers answers on it.

Run from the repository root (half a minute on one core; the files come out the same every time). It needs a torch that
knows FP8, and so a newer transformers than tools/make_fixtures.py:

    python3 -m venv /tmp/venv
    /tmp/venv/bin/pip install torch==2.11.* transformers==5.17.* accelerate safetensors
    /tmp/venv/bin/python tools/make_fp8_fixture.py

The answers are those of the model as transformers loads it from the finished folder, which on a CPU multiplies the
weights by their scales, and are computed in float32 as those of the other fixtures.
"""

import json
import shutil

import torch
import transformers
from safetensors.torch import save_file

from make_fixtures import EOS, FIXTURES, answer_all, draw_weights, first_clear, write_answers

FOLDER = FIXTURES / "mistral-fp8"
SEED = 900
# As in mistralai/Ministral-3-8B-Instruct-2512, whose vision tower and projector are not in FP8 either.
QUANTIZATION = dict(activation_scheme="static", dequantize=False, modules_to_not_convert=["lm_head"],
                    quant_method="fp8", weight_block_size=None)


def in_fp8(model):
    """The tensors of the checkpoint, and the weights they stand for.

    Mistral's scales are in bfloat16, and then transformers rounds the weights to bfloat16, which Ditto does not do.
    Those of every other layer are in bfloat16 here, and powers of two, with which nothing is rounded.
    """
    tensors, weights = {}, {}
    for name, weight in model.state_dict().items():
        if "_proj." not in name:
            tensors[name] = weight.bfloat16()
            continue
        scale = weight.abs().max() / 448
        if ".1." in name:
            scale = scale.log2().ceil().exp2().bfloat16()
        tensors[name] = (weight / scale.float()).to(torch.float8_e4m3fn)
        tensors[f"{name}_scale_inv"] = scale
        tensors[name.replace("weight", "activation_scale")] = torch.tensor(0.02, dtype=torch.bfloat16)
        weights[name] = tensors[name].float() * scale.float()
    return tensors, weights


def make(seed):
    """Writes the checkpoint; returns the answers, or None if a choice is too close or the text too dull."""
    config = transformers.MistralConfig(
        vocab_size=320, hidden_size=56, intermediate_size=120, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=20, max_position_embeddings=2048, sliding_window=None, bos_token_id=1,
        eos_token_id=EOS)
    model = transformers.MistralForCausalLM(config)
    draw_weights(model, seed, torch.bfloat16, context=0.04)
    tensors, weights = in_fp8(model)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    save_file(tensors, FOLDER / "model.safetensors", metadata={"format": "pt"})
    written = dict(config.to_dict(), architectures=["MistralForCausalLM"], dtype="bfloat16",
                   quantization_config=QUANTIZATION)
    (FOLDER / "config.json").write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    found = loaded.state_dict()
    for name, weight in weights.items():
        assert found[name].dtype == torch.float32 and torch.equal(found[name], weight), name
    return answer_all(loaded, config.vocab_size, seed)


if __name__ == "__main__":
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    seed, answers = first_clear(FOLDER.name, SEED, make)
    write_answers(FOLDER, seed, answers, "tools/make_fp8_fixture.py")
