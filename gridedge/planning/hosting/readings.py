"""What a flickermeter and the definition of rapid changes read of a site's waveform, of what a limit allows."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.polynomial import chebyshev

from gridedge.errors import bad
from gridedge.grid.swing import Response
from gridedge.grid.trial import Float
from gridedge.measure.flicker import flicker
from gridedge.measure.flicker_limits import judge_flicker
from gridedge.measure.flickermeter import meter
from gridedge.measure.limit_sets import FlickerLimit, RapidChangeLimit
from gridedge.measure.rapid import RapidChanges, rapid_changes
from gridedge.measure.rapid_limits import judge_rapid, threshold_percent

_TRIED = 0.01  # pu: swing of the voltage that shows whether the waveform can be judged at all
_MEASURED = 2  # buses that are measured of all, those whose lamps flicker most
_NEAR = 0.97  # of what is allowed; a bus that comes second by the power of its swing reads no more than 1 % higher
_POINTS = 17  # of the power, at which voltages are compared


_RAPID = "rapid voltage change"


class Reading(NamedTuple):
    """What is read of what is allowed, broken above 1: at which bus (its position), of what quantity."""

    share: float
    bus: int
    what: str


class FlickerReading:
    """Pst and Plt of the worst bus against a limit.

    Parameters
    ----------
    limit : FlickerLimit
        What is allowed.
    share : ndarray, shape (time,)
        Power of the site, of its peak.
    dt_s : float
        Step. [s]
    mains_hz : int
        Frequency of the net; it names the lamp where the limit does not. [Hz]

    Raises
    ------
    InputError
        If the waveform is too coarse or too short for a Pst.

    Notes
    -----
    Which bus flickers most is told by the power that block 3 of the meter lets through, from the spectra of the powers
    of the waveform: exact but for block 1, which follows the level over half a minute.  The meter itself reads the two
    that come first.
    """

    def __init__(self, limit: FlickerLimit, share: Float, dt_s: float, mains_hz: Literal[50, 60]):
        self.limit, self.power, self.dt_s = limit, share, dt_s
        self.lamp = limit.lamp or ("120V-60Hz" if mains_hz == 60 else "230V-50Hz")
        self.level = limit.as_level()
        tried = flicker(1.0 - _TRIED * share, dt_s, lamp=self.lamp)
        findings = judge_flicker(tried, self.level)
        told = [f for f in findings if f.measured is not None]
        if not told:
            cure = "Give a waveform of 660 s or more for Pst, 7260 s for Plt; or leave the limit out."
            raise bad(f"the waveform is too short for {limit.name!r}", f"{share.size * dt_s:g} s", cure)
        self.remarks = [f"{f.name} cannot be told of this waveform: {f.note}." for f in findings if f.measured is None]
        if not tried.full_range:
            self.remarks.append(f"{limit.name}: {tried.notes[0]}.")
        self._spectra: dict[int, tuple[Float, Float]] = {}

    def share(self, response: Response, p_mw: float) -> Reading:
        """Return what is read at the worst bus."""
        best, where, what = 0.0, -1, "Pst"
        for bus in self._worst(response):
            if where >= 0 and not _NEAR < best <= 1.0:  # the next bus could not turn the verdict
                break
            read = flicker(response.at(bus, self.power * p_mw), self.dt_s, lamp=self.lamp)
            for f in judge_flicker(read, self.level):
                if f.measured is not None and f.limit is not None and f.measured / f.limit >= best:
                    best, where, what = f.measured / f.limit, bus, f.name.partition(",")[0]
        return Reading(best, where, what)

    def _worst(self, response: Response) -> list[int]:
        """Return the buses whose lamps flicker most, the worst first; of those that are alike only one."""
        mean, through = self._of(response.weight.shape[1])
        weight = response.weight
        with np.errstate(invalid="ignore"):
            level = weight @ mean
            sensed = np.einsum("bi,ij,bj->b", weight, through, weight) / level**2
        sensed = np.where(np.isfinite(sensed), sensed, -1.0)
        order = np.argsort(-sensed, kind="stable")
        chosen = [int(order[0])]
        for bus in order[1:].tolist():
            if len(chosen) == _MEASURED or sensed[bus] < 0.98 * sensed[chosen[0]]:  # 1 % of Pst
                break
            if sensed[bus] < sensed[chosen[-1]] * (1 - 1e-6):
                chosen.append(bus)
        return chosen

    def _of(self, terms: int) -> tuple[Float, Float]:
        """Return mean of each polynomial over the waveform, and what of their products passes block 3."""
        if terms not in self._spectra:
            low, high = float(self.power.min()), 1.0
            z = (self.power - (high + low) / 2) / ((high - low) / 2 or 1.0)
            gain = np.abs(meter(self.lamp).gain(np.fft.rfftfreq(z.size, self.dt_s).astype(float)))
            mean, passed = np.empty(terms), []
            for k in range(terms):
                values = chebyshev.chebval(z, np.eye(terms)[k])
                mean[k] = values.mean()
                passed.append(np.fft.rfft(values - mean[k]) * gain / z.size)
            through = np.array([[float((a.real * b.real + a.imag * b.imag).sum()) for b in passed] for a in passed])
            self._spectra[terms] = mean, through
        return self._spectra[terms]


class RapidReading:
    """Rapid voltage changes of the bus that swings most against a limit.

    Parameters
    ----------
    limit, share, dt_s, mains_hz
        As for :class:`FlickerReading`.

    Raises
    ------
    InputError
        If the waveform is coarser than half a cycle.

    Notes
    -----
    No change can be larger than the whole range of the voltage, so a site whose range keeps the strictest row holds.
    Beyond, changes are found in the series of the bus with the widest range.  Their number follows from the size, so
    the reading may jump.
    """

    def __init__(self, limit: RapidChangeLimit, share: Float, dt_s: float, mains_hz: Literal[50, 60]):
        self.limit, self.power, self.dt_s, self.mains_hz = limit, share, dt_s, mains_hz
        self.level = limit.as_level()
        self.strictest = min(row.limit_percent for row in self.level.rows)
        self.threshold_percent = threshold_percent(self.level)
        seen = self._changes(1.0 - _TRIED * share)
        self.remarks = []
        if len(self.level.rows) > 1 and seen.duration_s < 3600.0:
            text = "the waveform is too short to count changes, so the strictest row that may apply holds"
            self.remarks.append(f"{limit.name}: {text}.")

    def _changes(self, vm_pu: Float) -> RapidChanges:
        return rapid_changes(vm_pu, self.dt_s, mains_hz=self.mains_hz, threshold_percent=self.threshold_percent)

    def at_most(self, response: Response) -> Reading:
        """Return the widest range of a voltage, of the strictest row: no change can be larger."""
        z = np.cos(np.pi * np.arange(_POINTS) / (_POINTS - 1))
        values = chebyshev.chebval(z, response.weight.T)
        wide = np.nan_to_num(values.max(axis=1) - values.min(axis=1), nan=-1.0)
        where = int(wide.argmax())
        return Reading(100.0 * float(wide[where]) / self.strictest, where, _RAPID)

    def share(self, response: Response, p_mw: float) -> Reading:
        """Return what is read at the worst bus."""
        most = self.at_most(response)
        if most.share <= 1.0:
            return most
        where = most.bus
        found = judge_rapid(self._changes(response.at(where, self.power * p_mw)), self.level)
        if found.measured is None or found.limit is None:
            return Reading(0.0, where, _RAPID)  # it never settles, or changes too often: a matter of flicker
        return Reading(found.measured / found.limit, where, _RAPID)
