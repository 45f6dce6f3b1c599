"""Mode "loss": the penalty as a differentiable number whose gradients are added without graph nodes.

The value enters the graph by one node over the leaf parameters. When backward reaches it, the node asks
whether the engine will write the gradient of each parameter in this very pass; if so it returns nothing
and adds λ∇R to `.grad` in place once the pass is over, which saves a gradient tensor and an accumulation
for each parameter. In all other cases (autograd.grad, create_graph, hooks on the parameter, torch.func,
torch.compile) it returns ordinary gradients, or is not used at all.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ridgeline.penalties import Penalty
from ridgeline.regularizer import _kernels as kernels
from ridgeline.regularizer._compiled import Compiled

_WILL_EXECUTE: Callable[[Any], bool] | None = getattr(torch._C, "_will_engine_execute_node", None)


def penalty_in_graph(
    pairs: Sequence[tuple[Penalty, Tensor]], reached: Callable[[], None], compiled: Compiled | None = None
) -> Tensor:
    """Σ R(w) over the pairs, shape () or (lanes,), differentiable.

    Args:
        reached: called whenever a backward pass goes through the penalty.
        compiled: by compiled passes where there are some.
    """
    tensors = [w for _, w in pairs]
    if not torch.is_grad_enabled():
        return total(pairs, compiled)
    if _ordinary_graph(tensors):
        found = torch.stack(
            [penalty.value(w).float() if w.element_size() < 4 else penalty.value(w) for penalty, w in pairs]
        ).sum(0)
        if torch.compiler.is_compiling() or not found.requires_grad:
            reached()
        else:
            found.register_hook(lambda _: reached())
        return found
    apply: Callable[..., Tensor] = _Penalty.apply
    return apply([penalty for penalty, _ in pairs], reached, compiled, *tensors)


@torch.no_grad()
def total(pairs: Sequence[tuple[Penalty, Tensor]], compiled: Compiled | None = None) -> Tensor:
    """Σ R(w) without a graph."""
    found: Tensor | None = None
    for penalty, w in pairs:
        value = kernels.value(penalty, w, compiled)
        found = value if found is None else found.to(value.device) + value
    assert found is not None
    return found


def _ordinary_graph(tensors: Sequence[Tensor]) -> bool:
    """Whether the penalty must be built of ordinary operations."""
    return (
        _WILL_EXECUTE is None
        or torch.compiler.is_compiling()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or not all(w.is_leaf and type(w.data) is Tensor for w in tensors)
        or len({w.device for w in tensors}) > 1
    )


class _Penalty(torch.autograd.Function):
    """Forward: the value. Backward: gradients in place after the pass, or ordinary ones."""

    @staticmethod
    def forward(
        ctx: Any,
        penalties: list[Penalty],
        reached: Callable[[], None],
        compiled: Compiled | None,
        *weights: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(*weights)
        ctx.penalties, ctx.reached, ctx.compiled, ctx.leaves = penalties, reached, compiled, weights
        return total(list(zip(penalties, weights, strict=True)), compiled)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        ctx.reached()
        # Reading them checks that no weight was changed since, and that the graph was not freed. Hooks on
        # saved tensors (checkpoints, offloading) may hand out others than the leaves, which are what counts.
        _ = ctx.saved_tensors
        weights: tuple[Tensor, ...] = ctx.leaves
        if torch.is_grad_enabled() or upstream.ndim:  # create_graph, or lanes: differentiable gradients
            grads = [_ordinary(p, w, upstream) for p, w in zip(ctx.penalties, weights, strict=True)]
            return (None, None, None, *grads)
        found: list[Tensor | None] = []
        later: list[tuple[Penalty, Tensor]] = []
        for place, (penalty, w) in enumerate(zip(ctx.penalties, weights, strict=True)):
            if not ctx.needs_input_grad[place + 3]:
                found.append(None)
            elif _deferrable(w):
                later.append((penalty, w))
                found.append(None)
            else:
                found.append(_ordinary(penalty, w, upstream))
        if later:
            _add_after_pass(later, upstream, ctx.compiled)
        return (None, None, None, *found)


def _ordinary(penalty: Penalty, w: Tensor, upstream: Tensor) -> Tensor:
    factor = upstream.to(w.dtype)
    return (
        penalty.gradient(w) * factor.view(-1, *([1] * (w.ndim - 1)))
        if factor.ndim
        else penalty.gradient(w) * factor
    )


def _deferrable(w: Tensor) -> bool:
    """Whether the running pass will write w.grad, and nobody watches how."""
    if w._backward_hooks or getattr(w, "_post_accumulate_grad_hooks", None):
        return False
    assert _WILL_EXECUTE is not None
    try:
        return _WILL_EXECUTE(torch.autograd.graph.get_gradient_edge(w).node)
    except RuntimeError:  # the pass is autograd.grad, which hands gradients back instead
        return False


def _add_after_pass(
    later: Sequence[tuple[Penalty, Tensor]], upstream: Tensor, compiled: Compiled | None
) -> None:
    queue = torch.autograd.Variable._execution_engine.queue_callback
    factor = kernels.fold(upstream.detach())

    def add() -> None:
        for penalty, w in later:
            if w.grad is None:
                w.grad = _ordinary(penalty, w, upstream.detach())
            else:
                kernels.add_gradient(w.grad, penalty, w, factor, compiled)

    # Queued twice over: a wrapper for data parallelism queues its own averaging during the pass, after
    # us, and the penalty belongs behind that average.
    queue(lambda: queue(add))
