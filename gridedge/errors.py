"""What gridedge raises.

::

    GridedgeError
    ├── InputError     what was asked for cannot be (exit code 2)
    └── RunError       what was asked for was tried and failed (exit code 1)

Every message names the thing, its value and the cure.  The problems of one
file are collected and raised together: ``InputError.problems`` is the list.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from numbers import Real


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in a form a program can read.

    Parameters
    ----------
    thing : str
        What is wrong: a key, an argument, a file.
    value : str
        The value it has.
    cure : str
        What to do about it.
    where : str
        File and line, ``study.yaml:12``; empty when it was no file.
    """

    thing: str
    value: str
    cure: str
    where: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        value = f" (got {self.value})" if self.value else ""
        return f"{place}{self.thing}{value}. {self.cure}"

    def to_dict(self) -> dict[str, str]:
        """Return the fields as a plain dict."""
        return asdict(self)


class GridedgeError(Exception):
    """Base of everything gridedge raises on purpose."""

    exit_code = 1


class InputError(GridedgeError, ValueError):
    """The input cannot be used; holds every problem found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Problem | str | Iterable[Problem]):
        if isinstance(problems, str):
            self.problems: list[Problem] = []
            text = problems
        else:
            self.problems = [problems] if isinstance(problems, Problem) else list(problems)
            text = "\n".join(str(p) for p in self.problems)
        super().__init__(text)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problems or str(self),)


class RunError(GridedgeError, RuntimeError):
    """The calculation was started and could not give an answer."""


def bad(thing: str, value: object, cure: str, where: str = "") -> InputError:
    """Build the :class:`InputError` of a single problem."""
    shown = value if isinstance(value, str) else repr(value)
    return InputError(Problem(thing, shown, cure, where))


def is_number(value: object) -> bool:
    """Say whether a value is a finite number, numpy's included; a switch or a text is none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name is meant, or which names there are."""
    names = sorted(set(known))
    lower = {n.lower(): n for n in names}
    match = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    if match:
        return f"Did you mean {lower[match[0]]!r}?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"Known: {shown}." if names else "There is none."
