"""Limits of a grid as data, and the findings that follow from a power flow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field, model_validator

from gridedge.errors import bad
from gridedge.measure.finding import Finding, Verdict
from gridedge.spec import Spec

_NOISE = 1e-7  # pu or %: what separates two solutions of the same state; a set-point at the limit holds it
_STATUS = "the study's own"


class Limits(Spec):
    """Steady-state limits; one that is absent does not apply."""

    vm_pu: tuple[float, float] | None = None
    """Lowest and highest voltage. [pu]"""
    loading_percent: float | None = Field(None, gt=0)
    """Highest loading of any rating. [%]"""
    existing: Literal["absolute", "no_worse"] = "absolute"
    """What holds where the feeder breaks a limit without the site already: the limit itself, or no worse than
    without the site (within 0.0005 pu and 0.1 % of loading)."""
    source: str = ""
    """Whose limits these are."""

    @model_validator(mode="after")
    def _fits(self) -> Limits:
        if self.vm_pu is not None and not 0 < self.vm_pu[0] < self.vm_pu[1] < 2:
            raise bad("the voltage band is empty", f"{self.vm_pu} pu", "Write vm_pu: [0.95, 1.05], lower limit first.")
        return self


def check_limits(result: xr.Dataset, limits: Limits, *, where: str, base: xr.Dataset | None = None) -> list[Finding]:
    """Judge the result of a power flow.

    Parameters
    ----------
    result : Dataset
        As :func:`gridedge.solve` returns it, or reduced to ``min`` and ``max`` at least; where
        ``rating_known(branch)`` is false, the loading is not judged.
    limits : Limits
        What must hold.
    where : str
        Which result this is, for the reader.
    base : Dataset, optional
        The same hours without the site, on the same buses and branches; needed for ``existing: no_worse``.

    Returns
    -------
    list of Finding
    """
    findings = []
    lost = int((~result["converged"].values).sum())
    if lost:
        note = f"{lost} of {result.sizes['time']} steps did not converge: beyond what the net can carry"
        findings.append(
            _finding("power flow", "every step converges", "fail", float(lost), 0.0, "steps", where=where, note=note)
        )
    if limits.existing == "no_worse" and base is None:
        raise bad("no_worse needs the result without the site", "base is missing", "Give base=, or existing: absolute.")
    before = base if limits.existing == "no_worse" else None
    if limits.vm_pu is not None:
        low, high = limits.vm_pu
        wanted = _Wanted("lowest voltage", low, "pu", 0.0005, below=True, relative=before is not None)
        findings.append(_judge(result["vm_pu"], _part(before, "vm_pu"), wanted, where, limits.source))
        wanted = _Wanted("highest voltage", high, "pu", 0.0005, relative=before is not None)
        findings.append(_judge(result["vm_pu"], _part(before, "vm_pu"), wanted, where, limits.source))
    if limits.loading_percent is not None:
        for element in dict.fromkeys(result["element"].values.tolist()):
            wanted = _Wanted(
                f"highest {_WORDS.get(element, element)} loading",
                limits.loading_percent,
                "%",
                0.1,
                relative=before is not None,
            )
            here = np.flatnonzero((result["element"].values == element) & result["rating_known"].values)
            unknown = int((result["element"].values == element).sum()) - here.size
            note = f"{unknown} without a known rating, of which nothing can be said" if unknown else ""
            if not here.size:
                findings.append(
                    _finding(wanted.name, wanted.words, "cannot tell", None, wanted.limit, "%", note=note, where=where)
                )
                continue
            loading = result["loading_percent"].isel(branch=here)
            own = None if before is None else before["loading_percent"].isel(branch=here)
            found = _judge(loading, own, wanted, where, limits.source)
            if unknown:
                verdict: Verdict = "cannot tell" if found.verdict == "pass" else found.verdict
                found = replace(found, verdict=verdict, note="; ".join(n for n in (found.note, note) if n))
            findings.append(found)
    return findings


_WORDS = {"line": "line", "trafo": "transformer", "trafo3w": "three-winding transformer", "impedance": "impedance"}


@dataclass(frozen=True)
class _Wanted:
    """A limit on one side, and by how much a value may pass its own value without the site."""

    name: str
    limit: float
    unit: str
    tolerance: float
    below: bool = False
    relative: bool = False

    @property
    def words(self) -> str:
        text = f"{'at least' if self.below else 'at most'} {self.limit:g} {self.unit}"
        return f"{text}, or no worse than without the site" if self.relative else text


def _part(base: xr.Dataset | None, name: str) -> xr.DataArray | None:
    return None if base is None else base[name]


def _judge(series: xr.DataArray, base: xr.DataArray | None, wanted: _Wanted, where: str, source: str) -> Finding:
    # Turned so that more is always worse.
    sign = -1.0 if wanted.below else 1.0
    if "reduction" in series.dims:
        series = series.sel(reduction=["min" if wanted.below else "max"])
    values = sign * series.values
    limit = sign * wanted.limit
    if not np.isfinite(values).any():
        return _finding(
            wanted.name,
            wanted.words,
            "cannot tell",
            None,
            wanted.limit,
            wanted.unit,
            where=where,
            note="no finite value",
        )
    worst = np.where(np.isfinite(values), values, -np.inf).max(axis=0)
    excused = np.zeros(worst.size, dtype=bool)
    if base is not None:
        own = np.where(np.isfinite(base.values), sign * base.values, -np.inf).max(axis=0)
        excused = (own > limit + _NOISE) & (worst <= own + wanted.tolerance)
    broken = (worst > limit + _NOISE) & ~excused
    note = ""
    candidates = np.where(broken, worst, -np.inf) if broken.any() else worst
    column = int(np.argmax(candidates))
    if not broken.any() and excused.any():
        note = f"{int(excused.sum())} beyond the limit without the site already, none of them made worse by it"
    step = int(np.nanargmax(values[:, column]))
    dim = str(series.dims[-1])
    label = str(series[dim].values[column])
    if dim == "bus":
        label = f"bus {label} ({series['bus_name'].values[column]})"
    return _finding(
        wanted.name,
        wanted.words,
        "fail" if broken.any() else "pass",
        float(series.values[step, column]),
        wanted.limit,
        wanted.unit,
        when_s=float(series["time"].values[step]) if "time" in series.dims else None,
        where=f"{where}, {label}",
        note=note,
        source=source,
    )


def _finding(
    name: str, requirement: str, verdict: Verdict, measured: float | None, limit: float, unit: str, **more: Any
) -> Finding:
    return Finding(name, requirement, verdict, measured, limit, unit, authority=_STATUS, status="chosen", **more)
