"""What would be silent elsewhere: refusals when a regularizer is attached."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.optim import LBFGS, SGD, Optimizer

from ridgeline.penalties import L1, ElasticNet, Nuclear, group_dims, lanes_of, parts_of
from ridgeline.regularizer._metric import refusal
from ridgeline.regularizer._passes import SMALLEST
from ridgeline.regularizer._term import Term, has_constraint, is_zero
from ridgeline.select import MODES, Assignment


def check_mode(mode: object, metric: object) -> None:
    """Refuse unknown words.

    Raises:
        ValueError: naming what is allowed.
    """
    if mode not in MODES:
        raise ValueError(f"regularize: mode is {mode!r}; allowed: {', '.join(map(repr, MODES))}.")
    if metric not in ("optimizer", "euclidean"):
        raise ValueError(f"regularize: metric is {metric!r}; allowed: 'optimizer', 'euclidean'.")


def check_compile(terms: Sequence[Term]) -> None:
    """Refuse to compile nothing.

    Raises:
        ValueError: where no term has a pass that is worth compiling.
    """
    large = [t for t in terms if t.parameter.numel() >= SMALLEST]
    if not any(isinstance(part, (L1, ElasticNet)) for t in large for part in parts_of(t.penalty)):
        raise ValueError(
            f"regularize: compile=True has no effect here: only L1 and elastic net on tensors of {SMALLEST:,} and "
            f"more weights have passes that gain by it; leave it out."
        )


def check_model(assignments: Sequence[Assignment], terms: Sequence[Term]) -> None:
    """Refuse what cannot be penalised.

    Raises:
        ValueError: for complex weights; for sparse gradients; for a parametrized tensor in a mode that acts
            on leaves.
    """
    for term in terms:
        _check_dim(term)
        if not term.parameter.is_floating_point():
            raise ValueError(
                f"{term.name} has dtype {term.parameter.dtype}; penalties are defined for real floating dtypes. "
                f"Exempt it by Rule({term.name!r}, None), or keep it as two real parameters."
            )
        if getattr(term.module, "sparse", False) and isinstance(term.module, (nn.Embedding, nn.EmbeddingBag)):
            raise ValueError(
                f"{term.name} has sparse gradients: a penalty on all its rows would make every step dense. Build "
                f"the embedding with sparse=False, or exempt it by Rule({term.name!r}, None)."
            )
        if term.effective and (term.mode not in ("loss", "coupled") or has_constraint(term.penalty)):
            raise ValueError(
                f"{term.name} is parametrized: it is computed from other parameters, and mode '{term.mode}' can "
                f"only move those. Use mode 'loss' or 'coupled', or name the leaf in a Rule ({_leaves(term)})."
            )


def _check_dim(term: Term) -> None:
    w = term.tensor()
    for part in parts_of(term.penalty):
        dim, lanes = getattr(part, "dim", None), lanes_of(getattr(part, "strength", 0.0))
        if isinstance(dim, int):
            try:
                group_dims(w, dim, lanes)
            except ValueError as error:
                raise ValueError(f"{term.name}: {type(part).__name__}: {error}") from None


def _check_kind(optimizer: object) -> None:
    """The hooks of the step belong to torch's own optimizer, not to what is wrapped around it."""
    if isinstance(optimizer, Optimizer) and hasattr(optimizer, "_optimizer_step_pre_hooks"):
        return
    inner = getattr(optimizer, "optimizer", None)
    remedy = (
        "pass the one inside it, its .optimizer" if isinstance(inner, Optimizer) else "pass a torch.optim one"
    )
    raise ValueError(
        f"{type(optimizer).__name__} has no hooks around its step, where penalties act; {remedy}."
    )


def check_optimizer(optimizer: Optimizer | None, terms: Sequence[Term], metric: str) -> None:
    """Refuse an optimizer that the terms' modes cannot work with.

    Raises:
        ValueError: where the optimizer is missing, lacks a parameter, decays by itself, or has no known
            metric.
    """
    if optimizer is None:
        for term in terms:
            if term.mode != "loss" or has_constraint(term.penalty):
                what = "a constraint" if term.mode == "loss" else f"mode '{term.mode}'"
                raise ValueError(
                    f"{what} acts in optimizer.step(), so {term.name} needs it: pass optimizer=, or use mode='loss'."
                )
        return
    _check_kind(optimizer)
    held = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    missing = [t.name for t in terms for p in t.parameters() if p.requires_grad and id(p) not in held]
    if missing:
        raise ValueError(
            f"the optimizer does not hold {', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}; add these "
            f"parameters to it, or exempt them by a Rule with penalty None."
        )
    for term in terms:
        for p in term.parameters():
            decay = held[id(p)].get("weight_decay", 0) if id(p) in held else 0
            if decay and not is_zero(term.penalty):
                raise ValueError(
                    f"the optimizer decays {term.name} by itself (weight_decay={float(decay):g}), on top of the "
                    f"penalty; build it with weight_decay=0, and load its state after regularize()."
                )
        _check_mode(optimizer, term, held, metric)


def _check_mode(optimizer: Optimizer, term: Term, held: dict[int, dict[str, object]], metric: str) -> None:
    if isinstance(optimizer, LBFGS) and term.mode in ("decoupled", "independent", "proximal"):
        raise ValueError(
            f"mode '{term.mode}' has no meaning for LBFGS, whose line search must see the penalty; use mode 'loss' "
            f"or 'coupled'."
        )
    if term.mode == "independent":
        group = held[id(term.parameter)]
        first = group.get("initial_lr", group["lr"])
        assert isinstance(first, (int, float, torch.Tensor))
        if float(first) == 0:
            raise ValueError(
                "mode 'independent' divides by the first learning rate, which is 0 here; build the optimizer with "
                "the base rate, and let a scheduler warm it up."
            )
    if term.mode == "proximal":
        if not term.penalty.has_prox:
            raise ValueError(f"mode 'proximal': {_why_no_prox(term)}")
        why = refusal(optimizer) if metric == "optimizer" else None
        if why:
            raise ValueError(why)
        by_element = metric == "optimizer" and not isinstance(optimizer, SGD)
        if by_element and any(isinstance(part, Nuclear) for part in parts_of(term.penalty)):
            raise ValueError(
                f"mode 'proximal': Nuclear has no proximal operator in the metric of {type(optimizer).__name__}, a "
                f"step for each weight; pass metric='euclidean', or use SGD, or mode 'loss' or 'coupled'."
            )


def _leaves(term: Term) -> str:
    """A glob on the leaves of an effective weight."""
    within = term.name.removesuffix(term.leaf)
    old = not parametrize.is_parametrized(term.module, term.leaf)
    return f"'{term.name}_*'" if old else f"'{within}parametrizations.{term.leaf}.*'"


def _why_no_prox(term: Term) -> str:
    try:
        term.penalty.prox(term.tensor().detach(), 1.0)
    except TypeError as error:
        return str(error)
    return f"{type(term.penalty).__name__} has no proximal operator; use mode 'loss' or 'coupled'."
