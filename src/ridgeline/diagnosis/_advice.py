"""Which knob, which way, and what to check first."""

from ridgeline.diagnosis._features import Features
from ridgeline.diagnosis._kinds import Kind
from ridgeline.diagnosis._rules import Beside, far_above, risen_while_training_fell, training_got_worse
from ridgeline.diagnosis._thresholds import SHORTEST


def advice_of(kind: Kind, f: Features, beside: Beside, where: str) -> list[str]:
    """Sentences, the first thing to do first.

    Args:
        where: the step of the lowest held-out level, in words.
    """
    if kind == "diverged":
        return [
            "lower the learning rate (by 3 to 10 times), warm it up, or clip the gradient norm",
            "check the data for NaN and the loss for log(0) first",
        ]
    if kind == "undertrained":
        return [
            "train longer, or raise the learning rate, before judging any regularizer",
            "if the schedule has already ended at 0, give it more steps",
        ]
    if kind == "overfitting":
        return _against_overfitting(f, where)
    if kind == "underfitting":
        return [
            "check first that the learning rate fits and that the targets match the inputs",
            "then a larger model, or less regularization: dropout, penalties, augmentation",
        ]
    if kind == "over_regularized":
        return ["lower the strength by 3 to 10 times, and compare both validation and training loss"]
    if kind == "well_fitted":
        return ["nothing to mend; whether another strength generalizes better needs a study of several"]
    if len(f.steps) < SHORTEST.value:
        return ["evaluate more often, or train longer, so that the log has more points"]
    if f.train is not None and training_got_worse(f):
        return [
            "training itself got worse, which no penalty mends: lower the learning rate, or decay it towards the end"
        ]
    if f.train is None:
        return ["log the training loss too, in evaluation mode and without the penalty"]
    if 2.0 * f.val.noise < f.to_learn <= f.delta:
        return [
            f"give a smaller delta than {f.delta:.3g} if less counts, as where the loss contains a constant"
        ]
    return ["more seeds, more validation examples, or more frequent evaluation make the noise smaller"]


def _against_overfitting(f: Features, where: str) -> list[str]:
    found = ["check first that the penalty you have reaches the weights: reg.audit(), reg.response()"]
    if risen_while_training_fell(f):
        found.insert(
            0, f"stop at {where}, or strengthen the regularization: L2 three times stronger, more dropout"
        )
    elif far_above(f):
        stop = "stopping earlier does not help here"
        if f.val.rise >= f.delta:  # within what chance may lift
            stop = f"stopping at {where} may help too"
        found.insert(0, f"strengthen the regularization or bring more data; {stop}")
    else:
        found.insert(
            0, f"strengthen the regularization or bring more data; after {where} training gained nothing"
        )
    return found
