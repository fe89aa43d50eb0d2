"""The verb ``mitigate``: smoothing and storage, in order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from gridedge import schema
from gridedge.errors import bad, nearest
from gridedge.sites.caps import FrequencyCap, PowerCap
from gridedge.sites.dummy import DummyLoad
from gridedge.sites.facility import BOOKS, tan_phi
from gridedge.sites.floor import PowerFloor
from gridedge.sites.regenerate import regenerate
from gridedge.sites.schedule import RampUp, Stagger
from gridedge.sites.step import PLACES, Around, Outcome
from gridedge.sites.storage import AnyStorage
from gridedge.spec import build

AnyStep = PowerCap | FrequencyCap | Stagger | RampUp | PowerFloor | DummyLoad | AnyStorage
"""Every step; a new one is added here."""
Step = Annotated[AnyStep, Field(discriminator="step")]
_RESHAPE = (PowerCap, FrequencyCap, Stagger, RampUp)
_CLASSES: tuple[type[AnyStep], ...] = get_args(AnyStep)
_STEPS: dict[str, type[AnyStep]] = {n: c for c in _CLASSES for n in get_args(c.model_fields["step"].annotation)}
Float = NDArray[np.float64]
_HIGHEST_PU = 3.0  # above it, a voltage is one in kV or percent


def mitigate(load: xr.Dataset, steps: Sequence[Mapping[str, Any] | AnyStep]) -> xr.Dataset:
    """Smooth a load, one step after the other.

    Parameters
    ----------
    load : Dataset
        ``p_mw`` with ``time`` as one dimension, and ``member`` or ``site`` as others.  Steps at the ``chip``,
        ``rack`` and ``ups`` act on the IT power, before :func:`gridedge.connect`; steps at the ``site`` on the
        metered power, after it.  ``active_pu`` is the share of the servers whose job runs, ``vm_pu`` the voltage
        that a droop follows.
    steps : sequence of dict or spec
        ``{"step": "dummy_load", "floor_pu": 0.6}`` or ``{"step": "battery", "p_rated_mw": 3, ...}``, from the chip
        outwards.  Caps, staggering and ramp-up come first: a generated load is made again from its reshaped
        profile, so that its period and its spectrum move; a series is cut, and says so.

    Returns
    -------
    Dataset
        The load with ``p_mw`` after, ``p_before_mw``, and what was ``wasted_mw``, ``lost_mw``, ``delayed_mw``
        and ``stored_mw`` at each step; ``soc_pu(storage, ...)`` at the end of each step for every storage.
        A load that was mitigated before keeps its books.  They close:
        before - delayed + wasted + lost + stored = after; at the meter, ``overhead_mw`` is added
        (see :func:`gridedge.connect`).
        ``p_at_mw(place, ...)`` is the power behind the steps of each place: what the equipment there sees.
        ``attrs["notes"]`` says what could not be held, ``attrs["figures"]`` how much, by ``number:step``;
        ``put_off_pu`` there is the share of the power before a step that it delayed.
        Where a battery holds the power factor, ``q_mvar`` follows ``p_mw``, and ``attrs["storage_inverter_mva"]``
        is the rating that takes.

    Raises
    ------
    InputError
        If a step cannot act on this load, or the steps are out of order.
    """
    schema.require(load, ["p_mw"], thing="the load")
    if isinstance(steps, Mapping | str) or not isinstance(steps, Sequence):
        raise bad("steps must be a list", type(steps).__name__, 'Write [{"step": "battery", ...}].')
    taken = [read_step(given) for given in steps]
    _check_order(taken, load)
    around = around_of(load)
    _check_cap(taken, around)
    order = load["p_mw"].dims
    p = load["p_mw"].transpose(..., "time")
    now = p.values.astype(float)
    # A load that was mitigated before keeps its books: they go on.
    books = {n: _values(load[n], p.dims) if n in load else np.zeros_like(now) for n in BOOKS}
    charge = {str(k): _values(load["soc_pu"].sel(storage=k), p.dims) for k in load.get("storage", np.empty(0)).data}
    bare = load.drop_dims(["storage", "place"], errors="ignore")
    attrs = dict(load.attrs)
    notes, figures = list(attrs.get("notes", [])), dict(attrs.get("figures", {}))
    labels = list(attrs.get("steps", []))

    reshaping = [step for step in taken if isinstance(step, _RESHAPE)] if not around.measured else []
    if reshaping:
        made, found = regenerate(load, reshaping)
        fresh = made["p_mw"].transpose(*p.dims).values.astype(float)
        books["delayed_mw"] += now - fresh
        now = fresh
        attrs |= made.attrs
        bare = bare.drop_vars("active_pu", errors="ignore").assign({k: made[k] for k in made if k == "active_pu"})
        around = around_of(bare.assign_attrs(attrs))
        for shaping, said in zip(reshaping, found, strict=True):
            labels.append(f"{len(labels)}:{shaping.step}")
            figures[labels[-1]] = said
            notes += _slower(shaping.step, said)
    levels = _levels(load, p, now)
    turn_mvar = np.zeros_like(now)
    for step in taken[len(reshaping) :]:
        label = f"{len(labels)}:{step.step}"
        labels.append(label)
        outcome: Outcome = step.act(now, around)
        put_off = 0.0 if outcome.delayed_mw is None else _mean_share(outcome.delayed_mw, now)
        now = outcome.p_mw
        for name in BOOKS:
            if (values := getattr(outcome, name)) is not None:
                books[name] += values
        if outcome.part_soc_pu:
            charge |= {f"{label}.{part}": soc for part, soc in outcome.part_soc_pu}
        elif outcome.soc_pu is not None:
            charge[label] = outcome.soc_pu
        if outcome.q_mvar is not None:
            turn_mvar = turn_mvar + outcome.q_mvar
        notes += outcome.notes
        if outcome.figures:
            figures[label] = dict(outcome.figures) | ({"put_off_pu": put_off} if put_off else {})
        levels |= dict.fromkeys(PLACES[PLACES.index(step.place) :], now)
        attrs["outermost"] = step.place
    out = bare.assign(p_mw=p.copy(data=now).transpose(*order), p_before_mw=load.get("p_before_mw", load["p_mw"]).copy())
    out.attrs = {**attrs, "notes": notes, "figures": figures, "steps": labels}
    for name, values in books.items():
        out[name] = p.copy(data=values).transpose(*order)
    if charge:
        out["soc_pu"] = (("storage", *p.dims), np.stack(list(charge.values())))
        out["soc_pu"] = out["soc_pu"].transpose("storage", *order)
        out = out.assign_coords(storage=list(charge))
    places = PLACES if "site" in order else PLACES[:-1]
    out["p_at_mw"] = (("place", *p.dims), np.stack([levels[place] for place in places]))
    out["p_at_mw"] = out["p_at_mw"].transpose("place", *order)
    out = out.assign_coords(place=list(places))
    if any(step.place == "site" and getattr(step, "holds_power_factor", False) for step in taken):
        _hold_power_factor(out, load)
    if turn_mvar.any():
        out["q_mvar"] = out["q_mvar"] + p.copy(data=turn_mvar).transpose(*order)
    return schema.describe(out)


def _values(values: xr.DataArray, dims: tuple[Any, ...]) -> Float:
    return np.array(values.transpose(*dims).values, dtype=float)


def _mean_share(part: Float, whole: Float) -> float:
    total = float(whole.sum())
    return float(part.sum()) / total if total else 0.0


def read_step(given: Mapping[str, Any] | AnyStep) -> AnyStep:
    """Turn a dict or a spec into a step."""
    if isinstance(given, _CLASSES):
        return given
    if not isinstance(given, Mapping):
        raise bad("a step must be a dict or a spec", type(given).__name__, 'Write {"step": "battery", ...}.')
    name = str(given.get("step"))
    if name not in _STEPS:
        raise bad("unknown step", name, nearest(name, _STEPS))
    return build(_STEPS[name], given)


def around_of(load: xr.Dataset) -> Around:
    """Return what the load says about itself."""
    dims = [d for d in load["p_mw"].dims if d != "time"] + ["time"]
    shares = None
    if "active_pu" in load:
        shares = load["active_pu"].broadcast_like(load["p_mw"]).transpose(*dims).values.astype(float)
        if (shares < 0).any() or (shares > 1 + 1e-9).any():
            cure = "It is the share of the servers whose job runs: 0 to 1."
            raise bad("active_pu is not a share", f"{shares.min():g} to {shares.max():g}", cure)
    volts = None
    if "vm_pu" in load:
        if set(load["vm_pu"].dims) - {"time"} and load["vm_pu"].size != load.sizes["time"]:
            cure = "Give vm_pu(time): the voltage at the site's own bus."
            raise bad("a load has one voltage", f"vm_pu{load['vm_pu'].dims}", cure)
        if load["vm_pu"].dtype.kind not in "fiu":
            raise bad("vm_pu holds no numbers", str(load["vm_pu"].dtype), "Give the voltage in pu of nominal.")
        volts = load["vm_pu"].values.reshape(-1).astype(float)
        if (volts > _HIGHEST_PU).any() or (volts < 0).any():
            cure = "Give it in pu of nominal: about 1."
            raise bad("vm_pu is no voltage per unit", f"{volts.min():g} to {volts.max():g}", cure)
    servers, kind = load.attrs.get("servers"), load.attrs.get("server")
    if "profile_json" in load.attrs:  # a server of one's own is described there, and only named in the attributes
        described = json.loads(load.attrs["profile_json"]).get("server")
        kind = described if isinstance(described, Mapping) else kind
    return Around(
        schema.clock(load),
        nameplate_mw=load.attrs.get("nameplate_mw"),
        server=kind,
        servers=None if servers is None else int(servers),
        active_pu=shares,
        vm_pu=volts,
        measured="profile_json" not in load.attrs,
    )


def _check_order(taken: Sequence[AnyStep], load: xr.Dataset) -> None:
    """Check that steps stand from the chip outwards, with those first that make the load anew."""
    connected = "site" in load["p_mw"].dims
    for step in taken:
        if step.place == "site" and not connected:
            cure = "Pass the load through gridedge.connect(...) first."
            raise bad(f"{step.step} acts at the meter, and this is IT power", "place: site", cure)
        if step.place != "site" and connected:
            value, cure = f"place: {step.place}", "Do it before connect."
            raise bad(f"{step.step} acts on IT power, and this is the metered power", value, cure)
    reached = [PLACES.index(step.place) for step in taken]
    earlier = list(load.attrs.get("steps", []))
    far = str(load.attrs.get("outermost", PLACES[0]))
    if taken and reached[0] < PLACES.index(far):
        value = f"{earlier[-1]} at {far}, then {taken[0].step} at {taken[0].place}"
        raise bad("the steps are out of order", value, "Act from the chip outwards: chip, rack, ups, site.")
    for k, step in enumerate(taken):
        if isinstance(step, _RESHAPE) and (earlier or (k and not isinstance(taken[k - 1], _RESHAPE))):
            before = taken[k - 1].step if k else earlier[-1]
            cure = "Caps, staggering and ramp-up shape the work itself: list them first, in one call."
            raise bad(f"{step.step} comes too late", f"after {before}", cure)
        if k and reached[k] < reached[k - 1]:
            value = f"{taken[k - 1].step} at {taken[k - 1].place}, then {step.step} at {step.place}"
            raise bad("the steps are out of order", value, "List them from the chip outwards: chip, rack, ups, site.")


def _check_cap(taken: Sequence[AnyStep], around: Around) -> None:
    """Check that no floor lies above a cap."""
    caps = [(s, s.capped_mw(around)) for s in taken if isinstance(s, PowerCap)]
    floors = [(s, s.held_mw(around)) for s in taken if isinstance(s, PowerFloor | DummyLoad)]
    for cap, top_mw in caps:
        for floor, low_mw in floors:
            if low_mw > top_mw * (1 + 1e-12):
                value = f"{floor.step} {low_mw:.4g} MW > {cap.step} {top_mw:.4g} MW"
                cure = f"Lower the floor, or raise cap_pu {cap.cap_pu:g}."
                raise bad("the floor lies above the cap", value, cure)


def _slower(step: str, said: Mapping[str, float]) -> list[str]:
    """Say what a cap costs in work; the book of power says more, because slower work needs less energy."""
    if "slowdown_pu" not in said:
        return []
    return [
        f"{step}: an iteration takes {100 * said['slowdown_pu']:.3g} % longer, and {100 * said['delayed_pu']:.3g} % of "
        "the work is put off. delayed_mw is the difference of the power, in which slower work needs less energy, too."
    ]


def _levels(load: xr.Dataset, p: xr.DataArray, now: Float) -> dict[str, Float]:
    """Return the power behind each place so far; inside a metered load that was not mitigated, its IT power."""
    levels: dict[str, Float] = dict.fromkeys(PLACES, now)
    if "p_at_mw" in load:
        levels |= {str(k): _values(load["p_at_mw"].sel(place=k), p.dims) for k in load["place"].values}
    elif "p_it_mw" in load:
        inside = _values(load["p_it_mw"].broadcast_like(p), p.dims)
        levels |= dict.fromkeys(PLACES[:-1], inside)
    return levels


def _hold_power_factor(out: xr.Dataset, load: xr.Dataset) -> None:
    """Let the storage's inverter supply what keeps the power factor at the meter, and say how large it must be."""
    if "power_factor" not in load.coords or "q_mvar" not in load:
        cure = "Make it with gridedge.connect(...), or set holds_power_factor: false for the battery."
        raise bad("the load does not say its power factor", "", cure)
    ratio = xr.DataArray([tan_phi(float(pf)) for pf in load["power_factor"].values], dims="site")
    out["q_mvar"] = (out["p_mw"] * ratio).transpose(*load["q_mvar"].dims)
    apparent = np.hypot(out["p_mw"] - load["p_mw"], out["q_mvar"] - load["q_mvar"])
    out.attrs["storage_inverter_mva"] = float(apparent.max())
