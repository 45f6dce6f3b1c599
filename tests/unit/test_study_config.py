"""The configuration: unknown keys, wrong types and settings without effect are one sentence each."""

import math
from typing import Any

import pytest

from ridgeline import RidgelineError, Study
from ridgeline.study._programs import load_data, training_of
from tests.unit.study_specs import spec, study


def refusal(raw: dict[str, Any]) -> str:
    """The sentence that a specification is refused with."""
    with pytest.raises(RidgelineError) as caught:
        Study(**raw)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("section", "wrong", "value", "near"),
    [
        (None, "dta", {}, "'data'"),
        (None, "seed", 3, "'seeds'"),
        ("train", "batchsize", 8, "'batch_size'"),
        ("train", "optimiser", "sgd", "'optimizer'"),
        ("regularization", "strenght", 0.1, "'strength'"),
        ("data", "n_trian", 5, "'n_train'"),
        ("model", "hiden", [3], "'hidden'"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(
    section: str | None, wrong: str, value: object, near: str
) -> None:
    sentence = refusal(spec(section, **{wrong: value}))
    assert f"unknown key {wrong!r}" in sentence
    assert near in sentence
    assert section is None or sentence.startswith(section)


def test_unknown_keys_of_deeper_sections_are_named() -> None:
    assert "'every'" in refusal(spec(evaluate={"evry": 3}))
    assert "'warmup'" in refusal(spec("train", schedule={"name": "cosine", "warm_up": 3}))
    assert "'patience'" in refusal(spec("train", early_stopping={"patients": 3}))
    assert "'zero'" in refusal(spec(vary={"train.lr": {"log": [0.1, 1.0], "n": 2, "zeros": True}}))


@pytest.mark.parametrize("word", ["weight_decay", "lambda", "alpha", "wd"])
@pytest.mark.parametrize("section", [None, "data", "model", "train", "regularization"])
def test_words_of_other_libraries_are_answered_with_where_they_belong(section: str | None, word: str) -> None:
    if (section, word) == ("train", "weight_decay"):
        assert study(section, weight_decay=0.1).trials()[0].config.train.weight_decay == 0.1
        return
    sentence = refusal(spec(section, **{word: 0.1}))
    assert "regularization.strength" in sentence
    assert "train.weight_decay" in sentence


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("train", "lr", "fast"),
        ("train", "lr", "0.1"),
        ("train", "lr", True),
        ("train", "lr", 0.0),
        ("train", "lr", math.inf),
        ("train", "steps", True),
        ("train", "steps", 0),
        ("train", "batch_size", 1.5),
        ("train", "optimizer", "sdg"),
        ("train", "schedule", "cosinus"),
        ("train", "loss", "l2"),
        ("train", "betas", [0.9]),
        ("train", "clip_norm", 0.0),
        ("train", "label_smoothing", 1.0),
        ("regularization", "strength", -1e-3),
        ("regularization", "strength", math.nan),
        ("regularization", "strength", math.inf),
        ("regularization", "strength", "1e-3"),
        ("regularization", "penalty", "l3"),
        ("regularization", "mode", "decupled"),
        ("data", "n_train", 0),
        ("data", "label_noise", 1.5),
        ("model", "hidden", []),
        ("model", "hidden", [0]),
        ("model", "dropout", 2.0),
        (None, "seeds", 0),
        (None, "seeds", True),
        (None, "name", "a/b"),
        (None, "data", 3),
        (None, "vary", {}),
        (None, "arms", {}),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(section: str | None, key: str, value: object) -> None:
    dotted = key if section is None else f"{section}.{key}"
    assert refusal(spec(section, **{key: value})).startswith(dotted)


def test_epochs_and_steps_exclude_each_other_and_one_is_needed() -> None:
    assert "either epochs or steps" in refusal(spec("train", epochs=3))
    assert "either epochs or steps" in refusal(spec("train", steps=None))
    assert "train.epochs" in refusal(spec("train", steps=None, epochs=1.5))
    assert study("train", steps=None, epochs=2).trials()


@pytest.mark.parametrize(
    "without_effect",
    [
        {"optimizer": "adam", "momentum": 0.9},
        {"optimizer": "sgd", "betas": [0.9, 0.99]},
        {"optimizer": "sgd", "nesterov": True},
        {"optimizer": "rmsprop", "nesterov": True, "momentum": 0.9},
        {"optimizer": "rmsprop", "betas": [0.9, 0.99]},
        {"optimizer": "adam", "alpha": 0.9},
        {"optimizer": "sgd", "eps": 1e-6},
        {"schedule": {"name": "cosine", "every": 10}},
        {"schedule": "step"},
    ],
)
def test_a_setting_without_effect_is_refused(without_effect: dict[str, Any]) -> None:
    assert refusal(spec("train", **without_effect)).startswith("train")


def test_rmsprop_and_its_settings_reach_the_engines() -> None:
    def settings(**train: Any) -> tuple[object, ...]:
        (trial, *_) = study("train", optimizer="rmsprop", **train).trials()
        data = load_data(trial.sections["data"], 0, None)
        t = training_of(trial.config, data)
        return t.optimizer, t.alpha, t.eps, t.momentum

    assert settings() == ("rmsprop", 0.99, 1e-8, 0.0)
    assert settings(alpha=0.9, eps=1e-5, momentum=0.5) == ("rmsprop", 0.9, 1e-5, 0.5)


def test_a_schedule_is_a_name_or_a_mapping() -> None:
    by_name, by_mapping = study("train", schedule="cosine"), study("train", schedule={"name": "cosine"})
    assert by_name.trials()[0].config.train == by_mapping.trials()[0].config.train
    warm = study("train", schedule={"name": "linear", "warmup": 5}).trials()[0].config.train.schedule
    assert (warm.name, warm.warmup) == ("linear", 5)


@pytest.mark.parametrize("text", ["trian", "train[5]", "train[:5", "train[-5:]", "train[0:5:2]"])
def test_a_set_is_a_slice_of_train_val_or_test(text: str) -> None:
    assert repr(text) in refusal(spec(evaluate={"sets": {"head": text}}))
    assert "val" in refusal(spec(evaluate={"sets": {"val": "train[:5]"}}))
    good = study(evaluate={"sets": {"head": "train[:5]", "rest": "val[7:]", "all": "test"}})
    assert good.trials()[0].config.evaluate.slices() == {
        "head": ("train", None, 5),
        "rest": ("val", 7, None),
        "all": ("test", None, None),
    }


@pytest.mark.parametrize("monitor", ["val_los", "vall_loss", "head_loss", "loss"])
def test_early_stopping_watches_only_what_is_evaluated(monitor: str) -> None:
    assert "val_loss" in refusal(spec("train", early_stopping={"monitor": monitor}))


def test_early_stopping_may_watch_a_named_set() -> None:
    raw = spec("train", early_stopping={"monitor": "head_loss"}) | {"evaluate": {"sets": {"head": "val[:9]"}}}
    assert Study(**raw).trials()[0].config.train.early_stopping is not None


def test_exactly_one_kind_of_data_and_of_model() -> None:
    assert "exactly one of name, factory, file" in refusal(spec(data={"n_train": 3}))
    assert "exactly one of name, factory" in refusal(spec("model", factory="a:b"))
    assert "model.factory is 3" in refusal(spec(model={"factory": 3}))
    assert "did you mean 'mnist'" in refusal(spec(data={"name": "minst"}))
