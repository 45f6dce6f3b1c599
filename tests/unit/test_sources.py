"""The named sets that are made or shipped: digits, and the high-dimensional line."""

import pytest
import torch
from sklearn.datasets import load_digits

from ridgeline.data import SOURCES, Data, draw
from ridgeline.data._examples import ArrayExamples
from ridgeline.noise import normal, stream_key


def part(data: Data, name: str) -> ArrayExamples:
    examples = data.sets[name]
    assert isinstance(examples, ArrayExamples)
    return examples


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_line_is_xw_plus_b_plus_noise(name: str) -> None:
    """Against float64 on the inputs' own draws: y − Xw − b is the noise stream, scaled."""
    data = draw(SOURCES["linear"](n_inputs=30, n_train=500, weight=0.3, bias=-2.0, noise=0.1), 6)
    examples = part(data, name)
    seed = 0 if name == "test" else 6
    x = normal(stream_key(seed, f"line/x/{name}"), len(examples) * 30).view(-1, 30)
    w = torch.full((30, 1), 0.3, dtype=torch.float64)
    residual = examples.y.double() - (x @ w - 2.0)
    epsilon = normal(stream_key(seed, f"line/noise/{name}"), len(examples))[:, None]
    assert torch.allclose(examples.x.double(), x, rtol=1e-6, atol=1e-7)
    assert torch.allclose(residual, 0.1 * epsilon, atol=1e-5)


def test_line_has_its_sizes_and_its_laws() -> None:
    data = draw(SOURCES["linear"](n_inputs=20, n_train=4000, n_val=30, n_test=40, noise=0.5), 1)
    assert [len(examples) for examples in data.sets.values()] == [4000, 30, 40]
    assert (data.task, data.n_outputs, data.input_shape) == ("regression", 1, (20,))
    train = part(data, "train")
    residual = train.y - 0.01 * train.x.sum(1, keepdim=True) - 0.05
    assert abs(float(residual.std()) - 0.5) < 4 * 0.5 / 8000**0.5
    assert abs(float(train.x.mean())) < 4 / 80_000**0.5
    assert abs(float(train.x.std()) - 1) < 4 / 160_000**0.5


def test_line_draws_train_and_val_by_the_seed_and_test_once() -> None:
    a, b = (draw(SOURCES["linear"](), seed).digests() for seed in (0, 1))
    assert a["test"] == b["test"]
    assert a["train"] != b["train"]
    assert a["val"] != b["val"]
    assert len(set(a.values())) == 3
    assert draw(SOURCES["linear"](), 1).digests() == b


def test_digits_are_scikit_learns_with_a_fixed_test_set() -> None:
    runs = [draw(SOURCES["digits"](), seed, n_train=200) for seed in (0, 1)]
    assert [len(examples) for examples in runs[0].sets.values()] == [200, 1200, 397]
    assert runs[0].digests()["test"] == runs[1].digests()["test"]
    assert runs[0].digests()["train"] != runs[1].digests()["train"]
    images, labels = load_digits(return_X_y=True)
    rows = torch.cat([part(runs[0], name).ids for name in runs[0].sets])
    assert rows.sort().values.tolist() == list(range(1797))
    test = part(runs[0], "test")
    assert torch.equal(test.x.flatten(1) * 16, torch.from_numpy(images).float()[test.ids])
    assert torch.equal(test.y, torch.from_numpy(labels)[test.ids])
    assert (runs[0].input_shape, runs[0].n_outputs) == ((1, 8, 8), 10)
