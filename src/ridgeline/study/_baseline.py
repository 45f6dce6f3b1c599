"""The null predictor: what a model that ignores its input reaches."""

import torch

from ridgeline.data import Data
from ridgeline.lanes import LossName


def null_scores(data: Data, loss: LossName | None) -> dict[str, float | None]:
    """Validation loss and accuracy of the best constant, fitted to the training targets.

    Classification: the classes' shares in training (each class counted once more, so that one absent
    from training has a finite loss) for the loss, the most frequent class for the accuracy. Regression:
    the training mean.
    """
    train, val = data.train.targets().cpu(), data.val.targets().cpu()
    if data.task == "classification":
        counts = torch.bincount(train, minlength=data.n_outputs).double() + 1.0
        log_share = (counts / counts.sum()).log()
        accuracy = (val == int(counts.argmax())).double().mean()
        return {"null_val_loss": float(-log_share[val].mean()), "null_val_accuracy": float(accuracy)}
    squared = (val.double() - train.double().mean(0)).square().mean()
    half = 0.5 if loss == "half_mse" else 1.0
    return {"null_val_loss": float(half * squared), "null_val_accuracy": None}
