"""A recipe: a named study with the published figures and claims that its runs decide."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import polars as pl

from ridgeline.recipes._arms_read import arms_read
from ridgeline.report import Results
from ridgeline.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawn: TypeAlias = "tuple[str, Figure, str]"
Profile: TypeAlias = Literal["quick", "full"]
Place: TypeAlias = Literal["inside", "outside", "–"]
Outcome: TypeAlias = Literal["reproduced", "not reproduced", "refuted", "undecided", "not judged"]
PROFILES: tuple[Profile, ...] = ("quick", "full")


@dataclass(frozen=True)
class Evidence:
    """What a claim is decided from.

    Attributes:
        results: the stored results of the recipe's run.
        checks: what the recipe's identities gave, by name; computed once a run and stored beside it.
        data_dir: where the run was told that image sets lie.
    """

    results: Results
    checks: dict[str, Any]
    profile: Profile
    data_dir: Path | None = None


@dataclass(frozen=True)
class Judgement:
    """What the runs say of a claim.

    Attributes:
        ours: our figure, as text.
        place: whether the published figure lies inside the 95 % prediction interval for one of our runs.
    """

    outcome: Outcome
    sentence: str
    ours: str = "–"
    place: Place = "–"
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """A published statement, with the rule that decides it: the docstring of `judge`.

    Attributes:
        number: as in the specification of the system, "S4-1".
        published: the published figure, as text; "–" where there is none.
        identity: whether it is exact, so that the quick profile judges it too.
        counts_diverged: whether the rule says itself what a diverged seed is; else an arm with one has no mean.
    """

    number: str
    text: str
    judge: Callable[[Evidence], Judgement]
    published: str = "–"
    identity: bool = False
    counts_diverged: bool = False

    @property
    def rule(self) -> str:
        """The rule, in one paragraph."""
        return " ".join((self.judge.__doc__ or "").split())


@dataclass(frozen=True)
class Bug:
    """A bug of the source, run as published, and what of the tool names it.

    Attributes:
        tool: "audit", "assert_acting", "response", "history", or what else speaks.
        catch: evidence -> what that said; empty when it said nothing.
        late: whether only a full run is long enough to show it.
    """

    name: str
    tool: str
    catch: Callable[[Evidence], str]
    late: bool = False


@dataclass(frozen=True)
class Recipe:
    """A study by profile, its claims, and the bugs of its source that the tool names.

    Attributes:
        system: S0 to S4, or empty for a study of our own.
        summary: one line.
        study: profile -> Study.
        checks: computes what the identities need, apart from trials; quick.
        figures: what the source shows, drawn of our runs: name, figure, caption.
        watched: whether the source watched the test set while training, as ours then does.
        notes: where a run of ours departs from the specification, and how a claim puts its parts together.
    """

    name: str
    summary: str
    study: Callable[[Profile], Study]
    system: str = ""
    claims: Sequence[Claim] = ()
    bugs: Sequence[Bug] = ()
    checks: Callable[[], dict[str, Any]] = dict
    figures: Callable[[Evidence], Sequence[Drawn]] = lambda evidence: ()
    watched: bool = False
    notes: Sequence[str] = ()


def judged(recipe: Recipe, evidence: Evidence) -> list[dict[str, Any]]:
    """A row a claim, as the report and the record show it.

    In the quick profile only identities are judged. What the rules leave to chance is decided once all seeds
    are in: a claim that is read at fewer would be read again and again until it says something.
    """
    rows = []
    whole, planned = (0, 0) if evidence.profile == "quick" else seeds_in(recipe, evidence.results)
    for claim in recipe.claims:
        if evidence.profile == "quick" and not claim.identity:
            found = Judgement("not judged", "the quick profile judges identities only")
        elif claim.identity:
            found = claim.judge(evidence)
        else:
            found = _after_all(claim, evidence, whole, planned)
        rows.append(
            {
                "number": claim.number,
                "claim": claim.text,
                "rule": claim.rule,
                "published": claim.published,
                "ours": found.ours,
                "place": found.place,
                "outcome": found.outcome,
                "sentence": found.sentence,
                "numbers": found.numbers,
            }
        )
    return rows


def seeds_in(recipe: Recipe, results: Results) -> tuple[int, int]:
    """How many seeds have ended in all arms of the full study, diverged ones too, and how many it asks for."""
    ended = set(results.trials.select("arm", "seed").rows())
    seeds: dict[int, bool] = {}
    for trial in recipe.study("full").trials():
        seeds[trial.seed] = seeds.get(trial.seed, True) and (trial.arm, trial.seed) in ended
    return sum(seeds.values()), len(seeds)


def _after_all(claim: Claim, evidence: Evidence, whole: int, planned: int) -> Judgement:
    """A judgement that waits for all seeds, and is none where seeds of an arm that it reads diverged."""
    with arms_read() as read:
        found = claim.judge(evidence)
    lost = evidence.results.trials.filter((pl.col("status") == "diverged") & pl.col("arm").is_in(list(read)))
    said = []
    if whole < planned:
        said.append(f"{whole} of {planned} seeds are in, and nothing is decided before")
    if not claim.counts_diverged and len(lost):
        arms = ", ".join(lost["arm"].unique(maintain_order=True).to_list())
        said.append(f"seeds diverged in {arms}, and those that are left were chosen by their outcome")
    if not said:
        return found
    outcome: Outcome = "undecided" if found.outcome in ("reproduced", "refuted") else found.outcome
    return replace(found, outcome=outcome, sentence=f"{'; '.join(said)}: {found.sentence}")


def caught(recipe: Recipe, evidence: Evidence) -> list[dict[str, str]]:
    """A row a bug of the source: what it is, and what the tool said of it."""

    def silent(bug: Bug) -> str:
        short = bug.late and evidence.profile == "quick"
        return (
            "nothing yet: the quick profile is too short to show it"
            if short
            else "nothing: it went unnoticed"
        )

    return [
        {"name": bug.name, "tool": bug.tool, "said": bug.catch(evidence) or silent(bug)}
        for bug in recipe.bugs
    ]
