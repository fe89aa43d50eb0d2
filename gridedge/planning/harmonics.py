"""The verb ``harmonic_screen``: what the harmonic currents of a site meet in a grid, and whether they are too many."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge.errors import bad, is_number, nearest
from gridedge.grid.buses import bus_names, find_bus
from gridedge.grid.emf_data import Given
from gridedge.grid.harmonic import (
    LOAD_MODELS,
    HarmonicNet,
    LoadModel,
    Resistance,
    harmonic_net,
    impedances,
    short_circuit_mva,
)
from gridedge.grid.inject import private_copy
from gridedge.grid.resonance import Resonance, find_resonances
from gridedge.measure.finding import Finding, Verdict, overall
from gridedge.measure.harmonics import (
    ORDERS,
    HarmonicStandard,
    as_orders,
    current_limits,
    distortion_percent,
    harmonic_standard,
    judge_currents,
    judge_voltages,
    voltage_limits,
)
from gridedge.sites.spectrum import Spectrum, spectrum_of

if TYPE_CHECKING:
    import pandas as pd

_HIGHEST = 50.0
_NEAR = 0.5  # orders; half the distance to the next one
NOT_STUDIED = (
    "zero sequence: the net is taken as three-wire, and orders 3, 9, 15, ... as positive or negative sequence",
    "distortion that the grid has already: a voltage here is the site's alone, its limit is for all together",
    "filters of the site, and what its converters do above the 50th order or between orders",
    "other converters: they draw no harmonics here, and damp none",
)
"""What a screen does not say."""


@dataclass(frozen=True)
class HarmonicResult:
    """What a site's harmonic currents come to.

    Parameters
    ----------
    data : Dataset
        ``z_ohm(loads, order)`` and ``z_degree``, the impedance at the bus; ``i_percent(harmonic)`` [% of IL] with
        ``i_limit_percent``; ``v_percent(loads, harmonic)``, the voltage at the bus, ``thd_percent(loads, bus)`` at
        every bus, and the same with ``_shifted`` behind the name, if resonances lie where they do the most harm
        [% of nominal].  ``loads`` is the model of the other loads.  ``attrs`` hold ``isc_ka``, ``il_ka``,
        ``s_sc_mva``, ``isc_over_il``, ``tdd_percent``, ``spectrum``, ``standard``, ``not_studied`` and ``remarks``.
    resonances : tuple of (str, Resonance)
        Model of the other loads, and peak or valley of the impedance.
    findings : tuple of Finding
        Currents, then voltages at the bus, then at the worst other bus.
    """

    data: xr.Dataset
    resonances: tuple[tuple[LoadModel, Resonance], ...]
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """What the findings come to."""
        return overall(self.findings)

    @property
    def remarks(self) -> list[str]:
        """What a reader must know."""
        return list(self.data.attrs["remarks"])

    def table(self) -> pd.DataFrame:
        """Return the resonances, one row each."""
        import pandas as pd

        rows = [{"loads": model, **found.to_dict()} for model, found in self.resonances]
        return pd.DataFrame(rows, columns=["loads", "kind", "order", "z_ohm", "q"])

    def to_dict(self) -> dict[str, Any]:
        """Return plain data without the scan."""
        return {
            **self.data.attrs,
            "resonances": self.table().to_dict("records"),
            "findings": [f.to_dict() for f in self.findings],
        }


def harmonic_screen(
    net: Any,
    bus: int | str,
    p_mw: float,
    *,
    spectrum: str | Mapping[int, float] | Spectrum = "active-front-end",
    share: float = 1.0,
    power_factor: float = 0.98,
    standard: str | HarmonicStandard = "ieee519-2022",
    s_sc_mva: Given = None,
    rx: Given = None,
    xd_subtransient_pu: Given = None,
    loads: LoadModel | Sequence[LoadModel] = LOAD_MODELS,
    resistance: Resistance = "constant",
    long_lines: bool = True,
    shift: float = 0.05,
    order_step: float = 0.1,
) -> HarmonicResult:
    r"""Hold the harmonic currents of a site, and the voltages that they make, against IEEE 519.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    bus : int or str
        Point of common coupling, by index or name.
    p_mw : float
        Highest demand of the site at the meter. [MW]
    spectrum : str, dict or Spectrum
        Harmonic currents at that demand: a shipped name (:func:`gridedge.sites.spectrum.list_spectra`) or
        {order: per cent of the fundamental}.
    share : float
        Share of the site's current that has this spectrum; the rest draws a sine. [1]
    power_factor : float
        At that demand, in size: S = P / |power_factor|.
    standard : str or HarmonicStandard
        ``ieee519-2022`` or ``ieee519-2014``, or one of your own.
    s_sc_mva, rx, xd_subtransient_pu : float or mapping, optional
        How stiff the sources are, see :func:`gridedge.grid.harmonic.harmonic_net`. [MVA, 1, pu]
    loads : {"none", "parallel", "cigre"} or sequence of these
        Models of the other loads, see :func:`gridedge.grid.harmonic.admittance`; a verdict on voltages is one that
        all of them agree on.
    resistance : {"constant", "sqrt"}
        Whether resistances grow with the root of the order; constant ones damp least.
    long_lines : bool
        Whether lines are distributed over their length.
    shift : float
        How far a resonance may lie from where the data put it, of its order: a voltage passes only where it would
        with the highest impedance within that of each order.  0.05 is assumed: an error of 10 % in an inductance or
        a capacitance; 0 takes the data as exact. [1]
    order_step : float
        Step of the scan from order 1 to 50. [1]

    Returns
    -------
    HarmonicResult

    Raises
    ------
    InputError
        If an argument cannot be used, or no source reaches the bus.
    RunError
        If the net has no solution as it stands.

    Notes
    -----
    Isc is what the net gives at the bus with its sources behind their impedance (the net's smallest short-circuit
    power where it names one, which is the stricter side; the standard speaks of the largest), IL = S / (sqrt(3) Un).
    The site is a current source and damps nothing:

    .. math:: V_h = |Z(h)| I_h, \quad THD = \sqrt{\sum_h V_h^2} / V_n

    A verdict that hangs on an assumed source reads "cannot tell".

    References
    ----------
    .. [1] IEEE Std 519-2022, Tables 1 to 4.
    """
    from_spectrum = spectrum_of(spectrum)
    asked = harmonic_standard(standard)
    models = _check(p_mw, share, power_factor, loads, resistance, shift, order_step)
    own, remarks = private_copy(net)
    index, name = find_bus(own, bus)
    grid = harmonic_net(own, s_sc_mva=s_sc_mva, rx=rx, xd_subtransient_pu=xd_subtransient_pu)
    row, ohm = grid.row(index), grid.base_ohm(grid.row(index))
    vn_kv, s_mva = float(grid.vn_kv[row]), p_mw / abs(power_factor)
    percent = share * as_orders(from_spectrum.by_order())
    power = short_circuit_mva(grid, index)
    isc_ka, il_ka = (float(x / (np.sqrt(3.0) * vn_kv)) for x in (power, s_mva))
    where = f"bus {index} ({name})"

    scan = np.append(np.arange(1.0, _HIGHEST - order_step / 2, order_step), _HIGHEST)
    buses = sorted(grid.row_of)
    rows = [grid.row_of[b] for b in buses]
    z_ohm, volts, shifted, resonances = [], [], [], []
    for model in models:
        impedance = functools.partial(
            impedances, grid, index, loads=model, resistance=resistance, long_lines=long_lines
        )

        def at(h: float, impedance: Any = impedance) -> complex:
            return complex(impedance([h])[row, 0]) * ohm

        z = impedance(scan)
        peaks = find_resonances(scan, z[row] * ohm, at)
        sharp = [r.order for r in peaks if r.kind == "parallel"]
        exact = impedance(ORDERS)
        highest = _highest(np.concatenate([scan, sharp, ORDERS]), np.hstack([z, impedance(sharp), exact]), shift)
        z_ohm.append(z[row] * ohm)
        # 1 pu of impedance times the site's current in pu of the base; in per cent of nominal
        volts.append(np.abs(exact) * percent * s_mva / grid.base_mva)
        shifted.append(highest * percent * s_mva / grid.base_mva)
        resonances += [(model, found) for found in peaks]

    limits = current_limits(asked, vn_kv, power / s_mva)
    ds = xr.Dataset(coords={"loads": list(models), "order": scan, "harmonic": ORDERS, "bus": buses})
    ds["z_ohm"] = ("loads", "order"), np.abs(z_ohm), {"units": "ohm"}
    ds["z_degree"] = ("loads", "order"), np.degrees(np.angle(z_ohm)), {"units": "degree"}
    ds["i_percent"] = "harmonic", percent, {"units": "%"}
    ds["i_limit_percent"] = (
        "harmonic",
        np.full(ORDERS.size, np.nan) if limits is None else limits.percent,
        {"units": "%"},
    )
    for end, values in (("", volts), ("_shifted", shifted)):
        totals = [[distortion_percent(v[r]) for r in rows] for v in values]
        ds[f"v{end}_percent"] = ("loads", "harmonic"), np.array([v[row] for v in values]), {"units": "%"}
        ds[f"thd{end}_percent"] = ("loads", "bus"), np.array(totals), {"units": "%"}
    findings = judge_currents(
        percent,
        asked,
        vn_kv,
        power / s_mva,
        ratio_known=not grid.assumed,
        where=where,
        note=f"spectrum {from_spectrum.name} ({from_spectrum.mark})",
    )
    findings += judge_voltages(
        ds["v_percent"].values, asked, vn_kv, shifted=ds["v_shifted_percent"].values, known=not grid.assumed,
        where=where, note=_ALONE,
    )  # fmt: skip
    findings += _elsewhere(own, grid, ds, index, asked)
    ds.attrs = {
        "bus": index, "bus_name": name, "p_mw": p_mw, "vn_kv": vn_kv, "s_sc_mva": power, "isc_ka": isc_ka,
        "il_ka": il_ka, "isc_over_il": power / s_mva, "tdd_percent": distortion_percent(percent),
        "spectrum": from_spectrum.name, "share": share, "standard": asked.name, "resistance": resistance,
        "shift": shift,
        "not_studied": list(NOT_STUDIED),
        "remarks": [
            *remarks,
            *grid.remarks,
            f"Spectrum {from_spectrum.name}: {_origin(from_spectrum)}.",
            *_near(resonances, percent),
            f"Resistances: {_RESISTANCE[resistance]}.",
        ],
    }  # fmt: skip
    return HarmonicResult(ds, tuple(resonances), tuple(findings))


_ALONE = "of the site alone"
_RESISTANCE = {
    "constant": "the same at all orders, which damps least: peaks are upper bounds",
    "sqrt": "growing with the root of the order (skin effect), assumed for every branch",
}


def _origin(spectrum: Spectrum) -> str:
    return f"{spectrum.mark}, {spectrum.source}"


def _highest(orders: NDArray[np.float64], z: NDArray[np.complex128], shift: float) -> NDArray[np.float64]:
    """Return the highest impedance within the shift of each whole order, (row, 49)."""
    size = np.abs(z)
    near = [np.abs(orders - h) <= shift * h + 1e-12 for h in ORDERS]
    return np.stack([size[:, one].max(axis=1) for one in near], axis=1)


def _elsewhere(own: Any, grid: HarmonicNet, ds: xr.Dataset, bus: int, asked: HarmonicStandard) -> list[Finding]:
    """Judge the other bus whose voltage is the most distorted against its limit."""
    limit = np.array([voltage_limits(asked, grid.vn_kv[grid.row_of[int(b)]]).thd_percent for b in ds["bus"].values])
    excess = (ds["thd_shifted_percent"].values / limit).max(axis=0)
    excess[ds["bus"].values == bus] = -np.inf
    if not np.isfinite(excess).any():
        return []
    k = int(np.argmax(excess))
    other = int(ds["bus"].values[k])
    # One total per model stands for its orders: of what is found, only the total is meant.
    return judge_voltages(
        ds["thd_percent"].values[:, [k]], asked, float(grid.vn_kv[grid.row_of[other]]),
        shifted=ds["thd_shifted_percent"].values[:, [k]], known=not grid.assumed,
        where=f"bus {other} ({bus_names(own)[other]}), the worst of the others", note=_ALONE,
    )[:1]  # fmt: skip


def _near(resonances: Sequence[tuple[LoadModel, Resonance]], percent: Any) -> list[str]:
    """Name each order that the site draws and a peak is near to, once."""
    said: dict[int, str] = {}
    for model, found in resonances:
        order = round(found.order)
        if found.kind != "parallel" or not 2 <= order <= _HIGHEST or percent[order - 2] == 0:
            continue
        if abs(found.order - order) <= _NEAR:
            text = f"{found.order:.2f} ({found.z_ohm:.3g} ohm, Q {found.q:.2g}, loads {model})"
            said[order] = f"{said[order]}, {text}" if order in said else text
    return [f"The site draws order {h}, and the impedance peaks nearby: {text}." for h, text in sorted(said.items())]


def _check(
    p_mw: float, share: float, power_factor: float, loads: Any, resistance: str, shift: float, order_step: float
) -> tuple[LoadModel, ...]:
    if not is_number(p_mw) or not p_mw > 0:
        raise bad("p_mw must be positive", p_mw, "Give the highest demand of the site in MW.")
    if not is_number(share) or not 0 < share <= 1:
        raise bad("share must lie above 0, and at most at 1", share, "Give the share that draws harmonics: 0.6.")
    if not is_number(power_factor) or not 0 < abs(power_factor) <= 1:
        raise bad("a power factor must be above 0 and at most 1 in size", power_factor, "Give 0.98.")
    if not 0 <= shift < 0.5:
        raise bad("shift must be zero or more, and below 0.5", shift, "Give shift=0.05.")
    if not 0.001 <= order_step <= 1:
        raise bad("order_step must lie between 0.001 and 1", order_step, "Give order_step=0.1.")
    if resistance not in _RESISTANCE:
        raise bad("unknown resistance", str(resistance), nearest(str(resistance), _RESISTANCE))
    models = (loads,) if isinstance(loads, str) else tuple(loads)
    for model in models:
        if model not in LOAD_MODELS:
            raise bad("unknown model of loads", str(model), nearest(str(model), LOAD_MODELS))
    if not models or len(set(models)) < len(models):
        raise bad("models of loads", str(models), f"Give each once: {', '.join(LOAD_MODELS)}.")
    return models
