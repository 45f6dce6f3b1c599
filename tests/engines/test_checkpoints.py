"""A pack that goes on from a checkpoint is the pack that was never interrupted, bit for bit."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from ridgeline.lanes import (
    Checkpoint,
    EarlyStopping,
    ForeignCheckpointError,
    OptimizerName,
    Outcome,
    Pack,
    Program,
    Rule,
    checkpoint_of,
    run_pack,
)
from ridgeline.store import read_sealed, write_sealed
from tests.engines.lanes import ADAM, IMAGES, NESTEROV, SGD, ResidualNetwork, family, layered, rule
from tests.engines.worlds import CPU, classes, named, numbers, own, same

DROPPED = named("mlp", hidden=[7, 5], dropout=0.3)
RULES = [[], rule("L2-coupled"), rule("L1-proximal"), rule("L2SP-coupled"), rule("sum-proximal", 0.5)]
CASES: dict[str, tuple[Any, Any, dict[str, Any], Rule]] = {
    "mlp-adam-grouped": (classes(), DROPPED, ADAM, "grouped"),
    "mlp-adam-broadcast": (classes(), DROPPED, ADAM, "broadcast"),
    "mlp-nesterov": (classes(), DROPPED, NESTEROV, "broadcast"),
    "linear-sgd": (numbers(), named("linear"), {**SGD, "lr": 0.02}, "broadcast"),
    "layered-adam": (IMAGES, own(layered), ADAM, "grouped"),
    "residual-sgd": (IMAGES, own(ResidualNetwork), {**SGD, "momentum": 0.9}, "broadcast"),
}
CASES |= {
    name: (classes(), DROPPED, {"optimizer": name, "lr": 0.01}, "broadcast")
    for name in get_args(OptimizerName)
}
STEPS = 12


@dataclass
class Kept:
    """Writes checkpoints after some of the updates; remembers the state after the last one.

    Attributes:
        at: the updates after which one is written.
        late: tensors and facts after the last update.
    """

    folder: Path
    names: Sequence[str]
    at: Collection[int]
    late: tuple[dict[str, Tensor], dict[str, Any]] | None = None

    def __call__(self, pack: Pack) -> None:
        if pack.lanes and pack.step in self.at:
            found = checkpoint_of(pack, self.names)
            write_sealed(self.folder / f"{pack.step}", found.tensors, found.facts)
        if pack.lanes and pack.step == pack.training.steps:
            found = checkpoint_of(pack, self.names)
            facts = {key: value for key, value in found.facts.items() if key != "seconds"}
            self.late = {name: t.clone() for name, t in found.tensors.items()}, facts

    def read(self, step: int) -> Checkpoint:
        """One that was written."""
        return Checkpoint(*read_sealed(self.folder / f"{step}"))


def run(programs: Sequence[Program], kind: Rule, kept: Kept) -> dict[int, Outcome]:
    """The outcomes of an uninterrupted pack, by place."""
    return dict(run_pack(programs, CPU, rule=kind, after_update=kept))


def go_on(
    begun: Checkpoint, programs: Sequence[Program], names: Sequence[str], kind: Rule
) -> dict[int, Outcome]:
    """The outcomes of these lanes from a checkpoint on, by place."""
    return dict(run_pack(programs, CPU, rule=kind, begun=(begun, names)))


def trials(name: str, count: int = 5, **settings: Any) -> tuple[list[Program], list[str], Rule]:
    """Programs of one case, evaluated every 5 updates and with running sets, and names of their lanes."""
    data, build, own_settings, kind = CASES[name]
    settings = {"steps": STEPS, "sets": {"tail": ("epoch", 20, None)}, **own_settings, **settings}
    programs = family(data, build, RULES[:count], [k // 2 for k in range(count)], **settings)
    return programs, [f"lane {k}" for k in range(count)], kind


@pytest.mark.parametrize("name", CASES)
def test_resumed_after_any_update_is_uninterrupted(name: str, tmp_path: Path) -> None:
    programs, names, kind = trials(name)
    kept = Kept(tmp_path, names, (1, 5, 7, STEPS - 1))
    whole = run(programs, kind, kept)
    assert kept.late is not None
    for at in kept.at:
        again = Kept(tmp_path, names, ())
        found = dict(run_pack(programs, CPU, rule=kind, begun=(kept.read(at), names), after_update=again))
        assert [same(found[k], whole[k]) for k in whole] == [True] * len(programs), at
        assert again.late is not None
        assert again.late[1] == kept.late[1], at  # counts, best steps, what patience remembers
        assert again.late[0].keys() == kept.late[0].keys()
        for part, tensor in kept.late[0].items():  # weights, optimizer, buffers, histories, running sums
            assert torch.equal(again.late[0][part].nan_to_num(7e7), tensor.nan_to_num(7e7)), (at, part)


@pytest.mark.parametrize("name", ["mlp-adam-grouped", "mlp-nesterov", "layered-adam", "residual-sgd"])
def test_some_lanes_of_a_checkpoint_go_on_as_all_would(name: str, tmp_path: Path) -> None:
    programs, names, kind = trials(name)
    kept = Kept(tmp_path, names, (7,))
    whole = run(programs, kind, kept)
    for chosen in ([3, 1], [4], [2, 4, 1, 0, 3]):
        found = go_on(kept.read(7), [programs[k] for k in chosen], [names[k] for k in chosen], kind)
        assert [same(found[i], whole[k]) for i, k in enumerate(chosen)] == [True] * len(chosen)


def test_a_lone_lane_and_its_company_go_on(tmp_path: Path) -> None:
    programs, names, kind = trials("mlp-adam-broadcast", 1)
    kept = Kept(tmp_path, names, (7,))
    whole = run(programs, kind, kept)
    assert kept.read(7).lanes == names
    assert same(go_on(kept.read(7), programs, names, kind)[0], whole[0])


def test_lanes_that_left_stay_away_and_patience_goes_on(tmp_path: Path) -> None:
    """Early stopping at different updates, a lane that diverges, one that never stops."""
    programs = family(
        classes(), named("mlp", hidden=[16]), [[]] * 6, range(6), steps=60, evaluate_every=2, lr=2.0
    )
    patient = [EarlyStopping(patience=k) for k in (1, 2, 3, 5, 8)]
    programs = [
        replace(p, training=replace(p.training, early_stopping=stop))
        for p, stop in zip(programs, [*patient, None], strict=True)
    ]
    programs.append(replace(programs[5], training=replace(programs[5].training, lr=1e30)))
    names = [f"lane {k}" for k in range(7)]
    kept = Kept(tmp_path, names, range(60))
    whole = run(programs, "broadcast", kept)
    assert whole[6].status == "diverged"
    ends = sorted({each.steps for each in whole.values()})
    assert len(ends) > 3
    for at in {2, *ends[:-1], ends[2] + 1}:
        left = [k for k in range(7) if whole[k].steps > at]
        assert sorted(kept.read(at).lanes) == [names[k] for k in left]
        found = go_on(kept.read(at), [programs[k] for k in left], [names[k] for k in left], "broadcast")
        for i, k in enumerate(left):
            assert found[i].curves == whole[k].curves
            assert same(found[i], whole[k]) or whole[k].status == found[i].status == "diverged"


def test_a_lane_that_is_beyond_all_numbers_diverges_as_it_would_have(tmp_path: Path) -> None:
    programs, names, kind = trials("linear-sgd", 2)
    programs[1] = replace(programs[1], training=replace(programs[1].training, lr=1e30))
    kept = Kept(tmp_path, names, (3,))  # before the evaluation that notices it
    whole = run(programs, kind, kept)
    assert not bool(torch.isfinite(kept.read(3).tensors["weights"]).all())
    found = go_on(kept.read(3), programs, names, kind)
    assert [found[k].status for k in (0, 1)] == ["done", "diverged"]
    assert same(found[0], whole[0])
    assert found[1].curves == whole[1].curves


def test_seconds_before_and_after_add_up(tmp_path: Path) -> None:
    programs, names, kind = trials("linear-sgd")
    kept = Kept(tmp_path, names, (5,))
    run(programs, kind, kept)
    before = kept.read(5)
    found = go_on(Checkpoint(before.tensors, {**before.facts, "seconds": 1e6}), programs, names, kind)
    assert all(each.seconds > 1e6 for each in found.values())


def test_another_packs_checkpoint_is_refused(tmp_path: Path) -> None:
    programs, names, kind = trials("mlp-adam-broadcast", 2)
    kept = Kept(tmp_path, names, (7,))
    run(programs, kind, kept)
    wider = family(classes(), named("mlp", hidden=[8, 5]), [[], []], [0, 1], steps=STEPS, **ADAM)
    deeper = family(IMAGES, own(layered), [[], []], [0, 1], steps=STEPS, **ADAM)
    plain = family(classes(), DROPPED, [[], []], [0, 1], steps=STEPS, **SGD)
    for others, called, why in (
        (programs, ["lane 0", "lane 7"], "holds no lane lane 7"),
        (wider, names, "other names or shapes"),
        (deeper, names, "other names or shapes"),
        (plain, names, "its optimizer"),
    ):
        with pytest.raises(ForeignCheckpointError, match=why):
            go_on(kept.read(7), others, called, "broadcast")
