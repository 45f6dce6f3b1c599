"""The plan: a pure function of machine and work."""

import pytest

from ridgeline import RidgelineError
from ridgeline.study import Plan
from ridgeline.study._plan import make_plan, predict_seconds


@pytest.mark.parametrize(
    ("device", "cores", "trials", "seconds", "parameters", "processes", "threads"),
    [
        ("cuda", 8, 100, 60.0, 10**7, 1, 8),
        ("cpu", 8, 1, 600.0, 10**7, 1, 8),
        ("cpu", 8, 1, 600.0, 1_000, 1, 1),
        ("cpu", 1, 100, 60.0, 10**7, 1, 1),
        ("cpu", 8, 100, 0.01, 1_000, 1, 1),
        ("cpu", 8, 100, 60.0, 1_000, 8, 1),
        ("cpu", 8, 3, 60.0, 1_000, 3, 1),
    ],
)
def test_processes_and_threads(
    device: str, cores: int, trials: int, seconds: float, parameters: int, processes: int, threads: int
) -> None:
    plan = make_plan(
        device=device, cores=cores, trials=trials, seconds_a_trial=seconds, parameters=parameters
    )
    assert (plan.processes, plan.threads, plan.device) == (processes, threads, device)
    assert plan.processes * plan.threads <= cores
    assert plan.reason


def test_a_larger_model_or_batch_or_more_steps_are_predicted_to_take_longer() -> None:
    base = predict_seconds(10_000, 64, 100)
    assert base > 0
    assert predict_seconds(20_000, 64, 100) > base
    assert predict_seconds(10_000, 128, 100) > base
    assert predict_seconds(10_000, 64, 200) == pytest.approx(2 * base)


def test_a_stored_plan_is_the_plan() -> None:
    plan = Plan("solo", "cpu", 2, 1, "two")
    assert Plan.from_dict(plan.as_dict()) == plan
    with pytest.raises(RidgelineError, match=r"plan\.json"):
        Plan.from_dict({"engine": "solo"})
