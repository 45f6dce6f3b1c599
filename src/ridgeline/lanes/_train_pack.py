"""Training a pack from its start or from a checkpoint to its last lane's end."""

from collections.abc import Callable, Iterator, Sequence

import torch

from ridgeline.lanes._checkpoint import Checkpoint, restore
from ridgeline.lanes._outcome import Outcome
from ridgeline.lanes._pack import Pack
from ridgeline.lanes._precision import arithmetic
from ridgeline.lanes._program import Program
from ridgeline.lanes._updates import Rule


def train_pack(
    programs: Sequence[Program],
    device: torch.device,
    on_steps: Callable[[int], None] = lambda steps: None,
    rule: Rule | None = None,
) -> list[Outcome]:
    """Train trials that share a program together; the outcomes in their order, each as solo gives it.

    Args:
        on_steps: called after each evaluation with the number of updates since the one before, of all lanes.
        rule: of the optimizer, where the plan has fixed it; else by how many lanes differ in their settings.

    Raises:
        NotStackableError: where the programs cannot share one.
    """
    found = dict(run_pack(programs, device, on_steps, rule))
    return [found[place] for place in range(len(programs))]


def run_pack(
    programs: Sequence[Program],
    device: torch.device,
    on_steps: Callable[[int], None] = lambda steps: None,
    rule: Rule | None = None,
    *,
    begun: tuple[Checkpoint, Sequence[str]] | None = None,
    after_update: Callable[[Pack], None] = lambda pack: None,
) -> Iterator[tuple[int, Outcome]]:
    """The same; yields a program's place and its outcome as soon as its lane has left.

    Args:
        begun: a checkpoint to go on from, and the name of each program's lane in it.
        after_update: called after each update; it may take a checkpoint.

    Raises:
        NotStackableError: where the programs cannot share one.
        ForeignCheckpointError: where the checkpoint is of other lanes.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), arithmetic(programs[0].training.precision, device):
        pack = Pack(programs, device, rule)
        if begun is not None:
            restore(pack, *begun)
            begun = None  # its tensors are not held while the pack trains
        yield from pack.run(on_steps, after_update)
