"""Unbalance between phases: symmetrical components, limits as data, and the findings that follow."""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gridedge import yamlfile
from gridedge.errors import bad, nearest
from gridedge.measure.finding import Finding, Verdict
from gridedge.measure.flicker_limits import LEVELS, Published
from gridedge.spec import Spec, build

_A = np.exp(2j * np.pi / 3)
_TO_SEQUENCE = np.array([[1, 1, 1], [1, _A, _A**2], [1, _A**2, _A]]) / 3
_NOISE = 1e-9


class UnbalanceLimit(Published):
    """The highest unbalance of voltages, or of the power of one installation."""

    of: Literal["voltage", "power"]
    """What it limits: negative over positive sequence of the voltage, or the difference between phase powers."""
    percent: float = Field(gt=0)
    """Highest value. [%]"""
    up_to_percent: float | None = Field(None, gt=0)
    """Where the document gives a range, its upper end; between the two it cannot be told. [%]"""

    @model_validator(mode="after")
    def _fits(self) -> UnbalanceLimit:
        if self.up_to_percent is not None and self.up_to_percent <= self.percent:
            raise bad(f"range of {self.name!r}", f"{self.percent} to {self.up_to_percent}", "Give the lower end first.")
        return self


class _Limits(Spec):
    limits: tuple[UnbalanceLimit, ...]


@functools.lru_cache(maxsize=1)
def unbalance_limits() -> dict[str, UnbalanceLimit]:
    """Return the shipped limits by name."""
    return {x.name: x for x in build(_Limits, yamlfile.read(LEVELS / "unbalance.yaml")).limits}


def unbalance_limit(limit: str | UnbalanceLimit) -> UnbalanceLimit:
    """Return a shipped limit by its name, or one of your own as it is; InputError if there is none."""
    if isinstance(limit, UnbalanceLimit):
        return limit
    if limit not in unbalance_limits():
        raise bad("unknown limit of unbalance", str(limit), nearest(str(limit), unbalance_limits()))
    return unbalance_limits()[limit]


def sequences(phases: NDArray[np.complex128]) -> NDArray[np.complex128]:
    r"""Return the symmetrical components of three phases.

    Parameters
    ----------
    phases : complex ndarray, shape (3, ...)
        Phases a, b, c.

    Returns
    -------
    complex ndarray, shape (3, ...)
        Zero, positive and negative sequence, in the unit of the phases.

    Notes
    -----
    .. math:: U_0 = (U_a + U_b + U_c)/3, \; U_1 = (U_a + a U_b + a^2 U_c)/3, \; U_2 = (U_a + a^2 U_b + a U_c)/3

    with :math:`a = e^{j 120^\circ}`.

    References
    ----------
    .. [1] Fortescue, "Method of symmetrical co-ordinates", Trans. AIEE 37, 1918.
    """
    return np.asarray(np.tensordot(_TO_SEQUENCE, phases, axes=1))


def voltage_unbalance_percent(phases: NDArray[np.complex128]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return negative and zero over positive sequence of voltages (3, ...), in per cent, as IEC 61000-4-30 defines."""
    zero, positive, negative = np.abs(sequences(phases))
    return 100.0 * negative / positive, 100.0 * zero / positive


def power_unbalance_percent(p_mw: tuple[float, float, float]) -> float:
    """Return the difference between the largest and the smallest phase over the largest, in per cent."""
    high, low = max(map(abs, p_mw)), min(map(abs, p_mw))
    return 100.0 * (high - low) / high if high else 0.0


def judge_unbalance(
    percent: float | None, limit: UnbalanceLimit, *, where: str = "", note: str = "", without: float | None = None
) -> Finding:
    """Hold an unbalance against a limit.

    Parameters
    ----------
    percent : float or None
        Measured value; None where it is not studied, and ``note`` says why. [%]
    limit : UnbalanceLimit
        What must hold.
    where, note : str
        Bus or site, and what else a reader must know.
    without : float or None
        The same without the site. [%]

    Returns
    -------
    Finding
    """
    verdict: Verdict = "cannot tell"
    top = limit.percent if limit.up_to_percent is None else limit.up_to_percent
    if percent is not None and percent <= limit.percent + _NOISE:
        verdict = "pass"
    elif percent is not None and percent > top + _NOISE:
        verdict = "fail"
    span = "" if limit.up_to_percent is None else f", or up to {limit.up_to_percent:g} %"
    what = "negative over positive sequence" if limit.of == "voltage" else "difference between phases"
    return Finding(
        f"unbalance of the {limit.of}, {limit.name}", f"{what} at most {limit.percent:g} %{span}", verdict, percent,
        limit.percent, "%", where=where, note="; ".join(x for x in (note, limit.remark) if x),
        authority=limit.authority, status=limit.kind, source=limit.origin, known=limit.known,
        figures=() if without is None else (("without_site_percent", without),),
    )  # fmt: skip
