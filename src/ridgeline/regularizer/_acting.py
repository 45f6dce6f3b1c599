"""assert_acting: does a penalty tensor reach the model's weights at all?"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ridgeline.regularizer._sharded import at_rest, local, summed

_REMEDY = (
    "compute it from the parameters themselves: reg = ridgeline.regularize(model, …); loss + reg.penalty()."
)


def assert_acting(term: Tensor | Callable[[], Tensor], model: nn.Module) -> None:
    """Raise unless a penalty tensor has a gradient that moves some parameter of the model.

    Catches a penalty computed on copies, on the draws that initialised the weights, on detached tensors,
    and one whose gradient is 0 everywhere, as with p = 0. A model whose weights are all zero is no false
    alarm: the gradient is asked for again with the weights slightly moved, and moved back bit for bit.

    Args:
        term: the penalty as it is added to the loss, or a function that computes it. Under fully_shard: of the
            sharded parameters, as reg.penalty() is, and asked for by every process.
        model: whose parameters it should move.

    Raises:
        AssertionError: which of these it is, and the remedy.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> assert_acting(model.weight.square().sum(), model)
        >>> assert_acting(model.weight.detach().square().sum(), model)
        Traceback (most recent call last):
        ...
        AssertionError: the penalty has no gradient at all (a number, or computed on detached tensors...
    """
    with torch.random.fork_rng([]):  # a term that draws noise leaves the generator as it was
        _check(term, model)


def _check(term: Tensor | Callable[[], Tensor], model: nn.Module) -> None:
    at_rest(model)
    value = term() if callable(term) and not isinstance(term, Tensor) else term
    if not isinstance(value, Tensor) or not value.requires_grad:
        raise AssertionError(
            f"the penalty has no gradient at all (a number, or computed on detached tensors or under no_grad); "
            f"{_REMEDY}"
        )
    parameters = [p for p in model.parameters() if p.requires_grad]
    grads = _gradients(value, parameters)
    if all(g is None for g in grads) and not _in_graph(value, parameters):
        raise AssertionError(
            f"the penalty depends on none of the model's {len(parameters)} parameters (computed on copies, on "
            f"initial draws, or on another model); {_REMEDY}"
        )
    if _moves(grads) or _moves_nearby(term, value, parameters):
        return
    raise AssertionError(
        f"the penalty's gradient is 0 for every parameter, also after a small move of the weights (p = 0, a "
        f"strength of 0, or a constant); {_REMEDY}"
    )


def _gradients(value: Tensor, parameters: list[nn.Parameter]) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(value.sum(), parameters, retain_graph=True, allow_unused=True)


def _in_graph(value: Tensor, parameters: list[nn.Parameter]) -> bool:
    """Whether some parameter stands in the graph: p = 0 gives none a gradient, not even one of zeros."""
    ids = {id(p) for p in parameters}
    return any(id(getattr(node, "variable", None)) in ids for node in nodes_of(value))


def _moves(grads: tuple[Tensor | None, ...]) -> bool:
    moved = [(local(g.detach()).ne(0).sum(), g) for g in grads if g is not None]
    return any(map(bool, summed(moved)))  # all processes must agree


def _moves_nearby(term: Tensor | Callable[[], Tensor], value: Tensor, parameters: list[nn.Parameter]) -> bool:
    kept = [p.detach().clone() for p in parameters]
    generator = torch.Generator().manual_seed(0)
    try:
        for p in parameters:
            here = local(p.data)  # .data: the graph's saved weights move along, unnoticed
            here.add_(torch.randn(here.shape, generator=generator).to(here.device, here.dtype), alpha=1e-2)
        if callable(term) and not isinstance(term, Tensor):
            return _moves(_gradients(term(), parameters))
        return _moves(_gradients(value, parameters)) or _norm_at_zero(value, parameters)
    finally:
        for p, old in zip(parameters, kept, strict=True):
            p.data.copy_(old)


def _norm_at_zero(value: Tensor, parameters: list[nn.Parameter]) -> bool:
    """Whether a norm of order above 0 was taken of zeros: its graph keeps the result 0, so it stays dead.

    Only a norm that the penalty hears of counts: one multiplied by a strength of 0 is none.
    """
    heard: list[bool] = []
    hooks = []
    for node in nodes_of(value):
        order = getattr(node, "_saved_ord", getattr(node, "_saved_p", None))
        result = getattr(node, "_saved_result", None)
        above = isinstance(order, (int, float)) and order > 0
        if above and isinstance(result, Tensor) and not bool(result.ne(0).any()):
            hooks.append(node.register_prehook(lambda grads: heard.append(_moves(grads))))
    try:
        if hooks:
            _gradients(value, parameters)
    finally:
        for hook in hooks:
            hook.remove()
    return any(heard)


def nodes_of(value: Tensor) -> Iterator[torch.autograd.graph.Node]:
    """The nodes of the graph behind a value, each once."""
    waiting, seen = [value.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting += [parent for parent, _ in node.next_functions]
