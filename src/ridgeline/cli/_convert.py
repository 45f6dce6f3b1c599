"""Commands about strengths: convert."""

from typing import Annotated

import typer

from ridgeline import penalties
from ridgeline.cli._main import app


@app.command()
def convert(
    strength: Annotated[float, typer.Argument(help="The number, as the source writes it.")],
    source: Annotated[str, typer.Argument(help="Where it comes from, e.g. keras.L2.")],
    target: Annotated[str, typer.Argument(help="Where it goes to, e.g. torch.weight_decay.")],
    n_samples: Annotated[
        int | None, typer.Option(help="Where one side adds up its samples: how many they are.")
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(help="What you train with, where it matters: mse, half_mse or cross_entropy."),
    ] = None,
) -> None:
    """Say a strength in another library's words: the number, then what each side minimises."""
    typer.echo(penalties.convert(strength, source, target, n_samples=n_samples, loss=loss))
    for name in dict.fromkeys((source, target)):
        convention = penalties.CONVENTIONS[name]
        holds = f"  ({convention.condition})" if convention.condition else ""
        typer.echo(f"{name}: {convention.objective}{holds}")
