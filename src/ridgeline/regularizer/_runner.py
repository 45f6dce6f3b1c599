"""A person's training steps, run again and again from one state."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ridgeline.regularizer._measured import Run
from ridgeline.regularizer._reach import stateful, tensors_in, used_by
from ridgeline.regularizer._sharded import local, summed
from ridgeline.regularizer._snapshot import Snapshot
from ridgeline.regularizer._term import Term


class Runner:
    """Runs `step_fn(0) … step_fn(steps − 1)`, each time from the state at the start.

    Args:
        also: objects with a state besides those that step_fn reaches by its variables.

    Raises:
        ValueError: for a step_fn that takes no number, where no optimizer is known, and for something in `also`
            without a state.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | None,
        step_fn: Callable[[int], Any],
        also: Sequence[Any],
        steps: int,
    ) -> None:
        _check_step_fn(step_fn)
        for thing in also:
            if not stateful(thing) and not any(True for _ in tensors_in(thing)):
                raise ValueError(
                    f"reg.response(): {type(thing).__name__} in also= has no state_dict() and load_state_dict(), so "
                    f"it cannot be set back."
                )
        reached = {id(x): x for x in [optimizer, *used_by(step_fn, *also)] if x is not None}.values()
        modules = [model, *(x for x in reached if isinstance(x, nn.Module))]
        optimizers = [x for x in reached if isinstance(x, Optimizer)]
        if not optimizers:
            raise ValueError(
                "reg.response() must set the optimizer back, and found none: pass it in also=[optimizer], or as "
                "optimizer= to regularize()."
            )
        others = [x for x in reached if not isinstance(x, (nn.Module, Optimizer))]
        self._step_fn, self._steps = step_fn, steps
        self._optimizers = optimizers
        self._start = Snapshot(modules, optimizers, others)

    def run(self, terms: Sequence[Term], nudged: bool) -> tuple[Run, list[float]]:
        """The displacement of each term's leaves (of this process's shards), flat by name, and what step_fn returned.

        Args:
            nudged: begin with each weight moved by one unit in the last place.
        """
        self._start.restore()
        before = {t.name: _flat(t) for t in terms}
        if nudged:
            _nudge(terms)
        reached: dict[str, Tensor] = {}
        watching = [o.register_step_pre_hook(lambda *_: _note(reached, terms)) for o in self._optimizers]
        try:
            losses = [_number(self._step_fn(0))]
            first = {t.name: _flat(t) - before[t.name] for t in terms}
            losses += [_number(self._step_fn(i)) for i in range(1, self._steps)]
        finally:
            for handle in watching:
                handle.remove()
        last = {t.name: _flat(t) - before[t.name] for t in terms}
        whole = {t.name: t.parameter for t in terms}
        counts = summed([(mask.sum(), whole[name]) for name, mask in reached.items()])
        seen = {
            name: mask for (name, mask), count in zip(reached.items(), counts, strict=True) if bool(count)
        }
        return Run(first, last, seen), [x for x in losses if x is not None]

    def restore(self) -> None:
        """Leave everything as it was at the start."""
        self._start.restore()


def _check_step_fn(step_fn: object) -> None:
    if not callable(step_fn):
        raise ValueError(
            f"reg.response(): step_fn is {type(step_fn).__name__}; it must be a function of the step's number, one "
            f"whole training step: def step(i): ..."
        )
    try:
        inspect.signature(step_fn).bind(0)
    except TypeError as error:
        raise ValueError(
            f"reg.response() calls step_fn(0), step_fn(1), …, and this one cannot be called so ({error}); write "
            f"def step(i): ..., fetching the batch by number."
        ) from None
    except ValueError:  # some built-in functions have no signature
        return


def _note(reached: dict[str, Tensor], terms: Sequence[Term]) -> None:
    """Which weights have a gradient before a step; with a closure it is not there yet."""
    for t in terms:
        grads = [torch.zeros_like(local(p)) if p.grad is None else local(p.grad) for p in t.leaves]
        now = torch.cat([g.reshape(-1) for g in grads]) != 0
        reached[t.name] = now | reached[t.name] if t.name in reached else now


def _flat(term: Term) -> Tensor:
    return torch.cat([local(p.detach()).reshape(-1) for p in term.leaves]).clone()


@torch.no_grad()
def _nudge(terms: Sequence[Term]) -> None:
    generator = torch.Generator().manual_seed(0)
    for p in {id(p): local(p) for t in terms for p in t.leaves}.values():
        up = torch.randint(0, 2, p.shape, generator=generator, dtype=torch.bool).to(p.device)
        p.mul_(torch.where(up, 1 + torch.finfo(p.dtype).eps, 1 - torch.finfo(p.dtype).eps).to(p.dtype))


def _number(returned: Any) -> float | None:
    if isinstance(returned, Tensor) and returned.numel() == 1:
        return float(returned.detach())
    return float(returned) if isinstance(returned, (int, float)) else None
