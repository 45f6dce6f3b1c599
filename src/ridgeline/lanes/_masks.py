"""Dropout of a pack: the masks that each lane draws alone, drawn for all lanes at once."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from ridgeline.noise import Dropout
from ridgeline.noise._counter import _GAMMA, _MIX_1, _MIX_2, _signed, stream_key


def words_of(keys: Tensor, n: int) -> Tensor:
    """The first n 64-bit words of the stream of each key: int64 (S,) -> (S, n); row i is words(keys[i], n)."""
    z = torch.arange(1, n + 1, dtype=torch.int64, device=keys.device).mul_(_signed(_GAMMA)) + keys[:, None]
    for shift, factor in ((30, _MIX_1), (27, _MIX_2)):
        high = z >> shift
        z.bitwise_xor_(high.bitwise_and_((1 << (64 - shift)) - 1)).mul_(_signed(factor))
    high = z >> 31
    return z.bitwise_xor_(high.bitwise_and_((1 << 33) - 1))


@lru_cache(maxsize=65536)
def _key(seed: int, site: str, step: int, call: int) -> int:
    return _signed(stream_key(seed, site, step, call))


class Sources:
    """Whose noise each lane reads, and of which update; lanes of one seed share their draws.

    Attributes:
        step: the update, set by the loop.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self.all, self.device = list(seeds), device
        self.step = 0
        self.begin(0, len(seeds))

    def begin(self, first: int, last: int) -> None:
        """A forward pass of these lanes."""
        self.first, self.last = first, last
        self._calls: dict[str, tuple[int, int]] = {}

    def draws(self, site: str, n: int) -> Tensor:
        """n 16-bit draws a lane, int16 [L, n], as `Dropout` draws them alone; a second call draws anew."""
        step, calls = self._calls.get(site, (-1, 0))
        calls = calls + 1 if step == self.step else 0
        self._calls[site] = (self.step, calls)
        seeds, which = _whose(tuple(self.all[self.first : self.last]))
        keys = [_key(seed, site, self.step, calls) for seed in seeds]
        found = words_of(torch.tensor(keys, device=self.device), -(-n // 4)).view(torch.int16)[:, :n]
        return found if which == tuple(range(len(seeds))) else found[torch.tensor(which, device=self.device)]


@lru_cache(maxsize=1024)
def _whose(seeds: tuple[int, ...]) -> tuple[list[int], tuple[int, ...]]:
    """The seeds, each once, and the place of each lane's among them."""
    each = sorted(set(seeds))
    return each, tuple(each.index(seed) for seed in seeds)


class LaneDropout:
    """Inverted dropout with a rate per lane: y = x · m / q as `ridgeline.noise.Dropout`, bit for bit.

    Args:
        rates: p of each lane, in [0, 1].
        site: the layer's name in the stream.
    """

    def __init__(self, rates: Sequence[float], site: str, sources: Sources) -> None:
        self.site, self.sources = site, sources
        keeps = [round((1.0 - p) * 65536) for p in rates]
        self.off = all(keep == 65536 for keep in keeps)
        device = sources.device
        # A draw d counts as kept when d ≤ keep − 32769; where nothing is kept, the scale is 0 instead.
        limits = [max(keep - 32769, -32768) for keep in keeps]
        self.limit = torch.tensor(limits, dtype=torch.int16, device=device)[:, None]
        self.scale = torch.tensor(
            [65536 / keep if keep else 0.0 for keep in keeps], dtype=torch.float64, device=device
        )[:, None]

    def factors(self, x: Tensor) -> Tensor:
        """What to multiply x [L, B, …] by, like x."""
        own = slice(self.sources.first, self.sources.last)
        kept = self.sources.draws(self.site, x[0].numel()) <= self.limit[own]
        return kept.to(x.dtype).mul_(self.scale[own].to(x.dtype)).view(x.shape)


def dropouts(model: nn.Module) -> list[Dropout]:
    """The dropout layers of one lane's model, each once, in the order of its modules."""
    return [module for module in model.modules() if isinstance(module, Dropout)]
