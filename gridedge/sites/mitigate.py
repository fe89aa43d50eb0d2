"""The verb ``mitigate``: smoothing and storage, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import xarray as xr
from pydantic import Field

from gridedge import schema
from gridedge.errors import bad, nearest
from gridedge.sites.facility import tan_phi
from gridedge.sites.smoothing import DummyLoad
from gridedge.sites.step import Around
from gridedge.sites.storage import STORAGE, AnyStorage
from gridedge.spec import build

Step = Annotated[DummyLoad | AnyStorage, Field(discriminator="step")]
_STEPS: dict[str, type[DummyLoad] | type[AnyStorage]] = {"dummy_load": DummyLoad, **STORAGE}
_BOOKS = ("wasted_mw", "lost_mw", "delayed_mw", "stored_mw")


def mitigate(load: xr.Dataset, steps: Sequence[Mapping[str, Any] | DummyLoad | AnyStorage]) -> xr.Dataset:
    """Smooth a load, one step after the other.

    Parameters
    ----------
    load : Dataset
        ``p_mw`` with ``time`` as one dimension.  Steps at the ``chip`` act on the IT power, before
        :func:`gridedge.connect`; steps at the ``site`` on the metered power, after it.
    steps : sequence of dict or spec
        ``{"step": "dummy_load", "floor_pu": 0.6}`` or ``{"step": "battery", "p_rated_mw": 3, ...}``.

    Returns
    -------
    Dataset
        The load with ``p_mw`` after, ``p_before_mw``, and what was ``wasted_mw``, ``lost_mw``, ``delayed_mw``
        and ``stored_mw`` at each step; ``soc_pu(storage, ...)`` at the end of each step for every storage.
        A load that was mitigated before keeps its books.  They close:
        before - delayed + wasted + lost + stored = after.
        Where a battery holds the power factor, ``q_mvar`` follows ``p_mw``, and ``attrs["storage_inverter_mva"]``
        is the rating that takes.

    Raises
    ------
    InputError
        If a step cannot act on this load.
    """
    schema.require(load, ["p_mw"], thing="the load")
    if isinstance(steps, Mapping | str) or not isinstance(steps, Sequence):
        raise bad("steps must be a list", type(steps).__name__, 'Write [{"step": "battery", ...}].')
    around = Around(
        schema.clock(load),
        nameplate_mw=load.attrs.get("nameplate_mw"),
        server=load.attrs.get("server"),
        servers=load.attrs.get("servers"),
        vm_pu=load["vm_pu"].values if "vm_pu" in load else None,
    )
    order = load["p_mw"].dims
    p = load["p_mw"].transpose(..., "time")
    now = p.values.astype(float)
    # A load that was mitigated before keeps its books: they go on.
    books = {n: _values(load[n], p.dims) if n in load else np.zeros_like(now) for n in _BOOKS}
    charge = {str(k): _values(load["soc_pu"].sel(storage=k), p.dims) for k in load.get("storage", np.empty(0)).data}
    earlier = len(charge)
    taken: list[DummyLoad | AnyStorage] = []
    for number, given in enumerate(steps):
        step = _step(given)
        taken.append(step)
        _check_place(step, load)
        found = step.act(now, around)
        now = found.p_mw
        for name in _BOOKS:
            if (values := getattr(found, name)) is not None:
                books[name] += values
        label = f"{earlier + number}:{step.step}"
        if found.part_soc_pu:
            charge |= {f"{label}.{part}": soc for part, soc in found.part_soc_pu}
        elif found.soc_pu is not None:
            charge[label] = found.soc_pu
    bare = load.drop_dims("storage", errors="ignore")
    out = bare.assign(p_mw=p.copy(data=now).transpose(*order), p_before_mw=load.get("p_before_mw", load["p_mw"]).copy())
    for name, values in books.items():
        out[name] = p.copy(data=values).transpose(*order)
    if charge:
        out["soc_pu"] = (("storage", *p.dims), np.stack(list(charge.values())))
        out["soc_pu"] = out["soc_pu"].transpose("storage", *order)
        out = out.assign_coords(storage=list(charge))
    if any(s.place == "site" and getattr(s, "holds_power_factor", False) for s in taken):
        _hold_power_factor(out, load)
    return schema.describe(out)


def _values(values: xr.DataArray, dims: tuple[Any, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(values.transpose(*dims).values, dtype=float)


def _step(given: Mapping[str, Any] | DummyLoad | AnyStorage) -> DummyLoad | AnyStorage:
    if isinstance(given, DummyLoad | AnyStorage):
        return given
    if not isinstance(given, Mapping):
        raise bad("a step must be a dict or a spec", type(given).__name__, 'Write {"step": "battery", ...}.')
    name = str(given.get("step"))
    if name not in _STEPS:
        raise bad("unknown step", name, nearest(name, _STEPS))
    return build(_STEPS[name], given)


def _check_place(step: DummyLoad | AnyStorage, load: xr.Dataset) -> None:
    connected = "site" in load["p_mw"].dims
    if step.place == "site" and not connected:
        cure = "Pass the load through gridedge.connect(...) first."
        raise bad(f"{step.step} acts at the meter, and this is IT power", "place: site", cure)
    if step.place != "site" and connected:
        raise bad(
            f"{step.step} acts on IT power, and this is the metered power",
            f"place: {step.place}",
            "Do it before connect.",
        )


def _hold_power_factor(out: xr.Dataset, load: xr.Dataset) -> None:
    """Let the storage's inverter supply what keeps the power factor at the meter, and say how large it must be."""
    if "power_factor" not in load.coords or "q_mvar" not in load:
        cure = "Make it with gridedge.connect(...), or set holds_power_factor: false for the battery."
        raise bad("the load does not say its power factor", "", cure)
    ratio = xr.DataArray([tan_phi(float(pf)) for pf in load["power_factor"].values], dims="site")
    out["q_mvar"] = (out["p_mw"] * ratio).transpose(*load["q_mvar"].dims)
    apparent = np.hypot(out["p_mw"] - load["p_mw"], out["q_mvar"] - load["q_mvar"])
    out.attrs["storage_inverter_mva"] = float(apparent.max())
