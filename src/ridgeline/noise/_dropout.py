"""Dropout whose mask is a pure function of (seed, step, site)."""

from dataclasses import dataclass

from torch import Tensor, nn

from ridgeline.noise._counter import draws16, stream_key


@dataclass
class Clock:
    """Whose noise and of which update: the training loop sets `step`, layers only read."""

    seed: int
    step: int = 0


class Dropout(nn.Module):
    """Inverted dropout: y = x · m / q with m ~ Bernoulli(q), q = 1 − p rounded to a multiple of 2⁻¹⁶.

    Element i of the mask is the i-th 16-bit draw of the stream (seed, site, step, call), so a trial
    draws the same masks alone, beside others, and after a resume. The identity in evaluation mode.

    Args:
        p: the share of elements set to zero, in [0, 1]; p = 1 gives zeros.
        site: the layer's name in the stream.
        clock: seed and step; shared by all layers of a trial.

    Source: Srivastava et al. 2014, the inverted form of torch.nn.Dropout.

    Example:
        >>> import torch
        >>> drop = Dropout(0.5, "0", Clock(seed=3))
        >>> drop(torch.ones(8)).tolist()
        [0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0]
        >>> drop.eval()(torch.ones(2)).tolist()
        [1.0, 1.0]
    """

    def __init__(self, p: float, site: str, clock: Clock) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"dropout p is {p}; it must lie in [0, 1].")
        self.p = p
        self.site = f"dropout/{site}"
        self.clock = clock
        self._calls = (-1, 0)  # (step, calls in it): a layer used twice in a step draws twice

    def forward(self, x: Tensor) -> Tensor:
        keep = round((1.0 - self.p) * 65536)
        if not self.training or keep == 65536:
            return x
        if keep == 0:
            return x * 0.0
        step, calls = self._calls
        calls = calls + 1 if step == self.clock.step else 0
        self._calls = (self.clock.step, calls)
        key = stream_key(self.clock.seed, self.site, self.clock.step, calls)
        kept = (draws16(key, x.numel(), x.device) < keep - 32768).view(x.shape)
        return x * kept.to(x.dtype).mul_(65536 / keep)

    def extra_repr(self) -> str:
        return f"p={self.p}, site={self.site!r}"


def install_dropout(model: nn.Module, clock: Clock, p: float | None = None) -> int:
    """Exchange every nn.Dropout of a model for ours, in place; returns how many there were.

    Args:
        p: the rate for all of them; None keeps each layer's own.
    """
    exchanged: dict[nn.Module, Dropout] = {}
    for parent in list(model.modules()):
        # Not named_children(): it hides the second place of a shared layer.
        for name, child in list(parent._modules.items()):
            if type(child) is nn.Dropout:
                if child not in exchanged:
                    replacement = Dropout(child.p if p is None else p, str(len(exchanged)), clock)
                    exchanged[child] = replacement.train(child.training)
                setattr(parent, name, exchanged[child])
    return len(exchanged)
