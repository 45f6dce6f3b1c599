"""Baseline in JAX: all lanes under `vmap`, the steps between two evaluations under `scan`, all of it jitted.

    pip install jax

XLA flushes denormals by itself.
"""

import functools
import importlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.engines.workloads import EVALUATE_EVERY, Ended, Work

_B1, _B2, _EPS = 0.9, 0.999, 1e-8


def trained(work: Work, warm: bool, start: Sequence[dict[str, Any]] | None = None) -> list[Ended]:
    """All lanes of a row.

    Args:
        warm: keep what was compiled before; else it is compiled anew, as in a fresh process.
        start: each lane's first weights, in torch's layout; None draws them.
    """
    jax: Any = importlib.import_module("jax")
    if not warm:
        jax.clear_caches()
        _compiled.cache_clear()
    advance, evaluate = _compiled(work)
    asked = work.asked()
    first = [_drawn(work, each.seed) for each in asked] if start is None else start
    weights = {name: np.stack([lane[name] for lane in first]) for name in first[0]}
    zeros = {name: np.zeros_like(w) for name, w in weights.items()}
    state = jax.device_put((weights, zeros, {name: w.copy() for name, w in zeros.items()}, np.int32(0)))
    strengths = np.array([each.strength for each in asked], dtype=np.float32)
    seeds = np.array([each.seed for each in asked])
    x, y, val_x, val_y = (jax.device_put(each.numpy()) for each in work.tensors())
    orders = {seed: _order(work, len(x), seed) for seed in {each.seed for each in asked}}
    rows = np.stack([orders[each.seed] for each in asked])
    found: list[Any] = []
    for begin in range(0, work.steps, EVALUATE_EVERY):
        state = advance(state, strengths, seeds, rows[:, begin : begin + EVALUATE_EVERY], x, y)
        found = [np.asarray(each) for each in (*evaluate(state[0], x, y), *evaluate(state[0], val_x, val_y))]
    losses, _, val_losses, accuracies = found
    return [
        Ended(each, float(losses[k]), float(val_losses[k]), float(accuracies[k]))
        for k, each in enumerate(asked)
    ]


@functools.cache
def _compiled(work: Work) -> tuple[Any, Any]:
    """The steps up to an evaluation, and the evaluation, for all lanes."""
    jax, jnp = importlib.import_module("jax"), importlib.import_module("jax.numpy")

    def loss_of(output: Any, y: Any) -> Any:
        if work.outputs == 1:
            return ((output - y) ** 2).mean()
        return -jnp.take_along_axis(jax.nn.log_softmax(output), y[:, None], 1).mean()

    def objective(weights: Any, strength: Any, key: Any, x: Any, y: Any) -> Any:
        penalty = sum((w**2).sum() for w in weights.values() if w.ndim > 1)
        return loss_of(_forward(work, weights, x, key), y) + 0.5 * strength * penalty

    def step(state: Any, strength: Any, key: Any, x: Any, y: Any) -> Any:
        weights, means, squares, count = state
        grads = jax.grad(objective)(weights, strength, jax.random.fold_in(key, count), x, y)
        count = count + 1
        if work.optimizer == "sgd":
            moved = jax.tree.map(lambda w, g: w - work.lr * g, weights, grads)
            return moved, means, squares, count
        means = jax.tree.map(lambda m, g: _B1 * m + (1 - _B1) * g, means, grads)
        squares = jax.tree.map(lambda v, g: _B2 * v + (1 - _B2) * g * g, squares, grads)
        rate, root = work.lr / (1 - _B1**count), jnp.sqrt(1 - _B2**count)
        moved = jax.tree.map(
            lambda w, m, v: w - rate * m / (jnp.sqrt(v) / root + _EPS), weights, means, squares
        )
        return moved, means, squares, count

    def steps(state: Any, strength: Any, seed: Any, rows: Any, x: Any, y: Any) -> Any:
        key = jax.random.key(seed)

        def one(before: Any, batch: Any) -> Any:
            return step(before, strength, key, x[batch], y[batch]), None

        return jax.lax.scan(one, state, rows)[0]

    def measures(weights: Any, x: Any, y: Any) -> Any:
        output = _forward(work, weights, x, None)
        hits = 0.0 if work.outputs == 1 else (output.argmax(1) == y).mean()
        return loss_of(output, y), hits

    lanes = ((0, 0, 0, None), 0, 0, 0, None, None)
    advance = jax.jit(jax.vmap(steps, lanes, (0, 0, 0, None)), donate_argnums=0)
    return advance, jax.jit(jax.vmap(measures, (0, None, None)))


def _forward(work: Work, weights: Any, x: Any, key: Any) -> Any:
    """The network of one lane; with a key, units are dropped."""
    jax, jnp = importlib.import_module("jax"), importlib.import_module("jax.numpy")
    if work.hidden is None:
        x = jax.lax.conv_general_dilated(x, weights["conv.weight"], (1, 1), ((2, 2), (2, 2)))
        x = jax.nn.relu(x + weights["conv.bias"][:, None, None])
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        x = x.reshape(len(x), -1)
    hidden = [n.removesuffix(".weight") for n in weights if n.startswith("hidden") and n.endswith(".weight")]
    for number, layer in enumerate(hidden):
        x = jax.nn.relu(x @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"])
        if work.dropout and key is not None:
            kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - work.dropout, x.shape)
            x = jnp.where(kept, x / (1 - work.dropout), 0.0)
    return x @ weights["output.weight"].T + weights["output.bias"]


def _drawn(work: Work, seed: int) -> dict[str, Any]:
    """Weights and biases as torch draws them: uniform in ± 1/√fan-in."""
    random, found, fan_in = np.random.default_rng(seed), {}, 1
    for name, p in work.model().named_parameters():
        fan_in = math.prod(p.shape[1:]) if p.ndim > 1 else fan_in
        found[name] = random.uniform(-1, 1, tuple(p.shape)).astype(np.float32) / math.sqrt(fan_in)
    return found


def _order(work: Work, n: int, seed: int) -> Any:
    """The row numbers of each batch, (steps, batch); what is left of an epoch is dropped: shapes stay the same."""
    random, batches = np.random.default_rng(seed), n // work.batch
    epochs = [random.permutation(n)[: batches * work.batch] for _ in range(-(-work.steps // batches))]
    return np.concatenate(epochs).reshape(-1, work.batch)[: work.steps].astype(np.int32)
