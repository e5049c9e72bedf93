"""Mistral in plain PyTorch, for training: the parameters carry Hugging Face's names, and so does the export.

Runs on torch 1.13 (CPU) and later (CUDA). Sequences start at position 0 and are padded at the right, so
the causal mask is all the masking there is.
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
    intermediate_size: int = 512
    num_hidden_layers: int = 4
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
    """Causal attention. q: [batch, heads, length, head_dim]; k, v: [batch, kv heads, length, head_dim]"""
    batch, heads, length, head_dim = q.shape
    group = heads // k.shape[1]
    if q.is_cuda:
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    q = q.reshape(batch, k.shape[1], group * length, head_dim)  # the query heads of one key head, one after another
    scores = q @ k.transpose(-1, -2) / math.sqrt(head_dim)
    future = torch.ones(length, length, dtype=torch.bool, device=q.device).triu(1).repeat(group, 1)
    return (scores.masked_fill(future, -math.inf).softmax(-1) @ v).reshape(batch, heads, length, head_dim)


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
        split = lambda y, heads: y.view(batch, length, heads, self.head_dim).transpose(1, 2)
        q = rotate(split(self.q_proj(x), self.heads), cos, sin)
        k = rotate(split(self.k_proj(x), self.kv_heads), cos, sin)
        mixed = attend(q.to(x.dtype), k.to(x.dtype), split(self.v_proj(x), self.kv_heads).to(x.dtype))
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.up_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm, self.self_attn = RMSNorm(c.hidden_size, c.rms_norm_eps), Attention(c)
        self.post_attention_layernorm, self.mlp = RMSNorm(c.hidden_size, c.rms_norm_eps), MLP(c)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Mistral(nn.Module):
    """Embeddings are tied: what a token looks like going in is what it looks like coming out, as copying wants."""

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
                nn.init.normal_(weight, std=0.02)
            elif weight.ndim == 2:
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)

    def forward(self, ids):
        """Logits f32 [batch, length, vocab_size] for ids [batch, length]"""
        cos, sin = rope_table(self.config, ids.shape[1], ids.device)
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return F.linear(self.norm(x), self.embed_tokens.weight).float()


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
    for name, weight in sorted(model.state_dict().items()):
        stored = weight.detach().cpu().to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes()
        header["model." + name] = dict(dtype="BF16", shape=list(weight.shape), data_offsets=[len(data), len(data) + len(stored)])
        data += stored
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
