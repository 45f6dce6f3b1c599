"""Products of lanes, with operands laid so that a lane rounds alike wherever it stands."""

import torch
from torch import Tensor

from ridgeline.lanes._products import apart, by_lane
from ridgeline.lanes._stack import ROW

# The columns of one product of `one_output`: more would round by their place.
_COLUMN_BYTES = 64


def aligned(x: Tensor) -> Tensor:
    """x [L, m, n] with every lane at the start of a cache line: products round by where their matrices lie.

    Measured with MKL: of 37×6 matrices laid end to end, a few in a hundred elements differ by their place;
    where the second factor lies row by row, as in the gradient of x, so do those of the result.
    """
    if x.stride(2) == 1 and x.stride(1) == x.shape[2] and x.stride(0) % _row(x) == 0:
        return x
    if x.shape[1] * x.shape[2] % _row(x) == 0:
        return x.contiguous()
    return lined_up(x, *x.shape).copy_(x)


def lined_up(like: Tensor, lanes: int, m: int, n: int) -> Tensor:
    """Memory for [lanes, m, n] with every lane at the start of a cache line."""
    room = -(-m * n // _row(like)) * _row(like)
    return like.new_empty(lanes, room)[:, : m * n].view(lanes, m, n)


def _row(x: Tensor) -> int:
    return ROW * max(1, 4 // x.element_size())


def product(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    """x Wᵀ + b, [L, M, I] -> [L, M, O]."""
    if apart(x, w.mT):
        made = x.new_empty(len(x), x.shape[1], w.shape[1])
        by_lane(made, x, w.mT, b)
        return made
    return torch.bmm(x, w.mT) if b is None else torch.baddbmm(b[:, None], x, w.mT)


def one_output(x: Tensor, w: Tensor) -> Tensor:
    """x w of each lane, [L, M, I] and [L, I] -> [L, M, 1], lanes as columns of one product.

    Taken one by one they would read the same examples anew each time. Every product has as many columns, some
    of them of no lane: so a lane's rounding depends neither on its neighbours nor on whether they share.
    """
    most = _COLUMN_BYTES // max(w.element_size(), 4)
    together = most if x.stride(0) == 0 else 1
    columns, found = w.new_zeros(most, w.shape[1]), x.new_empty(len(x), x.shape[1], 1)
    for first in range(0, len(x), together):
        own = w[first : first + together]
        columns[: len(own)] = own
        found[first : first + together, :, 0] = (x[first] @ columns.t()).t()[: len(own)]
    return found
