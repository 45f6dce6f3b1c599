"""Commands about data: download."""

from pathlib import Path
from typing import Annotated

import typer

from ridgeline.cli._main import app
from ridgeline.data import download as fetch


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="mnist or fashion-mnist.")],
    data_dir: Annotated[
        Path | None, typer.Option(help="Where to put it; the user's cache by default.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="A mirror: the folder that holds the .gz files.")] = None,
) -> None:
    """Fetch an image set, each file checked by its checksum."""
    folder = fetch(name, data_dir, url, on_file=lambda file, state: typer.echo(f"{file}: {state}"))
    typer.echo(f"{name} is in {folder}")
