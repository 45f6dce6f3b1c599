"""The null predictor: what a model that ignores its input reaches."""

import torch
from torch import Tensor

from ridgeline.data import Data
from ridgeline.lanes import LossName


def null_scores(data: Data, loss: LossName | None) -> dict[str, float | None]:
    """Loss and accuracy, on validation and test set, of the best constant, fitted to the training targets.

    Classification: the classes' shares in training (each class counted once more, so that one absent
    from training has a finite loss) for the loss, the most frequent class for the accuracy. Regression:
    the training mean.
    """
    found: dict[str, float | None] = {}
    for name in ("val", "test"):
        if name in data.sets:
            score, accuracy = _null(data, data.sets[name].targets().cpu(), loss)
            found |= {f"null_{name}_loss": score, f"null_{name}_accuracy": accuracy}
    return found


def _null(data: Data, targets: Tensor, loss: LossName | None) -> tuple[float, float | None]:
    train = data.train.targets().cpu()
    if data.task == "classification":
        counts = torch.bincount(train, minlength=data.n_outputs).double() + 1.0
        log_share = (counts / counts.sum()).log()
        return float(-log_share[targets].mean()), float((targets == int(counts.argmax())).double().mean())
    squared = (targets.double() - train.double().mean(0)).square().mean()
    return float((0.5 if loss == "half_mse" else 1.0) * squared), None
