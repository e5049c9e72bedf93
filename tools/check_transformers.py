"""Loads the model in the box in Hugging Face transformers and compares its answers with Ditto's.

    python3 -m venv --system-site-packages .cache/transformers
    .cache/transformers/bin/pip install transformers==4.37.2 jinja2
    .cache/transformers/bin/python tools/check_transformers.py [--examples 3]

For held-out examples of each task it compares the chat template's token ids, then the greedy answers token by
token. Both sides read the bf16 weights; transformers computes in f32, Ditto as on any device. Where they part,
the difference between transformers' two largest logits there is printed: a near tie may fall either way.
Ends with status 1 if prompts differ or answers part without a near tie.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parent.parent
NEAR_TIE = 0.05  # of logits; bf16 weights and f16 activations move them by about this much


def ditto(model, ids, work):
    """Ditto's greedy answer to the token ids: what --json says."""
    prompt = work / "ids.json"
    prompt.write_text(json.dumps(ids))
    command = ["deno", "run", "-A", "decode.ts", "--model", str(model), "--prompt-ids", str(prompt), "--json",
               "--quiet", "--max-new-tokens", "256"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "demo/ditto-tiny")
    parser.add_argument("--examples", type=int, default=3, help="of each task")
    options = parser.parse_args()
    work = ROOT / ".cache"
    work.mkdir(exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(options.model).float().eval()
    by_task = {}
    for example in json.loads((ROOT / "tools/train/held_out.json").read_text()):
        by_task.setdefault(example["task"], []).append(example)
    compared = same = ties = 0
    for task, examples in by_task.items():
        for example in examples[:options.examples]:
            text = tokenizer.apply_chat_template(example["messages"], tokenize=False)
            ids = tokenizer(text, add_special_tokens=False).input_ids
            answered = ditto(options.model.resolve(), ids, work)
            with torch.no_grad():
                prompt = torch.tensor([ids])
                whole = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=256, do_sample=False,
                                       pad_token_id=tokenizer.eos_token_id)[0].tolist()
            expected = whole[len(ids):]
            compared += 1
            if answered["tokens"] == expected:
                same += 1
                continue
            pairs = zip(answered["tokens"], expected)
            at = next((i for i, (ours, theirs) in enumerate(pairs) if ours != theirs), min(len(answered["tokens"]), len(expected)))
            with torch.no_grad():
                two = model(torch.tensor([ids + expected[:at]])).logits[0, -1].topk(2).values
            gap = float(two[0] - two[1])
            ties += gap < NEAR_TIE
            print(f"{task}: answers part at token {at}, where transformers' two largest logits differ by {gap:.4f}")
    print(f"{same} of {compared} answers have the same tokens; {ties} of the others part at a near tie")
    sys.exit(0 if same + ties == compared else 1)


if __name__ == "__main__":
    main()
