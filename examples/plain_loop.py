"""Three lines put L2 into an ordinary training loop, on the weights alone.

python examples/plain_loop.py
"""

import torch
from torch import nn

import ridgeline

torch.manual_seed(0)
x, y = torch.randn(256, 20), torch.randint(3, (256,))
model = nn.Sequential(nn.Linear(20, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

reg = ridgeline.regularize(model, ridgeline.L2(1e-3), optimizer=optimizer)  # 1: attach
print(reg.audit())  # 2: see which tensors are penalised, and why the others are not

for _ in range(20):
    data_loss = nn.functional.cross_entropy(model(x), y)
    loss = data_loss + reg.penalty()  # 3: add it; forget this line and the first step says so
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

print(f"data loss {data_loss.item():.3f}, penalty {reg.penalty().item():.3f}")
print(reg.log())
