"""How much work a model is: arithmetic, numbers and operations of a forward pass, counted while it runs."""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


@dataclass(frozen=True)
class Work:
    """What one example costs a model in a forward pass.

    Attributes:
        parameters: numbers in its parameters.
        multiply_adds: of all its products.
        numbers: in the results of all operations.
        operations: how many there are, views left out; of a batch as of one example.
    """

    parameters: int
    multiply_adds: int
    numbers: int
    operations: int


def work_of(model: nn.Module, x: Tensor) -> Work:
    """Run these examples through the model, in evaluation mode, and count.

    Products of a kind that torch cannot count (recurrent cells, sparse ones) are taken for one multiply-add
    a parameter, and so is a model that cannot run while it is counted.
    """
    parameters = [p.numel() for p in model.parameters()]
    training = model.training
    counter = _Counter()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whoever trains the model sees them
            with counter:
                model.eval()(x)
    except Exception:  # the model has run by itself before: only counting failed
        counter = _Counter()
    finally:
        model.train(training)
    examples = max(len(x), 1)
    products = [each // examples for each in counter.products] or [sum(parameters)]
    return Work(
        sum(parameters),
        sum(products),
        counter.numbers // examples or sum(parameters),
        counter.operations or len(parameters),
    )


class _Counter(TorchDispatchMode):
    """Counts what passes through torch's dispatcher.

    Attributes:
        products: multiply-adds of each product.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch gives it no types
        self.products: list[int] = []
        self.numbers, self.operations = 0, 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would load its compiler, 1.5 s, to keep it out of here; nothing compiles while this counts."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if func.is_view:
            return found
        self.operations += 1
        self.numbers += sum(t.numel() for t in tree_leaves(found) if isinstance(t, Tensor))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.products.append(int(count(*args, **(kwargs or {}), out_val=found)) // 2)
        return found
