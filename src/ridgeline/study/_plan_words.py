"""What a plan says for itself: how models run, what was found out, what is done. Pure."""

from collections.abc import Sequence

from ridgeline.study._plan import Candidate, ProgramPlan, Way


def in_words(seconds: float) -> str:
    """A time as a person would say it.

    Example:
        >>> in_words(0.0342), in_words(12.3), in_words(600.0), in_words(9000.0)
        ('0.034 s', '12 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def others(labels: Sequence[str]) -> str:
    """Arms in a few words.

    Example:
        >>> others(["a"]), others(["a", "b", "c"])
        ('a', 'a and 2 more arms')
    """
    more = len(labels) - 1
    return f"{labels[0]} and {more} more arm{'s' if more > 1 else ''}" if more else labels[0]


def total(program: ProgramPlan, way: Way) -> float:
    """Seconds of all trials of a program in one process."""
    return sum(way.units(program.trials, 1))


def why(program: ProgramPlan, alone: Way | None, packed: Way | None, way: Way, clearly: float) -> str:
    """How the model runs, and what speaks for this way."""
    if program.engine != "lanes":
        return program.reason
    if alone is None or packed is None or not packed.measured:
        note = next((f"; {each.note}" for each in program.ways if each.engine == "lanes"), "")
        return f"{program.reason}{note}"
    alone_s, packed_s = total(program, alone), total(program, packed)
    speed = (
        f"{alone_s / program.trials:.2g} s a trial alone, {packed_s / program.trials:.2g} s in a pack, "
        f"measured here"
    )
    if way.engine == "lanes":
        return f"{program.reason}; {speed}"
    faster = "packs gain too little in all" if alone_s > clearly * packed_s else "a pack is no faster"
    return f"{faster}: {speed}; {program.reason}"


def trained(programs: Sequence[ProgramPlan]) -> str:
    """What is done with a study's trials, in words."""
    packed = sum(len(each.arms) for each in programs if each.engine == "lanes")
    if not packed:
        trials = sum(each.trials for each in programs)
        return f"{trials} trials one after another" if trials > 1 else "one trial"
    alone = sum(len(each.arms) for each in programs) - packed
    said = f"{packed} arm{'s' if packed > 1 else ''} as lanes of packs"
    return f"{said}, {alone} one trial after another" if alone else said


def reason_for(chosen: Candidate, candidates: Sequence[Candidate], programs: Sequence[ProgramPlan]) -> str:
    """What is done, what the best of the others would take, and why there are no lanes."""
    rivals = sorted((c for c in candidates if c is not chosen), key=lambda c: c.seconds)
    time = f"about {in_words(chosen.seconds)}"
    if rivals:
        time += f", against {in_words(rivals[0].seconds)} for {rivals[0].name}"
    no_lanes = f"; no lanes: {programs[0].reason}" if chosen.engine == "solo" else ""
    return f"{trained(programs)}, {chosen.name.partition(', ')[2]}: {time}{no_lanes}"
