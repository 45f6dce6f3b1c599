"""Laws of lanes: a penalty with one strength a lane is the single penalties, stacked."""

import pytest
import torch
from torch import Tensor

from ridgeline.penalties import L1, L2, GroupLasso, Penalty
from tests.laws._table import LANES, PENALTIES

NAMES = list(PENALTIES)
ROWS = ["GroupLasso", "Norm", "Norm-1", "Norm-1.5", "MaxNorm", "L1+GroupLasso", "L2+MaxNorm"]  # 1-d is enough
CASES = [
    *((name, (2, 3)) for name in NAMES),
    *((name, (2, 3, 2)) for name in NAMES),
    *((name, (3,)) for name in [*ROWS, *(n for n in NAMES if PENALTIES[n].separable)]),
    *((name, ()) for name in ["Norm", "Norm-1", *(n for n in NAMES if PENALTIES[n].separable)]),
]


def per_lane(tensor: Tensor) -> Tensor:
    """The largest absolute value of each lane, shaped to divide the tensor."""
    largest = tensor.abs().reshape(len(tensor), -1).amax(1).clamp_min(1e-30)
    return largest.view(-1, *([1] * (tensor.ndim - 1)))


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_lanes_are_the_single_lanes_stacked(name: str, shape: tuple[int, ...]) -> None:
    member = PENALTIES[name]
    w = torch.randn(len(LANES), *shape, generator=torch.Generator().manual_seed(1))
    step = torch.rand(w.shape, generator=torch.Generator().manual_seed(2))
    packed = member.make(torch.tensor(LANES))
    alone: list[tuple[Penalty, Tensor]] = [(member.make(s), x) for s, x in zip(LANES, w, strict=True)]
    assert torch.allclose(packed.value(w), torch.stack([p.value(x) for p, x in alone]), rtol=1e-5)
    pairs = [(packed.gradient(w), [p.gradient(x) for p, x in alone])]
    if packed.has_prox:
        pairs.append((packed.prox(w, 0.7), [p.prox(x, 0.7) for p, x in alone]))
        if member.tensor_step:
            each = [p.prox(x, s) for (p, x), s in zip(alone, step, strict=True)]
            pairs.append((packed.prox(w, step), each))
    for got, singles in pairs:
        expected = torch.stack(singles)
        assert torch.allclose(got / per_lane(expected), expected / per_lane(expected), rtol=0, atol=1e-5)


def test_a_neighbour_never_changes_a_lane() -> None:
    """A lane of NaN or of huge weights leaves the others bit for bit as they are."""
    for name, member in PENALTIES.items():
        if name.startswith(("Nuclear", "Orthogonal")):
            continue  # a batched decomposition refuses NaN for all
        penalty = member.make(torch.tensor(LANES))
        w = torch.randn(len(LANES), 2, 3, generator=torch.Generator().manual_seed(3))
        for bad in (float("nan"), 1e30):
            other = w.clone()
            other[2] = bad
            keep = [0, 1, 3, 4]
            assert torch.equal(penalty.value(w)[keep], penalty.value(other)[keep]), name
            assert torch.equal(penalty.gradient(w)[keep], penalty.gradient(other)[keep]), name
            if penalty.has_prox:
                assert torch.equal(penalty.prox(w, 0.7)[keep], penalty.prox(other, 0.7)[keep]), name
            if penalty.has_prox and member.tensor_step:
                step = torch.rand(w.shape, generator=torch.Generator().manual_seed(4)) + 0.01
                assert torch.equal(penalty.prox(w, step)[keep], penalty.prox(other, step)[keep]), name


def test_a_sum_of_lanes_and_one_number_is_refused() -> None:
    for other in (L2(0.1), GroupLasso(0.1)):
        with pytest.raises(ValueError, match=r"one strength a lane, .* to all of its parts, or to none"):
            L1(torch.tensor([0.1, 0.2])) + other
