"""Memory that truly runs out: a process with a limit on its address space halves the pack and goes on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Twelve lanes of a million weights want 300 MB and more; half of them fit.
LIMITED = """
import json, resource, sys
from pathlib import Path
import torch
from ridgeline import Study
from ridgeline.study._packed import Surroundings, train_packed
from ridgeline.study._packs import Unit
from ridgeline.study._programs import load_data, program_of

torch.set_num_threads(1)
trials = Study(
    name="large",
    data={"name": "digits", "n_train": 50},
    model={"name": "mlp", "hidden": [1000, 1000]},
    train={"lr": 0.01, "steps": 2, "batch_size": 25},
    vary={"train.lr": [0.001, 0.002, 0.003, 0.004, 0.005, 0.006]},
    seeds=2,
).trials()
data = {seed: load_data(trials[0].sections["data"], seed, None) for seed in (0, 1)}
programs = {t.trial_id: program_of(t.config, t.seed, data[t.seed]) for t in trials}

def train():
    said = []
    device = torch.device("cpu")
    around = Surroundings(Path(sys.argv[1]), device, "torch", 1e9, lambda steps: None, said.append)
    unit = Unit(tuple(trials), "lanes", "broadcast")
    found = train_packed(unit, programs, dict.fromkeys(programs, ""), around)
    return {t.trial_id: [w.double().sum().item() for w in o.weights.values()] for t, o, _ in found}, said

_, most = resource.getrlimit(resource.RLIMIT_AS)
here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (here + (250 << 20), most))
limited, said = train()
resource.setrlimit(resource.RLIMIT_AS, (most, most))
whole, silence = train()
print(json.dumps({"said": said, "silence": silence, "same": limited == whole, "trials": len(whole)}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is one of Linux")
def test_a_pack_that_does_not_fit_is_halved(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["said"][0].startswith(
        "memory ran out with 12 lanes while training 'lr=0.001', seed 0 and 11 more"
    )
    assert (found["silence"], found["same"], found["trials"]) == ([], True, 12)
