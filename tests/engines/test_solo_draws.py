"""Solo: a trial is a pure function of its configuration and seed."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ridgeline.lanes._program import batches
from ridgeline.penalties import L2
from tests.engines.worlds import classes, column, named, own, penalty, same, trained


class Noisy(nn.Module):
    """A person's model that draws from torch's global generator in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.dropout(self.first(x).relu(), 0.5, self.training))  # type: ignore[no-any-return]


def test_a_trial_is_the_same_whatever_the_global_generator_and_leaves_it_alone() -> None:
    build = named("mlp", hidden=[7], dropout=0.3)
    outcomes = []
    for state in (1, 2):
        torch.manual_seed(state)
        before = torch.random.get_rng_state()
        outcomes.append(trained(classes(), build, penalty(L2, 0.01), optimizer="adam", seed=5))
        assert torch.equal(torch.random.get_rng_state(), before)
    assert same(*outcomes)
    assert outcomes[0].curves["batch_loss"][-1] is not None


def test_a_model_that_draws_from_the_global_generator_is_the_same_too() -> None:
    outcomes = []
    for state in (1, 2):
        torch.manual_seed(state)
        before = torch.random.get_rng_state()
        outcomes.append(trained(classes(), own(Noisy), foreign=True))
        assert torch.equal(torch.random.get_rng_state(), before)
    assert same(*outcomes)
    assert not same(outcomes[0], trained(classes(), own(Noisy), foreign=True, seed=1))


@pytest.mark.parametrize("options", [{}, {"dropout": 0.5}])
def test_seeds_differ(options: dict[str, float]) -> None:
    a, b = (trained(classes(), named("mlp", hidden=[7], **options), seed=seed) for seed in (0, 1))
    assert not same(a, b)
    assert column(a, "val_loss")[0] != column(b, "val_loss")[0]


def test_dropout_acts_in_training_and_not_in_evaluation() -> None:
    none, some = (trained(classes(), named("mlp", hidden=[7], dropout=rate), steps=1) for rate in (0.0, 0.5))
    assert none.curves["val_loss"][0] == some.curves["val_loss"][0]
    assert none.curves["batch_loss"][1] != some.curves["batch_loss"][1]


def test_every_epoch_is_a_permutation_with_a_partial_last_batch() -> None:
    made = list(batches(10, 4, seed=3, steps=7))
    assert [len(batch) for batch in made] == [4, 4, 2, 4, 4, 2, 4]
    first, second = torch.cat(made[:3]), torch.cat(made[3:6])
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(10))
    assert first.tolist() != second.tolist()


def test_the_order_depends_on_the_seed_alone() -> None:
    def epoch(batch_size: int, seed: int) -> list[int]:
        return torch.cat(list(batches(12, batch_size, seed, -(-12 // batch_size)))).tolist()

    assert epoch(5, seed=1) == epoch(12, seed=1) == epoch(100, seed=1)
    assert epoch(5, seed=1) != epoch(5, seed=2)
    assert list(batches(12, 5, 0, 0)) == []


def test_trials_of_one_seed_share_weights_and_order_across_arms() -> None:
    plain, strong = (trained(classes(), None, penalty(L2, s), steps=1, lr=1e-12) for s in (1e-9, 10.0))
    assert plain.curves["val_loss"][0] == strong.curves["val_loss"][0]
    assert plain.curves["batch_loss"][1] == strong.curves["batch_loss"][1]
