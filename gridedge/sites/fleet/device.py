"""Inference in the hand: what the phone can keep up, and what its charger draws from the home's socket."""

from __future__ import annotations

from typing import Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import model_validator

from gridedge.errors import bad
from gridedge.schema import describe
from gridedge.spec import Spec, quantity
from gridedge.timebase import check_step

Float = NDArray[np.float64]
_DAY_S = 86_400.0


class Device(Spec):
    """A phone that runs a small model."""

    active_w: float = quantity(
        6.0, mark="assumed", source="a phone's processor at full work, 4 to 10 W (from memory)", low=4, high=10, gt=0
    )
    """Power beyond idle while it works at full speed, from the battery. [W]"""
    tokens_per_s: float = quantity(
        10.0,
        mark="assumed",
        source="8B model at 4 bits on a phone of 2024, 5 to 15 (from memory)",
        low=5,
        high=15,
        gt=0,
    )
    """Tokens of an answer at full speed. [1/s]"""
    prompt_tokens_per_s: float = quantity(
        100.0,
        mark="assumed",
        source="prompts are read at once, 50 to 300 on phones (from memory)",
        low=50,
        high=300,
        gt=0,
    )
    """Tokens of a prompt read at full speed. [1/s]"""
    sustained_w: float = quantity(
        3.5,
        mark="assumed",
        source="what a phone's skin gives off for minutes, 3 to 5 W (from memory)",
        low=3,
        high=5,
        gt=0,
    )
    """Power that it can keep up without becoming too hot. [W]"""
    burst_s: float = quantity(
        60.0,
        mark="assumed",
        source="heat that the body takes up before it throttles (from memory)",
        low=30,
        high=180,
        ge=0,
    )
    """How long it works at full speed from cold. [s]"""
    charger_efficiency: float = quantity(
        0.85,
        mark="assumed",
        source="USB chargers near half load, 0.80 to 0.90 (from memory)",
        low=0.8,
        high=0.9,
        gt=0,
        le=1,
    )
    """Power out of the charger over power from the socket."""
    battery_efficiency: float = quantity(
        0.95, mark="assumed", source="a lithium cell's charge and discharge, 0.92 to 0.98 (from memory)",
        low=0.92, high=0.98, gt=0, le=1,
    )  # fmt: skip
    """Energy out of the battery over energy into it."""
    charge_from_h: float = quantity(22.0, mark="assumed", source="phones are charged over night", ge=0, lt=24)
    """When the phones are plugged in, local time. [h]"""
    charge_hours: float = quantity(8.0, mark="assumed", source="phones are charged over night", gt=0, le=24)
    """How long they charge, evenly. [h]"""
    plugged_pu: float = quantity(
        0.2, mark="assumed", source="share of the use at the plug", low=0.0, high=0.5, ge=0, le=1
    )
    """Share of the work done while plugged in, drawn at once."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.sustained_w > self.active_w:
            value = f"sustained_w {self.sustained_w:g}, active_w {self.active_w:g}"
            raise bad(
                "a device keeps up more than it draws at full speed", value, "Lower sustained_w, or raise active_w."
            )
        return self

    @property
    def socket_j_per_token(self) -> float:
        """Energy from the socket for a token of an answer, in J."""
        return self.active_w / self.tokens_per_s / (self.charger_efficiency * self.battery_efficiency)

    @property
    def sustained_tokens_per_s(self) -> float:
        """Tokens per second that it keeps up: energy per token is held, so that speed falls with the power."""
        return self.tokens_per_s * self.sustained_w / self.active_w

    def work_s(self, tokens_out: float, tokens_in: float = 0.0) -> float:
        """Return the time that a prompt and its answer take at full speed. [s]."""
        return tokens_out / self.tokens_per_s + tokens_in / self.prompt_tokens_per_s

    def answer_s(self, tokens_out: float, tokens_in: float = 0.0) -> float:
        """Return how long they take: at full speed from cold, then as fast as the heat goes. [s]."""
        fast = self.work_s(tokens_out, tokens_in)
        return fast + max(fast - self.burst_s, 0.0) * (self.active_w / self.sustained_w - 1.0)


def drawn_from_sockets(used_w: Float, dt_s: float, device: Device, *, start_h: float = 0.0) -> tuple[Float, float]:
    """Return what chargers draw for what batteries gave.

    Parameters
    ----------
    used_w : ndarray, shape (time,)
        Power of the devices' work. [W]
    dt_s : float
        Step. [s]
    device : Device
        Efficiencies, and when they are charged.
    start_h : float
        Local time of the first sample. [h]

    Returns
    -------
    drawn_w : ndarray, shape (time,)
        Power from the sockets, mean of each step. [W]
    owed_j : float
        What is still to be drawn after the last step: used / efficiencies = drawn + owed. [J]

    Raises
    ------
    InputError
        If what is used is negative or not a number.

    Notes
    -----
    What is used between the starts of two nights is drawn evenly over the second night; what a night that is cut by the
    end of the series would still draw is owed.
    """
    check_step(dt_s)
    if not np.isfinite(used_w).all() or (used_w < 0).any():
        raise bad("devices use a power that is none", "negative or NaN", "Give watts of 0 or more.")
    chain = device.charger_efficiency * device.battery_efficiency
    # At the plug nothing passes the battery.
    drawn = device.plugged_pu * used_w / device.charger_efficiency
    later = (1.0 - device.plugged_pu) * used_w * dt_s / chain
    edge = np.arange(used_w.size + 1) * dt_s + 3600.0 * (start_h - device.charge_from_h)  # from a start of charging
    night = np.floor(edge / _DAY_S).astype(int)
    first = int(night[0])
    # Energy of each interval from start to start; a step that spans two is cut.
    grown = np.r_[0.0, np.cumsum(later)]
    starts = np.arange(first, int(night[-1]) + 2) * _DAY_S
    at = np.interp(starts, edge, grown)
    of_night = np.diff(at)  # used between start k and k + 1, drawn in night k + 1
    long_s = 3600.0 * device.charge_hours
    # Energy drawn up to each edge: of every night the part that has passed.
    k = night - first
    done = np.r_[0.0, np.cumsum(of_night)]
    passed = np.minimum((edge - night * _DAY_S) / long_s, 1.0)
    before = np.where(k >= 1, done[np.maximum(k - 1, 0)], 0.0)
    now = np.where(k >= 1, of_night[np.maximum(k - 1, 0)], 0.0)
    total = before + now * passed
    drawn = drawn + np.diff(total) / dt_s
    return np.asarray(drawn), float(grown[-1] - total[-1])


def home_load(
    requests_per_s: Float,
    dt_s: float,
    tokens_out: float,
    device: Device,
    *,
    tokens_in: float = 0.0,
    start_h: float = 0.0,
    homes: int | None = None,
) -> xr.Dataset:
    """Return the load that inference on devices adds to the homes.

    Parameters
    ----------
    requests_per_s : ndarray, shape (time,)
        What devices answer. [1/s]
    dt_s : float
        Step. [s]
    tokens_out : float
        Mean length of an answer.
    device : Device
        The phone.
    tokens_in : float
        Mean length of a prompt.
    start_h : float
        Local time of the first sample. [h]
    homes : int, optional
        Over how many homes it spreads; adds ``p_w_per_home``.

    Returns
    -------
    Dataset
        ``p_mw(time)`` at the sockets; attributes ``energy_used_mwh`` at the battery or plug, ``energy_drawn_mwh``,
        ``energy_owed_mwh``, and ``busy_devices``, the most that work at once.
    """
    rate = np.asarray(requests_per_s, dtype=float)
    used = rate * device.work_s(tokens_out, tokens_in) * device.active_w
    drawn, owed = drawn_from_sockets(used, dt_s, device, start_h=start_h)
    out = xr.Dataset({"p_mw": ("time", drawn / 1e6)}, coords={"time": np.arange(rate.size) * dt_s})
    if homes is not None:
        if homes < 1:
            raise bad("no home to spread it over", homes, "Give homes >= 1.")
        out["p_w_per_home"] = ("time", drawn / homes)
    mwh = dt_s / 3.6e9
    out.attrs = {
        "dt_s": dt_s,
        "power": "at the homes' sockets",
        "energy_used_mwh": float(used.sum() * mwh),
        "energy_drawn_mwh": float(drawn.sum() * mwh),
        "energy_owed_mwh": owed / 3.6e9,
        "busy_devices": float(rate.max(initial=0.0) * device.answer_s(tokens_out, tokens_in)),
    }
    return describe(out)


def homes_mw_per_mw(device: Device, *, site_j_per_token: float) -> float:
    """Return the megawatts at sockets that replace one megawatt of a site's meter, token for token.

    Parameters
    ----------
    device : Device
        The phone.
    site_j_per_token : float
        Energy at the meter of a site for a token of an answer. [J]

    Notes
    -----
    The phone's model is smaller than the site's: it is the same number of tokens, not the same quality. Reading prompts
    is not counted.
    """
    if not site_j_per_token > 0:
        raise bad("a token costs energy", site_j_per_token, "Give site_j_per_token > 0.")
    return device.socket_j_per_token / site_j_per_token
