"""Command recipes, and what run says of a recipe: its profile, its time, its claims."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ridgeline.cli._main import app
from ridgeline.errors import RidgelineError, nearest
from ridgeline.recipes import PROFILES, RECIPES, Profile, Recipe
from ridgeline.store import read_json


@app.command()
def recipes(
    name: Annotated[
        str | None, typer.Argument(help="Show this recipe: specification, figures, claims.")
    ] = None,
    profile: Annotated[str, typer.Option(help="quick or full.")] = "full",
    spec: Annotated[bool, typer.Option("--spec", help="Only the specification, as YAML.")] = False,
) -> None:
    """List the studies shipped with Ridgeline, or show one."""
    if name is None:
        for recipe in RECIPES.values():
            typer.echo(f"{recipe.name:20} {recipe.summary}")
        return
    if name not in RECIPES:
        raise RidgelineError(f"no recipe is called {name!r}; {nearest(name, RECIPES)}")
    recipe = RECIPES[name]
    text = recipe.study(check_profile(profile)).to_yaml()
    if spec:
        typer.echo(text, nl=False)
        return
    _show(Console(), recipe, text)


def _show(console: Console, recipe: Recipe, specification: str) -> None:
    title = f"{recipe.system} · {recipe.name}" if recipe.system else recipe.name
    console.print(f"{title}: {recipe.summary}", markup=False, highlight=False)
    console.print(f"\n{specification}", markup=False, highlight=False, soft_wrap=True)
    if recipe.claims:
        table = Table("claim", "published", "decided by", box=box.SIMPLE_HEAD, pad_edge=False)
        for claim in recipe.claims:
            table.add_row(*map(Text, (f"{claim.number} {claim.text}", claim.published, claim.rule)))
        console.print(table)
    for each in recipe.notes:
        console.print(f"note: {each}", markup=False, highlight=False)
    for bug in recipe.bugs:
        console.print(f"bug of the source: {bug.name} (caught by {bug.tool})", markup=False, highlight=False)


def check_profile(profile: str) -> Profile:
    """The profile of that name.

    Raises:
        RidgelineError: for another name.
    """
    if profile not in PROFILES:
        raise RidgelineError(f"--profile is {profile!r}; {nearest(profile, PROFILES)}")
    return profile


def show_claims(console: Console, run: Path) -> None:
    """The claims of a recipe's run, where it has some."""
    found: dict[str, Any] | None = read_json(run / "claims.json")
    if not found:
        return
    table = Table(title=f"Claims of {found['system']}, profile {found['profile']}", box=box.SIMPLE_HEAD)
    for column in ("claim", "published", "ours", "figure", "outcome"):
        table.add_column(column, overflow="fold")
    for row in found["claims"]:
        cells = (
            f"{row['number']} {row['claim']}",
            row["published"],
            row["ours"],
            row["place"],
            row["outcome"],
        )
        table.add_row(*map(Text, cells))
    console.print(table)
    for bug in found["bugs"]:
        console.print(f"{bug['name']}: {bug['said']} ({bug['tool']})", markup=False, highlight=False)
