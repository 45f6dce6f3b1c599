"""docs/verdicts.md shows the thresholds that the code has."""

import runpy
from pathlib import Path

MAKER = Path(__file__).parents[2] / "docs" / "make_verdicts.py"


def test_the_page_has_todays_thresholds() -> None:
    made = runpy.run_path(str(MAKER))
    page = made["PAGE"].read_text()
    assert made["written"](page) == page
    assert made["table"]() in page
