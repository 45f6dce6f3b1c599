"""Commands about studies: run, plan, report, recipes."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ridgeline.cli._main import app
from ridgeline.cli._named import settings_of
from ridgeline.cli._planned import show_plan, time_of
from ridgeline.cli._progress import Bar
from ridgeline.cli._recipes import check_profile, show_claims
from ridgeline.errors import RidgelineError, nearest
from ridgeline.recipes import RECIPES, write_claims
from ridgeline.report import Results, terminal_table
from ridgeline.study import Plan, Study, load_study

Spec = Annotated[str, typer.Argument(help="A study's YAML file, or a recipe's name.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="key=value: set a dotted key, e.g. train.lr=1e-3.")
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="Of a recipe: quick (the default) or full, as published.")
]
Seeds = Annotated[int | None, typer.Option(help="How many seeds.")]
Engine = Annotated[str, typer.Option(help="auto, lanes or solo.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
DataDir = Annotated[
    Path | None, typer.Option(help="Where image sets lie; else RIDGELINE_DATA, then the user's cache.")
]


@app.command()
def run(
    spec: Spec,
    changes: Changes = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; runs/NAME by default.")] = None,
    seeds: Seeds = None,
    engine: Engine = "auto",
    device: Device = "auto",
    data_dir: DataDir = None,
    profile: ProfileOption = None,
    dry_run: Annotated[bool, typer.Option(help="Check everything, show the plan, write nothing.")] = False,
) -> None:
    """Train what is not done yet, write the report, print table and answer."""
    study = _study(spec, changes, seeds, profile)
    if dry_run:
        show_plan(study, engine, device, data_dir)
        return
    console = Console()
    folder = out or Path("runs") / study.name

    def say_time(plan: Plan) -> None:
        if profile == "full":
            console.print(time_of(study, plan), markup=False, highlight=False)

    with Bar(console) as bar:
        watcher = _Count(bar)
        results = study.run(
            folder, engine=engine, device=device, data_dir=data_dir, progress=watcher, on_plan=say_time
        )
    fresh = watcher.trained == 0 and results.reported
    if fresh:
        console.print(f"All {watcher.trials} trials were done already; nothing was trained.")
    else:
        recipe = RECIPES.get(spec)
        if recipe is not None and not changes:  # claims are about the recipe as it is
            judged_as = "quick" if profile is None else check_profile(profile)
            asked = recipe.study(judged_as).spec.seeds
            if seeds is None or seeds <= asked:
                write_claims(recipe, results, judged_as, data_dir)
            else:
                console.print(
                    f"The claims are not judged: their rule was fixed for {asked} seeds, not for {seeds}."
                )
        results.report()
        console.print(terminal_table(results.written()))
    show_claims(console, results.path)
    _say_answer(console, results)


@app.command()
def plan(
    spec: Spec,
    changes: Changes = None,
    seeds: Seeds = None,
    engine: Engine = "auto",
    device: Device = "auto",
    data_dir: DataDir = None,
    profile: ProfileOption = None,
) -> None:
    """Check a study and show how it would run; the same as run --dry-run."""
    show_plan(_study(spec, changes, seeds, profile), engine, device, data_dir)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
) -> None:
    """Write the report of finished trials anew."""
    console = Console()
    for folder in runs:
        results = Results.open(folder)
        results.report()
        console.print(terminal_table(results.written()))
        _say_answer(console, results)


class _Count:
    """Passes progress on to the bar and counts trials."""

    def __init__(self, bar: Bar) -> None:
        self.bar, self.trials, self.trained = bar, 0, 0

    def start(self, trials: int, done: int, steps_a_trial: int) -> None:
        self.trials = trials
        self.bar.start(trials, done, steps_a_trial)

    def steps(self, count: int) -> None:
        self.bar.steps(count)

    def trial_done(self) -> None:
        self.trained += 1
        self.bar.trial_done()

    def say(self, sentence: str) -> None:
        self.bar.say(sentence)


def _study(spec: str, changes: list[str] | None, seeds: int | None, profile: str | None) -> Study:
    if spec in RECIPES:
        study = RECIPES[spec].study("quick" if profile is None else check_profile(profile))
    elif profile is not None:
        raise RidgelineError(f"--profile {profile} has no effect: {spec} is no recipe; leave it out.")
    elif Path(spec).is_file():
        study = load_study(spec)
    elif spec.endswith((".yaml", ".yml")) or "/" in spec:
        raise RidgelineError(f"{spec} does not exist; check the path.")
    else:
        raise RidgelineError(f"no recipe is called {spec!r} and no file either; {nearest(spec, RECIPES)}")
    settings = settings_of(changes or [], "train.lr=1e-3")
    if seeds is not None:
        settings["seeds"] = seeds
    return study.with_changes(settings) if settings else study


def _say_answer(console: Console, results: Results) -> None:
    headline, *others = results.answer()
    for sentence in others:
        console.print(sentence, markup=False, highlight=False)
    console.print(f"Report: {results.path / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
    console.print(headline, markup=False, highlight=False, style="bold")
