"""Tasks on text: answer from a table or from paragraphs with the source quoted, extract records as JSON lines.

A task returns (turns, revise), as in code_tasks. All facts are invented anew for each example.
"""

import json

from words import (ANIMALS, COLORS, GOODS, JOBS, MONTHS, NOUNS, SHOPS, THINGS, compose, fresh, invented, name, number, person)


def quoted(value, source):
    """The answer's form: the value, and under it the line or sentence that it was read from."""
    return f"{value}\n> {source}"


COLUMNS = {  # of a table: title → maker of a cell
    "population": lambda r: str(r.randint(100, 9999)), "founded": lambda r: str(r.randint(1100, 1999)), "mayor": person,
    "river": name, "export": lambda r: r.choice(GOODS), "price": lambda r: f"{r.randint(1, 99)}.{r.randint(10, 99)}",
    "color": lambda r: r.choice(COLORS), "weight": lambda r: f"{r.randint(2, 99)} kg", "code": lambda r: invented(r).upper(),
    "height": lambda r: f"{r.randint(2, 990)} m", "owner": person, "stock": lambda r: number(r, 1, 400),
}


def table(r, size, backwards=0.3):
    """Look up a cell by its row, or, in the share `backwards` of questions, a row by a cell."""
    taken = set()
    columns = r.sample(sorted(COLUMNS), r.choice((1, 2, 2, 3)))
    head = r.choice(("name", "place", "item", "town"))
    rows = [[fresh(r, name, taken)] + [fresh(r, COLUMNS[column], taken) if column not in ("color", "export") else
                                       COLUMNS[column](r) for column in columns] for _ in range(r.randint(2, 3 + round(3 * size)))]
    shape = r.choice(("| {} |", "{}", "{}"))
    between = " | " if shape.startswith("|") else r.choice((", ", "; ", " | ", "\t"))
    line = lambda cells: shape.format(between.join(cells))
    lines = [line([head] + columns)]
    if shape.startswith("|"):
        lines.append("|" + " --- |" * (len(columns) + 1))
    lines += [line(row) for row in rows]

    def ask(row, at):
        column = columns[at - 1]
        unique = sum(other[at] == row[at] for other in rows) == 1
        if unique and r.random() < backwards:
            question = r.choice((f"Which {head} has the {column} {row[at]}?", f"Whose {column} is {row[at]}?"))
            return question, quoted(row[0], line(row))
        question = r.choice((f"What is the {column} of {row[0]}?", f"Which {column} does {row[0]} have?",
                             f"Give the {column} of {row[0]}."))
        return question, quoted(row[at], line(row))

    return lines, ask, rows, len(columns)


def about_table(r, size):
    lines, ask, rows, width = table(r, size)
    row = r.choice(rows)
    question, answer = ask(row, r.randint(1, width))

    def revise(r):
        other = r.choice([candidate for candidate in rows if candidate is not row])
        question, answer = ask(other, r.randint(1, width))
        return r.choice(("And: ", "No, I meant: ", "")) + question, answer

    return [(pose(r, question, "\n".join(lines)), answer)], revise


def pose(r, question, body):
    """A question before or after the text it is about."""
    return f"{question}\n\n{body}" if r.random() < 0.5 else f"{body}\n\n{question}"


# Facts: a sentence, and the questions that it answers. Braces name the drawn values.
FACTS = [
    ("{person} founded the {shop} in {place} in {year}.",
     [("Who founded the {shop} in {place}?", "{person}"), ("When was the {shop} in {place} founded?", "{year}")]),
    ("The {shop} in {place} was built by {person} in {year}.",
     [("Who built the {shop} in {place}?", "{person}"), ("When was the {shop} in {place} built?", "{year}")]),
    ("The bridge over the {place} is {n} meters long.", [("How long is the bridge over the {place}?", "{n} meters")]),
    ("{person} keeps {n} {animals} near {place}.",
     [("How many {animals} does {person} keep?", "{n}"), ("Where does {person} keep the {animals}?", "{place}")]),
    ("{person} works as a {job} in {place}.",
     [("What is the job of {person}?", "{job}"), ("Where does {person} work?", "{place}")]),
    ("The train to {place} leaves at {hour} from platform {n}.",
     [("When does the train to {place} leave?", "{hour}"), ("From which platform does the train to {place} leave?", "{n}")]),
    ("{person} paid {n} coins for the {color} {thing}.",
     [("How much did {person} pay for the {thing}?", "{n} coins"), ("Who paid {n} coins?", "{person}"),
      ("Which color is the {thing} of {person}?", "{color}")]),
    ("Most of the {good} in {place} comes from {other}.", [("Where does the {good} in {place} come from?", "{other}")]),
    ("{place} lies {n} kilometers from {other}.", [("How far is {place} from {other}?", "{n} kilometers")]),
    ("In {month}, {person} sold {n} {thing}s to {other}.",
     [("When did {person} sell {thing}s?", "{month}"), ("How many {thing}s did {person} sell?", "{n}")]),
]


def draw(r, taken):
    """Values for one fact."""
    return dict(person=fresh(r, person, taken), place=fresh(r, name, taken), other=fresh(r, name, taken),
                year=str(r.randint(1100, 1999)), n=fresh(r, lambda r: number(r, 2, 999), taken), shop=r.choice(SHOPS),
                animals=r.choice(ANIMALS), job=r.choice(JOBS), hour=f"{r.randint(5, 22)}:{r.randint(10, 59)}",
                color=r.choice(COLORS), thing=r.choice(THINGS), good=r.choice(GOODS), month=r.choice(MONTHS))


def story(r, size):
    """Sentences, some of which say the like of someone or somewhere else, and questions about the one at an index."""
    taken, facts = set(), []
    for _ in range(r.randint(2, 3 + round(4 * size))):
        if facts and r.random() < 0.35:
            template, asks, values = r.choice(facts)
            kept = {key: values[key] for key in ("shop", "animals", "thing", "good", "job")}
            facts.append((template, asks, {**draw(r, taken), **kept}))
        else:
            template, asks = r.choice(FACTS)
            facts.append((template, asks, draw(r, taken)))
    r.shuffle(facts)
    sentences = [template.format(**values) for template, _, values in facts]

    def ask(at):
        question, answer = r.choice(facts[at][1])
        return question.format(**facts[at][2]), quoted(answer.format(**facts[at][2]), sentences[at])

    return sentences, ask


def told(r, sentences):
    """The sentences as one text of a few paragraphs."""
    text = sentences[0]
    for sentence in sentences[1:]:
        text += r.choice((" ", " ", " ", "\n\n")) + sentence
    return text


def about_text(r, size):
    """A question about one sentence of a few."""
    sentences, ask = story(r, size)
    at = r.randrange(len(sentences))
    question, answer = ask(at)
    text = told(r, sentences)

    def revise(r):
        question, answer = ask(r.choice([other for other in range(len(sentences)) if other != at]))
        return r.choice(("And: ", "No, I meant: ", "")) + question, answer

    return [(pose(r, question, text), answer)], revise


def quote(r, size):
    """A question about a table or about a text."""
    return about_table(r, size) if r.random() < 0.45 else about_text(r, size)


# Records: what one is called, its fields, and sentences or lines that hold one.
RECORDS = [
    ("person", "people", dict(name=person, age=lambda r: r.randint(11, 98), city=name),
     ["{name} is {age} years old and lives in {city}.", "{name}, {age}, comes from {city}.", "{name} ({age}) from {city}",
      "In {city} lives {name}, who is {age}.", "- {name}: {age}, {city}"]),
    ("order", "orders", dict(id=lambda r: f"{r.choice('ABCDEFG')}{r.randint(100, 999)}", item=lambda r: r.choice(THINGS),
                             quantity=lambda r: r.randint(2, 60), price=lambda r: r.randint(3, 990)),
     ["Order {id}: {quantity} x {item} at {price} each", "{id} is for {quantity} of the {item} at {price} coins.",
      "Of the {item}, {quantity} were ordered at {price} under {id}.", "[{id}] {item}, {quantity}, {price}"]),
    ("event", "events", dict(title=lambda r: f"{name(r)} {r.choice(NOUNS)}", day=lambda r: r.randint(1, 28),
                             month=lambda r: r.choice(MONTHS), place=name),
     ["{title} takes place in {place} on {day} {month}.", "On {month} {day}, {place} hosts {title}.",
      "{title}, {place}, {day} {month}", "{day} {month}: {title} in {place}"]),
    ("contact", "contacts", dict(name=person, email=lambda r: f"{invented(r)}@{invented(r)}.{r.choice(('com', 'org', 'net'))}",
                                 phone=lambda r: f"{r.randint(100, 999)}-{r.randint(1000, 9999)}"),
     ["{name}: {email}, {phone}", "Write to {name} at {email} or call {phone}.", "{name} <{email}> {phone}",
      "The number of {name} is {phone}, the address {email}."]),
]
ASIDES = ["It rained all morning.", "The rest of the list was lost.", "Nobody else answered.", "This was written in a hurry.",
          "More will follow next week.", "Thank you for your patience."]


def extract(r, size):
    """Records in one notation or in several, as JSON lines with the fields asked for in the order asked for."""
    kind, kinds, makers, layouts = r.choice(RECORDS)
    taken = set()
    records = [{field: fresh(r, make, taken) if field not in ("item", "day", "month", "quantity", "age", "price") else make(r)
                for field, make in makers.items()} for _ in range(r.randint(1, 2 + round(2 * size)))]
    uniform, layout = r.random() < 0.5, r.choice(layouts)
    lines = [(layout if uniform else r.choice(layouts)).format(**record) for record in records]
    if r.random() < 0.35:
        lines.insert(r.randint(0, len(lines)), r.choice(ASIDES))
    fields = r.sample(list(makers), r.randint(2, len(makers)))
    if r.random() < 0.4:
        fields = list(makers)
    text = (r.choice(("\n", " ")) if all(line.endswith(".") for line in lines) else "\n").join(lines)

    def show(records, fields):
        return "\n".join(json.dumps({field: record[field] for field in fields}) for record in records)

    listed = ", ".join(fields[:-1]) + " and " + fields[-1]
    instruction = r.choice((f"Extract {listed} of each {kind} as JSON lines", f"List the {kinds} as JSON lines with {listed}",
                            f"Write each {kind} as a line of JSON with {listed}"))

    def revise(r):
        pick = r.random()
        key = next(iter(makers))
        at = r.randrange(len(records))
        if len(records) > 1 and pick < 0.25:
            ask = r.choice(("Leave out {}.", "Without {}, please.")).format(records[at][key])
            return ask, show(records[:at] + records[at + 1:], fields)
        if len(fields) > 2 and pick < 0.45:
            gone = r.choice(fields)
            return f"Leave out the {gone}.", show(records, [field for field in fields if field != gone])
        field = r.choice([field for field in fields if field != key] or fields)
        value = fresh(r, makers[field], {records[at][field]})
        ask = r.choice(("The {field} of {who} is {new}.", "The {field} of {who} is {new}, not {old}.",
                        "Correct the {field} of {who} to {new}."))
        changed = [{**record, field: value} if i == at else record for i, record in enumerate(records)]
        return ask.format(field=field, who=records[at][key], new=value, old=records[at][field]), show(changed, fields)

    return [(compose(r, instruction, text), show(records, fields))], revise
