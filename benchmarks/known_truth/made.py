"""Laws that data are drawn from without end: every set of a made task is a fresh draw of its law."""

from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import numpy as np

# Draws n pairs: x (n, inputs), y (n,) class numbers or (n, 1) numbers.
Law: TypeAlias = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
# Draws the law itself: its weights, centres, frequencies.
Family: TypeAlias = Callable[[np.random.Generator], Law]


def _network(random: np.random.Generator, sizes: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray]:
    """A random tanh network with outputs of about unit variance."""
    weights = [random.standard_normal((a, b)) / np.sqrt(a) for a, b in pairwise(sizes)]
    shifts = [0.5 * random.standard_normal(b) for b in sizes[1:]]
    scale = 1.0

    def output(x: np.ndarray) -> np.ndarray:
        for weight, shift in zip(weights[:-1], shifts[:-1], strict=True):
            x = np.tanh(1.5 * x @ weight + shift)
        return x @ weights[-1] * scale

    scale = 1.0 / float(output(random.standard_normal((2_000, sizes[0]))).std())
    return output


def _drawn(random: np.random.Generator, logits: np.ndarray) -> np.ndarray:
    """One class a row by softmax probabilities, shape (n,)."""
    return (logits + random.gumbel(size=logits.shape)).argmax(1)


def teacher_classes(inputs: int, width: int, classes: int, sharpness: float) -> Family:
    """Classes drawn by the softmax of a random network; the sharper, the less label noise."""

    def family(random: np.random.Generator) -> Law:
        network = _network(random, (inputs, width, classes))

        def law(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
            x = random.standard_normal((n, inputs))
            return x, _drawn(random, sharpness * network(x))

        return law

    return family


def teacher_numbers(inputs: int, width: int, noise: float) -> Family:
    """A random network of two hidden layers plus Gaussian noise."""

    def family(random: np.random.Generator) -> Law:
        network = _network(random, (inputs, width, width, 1))

        def law(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
            x = random.standard_normal((n, inputs))
            return x, network(x) + noise * random.standard_normal((n, 1))

        return law

    return family


def mixture(inputs: int, classes: int, clusters: int, spread: float) -> Family:
    """Gaussian clusters, several a class, centres of unit variance."""

    def family(random: np.random.Generator) -> Law:
        centres = random.standard_normal((classes * clusters, inputs))

        def law(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
            which = random.integers(len(centres), size=n)
            return centres[which] + spread * random.standard_normal((n, inputs)), which % classes

        return law

    return family


def sparse_numbers(inputs: int, acting: int, noise: float) -> Family:
    """A line in which few inputs act, plus Gaussian noise; the line has unit variance."""

    def family(random: np.random.Generator) -> Law:
        weight = np.zeros((inputs, 1))
        weight[:acting, 0] = random.standard_normal(acting)
        weight /= np.linalg.norm(weight)

        def law(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
            x = random.standard_normal((n, inputs))
            return x, x @ weight + noise * random.standard_normal((n, 1))

        return law

    return family


def sparse_classes(inputs: int, acting: int, sharpness: float) -> Family:
    """Two classes by a logistic line in which few inputs act."""

    def family(random: np.random.Generator) -> Law:
        line = sparse_numbers(inputs, acting, 0.0)(random)

        def law(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
            x, y = line(random, n)
            return x, _drawn(random, np.hstack([np.zeros_like(y), sharpness * y]))

        return law

    return family


def sines(inputs: int, waves: int, noise: float) -> Family:
    """A sum of sine waves over the cube [-1, 1]^inputs plus Gaussian noise."""

    def family(random: np.random.Generator) -> Law:
        rates = 3.0 * random.standard_normal((inputs, waves))
        phases = random.uniform(0.0, 2.0 * np.pi, waves)

        def law(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
            x = random.uniform(-1.0, 1.0, (n, inputs))
            y = np.sin(x @ rates + phases).sum(1, keepdims=True) * np.sqrt(2.0 / waves)
            return x, y + noise * random.standard_normal((n, 1))

        return law

    return family


def products(inputs: int, pairs: int, noise: float) -> Family:
    """A sum of products of two inputs each plus Gaussian noise."""

    def family(random: np.random.Generator) -> Law:
        places = random.integers(inputs, size=(pairs, 2))

        def law(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
            x = random.standard_normal((n, inputs))
            y = (x[:, places[:, 0]] * x[:, places[:, 1]]).sum(1, keepdims=True) / np.sqrt(pairs)
            return x, y + noise * random.standard_normal((n, 1))

        return law

    return family


def spiral(classes: int, noise: float, idle: int) -> Family:
    """Interleaved spiral arms in a plane, among idle inputs."""

    def family(_: np.random.Generator) -> Law:
        def law(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
            which, along = random.integers(classes, size=n), np.sqrt(random.uniform(0.02, 1.0, n))
            angle = 2.0 * np.pi * (which / classes + 0.8 * along)
            plane = 2.0 * along[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
            x = np.hstack([plane + noise * random.standard_normal((n, 2)), random.standard_normal((n, idle))])
            return x, which

        return law

    return family
