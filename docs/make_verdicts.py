"""Write the table of thresholds into docs/verdicts.md: `python docs/make_verdicts.py`."""

from pathlib import Path

from ridgeline.diagnosis import CRITICAL_RISE, THRESHOLDS

PAGE = Path(__file__).parent / "verdicts.md"
START, END = "<!-- thresholds: made by docs/make_verdicts.py -->", "<!-- end of thresholds -->"


def table() -> str:
    """The thresholds with their reasons, and the critical rise by the number of points."""
    lines = ["| threshold | value | reason |", "|---|---|---|"]
    lines += [f"| {t.name} | {t.value:g} | {t.reason} |" for t in THRESHOLDS]
    points = list(CRITICAL_RISE["narrow"])
    lines += ["", f"| points | {' | '.join(f'{n:,}' for n in points)} |", "|---" * (len(points) + 1) + "|"]
    for name, rises in CRITICAL_RISE.items():
        lines.append(f"| rise by chance, {name} windows | {' | '.join(f'{rises[n]:g}' for n in points)} |")
    return "\n".join(lines)


def written(page: str) -> str:
    """The page with the table as it is now."""
    before, rest = page.split(START)
    return f"{before}{START}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
