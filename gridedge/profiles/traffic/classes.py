"""Classes of requests: what each asks for, how it arrives, and how long it may take."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from gridedge import yamlfile
from gridedge.errors import bad, nearest
from gridedge.profiles.traffic.week import Week, measured_week, week_by_hour
from gridedge.spec import Origin, Spec, build

_FILE = Path(__file__).resolve().parent / "classes.yaml"


class RequestClass(Spec):
    """Requests of one kind."""

    name: str
    """Key in the catalogue."""
    title: str = ""
    week: str | None = None
    """Name of a measured week; or give weekday and weekend."""
    weekday: tuple[float, ...] | None = None
    """Relative rate by hour of a day from Monday to Friday, local time, 24 values."""
    weekend: tuple[float, ...] | None = None
    """The same of Saturday and Sunday; as the weekday if left out."""
    asker: Literal["people", "agents"]
    """People are bounded by how fast they type and read, and ask from where they live; agents ask from data centers."""
    tokens_in: tuple[float, float]
    """Mean and standard deviation of ln(tokens) of a prompt."""
    tokens_out: tuple[float, float]
    """Mean and standard deviation of ln(tokens) of an answer."""
    cv: float = Field(gt=0, le=50)
    """Standard deviation of the time between two requests over its mean."""
    law: Literal["gamma", "weibull"] = "gamma"
    """Law of the time between two requests."""
    noise_pu: float = Field(ge=0, le=1)
    """Standard deviation of the one-minute rate about its shape, common to a metro in part. [pu]"""
    first_token_s: float = Field(gt=0)
    """Longest wait for the first token that counts as in time. [s]"""
    token_s: float = Field(gt=0)
    """Longest mean time between tokens that counts as in time. [s]"""
    origins: dict[str, Origin] = {}
    """Where the figures come from, by key."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.week is None) == (self.weekday is None):
            raise bad(f"{self.name}: the shape of the week is given twice or not at all", "", "Give week, or weekday.")
        for key in ("tokens_in", "tokens_out"):
            if getattr(self, key)[1] < 0:
                raise bad(f"{self.name}: {key} has a negative spread", str(getattr(self, key)), "Give [mean, spread].")
        self.shape()
        return self

    def mean_tokens(self) -> tuple[float, float]:
        """Return the mean length of prompts and of answers, those of their log-normal laws."""
        first, second = (float(np.exp(m + s * s / 2)) for m, s in (self.tokens_in, self.tokens_out))
        return first, second

    def shape(self) -> Week:
        """Return its week."""
        if self.week is not None:
            return measured_week(self.week)
        assert self.weekday is not None
        source = self.origins["weekday"].source if "weekday" in self.origins else "chosen"
        return week_by_hour(self.name, self.weekday, self.weekend or self.weekday, source)


@cache
def request_classes() -> dict[str, RequestClass]:
    """Return every class of the catalogue, by name."""
    document = yamlfile.read(_FILE)
    return {name: build(RequestClass, {"name": name, **figures}) for name, figures in document.data.items()}


def request_class(name: str | RequestClass) -> RequestClass:
    """Return a class of the catalogue, or the one that is described.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if isinstance(name, RequestClass):
        return name
    if name not in request_classes():
        raise bad("unknown class of requests", name, nearest(name, request_classes()))
    return request_classes()[name]
