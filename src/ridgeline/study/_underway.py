"""Packs that were under way when a run ended: they go on from their last good checkpoints, and are not split anew."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ridgeline.errors import RidgelineError
from ridgeline.lanes import Checkpoint, ForeignCheckpointError
from ridgeline.store import DamagedError
from ridgeline.study._checkpoints import (
    check_maker,
    checkpoints_dir,
    generations,
    made_by,
    not_used,
    read_checkpoint,
)
from ridgeline.study._packs import Unit, units_of
from ridgeline.study._plan import Plan, RuleName
from ridgeline.study._trials import Trial


def units_to_do(
    run: Path, todo: Sequence[Trial], known: Mapping[str, Trial], plan: Plan, say: Callable[[str], None]
) -> tuple[list[Unit], int]:
    """The trials in portions, each in exactly one; and how many of their updates are made.

    A trial goes on from the newest checkpoint that holds it, among the same neighbours as before, of which some
    may have been stored since: under vmap, a product may round by its place among others.

    Args:
        known: all trials of the study by their ids.
        say: told of checkpoints that are refused.
    """
    waiting = {trial.trial_id: trial for trial in todo}
    found = [_newest(run, names, waiting, known, plan, say) for names in generations(run).values()]
    units, made = [], 0
    taken: set[str] = set()
    for file, step, lanes in sorted((each for each in found if each), key=lambda each: -each[1]):
        own = tuple(known[name] for name in lanes if name not in taken)
        done = frozenset(trial.trial_id for trial in own if trial.trial_id not in waiting)
        if len(done) < len(own):
            units.append(Unit(own, "lanes", _rule(own[0], plan), file, done))
            made += step * (len(own) - len(done))
            taken.update(lanes)
            for trial in own:
                waiting.pop(trial.trial_id, None)
    return units + _untouched(waiting, known, plan), made


def _untouched(waiting: Mapping[str, Trial], known: Mapping[str, Trial], plan: Plan) -> list[Unit]:
    """Packs that were not begun, as the plan cut them; what is over of others, cut anew."""
    whole = [unit for unit in units_of(list(known.values()), plan) if _none_done(unit, waiting)]
    inside = {trial.trial_id for unit in whole for trial in unit.trials}
    return whole + units_of([t for name, t in waiting.items() if name not in inside], plan)


def _none_done(unit: Unit, waiting: Mapping[str, Trial]) -> bool:
    return all(trial.trial_id in waiting for trial in unit.trials)


def _newest(
    run: Path,
    names: Sequence[str],
    todo: Mapping[str, Trial],
    known: Mapping[str, Trial],
    plan: Plan,
    say: Callable[[str], None],
) -> tuple[str, int, list[str]] | None:
    """The newest good checkpoint of a pack: file name, updates, trial ids; None where none is of use."""
    refused: list[tuple[Path, RidgelineError]] = []
    good: Checkpoint | None = None
    for name in names:
        path = checkpoints_dir(run) / name
        try:
            good = _read(path, todo, known, plan)
            break
        except (DamagedError, ForeignCheckpointError) as error:
            refused.append((path, error))
    instead = "their start" if good is None or not good.step else f"{name}, of update {good.step:,}"
    for path, why in refused:
        say(not_used(path, why, instead))
    return None if good is None else (name, good.step, good.lanes)


def _read(path: Path, todo: Mapping[str, Trial], known: Mapping[str, Trial], plan: Plan) -> Checkpoint:
    checkpoint = read_checkpoint(path)
    strangers = [lane for lane in checkpoint.lanes if lane not in known]
    if strangers:
        raise ForeignCheckpointError(f"it holds trial {strangers[0]}, which is none of this study's")
    own = [todo[lane] for lane in checkpoint.lanes if lane in todo]
    if own:  # else it is of no use any more, whoever made it
        check_maker(checkpoint, made_by(_rule(own[0], plan), plan.products, plan.device))
    return checkpoint


def _rule(trial: Trial, plan: Plan) -> RuleName:
    """The plan's rule for the pack of a trial; "" where it trains alone."""
    return next((p.rule for p in plan.programs if trial.arm in p.arms and p.engine == "lanes"), "")
