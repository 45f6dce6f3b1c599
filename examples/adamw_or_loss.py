"""The same L2 in the loss and decoupled: under SGD they agree, under Adam they are two methods.

python examples/adamw_or_loss.py
"""

from typing import Any

import torch
from torch import nn

import ridgeline

x, y = torch.randn(128, 10, generator=torch.Generator().manual_seed(1)), torch.zeros(128, dtype=torch.long)
y[x[:, 0] > 0] = 1


def trained(optimizer_type: Any, mode: Any, strength: float = 0.1) -> torch.Tensor:
    """The weights after 200 steps from one start."""
    torch.manual_seed(0)
    model = nn.Linear(10, 2)
    optimizer = optimizer_type(model.parameters(), lr=0.01)
    reg = ridgeline.regularize(model, ridgeline.L2(strength), optimizer=optimizer, mode=mode)
    for _ in range(200):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        (loss + reg.penalty()).backward()
        optimizer.step()
    return model.weight.detach()


for name, kind in (("SGD", torch.optim.SGD), ("Adam", torch.optim.Adam)):
    in_loss, coupled, decoupled = (trained(kind, mode) for mode in ("loss", "coupled", "decoupled"))
    print(
        f"{name:5} loss against coupled {(in_loss - coupled).norm() / in_loss.norm():.1e}, "
        f"loss against decoupled {(in_loss - decoupled).norm() / in_loss.norm():.1e}"
    )
