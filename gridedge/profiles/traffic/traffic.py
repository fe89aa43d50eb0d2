"""Requests of a metro: the rate of each class over time, and single requests drawn from it."""

from __future__ import annotations

import datetime as dt
from typing import Literal, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from gridedge.errors import bad
from gridedge.profiles.inference.run import Requests
from gridedge.profiles.traffic.arrivals import arrivals, lengths
from gridedge.profiles.traffic.classes import RequestClass, request_class
from gridedge.profiles.traffic.week import week_seconds, zone
from gridedge.spec import Spec, quantity
from gridedge.timebase import step_count

Float = NDArray[np.float64]
_YEAR_S = 365.25 * 86_400.0
_PIECE_S = 300.0  # a measured week has a value every 7.2 minutes


class Share(Spec):
    """How much of one class a metro asks for."""

    requests_per_s: float = Field(ge=0)
    """Mean over the week. [1/s]"""
    kind: str | RequestClass | None = None
    """Class of the catalogue, or one of your own; by the key where it is left out."""
    people: int | None = Field(None, ge=1)
    """Who asks; then nobody asks faster than people type and read."""
    growth_pu_per_year: float = quantity(0.0, mark="chosen", source="no growth unless stated", gt=-1, le=20)
    """Growth of the rate in a year, compounded."""


class TrafficProfile(Spec):
    """Requests of a metro over time."""

    kind: Literal["traffic"] = "traffic"
    title: str = ""
    source: str = ""
    licence: str = ""
    zone: str = "UTC"
    """Time zone of the metro."""
    start: str = "2025-01-06"
    """First moment, local time of the metro."""
    classes: dict[str, Share] = Field(min_length=1)
    """What is asked, by class."""
    holidays: tuple[str, ...] = ()
    """Dates (year-month-day) on which people ask as on a Sunday."""
    typing_tokens_per_s: float = quantity(
        0.9, mark="assumed", source="40 words a minute, 1.33 tokens a word (from memory)", gt=0
    )
    """How fast a person types. [1/s]"""
    reading_tokens_per_s: float = quantity(
        5.3, mark="assumed", source="240 words a minute, 1.33 tokens a word (from memory)", gt=0
    )
    """How fast a person reads. [1/s]"""
    typed_tokens: float = quantity(
        20.0, mark="assumed", source="the part of a prompt that is typed; the rest is context", gt=0
    )
    """Tokens of a prompt that a person types."""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        zone(value)
        return value

    @field_validator("start", "holidays", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        if isinstance(value, dt.date):
            return value.isoformat()
        if isinstance(value, list | tuple):
            return tuple(v.isoformat() if isinstance(v, dt.date) else v for v in value)
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for day in (self.start, *self.holidays):
            try:
                dt.datetime.fromisoformat(day)
            except ValueError as error:
                raise bad("no date", day, "Write it as 2025-01-06.") from error
        for key in self.classes:
            self._bounded(key)
        return self

    def of(self, key: str) -> RequestClass:
        """Return the class behind a key."""
        return request_class(self.classes[key].kind or key)

    def most_per_s(self, key: str) -> float:
        """Return the requests per second that the people of a class can make at most; infinite for agents."""
        share, one = self.classes[key], self.of(key)
        if share.people is None or one.asker == "agents":
            return float("inf")
        cycle = self.typed_tokens / self.typing_tokens_per_s + one.mean_tokens()[1] / self.reading_tokens_per_s
        return share.people / cycle

    def _bounded(self, key: str) -> None:
        one, peak = self.of(key), self.classes[key].requests_per_s
        peak *= one.shape().peak_over_mean
        if peak > self.most_per_s(key):
            value = (
                f"{peak:.3g} requests/s at the peak, {self.classes[key].people} people ask {self.most_per_s(key):.3g}"
            )
            raise bad(f"{key}: people cannot ask so fast", value, "Name more people, or fewer requests.")


def request_rate(profile: TrafficProfile, *, duration_s: float, dt_s: float) -> xr.Dataset:
    """Return the expected rate of every class.

    Parameters
    ----------
    profile : TrafficProfile
        Who asks for what.
    duration_s, dt_s : float
        Length and step. [s]

    Returns
    -------
    Dataset
        ``rate_per_s(time, class)`` [1/s], the mean of each step, read in the middle of pieces of five minutes at most;
        without the noise of minutes.

    Raises
    ------
    InputError
        If a rate has grown above what the people of its class can ask.
    """
    steps = step_count(duration_s, dt_s)
    pieces = int(np.ceil(dt_s / _PIECE_S - 1e-9))
    middle = (np.arange(steps * pieces) + 0.5) * (dt_s / pieces)
    place, start = zone(profile.zone), dt.datetime.fromisoformat(profile.start)
    columns = []
    for key, share in profile.classes.items():
        shape = profile.of(key).shape()
        weekly = shape.at(week_seconds(start, middle, place, shape.utc, profile.holidays))
        growth = (1.0 + share.growth_pu_per_year) ** (middle / _YEAR_S)
        rate = share.requests_per_s * weekly * growth
        most = profile.most_per_s(key)
        if rate.size and rate.max() > most:
            day = (start + dt.timedelta(seconds=float(middle[int(np.argmax(rate > most))]))).date()
            value = f"{rate.max():.3g} requests/s with its growth, above {most:.3g} from {day} on"
            raise bad(f"{key}: people cannot ask so fast", value, "Name more people, or less growth.")
        columns.append(rate.reshape(steps, pieces).mean(axis=1))
    names = list(profile.classes)
    return xr.Dataset(
        {"rate_per_s": (("time", "class"), np.stack(columns, axis=1), {"units": "1/s", "cell_methods": "time: mean"})},
        coords={"time": ("time", np.arange(steps) * dt_s, {"units": "s"}), "class": names},
        attrs={"dt_s": dt_s, "start": profile.start, "zone": profile.zone},
    )


def draw_requests(
    profile: TrafficProfile,
    key: str,
    *,
    duration_s: float,
    seed: int = 0,
    member: int = 0,
    stream: int = 0,
    share: float = 1.0,
    factor: Float | None = None,
    most_tokens: int = 131_072,
) -> Requests:
    """Draw the requests of one class.

    Parameters
    ----------
    profile : TrafficProfile
        Who asks for what.
    key : str
        Which class.
    duration_s : float
        Length. [s]
    seed, member, stream : int
        Chance; the same give the same requests, and a longer duration begins with those of a shorter one.
    share : float
        Of the metro's rate.
    factor : ndarray, shape (minute,), optional
        Factors on the rate, minute by minute, as :func:`gridedge.profiles.traffic.arrivals.minute_noise` makes them.
    most_tokens : int
        Longest prompt and answer.
    """
    one = profile.of(key)
    minutes = int(np.ceil(duration_s / 60.0 - 1e-9))
    rate = request_rate(profile, duration_s=minutes * 60.0, dt_s=60.0)["rate_per_s"].sel({"class": key}).values
    if factor is not None:
        if factor.shape != rate.shape:
            raise bad("the factors do not fit the clock", f"{factor.shape} for {minutes} minutes", "Give one a minute.")
        rate = rate * factor
    number = list(profile.classes).index(key)
    parts = np.random.SeedSequence(seed, spawn_key=(member, number, stream)).spawn(3)
    when, prompt, answer = (np.random.default_rng(part) for part in parts)
    at = arrivals(np.asarray(share * rate), 60.0, cv=one.cv, law=one.law, rng=when)
    at = at[at < duration_s]
    return Requests(
        at,
        lengths(at.size, one.tokens_in, prompt, most=most_tokens),
        lengths(at.size, one.tokens_out, answer, most=most_tokens),
    )
