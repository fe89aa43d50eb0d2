"""Daily shapes: how the rest of a feeder's load moves over a day."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gridedge.errors import bad
from gridedge.spec import Spec


class ShapeProfile(Spec):
    """A series without unit whose largest value is 1, repeated day after day."""

    kind: Literal["shape"]
    title: str = ""
    source: str = ""
    licence: str = ""
    step_s: float = Field(gt=0)
    """Step of the values; the first one starts at midnight. [s]"""
    values: tuple[float, ...] = Field(min_length=2)
    """Value of each step; scaled so that the largest is 1."""
    expected: dict[str, tuple[float, float]] = {}
    """Statistics this shape must show, each with its tolerance; checked by the tests."""

    @model_validator(mode="after")
    def _fits(self) -> ShapeProfile:
        if min(self.values) < 0 or max(self.values) <= 0:
            raise bad("a shape must not be negative or all zero", f"{min(self.values)}", "Give values of 0 or more.")
        if abs(len(self.values) * self.step_s - 86400) > 1e-6:
            cure = "values times step_s must be 86400 s."
            raise bad("the shape does not fill a day", f"{len(self.values)} x {self.step_s:g} s", cure)
        return self

    def factor(self, steps: int) -> NDArray[np.float64]:
        """Return the first ``steps`` values, largest of the day 1, repeated day after day."""
        day = np.asarray(self.values) / max(self.values)
        return np.resize(day, steps)
