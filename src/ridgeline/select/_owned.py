"""Every distinct tensor of a model with its owner: parameters, and weights computed from parameters."""

from dataclasses import dataclass

from torch import nn
from torch.nn.utils import parametrize

from ridgeline.select._rule import plain_name


@dataclass(frozen=True)
class OwnedTensor:
    """A tensor of the model, with all its names (a tied one has several) and its first owner.

    Attributes:
        parameter: the parameter; of an effective tensor, the first leaf that needs a gradient.
        leaves: the parameters behind it.
    """

    names: list[str]
    leaf: str
    module: nn.Module
    parameter: nn.Parameter
    leaves: tuple[nn.Parameter, ...]
    effective: bool = False

    @property
    def leaf_names(self) -> list[str]:
        """What an effective tensor is computed from."""
        return [n for n, _ in self.module.parametrizations[self.leaf].named_parameters()]  # type: ignore[index,union-attr]  # effective only


def owned_tensors(model: nn.Module) -> list[OwnedTensor]:
    """Parameters in the model's order; an effective tensor stands before its leaves."""
    found: dict[int, OwnedTensor] = {}
    result: list[OwnedTensor] = []
    for prefix, module in model.named_modules(remove_duplicate=False):
        dot = f"{prefix}." if prefix else ""
        if parametrize.is_parametrized(module):
            for leaf, listed in module.parametrizations.items():
                leaves = tuple(listed.parameters())
                if leaves and not any(t.module is module and t.leaf == leaf for t in result):
                    first = next((p for p in leaves if p.requires_grad), leaves[0])
                    result.append(OwnedTensor([plain_name(dot + leaf)], leaf, module, first, leaves, True))
        for leaf, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            name = plain_name(dot + leaf)
            known = found.get(id(parameter))
            if known is None:
                found[id(parameter)] = OwnedTensor([name], leaf, module, parameter, (parameter,))
                result.append(found[id(parameter)])
            elif name not in known.names:
                known.names.append(name)
    return result
