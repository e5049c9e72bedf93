"""The tokenizer of the model in the box: byte-level BPE learned from the generator's own output.

    python tools/train/tokenizer.py demo/ditto-tiny          # needs the `tokenizers` package

An identifier should be the same few tokens wherever it stands, since the model's work is copying. So a
space never joins the word after it, but for a closed list of English words (" of"); signs take the spaces
around them instead (" = ", ", "). Digits stand alone; a line break takes the next line's indent.

Training needs no package but torch: `Encoder` does in plain Python what the `tokenizers` package does.
"""

import json
import re
import sys
from pathlib import Path

from generator import ASSISTANT, BOS, EOS, USER, example

VOCAB_SIZE = 1024
SPECIALS = ["<unk>", BOS, EOS, USER, ASSISTANT]  # ids 0 to 4
ATTACHED = "the of to in is was and for with on at by from as a an it this that has are not".split()
PIECES = (r" (?:" + "|".join(ATTACHED) + r")(?![\p{L}\p{N}_])"  # a word of the closed list with its space
          r"|_*\p{Lu}?\p{Ll}+"  # user, User, _user
          r"|_*\p{Lu}+(?!\p{Ll})"  # MAX, _MAX, and HTTP of HTTPServer
          r"|\p{L}+|\p{N}"
          r"| ?[^\s\p{L}\p{N}_]+ ?"  # signs with a space at either side
          r"|\s*\n\s*|\s+|_+")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate user, assistant, user, assistant, …') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '" + USER + "' + message['content'] + '" + ASSISTANT + "' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only the roles user and assistant are known.') }}{% endif %}{% endfor %}"
)


def byte_letters():
    """The printable letter that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {**{byte: chr(byte) for byte in plain}, **{byte: chr(256 + i) for i, byte in enumerate(others)}}


class Encoder:
    """Text to ids by a tokenizer.json of ours. Texts from the generator are ASCII; no other text is accepted."""

    def __init__(self, path):
        model = json.loads(Path(path).read_text())["model"]
        self.vocab = model["vocab"]
        merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        ascii_only = PIECES.replace("[^\\s\\p{L}\\p{N}_]", "[^\\sA-Za-z0-9_]").replace("[\\p{L}\\p{N}_]", "[A-Za-z0-9_]")
        for unicode_class, plain in (("\\p{Lu}", "[A-Z]"), ("\\p{Ll}", "[a-z]"), ("\\p{L}", "[A-Za-z]"), ("\\p{N}", "[0-9]")):
            ascii_only = ascii_only.replace(unicode_class, plain)
        self.pieces = re.compile(ascii_only, re.ASCII)
        self.specials = re.compile("(" + "|".join(re.escape(special) for special in SPECIALS) + ")")
        self.letters = byte_letters()
        self.known = {}

    def merge(self, piece):
        parts = [self.letters[byte] for byte in piece.encode("ascii")]
        while len(parts) > 1:
            rank, at = min((self.ranks.get(pair, len(self.ranks)), i) for i, pair in enumerate(zip(parts, parts[1:])))
            if rank == len(self.ranks):
                break
            parts[at:at + 2] = [parts[at] + parts[at + 1]]
        return [self.vocab[part] for part in parts]

    def encode(self, text):
        ids = []
        for part in self.specials.split(text):
            if part in SPECIALS:
                ids.append(self.vocab[part])
                continue
            for piece in self.pieces.findall(part):
                if piece not in self.known:
                    self.known[piece] = self.merge(piece)
                ids += self.known[piece]
        return ids


def train(folder):
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PIECES), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    texts = (text for i in range(12000) for turn in example("tokenizer", i) for text in turn)
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, SPECIALS.index(BOS))])
    assert tokenizer.get_vocab_size() == VOCAB_SIZE
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"add_bos_token": True, "add_eos_token": False, "bos_token": BOS, "eos_token": EOS, "unk_token": "<unk>",
              "chat_template": CHAT_TEMPLATE, "clean_up_tokenization_spaces": False, "model_max_length": 2048,
              "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")

    encoder = Encoder(folder / "tokenizer.json")
    for i in range(500):
        for text in [text for turn in example("check", i) for text in turn]:
            assert encoder.encode(text) == tokenizer.encode(text, add_special_tokens=False).ids, text
            assert tokenizer.decode(encoder.encode(text)) == text, text
    print(f"{folder}: {VOCAB_SIZE} tokens; Encoder and tokenizers agree on 500 examples")


if __name__ == "__main__":
    train(Path(sys.argv[1] if len(sys.argv) > 1 else "demo/ditto-tiny"))
