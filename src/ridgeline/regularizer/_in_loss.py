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

from ridgeline.penalties import Penalty, parts_of
from ridgeline.regularizer import _kernels as kernels
from ridgeline.regularizer import _many as many
from ridgeline.regularizer._compiled import Compiled
from ridgeline.regularizer._sharded import is_sharded, like, local
from ridgeline.regularizer._stand_in import Pairs, added, read

_WILL_EXECUTE: Callable[[Any], bool] | None = getattr(torch._C, "_will_engine_execute_node", None)


_SPARSE = (
    "a penalised parameter has a sparse gradient, and a penalty on all its rows would make every step dense; use "
    "sparse=False, or exempt the parameter by a Rule with penalty None."
)


def penalty_in_graph(
    pairs: Pairs, reached: Callable[[], None], compiled: Compiled | None = None, besides: Pairs = ()
) -> Tensor:
    """Σ R(w) over the pairs, shape () or (lanes,), differentiable.

    Args:
        reached: called whenever a backward pass goes through the penalty.
        compiled: by compiled passes where there are some.
        besides: pairs whose values are added without a graph.

    Raises:
        RuntimeError: for sharded tensors inside torch.compile or torch.func, or with an optimizer step in the
            backward pass.
    """
    tensors = [w for _, w in pairs]
    if not torch.is_grad_enabled():
        return many.total([*pairs, *besides], compiled)
    sharded = any(is_sharded(w) for w in tensors)
    if sharded:
        _check_sharded(pairs)
    elif _ordinary_graph(tensors) or any(_learned(penalty) for penalty, _ in pairs):
        found = torch.stack(
            [penalty.value(w).float() if w.element_size() < 4 else penalty.value(w) for penalty, w in pairs]
        ).sum(0)
        if torch.compiler.is_compiling() or not found.requires_grad:
            reached()
        else:
            found.register_hook(lambda _: reached())
        return found + many.total(besides, compiled) if besides else found
    apply: Callable[..., Tensor] = _Penalty.apply
    return apply([penalty for penalty, _ in pairs], besides, reached, compiled, *tensors)


def _check_sharded(pairs: Pairs) -> None:
    tensors = [w for _, w in pairs]
    if any(_learned(penalty) for penalty, _ in pairs):
        raise RuntimeError(
            "reg.penalty() of a sharded model has no gradient for a strength: give detached numbers."
        )
    if torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None:
        raise RuntimeError(
            "reg.penalty() of a sharded model talks to other processes, which torch.compile and torch.func do not "
            "see: call it outside of them."
        )
    if not all(w.is_leaf for w in tensors):
        raise RuntimeError(
            "reg.penalty() of a sharded model needs its own parameters, not tensors put for them."
        )
    if any(getattr(w, "_post_accumulate_grad_hooks", None) for w in tensors if is_sharded(w)):
        raise RuntimeError(
            "a hook acts on gradients during the backward pass, before data and penalty of a sharded model are "
            "added up in them; use mode='coupled' with optimizer=."
        )


def _learned(penalty: Penalty) -> bool:
    """Whether a strength is itself to be trained."""
    strengths = [getattr(part, "strength", None) for part in parts_of(penalty)]
    return any(isinstance(s, Tensor) and s.requires_grad for s in strengths)


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
        besides: Pairs,
        reached: Callable[[], None],
        compiled: Compiled | None,
        *weights: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(*weights)
        ctx.reached, ctx.compiled, ctx.leaves = reached, compiled, weights
        pairs = [*zip(penalties, weights, strict=True), *besides]
        if not any(is_sharded(w) for _, w in pairs):
            ctx.penalties = penalties
            return many.total(pairs, compiled)
        found, acting = read(pairs, compiled)
        ctx.penalties = acting[: len(weights)]
        return added(found)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        ctx.reached()
        # Reading them checks that no weight was changed since, and that the graph was not freed. Hooks on
        # saved tensors (checkpoints, offloading) may hand out others than the leaves, which are what counts.
        _ = ctx.saved_tensors
        weights: tuple[Tensor, ...] = ctx.leaves
        if torch.is_grad_enabled() or upstream.ndim:  # create_graph, or lanes: differentiable gradients
            if any(is_sharded(w) for w in weights):
                raise RuntimeError(
                    "reg.penalty() of a sharded model has no second derivative (create_graph=True)."
                )
            grads = [_ordinary(p, w, upstream) for p, w in zip(ctx.penalties, weights, strict=True)]
            return (None, None, None, None, *grads)
        found: list[Tensor | None] = []
        later: list[tuple[Penalty, Tensor]] = []
        for place, (penalty, w) in enumerate(zip(ctx.penalties, weights, strict=True)):
            if not ctx.needs_input_grad[place + 4]:
                found.append(None)
            elif _deferrable(w):
                later.append((penalty, w))
                found.append(None)
            else:
                found.append(_ordinary(penalty, w, upstream))
        if later:
            _add_after_pass(later, upstream, ctx.compiled)
        return (None, None, None, None, *found)


def _ordinary(penalty: Penalty, w: Tensor, upstream: Tensor) -> Tensor:
    factor = upstream.to(w.dtype)
    if factor.ndim:
        return penalty.gradient(w) * factor.view(-1, *([1] * (w.ndim - 1)))
    return like(penalty.gradient(local(w)) * factor, w)


def _deferrable(w: Tensor) -> bool:
    """Whether the running pass will write w.grad, and nobody watches how."""
    if w._backward_hooks or getattr(w, "_post_accumulate_grad_hooks", None):
        return False
    if _WILL_EXECUTE is None:
        return False
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
        pulls: list[many.Pull] = []
        for penalty, w in later:
            if w.grad is not None and w.grad.is_sparse:
                raise RuntimeError(_SPARSE)
            if w.grad is None:
                w.grad = _ordinary(penalty, w, upstream.detach())
            else:
                pulls.append((penalty, w, factor))
        many.add_gradients(pulls, compiled)

    # Queued twice over: a wrapper for data parallelism queues its own averaging during the pass, after
    # us, and the penalty belongs behind that average.
    queue(lambda: queue(add))
