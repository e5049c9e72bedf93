"""Makes the checkpoints in tests/fixtures/ and what Hugging Face transformers answers on them.

Run from the repository root (about two minutes on one core; the files come out the same every time):

    /usr/bin/python3 -m venv --system-site-packages /tmp/venv     # Debian's python3-torch 1.13
    /tmp/venv/bin/pip install 'transformers==4.37.*' safetensors 'numpy<2'
    /tmp/venv/bin/python tools/make_fixtures.py [name ...]

Each folder is an ordinary Hugging Face directory of a tiny random model, plus

    expected.json         versions, seed, and for each prompt: ids, the rows whose logits are stored
                          (`positions`, counted over prompt + greedy), 64 greedy tokens, and how far the
                          closest runner-up was (`minMargin`, as a share of the largest logit)
    expected.safetensors  `logits.<prompt length>`: f32 [positions, vocab_size]

All answers are computed in float32 on the checkpoint's own weights (bf16 and f16 widened), with a
full forward pass for each token and no KV cache. End-of-sequence is ignored (and never chosen).

Two places where transformers 4.37 needs help or proof, both below: it has no explicit `head_dim`
for Mistral (`explicit_head_dim`), and its sliding-window mask is checked against the rule
"query i sees key j iff j <= i and i - j < window" (`check_mask`).
"""

import copy
import json
import platform
import shutil
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers.modeling_attn_mask_utils import _prepare_4d_causal_attention_mask
from transformers.models.mistral import modeling_mistral

from fixture_tokenizer import write_tokenizer

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"
PROMPT_LENGTHS = (1, 7, 64, 700)
NEW_TOKENS = 64
MIN_MARGIN = 1e-3  # of the largest logit, over every greedy choice of a fixture
EOS = 2

# name: dtype, then the fields of config.json. Seeds from `seed` on are tried until every check holds.
# `context` scales attention's output: when it is small, a token mostly follows from the one before, the answers
# run in circles as copied text does, and lookup's drafts are accepted. At 1 hardly any draft is.
SPECS = {
    # The command line's and the demo's fixture: it has a tokenizer and a chat template.
    "tiny-gqa-bf16": dict(dtype="bfloat16", seed=100, vocab_size=384, hidden_size=64, intermediate_size=128,
                          num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                          sliding_window=None, context=0.03, tokenizer=True),
    # Window shorter than two of the prompts; every query head has its own key head.
    "window-f32": dict(dtype="float32", seed=200, vocab_size=128, hidden_size=48, intermediate_size=96,
                       num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, sliding_window=48),
    # heads * head_dim (30) is less than hidden_size (40); three query heads a key head.
    "headdim-f16": dict(dtype="float16", seed=300, vocab_size=259, hidden_size=40, intermediate_size=68,
                        num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, head_dim=10,
                        sliding_window=None),
    # As in Mistral-Nemo: heads * head_dim (80) is more than hidden_size (56), rope_theta 1e6.
    "nemo-bf16": dict(dtype="bfloat16", seed=400, vocab_size=320, hidden_size=56, intermediate_size=120,
                      num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=20,
                      rope_theta=1e6, sliding_window=None),
    # No lm_head tensor in the file; four query heads a key head; a window of 16.
    "tied-bf16": dict(dtype="bfloat16", seed=500, vocab_size=300, hidden_size=64, intermediate_size=112,
                      num_hidden_layers=3, num_attention_heads=8, num_key_value_heads=2,
                      tie_word_embeddings=True, sliding_window=16, context=0.04),
    # Three files and an index.
    "shards-f32": dict(dtype="float32", seed=600, vocab_size=96, hidden_size=48, intermediate_size=80,
                       num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=3,
                       sliding_window=None, context=0.1, max_shard_size="96KB"),
    # The same mathematics under another architecture's name.
    "llama-f16": dict(dtype="float16", seed=700, architecture="llama", vocab_size=256, hidden_size=64,
                      intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                      num_key_value_heads=1, rope_theta=5e5, context=0.1),
    # No dimension is a multiple of 8; the window (200) ends inside the longest prompt.
    "odd-f32": dict(dtype="float32", seed=800, vocab_size=259, hidden_size=36, intermediate_size=68,
                    num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=3, head_dim=10,
                    rope_theta=1e6, rms_norm_eps=1e-6, sliding_window=200, context=0.1),
}


class ExplicitHeadDimAttention(modeling_mistral.MistralAttention):
    """Mistral attention with `config.head_dim`, as transformers has it from 4.42 on.

    4.37 derives head_dim from hidden_size. Its `forward` uses `self.hidden_size` only for the width of the
    concatenated heads, so the module is built for a model of that width and given projections of its own.
    """

    def __init__(self, config, layer_idx=None):
        heads, head_dim = config.num_attention_heads, config.head_dim
        concatenated = copy.copy(config)
        concatenated.hidden_size = heads * head_dim
        super().__init__(concatenated, layer_idx)
        kv_width = config.num_key_value_heads * head_dim
        self.q_proj = torch.nn.Linear(config.hidden_size, heads * head_dim, bias=False)
        self.k_proj = torch.nn.Linear(config.hidden_size, kv_width, bias=False)
        self.v_proj = torch.nn.Linear(config.hidden_size, kv_width, bias=False)
        self.o_proj = torch.nn.Linear(heads * head_dim, config.hidden_size, bias=False)


def build(spec, seed):
    """The model with random weights, rounded to the checkpoint's dtype and held in float32."""
    fields = {key: value for key, value in spec.items()
              if key not in ("dtype", "seed", "architecture", "tokenizer", "max_shard_size", "context")}
    fields.update(max_position_embeddings=2048, bos_token_id=1, eos_token_id=EOS)
    if spec.get("architecture") == "llama":
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**fields))
    else:
        config = transformers.MistralConfig(**fields)
        config._attn_implementation = "eager"
        attention = modeling_mistral.MISTRAL_ATTENTION_CLASSES["eager"]
        if "head_dim" in spec:
            modeling_mistral.MISTRAL_ATTENTION_CLASSES["eager"] = ExplicitHeadDimAttention
        model = transformers.MistralForCausalLM(config)
        modeling_mistral.MISTRAL_ATTENTION_CLASSES["eager"] = attention
    draw_weights(model, seed, getattr(torch, spec["dtype"]), spec.get("context", 1.0))
    model.generation_config = transformers.GenerationConfig(bos_token_id=1, eos_token_id=EOS)
    return model.eval()


def draw_weights(model, seed, dtype, context):
    """Random weights, rounded to `dtype`, that make a model with clear answers."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            values = torch.randn(weight.shape, generator=noise)
            if weight.dim() == 1:  # a norm
                values = 1 + 0.25 * values
            elif "embed_tokens" in name:
                values *= 0.5
            else:  # large enough for attention that prefers some keys and for clear winners in the head
                values *= (4.0 if "lm_head" in name else 1.5) / weight.shape[1] ** 0.5
                values *= context if "o_proj" in name else 1.0
            weight.copy_(values.to(dtype).float())


def check_mask(config, length):
    """Refuses a mask that is not `j <= i and i - j < window`."""
    window = getattr(config, "sliding_window", None)
    mask = _prepare_4d_causal_attention_mask(None, (1, length), torch.zeros(1, length, 1), 0, sliding_window=window)
    i, j = torch.meshgrid(torch.arange(length), torch.arange(length), indexing="ij")
    visible = (j <= i) & (i - j < (window or length))
    assert torch.equal(mask[0, 0] == 0, visible), "transformers' mask does not obey the sliding-window rule"


@torch.no_grad()
def logits_of(model, ids):
    """f32 [len(ids), vocab_size]"""
    return model(torch.tensor([ids]), use_cache=False).logits[0]


def greedy(model, prompt):
    """The greedy continuation, its smallest margin, and the logits of the whole sequence but its last token."""
    ids, margin = list(prompt), float("inf")
    for _ in range(NEW_TOKENS):
        logits = logits_of(model, ids)
        best = logits[-1].topk(2).values
        margin = min(margin, float((best[0] - best[1]) / logits[-1].abs().max()))
        ids.append(int(logits[-1].argmax()))
    return ids[len(prompt):], margin, logits


def prompts_of(model, vocab_size, seed):
    """One prompt of each length. The longest repeats spans of itself and of the model's own answers."""
    noise = torch.Generator().manual_seed(seed + 1)
    draw = lambda low, high, count: torch.randint(low, high, (count,), generator=noise).tolist()
    prompts = [[1] + draw(3, vocab_size, length - 1) for length in PROMPT_LENGTHS[:-1]]
    long = [1] + draw(3, vocab_size, 199)
    long += greedy(model, prompts[0])[0] + draw(3, vocab_size, 40)
    long += greedy(model, prompts[1])[0]
    while len(long) < PROMPT_LENGTHS[-1]:
        (start,), (count,), (fresh,) = draw(0, len(long) - 60, 1), draw(5, 60, 1), draw(1, 30, 1)
        long += long[start:start + count] + draw(3, vocab_size, fresh)
    return prompts + [long[:PROMPT_LENGTHS[-1]]]


def passes_with_lookup(prompt, answer, num_draft=10, max_ngram=3):
    """Passes that prompt lookup needs for this answer (the original's rule); one fixture at least must gain."""
    ids, done, passes = list(prompt), 0, 0
    while done < len(answer):
        draft = []
        for n in range(min(max_ngram, len(ids)), 0, -1):
            starts = (s for s in range(len(ids) - n - num_draft + 1) if ids[s:s + n] == ids[-n:])
            start = next(starts, None)
            if start is not None:
                draft = ids[start + n:start + n + num_draft]
                break
        accepted = 0
        while accepted < len(draft) and answer[done + accepted:done + accepted + 1] == draft[accepted:accepted + 1]:
            accepted += 1
        ids += answer[done:done + accepted + 1]
        done, passes = done + accepted + 1, passes + 1
    return passes


def answer_all(model, vocab_size, seed):
    """What expected.json and expected.safetensors hold, or None if a choice is too close or the text too dull."""
    records, tensors = [], {}
    for prompt in prompts_of(model, vocab_size, seed):
        answer, margin, logits = greedy(model, prompt)
        if margin < MIN_MARGIN or EOS in answer or len(set(answer)) < 4:
            return None
        length = len(prompt)
        positions = sorted({0, length // 3, max(0, length - 2), length - 1, length, length + NEW_TOKENS - 2})
        tensors[f"logits.{length}"] = logits[positions].contiguous()
        records.append(dict(length=length, ids=prompt, positions=positions, greedy=answer,
                            minMargin=round(margin, 6), lookupPasses=passes_with_lookup(prompt, answer)))
    return records, tensors


def first_clear(name, first, attempt):
    """The first seed from `first` on with which `attempt` returns something, and what."""
    for seed in range(first, first + 100):
        result = attempt(seed)
        if result is not None:
            return seed, result
    raise SystemExit(f"No seed from {first} on gives {name} clear margins: change its scales.")


def make(name, spec):
    def attempt(seed):
        model = build(spec, seed)
        check_mask(model.config, 96)
        answers = answer_all(model, spec["vocab_size"], seed)
        return answers and (model, answers)

    seed, (model, answers) = first_clear(name, spec["seed"], attempt)
    folder = FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    model.to(getattr(torch, spec["dtype"])).save_pretrained(
        folder, safe_serialization=True, max_shard_size=spec.get("max_shard_size", "10GB"))
    if spec.get("tokenizer"):
        write_tokenizer(folder, spec["vocab_size"])
    write_answers(folder, seed, answers, "tools/make_fixtures.py")


def write_answers(folder, seed, answers, script):
    """expected.json and expected.safetensors, from what `answer_all` returned."""
    records, tensors = answers
    save_file(tensors, folder / "expected.safetensors")
    versions = dict(python=platform.python_version(), torch=torch.__version__, transformers=transformers.__version__)
    expected = dict(madeBy=script, versions=versions, seed=seed, prompts=records)
    (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")).replace('{"length"', '\n{"length"') + "\n")
    size = sum(file.stat().st_size for file in folder.iterdir())
    margins = min(record["minMargin"] for record in records)
    print(f"{folder.name}: seed {seed}, {size / 1000:.0f} KB, margin {margins:.4f}, "
          f"passes for {NEW_TOKENS} tokens {[record['lookupPasses'] for record in records]}, "
          f"distinct {[len(set(record['greedy'])) for record in records]}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for fixture in sys.argv[1:] or SPECS:
        make(fixture, SPECS[fixture])
