"""Which column is which curve: by name, in a stated order, unless a person says so."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ridgeline.diagnosis._history import ROLES, Role
from ridgeline.diagnosis.readers._names import Name, recognise
from ridgeline.diagnosis.readers._table import listed
from ridgeline.diagnosis.readers._words import LOSS_ORDER
from ridgeline.errors import RidgelineError, nearest

# Held-out data, the first that the log has.
HELD_OUT = ("val", "dev", "eval", "test")


@dataclass(frozen=True)
class Choice:
    """A column for a role.

    Attributes:
        is_error: the column counts errors, an accuracy is 1 − it.
        is_perplexity: the loss is its logarithm.
    """

    column: str
    is_error: bool = False
    is_perplexity: bool = False


def choose(
    columns: Sequence[str], has_numbers: Callable[[str], bool], given: Mapping[Role, str]
) -> tuple[dict[Role, Choice], list[str]]:
    """The column of each role that has one, and notes on what was chosen among several.

    Raises:
        RidgelineError: for a role or a column that does not exist.
    """
    found: dict[Role, Choice] = {role: _as_given(role, name, columns) for role, name in given.items()}
    taken = {choice.column for choice in found.values()}
    names = {
        c: name for c in columns if c not in taken and (name := recognise(c)) is not None and has_numbers(c)
    }
    notes = []
    for role in ROLES:
        if role in found:
            continue
        ranked = sorted(_candidates(role, names), key=lambda c: _rank(role, names[c]))
        if not ranked:
            continue
        column = ranked[0]
        if role == "val_loss":
            column = _comparable(ranked, found.get("train_loss"), names)
        name = names[column]
        found[role] = Choice(column, name.kind == "error", name.stem == "perplexity")
        notes += _notes(role, column, name, [c for c in ranked if c != column])
    return found, notes + _two_kinds(found)


def _as_given(role: Role, name: str, columns: Sequence[str]) -> Choice:
    if role not in ROLES:
        raise RidgelineError(f"columns: {role!r} is no curve; {nearest(str(role), ROLES)}.")
    if name not in columns:
        close = [c for c in columns if c.strip().lower() == str(name).strip().lower()]
        if len(close) != 1:
            raise RidgelineError(
                f"columns: there is no column {name!r} for {role}; found {listed(columns)}; give one of these."
            )
        name = close[0]
    said = recognise(name)
    return Choice(
        name,
        is_error=said is not None and said.kind == "error" and role.endswith("accuracy"),
        is_perplexity=said is not None and said.stem == "perplexity" and role.endswith("loss"),
    )


def _candidates(role: Role, names: Mapping[str, Name]) -> list[str]:
    if role in ("penalty", "lr"):
        return [c for c, name in names.items() if name.kind == role]
    kinds = {"loss"} if role.endswith("loss") else {"accuracy", "error"}
    held_out = role.startswith("val")
    splits = set(HELD_OUT) if held_out else {"train"}
    if not role.endswith("accuracy") or _plain_is_held_out(names) == held_out:
        splits |= set() if held_out and role.endswith("loss") else {""}
    return [c for c, name in names.items() if name.kind in kinds and name.split in splits]


def _plain_is_held_out(names: Mapping[str, Name]) -> bool:
    """Whether an "accuracy" beside "train_loss" and "valid_loss" is the held-out one, as fastai and others print."""
    losses = {name.split for name in names.values() if name.kind == "loss"}
    scores = {name.split for name in names.values() if name.kind in ("accuracy", "error")}
    return "train" in losses and not losses.isdisjoint(HELD_OUT) and scores.isdisjoint(HELD_OUT)


def _rank(role: Role, name: Name) -> tuple[int, ...]:
    """Smaller is taken; equals stay in the order of the columns."""
    order = HELD_OUT if role.startswith("val") else ("train", "")
    split = order.index(name.split) if name.split in order else len(order)
    stem = LOSS_ORDER.index(name.stem) if name.kind == "loss" else int(name.kind == "error")
    return (name.smoothed, int(name.split == "test"), name.foreign, split, stem, name.every)


def _comparable(ranked: Sequence[str], train: Choice | None, names: Mapping[str, Name]) -> str:
    """The first held-out loss of training's kind, else the first."""
    said = None if train is None else recognise(train.column)
    if said is None:
        return ranked[0]
    best = names[ranked[0]]
    for column in ranked:
        name = names[column]
        if (name.smoothed, name.foreign) == (best.smoothed, best.foreign) and name.stem == said.stem:
            return column
    return ranked[0]


def _notes(role: Role, column: str, name: Name, others: Sequence[str]) -> list[str]:
    notes = []
    if others:
        notes.append(f"{role} is {column!r}, not {listed(others, 4)}")
    if name.split == "test":
        notes.append(f"{role} is {column!r}: the log has no validation curve of it, so test data stand in")
    if name.split == "" and role == "val_accuracy":
        notes.append(
            f"{role} is {column!r}: the losses are named train and validation and it is not, as where only "
            f"validation is scored"
        )
    if name.smoothed == 2:
        notes.append(f"{role} is {column!r}, which is smoothed or cumulative: the log has no raw one")
    if name.kind == "error" and role.endswith("accuracy"):
        notes.append(f"{role} is 1 − {column!r}")
    if name.stem == "perplexity":
        notes.append(f"{role} is the logarithm of {column!r}")
    return notes


def _two_kinds(found: Mapping[Role, Choice]) -> list[str]:
    """Where training and held-out loss are of different kinds, their gap says nothing."""
    pair = [found[role].column for role in ("train_loss", "val_loss") if role in found]
    stems = [name.stem for name in map(recognise, pair) if name is not None]
    if len(stems) == 2 and stems[0] != stems[1]:
        return [f"{pair[0]!r} and {pair[1]!r} may be losses of different kinds: their gap would mean nothing"]
    return []
