"""Every check of every world, as a test by its name."""

from pathlib import Path

import pytest

from tests.distributed import checks_accumulation as checks_accumulation
from tests.distributed import checks_binding as checks_binding
from tests.distributed import checks_checkpoint as checks_checkpoint
from tests.distributed import checks_ddp as checks_ddp
from tests.distributed import checks_loop as checks_loop
from tests.distributed import checks_mesh as checks_mesh
from tests.distributed import checks_planted as checks_planted
from tests.distributed import checks_reading as checks_reading
from tests.distributed import checks_training as checks_training
from tests.distributed import checks_value as checks_value
from tests.distributed.models import close, network
from tests.distributed.worlds import CHECKS, launch


@pytest.mark.parametrize("name", CHECKS[2])
def test_two_processes(name: str, worlds: Path) -> None:
    wrong = launch(2, worlds)[name]
    assert not wrong, wrong


@pytest.mark.parametrize("name", CHECKS[3])
def test_three_processes(name: str, worlds: Path) -> None:
    launch(2, worlds)  # whose checkpoint they load
    wrong = launch(3, worlds)[name]
    assert not wrong, wrong


@pytest.mark.parametrize("name", CHECKS[4])
def test_four_processes(name: str, worlds: Path) -> None:
    wrong = launch(4, worlds)[name]
    assert not wrong, wrong


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled:UserWarning")  # which is the point
def test_one_process_loads_what_two_saved(worlds: Path) -> None:
    launch(2, worlds)
    found = checks_checkpoint.restored(network(), worlds, None)
    assert close(found, checks_checkpoint.uninterrupted(), rtol=1e-9)
