"""A strength from one library's convention into another's."""

import math
import operator
import sys
from numbers import Real
from typing import SupportsIndex

from ridgeline.errors import RidgelineError, nearest
from ridgeline.penalties._conventions import CONVENTIONS, LOSSES, Convention, Loss


def convert(
    strength: float, source: str, target: str, *, n_samples: int | None = None, loss: str | None = None
) -> float:
    """The strength in `target` that has the same minimum on the same data as `strength` in `source`.

    Both are turned into λ of: data loss averaged over the samples + ½λΣw² (or + λΣ|w|). Every convention's whole
    objective stands in `docs/strengths.md`, and the command line prints the two that were converted.

    Args:
        strength: a finite number ≥ 0; > 0 for scikit-learn's inverse strength C.
        source, target: `ridgeline.L1`, `ridgeline.L2`, `torch.weight_decay`, `tf1.l1_regularizer`,
            `tf1.l2_regularizer`, `keras.L1`, `keras.L2`, `allennlp.l1`, `allennlp.l2`, `sklearn.Ridge.alpha`,
            `sklearn.Lasso.alpha`, `sklearn.LogisticRegression.C` (L2, or L1 where the other side is L1),
            `sklearn.MLP.alpha`, `glmnet.ridge`, `glmnet.lasso`.
        n_samples: n ≥ 1, the samples fitted; of one batch for `sklearn.MLP.alpha`. Given exactly where the number
            of samples enters one side only. Between the MLP and Ridge or LogisticRegression it cancels when the
            MLP's batch is the whole data; with smaller ones, convert in two steps.
        loss: what the side without a loss of its own is trained with: "mse" (as in torch, no ½), "half_mse" or
            "cross_entropy". Needed where that decides the number, as beside Ridge; beside LogisticRegression,
            which has one loss only, it may be left out.

    Raises:
        ValueError: for an unknown name, for two conventions that no number connects (L1 and L2, or a squared error
            and a log loss), for a missing argument, for one without effect, for a strength out of range, and for a
            result that no float can hold (C of strength 0).
        TypeError: for a strength that is not a number.

    Source: each library's code or manual; scikit-learn's and torch's minima are compared with ours in the tests.

    Example:
        >>> convert(0.01, "keras.L2", "torch.weight_decay")
        0.02
        >>> convert(3.0, "sklearn.Ridge.alpha", "ridgeline.L2", n_samples=200, loss="mse")
        0.03
        >>> convert(0.001, "ridgeline.L2", "sklearn.LogisticRegression.C", n_samples=500)
        2.0
    """
    a, b = _convention("source", source), _convention("target", target)
    _check_kinds(a, b)
    number = _number(strength, a)
    beside = _loss(a, b, loss)
    n = _samples(a, b, n_samples)
    if a is b:
        return number
    if number == 0.0 and b.inverse:
        raise RidgelineError(
            f"strength 0 has no {b.name}: it would be infinite; fit without a penalty there."
        )
    coefficient = a.coefficient(number)
    if beside is not None:
        coefficient *= b.weight(beside) / a.weight(beside)
    coefficient = coefficient / n if a.over_n else coefficient * n
    found = b.strength(coefficient)
    if not math.isfinite(found) or (found == 0.0 and number != 0.0):
        raise RidgelineError(f"{number} in {a.name} is {found} in {b.name}, beyond the range of a float.")
    return found


def _convention(role: str, name: object) -> Convention:
    if not isinstance(name, str) or name not in CONVENTIONS:
        raise RidgelineError(f"{role} is {name!r}, which is no convention; {nearest(str(name), CONVENTIONS)}")
    return CONVENTIONS[name]


def _check_kinds(a: Convention, b: Convention) -> None:
    if not set(a.kinds) & set(b.kinds):
        partners = ", ".join(c.name for c in CONVENTIONS.values() if c is not a and _connected(a, c))
        raise RidgelineError(
            f"{a.name} is the strength of an {a.kinds[0]} penalty and {b.name} of an {b.kinds[0]} penalty; no number "
            f"turns one into the other; {a.name} converts to {partners}."
        )


def _connected(a: Convention, b: Convention) -> bool:
    """Whether some number connects them: a penalty of one kind, beside a data loss of one kind."""
    beside = not a.losses or not b.losses or any(b.own(own) is not None for own in a.losses)
    return beside and bool(set(a.kinds) & set(b.kinds))


def _number(strength: object, a: Convention) -> float:
    if isinstance(strength, bool) or not isinstance(strength, Real):
        raise TypeError(f"strength is {strength!r}, a {type(strength).__name__}; allowed: a number.")
    try:
        number = float(strength)
    except OverflowError:  # a whole number or a fraction
        number = math.inf
    if not math.isfinite(number) or number < 0:
        raise RidgelineError(f"strength is {number}; allowed: a finite number {'>' if a.inverse else '≥'} 0.")
    if number == 0.0 and a.inverse:
        raise RidgelineError(f"{a.name} is 0, an infinite penalty; allowed: a finite number > 0.")
    return number


def _loss(a: Convention, b: Convention, given: str | None) -> Loss | None:
    """The data loss under which both are compared; None where every loss gives the same number."""
    if given is not None and given not in LOSSES:
        raise RidgelineError(f"loss is {given!r}; {nearest(str(given), LOSSES)}")
    loss = next((known for known in LOSSES if known == given), None)
    fixed = [side for side in (a, b) if side.losses]
    if len(fixed) == 1:
        return _loss_beside(fixed[0], b if fixed[0] is a else a, loss)
    if loss is not None:
        why = "each has a loss of its own" if fixed else "whatever the loss, it is the same on both sides"
        raise RidgelineError(
            f"loss={loss!r} has no effect between {a.name} and {b.name}: {why}; leave it out."
        )
    if not fixed:
        return None
    shared = [own for own in a.losses if b.own(own) is not None]
    if not shared:
        raise RidgelineError(
            f"{a.name} stands beside {' or '.join(a.losses)} and {b.name} beside {' or '.join(b.losses)}; no number "
            f"turns one objective into the other; convert between two of the same data loss."
        )
    return shared[0]  # a second one gives the same number: the tests prove it


def _loss_beside(fixed: Convention, free: Convention, loss: Loss | None) -> Loss:
    possible = [known for known in LOSSES if fixed.own(known) is not None]
    if loss is None and len(possible) > 1:
        raise RidgelineError(
            f"loss is missing: {fixed.name} stands beside {' or '.join(fixed.losses)}, and the same penalty weighs "
            f"twice as much beside half_mse as beside mse; say what {free.name} is trained with: "
            f"{', '.join(map(repr, possible))}."
        )
    found = loss or possible[0]
    if found not in possible:
        raise RidgelineError(
            f"loss is {found!r}, but {fixed.name} stands beside {' or '.join(fixed.losses)}; "
            f"allowed: {', '.join(map(repr, possible))}."
        )
    return found


def _samples(a: Convention, b: Convention, given: SupportsIndex | None) -> int:
    """n, or 1 where it cancels."""
    if a.over_n == b.over_n:
        if given is not None:
            raise RidgelineError(
                f"n_samples={given!r} has no effect between {a.name} and {b.name}: the number of samples enters both "
                f"in the same way; leave it out."
            )
        return 1
    if given is None:
        over, mean = (a, b) if a.over_n else (b, a)
        raise RidgelineError(
            f"n_samples is missing: {over.name} is for {over.objective}, {mean.name} for {mean.objective}; "
            f"give n, the number of samples{' in a batch' if over.name == 'sklearn.MLP.alpha' else ''}."
        )
    try:
        n = 0 if isinstance(given, bool) else operator.index(given)
    except TypeError:
        n = 0
    if not 1 <= n <= sys.maxsize:
        raise RidgelineError(f"n_samples is {given!r}; allowed: a whole number ≥ 1.")
    return n
