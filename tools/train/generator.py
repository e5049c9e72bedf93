"""Endless examples of the work that prompt lookup is for: what the model in the box is trained and measured on.

An example is a pure function of (seed, number, task, size): training draws from seed "train", held-out
measurements from any other. Look at some with

    python3 tools/train/generator.py [task] [count]

and write the held-out examples that tools/measure_box.ts asks the model with

    python3 tools/train/generator.py --held-out [of each task] > tools/train/held_out.json
"""

import json
import random
import sys

import drills
from code_tasks import argument, edit, rename
from text_tasks import extract, quote

BOS, EOS, USER, ASSISTANT = "<s>", "</s>", "[INST]", "[/INST]"


def correct(r, size):
    """A second turn that corrects the first, of any other task."""
    turns, revise = r.choice((rename, argument, edit, quote, extract))(r, size)
    return turns + [revise(r)], revise


TASKS = {"rename": rename, "argument": argument, "edit": edit, "quote": quote, "extract": extract, "correct": correct}
DRILLS = {"rename drill": drills.rename, "lookup drill": drills.lookup}
SHARES = [  # of the tasks in the three stages of training
    {"rename": 22, "argument": 17, "edit": 15, "quote": 15, "extract": 15, "correct": 16},
    {"rename": 20, "argument": 6, "edit": 6, "quote": 14, "extract": 6, "correct": 14, "rename drill": 16, "lookup drill": 18},
    {"rename": 24, "argument": 12, "edit": 10, "quote": 14, "extract": 12, "correct": 16, "rename drill": 8, "lookup drill": 4},
]


def example(seed, number, task=None, size=1.0, stage=0):
    """[(user message, answer), …]. `size` from 0 to 1 grows the texts; the held-out examples have size 1."""
    r = random.Random(f"{seed} {number}")
    task = task or r.choices(list(SHARES[stage]), SHARES[stage].values())[0]
    return (TASKS | DRILLS)[task](r, size)[0]


def pieces(turns):
    """The chat as the template writes it: [(text, is answer)]. An answer includes the end of sequence."""
    listed = [(BOS, False)]
    for user, answer in turns:
        listed += [(USER + user + ASSISTANT, False), (answer + EOS, True)]
    return listed


def held_out(count):
    """JSON: the first `count` held-out examples of each task, each a chat whose last answer is asked for."""
    lines = []
    for task in TASKS:
        for i in range(count):
            *earlier, (question, answer) = example("held out", i, task)
            messages = [message for user, reply in earlier for message in
                        (dict(role="user", content=user), dict(role="assistant", content=reply))]
            messages.append(dict(role="user", content=question))
            lines.append(json.dumps(dict(task=task, messages=messages, answer=answer)))
    return "[\n" + ",\n".join(lines) + "\n]"


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["--held-out"]:
        print(held_out(int(arguments[1]) if len(arguments) > 1 else 100))
        sys.exit()
    for i in range(int(arguments[1]) if len(arguments) > 1 else 3):
        for user, answer in example("look", i, arguments[0] if arguments else None):
            print(f"--- user\n{user}\n--- answer\n{answer}")
        print("=" * 60)
