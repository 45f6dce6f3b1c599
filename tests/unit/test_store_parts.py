"""Parts: whole or not at all, with provenance inside."""

import errno
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors import safe_open

from ridgeline.store import _parts as parts_module
from ridgeline.store import done_trials, finished_parts, provenance, write_part
from tests.unit.stored_parts import FACTS, part


def test_a_part_holds_every_table_and_the_weights_with_provenance_inside(tmp_path: Path) -> None:
    part(tmp_path, "a")
    home = tmp_path / "parts" / "a"
    assert sorted(path.name for path in home.iterdir()) == [
        "audit.parquet",
        "curves.parquet",
        "predictions.parquet",
        "trials.parquet",
        "weights.safetensors",
    ]
    for path in home.glob("*.parquet"):
        assert FACTS.items() <= pl.read_parquet_metadata(path).items()
    with safe_open(home / "weights.safetensors", "pt") as stored:
        assert stored.metadata() == FACTS
        assert stored.get_tensor("w").tolist() == [0.5, 0.5]


@pytest.mark.parametrize("victim", ["save", "parquet_bytes"])
def test_a_write_that_fails_half_way_leaves_nothing_and_spares_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    part(tmp_path, "a")

    def full(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(parts_module, victim, full)
        with pytest.raises(OSError, match="No space left"):
            part(tmp_path, "b")
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["a"]
    part(tmp_path, "b")
    assert finished_parts(tmp_path) == ["a", "b"]


def test_what_a_kill_leaves_is_no_part(tmp_path: Path) -> None:
    part(tmp_path, "a")
    (tmp_path / "parts" / "a").rename(tmp_path / "parts" / ".a.123")
    assert finished_parts(tmp_path) == []
    assert done_trials(tmp_path) == set()


def test_the_first_of_two_equal_parts_stays(tmp_path: Path) -> None:
    part(tmp_path, "a", loss=0.5)
    part(tmp_path, "a", loss=0.7)
    assert pl.read_parquet(tmp_path / "parts" / "a" / "trials.parquet")["final_val_loss"].to_list() == [0.5]
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["a"]


def test_weights_of_any_layout_are_kept(tmp_path: Path) -> None:
    frame = pl.DataFrame({"trial_id": ["a"]})
    turned = torch.arange(6.0).reshape(2, 3).T
    write_part(tmp_path, "a", dict.fromkeys(parts_module.TABLES, frame), {"w": turned}, FACTS)
    with safe_open(tmp_path / "parts" / "a" / "weights.safetensors", "pt") as stored:
        assert torch.equal(stored.get_tensor("w"), turned)


def test_provenance_names_versions_hardware_and_numeric_settings() -> None:
    facts = provenance(torch.device("cpu"), 3, True)
    assert facts["torch"] == torch.__version__
    assert (facts["device"], facts["threads"], facts["flush_denormal"]) == ("cpu", "3", "True")
    assert all(isinstance(text, str) and text for text in facts.values())
