"""Where verdicts are shown: a terminal or a file, in the characters that it takes."""

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ridgeline.diagnosis import Kind

STYLES: dict[Kind, str] = {
    "diverged": "red",
    "overfitting": "red",
    "undertrained": "yellow",
    "underfitting": "yellow",
    "over_regularized": "yellow",
    "well_fitted": "green",
    "undecided": "cyan",
}
_IN_ASCII = str.maketrans(
    {"±": "+-", "δ": "delta", "−": "-", "–": "-", "→": "->", "×": "x", "λ": "lambda", "…": "~"}
)


class Screen:
    """Where it is shown, and in which characters."""

    def __init__(self, plain: bool) -> None:
        self.plain = plain
        self.console = Console()
        self.piped = not self.console.is_terminal

    def text(self, sentence: str, style: str = "") -> Text:
        """A sentence as this screen can show it."""
        # what a log brings in its names may be no text, or move the cursor
        sentence = "".join(c if c.isprintable() or c == "\n" else "�" for c in sentence)
        if self.plain:
            sentence = sentence.translate(_IN_ASCII).encode("ascii", "replace").decode()
        return Text(sentence, style=style)

    def say(self, sentence: str, style: str = "") -> None:
        """A sentence, which stays one line in a file."""
        self.console.print(self.text(sentence, style), soft_wrap=self.piped)

    def line(self, cells: Sequence[tuple[str, str]]) -> None:
        """Cells of one line, each with its style."""
        joined = Text("  ").join([self.text(text, style) for text, style in cells])
        joined.rstrip()
        self.console.print(joined, soft_wrap=True)

    def item(self, mark: str, said: str) -> RenderableType:
        """A point of a list, its further lines indented."""
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_row(self.text(mark), self.text(said))
        return grid
