"""A strength for each layer, an exemption, and a schedule: rules are tried in order, the first match wins.

python examples/per_layer.py
"""

import torch
from torch import nn

import ridgeline
from ridgeline import L1, L2, MaxNorm, Rule, schedules

torch.manual_seed(0)
model = nn.Sequential()
model.add_module("embed", nn.Embedding(100, 16))
model.add_module("hidden", nn.Linear(16, 32))
model.add_module("head", nn.Linear(32, 4))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)

rules = [
    Rule("embed.*", None),  # leave the embeddings alone
    Rule("head.weight", L1(1e-4), mode="proximal"),  # exact zeros in the head
    Rule("*.bias", None),  # a type takes all its parameters, so exempt biases before it
    Rule(nn.Linear, L2(schedules.warmup(1e-2, steps=50)) + MaxNorm(2.0), mode="decoupled"),
]

reg = ridgeline.regularize(model, rules, optimizer=optimizer)
for _ in range(60):
    loss = model(torch.randint(100, (32,))).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(reg.audit())
print({name: round(value.item(), 5) for name, value in reg.terms().items()})
