"""Lightning: a callback that penalises a LightningModule in its optimizer's steps."""

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from ridgeline.errors import RidgelineError
from ridgeline.integrations._shared import Waiting, missing
from ridgeline.penalties import Penalty
from ridgeline.regularizer import Metric
from ridgeline.select import Mode, Rule, assign

try:
    import lightning.pytorch as pl
    from lightning.pytorch.core.optimizer import LightningOptimizer
    from lightning.pytorch.utilities import rank_zero_info
except ModuleNotFoundError as error:
    raise missing("lightning", error) from None


class Regularization(Waiting, pl.Callback):
    """Penalise the module while `trainer.fit` runs; nothing in the module changes.

    The penalty acts in the optimizer's step, once for each, whatever is accumulated, clipped or scaled before
    it. An optimizer that is built anew, and parameters that are thawed or added while training runs, are
    found at the next batch. Checkpoints carry the clock of strength schedules and the references of L2SP, so
    `fit(ckpt_path=…)` goes on as if never interrupted; so does a second `fit` of the same module. The Trainer
    of `pytorch_lightning` takes it too.

    Several optimizers, as of a GAN, need a callback each: rules that name parameters of one optimizer only,
    and a `name` of its own.

    Args:
        rules: one penalty for the default selection, or a list of `Rule`s; names are those of the module's
            `named_parameters()`.
        mode: "coupled" is the gradient of a penalty in the loss, after clipping; or "decoupled",
            "independent", "proximal", as in `ridgeline.regularize`. Rules may name their own.
        metric: of mode "proximal".
        compile: run the passes of L1 and elastic net through torch.compile.
        name: what the logged values begin with, and what tells two callbacks apart in a checkpoint.
        audit: write the table of every parameter to Lightning's log, once at the start of each fit.
        log: log the penalty, each tensor's, and the share of exact zeros, every `log_every_n_steps`.

    Raises:
        RidgelineError: for mode "loss", which a callback cannot be (in your `training_step` you can: add
            `reg.penalty()` to the loss); in `fit`, for penalised parameters of several optimizers, and
            whatever `ridgeline.regularize` refuses.

    Example:
        Trainer(callbacks=[Regularization(ridgeline.L2(5e-4), mode="decoupled")]).fit(module, batches)
    """

    def __init__(
        self,
        rules: Penalty | Sequence[Rule],
        *,
        mode: Mode = "coupled",
        metric: Metric = "optimizer",
        compile: bool = False,  # noqa: A002 - torch's word for it
        name: str = "ridgeline",
        audit: bool = True,
        log: bool = True,
    ) -> None:
        super().__init__(rules, mode, metric, compile)
        self.name, self._audit, self._log = name, audit, log
        self._seen: tuple[Any, ...] = ()

    @property
    def state_key(self) -> str:
        """One entry in the checkpoint for each name."""
        key: str = self._generate_state_key(name=self.name)
        return key

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attach: the model is configured and the optimizers are built; their states are loaded later."""
        self.forget_unless(pl_module)
        found = self.attach(pl_module, self._optimizer(trainer, pl_module))
        self._seen = _seen(trainer, pl_module)
        if self._audit:
            rank_zero_info(f"{self.name}\n{found}")

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Follow optimizers and parameters that were exchanged, thawed or added."""
        now = _seen(trainer, pl_module)
        if now != self._seen and self.regularizer is not None:
            self.regularizer.bind(pl_module, self._optimizer(trainer, pl_module))
            self._seen = now

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log, where Lightning's own monitors do."""
        if self._log and self.regularizer is not None and trainer._logger_connector.should_update_logs:
            values = self.regularizer.log(f"{self.name}/")
            pl_module.log_dict(values, on_step=True, on_epoch=False, logger=bool(trainer.loggers))

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Detach."""
        self.detach()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Detach; every checkpoint of the run is written by now."""
        self.detach()

    def _optimizer(self, trainer: pl.Trainer, module: nn.Module) -> Optimizer:
        """The optimizer that holds what the rules penalise, out of Lightning's wrapper."""
        found: list[Optimizer] = [
            o.optimizer if isinstance(o, LightningOptimizer) else o for o in trainer.optimizers
        ]
        if len(found) == 1:
            return found[0]
        rows = [row for row in assign(module, self.rules, self.mode) if row.penalty is not None]
        wanted = {id(p): row.name for row in rows for p in row.leaves if p.requires_grad}
        for optimizer in found:
            if wanted.keys() <= _held(optimizer):
                return optimizer
        first = next((o for o in found if wanted.keys() & _held(o)), None)
        outside = [name for key, name in wanted.items() if first is None or key not in _held(first)]
        raise RidgelineError(
            f"{self.name}: no one of the {len(found)} optimizers holds all that the rules penalise "
            f"({', '.join(outside[:3])} is elsewhere); give each optimizer a callback of its own, with rules "
            f"that name its parameters and a name=."
        )


def _held(optimizer: Optimizer) -> set[int]:
    return {id(p) for group in optimizer.param_groups for p in group["params"]}


def _seen(trainer: pl.Trainer, module: nn.Module) -> tuple[Any, ...]:
    """What changes when an optimizer is built anew, or parameters are thawed or added."""
    held = tuple((id(o), sum(len(g["params"]) for g in o.param_groups)) for o in trainer.optimizers)
    return held, [p.requires_grad for p in module.parameters()]
