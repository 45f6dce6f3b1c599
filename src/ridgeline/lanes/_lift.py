"""From one lane's module to the same for all lanes, natively where every layer is known."""

from collections.abc import Callable, Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ridgeline.lanes import _layers as layers
from ridgeline.lanes import _normal_layers as normal
from ridgeline.lanes._images import Convolution, MaxPool, has_pull
from ridgeline.lanes._linear import Linear
from ridgeline.lanes._links import Drop, Flat, Relu
from ridgeline.lanes._masks import LaneDropout
from ridgeline.lanes._pass import Layer
from ridgeline.models import Residual
from ridgeline.noise import Dropout


class NotNativeError(Exception):
    """A module has no native lane layer; the message names it."""


_EXACT: dict[type[nn.Module], Callable[[Any], Callable[[Tensor], Tensor]]] = {
    nn.Identity: lambda m: lambda x: x,
    nn.ReLU6: lambda m: F.relu6,
    nn.Tanh: lambda m: F.tanh,
    nn.LeakyReLU: lambda m: lambda x: F.leaky_relu(x, m.negative_slope),
}
_ROUNDED: dict[type[nn.Module], Callable[[Any], Callable[[Tensor], Tensor]]] = {
    nn.Sigmoid: lambda m: F.sigmoid,
    nn.SiLU: lambda m: F.silu,
    nn.GELU: lambda m: lambda x: F.gelu(x, approximate=m.approximate),
    nn.ELU: lambda m: lambda x: F.elu(x, m.alpha),
    nn.Softplus: lambda m: lambda x: F.softplus(x, m.beta, m.threshold),
}
_EXAMPLE_BY_EXAMPLE = (
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
# The parameters that layers know of; another one would be decayed, though it has no gradient.
_WEIGHTS: dict[type[nn.Module], set[str]] = {
    kind: {"weight", "bias"}
    for kind in (nn.Linear, *_CONVOLUTIONS, *_BATCH_NORMS, nn.LayerNorm, nn.GroupNorm, nn.Embedding)
}


def lift(model: nn.Module, dropouts: Mapping[int, LaneDropout]) -> Layer:
    """The native lane layer of a whole model.

    Args:
        dropouts: by id of each dropout layer of the model.

    Raises:
        NotNativeError: naming the first module without one.
    """
    # A tied parameter stands in the pack once, under its first name.
    names = {id(p): name for name, p in [*model.named_parameters(), *model.named_buffers()]}
    found = _lifted(model, "the model", names, dropouts)
    for module in model.modules():
        idle = {key for key, p in module._parameters.items() if p is not None} - _WEIGHTS.get(
            type(module), set()
        )
        if idle:
            raise NotNativeError(f"{sorted(idle)[0]} takes part in no layer that is known")
    return found


def _lifted(
    module: nn.Module, path: str, names: Mapping[int, str], dropouts: Mapping[int, LaneDropout]
) -> Layer:
    kind = type(module)
    own = {
        key: names[id(t)]
        for key, t in [*module._parameters.items(), *module._buffers.items()]
        if t is not None
    }
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    if any(hooks):
        raise NotNativeError(f"{path} has hooks")
    plain = kind.train is nn.Module.train and kind.__call__ is nn.Module.__call__
    if not plain or {"forward", "train"} & vars(module).keys():
        raise NotNativeError(f"{path} has a forward, train or call of its own")
    if isinstance(module, nn.Sequential) and kind.forward is nn.Sequential.forward:
        children = module._modules.items()
        return layers.sequence(
            [_lifted(m, f"{name}", names, dropouts) for name, m in children if m is not None]
        )
    if kind is Residual:
        ways = (_lifted(each, name, names, dropouts) for name, each in module.named_children())
        return layers.residual(*ways)
    if isinstance(module, Dropout):
        return Drop(dropouts[id(module)])
    if kind is nn.ReLU:
        return Relu()
    if kind in _EXACT:
        return layers.elementwise(_EXACT[kind](module), exact=True)
    if kind in _ROUNDED:
        return layers.elementwise(_ROUNDED[kind](module), exact=False)
    if isinstance(module, nn.Flatten) and kind is nn.Flatten and module.start_dim != 0:
        return Flat(module.start_dim, module.end_dim)
    if isinstance(module, nn.Linear) and kind is nn.Linear:
        return Linear(own["weight"], own.get("bias"))
    if isinstance(module, nn.Conv2d) and kind is nn.Conv2d and has_pull(module):
        return Convolution(module, own["weight"], own.get("bias"))
    if isinstance(module, nn.MaxPool2d) and kind is nn.MaxPool2d and has_pull(module):
        return MaxPool(module)
    if kind in _CONVOLUTIONS:
        return layers.convolution(module, own["weight"], own.get("bias"))
    if kind in _EXAMPLE_BY_EXAMPLE:
        return layers.folded(module)
    if isinstance(module, nn.LayerNorm) and kind is nn.LayerNorm:
        shape, eps = list(module.normalized_shape), module.eps
        inner = layers.folded(lambda x: F.layer_norm(x, shape, eps=eps))
        return normal.scaled(
            inner, own.get("weight"), own.get("bias"), lambda x: [1] * (x.ndim - 2 - len(shape)) + shape
        )
    if isinstance(module, nn.GroupNorm) and kind is nn.GroupNorm:
        groups, epsilon = module.num_groups, module.eps
        inner = layers.folded(lambda x: F.group_norm(x, groups, eps=epsilon))
        return normal.scaled(
            inner, own.get("weight"), own.get("bias"), lambda x: [x.shape[2]] + [1] * (x.ndim - 3)
        )
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and kind in _BATCH_NORMS:
        return normal.batch_norm(module, own)
    if isinstance(module, nn.Embedding) and kind is nn.Embedding and _plain(module):
        return layers.embedding(own["weight"], module.padding_idx)
    raise NotNativeError(f"{path} is of type {kind.__name__}")


def _plain(module: nn.Embedding) -> bool:
    return module.max_norm is None and not module.sparse and not module.scale_grad_by_freq
