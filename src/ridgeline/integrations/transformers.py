"""Hugging Face transformers: a callback that penalises the Trainer's model in its optimizer's steps."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ridgeline.integrations._shared import Waiting, missing
from ridgeline.penalties import Penalty
from ridgeline.regularizer import Metric
from ridgeline.select import Mode, Rule

try:
    from safetensors import safe_open
    from safetensors.torch import save_file
    from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

    from ridgeline.integrations.accelerate import unwrapped  # the Trainer steps through Accelerate
except ModuleNotFoundError as error:
    raise missing("transformers", error) from None

STATE_FILE = "ridgeline.safetensors"


class Regularization(Waiting, TrainerCallback):
    """Penalise the Trainer's model while `trainer.train` runs; no Trainer of one's own is needed.

    The penalty acts in the optimizer's step, once for each, whatever is accumulated, clipped or scaled before
    it; `TrainingArguments.weight_decay` on the same weights is an error. The penalty, each tensor's, and the
    share of exact zeros stand beside the loss in `trainer_state.json`. A checkpoint folder gets the file
    `ridgeline.safetensors` with the clock of strength schedules and the references of L2SP, so that
    `train(resume_from_checkpoint=…)` goes on as if never interrupted. Another `train()` starts afresh, as the
    Trainer's own counters do.

    Args:
        rules: one penalty for the default selection, or a list of `Rule`s.
        mode: "coupled" is the gradient of a penalty in the loss, after clipping; or "decoupled",
            "independent", "proximal", as in `ridgeline.regularize`. Rules may name their own.
        metric: of mode "proximal".
        compile: run the passes of L1 and elastic net through torch.compile.
        name: what the logged values begin with.
        audit: print the table of every parameter at the start of training.
        log: log the penalty where the Trainer logs the loss.
        resume_from_checkpoint: the folder given to `trainer.train`, where that is none of `output_dir`.

    Raises:
        RidgelineError: for mode "loss", which a callback cannot be; in `train`, whatever
            `ridgeline.regularize` refuses.

    Example:
        Trainer(model, args, train_dataset=data, callbacks=[Regularization(ridgeline.L2(0.01))]).train()
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
        resume_from_checkpoint: str | Path | None = None,
    ) -> None:
        super().__init__(rules, mode, metric, compile)
        self.name, self._audit, self._log, self._resumed = name, audit, log, resume_from_checkpoint

    def add_to(self, trainer: Trainer) -> None:
        """Stand before the Trainer's reporters (TensorBoard, W&B, …), so that they log the penalty too.

        Instead of `callbacks=[…]`, which come after them and reach the console and `trainer_state.json` only.
        """
        trainer.callback_handler.callbacks.insert(0, self)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        **kwargs: Any,
    ) -> None:
        """Attach: the model and the optimizer are prepared, and their states are loaded."""
        self.detach()  # a run that was interrupted, or tried again with another batch size
        self.load_state_dict(self._saved(args, state) if state.global_step else {})
        found = self.attach(model, unwrapped(optimizer))
        if self._audit and state.is_world_process_zero:
            print(found)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any, **kwargs: Any
    ) -> None:
        """Add the penalty to the entry just made, and to what the callbacks after this one see."""
        if self._log and self.regularizer is not None and "loss" in logs:
            values = self.regularizer.log(f"{self.name}/")
            logs.update(values)
            state.log_history[-1].update(values)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Put the state beside the Trainer's own; a search keeps its trials elsewhere, and resumes none."""
        if self.regularizer is None:
            return
        kept = self.state_dict()  # on every process
        references = {name: _apart(w) for name, w in kept.pop("references").items()}
        folder = _folder(args, state)
        if state.is_world_process_zero and folder.is_dir():
            save_file(references, folder / STATE_FILE, metadata={"state": json.dumps(kept)})

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Detach."""
        self.detach()

    def _saved(self, args: TrainingArguments, state: TrainerState) -> dict[str, Any]:
        """The state in the checkpoint that the Trainer resumes from, whose path a callback is not told."""
        file = Path(self._resumed or _folder(args, state)) / STATE_FILE
        if not file.is_file():
            warnings.warn(
                f"training resumes at step {state.global_step}, but {file} does not exist: strength schedules "
                f"start again, and L2SP returns to the weights as resumed. Give Regularization the folder as "
                f"resume_from_checkpoint= too, where the run was regularized before.",
                stacklevel=2,
            )
            return {}
        with safe_open(file, "pt") as stored:
            references = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - no mapping
            return {**json.loads(stored.metadata()["state"]), "references": references}


def _folder(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"


def _apart(w: Tensor) -> Tensor:
    """A tensor that can be written to a file: with storage of its own."""
    return w.clone(memory_format=torch.contiguous_format)
