"""Times Hugging Face transformers on a shape of bench/shapes/ with made-up weights: prompts, plain decoding, and
decoding with prompt lookup while recorded answers are replayed. Writes the format of bench/result.ts.

    python3 bench/peers/transformers_replay.py --shape mistral-7b --replay FILE --out RESULT.json

Runs on the first CUDA device, else on the CPU (there in f32, as a proof that it runs).
Needs torch and transformers 4.37 or newer.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import subprocess
import sys
import time

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, LogitsProcessor, LogitsProcessorList

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NUM_DRAFT = 10


class Recorded(LogitsProcessor):
    """Forces the recorded token in place of the choice, and takes the time of the first, which ends the prompt."""

    def __init__(self, tokens, synchronize):
        self.tokens = tokens  # prompt and answer
        self.synchronize = synchronize
        self.prompt_end = None

    def __call__(self, input_ids, scores):
        if self.prompt_end is None:
            self.synchronize()
            self.prompt_end = time.perf_counter()
        position = input_ids.shape[1]
        scores.fill_(float("-inf"))
        # Past the answer's end, where drafts may reach, anything will do.
        scores[:, self.tokens[min(position, len(self.tokens) - 1)]] = 0
        return scores


class Bench:
    def __init__(self, config, device, dtype):
        self.device = device
        torch.set_default_dtype(dtype)
        # Since torch 2 weights can be made where they are used, in seconds instead of minutes.
        is_recent = hasattr(torch, "set_default_device")
        with torch.device(device) if is_recent else contextlib.nullcontext():
            model = AutoModelForCausalLM.from_config(config)
        self.model = model.to(device, dtype).eval()
        self.passes = 0
        self.model.register_forward_hook(self.count_pass)

    def count_pass(self, *_):
        self.passes += 1

    def synchronize(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def generate(self, prompt, answer, num_draft=0):
        """Seconds of the prompt and after it, and the passes after it.

        With lookup, the prompt's pass verifies drafts already; those it accepts cost no time here, which is in
        transformers' favour.
        """
        recorded = Recorded(prompt + answer, self.synchronize)
        # The recording alone ends the answer.
        options = {"max_new_tokens": len(answer), "min_new_tokens": len(answer), "pad_token_id": 0}
        if num_draft:
            options = {"max_new_tokens": len(answer), "pad_token_id": 0, "prompt_lookup_num_tokens": num_draft}
        ids = torch.tensor([prompt], device=self.device)
        self.passes = 0
        self.synchronize()
        start = time.perf_counter()
        output = self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            logits_processor=LogitsProcessorList([recorded]),
            **options,
        )
        self.synchronize()
        end = time.perf_counter()
        found = output[0].tolist()[len(prompt):]
        assert found == answer, "transformers did not take the recorded tokens"
        return recorded.prompt_end - start, end - recorded.prompt_end, self.passes - 1


def copy_bytes_per_second(bench):
    """Bytes a second that a copy on the device reads and writes together."""
    size = (1 << 30) if bench.device == "cuda" else (64 << 20)
    source = torch.ones(size, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(8):
        bench.synchronize()
        start = time.perf_counter()
        target.copy_(source)
        bench.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * size / best


def task_figures(answers):
    """As taskFigures in bench/result.ts."""
    figures = {}
    for task in dict.fromkeys(answer["task"] for answer in answers):
        of = [answer for answer in answers if answer["task"] == task]
        tokens, passes, plain, lookup = (
            sum(answer[key] for answer in of) for key in ("tokens", "passes", "plainMs", "lookupMs")
        )
        speeds = [answer["plainMs"] / answer["lookupMs"] for answer in of]
        per_pass = [answer["tokens"] / answer["passes"] for answer in of]
        figures[task] = {
            "answers": len(of),
            "tokensPerPass": {"total": tokens / passes, "mean": sum(per_pass) / len(of)},
            "plainTokensPerSecond": tokens / plain * 1000,
            "tokensPerSecond": tokens / lookup * 1000,
            "speed": {"total": plain / lookup, "mean": sum(speeds) / len(of), "min": min(speeds)},
        }
    return figures


def read_answers(path, task, per_task):
    taken = {}
    with open(path) as lines:
        for answer in map(json.loads, filter(str.strip, lines)):
            of = taken.setdefault(answer["task"], [])
            # Of one token nothing is left to decode after the prompt.
            if len(of) < per_task and task in (None, answer["task"]) and len(answer["output_ids"]) > 1:
                of.append(answer)
    return [answer for of in taken.values() for answer in of]


def driver_version():
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return "NVIDIA " + subprocess.check_output(query, text=True).splitlines()[0]
    except (OSError, subprocess.CalledProcessError):
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", default="mistral-7b", help="a name in bench/shapes/")
    parser.add_argument("--layers", type=int, help="keep N layers only")
    parser.add_argument("--replay", help="JSON lines file of recorded answers")
    parser.add_argument("--task", help="replay this task's answers only")
    parser.add_argument("--answers", type=int, default=10**9, help="replay N answers of each task only")
    parser.add_argument("--out", required=True, help="file to write; rewritten after every answer")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    torch.manual_seed(1)

    is_cuda = torch.cuda.is_available()
    dtype = torch.bfloat16 if is_cuda else torch.float32
    config = AutoConfig.from_pretrained(os.path.join(ROOT, "shapes", f"{args.shape}.json"))
    whole = config.num_hidden_layers
    config.num_hidden_layers = args.layers or whole
    say = lambda text: print(text, file=sys.stderr, flush=True)
    with torch.inference_mode():
        bench = Bench(config, "cuda" if is_cuda else "cpu", dtype)
        attention = getattr(bench.model.config, "_attn_implementation", "unknown")
        weights = sum(p.numel() * p.element_size() for p in bench.model.parameters())
        embedding = bench.model.get_input_embeddings().weight
        result = {
            "kind": "end-to-end",
            "engine": "transformers",
            "version": f"{transformers.__version__}, {attention} attention",
            "device": torch.cuda.get_device_name() if is_cuda else f"{platform.machine()} CPU",
            "driver": driver_version() if is_cuda else None,
            "isSoftware": not is_cuda,
            "runtime": f"Python {platform.python_version()}, torch {torch.__version__}",
            "shape": args.shape,
            "layers": config.num_hidden_layers,
            "isWhole": config.num_hidden_layers == whole,
            "dtype": "bf16" if is_cuda else "f32",
            "copyBytesPerSecond": copy_bytes_per_second(bench),
            "multiplyAddsPerSecond": None,
            "bytesPerPass": weights - embedding.numel() * embedding.element_size(),
            "prefill": [],
            "plain": [],
            "rowCosts": None,
            "replays": [],
        }

        def write():
            result["date"] = datetime.datetime.now(datetime.timezone.utc).isoformat()
            with open(args.out, "w") as file:
                json.dump(result, file, indent=2)
                file.write("\n")

        made_up = lambda count: [3 + i * 7919 % (config.vocab_size - 3) for i in range(count)]
        bench.generate(made_up(64), made_up(4))  # what libraries compile or load at first use
        for tokens in (128, 1024, 4096) if is_cuda else (128,):
            prompt, _, _ = min(bench.generate(made_up(tokens), [5]) for _ in range(3))
            result["prefill"].append(
                {"tokens": tokens, "tokensPerSecond": tokens / prompt, "fractionOfMultiplyAdds": None}
            )
            say(f"prefill of {tokens} tokens: {tokens / prompt:.0f} tokens a second")
            write()
        for context in (128, 1024) if is_cuda else (128,):
            tokens = 256 if is_cuda else 16
            runs = [bench.generate(made_up(context), made_up(tokens)) for _ in range(3)]
            rate = (tokens - 1) / min(seconds for _, seconds, _ in runs)
            fraction = rate * result["bytesPerPass"] / result["copyBytesPerSecond"]
            result["plain"].append(
                {
                    "context": context,
                    "tokens": tokens - 1,
                    "tokensPerSecond": rate,
                    "fractionOfCopy": fraction,
                    "cpuMsPerStep": None,
                }
            )
            say(f"plain decoding after {context} tokens: {rate:.1f} tokens a second, {fraction:.0%} of a copy")
            write()
        if args.replay:
            replayed = []
            for answer in read_answers(args.replay, args.task, args.answers):
                prompt, output = answer["prompt_ids"], answer["output_ids"]
                _, plain, _ = bench.generate(prompt, output)
                _, lookup, passes = bench.generate(prompt, output, NUM_DRAFT)
                replayed.append(
                    {
                        "task": answer["task"],
                        "category": answer.get("category"),
                        "promptTokens": len(prompt),
                        "tokens": len(output) - 1,  # the prompt's pass made the first
                        "passes": passes,
                        "plainMs": plain * 1000,
                        "lookupMs": lookup * 1000,
                    }
                )
                replay = {
                    "drafter": f"prompt_lookup_num_tokens={NUM_DRAFT}",
                    "recording": os.path.basename(args.replay),
                    "tasks": task_figures(replayed),
                    "answers": replayed,
                }
                result["replays"] = [replay]
                write()
            for task, of in task_figures(replayed).items():
                speed = of["speed"]
                say(
                    f"replay of {task}, {of['answers']} answers: {of['tokensPerSecond']:.1f} tokens a second, "
                    f"{speed['total']:.2f} times plain (mean {speed['mean']:.2f}, least {speed['min']:.2f})"
                )


if __name__ == "__main__":
    main()
