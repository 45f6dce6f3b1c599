"""Dropout: its expectation, its masks as functions of (seed, step, site, call), and its installation."""

import math

import pytest
import torch
from torch import Tensor, nn

from ridgeline.noise import Clock, Dropout, draws16, install_dropout, stream_key


def mask(p: float, clock: Clock, site: str = "0", n: int = 256) -> Tensor:
    return Dropout(p, site, clock).forward(torch.ones(n)).ne(0)


def test_p_0_and_evaluation_are_the_identity_bitwise() -> None:
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert Dropout(0.0, "0", Clock(1))(x) is x
    assert Dropout(0.7, "0", Clock(1)).eval()(x) is x


def test_p_1_gives_zeros() -> None:
    assert Dropout(1.0, "0", Clock(1))(torch.randn(50)).abs().max() == 0


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_expectation(p: float, dtype: torch.dtype) -> None:
    n = 1_000_000
    y = Dropout(p, "0", Clock(3, 17))(torch.ones(n, dtype=dtype)).double()
    assert abs(float(y.mean()) - 1) < 4 * math.sqrt(p / (1 - p) / n)
    assert y.unique().tolist() == pytest.approx([0, 1 / (1 - p)], abs=1e-3)


def test_elements_are_dropped_independently_of_their_value() -> None:
    x = torch.arange(1.0, 257.0)
    y = Dropout(0.4, "0", Clock(2, 5))(x)
    kept = mask(0.4, Clock(2, 5))
    assert torch.equal(y != 0, kept)
    assert torch.allclose(y[kept], x[kept] / 0.6, rtol=1e-4)


def test_mask_is_the_streams_16_bit_draws() -> None:
    keep = round(0.7 * 65536)
    draws = draws16(stream_key(7, "dropout/0", 3), 256)
    assert torch.equal(mask(0.3, Clock(7, 3)), draws.int() + 32768 < keep)
    assert mask(0.3, Clock(7, 3))[:12].int().tolist() == [1, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 0]


def test_masks_depend_on_seed_step_site_and_call() -> None:
    base = mask(0.5, Clock(1, 2), "0")
    assert torch.equal(base, mask(0.5, Clock(1, 2), "0"))
    assert not torch.equal(base, mask(0.5, Clock(2, 2), "0"))
    assert not torch.equal(base, mask(0.5, Clock(1, 3), "0"))
    assert not torch.equal(base, mask(0.5, Clock(1, 2), "1"))


def test_a_step_repeats_its_calls_in_order() -> None:
    clock = Clock(1, 2)
    drop, x = Dropout(0.5, "0", clock), torch.ones(256)
    first, second = drop(x), drop(x)
    clock.step = 3
    third = drop(x)
    clock.step = 2
    assert torch.equal(drop(x), first)
    assert torch.equal(drop(x), second)
    assert not torch.equal(first, second)
    assert not torch.equal(first, third)


def test_evaluation_counts_no_call() -> None:
    drop, x = Dropout(0.5, "0", Clock(1, 2)), torch.ones(256)
    drop.eval()(x)
    assert torch.equal(drop.train()(x) != 0, mask(0.5, Clock(1, 2)))


def test_the_global_generator_is_neither_read_nor_changed() -> None:
    results = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        results.append(mask(0.5, Clock(4)))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*results)


def test_gradient_passes_through_the_mask() -> None:
    x = torch.ones(256, requires_grad=True)
    y = Dropout(0.5, "0", Clock(4))(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())
    assert 0 < int((x.grad == 0).sum()) < 256


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_its_dtype_and_mask(dtype: torch.dtype) -> None:
    y = Dropout(0.75, "0", Clock(0))(torch.ones(4096, dtype=dtype))
    assert y.dtype == dtype
    assert torch.equal(y != 0, mask(0.75, Clock(0), n=4096))
    assert y.max() == 4


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_p_out_of_range_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match=r"dropout p is .*\[0, 1\]"):
        Dropout(p, "0", Clock(0))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        install_dropout(nn.Sequential(nn.Dropout()), Clock(0), p)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.2))
        self.alpha = nn.AlphaDropout(0.3)
        self.flat = nn.Dropout2d(0.4)
        self.none: nn.Module | None = None


def test_install_exchanges_nested_dropout_and_only_these() -> None:
    model = nn.Sequential(Block(), nn.Dropout(0.1).eval())
    clock = Clock(3)
    assert install_dropout(model, clock) == 2
    ours = [m for m in model.modules() if isinstance(m, Dropout)]
    assert [(m.p, m.training, m.clock is clock) for m in ours] in (
        [(0.2, True, True), (0.1, False, True)],
        [(0.1, False, True), (0.2, True, True)],
    )
    assert len({m.site for m in ours}) == 2
    kinds = {type(m) for m in model.modules()}
    assert nn.Dropout not in kinds
    assert {nn.AlphaDropout, nn.Dropout2d} <= kinds
    assert install_dropout(model, clock) == 0


def test_install_reaches_every_place_of_a_shared_layer() -> None:
    shared = nn.Dropout(0.5)
    inner = nn.Sequential(nn.ReLU(), shared)
    model = nn.Sequential(shared, inner, shared)
    assert install_dropout(model, Clock(3)) == 1
    assert not any(type(m) is nn.Dropout for m in model.modules())
    assert model[0] is model[2] is inner[1]


def test_install_sets_a_common_rate() -> None:
    model = nn.Sequential(nn.Dropout(0.1), nn.Dropout(0.2))
    install_dropout(model, Clock(0), 0.7)
    assert [m.p for m in model.modules() if isinstance(m, Dropout)] == [0.7, 0.7]
