"""Recurrent layers in lanes: what torch's own give, in every arrangement; what cannot be a lane goes to solo."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ridgeline.data import Data
from ridgeline.lanes._pass import Pass
from ridgeline.lanes._recurrent import unrolled
from ridgeline.lanes._shared import path_of
from ridgeline.lanes._stack import layout_of
from ridgeline.lanes._vmapped import vmapped
from ridgeline.noise import Clock
from tests.engines.lanes import ADAM, SGD, _mapped, as_doubles, doubled, family, packed, rule, step_errors
from tests.engines.worlds import CPU, Build, classes, own, program, same

KINDS: list[Any] = [nn.RNN, nn.LSTM, nn.GRU]
ARRANGEMENTS: list[dict[str, Any]] = [
    {},
    {"batch_first": True},
    {"num_layers": 3, "bias": False},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
]


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def flat(found: Any) -> list[Tensor]:
    """The tensors of a nested tuple."""
    return [found] if isinstance(found, Tensor) else [t for each in found for t in flat(each)]


def compare(layer: nn.Module, *inputs: Any) -> None:
    """Outputs, and gradients of inputs and weights, of a layer and of its written-out twin."""
    twin = copy.deepcopy(layer)
    unrolled(twin)
    assert isinstance(twin, type(layer))
    assert type(twin) is not type(layer)
    results = []
    for each in (layer, twin):
        leaves = [t.clone().requires_grad_() for t in flat(inputs)]
        given = iter(leaves)
        outputs = flat(each(*[_like(one, given) for one in inputs]))
        weighted = sum((t * normal(*t.shape)).sum() for t in outputs)
        grads = torch.autograd.grad(weighted, [*leaves, *each.parameters()])  # type: ignore[arg-type]
        results.append([*outputs, *grads])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def _like(shape: Any, leaves: Any) -> Any:
    return next(leaves) if isinstance(shape, Tensor) else tuple(_like(each, leaves) for each in shape)


@pytest.mark.parametrize("options", ARRANGEMENTS, ids=lambda o: "-".join(o) or "plain")
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_written_out_is_the_layer(kind: Any, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    layer = kind(3, 5, **options, dtype=torch.float64)
    compare(layer, normal(7, 4, 3))
    compare(layer, normal(6, 3))
    batch = 7 if layer.batch_first else 4
    start = normal(layer.num_layers * (1 + layer.bidirectional), batch, 5)
    compare(layer, normal(7, 4, 3), (start, 0.5 * start) if kind is nn.LSTM else start)


def test_nonlinearity() -> None:
    torch.manual_seed(0)
    compare(nn.RNN(3, 5, nonlinearity="relu", dtype=torch.float64), normal(7, 4, 3))
    compare(nn.RNNCell(3, 5, nonlinearity="relu", dtype=torch.float64), normal(4, 3))


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_a_cell_written_out_is_the_cell(kind: Any) -> None:
    torch.manual_seed(0)
    state = (normal(4, 5), normal(4, 5) + 1.0) if kind is nn.LSTMCell else normal(4, 5)
    for bias in (True, False):
        cell = kind(3, 5, bias, dtype=torch.float64)
        compare(cell, normal(4, 3))
        compare(cell, normal(4, 3), state)
        compare(cell, normal(3))


class Reader(nn.Module):
    """Reads a sequence with a recurrent layer and judges by its last output."""

    def __init__(self, kind: str = "LSTM", width: int = 5, head: bool = True, **options: Any) -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(2, width, **options)
        self.head = nn.Linear(width * (1 + self.layer.bidirectional), 3) if head else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.layer(x if self.layer.batch_first else x.transpose(0, 1))
        last = states[:, -1] if self.layer.batch_first else states[-1]
        return self.head(last)  # type: ignore[no-any-return]


class Stepper(nn.Module):
    """The same with cells."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cell, self.head = getattr(nn, kind)(2, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for each in x.unbind(1):
            state = self.cell(each, state)
        return self.head(state[0] if isinstance(state, tuple) else state)  # type: ignore[no-any-return]


def sequences(n_train: int = 37) -> Data:
    """The inputs as three steps of two numbers."""
    return _mapped(classes(n_train), lambda x: x.view(-1, 3, 2))


MODELS: dict[str, Any] = {
    "rnn": own(Reader, kind="RNN", num_layers=2),
    "lstm": own(Reader, batch_first=True),
    "lstm-two-ways": own(Reader, num_layers=2, bidirectional=True),
    "gru": own(Reader, kind="GRU", batch_first=True, num_layers=2),
    "rnn-cell": own(Stepper, kind="RNNCell"),
    "lstm-cell": own(Stepper, kind="LSTMCell"),
    "gru-cell": own(Stepper, kind="GRUCell"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_step_is_that_of_solo(name: str) -> None:
    data, build = sequences(), MODELS[name]
    assert path_of(program(data, build), CPU, build(Clock(0), data)).kind == "vmap"
    for settings in (SGD, ADAM):
        rules = [[], rule("L2-coupled"), rule("L1-proximal")]
        single = family(data, build, rules, [0, 1, 1], **settings)
        wide = family(as_doubles(data), doubled(build), rules, [0, 1, 1], **settings)
        for at in (1, 10):
            assert max(step_errors(single, at)) < 1e-5
            assert max(step_errors(wide, at)) < 1e-12


@pytest.mark.parametrize("width", [5, 7, 19])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_outputs_of_any_width_do_not_depend_on_the_place(kind: str, width: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        models = [Reader(kind, width, head=False, num_layers=2, batch_first=True) for _ in range(7)]
    layer = vmapped(models[0], {})
    layout = layout_of(models[0].state_dict())
    flat_weights = layout.empty(7)
    for name, view in layout.views(flat_weights, 7).items():
        view.copy_(torch.stack([m.state_dict()[name] for m in models]))
    for examples in range(1, 20):
        x = normal(7, examples, 3, 2).float()
        whole = layer(Pass(layout.views(flat_weights, 7), False), x)
        for chosen in ([5, 1], [6, 0, 3], [4, 2]):
            some = layout.chosen(flat_weights, 7, torch.tensor(chosen))
            found = layer(Pass(layout.views(some, len(chosen)), False), x[chosen])
            assert torch.equal(found, whole[chosen])


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_neighbours_place_and_number_change_no_bit(kind: str) -> None:
    """Weights of whole cache lines, and no linear layer: under vmap products round by where they lie."""
    build = own(Reader, kind=kind, num_layers=2, width=8, head=False)
    rules = [[], rule("L2-loss"), [], []]
    many = family(sequences(45), build, rules, [0, 1, 2, 3], steps=8, batch_size=9, **SGD)
    whole = packed(many)
    for chosen in ([3, 1], [2, 0, 1], [2]):
        found = packed([many[k] for k in chosen])
        assert [same(a, whole[k]) for a, k in zip(found, chosen, strict=True)] == [True] * len(chosen)
    many[1] = replace(many[1], rules=[], training=replace(many[1].training, lr=1e30))
    found = packed(many)
    assert [same(found[k], whole[k]) for k in (0, 2, 3)] == [True] * 3


class Projected(nn.Module):
    """An LSTM with projections."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.LSTM(2, 5, proj_size=4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][:, -1])  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (own(Reader, batch_first=True, num_layers=2, dropout=0.5), "draws at random by itself"),
        (own(Projected), "projections"),
    ],
)
def test_what_lanes_cannot_do_goes_to_solo(build: Build, reason: str) -> None:
    data = sequences()
    found = path_of(program(data, build), CPU, build(Clock(0), data))
    assert found.kind == "solo"
    assert reason in found.reason
