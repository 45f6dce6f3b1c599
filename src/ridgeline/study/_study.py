"""Study: the public face of a specification."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from ridgeline.errors import RidgelineError, nearest
from ridgeline.report import Results
from ridgeline.study._check import check_trials
from ridgeline.study._executors import Progress
from ridgeline.study._grid import override
from ridgeline.study._plan import Plan
from ridgeline.study._run import run_study
from ridgeline.study._spec import check_spec, dump_yaml, read_spec
from ridgeline.study._trials import SECTIONS, Trial, trials_of


class Study:
    """A set of trials: arms × vary × seeds.

    Args:
        specification: name, data, model, train, and optionally regularization, evaluate, vary, arms,
            seeds, as in a study's YAML file.

    Raises:
        RidgelineError: a ValueError that names the first key that is wrong.

    Example:
        >>> import ridgeline
        >>> study = ridgeline.Study(
        ...     name="tiny",
        ...     data={"name": "digits", "n_train": 100},
        ...     model={"name": "mlp", "hidden": [16]},
        ...     train={"lr": 1e-2, "epochs": 2},
        ...     regularization={"penalty": "l2", "strength": 0.0},
        ...     vary={"regularization.strength": [0.0, 0.01]},
        ...     seeds=3,
        ... )
        >>> len(study.trials())
        6
    """

    def __init__(self, **specification: Any) -> None:
        self.spec = check_spec(specification)
        self._trials = trials_of(self.spec)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.spec.name

    def trials(self) -> list[Trial]:
        """Every trial, arm by arm."""
        return list(self._trials)

    def to_yaml(self) -> str:
        """The specification as YAML; `load_study` gives an equal study back."""
        return dump_yaml(self.spec.as_dict())

    def with_changes(self, changes: Mapping[str, Any]) -> Self:
        """This study with dotted keys set ("train.lr", "seeds").

        Raises:
            RidgelineError: for a key that is varied, or leads nowhere.
        """
        for key in changes:
            if key in (self.spec.vary or {}):
                raise RidgelineError(
                    f"--set {key} has no effect: the study varies it; set vary.{key} instead."
                )
        raw = self.spec.model_dump()
        flat = {k: v for k, v in changes.items() if "." not in k}
        vary = {k.removeprefix("vary."): v for k, v in changes.items() if k.startswith("vary.")}
        in_arms = {k: v for k, v in changes.items() if k.startswith("arms.")}
        rest = {k: v for k, v in changes.items() if k not in {*flat, *in_arms} and not k.startswith("vary.")}
        raw = {**raw, **override({name: raw[name] for name in SECTIONS}, rest), **flat}
        raw["arms"] = self._changed_arms(raw["arms"], in_arms)
        if vary:
            raw["vary"] = {**(raw["vary"] or {}), **vary}
        return type(self)(**{k: v for k, v in raw.items() if v is not None})

    def _changed_arms(self, arms: Any, changes: Mapping[str, Any]) -> Any:
        """Arms with "arms.NAME.train.lr" set; their overrides are dotted keys, not sections."""
        changed = {name: dict(overrides or {}) for name, overrides in (arms or {}).items()}
        for key, value in changes.items():
            name, dot, dotted = key.removeprefix("arms.").partition(".")
            if name not in changed or not dot:
                raise RidgelineError(f"--set {key}: no arm is called {name!r}; {nearest(name, changed)}")
            changed[name][dotted] = value
        return changed or arms

    def plan(self, *, engine: str = "auto", device: str = "auto", data_dir: Path | None = None) -> Plan:
        """Check every arm and say how the study would run here; nothing is written.

        Where the work is worth it, a few real steps of each program are measured.
        """
        return check_trials(self._trials, data_dir, device, engine).plan()

    def estimate(self, *, engine: str = "auto", device: str = "auto", data_dir: Path | None = None) -> float:
        """Seconds that all trials would take here, by the plan."""
        seconds = self.plan(engine=engine, device=device, data_dir=data_dir).seconds
        assert seconds is not None  # only plans of older versions, read from a folder, lack it
        return seconds

    def run(
        self,
        out: str | Path,
        *,
        engine: str = "auto",
        device: str = "auto",
        data_dir: str | Path | None = None,
        progress: Progress | None = None,
        on_plan: Callable[[Plan], None] = lambda plan: None,
    ) -> Results:
        """Train what is not done yet into the folder `out`, and open its results.

        Args:
            out: the run folder; a second run with the same folder trains nothing.
            engine: "auto", "lanes" (in packs where trials can share a program) or "solo".
            device: "auto", "cpu", "cuda" or "cuda:N".
            data_dir: where image sets lie; RIDGELINE_DATA and the user's cache otherwise.
            progress: told about trials and steps; None for silence.
            on_plan: called with the plan before the first step, unless all is done already.

        Raises:
            RidgelineError: for bad input, with nothing written.
        """
        run_study(
            self.spec,
            self._trials,
            Path(out),
            engine=engine,
            device=device,
            data_dir=None if data_dir is None else Path(data_dir),
            progress=progress,
            on_plan=on_plan,
        )
        return Results.open(out)


def load_study(path: str | Path) -> Study:
    """The study in a YAML file; `data.file` is read relative to that file.

    Raises:
        RidgelineError: when the file cannot be read or a key is wrong.
    """
    return Study(**_text_keys(read_spec(Path(path)), path))


def _text_keys(raw: dict[Any, Any], path: str | Path) -> dict[str, Any]:
    for key in raw:
        if not isinstance(key, str):
            raise RidgelineError(f"{path}: the key {key!r} is not text; check the file.")
    return raw
