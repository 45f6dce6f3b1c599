"""A table of rows that prints in a terminal and shows as HTML in a notebook."""

import html
import io
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

WIDTH = 140


@dataclass(frozen=True)
class Table:
    """Rows as dicts, with a title and columns of text."""

    rows: list[dict[str, Any]]

    @property
    def title(self) -> str:
        """The sentence above the table."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[str, ...]:
        """The heads of the columns; numbers stand on the right below those that end with a space."""
        raise NotImplementedError

    def cells(self, row: dict[str, Any]) -> tuple[str, ...]:
        """The texts of one row."""
        raise NotImplementedError

    def quiet(self, row: dict[str, Any]) -> bool:
        """Whether a row stands back."""
        return False

    def __rich__(self) -> RichTable:
        table = RichTable(title=self.title, title_justify="left")
        for column in self.columns:
            table.add_column(column.strip(), justify="right" if column.endswith(" ") else "left")
        for row in self.rows:  # as Text: a rule such as /[0-9]/ is no markup
            table.add_row(*map(Text, self.cells(row)), style="dim" if self.quiet(row) else "")
        return table

    def __str__(self) -> str:
        buffer = io.StringIO()
        Console(file=buffer, width=WIDTH).print(self)
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(column.strip())}</th>" for column in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in self.cells(row)) + "</tr>"
            for row in self.rows
        )
        title = html.escape(self.title)
        return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
