"""Levels that flicker is held against, as data, and the findings that follow."""

from __future__ import annotations

import functools
import itertools
import math
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gridedge import yamlfile
from gridedge.errors import bad, is_number, nearest
from gridedge.measure.finding import Finding, Verdict
from gridedge.measure.flicker import FlickerResult
from gridedge.measure.flickermeter import BLOCK_S
from gridedge.measure.rules import Known
from gridedge.spec import Spec, build, quantity

LEVELS = Path(__file__).parent / "levels"
Voltage = Literal["LV", "MV", "HV", "any"]


class Published(Spec):
    """Where a figure is written, and how well it is known."""

    name: str
    """Short name."""
    authority: str = "the study's own"
    """Whose it is."""
    document: str = ""
    """Where it is written."""
    clause: str = ""
    """Clause or table."""
    edition: str = ""
    """Edition; empty where it is not known."""
    date: str = ""
    """Date of the edition, year first; empty where it is not known."""
    known: Known = "chosen"
    """How well the figures are known."""
    kind: Literal["compatibility", "planning", "supply quality", "connection", "emission", "chosen"] = "chosen"
    """What it bounds: the voltage of a bus, or (connection, emission) what one installation adds to it."""
    voltage: Voltage = "any"
    """Voltage level: low, medium, high with extra high, or any."""
    remark: str = ""
    """For the reader."""

    @property
    def origin(self) -> str:
        """Document, clause, edition and date in one line."""
        return ", ".join(x for x in (self.document, self.clause, self.edition, self.date) if x)


class FlickerLevel(Published):
    """The highest Pst and Plt."""

    pst: float | None = Field(None, gt=0)
    """Highest short-term severity. [1]"""
    plt: float | None = Field(None, gt=0)
    """Highest long-term severity. [1]"""
    share_percent: float = quantity(
        100.0, mark="assumed", source="every block; the documents speak of percentiles of a day or a week", gt=0, le=100
    )
    """Share of the blocks that must hold it. [%]"""
    over_s: float | None = Field(None, gt=0)
    """Time over which that share is taken; left out, the length of the series. [s]"""

    @model_validator(mode="after")
    def _fits(self) -> FlickerLevel:
        if self.pst is None and self.plt is None:
            raise bad(f"{self.name!r} has no level", "", "Add pst or plt, or both.")
        return self


class _Levels(Spec):
    levels: tuple[FlickerLevel, ...]


class AcceptanceRow(Spec):
    """The largest swing of power up to a number of changes per minute."""

    below_per_min: float | None = Field(None, gt=0)
    """Changes per minute below which it holds; left out, at any number. [1/min]"""
    includes_end: bool = False
    """Whether it holds at that number too."""
    limit_percent: float = Field(gt=0)
    """Largest change of apparent power in per cent of the short-circuit power. [%]"""


class Acceptance(Published):
    """Up to which swing a load is accepted without further study."""

    rows: tuple[AcceptanceRow, ...]
    """From few to many changes; the last one has no bound."""

    @model_validator(mode="after")
    def _fits(self) -> Acceptance:
        ends = [row.below_per_min or math.inf for row in self.rows]
        if not ends or ends[-1] != math.inf or any(a >= b for a, b in itertools.pairwise(ends)):
            raise bad(f"rows of {self.name!r}", str(ends), "Order them by below_per_min, the last one without it.")
        return self


class _Acceptances(Spec):
    acceptances: tuple[Acceptance, ...]


@functools.lru_cache(maxsize=1)
def flicker_levels() -> dict[str, FlickerLevel]:
    """Return the shipped levels by name."""
    return {x.name: x for x in build(_Levels, yamlfile.read(LEVELS / "flicker.yaml")).levels}


@functools.lru_cache(maxsize=1)
def acceptances() -> dict[str, Acceptance]:
    """Return the shipped stage-1 criteria by name."""
    return {x.name: x for x in build(_Acceptances, yamlfile.read(LEVELS / "flicker_acceptance.yaml")).acceptances}


def judge_flicker(result: FlickerResult, level: str | FlickerLevel, *, where: str = "") -> list[Finding]:
    """Hold the reading of a flickermeter against a level.

    Parameters
    ----------
    result : FlickerResult
        What :func:`gridedge.flicker` returns.
    level : str or FlickerLevel
        Name of a shipped level, or one of your own.
    where : str
        Bus or series, for the reader.

    Returns
    -------
    list of Finding
        Pst, then Plt, as far as the level names them.  ``measured`` is the value that ``share_percent`` of the blocks
        do not exceed.  What the series is too short for reads "cannot tell".  A value that the sampling makes a lower
        bound can fail, never pass.

    Raises
    ------
    InputError
        If there is no such level.
    """
    if isinstance(level, str):
        if level not in flicker_levels():
            raise bad("unknown flicker level", level, nearest(level, flicker_levels()))
        level = flicker_levels()[level]
    asked = (
        ("Pst", level.pst, result.pst, result.pst_verdict, BLOCK_S),
        ("Plt", level.plt, result.plt, result.plt_verdict, 12 * BLOCK_S),
    )
    return [_judge(result, level, *one, where) for one in asked if one[1] is not None]


def _judge(
    result: FlickerResult,
    level: FlickerLevel,
    name: str,
    limit: float | None,
    values: np.ndarray,
    told: str,
    block_s: float,
    where: str,
) -> Finding:
    assert limit is not None
    share = "" if level.share_percent == 100 else f" for {level.share_percent:g} % of the blocks"
    notes = list(result.notes)
    verdict: Verdict = "cannot tell"
    measured = when_s = None
    if values.size:
        measured = float(np.percentile(values, level.share_percent, method="inverted_cdf"))
        when_s = result.settle_s + block_s * int(np.flatnonzero(values == measured)[0])
        verdict = "fail" if measured > limit else "pass"
        if verdict == "pass" and not result.full_range:
            verdict = "cannot tell"
        if level.over_s is not None and values.size * block_s < level.over_s:
            notes.append(f"{values.size * block_s:g} s stand for the {level.over_s:g} s of the document")
    else:
        notes.append(told.removeprefix("cannot tell: "))
    if level.remark:
        notes.append(level.remark)
    return Finding(
        f"{name}, {level.name}",
        f"at most {limit:g}{share}",
        verdict,
        measured,
        limit,
        "",
        when_s=when_s,
        where=where,
        note="; ".join(notes),
        authority=level.authority,
        status=level.kind,
        source=level.origin,
        known=level.known,
    )


def accept_by_strength(
    swing_mva: float,
    short_circuit_mva: float,
    changes_per_min: float,
    *,
    criterion: str | Acceptance = "iec-stage-1-mv",
    where: str = "",
) -> Finding:
    """Judge by the strength of the grid alone whether a fluctuating load needs a flicker study.

    Parameters
    ----------
    swing_mva : float
        Change of the apparent power. [MVA]
    short_circuit_mva : float
        Short-circuit power at the point of connection. [MVA]
    changes_per_min : float
        Changes per minute, up and down counted singly. [1/min]
    criterion : str or Acceptance
        Name of a shipped criterion, or one of your own.
    where : str
        Bus, for the reader.

    Returns
    -------
    Finding
        "pass": accepted at this stage.  "cannot tell": beyond it, which is no failure; measure Pst.

    Raises
    ------
    InputError
        If a figure is negative or the short-circuit power is not positive.
    """
    if isinstance(criterion, str):
        if criterion not in acceptances():
            raise bad("unknown criterion of acceptance", criterion, nearest(criterion, acceptances()))
        criterion = acceptances()[criterion]
    for name, value in (("swing_mva", swing_mva), ("changes_per_min", changes_per_min)):
        if not is_number(value) or not value >= 0:
            raise bad(name, value, "Give a number >= 0.")
    if not is_number(short_circuit_mva) or not short_circuit_mva > 0:
        cure = "Give the short-circuit power in MVA; without one, no first check can be made."
        raise bad("short_circuit_mva must be positive", short_circuit_mva, cure)
    row = next(row for row in criterion.rows if _holds(row, changes_per_min))
    share_percent = 100.0 * swing_mva / short_circuit_mva
    accepted = share_percent <= row.limit_percent * (1 + 1e-12)
    return Finding(
        f"swing against short-circuit power, {criterion.name}",
        f"at most {row.limit_percent:g} % at {changes_per_min:g} changes per minute",
        "pass" if accepted else "cannot tell",
        share_percent,
        row.limit_percent,
        "%",
        where=where,
        note="" if accepted else "beyond the first check, which does not refuse: measure Pst from the waveform",
        authority=criterion.authority,
        status=criterion.kind,
        source=criterion.origin,
        known=criterion.known,
    )


def count_changes(power: NDArray[np.float64], dt_s: float) -> tuple[float, float]:
    """Return what the first check asks of a waveform: how far its power swings, and how often.

    Parameters
    ----------
    power : ndarray, shape (time,)
        Apparent power. [MVA]
    dt_s : float
        Step. [s]

    Returns
    -------
    swing_mva : float
        Highest less lowest power. [MVA]
    changes_per_min : float
        Changes, up and down counted singly, from one outer quarter of that range to the other; chosen, since the
        documents do not say how irregular changes are counted. [1/min]
    """
    low, high = float(power.min()), float(power.max())
    side = np.where(power >= high - 0.25 * (high - low), 1, np.where(power <= low + 0.25 * (high - low), -1, 0))
    outer = side[side != 0]
    changes = int((np.diff(outer) != 0).sum()) if high > low else 0
    return high - low, changes / (power.size * dt_s) * 60.0


def _holds(row: AcceptanceRow, changes_per_min: float) -> bool:
    if row.below_per_min is None or changes_per_min < row.below_per_min:
        return True
    return row.includes_end and changes_per_min == row.below_per_min
