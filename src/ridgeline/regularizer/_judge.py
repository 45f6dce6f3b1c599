"""The verdict on a strength, of displacements: plain numbers in, a word and a sentence out."""

import math
from typing import Any

from ridgeline.regularizer._measured import Measured

# By how much a difference must exceed that of two runs that should be equal.
ABOVE_NOISE = 3.0
# d log ‖D‖ / d log λ, from λ to 10 λ, D what the penalty changes: 1 in proportion, 0 where more strength
# changes nothing more. A tenth of proportional is a third more way for a hundredfold strength.
SATURATED = 0.1
# The penalty's displacement over the data's: nine tenths of the step are the penalty's.
DOMINATING = 9.0
# Of what the data moves: what does not grow with the strength, and is less, is rounding. Computing in bfloat16
# has such a floor, far above one unit in the last place of float32 weights. Adam saturates near 1.
FLOOR = 0.01


def judge(m: Measured) -> dict[str, Any]:
    """A row: the numbers, the verdict and a sentence."""
    verdict, sentence = _verdict(m)
    if m.without_data > 0.01 and verdict not in ("dead", "negligible"):
        sentence += f"; the data leaves {m.without_data:.0%} of the weights alone"
    return {
        "by_data": m.by_data,
        "by_penalty": m.by_penalty,
        "noise": m.noise,
        "elasticity": m.elasticity,
        "share_without_data": m.without_data,
        "verdict": verdict,
        "sentence": sentence,
    }


def _verdict(m: Measured) -> tuple[str, str]:
    if not math.isfinite(m.by_data):
        return "negligible", "without the penalty the weights end infinite or NaN, so nothing is seen of it"
    if m.utmost == 0:
        it = "ten thousand times the strength"
        return (
            "dead",
            f"{it} moves nothing either" if m.by_data else f"neither the data nor {it} moves anything",
        )
    if m.by_penalty == 0:
        return "negligible", "it changes not one weight; far more strength would"
    if m.by_penalty <= ABOVE_NOISE * m.noise:
        return "negligible", "what it changes is within the noise of repeated runs"
    if not math.isfinite(m.by_penalty):
        return "dominating", "the weights are no longer finite"
    if abs(m.elasticity) <= SATURATED and m.overall < FLOOR:
        return (
            "negligible",
            "it changes hardly more than rounding does, and no more at ten times the strength",
        )
    if abs(m.elasticity) <= SATURATED:
        further = m.tenfold / m.by_penalty - 1
        way = "further" if further >= 0 else "less far"
        return "saturated", f"ten times the strength moves only {abs(further):.1%} {way}"
    if max(m.first, m.overall) >= DOMINATING:
        return "dominating", _how_far(m)
    said = f"it moves the weights {m.overall:.2g} times as far as the data does"
    if not math.isfinite(m.tenfold):
        said += "; ten times the strength makes them infinite or NaN"
    elif m.elasticity < -SATURATED:
        said += "; ten times the strength throws them back and forth"
    return "acting", said


def _how_far(m: Measured) -> str:
    if not m.by_data:
        return "the penalty moves the weights, and the data does not"
    times, when = (m.overall, "") if m.overall >= DOMINATING else (m.first, "in the first step ")
    return (
        f"{when}it moves the weights {times:{',.0f' if times < 1e6 else '.0e'}} times as far as the data does"
    )
