"""Every distinct tensor of a model with its owners: parameters, and weights computed from parameters."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from ridgeline.select._rule import plain_name


@dataclass(frozen=True)
class OwnedTensor:
    """A tensor of the model with the name and the module of each owner; a tied one has several.

    Attributes:
        leaf: the attribute of the first owner that holds it.
        parameter: the parameter; of an effective tensor, the first leaf that needs a gradient.
        leaves: the parameters behind it.
        leaf_names: the attributes that an effective tensor is computed from.
    """

    owners: list[tuple[str, nn.Module]]
    leaf: str
    parameter: nn.Parameter
    leaves: tuple[nn.Parameter, ...]
    leaf_names: tuple[str, ...] = ()

    @property
    def effective(self) -> bool:
        """Whether the tensor is computed from parameters."""
        return bool(self.leaf_names)

    @property
    def trainable(self) -> bool:
        """Whether any parameter behind it asks for a gradient."""
        return any(p.requires_grad for p in self.leaves)

    @property
    def names(self) -> list[str]:
        """Every name, the first owner's first."""
        return [name for name, _ in self.owners]

    @property
    def module(self) -> nn.Module:
        """The first owner."""
        return self.owners[0][1]


def owned_tensors(model: nn.Module) -> list[OwnedTensor]:
    """Parameters in the model's order; an effective tensor stands before its leaves."""
    found: dict[object, OwnedTensor] = {}
    named: dict[str, object] = {}

    def add(key: object, full: str, module: nn.Module, new: OwnedTensor) -> None:
        name = plain_name(full)
        if named.setdefault(name, key) != key:  # a child that is really called `module`
            name = full
        known = found.setdefault(key, new)
        if name not in known.names:
            known.owners.append((name, module))

    for prefix, module in model.named_modules(remove_duplicate=False):
        dot = f"{prefix}." if prefix else ""
        for leaf, behind in _computed(module):
            leaves = tuple(behind.values())
            first = next((p for p in leaves if p.requires_grad), leaves[0])
            add((id(module), leaf), dot + leaf, module, OwnedTensor([], leaf, first, leaves, tuple(behind)))
        for leaf, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            add(id(parameter), dot + leaf, module, OwnedTensor([], leaf, parameter, (parameter,)))
    return list(found.values())


def current(module: nn.Module, leaf: str) -> Tensor:
    """The tensor as the module holds it now; an effective weight computed anew, with a graph to its leaves.

    Reading one is free of side effects: spectral_norm's power iteration advances in the model's own
    forward pass only, so that the penalty is taken of the weight which that pass used.
    """
    hook = _old_hook(module, leaf)
    if isinstance(hook, WeightNorm):
        found = hook.compute_weight(module)
    elif isinstance(hook, SpectralNorm):
        found = hook.compute_weight(module, do_power_iteration=False)
    elif parametrize.is_parametrized(module, leaf):
        found = _in_evaluation(module, leaf)
    else:
        found = getattr(module, leaf)
    assert isinstance(found, Tensor)
    return found


def _in_evaluation(module: nn.Module, leaf: str) -> Tensor:
    assert isinstance(module.parametrizations, nn.ModuleDict)
    listed = module.parametrizations[leaf]
    training = [m for m in listed.modules() if m.training and any(True for _ in m.buffers(recurse=False))]
    try:
        for m in training:
            m.training = False
        found: Tensor = getattr(module, leaf)
        return found
    finally:
        for m in training:
            m.training = True


def _computed(module: nn.Module) -> Iterator[tuple[str, dict[str, nn.Parameter]]]:
    """Each effective tensor of a module with the parameters it is computed from, by name."""
    if parametrize.is_parametrized(module):
        assert isinstance(module.parametrizations, nn.ModuleDict)
        for leaf, listed in module.parametrizations.items():
            behind = dict(listed.named_parameters())
            if behind:
                yield leaf, behind
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, (WeightNorm, SpectralNorm)):
            names = [hook.name + end for end in ("_g", "_v", "_orig")]
            yield hook.name, {name: p for name, p in module.named_parameters(recurse=False) if name in names}


def _old_hook(module: nn.Module, leaf: str) -> WeightNorm | SpectralNorm | None:
    """The old-style torch.nn.utils.weight_norm or spectral_norm that computes this attribute."""
    if torch.compiler.is_compiling() or not module._forward_pre_hooks:
        return None
    hooks = module._forward_pre_hooks.values()
    return next((h for h in hooks if isinstance(h, (WeightNorm, SpectralNorm)) and h.name == leaf), None)
