"""S0's claims that are exact, and its bug: a penalty that reaches no weight."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import ridgeline
from ridgeline.recipes._evidence import curve, last_weights
from ridgeline.recipes._layers import one_conv
from ridgeline.recipes._mnist_conv_l2_claims import DEAD, LAST, MODELS, arm, lacking
from ridgeline.recipes._recipe import Evidence, Judgement, Outcome


def identity_outcome(right: bool) -> Outcome:
    """Of a claim that is exact."""
    return "reproduced" if right else "not reproduced"


def claim_units(evidence: Evidence) -> Judgement:
    """exact: w = [[5, −2], [−3, 1]], strength 0.5: L1 gives 5.5, L2 gives 9.75"""
    found = evidence.checks["units"]
    right = found == {"l1": 5.5, "l2": 9.75}
    said = f"L1 gives {found['l1']:g} and L2 {found['l2']:g}."
    return Judgement(identity_outcome(right), said, f"{found['l1']:g} / {found['l2']:g}", numbers=found)


def claim_only_the_ratio_counts(evidence: Evidence) -> Judgement:
    """SGD, float64, 200 steps, lr/10: max relative Δw ≤ 1e-10; Adam at the same lr: ≤ 1e-3, else state the size"""
    found = evidence.checks["ratio"]
    said = (
        f"under SGD the weights differ by {found['sgd']:.1e} of their size ({found['sgd_undivided']:.2g} with λ left "
        f"as it is), under Adam by {found['adam']:.2g}"
    )
    said += "." if found["adam"] <= 1e-3 else ", more than 1e-3: its ε counts where gradients are small."
    return Judgement(
        identity_outcome(found["sgd"] <= 1e-10),
        said,
        f"{found['sgd']:.0e} / {found['adam']:.0e}",
        numbers=found,
    )


def claim_dead_penalty(evidence: Evidence) -> Judgement:
    """`l2-as-published` and `none` bit-equal at every step, `assert_acting` raises for it and not for `l2`"""
    pairs = [(arm(model, DEAD), arm(model, "none")) for model in MODELS]
    pairs = [pair for pair in pairs if not lacking(evidence, *pair)]
    if not pairs:
        return Judgement("undecided", "no seed finished both with the penalty as published and without.")
    compared, unequal = 0, []
    for pair in pairs:
        seeds, found = differences(evidence, *pair)
        compared += seeds
        unequal += found
    raised = evidence.checks["acting"]
    right = not unequal and bool(raised[DEAD]) and not raised["l2"]
    bits = (
        f"differ in {', '.join(unequal)}"
        if unequal
        else "are bit-equal at every record and in the last weights"
    )
    said = (
        f"{compared} pairs of runs {bits}; assert_acting says for l2-as-published: "
        f"{raised[DEAD].partition(';')[0] or 'nothing'}; for l2: {raised['l2'].partition(';')[0] or 'nothing'}."
    )
    return Judgement(identity_outcome(right), said, numbers={"pairs": compared, "unequal": unequal})


def differences(evidence: Evidence, a: str, b: str) -> tuple[int, list[str]]:
    """How many seeds two arms share, and what of their runs is not bit-equal; the penalty's value apart."""
    results, found = evidence.results, []
    files = last_weights(results, a), last_weights(results, b)
    seeds = sorted(set(files[0]) & set(files[1]))
    ended = [_endings(evidence, label) for label in (a, b)]
    found += [
        f"{a}: seed {seed}, {ended[0][seed]} beside {ended[1][seed]}"
        for seed in sorted(ended[0].keys() & ended[1].keys())
        if ended[0][seed] != ended[1][seed]
    ]
    columns = [c for c in results.curves.columns if c not in ("trial_id", "seed", "step", "penalty")]
    ours, theirs = (curve(results, label, *columns).filter(pl.col("seed").is_in(seeds)) for label in (a, b))
    found += [f"{a}: {column}" for column in ["step", *columns] if not ours[column].equals(theirs[column])]
    for seed in seeds:
        left, right = (load_file(by[seed]) for by in files)
        same = left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
        found += [] if same else [f"{a}: last weights of seed {seed}"]
    return len(seeds), found


def _endings(evidence: Evidence, label: str) -> dict[int, str]:
    """How each seed of an arm ended, diverged or done."""
    rows = evidence.results.trials.filter(pl.col("arm") == label).select("seed", "status")
    return dict(rows.rows())


def claim_two_ways_of_writing(evidence: Evidence) -> Judgement:
    """exact, relative ≤ 1e-12"""
    found: Mapping[str, float] = evidence.checks["formulas"]
    said = (
        f"one formula differs from the collected losses by {found['collected']:.1e}, from the attached penalty by "
        f"{found['attached']:.1e}, and λΣw² from L2 at 2λ by {found['half']:.1e}, gradients included."
    )
    right = max(found.values()) <= 1e-12
    return Judgement(identity_outcome(right), said, f"{max(found.values()):.0e}", numbers=dict(found))


def named_by_audit(evidence: Evidence, kind: str) -> str:
    """What the audit of these arms' runs flags by assert_acting; empty where nothing."""
    table = Path(evidence.results.path) / "audit.parquet"
    if not table.is_file():
        return ""
    rows = evidence.results.trials.filter(pl.col("arm").is_in([arm(model, kind) for model in MODELS]))
    audit = pl.read_parquet(table).join(rows.select("trial_id"), on="trial_id")
    flags = audit.explode("flags").drop_nulls("flags")
    said = flags.filter(pl.col("flags").cast(pl.String).str.starts_with("assert_acting"))
    return "" if said.is_empty() else f"{said['name'][0]}: {said['flags'][0]}"


def dead_penalty(evidence: Evidence) -> str:
    """The audit of the runs as published."""
    return named_by_audit(evidence, DEAD)


def units() -> dict[str, float]:
    """L1 and L2 of the source's matrix."""
    w = torch.tensor([[5.0, -2.0], [-3.0, 1.0]])
    return {"l1": float(ridgeline.L1(0.5).value(w)), "l2": float(ridgeline.L2(0.5).value(w))}


def start() -> nn.Module:
    """A narrow one-conv in float64, always the same."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return one_conv(narrow=16).double()


def ratio(factor: float = 10.0, strength: float = 0.4, steps: int = 200) -> dict[str, float]:
    """How far data loss × 10 with λ ends from data loss with λ/10; as a control, under SGD, with λ itself."""
    sgd, adam = torch.optim.SGD, torch.optim.Adam
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on so small a model more threads only wait for each other
    try:
        ours = _trained(sgd, 1e-2 / factor, factor, strength, steps)
        under_adam = _trained(adam, 1e-4, factor, strength, steps)
        return {
            "sgd": _apart(ours, _trained(sgd, 1e-2, 1.0, strength / factor, steps)),
            "sgd_undivided": _apart(ours, _trained(sgd, 1e-2, 1.0, strength, steps)),
            "adam": _apart(under_adam, _trained(adam, 1e-4, 1.0, strength / factor, steps)),
        }
    finally:
        torch.set_num_threads(threads)


def _trained(
    kind: type[torch.optim.SGD] | type[torch.optim.Adam],
    lr: float,
    factor: float,
    strength: float,
    steps: int,
) -> list[Tensor]:
    """The parameters after training on made images, batches of 20 in a fixed order."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(80, 1, 28, 28, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 10, (80,), generator=generator)
    model = start()
    optimizer = kind(model.parameters(), lr=lr)
    rules = [ridgeline.Rule(LAST, ridgeline.L2(strength))]
    reg = ridgeline.regularize(model, rules, optimizer=optimizer)
    for step in range(steps):
        rows = slice(20 * (step % 4), 20 * (step % 4) + 20)
        optimizer.zero_grad()
        (factor * nn.functional.cross_entropy(model(x[rows]), y[rows]) + reg.penalty()).backward()
        optimizer.step()
    return [p.detach() for p in model.parameters()]


def _apart(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """The largest difference, relative to the largest element of its tensor."""
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(ours, theirs, strict=True))


def formulas(strength: float) -> dict[str, float]:
    """Penalties collected layer by layer, the attached one, and one formula over all weights; λΣw² without the ½."""
    model, l2 = start(), ridgeline.L2(strength)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    squares = torch.cat([w.flatten() for w in matrices]).square().sum()
    written = 0.5 * strength * squares
    collected = torch.stack([l2.value(w) for w in matrices]).sum()
    attached = ridgeline.regularize(model, l2).penalty()
    absorbed = ridgeline.L2(ridgeline.convert(strength, "keras.L2", "ridgeline.L2"))
    doubled = ridgeline.regularize(model, absorbed).penalty()
    pairs = {
        "collected": (collected, written),
        "attached": (attached, written),
        "half": (doubled, strength * squares),
    }
    return {name: _unlike(ours, theirs, matrices) for name, (ours, theirs) in pairs.items()}


def _unlike(ours: Tensor, theirs: Tensor, matrices: list[nn.Parameter]) -> float:
    """The relative difference of two terms, or of their gradients if that is larger."""
    a, b = (
        torch.cat([g.flatten() for g in torch.autograd.grad(one, matrices, retain_graph=True)])
        for one in (ours, theirs)
    )
    value, other = float(ours.detach()), float(theirs.detach())
    return max(abs(value - other) / abs(other), float((a - b).norm() / b.norm()))
