"""The tasks of known truth: data by law or by image set, a model, and how it is trained."""

from benchmarks.known_truth import made as law
from benchmarks.known_truth.arms import Task
from benchmarks.known_truth.sets import Sets, images, made

SGD = {"optimizer": "sgd", "momentum": 0.9}
LINE = {"hidden": (), "network": "linear"}
NUMBERS = {"loss": "mse"}
HALF = {"loss": "half_mse"}


def _task(name: str, sets: Sets, **settings: object) -> Task:
    return Task(name, sets, **settings)  # type: ignore[arg-type]  # Task's own fields


def _classes(family: law.Family, n_train: int, n_val: int, label_noise: float = 0.0) -> Sets:
    return made(family, n_train, n_val, label_noise=label_noise)


def _numbers(family: law.Family, n_train: int, n_val: int) -> Sets:
    return made(family, n_train, n_val, "regression")


TASKS: tuple[Task, ...] = (
    # classes by random networks
    _task("teacher-20-sharp", _classes(law.teacher_classes(20, 10, 3, 8.0), 200, 300), schedule="cosine"),
    _task("teacher-20-blurred", _classes(law.teacher_classes(20, 10, 3, 2.0), 500, 500), hidden=(64,)),
    _task("teacher-50-many", _classes(law.teacher_classes(50, 20, 5, 6.0), 2_000, 1_000)),
    _task("teacher-10-few", _classes(law.teacher_classes(10, 8, 4, 5.0), 50, 150), steps=2_000),
    _task("teacher-30-noisy", _classes(law.teacher_classes(30, 10, 2, 10.0), 400, 400, 0.2), hidden=(256,)),
    _task(
        "teacher-30-deep",
        _classes(law.teacher_classes(30, 15, 4, 6.0), 1_000, 500),
        hidden=(64, 64),
        schedule="cosine",
    ),
    _task(
        "teacher-20-sgd",
        _classes(law.teacher_classes(20, 10, 3, 6.0), 300, 300),
        lr=0.02,
        schedule="cosine",
        **SGD,
    ),
    _task("teacher-40-easy", _classes(law.teacher_classes(40, 4, 2, 12.0), 1_500, 700), hidden=(16,)),
    _task("teacher-10-large", _classes(law.teacher_classes(10, 8, 3, 4.0), 2_000, 500), hidden=(32,)),
    # Gaussian mixtures
    _task("mixture-10-apart", _classes(law.mixture(10, 4, 2, 0.5), 200, 200), hidden=(64,)),
    _task("mixture-20-close", _classes(law.mixture(20, 5, 3, 1.2), 300, 400)),
    _task(
        "mixture-50-noisy", _classes(law.mixture(50, 10, 1, 1.0), 600, 500, 0.3), lr=2e-3, schedule="cosine"
    ),
    _task(
        "mixture-30-two",
        _classes(law.mixture(30, 2, 5, 1.5), 1_000, 1_000),
        lr=0.02,
        schedule="cosine",
        **SGD,
    ),
    _task("mixture-5-simple", _classes(law.mixture(5, 3, 1, 0.8), 150, 100), hidden=(32,), steps=2_000),
    _task(
        "mixture-8-large", _classes(law.mixture(8, 4, 3, 1.0), 2_000, 800), hidden=(32,), schedule="cosine"
    ),
    # sparse lines and spirals
    _task(
        "logistic-100",
        _classes(law.sparse_classes(100, 10, 4.0), 150, 300),
        lr=3e-3,
        schedule="cosine",
        **LINE,
    ),
    _task("logistic-30", _classes(law.sparse_classes(30, 5, 3.0), 800, 800), lr=3e-3, **LINE),
    _task(
        "logistic-60-wide",
        _classes(law.sparse_classes(60, 6, 5.0), 300, 250),
        hidden=(256,),
        schedule="cosine",
    ),
    _task("spiral-3", _classes(law.spiral(3, 0.15, 0), 200, 300), hidden=(64, 64), lr=3e-3),
    _task(
        "spiral-2-idle", _classes(law.spiral(2, 0.1, 6), 500, 400), hidden=(128,), lr=3e-3, schedule="cosine"
    ),
    # numbers
    _task("line-200", _numbers(law.sparse_numbers(200, 20, 0.5), 100, 200), lr=3e-3, **LINE, **NUMBERS),
    _task(
        "line-50",
        _numbers(law.sparse_numbers(50, 5, 1.0), 400, 500),
        lr=2e-3,
        schedule="cosine",
        **LINE,
        **HALF,
    ),
    _task("line-20-large", _numbers(law.sparse_numbers(20, 5, 0.8), 1_000, 300), hidden=(16,), **NUMBERS),
    _task("line-80-wide", _numbers(law.sparse_numbers(80, 8, 0.3), 200, 300), **NUMBERS),
    _task(
        "sines-1",
        _numbers(law.sines(1, 3, 0.4), 60, 200),
        hidden=(128, 128),
        lr=2e-3,
        schedule="cosine",
        **NUMBERS,
    ),
    _task("sines-3", _numbers(law.sines(3, 4, 0.3), 400, 400), hidden=(128,), lr=2e-3, **NUMBERS),
    _task("sines-2-sgd", _numbers(law.sines(2, 3, 0.5), 200, 250), hidden=(64, 64), lr=0.02, **SGD, **HALF),
    _task("sines-2-large", _numbers(law.sines(2, 3, 0.3), 1_500, 1_000), hidden=(64,), lr=2e-3, **NUMBERS),
    _task(
        "products-10",
        _numbers(law.products(10, 6, 0.3), 300, 300),
        hidden=(128,),
        lr=1e-3,
        schedule="cosine",
        **NUMBERS,
    ),
    _task("products-20-many", _numbers(law.products(20, 8, 0.5), 2_000, 1_000), hidden=(64, 64), **HALF),
    _task("network-15", _numbers(law.teacher_numbers(15, 20, 0.5), 250, 250), hidden=(128,), **NUMBERS),
    _task(
        "network-30-clean",
        _numbers(law.teacher_numbers(30, 10, 0.1), 1_000, 500),
        hidden=(128,),
        schedule="cosine",
        **NUMBERS,
    ),
    _task("network-8-noisy", _numbers(law.teacher_numbers(8, 12, 1.0), 500, 600), hidden=(256,), **HALF),
    # images
    _task("mnist-8-200", images("mnist", 8, 200, 300), hidden=(256,), schedule="cosine"),
    _task("mnist-8-noisy", images("mnist", 8, 500, 500, 0.2)),
    _task("mnist-14-1000", images("mnist", 14, 1_000, 1_000, 0.1), hidden=(64,), lr=0.05, **SGD),
    _task("mnist-28-500", images("mnist", 28, 500, 500), hidden=(64,), steps=2_000, schedule="cosine"),
    _task("mnist-8-conv", images("mnist", 8, 300, 300, 0.15), network="cnn", hidden=(32,), steps=2_000),
    _task("fashion-8-300", images("fashion-mnist", 8, 300, 200), hidden=(128,)),
    _task("fashion-14-2000", images("fashion-mnist", 14, 2_000, 1_000), hidden=(64,), schedule="cosine"),
    _task("fashion-8-noisy", images("fashion-mnist", 8, 400, 300, 0.3), hidden=(64, 64), schedule="cosine"),
    _task("fashion-14-line", images("fashion-mnist", 14, 150, 150), lr=2e-3, **LINE),
    _task(
        "fashion-28-1000",
        images("fashion-mnist", 28, 1_000, 600, 0.1),
        hidden=(48,),
        optimizer="adamw",
        steps=2_000,
    ),
)
