"""Recurrent layers written out in operations that torch.func.vmap knows; it has no rule for torch's own kernels."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ridgeline.lanes._stack import ROW

State = tuple[Tensor, ...]


def unrolled(model: nn.Module) -> None:
    """Have each recurrent layer and cell of a model compute itself in such operations; in place.

    They stay what they are, with the same parameters and settings.
    """
    for module in model.modules():
        if type(module) in _WRITTEN_OUT:
            module.__class__ = _WRITTEN_OUT[type(module)]


class _Unrolled(nn.RNNBase):
    """The forward pass of nn.RNN, nn.LSTM and nn.GRU, to rounding."""

    def forward(self, x: Tensor, hx: Any = None) -> Any:
        if not isinstance(x, Tensor):
            raise NotImplementedError("packed sequences have no form for lanes")
        if self.proj_size:
            raise NotImplementedError("projections of an LSTM have no form for lanes")
        if self.dropout and self.training and self.num_layers > 1:
            raise NotImplementedError("a recurrent layer's own dropout draws at random by itself")
        lstm, single = self.mode == "LSTM", x.ndim == 2
        given = () if hx is None else tuple(hx) if lstm else (hx,)
        if single:
            x, given = x.unsqueeze(1), tuple(each.unsqueeze(1) for each in given)
        elif self.batch_first:
            x = x.transpose(0, 1)
        # Whole cache lines of examples: products round by where in a line a lane's matrices begin.
        examples, fill = x.shape[1], (0, 0, 0, -x.shape[1] % ROW)
        x, given = F.pad(x, fill), tuple(F.pad(each, fill) for each in given)
        ends: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for reverse in range(1 + self.bidirectional):
                zeros = x.new_zeros(x.shape[1], self.hidden_size)
                start = tuple(each[len(ends)] for each in given) or (zeros, zeros)[: 1 + lstm]
                output, end = self._course(x, start, f"_l{layer}" + "_reverse" * reverse)
                outputs.append(output)
                ends.append(end)
            x = torch.cat(outputs, -1) if self.bidirectional else outputs[0]
        x = x[:, :examples]
        last = [torch.stack(each)[:, :examples] for each in zip(*ends, strict=True)]
        if single:
            x, last = x.squeeze(1), [each.squeeze(1) for each in last]
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, (tuple(last) if lstm else last[0])

    def _course(self, x: Tensor, state: State, suffix: str) -> tuple[Tensor, State]:
        """One direction of one layer: x (T, B, I) -> the outputs (T, B, H) and the state after the last step."""
        w, w_h = (getattr(self, f"weight_{of}{suffix}") for of in ("ih", "hh"))
        b, b_h = (getattr(self, f"bias_{of}{suffix}") if self.bias else None for of in ("ih", "hh"))
        steps: Sequence[Tensor] = F.linear(x.flatten(0, 1), w, b).unflatten(0, x.shape[:2]).unbind(0)
        found = []
        backwards = suffix.endswith("reverse")
        for gates in reversed(steps) if backwards else steps:
            state = _step(self.mode, gates, state, w_h, b_h)
            found.append(state[0])
        return torch.stack(found[::-1] if backwards else found), state


def _step(mode: str, gates: Tensor, state: State, w: Tensor, b: Tensor | None) -> State:
    """The state after one step.

    Args:
        gates: what the input gives, W x + b, (B, 1, 3 or 4 times H).
        state: (h,), and of an LSTM (h, c).
        w, b: what the state is multiplied by.

    Sigmoids are taken of slices, row by row: over lanes end to end they would round by a lane's place.
    """
    h = state[0]
    own = F.linear(h, w, b)
    if mode == "GRU":
        size = h.shape[-1]
        reset, update = (gates[..., : 2 * size] + own[..., : 2 * size]).chunk(2, -1)
        new = (gates[..., 2 * size :] + reset.sigmoid() * own[..., 2 * size :]).tanh()
        return ((h - new) * update.sigmoid() + new,)
    total = gates + own
    if mode == "LSTM":
        i, f, g, o = total.chunk(4, -1)
        c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
    return (total.tanh() if mode == "RNN_TANH" else total.relu(),)


class _UnrolledCell(nn.RNNCellBase):
    """The forward pass of nn.RNNCell, nn.LSTMCell and nn.GRUCell, to rounding."""

    def forward(self, x: Tensor, hx: Any = None) -> Any:
        lstm = isinstance(self, nn.LSTMCell)
        mode = (
            "LSTM" if lstm else "GRU" if isinstance(self, nn.GRUCell) else f"RNN_{self.nonlinearity}".upper()
        )
        zeros = x.new_zeros(*x.shape[:-1], self.hidden_size)
        state = (zeros, zeros)[: 1 + lstm] if hx is None else tuple(hx) if lstm else (hx,)
        found = _step(mode, F.linear(x, self.weight_ih, self.bias_ih), state, self.weight_hh, self.bias_hh)
        return found if lstm else found[0]


_WRITTEN_OUT: dict[type[nn.Module], type[nn.Module]] = {
    kind: type(kind.__name__, (base, kind), {})
    for base, kinds in (
        (_Unrolled, (nn.RNN, nn.LSTM, nn.GRU)),
        (_UnrolledCell, (nn.RNNCell, nn.LSTMCell, nn.GRUCell)),
    )
    for kind in kinds
}
