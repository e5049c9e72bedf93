"""Trains the model in the box. One command, fixed seeds; stop it at any step and run it again to go on.

    pip install torch==2.9.1 numpy tokenizers              # numpy and a C++ compiler are for torch.compile
    python tools/train/tokenizer.py demo/ditto-tiny        # once
    python tools/train/train.py                            # two CPU cores: four hours
    python tools/train/train.py --preset gpu               # a CUDA device

The run lives in .cache/ditto-tiny/ (weights, optimizer state, figures); step n's batch depends on the
seed and n alone, so a resumed run sees what an unbroken one would have seen. On SIGTERM, on Ctrl-C and every
--save-every steps the state is written. At the end (or with --export-now) the model is exported to demo/ditto-tiny/
beside its loss curve and figures (training.json).

Curriculum: --warm steps of the shortest texts, then texts of all sizes up to a limit that grows to the full one
over --grow steps; from --drills-from on with drills (drills.py); from --ahead-from on the tokens after the next are
asked for as well (model.py). What each was good for:

- The first two layers begin as induction heads: from random weights the loss that 200 steps now reach took 700.
- Drills: after 10,000 steps 72% of quote's first 50 held-out answers were right, the errors being the first token of the
  value; with drills 86% at 15,500, at a learning rate at which it had been about 50% before.
- Tokens ahead: renaming stayed at 50 to 70% through all of these steps. Where a name and a longer one that begins
  like it stand in one text the model guessed (58% of such places right): nothing had rewarded looking past the name.
  1,600 steps after it was first asked for tokens ahead 64% were right, and rename's answers went over 80% soon after;
  at the end 86% and 96%.
"""

import argparse
import ctypes
import json
import random
import signal
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from generator import ASSISTANT, BOS, EOS, TASKS, example, pieces
from model import AHEAD, Config, Mistral, export, exported, read_export
from optimizer import optimizers
from tokenizer import SPECIALS, Encoder

PRESETS = {  # rates: of learning, at some steps; straight lines between them
    "cpu": dict(steps=24500, tokens=4096, warm=200, grow=2500, drills_from=10000, ahead_from=15500, settle_from=19000,
                rates=[(0, 0), (50, 1), (4000, 1), (10000, 0), (10050, 0.6), (12100, 0.6), (15500, 0.43), (15550, 0.6),
                       (19000, 0.6), (24500, 0)],
                matrix_lr=0.006, vector_lr=0.0015, workers=0, evaluate_every=500, held_out=50),
    "gpu": dict(steps=10000, tokens=16384, warm=100, grow=1250, drills_from=3000, ahead_from=1500, settle_from=6000,
                rates=[(0, 0), (50, 1), (6000, 1), (10000, 0)],
                matrix_lr=0.008, vector_lr=0.002, workers=12, evaluate_every=500, held_out=200),
}
AHEAD_WEIGHT = 0.1  # of the loss of tokens ahead
SHARED = 16  # steps whose sequences are drawn and sorted by length together


class Batches:
    """Item n is the batch of step n: (ids, whether of an answer) of sequences of like length, padded to one."""

    def __init__(self, options):
        self.options, self.encoder = options, Encoder(Path(options.model) / "tokenizer.json")
        self.held, self.groups = None, []  # of the last steps asked for

    def __len__(self):
        return self.options.steps

    def sequence(self, number, size, stage):
        """Token ids, and for each whether it belongs to an answer."""
        ids, answers = [], []
        for text, is_answer in pieces(example("train", number, size=size, stage=stage)):
            piece = self.encoder.encode(text)
            ids += piece
            answers += [is_answer] * len(piece)
        return ids, answers

    def __getitem__(self, step):
        if self.held != step // SHARED:
            self.held, self.groups = step // SHARED, self.shared(step // SHARED * SHARED)
        return self.groups[step % SHARED]

    def shared(self, step):
        """The batches of SHARED steps from `step` on: drawn together, so that little padding is needed."""
        o = self.options
        size = min(1.0, max(0, step - o.warm) / o.grow)
        stage = (step >= o.drills_from) + (step >= o.settle_from)
        sequences, total, i = [], 0, 0
        while total < SHARED * o.tokens:
            number = step * 100_000 + i
            sequences.append(self.sequence(number, size * random.Random(number).random() ** 0.5, stage))
            total, i = total + len(sequences[-1][0]), i + 1
        groups = grouped(sequences, SHARED)
        random.Random(step).shuffle(groups)
        return groups


def grouped(sequences, count):
    """At most `count` padded groups of sequences of like length, each of about as many tokens."""
    sequences = sorted(sequences, key=lambda sequence: len(sequence[0]))
    whole, total, parts = sum(len(ids) for ids, _ in sequences), 0, [[] for _ in range(count)]
    for sequence in sequences:
        parts[total * count // whole].append(sequence)
        total += len(sequence[0])
    groups = []
    for part in filter(None, parts):  # of few sequences a long one fills several groups
        length = -(-max(len(ids) for ids, _ in part) // 16) * 16
        groups.append((torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in part]),
                       torch.tensor([answers + [False] * (length - len(answers)) for _, answers in part])))
    return groups


def answers_right(model, batches, options, device):
    """Share of held-out answers (the last of each chat) that greedy decoding gets exactly right, per task.

    Greedy decoding writes the reference answer exactly if, given the reference so far, each next token is the
    likeliest: one pass tells.
    """
    model.eval()
    figures = {}
    for task in TASKS:
        right = 0
        sequences = []
        for i in range(options.held_out):
            listed = pieces(example("held out", i, task))
            prompt = [token for text, _ in listed[:-1] for token in batches.encoder.encode(text)]
            answer = batches.encoder.encode(listed[-1][0])
            sequences.append((prompt + answer, [False] * len(prompt) + [True] * len(answer)))
        for ids, answers in grouped(sequences, 4):
            with torch.no_grad(), autocast(device):
                best = model(ids.to(device), before(answers).to(device)).argmax(-1).cpu()
            wrong = torch.zeros_like(answers)
            wrong[answers] = best != ids[answers]
            right += int((~wrong.any(1)).sum())
        figures[task] = round(right / options.held_out, 4)
    model.train()
    return figures


def before(answers):
    """The flat positions whose next token belongs to an answer."""
    return F.pad(answers[:, 1:], (0, 1)).flatten().nonzero()[:, 0]


def mean(values):
    values = list(values)
    return round(sum(values) / len(values), 4)


def autocast(device):
    return torch.autocast(device, dtype=torch.bfloat16)


def rate(options, step):
    """The learning rate's factor at a step."""
    for (begin, first), (end, last) in zip(options.rates, options.rates[1:]):
        if step < end:
            return first + (last - first) * (step + 1 - begin) / (end - begin)
    return 0.0


def keep_freed_memory():
    """Tells glibc to keep large freed blocks: on the CPU a step otherwise spends half its time in page faults."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except OSError:
        return
    for parameter, value in ((-3, 1 << 30), (-1, (1 << 31) - 1), (-2, 1 << 28), (-8, 1)):  # mmap, trim, top pad, arenas
        mallopt(parameter, value)


def answer_loss(model, device, ids, where, answers, where_ahead, answers_ahead):
    """Mean cross-entropy of the answers' tokens, and of the tokens ahead if they are asked for."""
    with autocast(device):
        if not where_ahead:
            loss = F.cross_entropy(model(ids, where), answers)
            return loss, loss.detach(), torch.zeros(())
        first, *others = model(ids, where, where_ahead)
    loss = F.cross_entropy(first, answers)
    ahead = sum(F.cross_entropy(logits, wanted) for logits, wanted in zip(others, answers_ahead)) / AHEAD
    return loss + AHEAD_WEIGHT * ahead, loss.detach(), ahead.detach()


def ahead_of(ids, answers):
    """For 2 to AHEAD + 1 places on: flat positions from which the answer goes on so far (of these, for speed, one in
    AHEAD), and the tokens there."""
    wheres, tokens = [], []
    flat = ids.flatten()
    for places in range(2, AHEAD + 2):
        both = F.pad(answers[:, 1:], (0, 1)) & F.pad(answers[:, places:], (0, places))
        at = both.flatten().nonzero()[:, 0][places % AHEAD::AHEAD]
        wheres.append(at)
        tokens.append(flat[at + places])
    return wheres, tokens


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="cpu")
    for name, value in PRESETS["cpu"].items():
        if name != "rates":
            parser.add_argument("--" + name.replace("_", "-"), type=type(value))
    parser.add_argument("--model", default="demo/ditto-tiny", help="folder with tokenizer.json, and of the export")
    parser.add_argument("--work", default=".cache/ditto-tiny", help="folder of the run's state")
    parser.add_argument("--save-every", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--from-export", type=Path, help="folder of an exported model whose weights a new run begins with")
    parser.add_argument("--export-now", action="store_true", help="export the last state and stop")
    options = parser.parse_args()
    for name, value in PRESETS[options.preset].items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
    return options


def main():
    options = parse()
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        keep_freed_memory()
        torch.set_num_threads(options.threads)
    work, state_file = Path(options.work), Path(options.work) / "state.pt"
    work.mkdir(parents=True, exist_ok=True)
    model = Mistral(Config()).to(device)
    opts = optimizers(model, options.matrix_lr, options.vector_lr)
    start, history = 0, []
    if options.from_export:
        read_export(model, options.from_export)
    if state_file.exists():
        state = torch.load(state_file, map_location=device)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(opts, state["optimizers"]):
            optimizer.load_state_dict(saved)
        start, history = state["step"], state["history"]
    batches = Batches(options)
    parameters = sum(weight.numel() for weight in exported(model).values())
    print(f"{parameters:,} parameters on {device}, from step {start} to {options.steps}", flush=True)

    def save(step):
        state = dict(model=model.state_dict(), optimizers=[o.state_dict() for o in opts], step=step, history=history)
        torch.save(state, state_file.with_suffix(".new"))
        state_file.with_suffix(".new").replace(state_file)  # never half a file
        (work / "training.json").write_text(summary(step))

    def summary(step):
        lines = ",\n".join("  " + json.dumps(entry) for entry in history)
        head = dict(parameters=parameters, steps=step, preset=options.preset, tokensAStep=options.tokens, torch=torch.__version__)
        return json.dumps(head)[:-1] + ', "history": [\n' + lines + "\n]}\n"

    def finish(step):
        export(model, Path(options.model), eos_token_id=SPECIALS.index(EOS), bos_token_id=SPECIALS.index(BOS))
        (Path(options.model) / "training.json").write_text(summary(step))
        print(f"exported to {options.model}", flush=True)

    if options.export_now:
        return finish(start)
    stopped = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopped.append(True))
    loader = torch.utils.data.DataLoader(batches, batch_size=None, sampler=range(start, options.steps), num_workers=options.workers)
    compiled = torch.compile(answer_loss, dynamic=True)  # 1.8 times the speed on two cores
    weights = list(model.parameters())
    began, losses = time.time(), []
    for step, groups in zip(range(start, options.steps), loader):
        for optimizer, base in zip(opts, (options.matrix_lr, options.vector_lr)):
            for group in optimizer.param_groups:
                group["lr"] = base * rate(options, step)
        ids, answers = groups[0].to(device), groups[1].to(device)
        ahead = ahead_of(ids, answers) if step >= options.ahead_from else ((), ())
        total, loss, loss_ahead = compiled(model, device, ids, before(answers), ids[answers], *ahead)
        for weight, gradient in zip(weights, torch.autograd.grad(total, weights, allow_unused=True)):
            weight.grad = gradient
        torch.nn.utils.clip_grad_norm_(opts[1].param_groups[0]["params"], 1.0)
        for optimizer in opts:
            optimizer.step()
        losses.append((float(loss), float(loss_ahead)))
        if (step + 1) % 25 == 0:
            entry = dict(step=step + 1, loss=mean(loss for loss, _ in losses), ahead=mean(ahead for _, ahead in losses), seconds=round((time.time() - began) / len(losses), 2))
            began, losses = time.time(), []
            if (step + 1) % options.evaluate_every == 0 or step + 1 == options.steps:
                entry["heldOut"] = answers_right(model, batches, options, device)
                began = time.time()
            history.append(entry)
            print(json.dumps(entry), flush=True)
        if stopped or (step + 1) % options.save_every == 0 or step + 1 == options.steps:
            save(step + 1)
        if stopped:
            print(f"stopped after step {step + 1}; run again to go on", flush=True)
            return
    finish(options.steps)


if __name__ == "__main__":
    main()
