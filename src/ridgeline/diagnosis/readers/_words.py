"""The vocabulary of logs: how a column's name is cut into words, and what the words mean."""

import re

# What a curve was measured on. Test stands last: it is taken where there is nothing else held out.
SPLITS = {
    **dict.fromkeys(("train", "training", "trained", "trn", "tr", "learn", "fit"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "validating", "va", "vl"), "val"),
    **dict.fromkeys(("heldout", "holdout", "oof"), "val"),
    **dict.fromkeys(("dev", "development"), "dev"),
    **dict.fromkeys(("eval", "evaluation", "evaluate", "evaluating"), "eval"),
    **dict.fromkeys(("test", "testing", "tst", "te"), "test"),
}

# Kinds of loss; the first are preferred where a log has several.
LOSSES = {
    **dict.fromkeys(("loss", "losses"), "loss"),
    **dict.fromkeys(("ce", "xent", "crossentropy", "nll", "logloss", "mlogloss", "bce"), "entropy"),
    **dict.fromkeys(("objective", "cost", "deviance"), "objective"),
    "mse": "mse",
    "rmse": "rmse",
    "mae": "mae",
    **dict.fromkeys(("bpc", "bpb", "bpd"), "bits"),
    **dict.fromkeys(("ppl", "perplexity"), "perplexity"),
}
LOSS_ORDER = tuple(dict.fromkeys(LOSSES.values()))
ACCURACIES = {"accuracy", "accuracies", "acc", "accu", "acc1", "top1", "accuracy1"}
ERRORS = {"error", "errors", "err", "err1", "merror", "misclassification"}
PENALTIES = {"penalty", "penalties", "regularization", "regularisation", "regularizer", "reg", "regloss"}

# Steps, the finest first: a count over the whole run, before one that may begin again in each epoch.
STEPS = {
    **dict.fromkeys(("step", "steps"), "step"),
    **dict.fromkeys(("iter", "iters", "iteration", "iterations", "it", "update", "updates"), "iter"),
    **dict.fromkeys(("batch", "minibatch"), "batch"),
    **dict.fromkeys(("epoch", "epochs", "round", "rounds", "ep"), "epoch"),
}
STEP_FILLERS = {
    "global",
    "trainer",
    "num",
    "number",
    "no",
    "current",
    "the",
    "at",
    "after",
    "train",
    "training",
}

# Words that leave a metric what it is.
FILLERS = {
    *("set", "is", "was", "of", "at", "on", "the", "value", "data", "dataset", "split", "metric", "metrics"),
    *("scalar", "scalars", "categorical", "sparse", "binary", "rate", "curve", "history", "log", "logs"),
}
# A smoothed or cumulative column hides the noise that a judgement needs; it is taken where nothing is raw.
# An "average" may be one over the batches of an epoch, which is raw enough, or not.
SMOOTHED = {
    **dict.fromkeys(("avg", "average", "averaged", "mean", "median"), 1),
    **dict.fromkeys(("ema", "smooth", "smoothed", "smoothing", "running", "moving", "rolling", "sma"), 2),
    **dict.fromkeys(("cumulative", "cum", "cumsum", "accumulated", "sum", "sofar"), 2),
}
# With one of these a name is no curve of that metric: its record, its spread, its scale, another metric.
OTHER = {
    *("best", "min", "max", "minimum", "maximum", "lowest", "highest", "low", "high", "lower", "upper", "ci"),
    *("std", "stddev", "var", "variance", "stderr", "sem", "count", "num", "ratio", "gap", "diff", "delta"),
    *("scale", "scaler", "weight", "weights", "coef", "coefficient", "lambda", "grad", "gradient", "norm"),
    *("time", "times", "runtime", "second", "seconds", "sec", "duration", "eta", "elapsed", "vs", "per"),
    *("samples", "size", "target", "threshold", "patience", "previous", "prev", "improvement", "stopping"),
    *("auc", "auroc", "f1", "precision", "recall", "acc5", "top5", "top3", "acc3", "top10", "id", "path"),
}

_PHRASES = (
    (("root", "mean", "squared", "error"), "rmse"),
    (("mean", "squared", "error"), "mse"),
    (("mean", "square", "error"), "mse"),
    (("mean", "absolute", "error"), "mae"),
    (("negative", "log", "likelihood"), "nll"),
    (("cross", "entropy"), "ce"),
    (("log", "loss"), "logloss"),
    (("held", "out"), "heldout"),
    (("hold", "out"), "heldout"),
    (("learning", "rate"), "lr"),
    *(
        ((word, digit), word + digit)
        for word in ("acc", "accuracy", "top", "err")
        for digit in ("1", "3", "5")
    ),
)
_GLUED = tuple(word for word, split in SPLITS.items() if len(word) > 2 and split)
_KNOWN = {*SPLITS, *LOSSES, *ACCURACIES, *ERRORS, *STEPS}


def words(name: str) -> list[str]:
    """A name in lower-case words: at punctuation, at capitals, and where two known words are glued.

    Example:
        >>> words("trainer/valAcc@1"), words("Testloss"), words("Mean Squared Error")
        (['trainer', 'val', 'acc1'], ['test', 'loss'], ['mse'])
    """
    spaced = re.sub(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3 \2\4", name)
    found: list[str] = []
    for word in re.findall(r"[^\W\d_]+\d*|\d+", spaced.lower()):
        found += _unglued(word)
    for phrase, short in _PHRASES:
        for place in range(len(found) - len(phrase) + 1):
            if tuple(found[place : place + len(phrase)]) == phrase:
                found[place : place + len(phrase)] = [short]
                break
    return found


def _unglued(word: str) -> list[str]:
    if word not in _KNOWN:
        for start in _GLUED:
            if word.startswith(start) and word[len(start) :] in _KNOWN:
                return [start, word[len(start) :]]
    return [word]
