"""What the words before a number say."""

import re
from functools import lru_cache

from ridgeline.diagnosis.readers import _words as w
from ridgeline.diagnosis.readers._names import Name, of_words

# What ends a key: the words of another one stand before it.
_HARD = re.compile(r"[,;|(){}\[\]\t\"<>]|\s[-–—]+\s|\s{2,}|\.\s")
_SAYS = {
    *(*w.SPLITS, *w.LOSSES, *w.ACCURACIES, *w.ERRORS, *w.PENALTIES, "lr"),
    *(*w.STEPS, *w.STEP_FILLERS, *w.FILLERS, *w.SMOOTHED),
}


@lru_cache(maxsize=8192)
def key(before: str, extra: frozenset[str]) -> tuple[str, Name | None, str, bool]:
    """What the text before a number says: the name, what it means, the split, whether a person asked for it.

    The name is the tail of the text that says something; a word that says nothing ends it.
    """
    split = next((w.SPLITS[word] for word in reversed(w.words(before)) if word in w.SPLITS), "")
    tail = re.sub(r"['\"=:\s\[(>]+$", "", before)
    tail = _HARD.split(tail)[-1].strip(" '\"=:-*#>")
    if tail.lower() in extra:
        return tail, None, split, True
    found = w.words(tail)
    kept: list[str] = []
    for word in reversed(found):
        if not (word in _SAYS or (word.isdigit() and kept)):
            break
        kept.insert(0, word)
    only_split = bool(found) and all(word in w.SPLITS or word in w.FILLERS for word in found)
    if not kept or only_split or not w.OTHER.isdisjoint(found):
        return "" if only_split or not found else tail, None, split, False
    # "step/epoch: 10/0" names two steps for two numbers.
    said = Name("step") if all(word in w.STEPS for word in kept) else of_words(kept)
    name = tail if len(kept) == len(found) else " ".join(kept)
    return name, said, split, False
