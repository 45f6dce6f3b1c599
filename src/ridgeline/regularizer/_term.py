"""A term: one tensor of the model, its penalty, and how it enters training."""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from ridgeline.penalties import L2SP, MaxNorm, Penalty, Schedule, Sum, parts_of, sum_of
from ridgeline.regularizer._sharded import aligned, gathered, is_sharded, under_fsdp
from ridgeline.select import Assignment, Mode, current

REBIND = "call reg.bind(model, optimizer) with the ones in use."


@dataclass(frozen=True)
class Term:
    """What one row of the assignment does in training.

    Attributes:
        parameter: the tensor itself, or for an effective one the first leaf it is computed from.
        leaves: the parameters that an optimizer would hold.
        effective: the tensor is computed from other parameters (torch.nn.utils.parametrize); it is read
            anew at each use and has no place in an optimizer.
    """

    name: str
    module: nn.Module
    leaf: str
    parameter: nn.Parameter
    leaves: tuple[nn.Parameter, ...]
    penalty: Penalty
    mode: Mode
    effective: bool

    def tensor(self) -> Tensor:
        """The tensor as the module holds it now: torch.func and sharding exchange it."""
        if self.effective:
            return current(self.module, self.leaf)
        found: object = getattr(self.module, self.leaf)
        if found is self.parameter:
            return self.parameter
        if self.leaf not in self.module._parameters:  # pruning, or a parametrization, took its place
            raise RuntimeError(f"{self.name} is no parameter any more since it was regularized; {REBIND}")
        assert isinstance(found, Tensor)
        if self.sharded_since():
            raise RuntimeError(f"{self.name} was sharded since it was regularized; {REBIND}")
        return self.parameter if gathered(self.parameter, found, self.module) else found

    def sharded_since(self) -> bool:
        """Whether fully_shard exchanged the parameter after the term was made."""
        if self.effective or is_sharded(self.parameter) or not under_fsdp(self.module):
            return False
        return getattr(self.module, self.leaf) is not self.parameter

    def held(self) -> bool:
        """Whether the module holds the parameter, be it gathered for a pass."""
        return gathered(self.parameter, getattr(self.module, self.leaf), self.module)

    def parameters(self) -> tuple[nn.Parameter, ...]:
        """What an optimizer holds of this term."""
        return self.leaves

    def at(self, step: int) -> Penalty:
        """The penalty with its strength after `step` updates."""
        return at_step(self.penalty, step)


def at_step(penalty: Penalty, step: int) -> Penalty:
    """The penalty with each schedule read at one step."""
    if isinstance(penalty, Sum):
        return Sum([at_step(part, step) for part in penalty.parts]) if scheduled(penalty) else penalty
    strength = getattr(penalty, "strength", None)
    if isinstance(strength, Schedule):
        found: Penalty = penalty.with_strength(strength.at(step))  # type: ignore[attr-defined]  # has a strength
        return found
    return penalty


def scheduled(penalty: Penalty) -> bool:
    """Whether any strength is a schedule."""
    return any(isinstance(getattr(part, "strength", None), Schedule) for part in parts_of(penalty))


def has_constraint(penalty: Penalty) -> bool:
    """Whether a MaxNorm takes part."""
    return any(isinstance(part, MaxNorm) for part in parts_of(penalty))


def is_zero(penalty: Penalty) -> bool:
    """Whether the penalty is switched off: every strength is the number 0, and nothing constrains."""
    if has_constraint(penalty):
        return False
    strengths = [getattr(part, "strength", None) for part in parts_of(penalty)]
    return all(isinstance(s, float) and s == 0.0 for s in strengths)


def in_objective(term: Term) -> bool:
    """Whether the term belongs to the loss: its mode says so, and it is more than a constraint or nothing."""
    only_limits = all(isinstance(part, MaxNorm) for part in parts_of(term.penalty))
    return term.mode == "loss" and not only_limits and not is_zero(term.penalty)


def term_of(row: Assignment) -> Term:
    """The term of an assignment that has a penalty, with references taken (L2SP)."""
    assert row.penalty is not None
    assert row.mode is not None
    term = Term(
        name=row.name,
        module=row.module,
        leaf=row.leaf,
        parameter=row.parameter,
        leaves=row.leaves,
        penalty=row.penalty,
        mode=row.mode,
        effective=row.effective,
    )
    return replace(term, penalty=_attached(row.penalty, row.name, term.tensor()))


def _attached(penalty: Penalty, name: str, w: Tensor) -> Penalty:
    if isinstance(penalty, Sum):
        return Sum([_attached(part, name, w) for part in penalty.parts])
    if not isinstance(penalty, L2SP):
        return penalty
    penalty = penalty.attached(name, w)
    assert isinstance(penalty.reference, Tensor)
    return replace(penalty, reference=aligned(penalty.reference, w))


def references(terms: list[Term]) -> dict[str, Tensor]:
    """The weights that L2SP terms return to, by parameter name."""
    return {
        term.name: part.reference
        for term in terms
        for part in parts_of(term.penalty)
        if isinstance(part, L2SP) and isinstance(part.reference, Tensor)
    }


def restored(term: Term, kept: dict[str, Tensor]) -> Term:
    """The term with the reference kept for it, where there is one.

    Raises:
        ValueError: for a reference of another shape, which would be broadcast.
    """
    if term.name not in kept:
        return term
    if kept[term.name].shape != term.parameter.shape and not term.effective:
        raise ValueError(
            f"the reference kept for {term.name} has shape {tuple(kept[term.name].shape)}, the parameter "
            f"{tuple(term.parameter.shape)}; load a state of the same model."
        )
    w = aligned(kept[term.name], term.parameter)
    parts = [replace(p, reference=w) if isinstance(p, L2SP) else p for p in parts_of(term.penalty)]
    return replace(term, penalty=sum_of(parts))
