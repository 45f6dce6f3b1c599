"""What the models of a pack must have in common: parameters of the same shapes, and layers of the same settings."""

from collections.abc import Mapping

from torch import Tensor, nn

from ridgeline.errors import RidgelineError
from ridgeline.lanes._stack import Layout
from ridgeline.noise import Dropout


class NotStackableError(RidgelineError):
    """Why trials cannot train as lanes of one pack."""


def check_alike(template: nn.Module, layout: Layout, model: nn.Module, trained: Mapping[str, Tensor]) -> None:
    """Refuse a model that differs from the first of its pack.

    Args:
        template, layout: the first model, and that of its trainable parameters.
        trained: the trainable parameters of the other.

    Raises:
        NotStackableError: where they differ.
    """
    here = {slot.name: slot.shape for slot in layout.slots}
    if here != {name: tuple(t.shape) for name, t in trained.items()}:
        raise NotStackableError("the trials' models have parameters of different shapes")
    if _layers(template) != _layers(model):
        raise NotStackableError("the trials' models are built of different layers")


def _layers(model: nn.Module) -> list[tuple[str, str, str]]:
    """Its modules and their settings; rates of dropout may differ by lane.

    Classes by their names: a factory may make them, and so does a parametrization, anew for each model.
    """
    return [
        (type(m).__module__, type(m).__qualname__, "" if isinstance(m, Dropout) else m.extra_repr())
        for m in model.modules()
    ]
