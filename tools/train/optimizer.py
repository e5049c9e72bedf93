"""Muon for the matrices inside the layers (Jordan et al. 2024), AdamW for the embedding and the norms.

Muon replaces a matrix's momentum by the nearest orthogonal matrix, so that every direction of a layer
learns at the same pace; on this model it needs about half of AdamW's steps.
"""

import torch


def orthogonal(matrices):
    """The nearest orthogonal matrices, roughly (five Newton-Schulz iterations). matrices: [count, rows, columns]"""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x.to(torch.bfloat16)
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(5):
        square = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    x = x.to(matrices.dtype)
    return x.transpose(1, 2) if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised; matrices of one shape are worked on together."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes = {}
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                momentum = state.setdefault("momentum", torch.zeros_like(weight))
                momentum.lerp_(weight.grad, 1 - group["momentum"])
                shapes.setdefault(weight.shape, []).append((weight, weight.grad.lerp(momentum, group["momentum"])))
            for (rows, columns), pairs in shapes.items():
                updates = orthogonal(torch.stack([update for _, update in pairs]))
                scale = group["lr"] * max(1, rows / columns) ** 0.5
                for (weight, _), update in zip(pairs, updates):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-scale)


def optimizers(model, matrix_lr, vector_lr):
    """[Muon, AdamW] over the model's parameters."""
    matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    vectors = [weight for name, weight in model.named_parameters() if weight.ndim < 2 or "embed" in name]
    return [Muon(matrices, lr=matrix_lr, weight_decay=0.01),
            torch.optim.AdamW(vectors, lr=vector_lr, betas=(0.9, 0.95), weight_decay=0.0)]
