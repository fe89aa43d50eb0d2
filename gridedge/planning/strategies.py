"""Strategies to compare, and the grid of their parameters."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gridedge.errors import bad, nearest
from gridedge.spec import Spec

Steps = tuple[dict[str, Any], ...]
_MOST = 10_000


@dataclass(frozen=True)
class Variant:
    """One strategy with one choice of its parameters.

    Parameters
    ----------
    strategy : str
        Name of the strategy.
    parameters : dict
        What was varied: ``step.key`` and its value.
    steps : tuple of dict
        The steps, as :func:`gridedge.mitigate` takes them.
    """

    strategy: str
    parameters: dict[str, Any]
    steps: Steps

    @property
    def label(self) -> str:
        """Name of the strategy and what was varied, on one line."""
        varied = ", ".join(f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in
                           self.parameters.items())  # fmt: skip
        return f"{self.strategy}: {varied}" if varied else self.strategy


def variants(strategies: Mapping[str, Any]) -> list[Variant]:
    """Return every strategy with every choice of its parameters.

    Parameters
    ----------
    strategies : mapping
        By name a list of steps, or ``{"steps": [...], "vary": {"battery.p_rated_mw": [10, 20]}}``.  A key of ``vary``
        is the name of a step, or its place in the list from 0, then the path of the value; every combination is taken.

    Raises
    ------
    InputError
        If there is none, a key names no step, or a list of values is empty.
    """
    if not isinstance(strategies, Mapping) or not strategies:
        cure = 'Write {"none": [], "battery": [{"step": "battery", ...}]}.'
        raise bad("strategies must be a mapping with at least one", type(strategies).__name__, cure)
    found = [variant for name, given in strategies.items() for variant in _of(str(name), given)]
    if len(found) > _MOST:
        raise bad("too many combinations to compare", len(found), f"Vary less: at most {_MOST} are taken.")
    return found


def _of(name: str, given: Any) -> Iterator[Variant]:
    vary: Mapping[str, Any] = {}
    steps = given
    if isinstance(given, Mapping):
        unknown = sorted(set(given) - {"steps", "vary"})
        if unknown or "steps" not in given:
            cure = 'Write {"steps": [...], "vary": {...}}.'
            raise bad(f"strategy {name!r} cannot be read", ", ".join(map(str, unknown)) or "no steps", cure)
        steps, vary = given["steps"], given.get("vary") or {}
    if isinstance(steps, str) or not isinstance(steps, Sequence):
        raise bad(f"the steps of {name!r} must be a list", type(steps).__name__, 'Write [{"step": "battery", ...}].')
    plain = [step.to_dict() if isinstance(step, Spec) else step for step in steps]
    for number, step in enumerate(plain):
        if not isinstance(step, Mapping) or "step" not in step:
            raise bad(
                f"step {number} of {name!r} does not say which step it is", step, 'Write {"step": "battery", ...}.'
            )
    choices = {key: _values(name, key, values) for key, values in vary.items()}
    places = {key: _place(name, key, plain) for key in choices}
    for picked in itertools.product(*choices.values()):
        chosen = dict(zip(choices, picked, strict=True))
        own = copy.deepcopy(plain)
        for key, value in chosen.items():
            number, path = places[key]
            _set(own[number], path, value)
        yield Variant(name, chosen, tuple(dict(step) for step in own))


def _values(name: str, key: str, values: Any) -> list[Any]:
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence) or not len(values):
        raise bad(f"what {name!r} varies needs a list of values", f"{key}: {values}", f"Write {key}: [1, 2, 3].")
    return list(values)


def _place(name: str, key: str, steps: Sequence[Mapping[str, Any]]) -> tuple[int, list[str]]:
    """Return the number of the step that a key of ``vary`` names, and the path within it."""
    first, *path = str(key).split(".")
    names = [str(step["step"]) for step in steps]
    if not path:
        raise bad(
            f"{name!r} varies something that is no value of a step", key, "Write step.key, e.g. battery.p_rated_mw."
        )
    if first.isdigit() and int(first) < len(steps):
        return int(first), path
    if names.count(first) != 1:
        several = names.count(first) > 1
        cure = "Name the step by its place in the list, from 0." if several else nearest(first, names)
        raise bad(f"{name!r} varies a step that it {'has twice' if several else 'does not have'}", first, cure)
    return names.index(first), path


def _set(step: dict[str, Any], path: list[str], value: Any) -> None:
    for k, key in enumerate(path[:-1]):
        inner = step.setdefault(key, {})
        if not isinstance(inner, dict):
            name = ".".join(path[: k + 1])
            cure = f"Vary {name} itself, or write it as a mapping in the step."
            raise bad(f"what is varied lies inside {name}, which is a single value", f"{'.'.join(path)}: {inner}", cure)
        step = inner
    step[path[-1]] = value
