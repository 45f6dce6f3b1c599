"""regularize(): the door."""

from collections.abc import Sequence

from torch import nn
from torch.optim import Optimizer

from ridgeline.penalties import Penalty
from ridgeline.regularizer._attachment import Metric
from ridgeline.regularizer._check import check_mode
from ridgeline.regularizer._regularizer import Regularizer
from ridgeline.select import Mode, Rule


def regularize(
    model: nn.Module,
    rules: Penalty | Sequence[Rule],
    *,
    optimizer: Optimizer | None = None,
    mode: Mode = "loss",
    metric: Metric = "optimizer",
    compile: bool = False,  # noqa: A002 - torch's word for it
) -> Regularizer:
    """Attach penalties to a model.

    Modes, with η the learning rate of the parameter's group:

    - "loss": the objective is loss + R(w); add `reg.penalty()` to the loss yourself.
    - "coupled": g ← g + ∇R before the optimizer's rule: the gradient of "loss", for every optimizer. It
      comes after gradient clipping, and skips tensors without a gradient.
    - "decoupled": w ← w − η ∇R before the update; L2 under AdamW is AdamW's own weight decay.
    - "independent": w ← w − (η/η₀) ∇R, η₀ the first learning rate: a rate per step that follows the
      schedule only.
    - "proximal": w ← argmin_u R(u) + ½(u − w)ᵀH(u − w) after the update, H the optimizer's own metric
      (1/η for SGD, (1 − μ)/η with momentum, (√v̂ + ε)/η for Adam): exact zeros, at the fixed point of the
      penalised objective.

    Several processes: under DistributedDataParallel and fully_shard (FSDP2; DTensor) the value is that of the whole
    model on every process, after one all-reduce a mesh, and its gradient counts once, however gradients are
    averaged. Every process must call what reads the model. Nuclear, Orthogonal and penalties of your own gather
    their tensor; proximal operators of groups that lie across shards deal it out anew. Call `reg.bind(model,
    optimizer)` where the model is sharded after regularize(). FSDP1 and DeepSpeed ZeRO-3 are refused.

    Args:
        model: any module.
        rules: one penalty, which the default selection gives to every weight of layers that multiply
            their input and to no bias or normalization parameter, or a list of `Rule`s, of which the first
            match wins.
        optimizer: needed by every mode but "loss", and by MaxNorm; with mode "loss" it is the clock of
            schedules and catches a penalty that is never added.
        mode: for rules that name none.
        metric: of mode "proximal": "optimizer", or "euclidean" for H = 1/η.
        compile: run the passes of L1 and elastic net through torch.compile, one kernel each: a cheaper step
            for some seconds at the start. Results agree with the plain passes to rounding.

    Raises:
        ValueError: for an unknown mode, a rule that matches nothing, a mode that lacks its optimizer, a
            penalised parameter that the optimizer does not hold or decays by itself, sparse gradients, an
            optimizer without a known metric, `compile` where nothing compiles, FSDP1, DeepSpeed ZeRO-3.
        RuntimeError: for `compile` where torch.compile does not work.

    Example:
        >>> import torch, ridgeline
        >>> model = torch.nn.Linear(2, 1)
        >>> _ = torch.nn.init.constant_(model.weight, 1.0)
        >>> reg = ridgeline.regularize(model, ridgeline.L2(0.5))
        >>> reg.penalty()
        tensor(0.5000, grad_fn=...)
    """
    check_mode(mode, metric)
    return Regularizer(model, rules, optimizer, mode, metric, compile)
