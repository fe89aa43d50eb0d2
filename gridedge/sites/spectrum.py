"""Which harmonic currents a site draws: shipped spectra, each with its origin, or one's own."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from gridedge import yamlfile
from gridedge.errors import bad, nearest
from gridedge.measure.harmonics import as_orders
from gridedge.spec import Spec, build

_SPECTRA = Path(__file__).parent / "spectra.yaml"
_HIGHEST_ORDER = 50


class Spectrum(Spec):
    """Harmonic currents at full load, in per cent of the fundamental."""

    name: str
    """Short name."""
    title: str = ""
    """What it is of."""
    mark: Literal["measured", "quoted", "assumed", "chosen"] = "chosen"
    """Where the figures are from."""
    source: str = "the user's own"
    """Where they are written."""
    percent: dict[int, float] = Field(default_factory=dict)
    """Current by order, 2 to 50. [% of the fundamental]"""
    pulses: int | None = Field(None, ge=6)
    """Number of pulses of an ideal rectifier: 100/h at the orders k times it, less and plus one."""

    @model_validator(mode="after")
    def _fits(self) -> Spectrum:
        if bool(self.percent) == (self.pulses is not None):
            raise bad(f"spectrum {self.name!r}", "", "Give either percent or pulses.")
        as_orders(self.percent)
        return self

    def by_order(self) -> dict[int, float]:
        """Return the current by order, 2 to 50, in per cent of the fundamental."""
        if self.pulses is None:
            return dict(self.percent)
        multiples = range(self.pulses, _HIGHEST_ORDER + 2, self.pulses)
        orders = [h for m in multiples for h in (m - 1, m + 1) if h <= _HIGHEST_ORDER]
        return {h: 100.0 / h for h in orders}

    @property
    def thd_percent(self) -> float:
        """Total distortion of the current, in per cent of the fundamental."""
        return math.sqrt(sum(x * x for x in self.by_order().values()))


class _Spectra(Spec):
    spectra: tuple[Spectrum, ...]


@functools.lru_cache(maxsize=1)
def list_spectra() -> dict[str, Spectrum]:
    """Return the shipped spectra by name."""
    return {x.name: x for x in build(_Spectra, yamlfile.read(_SPECTRA)).spectra}


def spectrum_of(given: str | Mapping[int, float] | Spectrum) -> Spectrum:
    """Turn a shipped name, {order: per cent} or a spectrum into a spectrum.

    Raises
    ------
    InputError
        If there is no such name, or an order or a value cannot be used.
    """
    if isinstance(given, Spectrum):
        return given
    if isinstance(given, str):
        if given not in list_spectra():
            cure = f"{nearest(given, list_spectra())} One's own is a dict: {{5: 20.0, 7: 14.0}}."
            raise bad("unknown spectrum", given, cure)
        return list_spectra()[given]
    if isinstance(given, Mapping):
        as_orders(given)
        if not set(given) - {1}:
            raise bad("the spectrum is empty", "{}", "Give per cent of the fundamental by order: {5: 20.0, 7: 14.0}.")
        return Spectrum(name="own", percent={int(h): float(x) for h, x in given.items() if h != 1})
    raise bad("cannot make a spectrum of this", type(given).__name__, "Give a name or a dict {order: per cent}.")
