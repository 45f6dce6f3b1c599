"""S1, the line: weight decay on 200 inputs and 20 examples, from scratch and concise."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

import ridgeline
from ridgeline.lanes._program import batches
from ridgeline.recipes import _line_weight_decay_claims as claims
from ridgeline.recipes import _notes
from ridgeline.recipes._layers import line
from ridgeline.recipes._line_weight_decay_claims import STRENGTHS, WAYS, ZERO, arm
from ridgeline.recipes._line_weight_decay_figures import figures
from ridgeline.recipes._recipe import Claim, Profile, Recipe
from ridgeline.study import Study
from ridgeline.study._programs import load_data

LR, EPOCHS, N_TRAIN = 0.003, 100, 20
_DATA = {"name": "linear", "n_train": N_TRAIN, "n_test": 100, "fresh_test": True}
# The optimizer's decay on the weight alone is our mode coupled; b ~ N(0, 1), and another w than from scratch.
_WAY: dict[str, dict[str, Any]] = {
    "scratch": {},
    "concise": {"regularization.mode": "coupled", "model.bias_spread": 1.0, "model.start": 1},
}


def study(profile: Profile) -> Study:
    """λ ∈ {0, 3} both ways, and λ = 0 from w = 0; the seed draws the test set too, so every seed is a draw."""
    arms = {arm(way, s): {**_WAY[way], "regularization.strength": s} for way in WAYS for s in STRENGTHS}
    return Study(
        name="line-weight-decay",
        data=_DATA,
        model={"factory": "ridgeline.recipes._layers:line"},
        train={"optimizer": "sgd", "lr": LR, "batch_size": 1, "epochs": EPOCHS, "loss": "half_mse"},
        regularization={"penalty": "l2", "strength": 0.0},
        evaluate={"every": N_TRAIN, "sets": {"test_all": "test"}},
        arms={**arms, ZERO: {"model.spread": 0.0}},
        seeds=30 if profile == "full" else 1,
    )


def checks() -> dict[str, Any]:
    """How far the ways at λ = 3 end apart from one start in one order, float32 and float64, on seed 0's draw."""
    return {
        "apart": {str(kind).removeprefix("torch."): _apart(kind) for kind in (torch.float32, torch.float64)}
    }


def _apart(kind: torch.dtype) -> dict[str, float]:
    """The largest difference to the way written out, as a share of its largest weight."""
    train = load_data(_DATA, 0, None).train
    x, y = (part.to(kind) for part in train.batch(torch.arange(N_TRAIN)))
    rows = list(batches(N_TRAIN, 1, 0, EPOCHS * N_TRAIN))
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        start = nn.utils.parameters_to_vector(line().to(kind).parameters()).detach()
    strength = STRENGTHS[-1]
    ours = _written_out(start, x, y, rows, strength)

    def in_mode(mode: Any) -> Callable[[nn.Module], tuple[torch.optim.Optimizer, Any]]:
        def attach(model: nn.Module) -> tuple[torch.optim.Optimizer, Any]:
            optimizer = torch.optim.SGD(model.parameters(), lr=LR)
            reg = ridgeline.regularize(model, ridgeline.L2(strength), optimizer=optimizer, mode=mode)
            return optimizer, reg.objective

        return attach

    def weight_decay(model: nn.Module) -> tuple[torch.optim.Optimizer, Any]:
        weight, bias = model.parameters()
        groups: list[dict[str, Any]] = [{"params": [weight], "weight_decay": strength}, {"params": [bias]}]
        return torch.optim.SGD(groups, lr=LR), lambda: None

    ways = {
        "weight_decay": weight_decay,
        "loss": in_mode("loss"),
        "coupled": in_mode("coupled"),
    }
    ends = {name: _trained(start, x, y, rows, attach) for name, attach in ways.items()}
    return {name: float((end - ours).abs().max() / ours.abs().max()) for name, end in ends.items()}


def _written_out(start: Tensor, x: Tensor, y: Tensor, rows: Iterable[Tensor], strength: float) -> Tensor:
    """The weights after the source's own loop: the penalty in the loss, w ← w − lr · gradient."""
    w, b = start[:-1].clone().requires_grad_(), start[-1:].clone().requires_grad_()
    for row in rows:
        loss = (0.5 * (x[row] @ w + b - y[row, 0]) ** 2).sum() + strength * (w**2).sum() / 2
        grads = torch.autograd.grad(loss, [w, b])
        with torch.no_grad():
            for parameter, grad in zip((w, b), grads, strict=True):
                parameter -= LR * grad
    return w.detach()


def _trained(
    start: Tensor,
    x: Tensor,
    y: Tensor,
    rows: Iterable[Tensor],
    attach: Callable[[nn.Module], tuple[torch.optim.Optimizer, Any]],
) -> Tensor:
    """The weights after the same steps by an optimizer, with what `attach` adds to the loss."""
    with torch.random.fork_rng([]):
        model = line().to(start.dtype)
    nn.utils.vector_to_parameters(start.clone(), model.parameters())
    optimizer, added = attach(model)
    for row in rows:
        loss, penalty = 0.5 * nn.functional.mse_loss(model(x[row]), y[row]), added()
        optimizer.zero_grad()
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
    return next(model.parameters()).detach().flatten()


RECIPE = Recipe(
    name="line-weight-decay",
    system="S1",
    notes=_notes.LINE,
    summary="Weight decay on a line of 200 inputs and 20 examples: in the loss and by the optimizer.",
    study=study,
    checks=checks,
    figures=figures,
    watched=True,
    claims=[
        Claim("S1-1a", "λ = 0 overfits", claims.claim_overfits, counts_diverged=True),
        Claim("S1-1b", "λ = 3 closes most of it", claims.claim_closes),
        Claim("S1-1c", "does λ = 3 learn anything?", claims.claim_learns),
        Claim("S1-1d", "it is remembered initialisation", claims.claim_remembered),
        Claim("S1-2", "both ways reach the same solution", claims.claim_same, identity=True),
        Claim(
            "S1-2b",
            "both ways reach the same solution, as published from different starts",
            claims.claim_same_as_published,
            published="‖w‖ scratch 11.644, 0.0406; concise 13.361, 0.0518",
        ),
    ],
)
