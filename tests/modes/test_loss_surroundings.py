"""Mode "loss" inside what else wraps a model: hooks, checkpoints, torch.func, compilation, processes."""

import gc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.multiprocessing.spawn import ProcessExitedException, spawn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import ridgeline
from ridgeline.penalties import L1, L2, GroupLasso, Penalty
from tests.modes.worlds import batch, close, data_loss, grads, network, plain, weights

PENALTY: Penalty = L1(0.2) + GroupLasso(0.3)


def reference() -> nn.Sequential:
    """The same model after one backward pass of plain autograd."""
    twin = network()
    (data_loss(twin) + plain(PENALTY, weights(twin))).backward()
    return twin


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointed_layers(use_reentrant: bool) -> None:
    model = network()
    reg = ridgeline.regularize(model, PENALTY)
    x, y = batch()
    out = checkpoint(model, x.requires_grad_(), use_reentrant=use_reentrant)
    (nn.functional.mse_loss(out, y) + reg.penalty()).backward()
    assert close(grads(model), grads(reference()))


def test_the_penalty_inside_a_checkpoint() -> None:
    model = network()
    reg = ridgeline.regularize(model, PENALTY)
    x, y = batch()

    def whole(x: Tensor) -> Tensor:
        return nn.functional.mse_loss(model(x), y) + reg.penalty()

    for use_reentrant in (True, False):
        model.zero_grad()
        loss = checkpoint(whole, x.detach().requires_grad_(), use_reentrant=use_reentrant)
        loss.backward()
        assert close(grads(model), grads(reference()))


def test_tensor_hooks_see_the_whole_gradient() -> None:
    model, twin = network(), network()
    reg = ridgeline.regularize(model, PENALTY)
    for net in (model, twin):
        for w in weights(net):
            w.register_hook(lambda g: g.clamp(-0.1, 0.1))
    (data_loss(model) + reg.penalty()).backward()
    (data_loss(twin) + plain(PENALTY, weights(twin))).backward()
    assert close(grads(model), grads(twin))


def test_post_accumulate_hooks_see_the_whole_gradient() -> None:
    """An optimizer step in the backward pass."""
    model, twin = network(), network()
    reg = ridgeline.regularize(model, PENALTY)

    def descend(p: Tensor) -> None:
        assert p.grad is not None
        p.data.add_(p.grad, alpha=-0.1)
        p.grad = None

    for net in (model, twin):
        for w in weights(net):
            w.register_post_accumulate_grad_hook(descend)
    (data_loss(model) + reg.penalty()).backward()
    (data_loss(twin) + plain(PENALTY, weights(twin))).backward()
    assert close(model.parameters(), twin.parameters())
    assert close(grads(model), grads(twin))


def test_functional_transforms() -> None:
    model, twin = network(), reference()
    reg = ridgeline.regularize(model, PENALTY)

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def forward(self) -> Tensor:
            return data_loss(self.net) + reg.penalty()

    whole = Whole()
    parameters = dict(whole.named_parameters())
    found = grad(lambda p: functional_call(whole, p, ()))(parameters)
    assert close(found.values(), grads(twin))


def test_a_compiled_model() -> None:
    model = network()
    compiled: Any = torch.compile(model, backend="aot_eager")
    reg = ridgeline.regularize(compiled, PENALTY)
    (data_loss(compiled) + reg.penalty()).backward()
    assert close(grads(model), grads(reference()), rtol=1e-10)
    assert reg.audit().rows[0]["name"] == "0.weight"


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_step(backend: str) -> None:
    torch._dynamo.reset()
    model = network()
    reg = ridgeline.regularize(model, PENALTY)

    @torch.compile(backend=backend, fullgraph=True)
    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.mse_loss(model(x), y) + reg.penalty()

    loss_of(*batch()).backward()
    assert close(grads(model), grads(reference()), rtol=1e-10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.step()  # the forgotten-penalty watch knows that it was read


def _worker(rank: int, folder: str) -> None:
    """One of two processes, which meet over a file and leave together."""
    torch.set_num_threads(1)
    meet = f"file://{folder}/meet"
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    _half_of_the_batch(rank)
    gc.collect()  # what holds the group keeps its threads, which must not outlive it
    (Path(folder) / f"held-{rank}").touch()
    dist.barrier()  # who leaves first closes what the other still reads
    dist.destroy_process_group()


def _half_of_the_batch(rank: int) -> None:
    """Averaged over the processes, it must be the whole batch in one."""
    x, y = batch()
    half = slice(5 * rank, 5 * rank + 5)
    choices: list[dict[str, Any]] = [{}, {"find_unused_parameters": True}, {"gradient_as_bucket_view": True}]
    for flags in choices:
        model = network()
        parallel = DistributedDataParallel(model, **flags)
        reg = ridgeline.regularize(parallel, PENALTY)
        for _ in range(2):
            model.zero_grad()
            (nn.functional.mse_loss(parallel(x[half]), y[half]) + reg.penalty()).backward()
            assert close(grads(model), grads(reference()), rtol=1e-11), flags
        model.zero_grad()
        with parallel.no_sync():
            (nn.functional.mse_loss(parallel(x[half]), y[half]) / 2 + reg.penalty() / 2).backward()
        (nn.functional.mse_loss(parallel(x[half]), y[half]) / 2 + reg.penalty() / 2).backward()
        assert close(grads(model), grads(reference()), rtol=1e-11), flags
        reg.remove()


def test_data_parallel_processes(tmp_path: Path) -> None:
    try:
        spawn(_worker, args=(str(tmp_path),), nprocs=2, join=True)
    except ProcessExitedException:  # torn down by the interpreter's end: what both have told counts
        assert len([*tmp_path.glob("held-*")]) == 2


def test_autocast_changes_nothing() -> None:
    model = network()
    reg = ridgeline.regularize(model, L2(0.3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside: Any = reg.penalty()
    assert torch.equal(inside, reg.penalty())


def test_saved_tensors_kept_elsewhere() -> None:
    model = network()
    reg = ridgeline.regularize(model, PENALTY)
    with torch.autograd.graph.save_on_cpu():
        loss = data_loss(model) + reg.penalty()
    loss.backward()
    assert close(grads(model), grads(reference()))


def test_the_penalty_comes_after_a_wrappers_average() -> None:
    """A wrapper queues its averaging of gradients during the pass; the penalty is not averaged with them."""
    model, twin = network(), network()
    reg = ridgeline.regularize(model, PENALTY)
    x, y = batch()

    def average() -> None:
        for p in model.parameters():
            assert p.grad is not None
            p.grad.div_(2)

    out = model(x)
    out.register_hook(lambda g: torch.autograd.Variable._execution_engine.queue_callback(average))
    (nn.functional.mse_loss(out, y) + reg.penalty()).backward()
    (data_loss(twin) / 2 + plain(PENALTY, weights(twin))).backward()
    assert close(grads(model), grads(twin))
