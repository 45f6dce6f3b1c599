"""Baselines by tuners, which run the tuned loop trial by trial: Ray Tune, and Optuna on threads and on processes.

    pip install 'ray[tune]' optuna

They train as many of a row's lanes as they are asked for.
"""

import importlib
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.engines.torch_loops import tuned
from benchmarks.engines.workloads import Asked, Ended, Work


def ray_up(cores: int) -> None:
    """Start Ray's processes, which find this package by the path of this one."""
    ray: Any = importlib.import_module("ray")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level="ERROR")


def ray_down() -> None:
    """End them: idle, they would take time from the other arms."""
    importlib.import_module("ray").shutdown()


def ray_tune(work: Work, trials: int) -> list[Ended]:
    """A grid over the lanes, one core a trial, results in a folder that is removed."""
    tune: Any = importlib.import_module("ray.tune")
    asked = work.asked()[:trials]
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(partial(_ray_trial, work=work), {"cpu": 1}),
            param_space={"lane": tune.grid_search(list(range(len(asked))))},
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        found = [result.metrics for result in tuner.fit()]
    return [Ended(asked[each["config"]["lane"]], *each["losses"]) for each in found]


def _ray_trial(config: dict[str, int], work: Work) -> dict[str, Any]:
    _settle()
    _, *losses = tuned(work, work.asked()[config["lane"]])
    return {"losses": losses}


def optuna_threads(work: Work, trials: int, cores: int) -> list[Ended]:
    """`optimize` with n_jobs, in memory."""
    study = _study(work, trials, None)
    study.optimize(partial(_optuna_trial, work=work), n_jobs=cores)
    return _ended(study, work)


def optuna_worker(work: Work, trials: int, file: str) -> None:
    """One of several processes that share a study in a journal file."""
    _study(work, trials, file).optimize(partial(_optuna_trial, work=work))


def optuna_found(work: Work, trials: int, file: str) -> list[Ended]:
    """What the processes have found; at the end two of them may have trained one lane twice."""
    return _ended(_study(work, trials, file), work)


def _study(work: Work, trials: int, file: str | None) -> Any:
    optuna: Any = importlib.import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = None
    if file is not None:
        journal = importlib.import_module("optuna.storages.journal")
        storage = optuna.storages.JournalStorage(journal.JournalFileBackend(file))
    sampler = optuna.samplers.GridSampler({"lane": list(range(len(work.asked()[:trials])))}, seed=0)
    return optuna.create_study(study_name=work.name, storage=storage, sampler=sampler, load_if_exists=True)


def _optuna_trial(trial: Any, work: Work) -> float:
    _settle()
    asked = work.asked()
    ended = tuned(work, asked[trial.suggest_int("lane", 0, len(asked) - 1)])
    trial.set_user_attr("losses", ended[1:])
    return ended.val_loss


def _ended(study: Any, work: Work) -> list[Ended]:
    asked: Sequence[Asked] = work.asked()
    return [Ended(asked[t.params["lane"]], *t.user_attrs["losses"]) for t in study.trials if t.user_attrs]


def _settle() -> None:
    """One thread a trial, as there is one trial a core; the setting of denormals is each thread's own."""
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
