"""A tensor under every convention: the row of a comparison, and notes about rows."""

from dataclasses import dataclass

from ridgeline.select._conventions import Decision

LABELS = {
    "ridgeline": "our default",
    "weight_decay": "a bare weight_decay=",
    "timm": "timm",
    "huggingface": "Hugging Face",
}
# How a reason of our default begins, and what such tensors are called together.
CAUSES = {
    "normalization": "normalization parameters",
    "bias": "biases",
    "0-d": "scalars",
    "1-d": "vectors",
    "unknown": "tensors of 2 and more dimensions in modules of unknown type",
    "leaf of": "what a computed weight is made of",
    "length of": "lengths of a weight_norm",
    "weight of": "weights",
}
VECTORS = ("normalization", "bias", "0-d", "1-d")


@dataclass(frozen=True)
class Row:
    """One tensor of the model with the decision of each convention, and of the optimizer where one is given.

    Attributes:
        shape: None while a lazy parameter is not initialised.
        elements: 0 for an effective tensor, whose leaves have their own rows.
    """

    name: str
    shape: tuple[int, ...] | None
    elements: int
    tied: tuple[str, ...]
    trainable: bool
    effective: bool
    decisions: dict[str, Decision]

    @property
    def ours(self) -> Decision:
        """What our default does with it."""
        return self.decisions["ridgeline"]

    @property
    def cause(self) -> str:
        """How our reason begins, a key of CAUSES."""
        return next((start for start in CAUSES if self.ours.reason.startswith(start)), "other")

    def answers(self, *keys: str) -> tuple[bool | None, ...]:
        """Whether these decay it; all four conventions by default."""
        return tuple(self.decisions[key].decays for key in keys or LABELS)

    def differs(self, *keys: str) -> bool:
        """Whether these decide differently about a parameter; all four conventions by default."""
        return not self.effective and len(set(self.answers(*keys))) > 1


@dataclass(frozen=True)
class Note:
    """A sentence about some tensors; `kind` is for programs."""

    kind: str
    names: tuple[str, ...]
    sentence: str
