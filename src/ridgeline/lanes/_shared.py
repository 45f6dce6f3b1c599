"""What trials must have in common to share a program, and what stands in the way."""

import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ridgeline.data._examples import ArrayExamples
from ridgeline.errors import reason
from ridgeline.lanes._alike import NotStackableError, check_alike
from ridgeline.lanes._lift import NotNativeError, lift
from ridgeline.lanes._masks import LaneDropout, Sources, dropouts
from ridgeline.lanes._pass import Layer
from ridgeline.lanes._program import Program
from ridgeline.lanes._same_as_alone import difference
from ridgeline.lanes._stack import layout_of
from ridgeline.lanes._stacked import obstacle, signature
from ridgeline.lanes._updates import setting
from ridgeline.lanes._vmapped import vmapped
from ridgeline.noise import Clock
from ridgeline.select import assign


@dataclass(frozen=True)
class Path:
    """How a model runs for all lanes, and why.

    Attributes:
        kind: "native" lane layers, "vmap" over the module as it is, or "solo": not at all.
    """

    kind: Literal["native", "vmap", "solo"]
    reason: str


OWN_TERM = "a term of your own is written for one model"
# Examples on which lanes and models alone are compared, from the first to the last.
_TRIED = 16
_NATIVE = Path("native", "every layer has a native lane layer")


def sort_key(program: Program) -> tuple[object, ...]:
    """Lanes of equal settings stand side by side, and among them those with penalties of one kind."""
    rules = [(str(rule), rule.mode, rule.penalty and signature(rule.penalty)) for rule in program.rules]
    return (*setting(program.training), str(rules))


def shared(program: Program) -> tuple[object, ...]:
    """The settings that trials of one pack have in common, their models aside."""
    t = program.training
    sets = tuple((name, len(each)) for name, each in program.data.sets.items())
    points = None if t.evaluate_at is None else tuple(sorted(t.evaluate_at))
    named = tuple(sorted(t.sets.items()))
    own = (t.optimizer, t.nesterov, t.batch_size, t.steps, t.loss, t.evaluate_every, points, t.train_examples)
    # a lane without momentum has no buffer for it
    return (*own, t.momentum > 0, t.precision, named, sets, program.data.task, program.metric)


def layer_of(model: nn.Module, made: Mapping[int, LaneDropout]) -> tuple[Path, Layer]:
    """The model for all lanes: natively where each of its layers is known, else under vmap."""
    try:
        return _NATIVE, lift(model, made)
    except NotNativeError as why:
        return Path("vmap", f"{why}, which runs under torch.func.vmap"), vmapped(model, made)


def path_of(program: Program, device: torch.device, model: nn.Module) -> Path:
    """Whether a trial can be a lane, and how its model would run.

    Under vmap the model is built for this seed and the next, and its outputs and gradients for two lanes are
    compared with those of the two models alone.

    Args:
        model: that was built for the program.
    """
    why = obstacle_to(program, model)
    if why:
        return Path("solo", why)
    sources = Sources([program.seed, program.seed + 1], device)
    with suppress(NotNativeError):
        lift(model, _for_two(model, sources))
        return _NATIVE
    with torch.random.fork_rng(
        devices=[]
    ):  # anew: a forward pass may leave in a module what cannot be copied
        models = [program.build(Clock(program.seed + k), program.data).to(device) for k in (0, 1)]
    count = len(program.data.train)
    x, _ = program.data.train.batch(torch.linspace(0, count - 1, min(_TRIED, count)).round().long())
    try:
        path, layer = layer_of(models[0], _for_two(models[0], sources))
        if program.training.precision == "bf16":
            return Path("solo", f"{path.reason}, where autocast does not reach")
        first, other = ({n: p for n, p in m.named_parameters() if p.requires_grad} for m in models)
        check_alike(models[0], layout_of(first), models[1], other)
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whoever trains the model sees them
            why = difference(layer, models, x.to(device))
    except NotStackableError as error:
        return Path("solo", str(error))
    except Exception as error:  # a person's forward may fail under vmap in any way
        return Path("solo", f"it fails under torch.func.vmap ({reason(error)})")
    return Path("solo", why) if why else path


def _for_two(model: nn.Module, sources: Sources) -> dict[int, LaneDropout]:
    return {id(d): LaneDropout([d.p, d.p], d.site, sources) for d in dropouts(model)}


def obstacle_to(program: Program, model: nn.Module) -> str:
    """Why a trial cannot be a lane, however its model runs; "" where it can."""
    if any(not isinstance(each, ArrayExamples) for each in program.data.sets.values()):
        return "the examples are streamed from a Dataset"
    if program.own_terms:
        return OWN_TERM
    for name, p in model.named_parameters():
        if p._backward_hooks or getattr(p, "_post_accumulate_grad_hooks", None):
            return f"a hook acts on the gradient of {name}"
    own = {id(t) for t in (*model.parameters(), *model.buffers())}
    if any(id(t) not in own for t in model.state_dict(keep_vars=True).values()):
        return "its state_dict holds more than its parameters and buffers"
    if len({p.dtype for p in model.parameters()}) > 1:
        return "its parameters have several dtypes"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever trains the model says it
        rows = assign(model, program.rules) if program.rules else []
    for row in rows:
        if row.penalty is None:
            continue
        if row.effective:
            return f"{row.name} is computed from other parameters"
        why = obstacle(row.penalty)
        if why:
            return why
    return ""
