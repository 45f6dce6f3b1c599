"""Imports point downwards only, and `import ridgeline` stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ridgeline

ROOT = Path(ridgeline.__file__).parent

# From the ground up: a package may import what stands before it.
ORDER = [
    "errors",
    "noise",
    "penalties",
    "schedules",
    "select",
    "regularizer",
    "integrations",
    "data",
    "models",
    "lanes",
    "store",
    "statistics",
    "diagnosis",
    "report",
    "study",
    "recipes",
    "cli",
]
# What shows and compares reads stored tables and plain arrays, never the trainer.
READERS = {
    "store": {"errors"},
    "statistics": {"errors"},
    "diagnosis": {"errors", "statistics"},
    "report": {"errors", "store", "statistics", "diagnosis"},
}


def imported(source: str) -> set[str]:
    """The packages of ridgeline that a module's source imports, anywhere in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [
                f"{node.module}.{a.name}" if node.module == "ridgeline" else node.module for a in node.names
            ]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("ridgeline.")}


def upward(package: str, source: str) -> list[str]:
    """The arrows of one module that point upwards."""
    below = READERS.get(package, set(ORDER[: ORDER.index(package)])) | {package}
    return sorted(imported(source) - below)


def modules() -> list[Path]:
    return [path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py"]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_downwards(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert upward(package, path.read_text()) == []


def test_an_upward_arrow_is_seen() -> None:
    assert upward("penalties", "def f():\n    from ridgeline.study import Study\n") == ["study"]
    assert upward("report", "import ridgeline.lanes.solo") == ["lanes"]
    assert upward("noise", "from ridgeline import cli") == ["cli"]


def test_every_package_has_its_place() -> None:
    found = {p.name for p in ROOT.iterdir() if p.is_dir() and (p / "__init__.py").is_file()}
    assert found <= set(ORDER)


HEAVY = {"polars", "pydantic", "scipy", "sklearn", "matplotlib", "typer", "jinja2", "ruamel"}


def loaded_after(program: str) -> set[str]:
    """The heavy modules that a fresh interpreter has loaded after a program."""
    code = f"{program}\nimport sys\nprint(*[m for m in {sorted(HEAVY)!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_is_light() -> None:
    assert loaded_after("import ridgeline") == set()


def test_the_light_import_test_can_fail() -> None:
    assert loaded_after("import ridgeline, polars") == {"polars"}
    assert "pydantic" in loaded_after("import ridgeline\nridgeline.Study")


def test_public_names() -> None:
    assert set(ridgeline.__all__) == {
        *("L1", "L2", "L2SP", "ElasticNet", "GroupLasso", "MaxNorm", "Norm", "Nuclear", "Orthogonal"),
        *(
            "Audit",
            "Effect",
            "Response",
            "Regularizer",
            "Rule",
            "assert_acting",
            "convert",
            "diagnose",
            "param_groups",
            "regularize",
            "schedules",
        ),
        *("Results", "RidgelineError", "Splits", "Study", "Verdict", "load_study"),
    }
    for name in ridgeline.__all__:
        assert getattr(ridgeline, name).__name__.endswith(name)
    with pytest.raises(AttributeError, match="no attribute 'L3'"):
        _ = ridgeline.L3
