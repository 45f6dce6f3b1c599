"""One line of a printed log: the numbers in it, and what the words before each say."""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from ridgeline.diagnosis.readers import _words as w
from ridgeline.diagnosis.readers._key import key

_NUMBER = re.compile(
    r"(?:(?<![\w@.])|(?<=[Ee]poch)|(?<=[Ss]tep)|(?<=[Ii]ter))(?:(?<![\w)\]%])[-+])?"
    r"(?:\d{1,3}(?:,\d{3})+(?![\d.])|\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|(?:nan|inf(?:inity)?)(?![\w]))",
    re.IGNORECASE,
)
# Lines that begin with a bare place: "[1,  2000] loss: 2.173", "[12]  train-rmse:0.61".
_PLACES = (
    (re.compile(r"^\s*\[(\d+),\s*(\d+)\]"), r"epoch \1, step \2,"),
    (re.compile(r"^\s*\[(\d+)\](?=\s)"), r"iter \1,"),
)
# "2ms/step" and "48.1it/s" say how fast, not which step.
_RATES = re.compile(r"(?<![\w.])\d+(?:\.\d+)?\s?(?:[mµun]?s|m|h|it|batch(?:es)?)/[a-z]+")
_BAR = re.compile(r"%\||\[=+|━|it/s|s/it|s/step|s/epoch")
_LONGEST = 120


@dataclass
class Line:
    """What a line says.

    Attributes:
        values: by name, "val loss"; the split is in the name.
        steps: by kind ("step", "iter", "batch", "epoch").
        share: how far in its epoch, where a "100/600" stands before the metrics.
        is_bar: whether it is a progress bar, whose numbers are running ones until it ends.
    """

    values: dict[str, float] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)
    share: tuple[float, float] | None = None
    is_bar: bool = False


def parse(text: str, extra: frozenset[str] = frozenset()) -> Line:
    """The numbers of a line by name.

    Args:
        extra: names, in lower-case, to be taken as they are.

    Example:
        >>> parse("epoch 3, loss 0.0019, train acc 0.825, test acc 0.834").values
        {'loss': 0.0019, 'train acc': 0.825, 'test acc': 0.834}
        >>> parse("Test set: Average loss: 0.06, Accuracy: 9825/10000 (98%)").values
        {'Test set: Average loss': 0.06, 'test Accuracy': 0.9825}
    """
    line, scan = Line(is_bar=bool(_BAR.search(text))), _Scan(extra)
    text = _RATES.sub(" ", text)
    for pattern, words in _PLACES:
        text = pattern.sub(words, text, count=1)
    end = 0
    for found in _NUMBER.finditer(text):
        before = text[max(end, found.start() - _LONGEST) : found.start()]
        end = found.end()
        scan.number(line, before, found[0], text[end : end + 2])
    return line


class _Scan:
    """What the numbers so far leave for the next: the split, the metric, whether a fraction goes on."""

    def __init__(self, extra: frozenset[str]) -> None:
        self.extra = extra
        self.split = ""
        self.last: str | None = None  # the name of the metric just read
        self.kinds: list[str] = []  # the steps that a "step/epoch: 10/0" names
        self.seen: set[tuple[str, str]] = set()  # the metrics of the line so far, with their splits
        self.bare: float | None = None  # a number without a name, which a "/" may follow

    def number(self, line: Line, before: str, digits: str, after: str) -> None:
        value = float(digits.replace(",", ""))
        if before.strip() == "/":
            self._fraction(line, value, after)
            return
        if self.last is not None and re.fullmatch(r"\s*\(\s*", before) and after[:1] == ")":
            # "Loss 0.61 (0.64)": this batch and the mean so far, which is what an evaluation is after.
            if self.split in ("val", "dev", "eval", "test"):
                line.values[self.last] = value
            return
        self.bare, self.kinds = None, []
        name, said, split, named = key(before, self.extra)
        if said is not None and said.kind == "step":
            self.kinds = _kinds(name)
            line.steps[self.kinds[0]] = value
            self.split = split or self.split
            self.last = None
        elif said is not None or named:
            self.split = split or self.split
            self.last = name
            if said is not None and said.kind in _SPLIT_KINDS:
                of = said.split or self.split
                # "eval_loss: 0.6, loss: 0.5": the second loss of a line is not the same once more.
                if of and not said.split and (said.kind, of) not in self.seen:
                    self.last = f"{of} {name}"
                self.seen.add((said.kind, of))
            percent = after.lstrip()[:1] == "%" and said is not None and said.kind in ("accuracy", "error")
            line.values[self.last] = value / 100 if percent else value
        elif split and not name:  # "Validation: 100%|███", "loss: train 0.5, val 0.6"
            if self.last is not None and split == "train" and not _has_split(self.last):
                self.last = (
                    None  # "Loss: 0.4, Train: 0.8, Val: 0.7": a loss of training does not follow twice
                )
            if self.last is not None and (metric := _without_split(self.last)):
                self.last = f"{split} {metric}"
                line.values[self.last] = value
            self.split = split
        else:
            self.last = None
            self.bare = value if not before.strip(" \t[](|█▏▎▍▌▋▊▉%:-") and not line.values else None

    def _fraction(self, line: Line, value: float, after: str) -> None:
        if len(self.kinds) > 1:
            line.steps[self.kinds[1]] = value
        elif self.last is not None and value > 0 and "acc" in self.last.lower():
            line.values[self.last] /= value
        elif self.bare is not None and 0 <= self.bare <= value and after[:1] != "/":
            line.share = (self.bare, value)
        self.kinds, self.bare = [], None


_SPLIT_KINDS = ("loss", "accuracy", "error")


@lru_cache(maxsize=1024)
def _kinds(name: str) -> list[str]:
    return [w.STEPS[word] for word in w.words(name) if word in w.STEPS]


def _has_split(name: str) -> bool:
    return any(word in w.SPLITS for word in w.words(name))


def _without_split(name: str) -> str:
    return " ".join(word for word in w.words(name) if word not in w.SPLITS)
