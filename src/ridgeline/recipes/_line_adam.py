"""S4: weight decay as an L2 penalty, Adam on a high-dimensional line."""

import math
from typing import Any

import polars as pl
import torch
from torch import Tensor

import ridgeline
from ridgeline.recipes import _notes
from ridgeline.recipes._evidence import by_seed, curve, examples, numbers, paired, penalty_seen_inside
from ridgeline.recipes._layers import line
from ridgeline.recipes._recipe import Bug, Claim, Evidence, Judgement, Profile, Recipe
from ridgeline.statistics import decide, holm_intervals
from ridgeline.study import Study

SIZES, STRENGTHS = (10, 20), (0.0, 1.0, 3.0, 10.0, 100.0)


def arm(n: int, strength: float) -> str:
    """The label of an arm."""
    return f"{n} samples, λ = {strength:g}"


def study(profile: Profile) -> Study:
    """λ · mean(w²) = L2(2λ, reduction="mean"); λ and epochs are ours, the source gives neither."""
    base = {
        f"{arm(n, s)}": {
            "data.n_train": n,
            "data.n_test": n,
            "train.batch_size": n,
            "regularization.strength": 2.0 * s,
        }
        for n in SIZES
        for s in STRENGTHS
    }
    return Study(
        name="line-adam",
        data={"name": "linear", "n_train": 20, "n_test": 20, "bias": 0.5, "fresh_test": True},
        model={"factory": "ridgeline.recipes._layers:line"},
        train={"optimizer": "adam", "lr": 0.05, "batch_size": 20, "epochs": 1_000, "loss": "mse"},
        regularization={"penalty": "l2", "strength": 0.0, "reduction": "mean"},
        evaluate={"every": 20, "sets": {"test_all": "test"}},
        arms=base,
        seeds=30 if profile == "full" else 3,
    )


def checks() -> dict[str, Any]:
    """The update rule by one step of SGD, and Adam + L2 beside AdamW, both in closed form and float64."""
    return {"update": _update(), "adam_against_adamw": _adam_against_adamw()}


def _problem(seed: int) -> tuple[torch.nn.Module, Tensor, Tensor]:
    torch.manual_seed(seed)
    x = torch.randn(20, 200, dtype=torch.float64)
    y = 0.01 * x.sum(1, keepdim=True) + 0.5 + 0.01 * torch.randn(20, 1, dtype=torch.float64)
    return line().double(), x, y


def _update() -> dict[str, float]:
    """One step of SGD on the penalised loss, against two formulas."""
    rate, strength = 0.05, 3.0
    with torch.random.fork_rng([]):
        model, x, y = _problem(0)
    w = model[0].weight  # type: ignore[index]  # a Sequential
    before = w.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    reg = ridgeline.regularize(model, ridgeline.L2(2 * strength, reduction="mean"), optimizer=optimizer)
    data_loss = torch.nn.functional.mse_loss(model(x), y)
    (grad,) = torch.autograd.grad(data_loss, [w], retain_graph=True)
    (data_loss + reg.penalty()).backward()
    optimizer.step()
    per_weight = 2 * strength / w.numel()
    ours = (1 - rate * per_weight) * before - rate * grad
    published = (1 - strength) * before - grad
    moved = (w.detach() - before).norm()
    return {
        "ours": float((w.detach() - ours).norm() / moved),
        "published": float((w.detach() - published).norm() / moved),
        "lr": rate,
    }


def _adam_against_adamw(seeds: int = 30, steps: int = 100) -> list[float]:
    """‖Δw‖/‖w‖ between Adam + L2 and AdamW at the same strength and start, by seed."""
    strength, found = 2 * 3.0 / 200, []
    for seed in range(seeds):
        ends = []
        for kind in (torch.optim.Adam, torch.optim.AdamW):
            with torch.random.fork_rng([]):
                model, x, y = _problem(seed)
            groups = ridgeline.param_groups(model, ridgeline.L2(strength))
            optimizer = kind(groups, lr=0.05)
            for _ in range(steps):
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(model(x), y).backward()
                optimizer.step()
            ends.append(model[0].weight.detach())  # type: ignore[index]  # a Sequential
        found.append(float((ends[0] - ends[1]).norm() / ends[0].norm()))
    return found


def _test_loss(evidence: Evidence, label: str) -> dict[int, float]:
    frame = examples(evidence.results, label, "test", "loss").group_by("seed").agg(pl.col("value").mean())
    return dict(zip(frame["seed"].to_list(), frame["value"].to_list(), strict=True))


def claim_test_loss_falls(evidence: Evidence) -> Judgement:
    """log(test *data* loss at λ / at 0), 30 draws, both sizes, Holm over λ, δ = 10 % lower; beside it the
    column as published, and the null predictor
    """
    if missing := _lacking(evidence):
        return missing
    margin, found, said = -math.log(0.9), {}, []
    outcomes: dict[int, list[str]] = {}
    for n in SIZES:
        zero = _test_loss(evidence, arm(n, 0.0))
        cases = []
        for s in STRENGTHS[1:]:
            falls = paired(_test_loss(evidence, arm(n, s)), zero, lambda a, b: -math.log(a / b))
            cases.append((falls, None))
        for s, one in zip(STRENGTHS[1:], holm_intervals(cases), strict=True):
            outcomes.setdefault(n, []).append(decide(one, margin))
            shown = _column_as_published(evidence, n, s)
            found[arm(n, s)] = numbers(one) | {"as_published": shown, "outcome": outcomes[n][-1]}
        best = max(STRENGTHS[1:], key=lambda s: found[arm(n, s)]["mean"])
        low = found[arm(n, best)]
        null = by_seed(evidence.results, arm(n, 0.0), pl.col("null_test_loss"))
        share = math.exp(-low["mean"])
        said.append(
            f"{n} samples: λ = {best:g} takes the test data loss to {share:.2g} of that at 0 ({low['outcome']}); "
            f"the training mean alone has {sum(null.values()) / sum(zero.values()):.2g} of it"
        )
    if all("reproduced" in by_size for by_size in outcomes.values()):
        outcome = "reproduced"
    elif all(one == "refuted" for by_size in outcomes.values() for one in by_size):
        outcome = "refuted"
    else:
        outcome = "undecided"
    best = found[arm(20, max(STRENGTHS[1:], key=lambda s: found[arm(20, s)]["mean"]))]["mean"]
    ours = f"× {math.exp(-best):.2g}"
    return Judgement(outcome, "; ".join(said) + ".", ours, numbers=found)  # type: ignore[arg-type]  # an Outcome


def _lacking(evidence: Evidence) -> Judgement | None:
    """Undecided, with the reason, unless in each size some seed finished in all arms."""
    for n in SIZES:
        ends = [_test_loss(evidence, arm(n, s)).keys() for s in STRENGTHS]
        if not set.intersection(*map(set, ends)):
            return Judgement("undecided", f"no seed finished in all arms of {n} samples.")
    return None


def _column_as_published(evidence: Evidence, n: int, strength: float) -> float:
    """The test loss as the source records it, with the penalty inside, at the end, mean over seeds."""
    last = curve(evidence.results, arm(n, strength), "test_all_loss", "penalty").group_by("seed").last()
    return float((last["test_all_loss"] + last["penalty"]).mean())  # type: ignore[arg-type]  # a number


def claim_update(evidence: Evidence) -> Judgement:
    """SGD, float64: the update equals (1−ηλ′)w − η·grad within 1e-12 relative, λ′ = 2λ/d; the published form is
    refuted if its error > 1e-3 at η ≠ 1
    """
    found = evidence.checks["update"]
    said = (
        f"one step differs from (1 − ηλ′)w − η·grad by {found['ours']:.1e} of its length, from the published form by "
        f"{found['published']:.2g} at η = {found['lr']:g}."
    )
    if found["ours"] > 1e-12:
        return Judgement("not reproduced", said, numbers=found)
    outcome = "refuted" if found["published"] > 1e-3 else "reproduced"
    return Judgement(outcome, said, f"off by {found['published']:.2g}", numbers=found)  # type: ignore[arg-type]  # an Outcome


def claim_is_weight_decay(evidence: Evidence) -> Judgement:
    """under Adam: ‖Δw‖/‖w‖ between Adam + L2 and AdamW at equal λ′ and seed > 1e-2 after 100 steps in all seeds:
    refuted for Adam
    """
    found = evidence.checks["adam_against_adamw"]
    said = f"after 100 steps the two differ by {min(found):.2g} to {max(found):.2g} of ‖w‖ over {len(found)} seeds."
    outcome = "refuted" if min(found) > 1e-2 else "undecided"
    ours = f"≥ {min(found):.2g} of ‖w‖ apart"
    return Judgement(outcome, said, ours, numbers={"relative": found})  # type: ignore[arg-type]  # an Outcome


def missing_rate(evidence: Evidence) -> str:
    """The published update against a real step."""
    found = evidence.checks["update"]
    if found["published"] <= 1e-3:
        return ""
    return (
        f"the published update is off by {found['published']:.2g} of a step: it leaves the learning rate out"
    )


RECIPE = Recipe(
    name="line-adam",
    system="S4",
    notes=_notes.LINE_ADAM,
    summary="Adam on a high-dimensional line: does an L2 penalty lower the test loss, and is it weight decay?",
    study=study,
    checks=checks,
    watched=True,
    claims=[
        Claim("S4-1", "the test loss falls when the penalty is on", claim_test_loss_falls),
        Claim("S4-2", "the update is (1−λ)w − grad", claim_update, identity=True),
        Claim("S4-3", "an L2 penalty is weight decay", claim_is_weight_decay),
    ],
    bugs=[
        Bug(
            "the penalty inside the test loss",
            "history",
            lambda evidence: penalty_seen_inside(evidence.results, arm(20, 10.0), "test_all_loss"),
        ),
        Bug("the missing learning rate of the update", "one step in float64", missing_rate),
    ],
)
