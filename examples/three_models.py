"""Does the penalty act? Audit, effect and response on a CNN, a small transformer and a model with LoRA.

python examples/three_models.py [cnn|transformer|lora]

All three learn from the 1,797 handwritten digits of scikit-learn, which the extra `study` brings. What is
printed is read sentence by sentence in docs/transcripts.md.
"""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import ridgeline

digits = load_digits()
pixels = torch.tensor(digits.data, dtype=torch.long)  # 64 numbers, 0 to 16
images, labels = pixels.float().reshape(-1, 1, 8, 8) / 16, torch.tensor(digits.target)
cross_entropy = nn.functional.cross_entropy


def cnn() -> nn.Module:
    """Two convolutions, each before a BatchNorm, and a linear head."""
    first = [nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(32, 10))


class LayerScale(nn.Module):
    """A learned factor a channel, small at the start, on what a block adds."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((1, 1, width), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x


class Block(nn.Module):
    """Attention and a small MLP, each after a LayerNorm and before a LayerScale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.scale1, self.scale2 = LayerScale(width), LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm1(x)
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        x = x + self.scale1(self.attention(h, h, h, attn_mask=later, need_weights=False)[0])
        return x + self.scale2(self.mlp(self.norm2(x)))


class Transformer(nn.Module):
    """Predicts each pixel from those before it; the head is the embedding, transposed."""

    def __init__(self, width: int = 32, length: int = 63) -> None:
        super().__init__()
        self.embed = nn.Embedding(17, width)
        self.position = nn.Parameter(0.02 * torch.randn(length, width))
        self.block = Block(width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 17, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.block(self.embed(x) + self.position)))


class LoRA(nn.Module):
    """A frozen linear layer plus B A of low rank: A random, B zero, so that nothing changes at the start."""

    def __init__(self, base: nn.Linear, rank: int = 4) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.lora_A = nn.Linear(base.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, base.out_features, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.lora_B(self.lora_A(x))


def lora() -> nn.Module:
    """An MLP that has learned the digits as they are, to be adapted to pale ones."""
    hidden, head = nn.Linear(64, 64), nn.Linear(64, 10)
    model = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), head)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(50):
        optimizer.zero_grad()
        cross_entropy(model(images), labels).backward()
        optimizer.step()
    return nn.Sequential(nn.Flatten(), LoRA(hidden), nn.ReLU(), LoRA(head))


def show(name: str, model: Any, optimizer: Any, mode: Any, strengths: Any, x: Tensor, y: Tensor) -> None:
    """Attach L2 at the first strength; audit; effect before and after 20 steps; response to all strengths."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        reg = ridgeline.regularize(model, ridgeline.L2(strengths[0]), optimizer=optimizer, mode=mode)

    def data_loss(i: int) -> Tensor:
        rows = slice(64 * (i % 20), 64 * (i % 20) + 64)
        return cross_entropy(model(x[rows]).flatten(0, -2), y[rows].flatten())

    def step(i: int) -> Tensor:
        loss = data_loss(i)
        optimizer.zero_grad()
        (loss + reg.penalty() if mode == "loss" else loss).backward()
        optimizer.step()
        return loss

    print(f"--- {name}: audit ---", *(f"warning: {w.message}\n" for w in warned), sep="\n")
    print(reg.audit(sample=x[:64]))
    print(f"--- {name}: effect at the start ---", reg.effect(data_loss(0)), sep="\n")
    for i in range(20):
        step(i)
    print(f"--- {name}: effect after 20 steps ---", reg.effect(data_loss(20)), sep="\n")
    print(f"--- {name}: response ---", reg.response(step, strengths), sep="\n")


def main(names: Sequence[str]) -> None:
    for name in names or ("cnn", "transformer", "lora"):
        torch.manual_seed(0)
        if name == "cnn":
            model = cnn()
            sgd = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
            show(name, model, sgd, "loss", [5e-4, 0.05, 20.0], images, labels)
        elif name == "transformer":
            model = Transformer()
            adamw = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
            show(name, model, adamw, "decoupled", [0.1, 10.0], pixels[:, :-1], pixels[:, 1:])
        elif name == "lora":
            model = lora()
            adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
            show(name, model, adam, "coupled", [1e-3, 10.0], (images + 0.5) / 1.5, labels)
        else:
            sys.exit(f"{name} is no model of this example; choose from cnn, transformer, lora.")


if __name__ == "__main__":
    main(sys.argv[1:])
