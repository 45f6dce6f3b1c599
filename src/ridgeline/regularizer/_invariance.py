"""Scale-invariant weights: the model's output stays when they double, as before a normalization layer."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ridgeline.errors import RidgelineError
from ridgeline.regularizer._untouched import Change, outputs, set_back
from ridgeline.select import Assignment, current


def scale_invariant(model: nn.Module, rows: Sequence[Assignment], sample: Any) -> dict[str, bool | None]:
    """Whether each weight is scale-invariant: f(2w) = f(w), with its layer's bias doubled too or without.

    There L2 sets the effective learning rate, not the capacity. An output changes by r (relative) at 2w and
    by s at a random weight of w's size: r ≤ 10⁻³ min(1, s), with s above rounding. bfloat16 and float16 are
    probed in float32; a model whose code refuses that, with 4 eps for the 10⁻³ (0.03 and 0.004). A weight of
    zeros is tried at random values, and so are all parameters of zeros where they hide a weight, as those of a
    new head do. Vectors and the weights of normalization layers: no. None is undecided: two equal passes differ,
    or a changed one fails.

    Up to four passes a weight (nine behind zeros) and two besides, in training mode, without gradients, on copies of
    parameters and buffers. Attributes of modules, random states, and what hooks keep in memory are set back.

    Args:
        rows: the tensors to probe, as assigned; an effective weight and its leaves are each a row.
        sample: a batch as in training: a tensor, a tuple of arguments, or a dict of keyword arguments. Two
            examples say too little: BatchNorm of two numbers leaves their order alone.

    Raises:
        RidgelineError: when the model cannot take the sample, returns no floating-point tensor, or is sharded.

    Source: Kosson et al. 2023, arXiv 2305.17212.

    Example:
        >>> from ridgeline import L2
        >>> from ridgeline.select import assign
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        >>> rows = [row for row in assign(model, L2(1e-4)) if row.penalty is not None]
        >>> scale_invariant(model, rows, torch.randn(16, 4))
        {'0.weight': True, '3.weight': False}
    """
    while isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        model = model.module  # the wrappers' own passes reach for other devices and processes
    if any(type(p).__name__ in ("DTensor", "FlatParameter") for p in model.parameters()):
        raise RidgelineError(
            "audit(sample=) cannot exchange the weights of a sharded model; call it before fully_shard() or FSDP."
        )
    dtypes: set[torch.dtype] = set()
    run = partial(outputs, model, sample, torch.float32)
    try:
        f = run()
    except RidgelineError:  # of any reason; with casts and kernels for one dtype it passes in that
        dtypes = {p.dtype for p in model.parameters()}
        run = partial(outputs, model, sample, None)
        f = run()
    if not any(t.numel() for t in f) or any(t.is_meta for t in f):
        raise RidgelineError(
            "audit(sample=) compares the floating-point tensors that the model returns, and it returned none "
            "with values; it needs a model that does, on a device other than meta, and a batch that is not empty."
        )
    eps = max(_eps(dtype) for dtype in dtypes.union(t.dtype for t in f))
    bound = max(1e-3, 4 * eps)
    again = _differences(run(), f)
    if not all(d <= bound for d in again):
        return dict.fromkeys((row.name for row in rows), None)
    judged = partial(
        _judged, model=model, run=run, f=f, bound=bound, noise=max(eps, *again), zeros=_zeros(model)
    )
    return {row.name: judged(row) for row in rows}


def _judged(
    row: Assignment,
    model: nn.Module,
    run: Callable[..., list[Tensor]],
    f: list[Tensor],
    bound: float,
    noise: float,
    zeros: Sequence[Change],
) -> bool | None:
    with ExitStack() as stack:  # a parametrization may draw noise
        set_back(stack, model, {row.parameter.device})
        w = current(row.module, row.leaf).detach()
    if w.ndim < 2 or not w.is_floating_point() or isinstance(row.module, (nn.LayerNorm, nn.RMSNorm)):
        return False
    zero = not bool(w.any())
    start: Callable[[Tensor], Tensor] = partial(_elsewhere, seed=0) if zero else torch.clone
    double: Change = (row.module, row.leaf, lambda t: 2 * start(t))
    bias = _bias(model, row.module, row.leaf)
    try:
        if zero:  # 2 · 0 = 0 says nothing
            f = run((row.module, row.leaf, start))
        tried = [_differences(run(double, *more), f) for more in ([], bias)[: 1 + len(bias)]]
        if not any(all(r <= bound for r in changes) for changes in tried):
            return False
        away = _differences(run((row.module, row.leaf, lambda t: _elsewhere(start(t), seed=1))), f)
    except RidgelineError:
        return None
    limits = [bound * min(1.0, s) + noise for s in away]
    within = any(all(r <= limit for r, limit in zip(changes, limits, strict=True)) for changes in tried)
    if max(away) > 16 * noise:
        return within
    if not within or not zeros:
        return False  # a weight without influence is idle, not invariant
    try:  # it may be hidden by zeros, as behind a new head
        shown = partial(run, *zeros)
        return _judged(row, model, shown, shown(), bound, noise, [])
    except RidgelineError:
        return None


def _zeros(model: nn.Module) -> list[Change]:
    """Random values for the parameters that are all 0, besides a weight that is tried at random values itself."""
    return [
        (module, leaf, partial(_elsewhere, seed=2))
        for module in model.modules()
        for leaf, p in module.named_parameters(recurse=False)
        if p.is_floating_point() and not bool(p.any())
    ]


def _bias(model: nn.Module, module: nn.Module, leaf: str) -> list[Change]:
    """The doubling of the bias beside a weight, if any; the leaf of a parametrization has its layer's."""
    for layer in model.modules():
        listed = getattr(layer, "parametrizations", None)
        if isinstance(listed, nn.ModuleDict) and module in listed.values():
            module = layer
            break
    own = dict(module.named_parameters(recurse=False))
    names = [name for name in (leaf.replace("weight", "bias"), "bias") if name in own and name != leaf]
    return [(module, name, lambda t: 2 * t) for name in names[:1]]


def _elsewhere(w: Tensor, seed: int) -> Tensor:
    """A random weight of the same size; one of zeros gets the size of an initial draw.

    It leans to −w: of a layer with one weight a channel, a norm leaves nothing but the sign.
    """
    generator = torch.Generator(w.device).manual_seed(seed)
    draw = torch.randn(w.shape, generator=generator, device=w.device, dtype=w.dtype)
    size = w.float().square().mean().sqrt()
    return draw * torch.where(size > 0, size, w[0].numel() ** -0.5).to(w.dtype) - w


def _eps(dtype: torch.dtype) -> float:
    """The relative rounding; a dtype coarser than bfloat16 only stores, and counts as bfloat16."""
    return min(torch.finfo(dtype).eps, 2.0**-7) if dtype.is_floating_point or dtype.is_complex else 0.0


def _differences(new: list[Tensor], old: list[Tensor]) -> list[float]:
    """‖new − old‖ / ‖old‖ of each output; infinities in the same places, as of a mask, are no difference."""
    if [t.shape for t in new] != [t.shape for t in old]:
        return [float("inf")] * len(old)
    return [_difference(a, b) for a, b in zip(new, old, strict=True)]


def _difference(new: Tensor, old: Tensor) -> float:
    wide = torch.promote_types(old.dtype, torch.float32)
    new, old = new.to(wide), old.to(wide)
    change = torch.where(new == old, 0, new - old).norm()
    return 0.0 if change == 0 else float(change / torch.where(old.isfinite(), old, 0).norm())
