"""Members of an ensemble: the same profile with what is assumed about it drawn anew."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from gridedge.errors import bad
from gridedge.profiles.chance import counted_uniform
from gridedge.spec import Origin, Spec

S = TypeVar("S", bound=Spec)
_STREAM = 1 << 40  # beyond those of every job


@dataclass(frozen=True)
class Varied:
    """A value that members draw from a range.

    Parameters
    ----------
    path : tuple of (str or int)
        Where it stands in the spec.
    nominal, low, high : float
        Its value in member 0, and the ends of its range.
    source : str
        Why it is assumed.
    """

    path: tuple[str | int, ...]
    nominal: float
    low: float
    high: float
    source: str

    def __str__(self) -> str:
        name = ".".join(map(str, self.path))
        return f"{name} = {self.nominal:g}, drawn from {self.low:g} to {self.high:g} (assumed: {self.source})"


def varied(spec: Spec, path: tuple[str | int, ...] = ()) -> Iterator[Varied]:
    """Yield what the members of an ensemble vary: assumed values that state a range.

    A preset states it under ``origins`` (``{mark: assumed, source: ..., low: ..., high: ...}``), a default in its
    field.  What a user set without an origin was chosen, and what has no effect is left as it is.
    """
    origins: dict[str, Origin] = getattr(spec, "origins", {})
    unused = spec.unused()
    for name, info in type(spec).model_fields.items():
        value = getattr(spec, name)
        if isinstance(value, Spec):
            yield from varied(value, (*path, name))
        elif isinstance(value, list | tuple):
            for number, item in enumerate(value):
                if isinstance(item, Spec):
                    yield from varied(item, (*path, name, number))
        elif isinstance(value, int | float) and not isinstance(value, bool) and name not in unused:
            declared: Any = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
            if name in origins:
                declared = origins[name].model_dump()
            elif name in spec.model_fields_set:
                continue
            low, high = declared.get("low"), declared.get("high")
            if declared.get("mark") == "assumed" and low is not None and high is not None:
                yield Varied((*path, name), float(value), low, high, declared["source"])


def draw_member(spec: S, member: int, *, seed: int) -> S:
    """Return the profile of a member: 0 is the profile itself, others draw every varied value evenly from its range.

    Raises
    ------
    InputError
        If the values drawn do not fit together.
    """
    if member == 0:
        return spec
    data = spec.model_dump(mode="json", exclude_unset=True)
    shown = []
    for item in varied(spec):
        stream = _STREAM + zlib.crc32(".".join(map(str, item.path)).encode())
        part = counted_uniform(seed, member, stream, 0, 1)[0]
        drawn = float(item.low + part * (item.high - item.low))
        inner: Any = data
        for key in item.path[:-1]:
            inner = inner[key]
        inner[item.path[-1]] = drawn
        shown.append(f"{item.path[-1]} {drawn:.4g}")
    try:
        return type(spec).model_validate(data)
    except ValidationError as error:
        why = str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
        cure = f"{why} Narrow the ranges under origins, so that every combination is possible."
        raise bad(f"the values drawn for member {member} do not fit together", ", ".join(shown), cure) from error
