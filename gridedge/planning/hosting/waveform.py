"""Limits on what happens within seconds: flicker, rapid voltage changes, and the step when a site starts or trips.

The state of the net is held at stated hours and the site's waveform is solved around it, with sources as EMFs behind
their impedance (:mod:`gridedge.grid.swing`).  One polynomial of the site's power tells every voltage.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import InputError, bad, nearest
from gridedge.grid.swing import Response, Swing, heaviest_and_lightest
from gridedge.grid.trial import Float, Trial
from gridedge.measure.limit_sets import FlickerLimit, LimitSet, RapidChangeLimit, VoltageStepLimit
from gridedge.planning.hosting.readings import FlickerReading, RapidReading, Reading
from gridedge.planning.hosting.result import ENDS, Answer, Stop

NOT_STUDIED = "not studied"
_MADE_S, _MADE_DT_S = 660.0, 0.0025  # of a named profile: a minute to settle and ten for a Pst, at the full rate
_BEHIND = 4.0  # how many times the capacity the next limit is looked for, where the series names none
_LEVELS = 8  # of a limit that may break and heal again
_NOISE = 1e-9
_ROUNDS = 60


@dataclass(frozen=True)
class Waveform:
    """How a site's power moves, whatever its size.

    Parameters
    ----------
    share : ndarray, shape (time,)
        Power of its peak, 0 to 1.
    dt_s : float
        Step. [s]
    words : str
        Where it is from.
    """

    share: Float
    dt_s: float
    words: str


def read_waveform(given: Any, power_factor: float) -> Waveform:
    """Turn anything that names a waveform into one.

    Parameters
    ----------
    given : Dataset, (array, dt_s), str, path or Waveform
        A load with ``p_mw(time)``, or of one site; an array and its step; or a profile, of which 11 minutes are made at
        400 Hz with seed 0 and carried to the meter of the default facility.
    power_factor : float
        Of the site; a profile's active power does not depend on it.

    Raises
    ------
    InputError
        If it is of no such kind, holds several sites or members, a gap, or a negative power.
    """
    if isinstance(given, Waveform):
        return given
    if isinstance(given, str | Path):
        from gridedge.profiles.generate import generate
        from gridedge.sites.facility import connect

        load = generate(given, duration_s=_MADE_S, dt_s=_MADE_DT_S, seed=0)
        p, dt_s = connect(load, {"power_factor": power_factor})["p_mw"].values[:, 0], _MADE_DT_S
        words = f"profile {given}, {_MADE_S:g} s at {1 / _MADE_DT_S:g} Hz, seed 0, at the meter of the default facility"
    elif isinstance(given, xr.Dataset):
        schema.require(given, ["p_mw"], thing="the waveform", finite=False)
        power = given["p_mw"].squeeze(drop=True)
        if power.dims != ("time",):
            cure = "Give one site and one member: load.isel(member=0)."
            raise bad("the waveform is not one series", f"p_mw{given['p_mw'].dims}", cure)
        p, dt_s = power.values, schema.clock(given)
        words = f"a load of {p.size * dt_s:g} s, step {dt_s:g} s"
    elif isinstance(given, tuple) and len(given) == 2:
        try:
            p, dt_s = np.asarray(given[0], dtype=float), float(given[1])
        except (TypeError, ValueError):
            cure = "Give the power in MW and the step in s: (p_mw, 0.0025)."
            raise bad("the waveform holds what is no number", str(given), cure) from None
        words = f"an array of {np.size(p) * dt_s:g} s, step {dt_s:g} s"
    else:
        raise bad("no waveform can be made of this", type(given).__name__, "Give a load, (p_mw, dt_s), or a profile.")
    p = np.asarray(p, dtype=float)
    if p.ndim != 1 or p.size < 2 or not np.isfinite(p).all() or p.min() < 0 or not p.max() > 0:
        cure = "Give one series of power, consumption positive, without a gap."
        raise bad("the waveform is no series of power", f"shape {p.shape}", cure)
    if not 0 < dt_s < np.inf:
        raise bad("dt_s of the waveform must be positive", dt_s, "Give (p_mw, 0.0025).")
    return Waveform(p / p.max(), dt_s, words)


@dataclass
class AtHours:
    """The limits of a waveform and of steps, at stated hours of one trial.

    Parameters
    ----------
    trial : Trial
        The net and its buses.
    limits : LimitSet
        All that hold; those of the series are left to others.
    waveform : Waveform, optional
        Without, flicker and rapid changes are not studied.
    hours : sequence of float, optional
        Times of the background at which the net is held [s]; without, where it draws most and where least.
    sources : "emf", "held" or dict
        ``held`` leaves steps to the series, as lower bounds.

    Raises
    ------
    InputError
        If a waveform has no limit to keep, or cannot be judged by one; if an hour lies outside the background; if a
        device of the net is no EMF behind an impedance and a waveform is asked for.
    """

    trial: Trial
    limits: LimitSet
    waveform: Waveform | None = None
    hours: Sequence[float] | None = None
    sources: Any = "emf"
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        flicker = [x for x in self.limits.limits if isinstance(x, FlickerLimit)]
        rapid = [x for x in self.limits.limits if isinstance(x, RapidChangeLimit)]
        self.steps = (
            [x for x in self.limits.limits if isinstance(x, VoltageStepLimit)] if self.sources != "held" else []
        )
        if self.waveform is not None and not flicker and not rapid:
            raise bad("a waveform has no limit to keep", "waveform=", 'Add limits: "flicker-mv", "rapid-mv", a dict.')
        if self.waveform is not None and self.sources == "held":
            raise bad("behind sources that hold their voltage a waveform is understated", "held", 'Use sources="emf".')
        self.readings: list[FlickerReading | RapidReading] = []
        mains_hz: Literal[50, 60] = 60 if float(self.trial.own.f_hz) > 55 else 50
        if self.waveform is not None:
            w = self.waveform
            self.readings += [FlickerReading(x, w.share, w.dt_s, mains_hz) for x in flicker]
            self.readings += [RapidReading(x, w.share, w.dt_s, mains_hz) for x in rapid]
            self.remarks += [f"Waveform: {w.words}, scaled so that its peak is the site's size."]
            self.remarks += [remark for reading in self.readings for remark in reading.remarks]
            if flicker:
                self.remarks.append("Flicker is that of the site alone; what the net carries already is not known.")
        elif flicker or rapid:
            names = ", ".join(x.name for x in [*flicker, *rapid])
            if len(flicker) + len(rapid) == len(self.limits.limits):  # else the collapse would be the answer
                cure = "Give waveform=, or other limits too."
                raise bad("a waveform is needed: nothing else is to hold", names, cure)
            self.remarks.append(f"Without waveform= these limits are {NOT_STUDIED}: {names}.")
        self.chosen = _hours(self.trial, self.hours)
        self.swings: list[Swing] = []
        if self.readings or self.steps:
            try:
                self.swings = [Swing(self.trial.held_at(int(h)), int(h), _given(self.sources)) for h in self.chosen]
            except InputError as error:
                if self.readings:
                    raise
                self.steps = []
                self.remarks.append(f"Voltage steps stay with sources at their set-points: {error}".replace("\n", " "))
        if self.swings:
            self.remarks += self.swings[0].remarks
            at = ", ".join(f"{self.trial.time_s[h]:g} s" for h in self.chosen)
            self.remarks.append(f"Within seconds the net is held as it stands at {at}, the site at its full size.")

    @property
    def judged(self) -> str:
        """What the result says of waveforms."""
        if self.readings:
            return "studied"
        return NOT_STUDIED

    def left(self) -> LimitSet:
        """Return the limits that the series answers for."""
        mine = {x.name for x in self.steps}
        return self.limits.model_copy(update={"limits": tuple(x for x in self.limits.limits if x.name not in mine)})

    def narrowed(self, answers: Sequence[Answer], tol_mw: float, max_mw: float | None) -> list[Answer]:
        """Return answers with what breaks within seconds.

        Parameters
        ----------
        answers : sequence of Answer
            One per bus of the trial.
        tol_mw : float
            How near to the break an answer is. [MW]
        max_mw : float, optional
            Highest size of interest. [MW]
        """
        if not self.readings and not self.steps:
            return list(answers)
        found = []
        memory: dict[tuple[int, float], list[Stop]] = {}
        for k, answer in zip(self.trial.which, answers, strict=True):
            high = _as_far(answer, max_mw)
            if (int(k), high) not in memory:
                memory[int(k), high] = self._at(int(k), high, tol_mw)
            found.append(answer.narrowed(memory[int(k), high]))
        return found

    def _at(self, k: int, high_mw: float, tol_mw: float) -> list[Stop]:
        """Return what stops a site at one row of the solver, up to a size."""
        if not high_mw > 0:
            return []
        look = _Look(self, k)
        stops = [self._stop(look.steps(limit), high_mw, tol_mw, limit.name, "step") for limit in self.steps]
        for reading in self.readings:
            kind = "flicker" if isinstance(reading, FlickerReading) else "rapid_change"
            most = look.reads(reading, most=True) if isinstance(reading, RapidReading) else None
            stops.append(self._stop(look.reads(reading), high_mw, tol_mw, reading.limit.name, kind, most))
        return [s for s in stops if s is not None]

    def _stop(
        self,
        judges: list[Judge],
        high_mw: float,
        tol_mw: float,
        name: str,
        kind: str,
        most: list[Judge] | None = None,
    ) -> Stop | None:
        """Return the smallest size that breaks one limit in some hour."""
        stop: Stop | None = None
        at_high = [judge(high_mw).share for judge in judges]
        for i in np.argsort(at_high)[::-1].tolist():  # the worst hour first; the others only up to what it leaves
            top = high_mw if stop is None else stop.p_mw
            if not top > 0:
                break
            judge = judges[i]
            good = first_break(judge, top, tol_mw) if most is None else _jumping(judge, most[i], top, tol_mw)
            if good is None:
                continue
            over = judge(good + tol_mw)
            element = f"bus {self.trial.model.readout.bus_index[over.bus]}"
            time_s = float(self.trial.time_s[self.chosen[i]])
            if np.isfinite(over.share):
                stop = Stop(good, f"{name}: {over.what}", kind, element, time_s)
            else:
                stop = Stop(
                    good,
                    "collapse of the voltage within the swing, or too near to it to be followed",
                    "collapse",
                    element,
                    time_s,
                )
        return stop


Judge = Callable[[float], Reading]
"""From a size [MW] to what is read of what is allowed."""


class _Look:
    """What is read at one row, with the responses kept for all that ask."""

    def __init__(self, hours: AtHours, k: int):
        self.hours, self.k = hours, k
        self.kept: dict[tuple[int, float], Response | None] = {}

    def steps(self, limit: VoltageStepLimit) -> list[Judge]:
        """Return the judges of voltage steps, one per hour."""

        def at(swing: Swing) -> Judge:
            def judge(p_mw: float) -> Reading:
                change, where = swing.step_pu(self.k, p_mw)
                return Reading(100.0 * change / limit.voltage_step_percent, where, "voltage step")

            return judge

        return [at(swing) for swing in self.hours.swings]

    def reads(self, reading: FlickerReading | RapidReading, most: bool = False) -> list[Judge]:
        """Return the judges of a waveform, one per hour; with ``most`` those of what no reading can exceed."""
        w = self.hours.waveform
        assert w is not None
        low, mean = float(w.share.min()), float(w.share.mean())

        def at(h: int, swing: Swing) -> Judge:
            def judge(p_mw: float) -> Reading:
                if (h, p_mw) not in self.kept:
                    self.kept[h, p_mw] = swing.response(self.k, low * p_mw, mean * p_mw, p_mw)
                response = self.kept[h, p_mw]
                if response is None:
                    return Reading(np.inf, int(np.argmax(swing.bus_row == swing.site_row[self.k])), "")
                if most and isinstance(reading, RapidReading):
                    return reading.at_most(response)
                return reading.share(response, p_mw)

            return judge

        return [at(h, swing) for h, swing in enumerate(self.hours.swings)]


def first_break(judge: Judge, high_mw: float, tol_mw: float) -> float | None:
    """Return the largest size found to hold, broken less than ``tol_mw`` above it; None where ``high_mw`` holds.

    Parameters
    ----------
    judge : callable
        What is read of what is allowed; nearly proportional to the size, and nothing at zero.
    high_mw : float
        Where the search ends. [MW]
    tol_mw : float
        How near both sizes are. [MW]

    Notes
    -----
    Secant steps on a bracket; both ends of the answer are judged.
    """
    at_high = judge(high_mw).share
    if at_high <= 1.0 + _NOISE:
        return None
    low, high, near = 0.0, high_mw, np.inf
    known = [(0.0, 0.0), (high_mw, at_high)]
    for n in range(_ROUNDS):
        if high - low <= tol_mw:
            return low
        (x0, y0), (x1, y1) = known[-2:]
        guess = x0 + (1.0 - y0) * (x1 - x0) / (y1 - y0) if np.isfinite(y0 + y1) and y1 != y0 else np.nan
        settled = abs(guess - near) < 0.2 * tol_mw
        near = guess
        if not low < guess < high or n % 8 == 7:
            guess = (low + high) / 2
        elif settled:  # just beyond the break, on the side that is still open
            guess = (
                min(guess + 0.45 * tol_mw, low + 0.9 * tol_mw)
                if high - guess > guess - low
                else max(guess - 0.45 * tol_mw, high - 0.9 * tol_mw)
            )
        value = judge(guess).share
        known.append((guess, value))
        if value > 1.0 + _NOISE:
            high = guess
        else:
            low = guess
    return low


def _jumping(judge: Judge, most: Judge, high_mw: float, tol_mw: float) -> float | None:
    """Return the same for a reading that may jump: from what holds for certain by levels, then halving."""
    sure = first_break(most, high_mw, tol_mw)
    if sure is None:
        return None
    sizes: list[float] = np.linspace(sure, high_mw, _LEVELS + 1).tolist()
    for low, high in itertools.pairwise(sizes):
        if judge(high).share > 1.0 + _NOISE:
            good, over = low, high
            while over - good > tol_mw:
                middle = (good + over) / 2
                good, over = (good, middle) if judge(middle).share > 1.0 + _NOISE else (middle, over)
            return good
    return None


def _as_far(answer: Answer, max_mw: float | None) -> float:
    """Return up to which size a further limit matters: the next one behind the capacity."""
    if len(answer.stops) > 1:
        return answer.stops[1].p_mw
    if not answer.stops or answer.stops[0].kind in ENDS:
        return answer.capacity_mw
    return min(_BEHIND * answer.capacity_mw, np.inf if max_mw is None else max(max_mw, answer.capacity_mw))


def _hours(trial: Trial, hours: Sequence[float] | None) -> NDArray[np.intp]:
    if hours is None:
        return heaviest_and_lightest(trial)
    try:
        given = np.atleast_1d(np.asarray(hours, dtype=float))
    except (TypeError, ValueError):
        raise bad("waveform_hours are times in seconds", str(hours), "Give a list such as [68400.0].") from None
    at = np.searchsorted(trial.time_s, given + 1e-9, side="right") - 1
    beyond = trial.time_s[-1] + (trial.dt_s if trial.dt_s > 0 else np.inf)
    wrong = given[(at < 0) | (given >= beyond) | ~np.isfinite(given)]
    if wrong.size or not given.size:
        cure = f"Give times from {trial.time_s[0]:g} to below {beyond:g} s, or leave waveform_hours= out."
        raise bad("hours lie outside the background", str(wrong.tolist()[:5]), cure)
    return np.unique(at).astype(np.intp)


def _given(sources: Any) -> dict[str, Any]:
    if sources == "emf":
        return {}
    if isinstance(sources, Mapping):
        known = ("s_sc_mva", "rx", "xd_transient_pu")
        for name in sources:
            if name not in known:
                raise bad("unknown data of sources", str(name), nearest(str(name), known))
        return dict(sources)
    raise bad("unknown sources", str(sources), 'Use "emf", "held", or {"s_sc_mva": 300}.')
