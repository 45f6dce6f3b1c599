"""Mode "loss" under fully_shard: the value is the unsharded one everywhere, and so are the gradients."""

from functools import partial

import torch
from torch import Tensor, nn

import ridgeline
from ridgeline import L1, L2, L2SP, ElasticNet, GroupLasso, MaxNorm, Norm, Nuclear, Orthogonal
from ridgeline.penalties import Penalty
from tests.distributed.models import close, grads, network, sharded, wholes
from tests.distributed.worlds import World, check


class OwnL2SP(L2SP):
    """A person's own, whose formulas may need the whole tensor: its reference must come whole, too."""


PENALTIES: dict[str, Penalty] = {
    "L1": L1(0.3),
    "L1-mean": L1(0.3, reduction="mean"),
    "L2": L2(0.3),
    "L2-mean": L2(0.3, reduction="mean"),
    "L2-tensor": L2(torch.tensor(0.3, dtype=torch.float64)),
    "ElasticNet": ElasticNet(0.3, 0.4),
    "ElasticNet-mean": ElasticNet(0.3, 0.4, reduction="mean"),
    "L2SP": L2SP(0.3),
    "L2SP-mean": L2SP(0.3, reduction="mean"),
    "L2SP-own": OwnL2SP(0.3),
    "GroupLasso-0": GroupLasso(0.3, dim=0),
    "GroupLasso-1": GroupLasso(0.3, dim=1),
    "Norm-1": Norm(0.3, p=1),
    "Norm-2": Norm(0.3),
    "Norm-3": Norm(0.3, p=3),
    "Nuclear": Nuclear(0.3),
    "Orthogonal": Orthogonal(0.3),
    "MaxNorm-0": L1(0.1) + MaxNorm(0.5, dim=0),
    "MaxNorm-1": L1(0.1) + MaxNorm(0.5, dim=1),
    "L1+GroupLasso-1": L1(0.2) + GroupLasso(0.3, dim=1),
    "L2+GroupLasso-0": L2(0.2) + GroupLasso(0.3, dim=0),
    "L1-mean+Nuclear": L1(0.2, reduction="mean") + Nuclear(0.3),
}


def moved(model: nn.Module) -> None:
    """Away from the start, so that L2SP is not zero."""
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.5)


def unsharded(penalty: Penalty, scale: float = 1.0) -> tuple[Tensor, list[Tensor]]:
    """Value and gradients by plain autograd on the whole model."""
    model = network()
    references = [p.detach().clone() for p in model.parameters()]
    moved(model)
    parts = getattr(penalty, "parts", (penalty,))
    weights = [(p, r) for p, r in zip(model.parameters(), references, strict=True) if p.ndim > 1]
    values = [
        (L2SP(part.strength, r, part.reduction) if isinstance(part, L2SP) else part).value(p)
        for p, r in weights
        for part in parts
    ]
    total = torch.stack(values).sum()
    (total * scale).backward()
    return total.detach(), grads(model)


def equals_the_unsharded(name: str, world: World) -> None:
    """Value and gradient, and scaled, accumulated, asked for, on every process."""
    penalty = PENALTIES[name]
    model = sharded(world.mesh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, penalty, optimizer=optimizer if "MaxNorm" in name else None)
    moved(model)
    value, expected = unsharded(penalty)
    found = reg.penalty()
    world.require(type(found) is Tensor and found.shape == (), "a plain number")
    world.require(torch.allclose(found, value, rtol=1e-13), f"{float(found.detach())}, not {float(value)}")
    world.require(world.equal_everywhere(found), "the same bits on every process")
    found.backward()
    world.require(close(grads(model), expected), "gradients")
    (reg.penalty() * 1024).backward()
    (reg.penalty() * 1024).backward()
    world.require(close(grads(model), [2049 * g for g in expected]), "scaled and accumulated")
    weights = [p for p in model.parameters() if p.ndim > 1]
    asked = torch.autograd.grad(reg.penalty(), weights)
    world.require(close(wholes(asked), [g for g in expected if g.ndim > 1]), "asked for")
    with torch.no_grad():
        world.require(torch.equal(reg.penalty(), found), "without a graph")
    world.require(torch.allclose(torch.stack(list(reg.terms().values())).sum(), value), "terms")
    reg.remove()


for given in PENALTIES:
    check(2, 3, name=f"value[{given}]")(partial(equals_the_unsharded, given))
