"""A rule: which parameters get which penalty."""

import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import nn

from ridgeline.penalties import Penalty

Mode: TypeAlias = Literal["loss", "coupled", "decoupled", "independent", "proximal"]
MODES: tuple[Mode, ...] = ("loss", "coupled", "decoupled", "independent", "proximal")

Predicate: TypeAlias = Callable[[str, nn.Module, nn.Parameter], bool]
Match: TypeAlias = str | re.Pattern[str] | type[nn.Module] | tuple[type[nn.Module], str] | Predicate

_WRAPPERS = re.compile(r"(^|\.)(_orig_mod|module|_checkpoint_wrapped_module)(?=\.)")


def plain_name(name: str) -> str:
    """A parameter's name without the prefixes that wrappers add.

    Example:
        >>> plain_name("_orig_mod.module.block._checkpoint_wrapped_module.0.weight")
        'block.0.weight'
    """
    return _WRAPPERS.sub("", name).lstrip(".")


@dataclass(frozen=True)
class Rule:
    """Which parameters get which penalty; rules are tried in order and the first match wins.

    Args:
        match: a glob on the qualified parameter name (case-sensitive, `*` crosses dots), a compiled
            regular expression (searched), a module type, a (module type, parameter name) pair, or a
            predicate (name, module, parameter) -> bool.
        penalty: what these parameters get; None exempts them.
        mode: how it enters training; None takes the mode given to `regularize`.

    Raises:
        TypeError: for another kind of match or penalty.
        ValueError: for an unknown mode.

    Example:
        >>> from ridgeline import L1, L2
        >>> rules = [Rule("head.*", None), Rule(nn.Linear, L2(1e-4))]
    """

    match: Match
    penalty: Penalty | None
    mode: Mode | None = None

    def __post_init__(self) -> None:
        kinds = isinstance(self.match, (str, re.Pattern)) or callable(self.match)
        pair = (
            isinstance(self.match, tuple)
            and len(self.match) == 2
            and isinstance(self.match[0], type)
            and isinstance(self.match[1], str)
        )
        if not (kinds or pair):
            raise TypeError(
                f"Rule: match is {self.match!r}; allowed: a glob, a compiled regular expression, a module "
                f"type, a (module type, parameter name) pair, or a predicate (name, module, parameter)."
            )
        if self.penalty is not None and (
            isinstance(self.penalty, type) or not isinstance(self.penalty, Penalty)
        ):
            raise TypeError(
                f"Rule: penalty is {self.penalty!r}; allowed: a penalty, such as L2(1e-4), or None to exempt."
            )
        if self.mode is not None and self.mode not in MODES:
            raise ValueError(f"Rule: mode is {self.mode!r}; allowed: {', '.join(map(repr, MODES))}.")

    def matches(self, name: str, module: nn.Module, parameter: nn.Parameter) -> bool:
        """Whether this rule takes the parameter called `name`, owned by `module`."""
        match = self.match
        if isinstance(match, str):
            return fnmatch.fnmatchcase(name, match)
        if isinstance(match, re.Pattern):
            return match.search(name) is not None
        if isinstance(match, tuple):
            return isinstance(module, match[0]) and name.rpartition(".")[2] == match[1]
        if isinstance(match, type):
            return isinstance(module, match)
        return bool(match(name, module, parameter))

    def __str__(self) -> str:
        match = self.match
        if isinstance(match, re.Pattern):
            return f"/{match.pattern}/"
        if isinstance(match, tuple):
            return f"({match[0].__name__}, {match[1]!r})"
        if isinstance(match, type):
            return match.__name__
        return match if isinstance(match, str) else getattr(match, "__name__", repr(match)).replace("_", " ")
