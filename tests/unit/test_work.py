"""How much work a model is: against counts by hand."""

import torch
from torch import Tensor, nn

from ridgeline.lanes import Work, work_of


def test_a_linear_model_by_hand() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    found = work_of(model, torch.ones(2, 8, 8))
    assert found == Work(
        parameters=64 * 32 + 32 + 32 * 10 + 10,
        multiply_adds=64 * 32 + 32 * 10,
        numbers=32 + 32 + 10,
        operations=3,
    )


def test_a_convolution_counts_each_place() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))
    found = work_of(model, torch.ones(2, 1, 6, 6))
    assert found.multiply_adds == 36 * 4 * 9 + 4 * 36 * 10
    assert found.numbers >= 4 * 36 + 4 * 36 + 10


class Odd(nn.Module):
    """Draws at random, and fails while it is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.calls = nn.Parameter(torch.ones(4, 3)), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > 1:
            raise RuntimeError("once only")
        return x @ self.weight + torch.rand(3)


def test_counting_leaves_no_trace_and_never_fails() -> None:
    model = Odd().train()
    x = torch.ones(2, 4)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    assert work_of(model, x).multiply_adds == 12
    assert model.training
    assert torch.equal(torch.rand(3), expected)
    assert model.weight.grad is None
    assert work_of(model, x) == Work(parameters=12, multiply_adds=12, numbers=12, operations=1)


def test_what_cannot_be_counted_is_a_multiply_add_a_parameter() -> None:
    model = nn.Embedding(50, 4)
    found = work_of(model, torch.zeros(2, 3, dtype=torch.int64))
    assert (found.multiply_adds, found.numbers) == (200, 12)
