"""Traps of the value: factors, norms, reports, references. One test a trap."""

import pytest
import torch
from torch import nn
from torch.optim import SGD

from ridgeline import L1, L2, L2SP, Norm, Rule, regularize
from ridgeline.select import default_selection
from tests.traps.models import line, mlp


def test_torchsample_42_the_strength_is_not_applied_twice() -> None:
    """torchsample#42: the strength entered once in the penalty and once more in the sum."""
    model = line()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[5.0, -2.0, -3.0, 1.0]]))
    reg = regularize(model, L2(0.5))
    assert reg.penalty().item() == 9.75
    assert float(reg.terms()["weight"]) == reg.log()["ridgeline/penalty"] == 9.75
    reg.penalty().backward()
    torch.testing.assert_close(model.weight.grad, 0.5 * model.weight.detach())
    assert regularize(model, L1(0.5)).penalty().item() == 5.5


def test_metric_learning_299_the_norm_is_not_its_square() -> None:
    """pytorch-metric-learning#299, S3: a factor 2, and the norm in place of its square."""
    model = line()
    w = model.weight.detach()
    for penalty, value, gradient in (
        (Norm(0.7), 0.7 * w.norm(), 0.7 * w / w.norm()),
        (L2(0.7), 0.35 * w.norm() ** 2, 0.7 * w),
    ):
        model.zero_grad()
        found = regularize(model, penalty).penalty()
        found.backward()
        torch.testing.assert_close(found.detach(), value)
        torch.testing.assert_close(model.weight.grad, gradient)


def test_llama_factory_5603_decay_towards_the_pretrained_weights() -> None:
    """LLaMA-Factory#5603, ms-swift#2189: L2-SP, asked for in vain; it survives another binding."""
    model = line()
    start = model.weight.detach().clone()
    reg = regularize(model, L2SP(2.0))
    assert reg.penalty().item() == 0
    with torch.no_grad():
        model.weight += 0.5
    assert reg.penalty().item() == pytest.approx(4 * 0.25)
    reg.bind(model)
    torch.testing.assert_close(reg.state_dict()["references"]["weight"], start)
    assert reg.penalty().item() == pytest.approx(4 * 0.25)


def test_allennlp_4436_decay_in_the_optimizer_reports_its_penalty() -> None:
    """AllenNLP#4436: with decay in the optimizer reg_loss reads 0 and is taken for a bug."""
    for mode in ("coupled", "decoupled", "independent", "proximal"):
        model = mlp()
        reg = regularize(model, L2(0.5), optimizer=SGD(model.parameters(), lr=0.1), mode=mode)
        value = 0.25 * sum(model[k].weight.square().sum().item() for k in (0, 3))
        assert reg.penalty().item() == pytest.approx(value)
        assert not reg.penalty().requires_grad


def test_allennlp_347_a_penalty_of_0_is_on_the_models_device() -> None:
    """AllenNLP PR#347: without a penalty, the zero was a tensor on the wrong device."""
    for strength in (0.0, 1.0):
        assert regularize(nn.Linear(2, 2, device="meta"), L2(strength)).penalty().device.type == "meta"


def test_torch_74815_a_strength_for_each_layer() -> None:
    """torch#74815, #53718: values per parameter, "impossible in vanilla"."""
    model = mlp()
    reg = regularize(model, [Rule("0.weight", L2(0.1)), Rule(default_selection, L1(0.2))])
    expected = 0.05 * model[0].weight.square().sum() + 0.2 * model[3].weight.abs().sum()
    torch.testing.assert_close(reg.penalty(), expected)
