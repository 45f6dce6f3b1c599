"""S3's published object, and what its identities need apart from trials."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import ridgeline
from ridgeline.recipes._layers import normalized
from ridgeline.recipes._penalty_object_arms import SHOWN, STRENGTHS
from ridgeline.select import compare


def by_name(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """What the source takes for the weights: every parameter whose name contains "weight"."""
    return [(name, p) for name, p in model.named_parameters() if "weight" in name]


def published_object(model: nn.Module, strength: float, p: float = 2.0) -> Callable[[], Tensor]:
    """λ · Σ ‖w‖_p over the parameters named "weight", the norm not squared, as the source writes it.

    The source also prints the names, which the audit lists here.

    Raises:
        SystemExit: for a strength ≤ 0, as published.
    """
    if strength <= 0:
        raise SystemExit(f"the penalty object takes no strength <= 0, got {strength:g}.")
    weights = [w for _, w in by_name(model)]
    return lambda: strength * torch.stack([torch.linalg.vector_norm(w, p) for w in weights]).sum()


def published_object_p0(model: nn.Module, strength: float) -> Callable[[], Tensor]:
    """The object with p = 0, which the source takes for L2."""
    return published_object(model, strength, p=0.0)


def checks() -> dict[str, Any]:
    """One step, one value or five steps each, on the recipe's model and images of noise; takes a few seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a model gains nothing by more, and loses much where cores are busy
    try:
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            images, labels = torch.rand(5, 32, 1, 28, 28), torch.randint(0, 10, (5, 32))
            return {
                "decay": _decay(),
                "orders": _orders(),
                "names": _names(),
                "square": _square(),
                "response": _response(images, labels),
            }
    finally:
        torch.set_num_threads(threads)


def _decay() -> dict[str, Any]:
    """One step of Adam whose data gradient is zero, with weight_decay on everything, and on the weights alone."""
    found: dict[str, Any] = {}
    for kind in ("published", "corrected"):
        model = normalized()
        if kind == "published":
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=10.0)
            reg = ridgeline.regularize(model, ridgeline.L2(0.0), optimizer=optimizer)
        else:
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
            reg = ridgeline.regularize(model, ridgeline.L2(10.0), optimizer=optimizer, mode="coupled")
        flags = {row["name"]: [f for f in row["flags"] if "weight_decay" in f] for row in reg.audit().rows}
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        for p in model.parameters():
            p.grad = torch.zeros_like(p)
        optimizer.step()
        found[kind] = {
            "moved": {n: float((p.detach() - before[n]).abs().max()) for n, p in model.named_parameters()},
            "listed": [name for name, said in flags.items() if said],
            "flag": next((said[0] for said in flags.values() if said), ""),
            "findings": [note.sentence for note in compare(model, optimizer).findings() if note.names],
        }
    return found


def _orders() -> dict[str, Any]:
    """The object at p = 0 and p = 1: its gradient, what assert_acting and Norm say, and the distance to L1."""
    model = normalized()
    weights = [w for _, w in by_name(model)]
    term = published_object_p0(model, 10.0)
    grads = torch.autograd.grad(term(), weights, allow_unused=True)
    l1 = sum(float(ridgeline.L1(10.0).value(w.detach())) for w in weights)
    refused = ""
    try:
        ridgeline.Norm(10.0, p=0.0)
    except ValueError as error:
        refused = str(error)
    return {
        "largest_gradient": max(0.0 if g is None else float(g.abs().max()) for g in grads),
        "published": _acting(term, model),
        "corrected": _acting(published_object(model, 10.0), model),
        "refused": refused,
        "p1_off_l1": abs(float(published_object(model, 10.0, p=1.0)().detach() / l1) - 1.0),
    }


def _acting(term: Callable[[], Tensor], model: nn.Module) -> str:
    """What assert_acting says of a term; empty where it acts."""
    try:
        ridgeline.assert_acting(term, model)
    except AssertionError as error:
        return str(error)
    return ""


def _names() -> dict[str, Any]:
    """What each selection penalises although our default leaves it: (its rule, the default's reason) by name."""
    model = normalized()
    penalty = ridgeline.Norm(10.0)
    ours = ridgeline.regularize(model, penalty).audit().rows
    left = {row["name"]: row["reason"] for row in ours if not row["penalised"]}
    found: dict[str, Any] = {}
    for kind, rules in (("published", [ridgeline.Rule("*weight*", penalty)]), ("corrected", penalty)):
        rows = [row for row in ridgeline.regularize(model, rules).audit().rows if row["penalised"]]
        found[kind] = {row["name"]: (row["reason"], left[row["name"]]) for row in rows if row["name"] in left}
    return found


def _square() -> dict[str, float]:
    """How one step of SGD without a data gradient, and the value, grow when all weights are doubled; float64."""
    found: dict[str, list[float]] = {"object": [], "optimizer": [], "value": []}
    for times in (1.0, 2.0):
        for kind in ("object", "optimizer"):
            torch.manual_seed(1)
            layer = nn.Linear(20, 10, bias=False).double()
            layer.weight.data.mul_(times)
            decay = 10.0 if kind == "optimizer" else 0.0
            optimizer = torch.optim.SGD(layer.parameters(), lr=1e-3, weight_decay=decay)
            before = layer.weight.detach().clone()
            term = published_object(layer, 10.0)() if kind == "object" else 0.0 * layer.weight.sum()
            term.backward()
            optimizer.step()
            found[kind].append(float((layer.weight.detach() - before).norm()))
            if kind == "object":
                found["value"].append(float(term.detach()))
    return {name: after / before for name, (before, after) in found.items()}


def _response(images: Tensor, labels: Tensor) -> dict[str, Any]:
    """The response test of the object, as the rule and penalty that it is, and of squared L2."""
    cases: dict[str, tuple[Any, Any, tuple[float, ...]]] = {
        "published": ([ridgeline.Rule("*weight*", ridgeline.Norm(10.0))], "loss", STRENGTHS),
        "corrected": (ridgeline.L2(10.0), "decoupled", STRENGTHS[:1]),
        "coupled": (ridgeline.L2(10.0), "coupled", STRENGTHS[:1]),
    }
    found: dict[str, Any] = {}
    for kind, (rules, mode, strengths) in cases.items():
        torch.manual_seed(2)
        model = normalized()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        reg = ridgeline.regularize(model, rules, optimizer=optimizer, mode=mode)
        if kind == "published":
            found["off_the_object"] = abs(
                float((reg.penalty() / published_object(model, 10.0)()).detach()) - 1.0
            )

        def step(
            i: int, model: nn.Module = model, optimizer: Any = optimizer, reg: Any = reg, mode: str = mode
        ) -> Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images[i]), labels[i])
            (loss + reg.penalty() if mode == "loss" else loss).backward()
            optimizer.step()
            return loss

        rows = [row for row in reg.response(step, list(strengths)).rows if row["name"] == "all tensors"]
        found[kind] = {SHOWN[row["strength"]]: (row["verdict"], row["sentence"]) for row in rows}
    return found
