"""From a trial's configuration to the program that the engines train."""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from ridgeline import penalties
from ridgeline.data import SOURCES, Data, Source, Splits, draw, table
from ridgeline.errors import RidgelineError
from ridgeline.lanes import EarlyStopping, OwnTerm, Program, Schedule, Training
from ridgeline.models import build_factory, build_named, call_factory, import_factory
from ridgeline.noise import Clock
from ridgeline.regularizer import Metric
from ridgeline.select import Rule, default_selection
from ridgeline.study._config import PenaltyName, RegularizationConfig, default_every
from ridgeline.study._options import data_options
from ridgeline.study._trials import Config

PENALTIES: dict[PenaltyName, Callable[..., penalties.Penalty]] = {
    "l1": penalties.L1,
    "l2": penalties.L2,
    "elastic_net": penalties.ElasticNet,
    "group_lasso": penalties.GroupLasso,
    "norm": penalties.Norm,
    "nuclear": penalties.Nuclear,
    "orthogonal": penalties.Orthogonal,
    "l2sp": penalties.L2SP,
    "max_norm": penalties.MaxNorm,
}


def load_data(section: Mapping[str, Any], seed: int, data_dir: Path | None) -> Data:
    """The sets that a `data` section gives to one seed.

    Raises:
        RidgelineError: where the data cannot be had.
    """
    options, common = data_options(section)
    source, standardize = _source(section, options, data_dir)
    return draw(source, seed, standardize=standardize, **common.model_dump())


def _source(raw: Mapping[str, Any], options: dict[str, Any], data_dir: Path | None) -> tuple[Source, bool]:
    if "name" in raw:
        return SOURCES[raw["name"]](data_dir, **options), False
    if "file" in raw:
        return _table(Path(raw["file"]), tuple(sorted(options.items()))), True
    factory = import_factory(raw["factory"], "data.factory")

    def source(seed: int) -> Splits:
        splits = call_factory(factory, options, seed, f"data.factory: {raw['factory']}")
        if not isinstance(splits, Splits):
            raise RidgelineError(
                f"data.factory: {raw['factory']} returned a {type(splits).__name__}; return ridgeline.Splits."
            )
        return splits

    return source, False


@lru_cache(maxsize=2)
def _table(file: Path, options: tuple[tuple[str, Any], ...]) -> Source:
    return table(file, **dict(options))


def program_of(config: Config, seed: int, data: Data) -> Program:
    """The program of one trial.

    Raises:
        RidgelineError: where settings do not fit the task.
    """
    return Program(
        build=lambda clock, data: build_model(config, clock, data),
        data=data,
        training=training_of(config, data),
        rules=rules_of(config),
        metric=metric_of(config),
        own_terms=own_terms_of(config),
        seed=seed,
        model_key=json.dumps([config.model, config.model_options], sort_keys=True, default=str),
        foreign="factory" in config.model or "factory" in config.data,
    )


def build_model(config: Config, clock: Clock, data: Data) -> nn.Module:
    """The model of one trial, weights drawn by the clock's seed."""
    raw, options = config.model, config.model_options
    if "name" in raw:
        return build_named(raw["name"], options, data.input_shape, data.n_outputs, clock)
    return build_factory(import_factory(raw["factory"], "model.factory"), options, clock)


def training_of(config: Config, data: Data) -> Training:
    """The settings of the engines, with epochs turned into updates."""
    train = config.train
    loss = train.loss or ("cross_entropy" if data.task == "classification" else "mse")
    if (loss == "cross_entropy") != (data.task == "classification"):
        fits = "cross_entropy" if data.task == "classification" else "mse or half_mse"
        raise RidgelineError(f"train.loss is {loss}, the task is {data.task}; use {fits}.")
    if train.label_smoothing and loss != "cross_entropy":
        raise RidgelineError(f"train.label_smoothing has no effect with {loss}; leave it out.")
    if data.test is None and any(origin == "test" for origin, *_ in config.evaluate.slices().values()):
        raise RidgelineError("evaluate.sets names the test set; these data have none.")
    monitor = train.early_stopping.monitor if train.early_stopping else ""
    if monitor.endswith("accuracy") and data.task == "regression":
        raise RidgelineError(f"train.early_stopping.monitor is {monitor}; a regression has no accuracy.")
    per_epoch = -(-len(data.train) // train.batch_size)
    steps = train.steps or (train.epochs or 0) * per_epoch
    n_evaluated = min(config.evaluate.train_examples, len(data.train)) + len(data.val)
    schedule = train.schedule
    stopping = train.early_stopping
    return Training(
        optimizer=train.optimizer,
        lr=train.lr,
        batch_size=train.batch_size,
        steps=steps,
        loss=loss,
        evaluate_every=config.evaluate.every or default_every(steps, train.batch_size, n_evaluated),
        evaluate_at=None if config.evaluate.at is None else frozenset(config.evaluate.at),
        momentum=train.momentum or 0.0,
        nesterov=train.nesterov,
        betas=(train.betas[0], train.betas[1]) if train.betas else (0.9, 0.999),
        alpha=0.99 if train.alpha is None else train.alpha,
        eps=train.eps or 1e-8,
        weight_decay=train.weight_decay,
        label_smoothing=train.label_smoothing,
        clip_norm=train.clip_norm,
        schedule=Schedule(schedule.name, schedule.warmup, schedule.every or 0, schedule.gamma),
        early_stopping=None if stopping is None else EarlyStopping(**stopping.model_dump()),
        train_examples=config.evaluate.train_examples,
        sets=config.evaluate.slices(),
        precision=train.precision,
    )


def metric_of(config: Config) -> Metric:
    """The metric of mode "proximal"; one for the whole trial."""
    found = {entry.metric for entry in config.regularization if entry.mode == "proximal"}
    if len(found) > 1:
        raise RidgelineError("regularization: entries name different metrics; give all the same.")
    return found.pop() if found else "optimizer"


def rules_of(config: Config) -> list[Rule]:
    """The rules of a trial; none when no penalty acts."""
    entries = [entry for entry in config.regularization if entry.penalty is not None]
    return [_rule(entry) for entry in entries] if any(entry.strength for entry in entries) else []


def own_terms_of(config: Config) -> list[OwnTerm]:
    """The terms of a person's own that act, by the import path of their factory."""
    return [
        OwnTerm(entry.factory, import_factory(entry.factory, "regularization.factory"), entry.strength)
        for entry in config.regularization
        if entry.factory is not None and entry.strength
    ]


def _rule(entry: RegularizationConfig) -> Rule:
    assert entry.penalty is not None
    penalty = PENALTIES[entry.penalty](entry.strength, **entry.options()) if entry.strength else None
    return Rule(entry.match or default_selection, penalty, entry.mode)
