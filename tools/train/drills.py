"""Drills for the second stage of training: what the first stage still gets wrong, more of it in fewer tokens.

After the first stage three errors are left: a name that only begins or goes on like the renamed one is
renamed too (its end comes after the place where the model must decide), a value is taken from a neighbouring
row, and code on the instruction's line is not seen. A drill is a chat of many such decisions. Held-out
examples hold no drills.
"""

import re

from code_tasks import RENAME, Program, kind_maker, render
from text_tasks import pose, story, table, told
from words import NOUNS, compose, fresh, invented, number, quoter, variable


def alike(r, word, style):
    """A name that begins with `word`, ends with it, or shares its first letters."""
    other = r.choice(NOUNS) if r.random() < 0.7 else invented(r, 2)
    pick = r.random()
    if pick < 0.5:
        return f"{word}_{other}" if style == "snake" else word + other.capitalize()
    if pick < 0.65:
        return f"{other}_{word}" if style == "snake" else other + word[0].upper() + word[1:]
    return word[:r.randint(1, max(1, min(4, len(word) - 1)))] + invented(r, r.choice((1, 1, 2)))


def snippet(r):
    """A program of a few statements without a function around them, often on one line."""
    program = Program(r, 0)
    lines = [line.strip() for line in program.text.split("\n")]
    begin = next(i for i, line in enumerate(lines) if line.startswith(("function", "def")))
    names = [f"§{i}§" for i in range(len(program.names)) if f"§{i}§" in lines[begin].split("(")[1]]
    declared = [f"{r.choice(('let ', 'const ')) if program.js else ''}{name} = {number(r)}{program.end}" for name in names]
    body = lines[begin + 1:len(lines) - program.js]
    body[-1] = re.sub(r"return (.*?)(;?)$", r"print(\1)\2", body[-1])
    lines = lines[:begin] + declared + body
    if r.random() < 0.7:
        program.text = (" " if program.end else "; ").join(lines)
    else:
        program.text = "\n".join(lines)
    return program


def rename(r, size):
    """One to three renames in a row, in code whose names are nearly all alike."""
    program = snippet(r) if r.random() < 0.4 else Program(r, size * r.random())
    names, kinds, style = program.names, program.kinds, program.style
    used = [i for i in range(len(names)) if f"§{i}§" in program.text]
    base = fresh(r, lambda r: variable(r, style), program.taken)

    def near(r, kind):
        return alike(r, base, "snake").upper() if kind == "constant" else alike(r, base, style)

    for i in used:
        if r.random() < 0.75:
            names[i] = fresh(r, lambda r: near(r, kinds[i]), program.taken)
    plain = r.choice(used)
    names[plain] = base.upper() if kinds[plain] == "constant" else base
    program.taken.add(names[plain])
    mark, turns = quoter(r), []
    for turn in range(r.choice((1, 1, 2, 3))):
        old = plain if r.random() < 0.4 else r.choice(used)
        kind, before, code = kinds[old], names[old], render(program.text, names)
        make = (lambda r: near(r, kind)) if r.random() < 0.2 else kind_maker(kind, style)
        names[old] = fresh(r, make, program.taken)
        asks = ("Also rename {a} to {b}.", "Now rename {a} to {b} too.", "Rename {a} to {b}.") if turns else RENAME
        ask = r.choice(asks).format(a=mark(before), b=mark(names[old]), kind=kind)
        if not turns:
            ask = f"{ask}: {code}" if "\n" not in code and r.random() < 0.7 else compose(r, ask, code)
        turns.append((ask, render(program.text, names)))
    return turns, None


def lookup(r, size):
    """Question after question about one table or text; often only the value is asked for."""
    if r.random() < 0.6:
        lines, ask, rows, width = table(r, size, backwards=0.5)
        body, choose = "\n".join(lines), lambda: ask(r.choice(rows), r.randint(1, width))
    else:
        sentences, ask = story(r, size)
        body, choose = told(r, sentences), lambda: ask(r.randrange(len(sentences)))
    brief, turns = r.choice(("", "", "In short: ", "Only the value: ")), []
    for _ in range(r.randint(4, 9) if brief else r.randint(2, 5)):
        question, answer = choose()
        question = brief + question
        turns.append((question if turns else pose(r, question, body), answer.split("\n")[0] if brief else answer))
    return turns, None
