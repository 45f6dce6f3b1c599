"""A person's own module for all lanes: torch.func.vmap over it as it is, dropout with our masks."""

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from ridgeline.lanes._layers import without_padding
from ridgeline.lanes._masks import LaneDropout
from ridgeline.lanes._pass import Layer, Pass
from ridgeline.lanes._recurrent import unrolled
from ridgeline.noise import Dropout


class _Masked(torch.autograd.Function):
    """x times the lanes' masks: the one place where a module under vmap must know of the lanes."""

    generate_vmap_rule = False

    @staticmethod
    def forward(x: Tensor, lanes: LaneDropout) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing to keep."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return g, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, lanes: LaneDropout) -> tuple[Tensor, int]:
        spread = x.expand(info.batch_size, *x.shape) if in_dims[0] is None else x.movedim(in_dims[0], 0)
        return spread * lanes.factors(spread), 0


_masked: Callable[..., Tensor] = _Masked.apply


class _Drop(nn.Module):
    """What stands in a module for our dropout while vmap runs it."""

    def __init__(self, lanes: LaneDropout) -> None:
        super().__init__()
        self.lanes = lanes

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.lanes.off:
            return x
        return _masked(x, self.lanes)


class _Embedding(nn.Embedding):
    """What stands in for an embedding with padding: vmap would train the padding as well."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.padding_idx is not None
        found = F.embedding(x, self.weight, None, self.max_norm, self.norm_type, self.scale_grad_by_freq)
        return without_padding(found, x, self.padding_idx)


def vmapped(model: nn.Module, dropouts: Mapping[int, LaneDropout]) -> Layer:
    """The whole model under vmap over lanes; a forward that draws at random by itself raises.

    Args:
        dropouts: by id of each dropout layer of the model.
    """
    twin = copy.deepcopy(model)
    for mine, its in zip(model.modules(), list(twin.modules()), strict=True):
        for name, child in list(mine._modules.items()):
            if isinstance(child, Dropout):
                its._modules[name] = _Drop(dropouts[id(child)])
    for module in twin.modules():
        if type(module) is nn.Embedding and module.padding_idx is not None:
            module.__class__ = _Embedding
    unrolled(twin)

    def one(weights: dict[str, Tensor], x: Tensor) -> Any:
        return functional_call(twin, weights, (x,))

    def layer(here: Pass, x: Tensor) -> Tensor:
        twin.train(here.training)
        # the fused ones have no rule for vmap, and run lane by lane; what else does is slow, and measured
        with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="There is a performance drop")
            found: Tensor = vmap(one, randomness="error")(dict(here.weights), x)
        return found

    return layer
