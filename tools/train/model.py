"""Mistral in plain PyTorch, for training: the parameters carry Hugging Face's names, and so does the export.

Sequences start at position 0 and are padded at the right, so the causal mask is all the masking there is.
"""

import json
import math
import struct
from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass
class Config:
    """The fields of config.json that shape the model."""

    vocab_size: int = 1024
    hidden_size: int = 256
    intermediate_size: int = 256
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    rope_theta: float = 100000.0  # slow rotations leave part of each head free of position: good for matching content
    rms_norm_eps: float = 1e-5


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x):
        x = x.float()
        return self.weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps))


def rope_table(config, length, device):
    """cos and sin, [length, head_dim / 2] each"""
    powers = torch.arange(0, config.head_dim, 2, device=device).float() / config.head_dim
    angles = torch.outer(torch.arange(length, device=device).float(), config.rope_theta ** -powers)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """RoPE in Hugging Face's layout: dimension i turns with i + head_dim / 2. x: [batch, heads, length, head_dim]"""
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


def attend(q, k, v):
    """Causal attention. q: [batch, heads, length, head_dim], scaled; k, v: [batch, kv heads, length, head_dim]"""
    batch, heads, length, head_dim = q.shape
    kv_heads = k.shape[1]
    group = heads // kv_heads
    if q.is_cuda:
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
    future = torch.full((length, length), -math.inf, dtype=q.dtype).triu(1).repeat(group, 1)
    q = q.reshape(batch * kv_heads, group * length, head_dim)  # the query heads of one key head, one after another
    scores = torch.baddbmm(future, q, k.reshape(batch * kv_heads, length, head_dim).transpose(1, 2))
    return (scores.softmax(-1) @ v.reshape(batch * kv_heads, length, head_dim)).view(batch, heads, length, head_dim)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = c.num_attention_heads, c.num_key_value_heads, c.head_dim
        self.q_proj = nn.Linear(c.hidden_size, self.heads * c.head_dim, bias=False)
        self.k_proj = nn.Linear(c.hidden_size, self.kv_heads * c.head_dim, bias=False)
        self.v_proj = nn.Linear(c.hidden_size, self.kv_heads * c.head_dim, bias=False)
        self.o_proj = nn.Linear(self.heads * c.head_dim, c.hidden_size, bias=False)

    def forward(self, x, cos, sin):
        batch, length, _ = x.shape
        turned = self.heads + self.kv_heads  # one product for all three, one rotation for queries and keys
        together = F.linear(x, torch.cat((self.q_proj.weight / math.sqrt(self.head_dim), self.k_proj.weight, self.v_proj.weight)))
        split = together.view(batch, length, turned + self.kv_heads, self.head_dim).transpose(1, 2)
        v = split[:, turned:]
        qk = rotate(split[:, :turned], cos, sin).to(v.dtype)
        mixed = attend(qk[:, :self.heads], qk[:, self.heads:], v)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.up_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x):
        gate, up = F.linear(x, torch.cat((self.gate_proj.weight, self.up_proj.weight))).chunk(2, -1)
        return self.down_proj(F.silu(gate) * up)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm, self.self_attn = RMSNorm(c.hidden_size, c.rms_norm_eps), Attention(c)
        self.post_attention_layernorm, self.mlp = RMSNorm(c.hidden_size, c.rms_norm_eps), MLP(c)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


AHEAD = 3  # tokens after the next that training also asks for
EARLY = 3  # layers after which it asks


class Mistral(nn.Module):
    """Embeddings are tied: what a token looks like going in is what it looks like coming out, as copying wants.

    Training may also ask for the tokens after the next, early on (multi-token prediction, Gloeckle et al. 2024; the
    matrices `ahead` are for that and are not exported). Whether a name is the renamed one or only begins like it
    is seen from what follows it, and no head looks there by itself.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        for name, weight in self.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(weight)  # each layer begins as the identity
            elif "embed" in name:
                nn.init.normal_(weight, std=0.1)
            elif weight.ndim == 2:
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
        nn.init.constant_(self.norm.weight, 0.6)
        with torch.no_grad():
            self.begin_with_induction()
        self.ahead = nn.ModuleList(nn.Linear(config.hidden_size, config.hidden_size, bias=False) for _ in range(AHEAD))

    def begin_with_induction(self):
        """Lets the first two layers begin as induction heads, which a small model takes long to find.

        A token's embedding begins in the first half of the dimensions; dimension 0 is a constant, from which the
        heads of layer 0 make queries and keys that point at the tokens 1, 2 and 3 places back, and at all of the
        last eight or so together. What they find there they write, shortened, to a quarter each of the other
        half. Layer 1 looks for the place before which the same two tokens stand (its first key head), or the same
        three in like company (its second), and copies the token there. It compares in the slow rotations.
        """
        c = self.config
        hidden, size, group = c.hidden_size, c.head_dim, c.num_attention_heads // c.num_key_value_heads
        half, token, short = size // 2, hidden // 2, hidden // 8
        embedding = self.embed_tokens.weight
        embedding.zero_()
        embedding[:, 1:token] = 1.6 * F.normalize(torch.randn(c.vocab_size, token - 1), dim=1)
        embedding[:, 0] = 0.8
        angles = [c.rope_theta ** (-2 * i / size) for i in range(half)]
        reads = nn.init.orthogonal_(torch.empty(token - 1, token - 1))
        first, second = self.layers[0].self_attn, self.layers[1].self_attn
        for layer in (first, second):
            for weight in (layer.q_proj.weight, layer.k_proj.weight):
                weight.mul_(0.1)
        for kv in range(c.num_key_value_heads):
            first.v_proj.weight[kv * size:kv * size + short] = 0
            first.v_proj.weight[kv * size:kv * size + short, 1:token] = reads[:short]
            first.k_proj.weight[kv * size:kv * size + size // 8, 0] = 1.0
        # (places back, dimensions, strength): the query turned back by `place`; the score, the sum of
        # cos(angle * (distance - place)) over the dimensions, is greatest there.
        sharp, wide = range(size // 8), range(4, 8)
        for head, (place, turns, strength) in enumerate([(1, sharp, 1.4), (2, sharp, 1.4), (3, sharp, 1.4), (4, wide, 0.2)]):
            for i in turns:
                first.q_proj.weight[head * size + i, 0] = strength * math.cos(angles[i] * place)
                first.q_proj.weight[head * size + half + i, 0] = strength * -math.sin(angles[i] * place)
            for i in range(short):
                first.o_proj.weight[token + head * short + i, head * size + i] = 0.1
        slow = size // 4
        rows = [*range(half - slow, half), *range(size - slow, size)]  # of a head, in the slow rotations
        now = torch.zeros(short, hidden)  # takes the residual to the shortened token, as the heads of layer 0 wrote it
        now[:, 1:token] = reads[:short]
        one, two, three, company = (torch.eye(hidden)[token + head * short:token + (head + 1) * short] for head in range(4))
        # [key head] → (rows, what the query holds there, what the key holds, strength)
        matches = [[(16, now, one, 2.7), (16, one, two, 3.3)],
                   [(8, now, one, 2.7), (8, one, two, 3.3), (8, two, three, 3.3), (8, company, company, 7.0)]]
        for kv, parts in enumerate(matches):
            begin = 0
            for count, query, key, strength in parts:
                for row, i in zip(rows[begin:begin + count], range(begin, begin + count)):
                    second.k_proj.weight[kv * size + row] = strength * key[i]
                    for head in range(kv * group, (kv + 1) * group):
                        second.q_proj.weight[head * size + row] = strength * query[i]
                begin += count
            copied = reads[kv * size:(kv + 1) * size]  # between them, the key heads copy all of the token
            head = kv * group
            second.v_proj.weight[kv * size:kv * size + len(copied)] = 0
            second.v_proj.weight[kv * size:kv * size + len(copied), 1:token] = copied
            second.o_proj.weight[1:token, head * size:head * size + len(copied)] = 0.5 * copied.T

    def forward(self, ids, where, where_ahead=()):
        """Logits f32 [positions, vocab_size] for ids [batch, length] and `where`, flat indices of positions in it.

        With `where_ahead`, AHEAD lists of such positions, a list: those logits, and for each of them the logits of the
        token 2, 3, … places further on.
        """
        cos, sin = rope_table(self.config, ids.shape[1], ids.device)
        x = self.embed_tokens(ids)
        for layer in self.layers[:EARLY]:
            x = layer(x, cos, sin)
        early = x
        for layer in self.layers[EARLY:]:
            x = layer(x, cos, sin)
        logits = self.logits(self.norm(x.flatten(0, 1)[where]))
        if not where_ahead:
            return logits
        return [logits] + [self.logits(ahead(self.norm(early.flatten(0, 1)[at])))
                           for ahead, at in zip(self.ahead, where_ahead)]

    def logits(self, x):
        return F.linear(x, self.embed_tokens.weight).float()


def exported(model):
    """The weights that make up the model, by name: all but what only training uses."""
    return {name: weight for name, weight in model.state_dict().items() if not name.startswith("ahead.")}


def export(model, folder, eos_token_id, bos_token_id):
    """Writes config.json, generation_config.json and model.safetensors (bf16) in Hugging Face's form."""
    c = model.config
    config = dict(architectures=["MistralForCausalLM"], model_type="mistral", **asdict(c), hidden_act="silu",
                  max_position_embeddings=2048, sliding_window=None, tie_word_embeddings=True, attention_dropout=0.0,
                  bos_token_id=bos_token_id, eos_token_id=eos_token_id, torch_dtype="bfloat16", use_cache=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    generation = dict(bos_token_id=bos_token_id, eos_token_id=eos_token_id, max_new_tokens=512)
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, weight in sorted(exported(model).items()):
        stored = weight.detach().cpu().to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes()
        header["model." + name] = dict(dtype="BF16", shape=list(weight.shape), data_offsets=[len(data), len(data) + len(stored)])
        data += stored
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_export(model, folder):
    """Loads the weights that `export` wrote."""
    data = (folder / "model.safetensors").read_bytes()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:begin])
    header.pop("__metadata__")
    weights = {}
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        stored = torch.frombuffer(bytearray(data[begin + first:begin + end]), dtype=torch.bfloat16)
        weights[name[len("model."):]] = stored.float().view(entry["shape"])
    model.load_state_dict({**model.state_dict(), **weights})
