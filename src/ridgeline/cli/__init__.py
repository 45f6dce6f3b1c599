"""The command line."""

import sys


def main() -> None:
    """Run the command line; says what to install where the study extra is missing."""
    try:
        from ridgeline.cli import (  # noqa: F401  # the modules add their commands
            _audit,
            _convert,
            _data,
            _diagnose,
            _main,
            _recipes,
            _study,
        )
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("ridgeline"):
            raise
        print(
            f"ridgeline: the command line needs {error.name}; pip install 'ridgeline[study]'.",
            file=sys.stderr,
        )
        sys.exit(2)
    _main.main()
