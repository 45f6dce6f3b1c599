"""What the curve has evaluated is not evaluated again at the end, and is what an evaluation at the end would be."""

from typing import Any

import pytest
import torch

from ridgeline.lanes import Outcome, Program, _lane_outcome, _pack, _solo, run_pack, train
from ridgeline.lanes._checkpoint import checkpoint_of
from ridgeline.lanes._judged import Judged
from tests.engines.lanes import ADAM, family, packed, rule
from tests.engines.worlds import CPU, classes, named, program, same

STOPPING: dict[str, Any] = {"steps": 60, "evaluate_every": 5, "lr": 0.2}


def programs(train_examples: int = 5_000) -> list[Program]:
    """Lanes whose best step is not the last, of which some leave early."""
    rules = [[], rule("L2-coupled"), [], rule("L1-proximal")]
    settings = {**ADAM, **STOPPING, "train_examples": train_examples}
    return family(classes(), named("mlp", hidden=[16]), rules, [0, 0, 1, 2], **settings)


def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on every set is evaluated at the end."""
    monkeypatch.setattr(Judged, "of", lambda self, lanes, best: {})
    real = _solo.Trial._whole
    monkeypatch.setattr(_solo.Trial, "_whole", lambda self, found: real(self, {}))


@pytest.mark.parametrize("train_examples", [5_000, 20], ids=["whole", "a part"])
def test_outcomes_are_those_of_an_evaluation_at_the_end(
    train_examples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = programs(train_examples)
    in_lanes, alone = packed(many), [train(each, CPU) for each in many]
    assert any(each.best_step != each.steps for each in in_lanes)
    assert set(in_lanes[0].last) == {"train", "val", "test"}
    assert len(in_lanes[0].last["train"].losses) == 37
    anew(monkeypatch)
    assert all(same(a, b) for a, b in zip(in_lanes, packed(many), strict=True))
    assert all(same(a, train(each, CPU)) for a, each in zip(alone, many, strict=True))


def test_only_what_the_curve_did_not_take_is_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    for module in (_pack, _lane_outcome):
        real = module.evaluate_lanes

        def counting(
            layer: Any, weights: Any, view: Any, *args: Any, real: Any = real, name: str = module.__name__
        ) -> Any:
            seen.append((name.rpartition(".")[2], len(view)))
            return real(layer, weights, view, *args)

        monkeypatch.setattr(module, "evaluate_lanes", counting)
    packed(programs())
    at_the_end = {size for name, size in seen if name == "_lane_outcome"}
    assert at_the_end == {19}  # the test set
    seen.clear()
    packed(programs(train_examples=20))
    assert {size for name, size in seen if name == "_lane_outcome"} == {19, 37}


def test_after_a_resume_a_best_step_of_before_is_evaluated() -> None:
    many, names = programs(), ["a", "b", "c", "d"]
    kept: list[Any] = []
    plain: dict[int, Outcome] = dict(run_pack(many, CPU))
    bests = {each.best_step or 0 for each in plain.values()}
    at = sorted(bests)[len(bests) // 2] + 2

    def keep(pack: Any) -> None:
        if pack.step == at:
            kept.append(checkpoint_of(pack, names))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dict(run_pack(many, CPU, after_update=keep))
    again = dict(run_pack(many, CPU, begun=(kept[0], names)))
    assert all(same(plain[place], again[place]) for place in plain)


def test_best_rows_follow_their_lanes() -> None:
    from ridgeline.lanes._lane_evaluate import LaneEvaluations

    def found(first: float) -> dict[str, LaneEvaluations]:
        return {"val": LaneEvaluations(torch.full((3, 2), first) + torch.arange(3.0)[:, None], None)}

    judged = Judged()
    judged.record(found(0.0), [0, 1])
    judged.record(found(10.0), [1])
    assert judged.of([2], best=True) == {}  # it was never better
    assert judged.of([0, 1], best=True)["val"].losses[:, 0].tolist() == [0.0, 11.0]
    assert judged.of([2], best=False)["val"].losses[:, 0].tolist() == [12.0]
    judged.choose(torch.tensor([1, 2]))
    assert judged.of([0], best=True)["val"].losses[:, 0].tolist() == [11.0]
    assert judged.of([1], best=True) == {}


def test_an_own_set_that_is_called_like_a_split_is_none() -> None:
    """Its name says nothing of what is in it."""
    data = classes()
    sets: dict[str, Any] = {"test": ("train", 0, 19)}
    many = [program(data, named("mlp", hidden=[4]), seed=k, sets=sets) for k in range(2)]
    fresh = packed([program(data, named("mlp", hidden=[4]), seed=k) for k in range(2)])
    for with_it, without in zip(packed(many), fresh, strict=True):
        assert torch.equal(with_it.last["test"].losses, without.last["test"].losses)
