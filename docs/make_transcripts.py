"""Puts the output of examples/three_models.py into docs/transcripts.md: python docs/make_transcripts.py

A fenced block of the page belongs to the part of the output that its first line names; the prose between the
blocks stays.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "transcripts.md"
HEAD = r"^--- .+ ---$"  # the line that begins a part
BLOCK = r"```text\n(--- [^\n]+ ---)\n.*?```"


def output() -> str:
    """What the example prints, without the spaces at the ends of lines."""
    command = [sys.executable, "-X", "utf8", "-W", "error", str(ROOT / "examples" / "three_models.py")]
    shown = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    return "\n".join(line.rstrip() for line in shown.splitlines())


def parts(shown: str) -> dict[str, str]:
    """The parts of an output, or of a page, by their first lines."""
    starts = [match.start() for match in re.finditer(HEAD, shown, re.M)]
    texts = [shown[a:b].split("```")[0].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
    return {text.partition("\n")[0]: text for text in texts}


def filled(page: str, found: dict[str, str]) -> str:
    """The page with each block exchanged for the part of its name."""
    return re.sub(BLOCK, lambda block: f"```text\n{found[block[1]]}\n```", page, flags=re.S)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), parts(output())), encoding="utf-8")
