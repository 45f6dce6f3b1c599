"""What the tests of lanes share: models of a person's own, penalties in every mode, states taught by solo."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ridgeline.data import Data
from ridgeline.data._examples import ArrayExamples
from ridgeline.lanes import Outcome, Pack, Program, Training, train_pack
from ridgeline.lanes._program import batches
from ridgeline.lanes._solo import Trial
from ridgeline.models import Residual
from ridgeline.penalties import L1, L2, L2SP, ElasticNet, GroupLasso, MaxNorm, Norm, Orthogonal, Penalty
from ridgeline.select import Mode, Rule, default_selection
from tests.engines.worlds import CPU, Build, classes, program

SGD = {"optimizer": "sgd", "lr": 0.1}
NESTEROV = {"optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True}
ADAM = {"optimizer": "adam", "lr": 0.01}
ADAMW = {"optimizer": "adamw", "lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.95)}
# With a smaller eps a gradient of rounding alone, as before a normalization, becomes a step of full length.
RMSPROP = {"optimizer": "rmsprop", "lr": 0.01, "alpha": 0.9, "eps": 1e-4}
RMSPROP_MOMENTUM = {"optimizer": "rmsprop", "lr": 0.005, "momentum": 0.8, "eps": 1e-4}
PENALTIES: dict[str, tuple[Penalty, Mode]] = {
    "L2-loss": (L2(0.05), "loss"),
    "L1-loss": (L1(0.01), "loss"),
    "L2-coupled": (L2(0.05), "coupled"),
    "ElasticNet-coupled": (ElasticNet(0.02, 0.5, "mean"), "coupled"),
    "L2-decoupled": (L2(0.1), "decoupled"),
    "L1-decoupled": (L1(0.05), "decoupled"),
    "L2-independent": (L2(0.01), "independent"),
    "GroupLasso-loss": (GroupLasso(0.01), "loss"),
    "Orthogonal-coupled": (Orthogonal(0.01), "coupled"),
    "L2SP-coupled": (L2SP(0.1), "coupled"),
    "L1-proximal": (L1(0.02), "proximal"),
    "GroupLasso-proximal": (GroupLasso(0.01), "proximal"),
    "Norm-proximal": (Norm(0.05), "proximal"),
    "sum-proximal": (L1(0.01) + L2(0.1) + MaxNorm(0.8), "proximal"),
    "MaxNorm-loss": (MaxNorm(0.5), "loss"),
}


def rule(name: str, factor: float = 1.0) -> list[Rule]:
    """The penalty of that name on the default selection, its strengths times a factor."""
    penalty, mode = PENALTIES[name]
    parts: Sequence[Any] = getattr(penalty, "parts", [penalty])
    made = [p if isinstance(p, MaxNorm) else p.with_strength(p.strength * factor) for p in parts]
    return [Rule(default_selection, sum(made[1:], made[0]), mode)]


class ResidualNetwork(nn.Module):
    """A small residual CNN with batch normalization, on (1, 4, 4) images."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.conv, self.head = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.stem(x)).relu()
        x = (x + self.norm2(self.conv(x))).relu()
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """A small transformer over the 6 inputs as tokens; its dropout is nn.Dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(1, 8)
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8, bias=False), nn.Linear(8, 8)
        self.norm, self.drop, self.head = nn.LayerNorm(8), nn.Dropout(0.1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x[:, :, None])
        scores = self.query(tokens) @ self.key(tokens).mT / 8**0.5
        tokens = self.norm(tokens + self.drop(scores.softmax(-1) @ self.value(tokens)))
        return self.head(tokens.mean(1))  # type: ignore[no-any-return]


def layered() -> nn.Module:
    """Every kind of native layer that images meet."""
    return nn.Sequential(
        nn.Conv2d(
            1, 4, 3, padding=1, bias=False
        ),  # a bias before the norm would have rounding for a gradient
        nn.BatchNorm2d(4),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.GroupNorm(2, 4),
        Residual(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), shortcut=nn.Conv2d(4, 4, 1)),
        nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(16, 9), nn.LayerNorm(9)),
        Residual(nn.Linear(9, 9), nn.Dropout(0.1)),
        nn.SiLU(),
        nn.Linear(9, 3, bias=False),
    )


def words() -> nn.Module:
    """An embedding of the six inputs' signs and sizes, as whole numbers."""
    return nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Tanh(), nn.Linear(18, 3))


def as_words(data: Data) -> Data:
    """The inputs as whole numbers 0…4."""
    return _mapped(data, lambda x: x.mul(1.5).round().clamp(-2, 2).long() + 2)


def as_images(data: Data) -> Data:
    """The first inputs as (1, 4, 4) images, with zeros behind them."""
    return _mapped(data, lambda x: F.pad(x, (0, 10)).view(-1, 1, 4, 4))


def without_channels(data: Data) -> Data:
    """Images (1, H, W) as (H, W)."""
    return _mapped(data, lambda x: x[:, 0])


def as_doubles(data: Data) -> Data:
    """The same in float64."""
    return _mapped(data, lambda x: x.double(), lambda y: y.double() if y.is_floating_point() else y)


def _mapped(data: Data, on_x: Any, on_y: Any = lambda y: y) -> Data:
    def changed(e: Any) -> Any:
        return None if e is None else ArrayExamples(on_x(e.x), on_y(e.y), e.ids)

    return replace(data, train=changed(data.train), val=changed(data.val), test=changed(data.test))


def doubled(build: Build) -> Build:
    """The same model in float64."""
    return lambda clock, data: build(clock, data).double()


def family(
    data: Data, build: Build, rules: Sequence[Sequence[Rule]], seeds: Sequence[int], **training: Any
) -> list[Program]:
    """Programs that differ in penalty, seed and learning rate."""
    lr = training.pop("lr", 0.1)
    pairs = zip(rules, seeds, strict=True)
    return [
        program(data, build, own, seed=seed, lr=lr * (1 + k % 2), **training)
        for k, (own, seed) in enumerate(pairs)
    ]


def taught(trials: Sequence[Trial], device: torch.device = CPU) -> Pack:
    """A pack whose lanes are in the state of solo trials that have made equally many updates."""
    pack = Pack([trial.program for trial in trials], device)
    state = pack.state
    for lane, place in enumerate(state.order):
        trial = trials[place]
        own = trial.model.state_dict()
        for name, view in [*state.views.items(), *state.kept.items()]:
            view[lane] = own[name]
        for name, p in trial.model.named_parameters():
            for key, flat in state.updates.state.items():
                found = trial.optimizer.state[p].get(key)
                if found is not None:
                    state.layout.views(flat, len(state.order))[name][lane] = found
    pack.step = state.updates.count = trials[0].step
    return pack


def step_errors(programs: Sequence[Program], at: int, device: torch.device = CPU) -> list[float]:
    """‖lane − solo‖/‖step‖ of each lane over one update from the same state, before update number `at`."""
    with torch.random.fork_rng(devices=[]):
        trials = [Trial(each, device) for each in programs]
        orders = [
            list(batches(len(t.train_set), t.program.training.batch_size, t.program.seed, at)) for t in trials
        ]
        for trial, order in zip(trials, orders, strict=True):
            trial.model.train()
            for index in order[:-1]:
                trial.update(index)
        pack = taught(trials, device)
        before = [torch.cat([p.detach().flatten() for p in _trained(t)]) for t in trials]
        pack.update()
        for trial, order in zip(trials, orders, strict=True):
            trial.update(order[-1])
    errors = []
    for lane, place in enumerate(pack.state.order):
        names = [name for name, p in trials[place].model.named_parameters() if p.requires_grad]
        alone = torch.cat([p.detach().flatten() for p in _trained(trials[place])])
        here = torch.cat([pack.state.views[name][lane].flatten() for name in names])
        errors.append(float((here - alone).norm() / (alone - before[place]).norm()))
        for name, kept in pack.state.kept.items():
            torch.testing.assert_close(
                kept[lane], trials[place].model.state_dict()[name], rtol=1e-5, atol=1e-6
            )
    return errors


def _trained(trial: Trial) -> list[nn.Parameter]:
    return [p for p in trial.model.parameters() if p.requires_grad]


def packed(programs: Sequence[Program], **options: Any) -> list[Outcome]:
    """The outcomes of a pack."""
    return train_pack(programs, CPU, **options)


def with_training(programs: Sequence[Program], **changes: Any) -> list[Program]:
    """The programs with settings changed."""
    made: list[Program] = []
    for each in programs:
        training: Training = replace(each.training, **changes)
        made.append(replace(each, training=training))
    return made


IMAGES = as_images(classes())
