"""Words and invented names. Every function takes a `random.Random` and draws from nothing else."""

NOUNS = """count total price name user item list order value index size limit rate weight height width score level
color title label date time day year hour page file path line row column table key node tree edge graph point angle
speed mass force cost tax sum mean range step offset start end first last left right top bottom buffer cache queue
stack token word text input output result error status state mode flag option config host port address account
balance amount product customer invoice payment report message event task job worker thread lock signal image pixel
frame sample batch layer model city country region street house room door window letter number digit bit byte
record field entry group member owner parent child source target""".split()
VERBS = """get set load save find make read write send parse build check count draw fetch filter format merge open
print push reset scale sort split start stop update clean close copy create delete join move pick rank round run
scan show store test trim""".split()
ADJECTIVES = "old new big small long short max min next prev raw final local open safe base main extra full half".split()
JOBS = "baker teacher pilot tailor painter doctor farmer sailor mason clerk smith weaver nurse judge cook".split()
SHOPS = "bakery mill school library museum theater harbor market bank brewery tower garden hotel station".split()
THINGS = "lamp chair clock table mirror boat cart bell kettle ladder carpet violin basket hammer saddle".split()
GOODS = "salt wool honey copper barley cheese timber silk glass coal wine paper olives rice tin".split()
ANIMALS = "goats horses sheep ducks dogs cows hens bees cats geese".split()
COLORS = "red blue green black orange purple gray brown pink gold".split()
MONTHS = """January February March April May June July August September October November December""".split()

ONSETS = "b br c d dr f g gr h j k kl l m n p pr qu r s sh st t tr v w y z".split()
VOWELS = "a e i o u a e i o u ai ea ou".split()
CODAS = ["", "", "", "", "n", "r", "l", "s", "m", "nd", "rt", "x", "k"]


def invented(r, syllables=None):
    """A made-up word, lower case: "velton", "rasim"."""
    count = syllables or r.choice((2, 2, 2, 3))
    return "".join(r.choice(ONSETS) + r.choice(VOWELS) for _ in range(count)) + r.choice(CODAS)


def name(r):
    """A made-up proper name of one word: "Velton"."""
    return invented(r).capitalize()


def person(r):
    """First and last name; sometimes only a first name."""
    return name(r) if r.random() < 0.3 else f"{name(r)} {name(r)}"


def joined(parts, style):
    """Identifier parts in "snake" or "camel" style."""
    return "_".join(parts) if style == "snake" else parts[0] + "".join(part.capitalize() for part in parts[1:])


def variable(r, style):
    """A variable's name of one or two parts; one in four is invented."""
    kind = r.random()
    if kind < 0.45:
        return r.choice(NOUNS)
    if kind < 0.70:
        return joined([r.choice(ADJECTIVES + NOUNS), r.choice(NOUNS)], style)
    if kind < 0.95:
        return invented(r)
    return r.choice("abcdefghijkmnpqrstuvwxyz")


def call(r, style):
    """A function's name: verb and noun, or invented."""
    if r.random() < 0.25:
        return invented(r)
    return r.choice(VERBS) if r.random() < 0.2 else joined([r.choice(VERBS), r.choice(NOUNS + ADJECTIVES)], style)


def constant(r):
    """An upper-case name: "MAX_WIDTH"."""
    word = invented(r) if r.random() < 0.2 else r.choice(NOUNS)
    return word.upper() if r.random() < 0.4 else f"{r.choice(ADJECTIVES)}_{word}".upper()


def number(r, low=2, high=999):
    """An integer as text, small ones as likely as large ones."""
    return str(r.randint(low, max(low, r.choice((9, 99, high)) if high > 99 else high)))


def fresh(r, make, taken):
    """Draws from `make` until the result is not in the set `taken`, and adds it there."""
    while True:
        drawn = make(r)
        if drawn not in taken:
            taken.add(drawn)
            return drawn


def compose(r, instruction, body):
    """One user message of an instruction (without its final mark) and the text that it is about."""
    layout = r.random()
    if layout < 0.55:
        return f"{instruction}:\n{body}"
    if layout < 0.8:
        return f"{instruction}.\n\n{body}"
    return f"{body}\n\n{instruction}."


def quoter(r):
    """How names are set off in one prompt: bare, in backticks, or in single quotes."""
    mark = r.choice(("", "", "`", "`", "'"))
    return lambda word: f"{mark}{word}{mark}"
