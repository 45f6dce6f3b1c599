"""Verdicts in the terminal: a curve with its reasons for a few arms, a line each for many."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ridgeline.cli._judged import Judged, Study
from ridgeline.cli._screen import STYLES, Screen
from ridgeline.cli._sketch import Sketch, sketch
from ridgeline.diagnosis import KINDS, Verdict

_MANY = 12  # more arms than that get a line each
_WIDE = 118  # columns from which the reasons stand beside the curve


def show(judged: Sequence[Judged], studies: Sequence[Study], left_out: bool, plain: bool) -> None:
    """Print every arm's verdict, then the studies' answers.

    Args:
        left_out: whether there were too many arms for a confidence.
        plain: ASCII alone.
    """
    screen = Screen(plain)
    if len(judged) > _MANY:
        _table(screen, judged, left_out)
    else:
        for place, one in enumerate(judged):
            if place:
                screen.say("")
            _arm(screen, one)
    for study in studies:
        headline, *others = study.answer
        screen.say(f"\n{study.source}" if len(studies) > 1 else "", "bold")
        screen.say(" ".join(others))
        screen.say(headline, "bold")


def _arm(screen: Screen, one: Judged) -> None:
    runs = len(one.histories)
    screen.say(f"{one.arm}{f', {runs} runs' if runs > 1 else ''}", "bold")
    screen.say(_kind(one.verdict), f"bold {STYLES[one.verdict.kind]}")
    drawn = sketch(one.histories, one.verdict.metric, screen.plain)
    reasons = _reasons(one)
    if drawn is not None and screen.console.width >= _WIDE and not screen.piped:
        grid = Table.grid(padding=(0, 3, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_row(_drawing(drawn), Group(*(screen.item(mark, said) for mark, said in reasons)))
        screen.console.print(grid)
        return
    if drawn is not None:
        screen.console.print(_drawing(drawn), soft_wrap=True)
    for mark, said in reasons:
        if screen.piped:
            screen.say(f"{mark} {said}")
        else:
            screen.console.print(screen.item(mark, said))


def _drawing(drawn: Sketch) -> Text:
    rows = [*drawn.rows, drawn.legend.rjust(len(drawn.rows[0]))]
    text = Text("\n".join(row.rstrip() for row in rows))
    text.highlight_regex("[▀▄█]+", "blue")
    text.highlight_regex("[\u2801-\u28ff]+", "bright_black")
    return text


def _kind(verdict: Verdict) -> str:
    sure = "" if verdict.confidence is None else f", the same in {verdict.confidence:.0%} of resamples"
    return f"{verdict.kind.replace('_', ' ')} by {verdict.metric}{sure}"


def _reasons(one: Judged) -> list[tuple[str, str]]:
    """Evidence, what the other metric and the other arms say, and advice."""
    verdict = one.verdict
    found = [("-", said) for said in verdict.evidence]
    if verdict.other is not None:
        agrees = " too" if verdict.other.kind == verdict.kind else ""
        first = f": {verdict.other.evidence[0]}" if verdict.other.evidence else ""
        found.append(
            ("-", f"by {verdict.other.metric} {verdict.other.kind.replace('_', ' ')}{agrees}{first}")
        )
    effect = (one.beside or {}).get("effect")
    if effect:
        verb = effect["kind"] if effect["kind"] in ("helps", "hurts", "acts") else f"is {effect['kind']}"
        val, train = effect["val_loss"]["mean"], effect["train_loss"]["mean"]
        found.append(
            (
                "-",
                f"its regularizer {verb}: beside the arm without it, validation loss {val:+.3g}, training loss "
                f"{train:+.3g}",
            )
        )
    return found + [("→", said) for said in verdict.advice]


def _table(screen: Screen, judged: Sequence[Judged], left_out: bool) -> None:
    """A line an arm, and how many are of each kind."""
    rows = [_row(one) for one in judged]
    heads = ("arm", "verdict", "sure", "effect", "evidence")
    shown = [place for place in range(len(heads)) if place == 4 or any(row[place] for row in rows)]
    widths = [max(len(text) for text in (heads[place], *(row[place] for row in rows))) for place in shown]
    if not screen.piped:
        widths[0] = min(widths[0], max(screen.console.width // 3, 12))
        widths[-1] = min(widths[-1], max(screen.console.width - sum(widths[:-1]) - 2 * len(shown), 12))
    justify = {2: "right"}
    screen.line([(_cut(heads[p], w, justify.get(p)), "bold") for p, w in zip(shown, widths, strict=True)])
    for one, row in zip(judged, rows, strict=True):
        styles = {1: STYLES[one.verdict.kind]}
        cells = [
            (_cut(row[p], w, justify.get(p)), styles.get(p, "")) for p, w in zip(shown, widths, strict=True)
        ]
        screen.line(cells)
    screen.say("")
    counts = Counter(one.verdict.kind for one in judged)
    said = ", ".join(f"{counts[kind]:,} {kind.replace('_', ' ')}" for kind in KINDS if counts[kind])
    screen.say(f"{len(judged):,} arms: {said}", "bold")
    if left_out:
        screen.say(
            "So many arms were judged without resampling; diagnose fewer at a time for their confidence."
        )


def _row(one: Judged) -> tuple[str, ...]:
    verdict, effect = one.verdict, (one.beside or {}).get("effect")
    return (
        one.arm,
        verdict.kind.replace("_", " "),
        "" if verdict.confidence is None else f"{verdict.confidence:.0%}",
        effect["kind"] if effect else "",
        verdict.evidence[0] if verdict.evidence else "",
    )


def _cut(text: str, width: int, justify: str | None) -> str:
    """The text in so many characters."""
    text = " ".join(text.split())
    if len(text) > width:
        text = f"{text[: width - 1]}…"
    return text.rjust(width) if justify == "right" else text.ljust(width)
