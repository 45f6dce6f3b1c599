"""What a strength means elsewhere: each library's whole objective, and the coefficient that follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Kind: TypeAlias = Literal["L1", "L2"]
Loss: TypeAlias = Literal["mse", "half_mse", "cross_entropy"]

LOSSES: tuple[Loss, ...] = get_args(Loss)
# A squared error with its ½ is half of one without, so the same penalty beside it weighs twice as much.
WEIGHT: Mapping[Loss, float] = {"mse": 1.0, "half_mse": 0.5, "cross_entropy": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """One way to write a strength.

    Beside the data loss averaged over n samples, strength s stands for
        λ = factor · s, or factor / s where inverse, divided by n where over_n,
    λ being the coefficient of ½Σw² (L2) or Σ|w| (L1).

    Args:
        name: how `convert` calls it.
        kinds: which penalties it may scale.
        objective: the whole of what is minimised; n is the number of samples, ŷ the prediction.
        symbol: how the library writes the strength in it.
        losses: the data losses that the library itself brings; none: whichever you train with.
        condition: when the objective is this one.
    """

    name: str
    kinds: tuple[Kind, ...]
    objective: str
    symbol: str = "λ"
    factor: float = 1.0
    inverse: bool = False
    over_n: bool = False
    losses: tuple[Loss, ...] = ()
    condition: str = ""

    def coefficient(self, strength: float) -> float:
        """λ for a strength > 0, times n where over_n."""
        return self.factor / strength if self.inverse else self.factor * strength

    def strength(self, coefficient: float) -> float:
        """The strength for a coefficient > 0: the inverse of `coefficient`."""
        return self.factor / coefficient if self.inverse else coefficient / self.factor

    def own(self, loss: Loss) -> Loss | None:
        """The data loss that this convention's penalty stands beside when you train with `loss`.

        Without losses of its own that is `loss`; else its own squared error or its own log loss; None where it
        has no such loss.
        """
        if not self.losses:
            return loss
        same = [own for own in self.losses if (own == "cross_entropy") == (loss == "cross_entropy")]
        return same[0] if same else None

    def weight(self, loss: Loss) -> float:
        """What that data loss weighs: 1, or ½ for a squared error with its ½."""
        own = self.own(loss)
        assert own is not None
        return WEIGHT[own]


_FREE = "intercept not penalised"
_MLP = "n: the samples of one batch (all with lbfgs); biases not penalised"
_GLMNET = "standardize=FALSE; intercept not penalised"
_EVERY: tuple[Convention, ...] = (
    Convention(name="ridgeline.L1", kinds=("L1",), objective="mean loss + λ Σ|w|"),
    Convention(name="ridgeline.L2", kinds=("L2",), objective="mean loss + ½ λ Σw²"),
    Convention(
        name="torch.weight_decay",
        kinds=("L2",),
        objective="mean loss + ½ λ Σw²",
        condition="SGD and Adam, not AdamW; takes every parameter of its group, biases too",
    ),
    Convention(name="tf1.l1_regularizer", kinds=("L1",), objective="mean loss + λ Σ|w|"),
    Convention(name="tf1.l2_regularizer", kinds=("L2",), objective="mean loss + ½ λ Σw²"),
    Convention(name="keras.L1", kinds=("L1",), objective="mean loss + λ Σ|w|"),
    Convention(name="keras.L2", kinds=("L2",), objective="mean loss + λ Σw²", factor=2.0),
    Convention(name="allennlp.l1", kinds=("L1",), objective="mean loss + α Σ|w|", symbol="α"),
    Convention(name="allennlp.l2", kinds=("L2",), objective="mean loss + α Σw²", symbol="α", factor=2.0),
    Convention(
        name="sklearn.Ridge.alpha",
        kinds=("L2",),
        objective="Σ(y − ŷ)² + α Σw²",
        symbol="α",
        factor=2.0,
        over_n=True,
        losses=("mse",),
        condition=_FREE,
    ),
    Convention(
        name="sklearn.Lasso.alpha",
        kinds=("L1",),
        objective="Σ(y − ŷ)²/(2n) + α Σ|w|",
        symbol="α",
        losses=("half_mse",),
        condition=_FREE,
    ),
    Convention(
        name="sklearn.LogisticRegression.C",
        kinds=("L2", "L1"),
        objective="C Σ log loss + ½ Σw², or + Σ|w|",
        symbol="C",
        inverse=True,
        over_n=True,
        losses=("cross_entropy",),
        condition=f"{_FREE}, except by liblinear; two classes: one output",
    ),
    Convention(
        name="sklearn.MLP.alpha",
        kinds=("L2",),
        objective="mean log loss, or Σ(y − ŷ)²/(2n), + ½ (α/n) Σw²",
        symbol="α",
        over_n=True,
        losses=("half_mse", "cross_entropy"),
        condition=_MLP,
    ),
    Convention(
        name="glmnet.ridge",
        kinds=("L2",),
        objective="mean log loss, or Σ(y − ŷ)²/(2n), + ½ λ Σw²",
        losses=("half_mse", "cross_entropy"),
        condition=f"{_GLMNET}; gaussian: y of variance 1, else give glmnet λ·sd(y)",
    ),
    Convention(
        name="glmnet.lasso",
        kinds=("L1",),
        objective="mean log loss, or Σ(y − ŷ)²/(2n), + λ Σ|w|",
        losses=("half_mse", "cross_entropy"),
        condition=_GLMNET,
    ),
)
CONVENTIONS: Mapping[str, Convention] = {convention.name: convention for convention in _EVERY}


def conventions_table() -> str:
    """Every convention as a Markdown table: the objective, and what its strength is as ours."""
    rows = [
        ("convention", "what is minimised", "coefficient of ½Σw²", "coefficient of Σ|w|", "holds for"),
        ("---",) * 5,
        *((f"`{c.name}`", c.objective, _cell(c, "L2"), _cell(c, "L1"), c.condition) for c in _EVERY),
    ]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _cell(convention: Convention, kind: Kind) -> str:
    # The losses under which the coefficient is the same share one entry.
    if kind not in convention.kinds:
        return "–"
    beside: dict[str, list[str]] = {}
    for loss in LOSSES:
        if convention.own(loss) is not None:
            factor = convention.factor * WEIGHT[loss] / convention.weight(loss)
            beside.setdefault(_written(convention, factor), []).append(f"`{loss}`")
    if not convention.losses:
        return next(iter(beside))
    return "; ".join(f"{written} ({', '.join(losses)})" for written, losses in beside.items())


def _written(convention: Convention, factor: float) -> str:
    number = "" if factor == 1.0 else f"{factor:g}"
    if convention.inverse:
        return f"{number or 1}/(n{convention.symbol})"
    return f"{number}{convention.symbol}" + ("/n" if convention.over_n else "")
