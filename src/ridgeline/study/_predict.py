"""What work takes, before anything is measured, and what measuring may take. Pure."""

from ridgeline.lanes import Work

# Rough rates of one CPU core: multiply-adds a second, an update's overhead, that of an operation in it.
_RATE = 1.5e10
_STEP_S, _OPERATION_S = 2e-4, 5e-5
# Memory that the packs of one process may take; a larger pack of such models would gain nothing more.
PACK_BYTES = 1 << 30
_MOST_LANES = 512
# Below so much predicted work, or so few updates, measuring costs more than it can save.
_WORTH_S, _WORTH_UPDATES = 6.0, 40
# What measuring may take: a share of the work, or so many seconds where that is more.
_SHARE, _LEAST_S = 0.05, 2.0
# Updates' worth that a lane costs when its pack is measured, at the least: one to warm up, two to time.
_UPDATES = 3


def predict_seconds(work: Work, batch_size: int, steps: int) -> float:
    """A rough time for one trial on one CPU core: forward and backward take each product three times."""
    return steps * (_STEP_S + _OPERATION_S * work.operations + 3.0 * work.multiply_adds * batch_size / _RATE)


def lanes_that_fit(
    work: Work, batch_size: int, numbers: int, examples: float = 0.0, room: int = PACK_BYTES
) -> int:
    """How many lanes fit a pack: six tensors of the weights' size a lane, its batch on its way, its examples.

    Fewer than two are no pack.

    Args:
        numbers: of one example's input.
        examples: bytes of examples that a lane adds to those of the others.
        room: bytes that the pack may take.

    Example:
        >>> small, large = Work(5_000, 5_000, 150, 4), Work(3_000_000, 3_000_000, 6_000, 7)
        >>> lanes_that_fit(small, 32, 64), lanes_that_fit(large, 64, 784), lanes_that_fit(small, 32, 64, 1e7)
        (512, 13, 105)
    """
    a_lane = 4 * (6 * work.parameters + 3 * batch_size * (numbers + work.numbers)) + examples
    return min(_MOST_LANES, int(room / a_lane))


def worth_measuring(work_s: float, updates: int) -> bool:
    """Whether measuring can save more than it costs.

    Args:
        updates: of all trials.
    """
    return work_s > _WORTH_S and updates >= _WORTH_UPDATES


def allowance(work_s: float) -> float:
    """Seconds that measuring may take for so much work.

    Example:
        >>> allowance(10.0), allowance(3600.0)
        (2.0, 180.0)
    """
    return max(_LEAST_S, _SHARE * work_s)


def affordable(lanes: int, start_s: float, step_s: float, within: float) -> int:
    """The largest pack, of at most `lanes`, that can be built and tried within so many seconds; 0 for none.

    Args:
        start_s, step_s: of one trial alone. No lane costs more than that, where lanes pay at all.

    Example:
        >>> affordable(16, 0.01, 0.01, within=2.0), affordable(16, 0.5, 0.1, 2.0), affordable(16, 2.0, 0.1, 2.0)
        (16, 2, 0)
    """
    found = min(lanes, int(within / max(start_s + _UPDATES * step_s, 1e-9)))
    return found if found >= 2 else 0


def line(few: int, few_s: float, more: int, more_s: float) -> tuple[float, float]:
    """What a pack takes however many lanes it has, and what each of them adds, from two packs of any size.

    Example:
        >>> line(2, 3.0, 4, 5.0), line(2, 3.0, 4, 2.0), line(2, 3.0, 2, 3.0)
        ((1.0, 1.0), (3.0, 0.0), (0.0, 1.5))
    """
    if more == few:
        return 0.0, few_s / few
    each = max(more_s - few_s, 0.0) / (more - few)
    return max(few_s - few * each, 0.0), each


def pack_promises(alone_s: float, few_s: float, packs: int, clearly: float) -> bool:
    """Whether packs could be faster if further lanes cost nothing at all.

    Args:
        alone_s: of all trials, one after another.
        few_s: of a pack of few lanes.
        packs: how many there would be.
    """
    return alone_s > clearly * packs * few_s


def threads_promise(alone_s: float, cores: int, best_s: float, clearly: float) -> bool:
    """Whether one trial after another could be the fastest if all threads shared its work evenly."""
    return clearly * alone_s / cores < best_s
