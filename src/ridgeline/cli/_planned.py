"""A plan in the terminal: how each program trains and why, the candidates, and the choice."""

from pathlib import Path

import typer

from ridgeline.study import Plan, Study, in_words, others


def show_plan(study: Study, engine: str, device: str, data_dir: Path | None) -> None:
    """Check a study, plan it here, and print the plan."""
    plan, trials = study.plan(engine=engine, device=device, data_dir=data_dir), study.trials()
    arms = list(dict.fromkeys(trial.arm for trial in trials))
    typer.echo(f"{study.name}: {len(trials)} trials, {len(arms)} arms")
    for arm in arms:
        typer.echo(f"  {arm}")
    for line in lines_of(plan):
        typer.echo(line)


def lines_of(plan: Plan) -> list[str]:
    """The plan, line by line."""
    processes = f"{plan.processes} process{'es' if plan.processes > 1 else ''}"
    threads = f"{plan.threads} thread{'s' if plan.threads > 1 else ''}"
    lines = [f"engine {plan.engine} on {plan.device}, {processes} of {threads}: {plan.reason}"]
    for program in plan.programs:
        size = f", at most {program.lanes} to a pack" if program.engine == "lanes" else ""
        lines.append(f"  {others(program.arms)}: {program.engine}{size}, {program.reason}")
        # Why another way was not measured is part of the reason, and in plan.json.
        for way in (each for each in program.ways if each.trial_s is not None):
            threads = f", {way.threads} threads" if way.threads > 1 else ""
            time = in_words(sum(way.units(program.trials, 1)))
            lines.append(f"    {way.engine}{threads}: {time} in one process, {way.note}")
    if plan.candidates:
        lines.append("candidates:")
    width = max((len(candidate.name) for candidate in plan.candidates), default=0)
    chosen = (plan.engine, plan.processes, plan.threads)
    for each in plan.candidates:
        mark = "*" if (each.engine, each.processes, each.threads) == chosen else " "
        lines.append(f"  {mark} {each.name:{width}}  {in_words(each.seconds)}")
    return lines


def time_of(study: Study, plan: Plan) -> str:
    """How long a study takes by its plan, were nothing of it done yet."""
    time = "" if plan.seconds is None else f", about {in_words(plan.seconds)} here if all are trained"
    return f"{study.name}, full: {len(study.trials())} trials{time}."
