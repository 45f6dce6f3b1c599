"""The default selection: weights of layers that multiply their input, and nothing else."""

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

MULTIPLIERS: tuple[type[nn.Module], ...] = (
    nn.Linear,
    nn.Bilinear,
    _ConvNd,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.MultiheadAttention,
    nn.Embedding,
    nn.EmbeddingBag,
)
NORMS: tuple[type[nn.Module], ...] = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def default_reason(
    name: str, module: nn.Module, parameter: nn.Parameter, effective: bool = False
) -> tuple[bool, str]:
    """Whether the default selection takes this parameter, and the reason as the audit prints it.

    Weights of linear, convolution, recurrent, attention and embedding layers are taken. Biases,
    normalization parameters, 0-d and 1-d tensors are left; so are tensors of 2 and more dimensions in
    modules of unknown type, whose reason starts with "unknown".
    """
    leaf = name.rpartition(".")[2]
    kind = type(module).__name__
    if isinstance(module, NORMS):
        return False, f"normalization ({kind})"
    if "bias" in leaf:
        return False, "bias"
    if leaf == "weight_g":
        return False, "length of a weight_norm"
    if isinstance(module, parametrize.ParametrizationList):
        return False, "leaf of a parametrization"
    if not effective and parameter.ndim < 2:
        return False, f"{parameter.ndim}-d tensor"
    if isinstance(module, MULTIPLIERS):
        return True, f"weight of {kind.removeprefix('Parametrized')}"
    return False, f"unknown module type {kind}: name it in a Rule to penalise it"


def default_selection(name: str, module: nn.Module, parameter: nn.Parameter) -> bool:
    """The default selection as a predicate, for use in a Rule."""
    return default_reason(name, module, parameter)[0]
