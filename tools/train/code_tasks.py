"""Tasks on code: rename an identifier, add or remove an argument, make a small edit.

A task returns (turns, revise): `turns` is [(user message, answer)], and `revise(r)` gives a second user
message and its answer, which corrects the first (see generator.correct). Code is held as text in which
names are numbered slots, so that an answer is the same text rendered with other names.
"""

import re

from words import (COLORS, call, compose, constant, fresh, invented, joined, name, number, quoter, variable)
from words import NOUNS


def render(text, names):
    """Fills the slots §0§, §1§, …"""
    return re.sub(r"§(\d+)§", lambda slot: names[int(slot[1])], text)


def kind_maker(kind, style):
    """The function of words.py that draws a name of a kind."""
    return {"variable": lambda r: variable(r, style), "function": lambda r: call(r, style), "constant": constant}[kind]


class Program:
    """A random function in JavaScript or Python with slots for its names."""

    def __init__(self, r, size):
        self.r, self.js = r, r.random() < 0.5
        self.style = "camel" if self.js else "snake"
        self.indent = "  " if self.js and r.random() < 0.7 else "    "
        self.names, self.kinds, self.taken, self.scope = [], [], set(), []
        self.end = ";" if self.js and r.random() < 0.85 else ""
        lines = []
        self.constant = None
        if r.random() < 0.4:
            self.constant = self.slot("constant")
            lines.append(f"{'const ' if self.js else ''}{self.constant} = {number(r)}{self.end}")
        function = self.slot("function")
        self.scope = [self.slot("variable") for _ in range(r.choice((1, 2, 2, 3)))]
        parameters = ", ".join(self.scope)
        self.helpers = [self.slot("function") for _ in range(r.choice((1, 1, 2)))]
        body = []
        for _ in range(r.randint(1, 1 + round(4 * size))):
            body += self.statement(size)
        body.append(f"return {self.expression()}{self.end}")
        lines.append(f"function {function}({parameters}) {{" if self.js else f"def {function}({parameters}):")
        lines += [self.indent + line for line in body] + (["}"] if self.js else [])
        self.text = "\n".join(lines)

    def slot(self, kind):
        self.names.append(fresh(self.r, kind_maker(kind, self.style), self.taken))
        self.kinds.append(kind)
        return f"§{len(self.names) - 1}§"

    def atom(self):
        pick = self.r.random()
        if pick < 0.2:
            return number(self.r, 2, 99)
        return self.constant if self.constant and pick < 0.4 else self.r.choice(self.scope)

    def expression(self):
        r = self.r
        pick = r.random()
        if pick < 0.35:
            return f"{r.choice(self.helpers)}({', '.join(self.atom() for _ in range(r.choice((1, 2))))})"
        if pick < 0.85:
            return f"{r.choice(self.scope)} {r.choice('+-*/')} {self.atom()}"
        return r.choice(self.scope)

    def statement(self, size):
        r = self.r
        pick = r.random()
        if pick < 0.5:
            value = self.expression()
            target = self.slot("variable")
            self.scope.append(target)
            return [f"{r.choice(('let ', 'const ')) if self.js else ''}{target} = {value}{self.end}"]
        if pick < 0.65:
            return [f"{r.choice(self.scope)} {r.choice('+-')}= {self.atom()}{self.end}"]
        if pick < 0.78:
            label = r.choice((r.choice(NOUNS), invented(r)))
            return [f'{"console.log" if self.js else "print"}("{label}", {r.choice(self.scope)}){self.end}']
        if pick < 0.88 or size < 0.5:
            return [f"{r.choice(self.helpers)}({self.atom()}){self.end}"]
        test = f"{r.choice(self.scope)} {r.choice(('<', '>', '=='))} {self.atom()}"
        inner = f"{self.indent}{r.choice(self.scope)} = {self.expression()}{self.end}"
        return [f"if ({test}) {{", inner, "}"] if self.js else [f"if {test}:", inner]


RENAME = ["Rename {a} to {b}", "Rename {a} to {b}", "Rename the {kind} {a} to {b}", "Rename the {kind} {a} to {b}",
          "Rename {a} to {b} in this code", "Change the name {a} to {b}", "Replace the name {a} by {b}",
          "Use the name {b} instead of {a}", "Call the {kind} {b} instead of {a}"]


def rename(r, size):
    """Rename one name everywhere. One in three programs has a name beside it that only looks alike."""
    program = Program(r, size)
    used = [i for i in range(len(program.names)) if program.text.count(f"§{i}§") > 1]
    old = r.choice(used or [0])
    kind, names = program.kinds[old], program.names
    make = kind_maker(kind, program.style)
    others = [i for i in range(len(names)) if i != old and program.kinds[i] == kind]
    if others and r.random() < 0.35:
        tail = r.choice(NOUNS)
        alike = names[old] + "_" + tail.upper() if kind == "constant" else joined([names[old], tail], program.style)
        names[r.choice(others)] = alike
        program.taken.add(alike)
    if r.random() < 0.1:
        program.text = re.sub(r'"\w+"', f'"{names[old]}"', program.text, count=1)  # a text, not the name
    quote = quoter(r)

    def renamed(index, new):
        return render(program.text, [new if i == index else word for i, word in enumerate(names)])

    new = fresh(r, make, program.taken)
    instruction = r.choice(RENAME).format(a=quote(names[old]), b=quote(new), kind=kind)

    def revise(r):
        if len(used) > 1 and r.random() < 0.4:
            second = r.choice([i for i in used if i != old])
            newer = fresh(r, lambda r: variable(r, program.style), program.taken)
            ask = r.choice(("Also rename {a} to {b}.", "Now rename {a} to {b} too.", "And call {a} {b}."))
            mixed = [new if i == old else newer if i == second else word for i, word in enumerate(names)]
            return ask.format(a=quote(names[second]), b=quote(newer)), render(program.text, mixed)
        newer = fresh(r, make, program.taken)
        ask = r.choice(("No, call it {b}.", "Call it {b} instead.", "Sorry, I meant {b}, not {a}.",
                        "Please use {b} instead of {a}."))
        return ask.format(a=quote(new), b=quote(newer)), renamed(old, newer)

    return [(compose(r, instruction, render(program.text, names)), renamed(old, new))], revise


ORDINALS = ("first", "second", "third")


def argument(r, size):
    """Add an argument to every call of a function, or remove one; calls of another function stay."""
    js = r.random() < 0.5
    style, end = ("camel", ";") if js else ("snake", "")
    taken = set()
    function, other = fresh(r, lambda r: call(r, style), taken), fresh(r, lambda r: call(r, style), taken)
    width = r.choice((1, 2, 2, 3))
    parameters = [fresh(r, lambda r: variable(r, style), taken) for _ in range(width)]
    with_definition = r.random() < 0.5
    variables = [fresh(r, lambda r: variable(r, style), taken) for _ in range(3)]
    atom = lambda: number(r, 2, 99) if r.random() < 0.3 else r.choice(variables)
    calls = [(r.choice(("", "{} = ", "{} = ", "return " if with_definition else "{} = ")),
              other if r.random() < 0.25 else function, [atom() for _ in range(width)])
             for _ in range(r.randint(2, 2 + round(3 * size)))]
    calls[0] = (calls[0][0], function, calls[0][2])
    calls = [(("" if prefix == "return " else prefix).format(fresh(r, lambda r: variable(r, style), taken)), f, arguments)
             for prefix, f, arguments in calls]
    keyword = "let " if js else ""

    def show(change, change_definition):
        lines = []
        if with_definition:
            listed = ", ".join(change_definition(parameters))
            body = f"{other}({r_definition})"
            lines += [f"function {function}({listed}) {{", f"  return {body};", "}"] if js else \
                [f"def {function}({listed}):", f"    return {body}"]
        for prefix, f, arguments in calls:
            listed = change(arguments) if f == function else arguments
            lines.append(f"{keyword if prefix else ''}{prefix}{f}({', '.join(listed)}){end}")
        return "\n".join(lines)

    at = r.randrange(width)
    r_definition = r.choice([word for i, word in enumerate(parameters) if i != at] or variables)
    same = lambda words: words
    quote = quoter(r)
    before = show(same, same)
    if width > 1 and r.random() < 0.45:
        drop = lambda words: words[:at] + words[at + 1:]
        ask = [f"Remove the {ORDINALS[at]} argument of {quote(function)} everywhere",
               f"Drop the {ORDINALS[at]} argument from every call of {quote(function)}"]
        ask += [f"Remove the parameter {quote(parameters[at])} of {quote(function)} everywhere",
                f"{quote(function)} no longer takes {quote(parameters[at])}. Remove it everywhere"] * with_definition
        drop_definition = drop if with_definition else same

        def revise(r):
            keep = (at + 1) % width
            cut = lambda words: words[:keep] + words[keep + 1:]
            ask = r.choice((f"No, I meant the {ORDINALS[keep]} argument.", f"Remove the {ORDINALS[keep]} argument instead."))
            return ask, show(cut, cut)

        return [(compose(r, r.choice(ask), before), show(drop, drop_definition))], revise
    first = r.random() < 0.3
    value = r.choice((number(r), r.choice(("true", "false", "null") if js else ("True", "False", "None")),
                      f'"{invented(r)}"', fresh(r, lambda r: variable(r, style), taken)))
    parameter = fresh(r, lambda r: variable(r, style), taken)
    put = lambda word: (lambda words: [word] + words if first else words + [word])
    place = "first" if first else "last"
    if with_definition:
        ask = [f"Add a {place} parameter {quote(parameter)} to {quote(function)} and pass {quote(value)} in every call",
               f"Give {quote(function)} a {place} parameter {quote(parameter)} and pass {quote(value)} everywhere"]
    else:
        ask = [f"Add {quote(value)} as the {place} argument of every call of {quote(function)}",
               f"Pass {quote(value)} as the {place} argument to {quote(function)} everywhere"]

    def revise(r):
        newer = fresh(r, lambda r: number(r), {value})
        ask = r.choice(("No, pass {b}.", "Pass {b} instead of {a}.", "Make it {b}, not {a}."))
        return ask.format(a=quote(value), b=quote(newer)), show(put(newer), put(parameter))

    return [(compose(r, r.choice(ask), before), show(put(value), put(parameter)))], revise


def plot(r):
    """Lines of a plotting script: {key: (template, value, ways to ask, maker)}; a value is one slot of a line."""
    x, y = variable(r, "snake"), variable(r, "snake") + "_" + r.choice(NOUNS)
    text = lambda r: f"{name(r)} {r.choice(NOUNS)}" if r.random() < 0.5 else r.choice(NOUNS)
    lines = {
        "line": (f'plt.plot({x}, {y}, color="{{}}")', ["Make the line {b}", "Draw the line in {b}"],
                 lambda r: r.choice(COLORS)),
        "title": ('plt.title("{}")', ["Change the title to {b}", "Set the title to {b}"], text),
        "xlabel": ('plt.xlabel("{}")', ["Label the x axis {b}", "Change the label of the x axis to {b}"], text),
        "ylabel": ('plt.ylabel("{}")', ["Label the y axis {b}", "Change the label of the y axis to {b}"], text),
        "xmin": (f"plt.xlim({{}}, {r.randint(100, 999)})", ["Start the x axis at {b}", "Let the x axis begin at {b}"],
                 lambda r: r.choice(("0", number(r, 1, 99)))),
        "ymin": (f"plt.ylim({{}}, {r.randint(100, 999)})", ["Start the y axis at {b}", "Let the y axis begin at {b}"],
                 lambda r: r.choice(("0", number(r, 1, 99)))),
        "file": ('plt.savefig("{}.png")', ["Save the figure as {b}.png", "Write the figure to {b}.png"], invented),
        "width": (f"plt.figure(figsize=({{}}, {r.randint(3, 9)}))", ["Make the figure {b} wide", "Set the width of the figure to {b}"],
                  lambda r: number(r, 3, 20)),
    }
    keep = r.sample(sorted(lines), len(lines))
    order = [key for key in ("width", "line", "title", "xlabel", "ylabel", "xmin", "ymin", "file") if key in lines]
    return lines, order, keep


def settings(r, count):
    """Lines of a settings file in one of four notations, in the shape that `plot` returns."""
    shape = r.choice(("{} = {{}}", "{}: {{}}", '"{}": {{}},', "{}={{}}"))
    taken, lines = set(), {}
    for _ in range(count):
        key = fresh(r, lambda r: variable(r, "snake"), taken)
        maker = r.choice((lambda r: number(r), lambda r: number(r), lambda r: r.choice(("true", "false")), invented))
        lines[key] = (shape.format(key), [f"Set {key} to {{b}}", f"Change {key} to {{b}}", f"Change {key} from {{a}} to {{b}}",
                                          f"{key} should be {{b}}"], maker)
    return lines, list(lines), r.sample(list(lines), count)


def edit(r, size):
    """A small edit that an instruction names: a new value, a line removed or added. Equal values beside it stay."""
    count = r.randint(2, 3 + round(3 * size))
    lines, order, keep = plot(r) if r.random() < 0.5 else settings(r, count)
    keep = set(keep[:count])
    order = [key for key in order if key in keep]
    values = {key: lines[key][2](r) for key in order}
    target = r.choice(order)
    alike = [key for key in order if key != target and lines[key][2] is lines[target][2]]
    if alike and r.random() < 0.4:
        values[r.choice(alike)] = values[target]
    show = lambda values: "\n".join(lines[key][0].format(values[key]) for key in order if key in values)
    before = show(values)
    shape, asks, maker = lines[target]
    kind = r.random()
    if kind < 0.12:
        rest = {key: value for key, value in values.items() if key != target}
        ask = f"Remove the line {quoter(r)(shape.format(values[target]))}"
        back = r.choice(("Put it back.", "No, keep that line.", "Undo that."))
        return [(compose(r, ask, before), show(rest))], lambda r: (back, before)
    if kind < 0.22:
        word = f"{variable(r, 'snake')} = {number(r)}"
        top = r.random() < 0.5
        put = lambda line: f"{line}\n{before}" if top else f"{before}\n{line}"
        ask = f"Add the line {quoter(r)(word)} at the {'top' if top else 'end'}"
        other = f"{variable(r, 'snake')} = {number(r)}"
        return [(compose(r, ask, before), put(word))], lambda r: (f"No, I meant {other}.", put(other))
    taken = {values[target]} if values[target] not in ("true", "false") else {values[target]}
    new = fresh(r, maker, taken)

    def revise(r):
        newer = fresh(r, maker if new not in ("true", "false") else number, taken)
        ask = r.choice(("No, make it {b}.", "Make that {b} instead.", "Sorry, {b}, not {a}.", "{b}, please."))
        return ask.format(a=new, b=newer), show({**values, target: newer})

    ask = r.choice(asks).format(a=values[target], b=new)
    return [(compose(r, ask, before), show({**values, target: new}))], revise
