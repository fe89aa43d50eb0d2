"""On-load tap changers: which transformers have one, what each regulates, and which way a tap moves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gridedge.errors import RunError, bad, is_number, nearest
from gridedge.grid.engines import reference
from gridedge.spec import Spec, quantity, take

Float = NDArray[np.float64]
Taps = NDArray[np.int64]
_TABLES = ("trafo", "trafo3w")
_SIDES = {"trafo": ("lv", "hv"), "trafo3w": ("mv", "lv", "hv")}  # the first is what is regulated unless said
_BAND_OF_STEP = 0.8
_NO_EFFECT_PU = 1e-5  # a tap that moves its bus by less does not regulate it
ASSUMED_DELAY_S = 60.0
"""Time outside the band before a tap changer moves, and between two moves: 30 to 120 s are usual, from memory. [s]"""


class TapControl(Spec):
    """Which tap changers move on load, and how; a number holds for all of them, a mapping for each by its label."""

    trafos: tuple[int | str, ...] | None = None
    """Transformers, `trafo:114` or `trafo3w:0` (a number is one of two windings); without: all that have a tap changer
    and a winding at a reference bus; where some of these have `oltc` true, only they."""
    vm_set_pu: float | dict[str, float] | None = None
    """Set-point at the regulated bus; without, its voltage in the net as it stands (assumed). [pu]"""
    deadband_pu: float | dict[str, float] | None = None
    """Half width of the dead band around it; without, 0.8 of a tap step (assumed). [pu]"""
    delay_s: float | dict[str, float] = quantity(
        ASSUMED_DELAY_S, mark="assumed", source="30 to 120 s are usual, from memory"
    )
    """Time outside the band before a tap changer moves, and between two of its moves. [s]"""
    side: Literal["hv", "mv", "lv"] | None = None
    """Winding whose bus is regulated; without, `lv` of two windings and `mv` of three (assumed)."""
    tap_min: int | dict[str, int] | None = Field(None)
    """Lowest position; without, the net's own."""
    tap_max: int | dict[str, int] | None = Field(None)
    """Highest position; without, the net's own."""


@dataclass(frozen=True)
class Changers:
    """The tap changers of a net, in order; every array has one value for each.

    Parameters
    ----------
    label : tuple of str
        ``trafo:114``.
    table : tuple of str
        ``trafo`` or ``trafo3w``.
    index : ndarray
        Index in that table.
    bus : ndarray
        Index of the bus that is regulated.
    row : ndarray
        Its row in the solver's voltages.
    low, high : ndarray
        Ends of the dead band. [pu]
    upwards : ndarray
        1 where a higher position raises the voltage, -1 where it lowers it.
    tap_min, tap_max, start : ndarray
        Lowest and highest position, and that of the net.
    delay_s : ndarray
        Time outside the band before each move. [s]
    per_tap_pu : ndarray
        What one position moves the voltage by, in the net as it stands. [pu]
    said : tuple of str
        What is assumed, in words.
    """

    label: tuple[str, ...]
    table: tuple[str, ...]
    index: NDArray[np.intp]
    bus: NDArray[np.intp]
    row: NDArray[np.intp]
    low: Float
    high: Float
    upwards: Taps
    tap_min: Taps
    tap_max: Taps
    start: Taps
    delay_s: Float
    per_tap_pu: Float
    said: tuple[str, ...]

    def wanted(self, vm_pu: Float, tap: Taps) -> Taps:
        """Return the move of each changer that its voltage asks for and its range allows: -1, 0 or 1.

        Parameters
        ----------
        vm_pu : ndarray, shape (state, changer)
            Regulated voltages; NaN asks for nothing. [pu]
        tap : ndarray, shape (state, changer)
            Positions.
        """
        raise_it = np.where(vm_pu < self.low, 1, np.where(vm_pu > self.high, -1, 0))
        move = raise_it * self.upwards
        return np.where((tap + move > self.tap_max) | (tap + move < self.tap_min), 0, move)

    def put(self, net: Any, tap: Any) -> None:
        """Write positions into a net, in place."""
        for table, index, position in zip(self.table, self.index, tap, strict=True):
            net[table].at[index, "tap_pos"] = float(position)


def as_control(taps: Any) -> TapControl:
    """Return tap changers given as a spec, a dict, or True for the assumed ones."""
    return TapControl() if taps is True else take(TapControl, taps)


def read_changers(net: Any, control: TapControl) -> Changers:
    """Read tap changers from a net that has just been solved as it stands; it is left solved.

    Parameters
    ----------
    net : pandapowerNet
        A private copy; its positions are moved and put back.
    control : TapControl
        What is asked for.

    Raises
    ------
    InputError
        If a transformer is unknown, has no usable tap changer, or its tap does not move its bus; if the dead band is
        not wider than a step; if a range or a delay cannot be.
    RunError
        If the net has no solution one tap away.
    """
    labels = _chosen(net, control)
    found = [_one(net, label, control) for label in labels]
    known = set(labels)
    for name in ("vm_set_pu", "deadband_pu", "delay_s", "tap_min", "tap_max"):
        given = getattr(control, name)
        for label in given if isinstance(given, Mapping) else ():
            if label not in known:
                raise bad(f"taps.{name} names what is no tap changer here", label, nearest(label, known))
    rows = np.array([net._pd2ppc_lookups["bus"][f["bus"]] for f in found], dtype=np.intp)
    own = _voltage(net, rows)
    effect = np.array([_effect(net, f, int(row)) for f, row in zip(found, rows, strict=True)])
    reference.base_state(net)
    said: list[str] = []
    unsaid = [label for label in labels if control.trafos is None and not _on_load(net, label)]
    if unsaid:
        said.append(f"Assumed to change taps on load, because the net does not say which do: {', '.join(unsaid)}.")
    keep = []
    for k, f in enumerate(found):
        if abs(effect[k]) < _NO_EFFECT_PU:
            if control.trafos is None:
                said.append(f"The tap of {f['label']} does not move bus {f['bus']}: it stays where it stands.")
                continue
            cure = "A source may hold that bus, or the tap shift the phase alone; name another side, or leave it out."
            raise bad("a tap does not move the bus that it regulates", f"{f['label']}, bus {f['bus']}", cure)
        keep.append(k)
    if not keep:
        raise bad("no tap changer of the net moves its bus", ", ".join(labels), _candidates(net))
    bands = [_band(found[k], control, float(own[k]), float(effect[k])) for k in keep]
    said += [text for *_, text in bands if text]
    column = {n: np.array([found[k][n] for k in keep]) for n in ("index", "bus", "tap_min", "tap_max", "start")}
    return Changers(
        tuple(found[k]["label"] for k in keep), tuple(found[k]["table"] for k in keep),
        column["index"].astype(np.intp), column["bus"].astype(np.intp), rows[keep],
        np.array([b[0] for b in bands]), np.array([b[1] for b in bands]),
        np.sign(effect[keep]).astype(np.int64), column["tap_min"].astype(np.int64),
        column["tap_max"].astype(np.int64), column["start"].astype(np.int64),
        np.array([_delay(found[k]["label"], control) for k in keep]), effect[keep], tuple(said),
    )  # fmt: skip


def _chosen(net: Any, control: TapControl) -> list[str]:
    """Return the labels of the transformers that are asked for."""
    if control.trafos is None:
        labels = [label for label in _with_taps(net) if _at_reference(net, label)]
        if not labels:
            raise bad("no transformer at a reference bus has a tap changer", "", _candidates(net))
        return [label for label in labels if _on_load(net, label)] or labels
    labels = []
    for given in control.trafos:
        label = given if isinstance(given, str) else f"trafo:{given}"
        table, _, index = label.partition(":")
        if table not in _TABLES or not index.lstrip("-").isdigit() or int(index) not in net[table].index:
            raise bad("no such transformer", label, _candidates(net))
        if label not in labels:
            labels.append(label)
    if not labels:
        raise bad("no transformer is named", "trafos: []", "Name one, or leave trafos out.")
    return labels


def _with_taps(net: Any) -> list[str]:
    """Return the labels of all transformers in service that have a tap changer, on load or not."""
    found = []
    for table in _TABLES:
        frame = net[table]
        if not len(frame):
            continue
        span = frame["tap_max"].to_numpy(float) > frame["tap_min"].to_numpy(float)  # NaN is no range
        usable = span & frame["in_service"].to_numpy(bool) & frame["tap_side"].isin(("hv", "mv", "lv")).to_numpy()
        found += [f"{table}:{i}" for i in frame.index[usable]]
    return found


def _at_reference(net: Any, label: str) -> bool:
    table, _, index = label.partition(":")
    rows = set(np.asarray(net._ppc["internal"]["ref"]).tolist())
    sides = [s for s in ("hv", "mv", "lv") if f"{s}_bus" in net[table]]
    return any(int(net._pd2ppc_lookups["bus"][net[table].at[int(index), f"{s}_bus"]]) in rows for s in sides)


def _on_load(net: Any, label: str) -> bool:
    """Say whether the net says that a tap changer works on load; false is pandapower's default, and says nothing."""
    table, _, index = label.partition(":")
    return "oltc" in net[table] and net[table].at[int(index), "oltc"] in (True, 1)


def _candidates(net: Any) -> str:
    found = _with_taps(net)
    if not found:
        return "No transformer of the net has tap_side, tap_min and tap_max: set them in its table."
    return f"These have a tap changer: {', '.join(found[:8])}{', ...' if len(found) > 8 else ''}. Name them in trafos."


def _one(net: Any, label: str, control: TapControl) -> dict[str, Any]:
    """Return the data of one tap changer; what cannot be raises."""
    table, _, number = label.partition(":")
    index = int(number)
    at = net[table].loc[index]
    if not bool(at["in_service"]):
        raise bad("a transformer with a tap changer is out of service", label, "Leave it out, or put it into service.")
    side = control.side or _SIDES[table][0]
    if side not in _SIDES[table]:
        raise bad(f"{label} has no such winding", side, nearest(side, _SIDES[table]))
    ends = {"tap_min": _of(control.tap_min, label), "tap_max": _of(control.tap_max, label)}
    for name, value in ends.items():
        ends[name] = at[name] if value is None else value
        if not is_number(ends[name]) or at["tap_side"] not in ("hv", "mv", "lv"):
            cure = f"Set tap_side, tap_min, tap_max and tap_step_percent in net.{table}."
            raise bad("a transformer has no usable tap changer", f"{label}: {name} {ends[name]}", cure)
    neutral = at["tap_neutral"] if is_number(at["tap_neutral"]) else 0.0
    start = at["tap_pos"] if is_number(at["tap_pos"]) else neutral
    if float(start) != round(float(start)):
        raise bad("a tap stands between two positions", f"{label}: tap_pos {start}", "Round it.")
    if not ends["tap_min"] <= start <= ends["tap_max"] or ends["tap_min"] >= ends["tap_max"]:
        value = f"{label}: {start:g} not in {ends['tap_min']:g} to {ends['tap_max']:g}"
        raise bad("a tap stands outside its range", value, "Correct tap_pos, tap_min or tap_max.")
    step = at["tap_step_percent"]
    return {
        "label": label, "table": table, "index": index, "bus": int(at[f"{side}_bus"]), "start": round(float(start)),
        "tap_min": round(float(ends["tap_min"])), "tap_max": round(float(ends["tap_max"])),
        "step_pu": abs(float(step)) / 100.0 if is_number(step) else np.nan,
    }  # fmt: skip


def _of(given: Any, label: str) -> Any:
    return given.get(label) if isinstance(given, Mapping) else given


def _delay(label: str, control: TapControl) -> float:
    delay_s = _of(control.delay_s, label)
    delay_s = ASSUMED_DELAY_S if delay_s is None else delay_s
    if not delay_s > 0:
        raise bad(f"the delay of {label} must be positive", delay_s, "Give delay_s: 60.")
    return float(delay_s)


def _voltage(net: Any, rows: NDArray[np.intp]) -> Float:
    return np.asarray(np.abs(net._ppc["internal"]["V"][rows]))


def _effect(net: Any, one: dict[str, Any], row: int) -> float:
    """Return what one position up moves the regulated voltage by, in pu: so any kind of tap changer is understood."""
    way = 1 if one["start"] < one["tap_max"] else -1
    before = _moved(net, one, one["start"], row)
    return way * (_moved(net, one, one["start"] + way, row) - before)


def _moved(net: Any, one: dict[str, Any], position: int, row: int) -> float:
    frame = net[one["table"]]
    held = frame.at[one["index"], "tap_pos"]
    frame.at[one["index"], "tap_pos"] = float(position)
    solved = reference.run_once(net)
    vm_pu = float(_voltage(net, np.array([row]))[0]) if solved else np.nan
    frame.at[one["index"], "tap_pos"] = held
    if not solved:
        raise RunError(f"The power flow does not converge with {one['label']} at position {position}. Check the net.")
    return vm_pu


def _band(one: dict[str, Any], control: TapControl, own_pu: float, effect_pu: float) -> tuple[float, float, str]:
    """Return the ends of the dead band, and what is assumed of it in words."""
    label, said = one["label"], []
    step = one["step_pu"] if one["step_pu"] > 0 else abs(effect_pu)
    least = max(step, abs(effect_pu))  # below neutral a step is larger than it says; in parallel units it is smaller
    aim, half = _of(control.vm_set_pu, label), _of(control.deadband_pu, label)
    if aim is None:
        aim = own_pu
        said.append(f"set-point {aim:.4f} pu, the voltage of bus {one['bus']} in the net as it stands")
    if half is None:
        half = _BAND_OF_STEP * step
        said.append(f"dead band +-{half:.4g} pu, {_BAND_OF_STEP:g} of a tap step of {step:.4g} pu")
    if not 0.5 < aim < 1.5:
        raise bad(f"the set-point of {label} is no voltage in pu", aim, "Give vm_set_pu: 1.0.")
    if not 2.0 * half > least:
        cure = f"Its width, twice deadband_pu, must exceed a step of {least:.4g} pu, or the taps move for ever."
        raise bad(f"the dead band of {label} is too narrow", f"+-{half:.4g} pu", cure)
    return aim - half, aim + half, f"{label}: assumed {' and '.join(said)}." if said else ""
