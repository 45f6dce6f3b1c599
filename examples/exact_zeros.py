"""L1 in the gradient leaves small weights; L1 as a proximal step leaves exact zeros, under Adam too.

python examples/exact_zeros.py
"""

from typing import Any

import torch
from torch import nn

import ridgeline

torch.manual_seed(0)
x = torch.randn(200, 50)
y = x[:, :3].sum(1, keepdim=True) + 0.1 * torch.randn(200, 1)  # three of fifty inputs matter


def zeros(mode: Any) -> tuple[int, float]:
    """How many weights are exactly zero after training, and the data loss."""
    torch.manual_seed(1)
    model = nn.Linear(50, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    reg = ridgeline.regularize(model, ridgeline.L1(0.05), optimizer=optimizer, mode=mode)
    for _ in range(1500):
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        (loss + reg.penalty()).backward()
        optimizer.step()
    return int((model.weight == 0).sum()), loss.item()


for mode in ("loss", "coupled", "proximal"):
    count, loss = zeros(mode)
    print(f"{mode:9} {count:2} of 50 weights exactly zero, data loss {loss:.4f}")
