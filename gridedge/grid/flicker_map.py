"""The verb ``flicker_map``: what flickermeters read at every bus of a feeder while sites swing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from gridedge.errors import RunError, bad
from gridedge.grid.inject import Background, private_copy
from gridedge.grid.solve import solve
from gridedge.measure.flicker import measure_blocks
from gridedge.measure.flicker_summation import INDEPENDENT, RARE_STEPS, SYNCHRONOUS, combine
from gridedge.measure.flickermeter import Lamp, long_term

_TOGETHER = 1 << 25  # voltages that are held at once


def flicker_map(
    net: Any,
    load: xr.Dataset,
    bus: int | str | Sequence[int | str] | None = None,
    *,
    background: Background = None,
    sources: Literal["emf"] | Mapping[str, Any] = "emf",
    lamp: Lamp = "230V-50Hz",
    settle_s: float = 60.0,
    apart: bool = False,
) -> xr.Dataset:
    """Measure the flicker at every bus of a net while one site, or several, follow their waveform.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    load : Dataset
        As :func:`gridedge.connect` makes it, ``p_mw(time, site)`` and ``q_mvar(time, site)``, at 100 Hz or more.
    bus : int, str or sequence of these, optional
        Where the sites connect, one each; without, where the load says.
    background : Dataset or dict of Datasets, optional
        How the net's own elements stand or move, as for :func:`gridedge.solve`.
    sources : "emf" or dict
        Grids and machines as EMFs behind impedance: ``s_sc_mva``, ``rx``, ``xd_transient_pu`` as for
        :func:`gridedge.solve`; what is not given, and the net does not say, is assumed and stated.
    lamp, settle_s
        As for :func:`gridedge.flicker`.
    apart : bool
        Whether each site is measured alone as well, the others at their mean, and held against the summation law.

    Returns
    -------
    Dataset
        Per ``bus``: ``pst``, the highest of all blocks of ten minutes; ``plt``, the highest of all two hours, and
        ``pinst_max`` [1]; ``pst_block(bus, block)``; NaN where there is no supply, or the series is too short.  With
        ``apart``: ``pst_each(site, bus)`` and ``pst_law(exponent, bus)``, what the law makes of these with the
        exponents 1 (in step), 2 (independent) and 3 (rare steps); ``pst`` is that of the joint waveform.

    Raises
    ------
    InputError
        If the load has no bus, its step is too long for the meter, or it ends before the meter has settled.
    RunError
        If no step converges, or one has no solution: a meter cannot bridge a gap.

    Notes
    -----
    Voltages are those of :func:`gridedge.solve`, by the surface engine wherever it pays: a quasi-steady envelope,
    approximate above 10 Hz.  Flicker of the site alone: what the net carries already is not in it.

    References
    ----------
    .. [1] IEC 61000-4-15:2010; IEC TR 61000-3-7:2008 for the summation law (from memory).
    """
    if isinstance(sources, str) and sources != "emf":
        cure = 'Use sources="emf": a bus that is held at its set-point hides the swing.'
        raise bad("flicker is measured behind sources that are EMFs", sources, cure)
    if bus is not None:
        given: list[Any] = [bus] if isinstance(bus, int | str | np.integer) else list(bus)
        if "site" not in load.dims or len(given) != load.sizes["site"]:
            cure = "Give one bus per site of a load that gridedge.connect made."
            raise bad("buses and sites do not go together", f"{len(given)} buses", cure)
        load = load.assign_coords(bus=("site", given))
    own, remarks = private_copy(net)
    ds = _measured(own, load, background, sources, lamp, settle_s)
    if apart:
        names = load["site"].values
        each = []
        for name in names:
            here = load["site"] == name
            alone = load.copy()
            for column in ("p_mw", "q_mvar"):
                alone[column] = load[column].where(here, load[column].mean("time")).transpose("time", "site")
            alone.attrs = load.attrs
            each.append(_measured(own, alone, background, sources, lamp, settle_s)["pst"].values)
        known = np.nan_to_num(np.array(each))  # a bus without supply has none
        exponents = [SYNCHRONOUS, INDEPENDENT, RARE_STEPS]
        law = np.array([combine(known.T, exponent=a) for a in exponents])
        law[:, ~np.isfinite(ds["pst"].values)] = np.nan
        ds = ds.assign_coords(site=names, exponent=exponents)
        ds["pst_each"] = (("site", "bus"), np.array(each), {"units": "1"})
        ds["pst_law"] = (("exponent", "bus"), law, {"units": "1"})
    ds.attrs["remarks"] = remarks + ds.attrs["remarks"]
    return ds


def _measured(
    net: Any, load: xr.Dataset, background: Background, sources: Any, lamp: Lamp, settle_s: float
) -> xr.Dataset:
    """Return the map of one load."""
    steps = load.sizes["time"]
    usable = [int(b) for b in net.bus.index[net.bus.in_service.astype(bool)]]
    together = max(1, _TOGETHER // steps)
    first: xr.Dataset | None = None
    pst: dict[int, np.ndarray] = {}
    peak: dict[int, float] = {}
    for begin in range(0, len(usable), together):
        here = usable[begin : begin + together]
        solved = solve(net, load, background=background, sources=sources, reduce=["min", "max"], at=here)
        lost = int(solved.attrs["steps_not_converged"])
        if lost:
            raise RunError(f"{lost} of {steps} steps have no solution. Choose a smaller site or a stronger bus.")
        dt_s = float(solved.attrs["dt_s"])
        voltages = solved["vm_at_pu"].values.T
        lowest = solved["vm_pu"].sel(reduction="min", bus=here).values
        live = np.flatnonzero(np.isfinite(lowest))  # what no source reaches has no voltage
        if live.size:
            read = measure_blocks(np.ascontiguousarray(voltages[live]), dt_s, lamp=lamp, settle_s=settle_s)
            pst |= {here[k]: values for k, values in zip(live.tolist(), read.pst, strict=True)}
            peak |= {here[k]: float(value) for k, value in zip(live.tolist(), read.pinst_max, strict=True)}
        first = solved if first is None else first
    assert first is not None
    buses = first["bus"].values
    blocks = next(iter(pst.values())).size
    nothing = np.full(blocks, np.nan)
    each = np.array([pst.get(int(b), nothing) for b in buses]).reshape(buses.size, blocks)
    ds = xr.Dataset(
        {
            "pst": ("bus", _highest(each), {"units": "1"}),
            "plt": ("bus", _highest(long_term(each)), {"units": "1"}),
            "pinst_max": ("bus", [peak.get(int(b), np.nan) for b in buses], {"units": "1"}),
            "pst_block": (("bus", "block"), each, {"units": "1"}),
            "vm_min_pu": ("bus", first["vm_pu"].sel(reduction="min").values, {"units": "pu"}),
            "vm_max_pu": ("bus", first["vm_pu"].sel(reduction="max").values, {"units": "pu"}),
        },
        coords={"bus": buses, "bus_name": ("bus", first["bus_name"].values)},
    )
    remarks = list(first.attrs["remarks"])
    if not blocks:
        remarks.append(f"Pst cannot be told: {steps * dt_s - settle_s:g} s after settling; a Pst takes 600 s.")
    elif blocks < 12:
        remarks.append(f"Plt cannot be told: {blocks} of the 12 blocks of ten minutes that a Plt takes.")
    ds.attrs = {
        "lamp": lamp, "settle_s": settle_s, "dt_s": dt_s, "engine": first.attrs["engine"],
        "error_vm_pu": first.attrs["error_vm_pu"], "remarks": remarks,
    }  # fmt: skip
    return ds


def _highest(values: np.ndarray) -> np.ndarray:
    """Return the largest of the last axis; NaN where there is none."""
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    return np.asarray(values.max(axis=-1))
