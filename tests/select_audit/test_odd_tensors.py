"""Weights that are complex, empty, or without storage."""

import pytest
import torch
from torch import nn

from ridgeline import L2, Nuclear, regularize


def test_complex_weights_are_refused_with_the_rule_that_exempts_them() -> None:
    with pytest.raises(ValueError, match=r"complex64.*Rule\('weight', None\)"):
        regularize(nn.Linear(2, 2, dtype=torch.complex64), L2(0.1))


def test_a_model_on_the_meta_device_can_be_audited() -> None:
    row = regularize(nn.Linear(2, 2, device="meta"), L2(0.1)).audit().rows[0]
    assert row["penalised"]
    assert row["denormals"] == 0


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_the_nuclear_norm_of_an_empty_matrix_has_an_empty_gradient(shape: tuple[int, int]) -> None:
    assert Nuclear(0.1).gradient(torch.zeros(shape)).shape == shape
