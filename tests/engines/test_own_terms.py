"""A person's own term in a study, evaluation at given updates, and sets in the order of the epoch."""

from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor, nn

from ridgeline import RidgelineError, Study
from ridgeline.report import Results

BASE = {
    "name": "own",
    "data": {"name": "digits", "n_train": 100},
    "model": {"name": "mlp", "hidden": [8]},
    "train": {"lr": 1e-2, "steps": 12, "batch_size": 25},
    "evaluate": {"at": [1, 7]},
}
HERE = "tests.engines.test_own_terms"


def half_squares(model: nn.Module, strength: float) -> object:
    """L2 over the weights as people write it."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    return lambda: 0.5 * strength * torch.stack([w.square().sum() for w in weights]).sum()


def on_a_draw(model: nn.Module, strength: float) -> object:
    """On fresh numbers in place of the weights: no gradient reaches the model."""
    shapes = [p.shape for p in model.parameters() if p.ndim > 1]
    return lambda: strength * sum(torch.randn(s, requires_grad=True).square().sum() for s in shapes)


def no_number(model: nn.Module, strength: float) -> object:
    return lambda: 0.5


def broken(model: nn.Module, strength: float) -> Tensor:
    raise KeyError("weights")


def ran(out: Path, **changes: object) -> Results:
    return Study(**{**BASE, **changes}).run(out)


def own(name: str, strength: float = 0.01) -> dict[str, object]:
    return {"factory": f"{HERE}:{name}", "strength": strength}


def test_an_own_term_is_the_penalty_it_writes(tmp_path: Path) -> None:
    ours = ran(tmp_path / "a", regularization={"penalty": "l2", "strength": 0.01})
    theirs = ran(tmp_path / "b", regularization=own("half_squares"))
    for column in ("val_loss", "train_loss", "penalty", "weight_norm"):
        a, b = ours.curves[column].to_list(), theirs.curves[column].to_list()
        assert a == pytest.approx(b, rel=1e-4)
    audit = pl.read_parquet(theirs.path / "audit.parquet")
    assert audit.select("name", "penalised", "flags").rows() == [(f"{HERE}:half_squares", True, [])]


def test_a_dead_term_changes_no_bit_and_is_named(tmp_path: Path) -> None:
    without = ran(tmp_path / "a")
    dead = ran(tmp_path / "b", regularization=own("on_a_draw"))
    for column in ("batch_loss", "val_loss", "train_loss", "weight_norm"):
        assert without.curves[column].to_list() == dead.curves[column].to_list()
    assert min(dead.curves["penalty"].to_list()) > 0
    (row,) = pl.read_parquet(dead.path / "audit.parquet").to_dicts()
    assert not row["penalised"]
    assert row["flags"][0].startswith("assert_acting: the penalty depends on none of the model's")


def test_curves_have_points_where_asked(tmp_path: Path) -> None:
    assert ran(tmp_path / "a").curves["step"].to_list() == [0, 1, 7, 12]


def test_the_epochs_head_is_what_is_trained_on_first(tmp_path: Path) -> None:
    """With one batch an epoch of all examples, the head of the order is what the batch is."""
    results = ran(
        tmp_path / "a",
        train={"lr": 1e-2, "steps": 5, "batch_size": 100},
        evaluate={"every": 1, "sets": {"head": "epoch", "few": "epoch[:10]", "whole": "train"}},
    )
    rows = results.curves
    assert rows["head_loss"].to_list() == pytest.approx(rows["whole_loss"].to_list(), rel=1e-6)
    assert rows["few_loss"].to_list() != rows["whole_loss"].to_list()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"regularization": own("no_number")}, "gave a float; it takes"),
        ({"regularization": own("broken")}, "failed .KeyError"),
        ({"regularization": own("nothing")}, "has no function 'nothing'"),
        ({"regularization": {**own("broken"), "penalty": "l2"}}, "either penalty or factory"),
        ({"regularization": {"strength": 0.1}}, "either penalty or factory"),
        ({"regularization": {**own("half_squares"), "mode": "coupled"}}, "no effect with factory"),
        ({"evaluate": {"at": [1], "every": 2}}, "either every or at"),
        ({"evaluate": {"sets": {"late": "epoch[500:]"}}}, "late is an empty slice: its set has 100"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, changes: dict[str, object], match: str) -> None:
    with pytest.raises(RidgelineError, match=match):
        ran(tmp_path / "a", **changes)
    assert not (tmp_path / "a" / "study.yaml").exists()
