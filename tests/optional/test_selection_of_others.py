"""Our descriptions of timm and the Hugging Face Trainer, against the real ones where they are installed."""

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from ridgeline.select._conventions import huggingface, timm
from tests.select_audit.test_conventions import MODELS

PLANTED = [make for make, _ in MODELS if make.__name__ not in ("lazy", "wrapped")]
planted = pytest.mark.parametrize("make", PLANTED, ids=[make.__name__ for make in PLANTED])


def real(name: str) -> Any:
    """The library; the test is skipped, with the reason, where it cannot be used."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except Exception as error:  # a torchvision built for another torch ends in a RuntimeError
        pytest.skip(f"{name} cannot be imported: {type(error).__name__}: {str(error)[:200]}")


def ours(decisions: dict[str, Any]) -> set[str]:
    return {name for name, decision in decisions.items() if decision.decays}


def of_timm(model: nn.Module) -> set[str]:
    """What an optimizer made by timm decays."""
    optimizer = real("timm.optim").create_optimizer_v2(model, opt="sgd", lr=0.1, weight_decay=0.1)
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    return {name for name, p in model.named_parameters() if id(p) in decayed}


def of_trainer(model: nn.Module) -> set[str]:
    """What the Trainer puts into its group with weight decay."""
    named = real("transformers").Trainer.get_decay_parameter_names(None, model)
    return {name for name, p in model.named_parameters() if name in named and p.requires_grad}


@planted
def test_timm_on_the_planted_models(make: Callable[[], nn.Module]) -> None:
    assert ours(timm(make())) == of_timm(make())


@planted
def test_the_trainer_on_the_planted_models(make: Callable[[], nn.Module]) -> None:
    assert ours(huggingface(make())) == of_trainer(make())


@pytest.mark.parametrize(
    "name",
    ["resnet10t", "vit_tiny_patch16_224", "convnext_atto", "swin_tiny_patch4_window7_224", "mixer_s32_224"],
)
def test_models_of_timm(name: str) -> None:
    model = real("timm").create_model(name, pretrained=False)
    assert ours(timm(model)) == of_timm(model)


SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
CONFIGS = {
    "Bert": SMALL,
    "Llama": {**SMALL, "num_key_value_heads": 2},
    "Qwen3": {**SMALL, "num_key_value_heads": 2, "head_dim": 8},
    "GPT2": {"n_embd": 16, "n_layer": 1, "n_head": 2},
    "T5": {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2},
    "ViT": SMALL,
    "Mamba": {"hidden_size": 16, "num_hidden_layers": 1},
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_models_of_transformers(kind: str) -> None:
    transformers = real("transformers")
    size = {} if kind == "ViT" else {"vocab_size": 32}
    config = getattr(transformers, f"{kind}Config")(**CONFIGS[kind], **size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = getattr(transformers, f"{kind}Model")(config)
    assert ours(huggingface(model)) == of_trainer(model)
