"""Updates of large weights piece by piece: no bit differs from an update after the backward pass."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from ridgeline.lanes import _products, products
from ridgeline.lanes._early import Early
from ridgeline.lanes._pack import Pack
from ridgeline.lanes._program import Program
from ridgeline.lanes._stacking import Stacking
from ridgeline.penalties import L1, L2, Penalty
from ridgeline.select import Rule, default_selection
from tests.engines.lanes import ADAM, ADAMW, NESTEROV, RMSPROP_MOMENTUM, SGD, family, packed, rule
from tests.engines.worlds import CPU, classes, named, own, same

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN"
)
LOSSES = Stacking.losses


@pytest.fixture
def updated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, slice]]:
    """What is updated early, where every product counts as large, and pieces have sixteen rows."""
    monkeypatch.setattr(_products, "_LARGE", 1)
    monkeypatch.setattr(_products, "_PIECE", 1)
    seen: list[tuple[str, int, slice]] = []
    real = Early.update

    def update(self: Early, name: str, lane: int, rows: slice, g: torch.Tensor) -> None:
        seen.append((name, lane, rows))
        real(self, name, lane, rows, g)

    monkeypatch.setattr(Early, "update", update)
    return seen


def after_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nothing is updated early."""

    def losses(self: Stacking, *args: Any, early: bool = False) -> Any:
        return LOSSES(self, *args)

    monkeypatch.setattr(Stacking, "losses", losses)


def programs(
    rules: Sequence[str | None], settings: dict[str, Any], build: Any = None, inputs: int = 32
) -> list[Program]:
    build = build or named("mlp", hidden=[48, 16], dropout=0.2)
    each = [[] if name is None else rule(name, 1 + k) for k, name in enumerate(rules)]
    data = classes(n_train=40, n_inputs=inputs)
    return family(data, build, each, range(len(each)), steps=6, **settings)


@pytest.mark.parametrize(
    "settings",
    [SGD, NESTEROV, ADAM, ADAMW, RMSPROP_MOMENTUM, {**ADAM, "weight_decay": 0.1}],
    ids=["sgd", "nesterov", "adam", "adamw", "rmsprop", "adam-decay"],
)
@pytest.mark.parametrize("kind", ["broadcast", "grouped"])
def test_an_early_update_changes_no_bit(
    settings: dict[str, Any],
    kind: str,
    updated: list[tuple[str, int, slice]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind == "grouped" and not settings["optimizer"].startswith("adam"):
        pytest.skip("torch's fused kernels are used for Adam and AdamW")
    rules = ["L2-coupled", "L1-loss", "L1-proximal", None]
    many = programs([None] * 4 if "weight_decay" in settings else rules, settings)
    with products("onednn"):
        early = packed(many, rule=kind)
        assert {(name, rows.start) for name, _, rows in updated} == {
            *(("hidden1.weight", first) for first in (0, 16, 32)),
            ("hidden2.weight", 0),
            ("output.weight", 0),
        }
        assert {lane for _, lane, _ in updated} == {0, 1, 2, 3}
        after_the_pass(monkeypatch)
        assert all(same(a, b) for a, b in zip(early, packed(many, rule=kind), strict=True))


def tied() -> nn.Module:
    twice = nn.Linear(32, 32)
    return nn.Sequential(twice, nn.ReLU(), twice, nn.ReLU(), nn.Linear(32, 5))


def without_biases() -> nn.Module:
    return nn.Sequential(nn.Linear(32, 16, bias=False), nn.ReLU(), nn.Linear(16, 16, bias=False))


@pytest.mark.parametrize("kind", ["broadcast", "grouped"])
def test_all_of_a_model_may_be_updated_early(
    kind: str, updated: list[tuple[str, int, slice]], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = programs([None, "L2-loss"], {**ADAM, "batch_size": 40}, own(without_biases))
    with products("onednn"):
        early = packed(many, rule=kind)
        assert {name for name, *_ in updated} == {"0.weight", "2.weight"}
        after_the_pass(monkeypatch)
        assert all(same(a, b) for a, b in zip(early, packed(many, rule=kind), strict=True))


def mean_of_each(penalty: Penalty) -> list[Program]:
    many = programs([None, None], ADAM)
    return [replace(each, rules=[Rule(default_selection, penalty, "coupled")]) for each in many]


NOT_EARLY: dict[str, Callable[[], list[Program]]] = {
    "a layer that stands twice": lambda: programs([None, None], ADAM, own(tied)),
    "a penalty of groups": lambda: programs(["GroupLasso-loss", "L2-coupled"], ADAM),
    "a mean over a tensor": lambda: mean_of_each(L2(0.1, reduction="mean")),
    "a sum with a mean": lambda: mean_of_each(L2(0.1) + L1(0.1, reduction="mean")),
    "decay after the update": lambda: programs(["L2-decoupled", "L2-coupled"], ADAM),
    "rows of parts of vectors": lambda: programs([None, None], ADAM, named("mlp", hidden=[7]), inputs=31),
    "clipping": lambda: programs([None, None], {**ADAM, "clip_norm": 0.5}),
    "autograd": lambda: programs(
        [None, None], ADAM, own(lambda: nn.Sequential(nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 3)))
    ),
}


@pytest.mark.parametrize("why", NOT_EARLY)
def test_what_cannot_be_updated_early_is_not(why: str, updated: list[tuple[str, int, slice]]) -> None:
    with products("onednn"):
        packed(NOT_EARLY[why]())
    assert {name for name, *_ in updated} <= {"4.weight"}  # beside the layer that stands twice


def test_small_products_wait_for_the_pass(updated: list[tuple[str, int, slice]]) -> None:
    """The last batch of an epoch may be small: its gradient is kept as it always was."""
    pack = Pack(programs([None, None], ADAM), CPU)
    pack.update()
    assert not updated  # torch takes the products here
    with products("onednn"):
        pack.update()
    assert updated
    assert pack.state.updates.count == 2
