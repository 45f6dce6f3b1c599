"""What a forward pass may leave behind beside parameters and buffers: attributes, and random states."""

import io
import pickle
import random
import types
import weakref
from typing import Any

import numpy as np
from torch import Tensor, nn

from ridgeline.noise import Dropout

# What every module has of its own; the rest is what a person's forward may count or remember in.
_OF_TORCH = frozenset(vars(nn.Module()))
# Compared by which they are: they hold what is compared elsewhere, or nothing that changes.
_BY_IDENTITY = (
    nn.Module,
    nn.Parameter,
    weakref.ref,
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
)


class _Print(pickle.Pickler):
    """Writes an object down so that two looks at it can be compared."""

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, _BY_IDENTITY):
            return id(obj)
        if isinstance(obj, Tensor):
            t = obj.detach().cpu().contiguous()
            return str(t.dtype), tuple(t.shape), t.numpy().tobytes()
        return None


def remembered(model: nn.Module) -> dict[str, bytes]:
    """What the modules hold, by place, and the random states that torch does not know of.

    Our dropout's own counts are left out: they are kept for each lane.

    Raises:
        Exception: of any kind, for what cannot be written down.
    """
    states = {"Python's random state": random.getstate(), "NumPy's random state": np.random.get_state()}
    found = {name: pickle.dumps(state) for name, state in states.items()}
    for path, module in model.named_modules():
        if not isinstance(module, Dropout):
            for key in vars(module).keys() - _OF_TORCH:
                found[f"{path}.{key}" if path else key] = _printed(vars(module)[key])
    return found


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> str:
    """The first that differs; "" where none does."""
    return next((k for k in sorted(before | after) if before.get(k) != after.get(k)), "")


def _printed(value: Any) -> bytes:
    text = io.BytesIO()
    _Print(text).dump(value)
    return text.getvalue()
