"""The specification: YAML 1.2 in, an equal study out."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ridgeline import RidgelineError, Study, load_study
from ridgeline.study import parse_yaml
from ridgeline.study._spec import dump_yaml
from tests.unit.study_specs import spec, study

NUMBERS = st.floats(1e-12, 1e12)
OPTIMIZERS = st.one_of(
    st.fixed_dictionaries({"optimizer": st.just("sgd")}, optional={"momentum": st.floats(0, 0.99)}),
    st.fixed_dictionaries(
        {"optimizer": st.sampled_from(["adam", "adamw"])}, optional={"betas": st.just([0.8, 0.9])}
    ),
)
SCHEDULES = st.one_of(
    st.sampled_from(["constant", "cosine", "linear"]),
    st.builds(lambda n, w: {"name": "step", "every": n, "warmup": w}, st.integers(1, 99), st.integers(0, 9)),
)
TRAIN = st.builds(
    lambda optimizer, rest, length: {**optimizer, **rest, **length},
    OPTIMIZERS,
    st.fixed_dictionaries({"lr": NUMBERS}, optional={"schedule": SCHEDULES, "weight_decay": NUMBERS}),
    st.one_of(
        st.fixed_dictionaries({"epochs": st.integers(1, 9)}),
        st.fixed_dictionaries({"steps": st.integers(1, 9)}),
    ),
)
AXES = st.one_of(
    st.lists(NUMBERS, min_size=1, max_size=3, unique_by=lambda value: f"{value:.6g}"),
    st.builds(lambda n, zero: {"log": [1e-5, 1e-1], "n": n, "zero": zero}, st.integers(1, 9), st.booleans()),
)
# Any text may name an arm or a rule, also `no`, `1e-3`, `~`, `- a: b`, an emoji, a line break.
WORDS = st.one_of(
    st.sampled_from(["no", "1e-3", "~", "- a: b", " x", "#", "\x85", "a\u2028b", "\r\n"]), st.text(min_size=1)
)
STUDIES = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True),
        "data": st.fixed_dictionaries({"name": st.just("digits"), "n_train": st.integers(1, 900)}),
        "model": st.fixed_dictionaries({"factory": WORDS}, optional={"text": WORDS, "depth": st.none()}),
        "train": TRAIN,
        "regularization": st.builds(
            lambda name, strength: [{"penalty": "l1", "strength": strength, "name": name}], WORDS, NUMBERS
        ),
        "seeds": st.integers(1, 3),
    },
    optional={
        "vary": st.fixed_dictionaries({"train.weight_decay": AXES}),
        "arms": st.dictionaries(WORDS, st.just({"model.width": 3}) | st.none(), min_size=1, max_size=3),
    },
)


@settings(deadline=None)
@given(STUDIES)
def test_a_study_written_and_read_again_is_the_same(raw: dict[str, Any]) -> None:
    once = Study(**raw)
    again = Study(**parse_yaml(once.to_yaml(), "text"))
    assert again.spec == once.spec
    assert again.trials() == once.trials()


def test_numbers_and_words_are_those_of_yaml_1_2() -> None:
    found = parse_yaml("{a: 1e-3, b: no, c: 1E5, d: on, e: 0x10, f: 010, g: true}", "text")
    assert found == {"a": 1e-3, "b": "no", "c": 1e5, "d": "on", "e": 16, "f": 10, "g": True}
    assert isinstance(found["a"], float)


def test_an_arm_may_be_called_no(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(study().to_yaml() + "arms:\n  no: {}\n  yes: {train.lr: 2e-3}\n")
    trials = load_study(path).trials()
    assert [trial.arm for trial in trials] == ["no", "yes"]
    assert trials[1].config.train.lr == 0.002


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: a\nname: b\n", "duplicate key"),
        ("name: a\n\tdata: b\n", "no valid YAML"),
        ("[1, 2", "no valid YAML"),
        ("%\x00\x01", "no valid YAML"),
        ("- a\n- b\n", "holds no study"),
        ("", "holds no study"),
        ("just text", "holds no study"),
        ("1: 2\n", "is not text"),
        ("!!python/object:os.system {}", "no valid YAML"),
    ],
)
def test_a_file_that_is_no_study_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(RidgelineError, match=says) as caught:
        load_study(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("bytes.yaml", "absent.yaml"):
        with pytest.raises(RidgelineError, match=name):
            load_study(tmp_path / name)


def test_a_table_is_sought_beside_its_study(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(Study(**spec(data={"file": "rows.csv", "target": "y"})).to_yaml())
    assert load_study(path).spec.data["file"] == str(tmp_path / "rows.csv")


@pytest.mark.parametrize("label", ["many words " * 10 + "end", "x" * 200])
def test_a_long_label_reads_back_as_it_was_written(label: str) -> None:
    value = {"arms": {label: {"train.lr": 0.1}}}
    assert parse_yaml(dump_yaml(value), "here") == value
