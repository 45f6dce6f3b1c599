"""Reduced precision: what a trial's products are computed in, within its own run and nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ridgeline.errors import RidgelineError
from ridgeline.lanes._bf16_products import bf16_products
from ridgeline.lanes._pass import Layer, Pass
from ridgeline.lanes._settings import PrecisionName


@contextmanager
def arithmetic(precision: PrecisionName, device: torch.device) -> Iterator[None]:
    """Within, float32 products on the device are computed as `precision` says; then everything is set back.

    float32: in float32, whatever torch's global switches were. tf32: on CUDA, with 10 bits of mantissa.
    bf16-matmul: on a CPU, with operands and results rounded to bfloat16 (8 bits), all else in float32.
    bf16: the model's forward pass runs under autocast, see `lowered`; all else in float32.
    """
    switches = _switches(device)
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch in switches:
            switch.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        with bf16_products() if precision == "bf16-matmul" else nullcontext():
            yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.fp32_precision = "none"
            if switch.fp32_precision != value:  # else it followed torch.backends, and does so again
                switch.fp32_precision = value


def _switches(device: torch.device) -> list[Any]:
    if device.type == "cuda":
        cudnn: Any = torch.backends.cudnn
        return [torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn]
    mkldnn: Any = torch.backends.mkldnn
    return [mkldnn.matmul, mkldnn.conv, mkldnn.rnn]


def check_precision(precision: PrecisionName, model: nn.Module, device: torch.device) -> None:
    """Refuse a precision that this machine, device or model cannot have.

    Raises:
        RidgelineError: saying what can be had.
    """
    if precision == "float32":
        return
    elsewhere = {"tf32": "cuda", "bf16-matmul": "cpu"}.get(precision, device.type)
    if elsewhere != device.type:
        instead = "tf32" if device.type == "cuda" else "bf16-matmul"
        raise RidgelineError(
            f"train.precision {precision} exists on {elsewhere} only, the device is {device.type}; use "
            f"{instead}, bf16, or float32."
        )
    if not _has(precision, device):
        remedy = "use float32" if device.type == "cpu" else "use tf32 or float32"
        raise RidgelineError(
            f"train.precision {precision} needs a processor with bfloat16, which this {device.type} is not; {remedy}."
        )
    if precision == "bf16-matmul" and any(
        isinstance(m, nn.LSTM) and not m.proj_size for m in model.modules()
    ):
        raise RidgelineError(
            "train.precision bf16-matmul does not reach into nn.LSTM, which oneDNN computes whole; use bf16, or "
            "float32."
        )
    kinds = {p.dtype for p in model.parameters()} - {torch.float32}
    if kinds:
        named = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
        raise RidgelineError(
            f"train.precision {precision} is for float32 models, this one has {named}; leave precision out."
        )


def _has(precision: PrecisionName, device: torch.device) -> bool:
    if device.type == "cuda":
        capable = torch.cuda.get_device_capability(device) >= (8, 0)
        return capable if precision == "tf32" else torch.cuda.is_bf16_supported()
    supported: bool = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return supported


class Autocast(nn.Module):
    """A model under autocast to bfloat16, its outputs in float32."""

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.model, self.device = model, device

    def forward(self, x: Tensor) -> Any:
        with torch.autocast(self.device.type, torch.bfloat16):
            output = self.model(x)
        return output.float() if isinstance(output, Tensor) else output


def lowered(model: nn.Module, precision: PrecisionName, device: torch.device) -> nn.Module:
    """What to call in the model's place: under autocast for "bf16", else the model."""
    return Autocast(model, device) if precision == "bf16" else model


def lowered_layer(layer: Layer, precision: PrecisionName, device: torch.device) -> Layer:
    """The same for the lane layer of a whole model."""
    if precision != "bf16":
        return layer

    def low(here: Pass, x: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            output = layer(here, x)
        return output.float()

    return low
