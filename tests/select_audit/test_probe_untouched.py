"""The scale-invariance probe leaves nothing of the model touched."""

import copy
import random
import warnings
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ridgeline import L2, RidgelineError
from ridgeline.regularizer._invariance import scale_invariant
from ridgeline.select import assign
from tests.select_audit.probing import RMS, Own, X, first, flagged, old, probe, ready


class Busy(nn.Module):
    """Writes to all that a module can write to."""

    inner: Any
    seen: Tensor
    generator: torch.Generator

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4, max_norm=0.1)
        self.inner = parametrizations.spectral_norm(nn.Linear(4, 8))
        self.old = old("weight_norm", nn.Linear(8, 8))
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.calls, self.cache = 0, torch.zeros(3)
        self.log: list[Tensor] = []
        self.generator = torch.Generator().manual_seed(5)

    def train(self, mode: bool = True) -> "Busy":
        super().train(mode)
        if mode:
            self.table.weight.data.mul_(0.5)  # as adapters that take their share out again
        return self

    def forward(self, x: Tensor, fail_at: int = 99) -> Tensor:
        with torch.no_grad():
            self.seen += 1
            self.cache.add_(1)
            self.inner.parametrizations.weight.original.clamp_(-0.3, 0.3)
        self.calls += 1
        self.log.append(x)
        self.last = x
        noise = torch.rand(8, generator=self.generator) + random.random() + float(np.random.rand())
        if self.calls > fail_at:
            raise ValueError("no more")
        return cast(Tensor, self.drop(self.norm(self.old(self.inner(x + self.table.weight[0])))) * noise)


def state(model: nn.Module) -> Any:
    """Everything that a person could look at, by value and by place in memory."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    modules = list(model.modules())
    plain = (int, float, str, bool, tuple)
    return copy.deepcopy(
        [
            {n: (t.detach().numpy().tobytes(), t.data_ptr(), t._version, id(t)) for n, t in tensors.items()},
            {n: None if p.grad is None else p.grad.numpy().tobytes() for n, p in model.named_parameters()},
            [sorted(m.__dict__) for m in modules],
            [{k: v for k, v in m.__dict__.items() if isinstance(v, plain)} for m in modules],
            [
                {k: list(map(id, v)) for k, v in m.__dict__.items() if isinstance(v, (list, dict))}
                for m in modules
            ],
            [
                {k: (id(v), v._version) for k, v in m.__dict__.items() if isinstance(v, Tensor)}
                for m in modules
            ],
            [m.__dict__[k].tolist() for m in modules for k in ("cache", "weight") if k in m.__dict__],
            [m.generator.get_state().tolist() for m in modules if isinstance(m, Busy)],
            torch.get_rng_state().tolist(),
            random.getstate(),
            str(np.random.get_state()),
            torch.is_grad_enabled(),
            len(warnings.filters),
        ]
    )


def busy() -> Busy:
    model = Busy()
    model(X).sum().backward()
    model.norm.eval()
    model.drop.eval()
    return model


@pytest.mark.parametrize("fail_at", [99, 2])
def test_everything_is_as_before(fail_at: int) -> None:
    model = busy()
    rows = assign(model, L2(1e-4))
    before = state(model)
    found = scale_invariant(model, rows, {"x": X, "fail_at": fail_at})
    assert found["old.weight_v"]
    assert state(model) == before


@pytest.mark.parametrize("fail_at", [0, 1])
def test_everything_is_as_before_a_pass_that_failed(fail_at: int) -> None:
    model = busy()
    before = state(model)
    with pytest.raises(RidgelineError, match="ValueError: no more"):
        probe(model, {"x": X, "fail_at": fail_at})
    assert state(model) == before


def test_every_module_gets_its_own_mode_back() -> None:
    model = ready(first(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout()), X)
    model.eval()
    model[2].train()
    flags = [m.training for m in model.modules()]
    assert flagged(model) == {"0.weight"}
    assert [m.training for m in model.modules()] == flags


def test_a_norm_that_the_model_itself_keeps_in_evaluation_mode_does_not_count() -> None:
    class Frozen(nn.Sequential):
        def train(self, mode: bool = True) -> "Frozen":
            super().train(mode)
            self[1].eval()
            return self

    assert flagged(Frozen(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh())) == set()


def test_a_pending_backward_pass_goes_on() -> None:
    model = busy()
    reference = torch.autograd.grad(model.eval()(X).sum(), list(model.parameters()), allow_unused=True)
    model.generator.manual_seed(5)
    loss = model.eval()(X).sum()
    probe(model)
    assert len(torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)) == len(reference)


ACTIVATIONS: dict[str, Tensor] = {}


def keep(name: str, module: nn.Module, args: Any, output: Tensor) -> None:
    ACTIVATIONS[name] = output


def into(bag: list[Any], *_: Any) -> None:
    bag.append(1)


class Recorder:
    def __init__(self) -> None:
        self.count, self.outputs = 0, [torch.zeros(1)]

    def record(self, module: nn.Module, args: Any, output: Tensor) -> None:
        self.count += 1
        self.outputs.append(output)

    __call__ = record


def test_what_hooks_collect_is_as_before() -> None:
    model = ready(first(nn.Linear(4, 8), nn.BatchNorm1d(8)), X)
    seen: list[Any] = []
    bag: list[Any] = []
    count, method, called, passed = 0, Recorder(), Recorder(), Recorder()

    def counting(*_: Any) -> None:
        nonlocal count
        count += 1

    def once(*_: Any) -> None:
        seen.append("once")
        handle.remove()

    hooks = (lambda *_: seen.append(1), partial(into, bag), method.record, called, counting)
    for hook in (*hooks, partial(keep, "0")):
        model[0].register_forward_hook(hook)
    model[0].register_forward_pre_hook(lambda m, args: passed.record(m, args, args[0]))
    handle = model[0].register_forward_hook(once)
    registered = dict(model[0]._forward_hooks)
    assert flagged(model) == {"0.weight"}
    assert (seen, bag, count, ACTIVATIONS) == ([], [], 0, {})
    assert all((r.count, len(r.outputs)) == (0, 1) for r in (method, called, passed))
    assert dict(model[0]._forward_hooks) == registered


def test_a_hook_that_normalizes_is_part_of_the_model() -> None:
    layer = nn.Linear(4, 8)
    layer.register_forward_hook(lambda m, args, y: F.layer_norm(y, (8,)))
    assert flagged(nn.Sequential(layer, nn.Tanh(), nn.Linear(8, 3))) == {"0.weight"}


def test_a_pass_is_silent_and_without_gradients() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        warnings.warn("of the model", stacklevel=1)
        assert not torch.is_grad_enabled()
        assert m.training
        return cast(Tensor, m.norm(m.inner(x)))

    assert flagged(Own(forward, inner=nn.Linear(4, 8), norm=nn.LayerNorm(8)).eval()) == {"inner.weight"}


def test_an_output_that_the_next_pass_overwrites() -> None:
    place = torch.empty(16, 8)
    assert flagged(Own(lambda m, x: place.copy_(m.inner(x)), inner=nn.Linear(4, 8))) == set()
    assert flagged(Own(lambda m, x: place.copy_(m.norm(m.inner(x))), inner=nn.Linear(4, 8), norm=RMS(8))) == {
        "inner.weight"
    }


def test_what_it_costs() -> None:
    passes = iter(range(100))
    counting = Own(lambda m, x: x + 0 * next(passes))
    flagged(nn.Sequential(counting, nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)))
    assert next(passes) == 2 + 3 + 2  # twice as it is; alone, with its bias, elsewhere; alone, with its bias
