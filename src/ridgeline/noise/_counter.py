"""Counter-based random streams: every draw is a pure function of (seed, site, step, word, counter).

The generator is splitmix64 (Steele, Lea, Flood 2014): the i-th word of a stream with key k is
mix(k + i·γ), in wrap-around 64-bit integers, so that the same bits come out on every device, in any
order, alone or beside other streams.
"""

import hashlib
import math
from functools import lru_cache

import torch
from torch import Tensor

_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_MASK = (1 << 64) - 1


def _signed(value: int) -> int:
    """The two's-complement reading of a 64-bit word, as torch's int64 holds it."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _mix(value: int) -> int:
    value = ((value ^ (value >> 30)) * _MIX_1) & _MASK
    value = ((value ^ (value >> 27)) * _MIX_2) & _MASK
    return value ^ (value >> 31)


@lru_cache(maxsize=4096)
def _site_number(site: str) -> int:
    return int.from_bytes(hashlib.sha256(site.encode()).digest()[:8], "little")


def stream_key(seed: int, site: str, step: int = 0, word: int = 0) -> int:
    """The 64-bit key of one stream.

    Args:
        seed: the trial's seed, any integer ≥ 0.
        site: where the draw is used ("order", "weights/hidden1.weight", "dropout/0").
        step: the update or epoch, ≥ 0.
        word: a further index, for a site that draws more than once a step.

    Example:
        >>> hex(stream_key(0, "order"))
        '0x94c348b7161c740f'
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be an integer ≥ 0.")
    key = 0
    for part in (seed, _site_number(site), step, word):
        key = _mix((key + _GAMMA + part) & _MASK)
    return key


def words(key: int, n: int, device: torch.device | str = "cpu") -> Tensor:
    """The first n 64-bit words of a stream, int64 of shape (n,).

    Source: splitmix64; stream i is mix(key + i·γ), i = 1…n.
    """
    z = torch.arange(1, n + 1, dtype=torch.int64, device=device)
    z.mul_(_signed(_GAMMA)).add_(_signed(key))
    # int64 shifts are arithmetic: the mask makes them logical.
    for shift, factor in ((30, _MIX_1), (27, _MIX_2)):
        high = z >> shift
        z.bitwise_xor_(high.bitwise_and_((1 << (64 - shift)) - 1)).mul_(_signed(factor))
    high = z >> 31
    return z.bitwise_xor_(high.bitwise_and_((1 << 33) - 1))


def draws16(key: int, n: int, device: torch.device | str = "cpu") -> Tensor:
    """n uniform 16-bit integers in [-32768, 32767], int16 of shape (n,): four from each word."""
    return words(key, -(-n // 4), device).view(torch.int16)[:n]


def uniform(key: int, n: int, device: torch.device | str = "cpu") -> Tensor:
    """n uniform numbers in [0, 1), float64 of shape (n,), from the upper 53 bits of each word."""
    upper = (words(key, n, device) >> 11).bitwise_and_((1 << 53) - 1)
    return upper.to(torch.float64).mul_(2.0**-53)


def normal(key: int, n: int) -> Tensor:
    """n standard normal numbers, float64 of shape (n,) on the CPU, by Box and Muller (1958)."""
    half = -(-n // 2)
    u = uniform(key, 2 * half)
    radius = torch.sqrt(-2.0 * torch.log1p(-u[:half]))
    angle = (2.0 * math.pi) * u[half:]
    return torch.cat((radius * torch.cos(angle), radius * torch.sin(angle)))[:n]


def permutation(key: int, n: int) -> Tensor:
    """A uniform permutation of 0…n−1, int64 of shape (n,): the order that sorts n random words."""
    return torch.argsort(words(key, n), stable=True)
