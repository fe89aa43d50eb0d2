"""Limits of a grid as data: which standard asks for what, how well it is known, and how several combine."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gridedge import yamlfile
from gridedge.errors import InputError, Problem, bad, nearest
from gridedge.measure.flicker_limits import FlickerLevel, flicker_levels
from gridedge.measure.flickermeter import Lamp
from gridedge.measure.rapid_limits import RapidLimit, RapidRow, rapid_limits
from gridedge.measure.rules import Known
from gridedge.spec import DateText, Spec, build

_SETS = Path(__file__).resolve().parent / "limit_sets"
_SHORT = {
    "vm_pu": ("voltage", "voltage band"),
    "loading_percent": ("loading", "loading"),
    "voltage_step_percent": ("voltage_step", "voltage step"),
    "losses_percent": ("losses", "losses in percent"),
    "losses_mw": ("losses", "losses in MW"),
    "pst": ("flicker", "Pst"),
    "plt": ("flicker", "Plt"),
    "rapid_change_percent": ("rapid_change", "rapid voltage change"),
}
Element = Literal["line", "trafo", "trafo3w", "impedance"]


class GridLimit(Spec):
    """What every limit carries, whatever it limits."""

    name: str
    """Short name."""
    standard: str = "the study's own"
    """Who asks for it."""
    clause: str = ""
    """Where in it."""
    edition: DateText = ""
    """Which edition."""
    date: DateText = ""
    """Its date, year first."""
    known: Known = "chosen"
    """How well the figures are known."""
    assumed: str = ""
    """What its text leaves open or asks otherwise, and how it is taken here."""
    mean_s: float | None = Field(None, gt=0)
    """Length of the moving mean that it limits; left out, it limits every step. [s]"""
    steps_allowed: int | None = Field(None, ge=0)
    """Steps at which it may be broken; left out, none."""
    of_steps: int | None = Field(None, gt=0)
    """Steps of the series that ``steps_allowed`` counts; a shorter or longer series may break it in the same share."""

    @model_validator(mode="after")
    def _counted(self) -> GridLimit:
        if (self.steps_allowed is None) != (self.of_steps is None):
            cure = "Give both: 350 of 35040 steps."
            raise bad(f"{self.name!r} gives one of steps_allowed and of_steps", "", cure)
        return self

    def allowed(self, steps: int) -> int:
        """Return at how many of so many steps the limit may be broken."""
        if self.steps_allowed is None or self.of_steps is None:
            return 0
        return int(steps * self.steps_allowed / self.of_steps)


class VoltageLimit(GridLimit):
    """Band in which every voltage stays."""

    limit: Literal["voltage"]
    vm_pu: tuple[float, float]
    """Lowest and highest voltage. [pu]"""

    @model_validator(mode="after")
    def _fits(self) -> VoltageLimit:
        if not 0 < self.vm_pu[0] < self.vm_pu[1] < 2:
            raise bad("the voltage band is empty", f"{self.vm_pu} pu", "Write vm_pu: [0.95, 1.05], lower limit first.")
        return self


class LoadingLimit(GridLimit):
    """Highest loading of branches, of their rating."""

    limit: Literal["loading"]
    loading_percent: float = Field(gt=0)
    """Highest loading. [%]"""
    elements: tuple[Element, ...] = ("line", "trafo", "trafo3w", "impedance")
    """Tables of the net that it limits."""

    @model_validator(mode="after")
    def _in_percent(self) -> LoadingLimit:
        refuse_per_unit("loading_percent", self.loading_percent, 2.0, 120)
        return self


class VoltageStepLimit(GridLimit):
    """Largest change of any voltage when the site starts or trips, taps held."""

    limit: Literal["voltage_step"]
    voltage_step_percent: float = Field(gt=0)
    """Largest change. [% of the nominal voltage]"""

    @model_validator(mode="after")
    def _fits(self) -> VoltageStepLimit:
        if self.mean_s is not None:
            raise bad(f"{self.name!r} is about one event", f"mean_s: {self.mean_s:g}", "Leave mean_s out.")
        refuse_per_unit("voltage_step_percent", self.voltage_step_percent, 0.1, 3)
        return self


class LossesLimit(GridLimit):
    """Highest losses of all branches of the net together, in every step."""

    limit: Literal["losses"]
    losses_percent: float | None = Field(None, gt=0)
    """Highest losses, of the power delivered in the same step. [%]"""
    losses_mw: float | None = Field(None, gt=0)
    """Highest losses. [MW]"""

    @model_validator(mode="after")
    def _one_of_two(self) -> LossesLimit:
        if (self.losses_percent is None) == (self.losses_mw is None):
            cure = "Give losses_percent or losses_mw; a second limit of the same kind holds beside the first."
            raise bad(f"{self.name!r} needs one of losses_percent and losses_mw", "both or none", cure)
        if self.losses_percent is not None:
            refuse_per_unit("losses_percent", self.losses_percent, 0.1, 5)
        return self


class FlickerLimit(GridLimit):
    """Highest flicker severity at any bus while the site follows a given waveform."""

    limit: Literal["flicker"]
    level: str | None = None
    """A shipped level (``measure/levels/flicker.yaml``); or give ``pst``, ``plt`` or both."""
    pst: float | None = Field(None, gt=0)
    """Highest short-term severity. [1]"""
    plt: float | None = Field(None, gt=0)
    """Highest long-term severity. [1]"""
    lamp: Lamp | None = None
    """Lamp and frequency; left out, 230 V in a net of 50 Hz and 120 V in one of 60 Hz."""

    @model_validator(mode="after")
    def _fits(self) -> FlickerLimit:
        _no_durations(self)
        if (self.level is None) == (self.pst is None and self.plt is None):
            raise bad(f"{self.name!r} needs a level, or pst and plt", "", "Write level: iec-planning-mv, or pst: 0.9.")
        if self.level is not None and self.level not in flicker_levels():
            raise bad("unknown flicker level", self.level, nearest(self.level, flicker_levels()))
        return self

    def as_level(self) -> FlickerLevel:
        """Return what a flickermeter's reading is held against."""
        if self.level is not None:
            return flicker_levels()[self.level]
        return FlickerLevel(name=self.name, pst=self.pst, plt=self.plt)


class RapidChangeLimit(GridLimit):
    """Largest rapid voltage change at any bus while the site follows a given waveform."""

    limit: Literal["rapid_change"]
    level: str | None = None
    """A shipped limit by number of changes (``measure/levels/rapid_changes.yaml``); or give the one below."""
    rapid_change_percent: float | None = Field(None, gt=0)
    """Largest change, however often. [% of nominal]"""

    @model_validator(mode="after")
    def _fits(self) -> RapidChangeLimit:
        _no_durations(self)
        if (self.level is None) == (self.rapid_change_percent is None):
            cure = "Write level: iec-planning-mv, or rapid_change_percent: 3."
            raise bad(f"{self.name!r} needs either a level or a change", "", cure)
        if self.level is not None and self.level not in rapid_limits():
            raise bad("unknown limit on rapid voltage changes", self.level, nearest(self.level, rapid_limits()))
        if self.rapid_change_percent is not None:
            refuse_per_unit("rapid_change_percent", self.rapid_change_percent, 0.1, 3)
        return self

    def as_level(self) -> RapidLimit:
        """Return what the changes of a series are held against."""
        if self.level is not None:
            return rapid_limits()[self.level]
        assert self.rapid_change_percent is not None
        return RapidLimit(name=self.name, rows=(RapidRow(limit_percent=self.rapid_change_percent),))


def refuse_per_unit(name: str, percent: float, least: float, usual: float) -> None:
    """Raise InputError where a percentage is so small that per unit is meant: nobody asks for 1.2 % of a rating."""
    if percent <= least:
        cure = f"It is in percent: {usual} for {usual / 100:g} pu; {least:g} % and less is refused as a slip of units."
        raise bad(f"{name} looks like per unit", f"{percent:g}", cure)


def _no_durations(limit: GridLimit) -> None:
    if limit.mean_s is not None or limit.steps_allowed is not None:
        raise bad(f"{limit.name!r} is about a waveform", "mean_s or steps_allowed", "Leave them out.")


AnyLimit = Annotated[
    VoltageLimit | LoadingLimit | VoltageStepLimit | LossesLimit | FlickerLimit | RapidChangeLimit,
    Field(discriminator="limit"),
]


class LimitSet(Spec):
    """Limits that hold together."""

    title: str = ""
    """What they are."""
    limits: tuple[AnyLimit, ...] = ()
    """All of them; none is no limit but the collapse of the voltage."""


Given = str | Path | Mapping[str, Any] | LimitSet | Sequence[Any]


@dataclass(frozen=True)
class Strictest:
    """What the limits of one kind, duration and allowance come to.

    Parameters
    ----------
    kind : {"low", "high", "loading", "step"}
        Lowest or highest voltage, loading, or change of voltage.
    element : str
        Table of the branches; empty for buses.
    value : float
        The limit. [pu for voltages and changes, % for loadings]
    mean_s : float
        Length of the moving mean; 0 for every step. [s]
    limit : GridLimit
        Which limit it is.
    """

    kind: Literal["low", "high", "loading", "step"]
    element: str
    value: float
    mean_s: float
    limit: GridLimit


def list_limit_sets() -> dict[str, str]:
    """Return the shipped limit sets: name and title."""
    return {name: _shipped(name).title for name in _names()}


def load_limits(limits: Given) -> LimitSet:
    """Turn anything that names limits into one set.

    Parameters
    ----------
    limits : str, path, dict, LimitSet or sequence of these
        A shipped set's name (:func:`list_limit_sets`); a YAML file with ``limits``; a dict with ``limits``; a dict in
        short, ``{"vm_pu": [0.95, 1.05], "loading_percent": 100, "voltage_step_percent": 3, "losses_percent": 5,
        "pst": 0.9, "plt": 0.7, "rapid_change_percent": 3}``, in which what is absent does not apply; or several of
        these, which then hold together.  An empty dict or sequence is no limit.

    Returns
    -------
    LimitSet

    Raises
    ------
    InputError
        If there is no such set, a limit cannot be used, two have one name, or they contradict each other.
    """
    several = isinstance(limits, Sequence) and not isinstance(limits, str)
    parts = [_one(part) for part in limits] if several else [_one(limits)]  # type: ignore[union-attr]
    found: list[Any] = [limit for part in parts for limit in part.limits]
    whole = LimitSet(title=", ".join(p.title for p in parts if p.title), limits=tuple(found))
    _agree(whole)
    names = [limit.name for limit in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        cure = "Rename one of them, or name the set once."
        raise InputError([Problem("two limits have the same name", name, cure) for name in twice])
    return whole


def strictest(limits: LimitSet, steps: int) -> list[Strictest]:
    """Return the strictest limit of each kind, element, mean and allowance.

    Parameters
    ----------
    limits : LimitSet
        All that hold.
    steps : int
        Length of the series, for the steps that are allowed.

    Returns
    -------
    list of Strictest
        In the order of the limits.
    """
    best: dict[tuple[Any, ...], Strictest] = {}
    for limit in limits.limits:
        for kind, element, value in _sides(limit):
            key = (kind, element, limit.mean_s or 0.0, limit.allowed(steps))
            held = best.get(key)
            tighter = held is None or (value > held.value if kind == "low" else value < held.value)
            if tighter:
                best[key] = Strictest(kind, element, value, limit.mean_s or 0.0, limit)  # type: ignore[arg-type]
    return list(best.values())


def describe_limits(limits: Given) -> str:
    """Return limits in words: each with its standard, clause, edition and date, and how well it is known."""
    whole = load_limits(limits)
    lines = [whole.title, ""] if whole.title else []
    for limit in whole.limits:
        lines.append(f"{limit.name}: {limit_words(limit)}")
        origin = [limit.standard, limit.clause, limit.edition, limit.date]
        lines.append("  " + "; ".join(part for part in (*origin, limit.known) if part))
        if limit.assumed:
            lines.append(f"  assumed: {limit.assumed}")
    return "\n".join(lines)


def limit_words(limit: GridLimit) -> str:
    """Return what a limit asks, in words."""
    if isinstance(limit, VoltageLimit):
        text = f"every voltage within {limit.vm_pu[0]:g} to {limit.vm_pu[1]:g} pu"
    elif isinstance(limit, LoadingLimit):
        text = f"loading of {', '.join(limit.elements)} at most {limit.loading_percent:g} %"
    elif isinstance(limit, VoltageStepLimit):
        text = f"no voltage changes by more than {limit.voltage_step_percent:g} % when the site starts or trips"
    elif isinstance(limit, FlickerLimit):
        level = limit.as_level()
        asked = [f"{n} at most {v:g}" for n, v in (("Pst", level.pst), ("Plt", level.plt)) if v is not None]
        text = f"{', '.join(asked)} at every bus, of the site's waveform alone"
    elif isinstance(limit, RapidChangeLimit):
        rows = limit.as_level().rows
        text = "rapid voltage changes by the site's waveform: "
        text += "; ".join(f"at most {row.limit_percent:g} %{_how_often(row)}" for row in rows)
    elif isinstance(limit, LossesLimit) and limit.losses_percent is not None:
        text = f"losses of all branches at most {limit.losses_percent:g} % of the delivered power"
    elif isinstance(limit, LossesLimit):
        text = f"losses of all branches at most {limit.losses_mw:g} MW"
    else:
        raise bad("unknown limit", type(limit).__name__, "Give a limit of a LimitSet.")
    if limit.mean_s is not None:
        text += f", as a mean of {limit.mean_s / 60:g} min"
    if limit.steps_allowed is not None:
        text += f", but for {limit.steps_allowed} of {limit.of_steps} steps"
    return text


def _how_often(row: RapidRow) -> str:
    often = [
        f"{n:g} {per}" for n, per in ((row.most_per_hour, "an hour"), (row.most_per_day, "a day")) if n is not None
    ]
    often += [f"{row.apart_s:g} s apart"] if row.apart_s is not None else []
    return f" ({', '.join(often)})" if often else ""


def _sides(limit: GridLimit) -> list[tuple[str, str, float]]:
    if isinstance(limit, VoltageLimit):
        return [("low", "", limit.vm_pu[0]), ("high", "", limit.vm_pu[1])]
    if isinstance(limit, LoadingLimit):
        return [("loading", element, limit.loading_percent) for element in limit.elements]
    if isinstance(limit, VoltageStepLimit):
        return [("step", "", limit.voltage_step_percent / 100.0)]
    if isinstance(limit, FlickerLimit | RapidChangeLimit):
        return []  # judged on a waveform
    if isinstance(limit, LossesLimit):
        return []  # of the whole net, no bus or branch has it: gridedge.planning.hosting.losses
    raise bad("unknown limit", type(limit).__name__, "Give a limit of a LimitSet.")


def _one(given: Any) -> LimitSet:
    if isinstance(given, LimitSet):
        return given
    if isinstance(given, GridLimit):
        return LimitSet(limits=(given,))
    if isinstance(given, Mapping):
        return _from_mapping(given)
    if isinstance(given, Path):
        return _from_file(given)
    if isinstance(given, str):
        if given in _names():
            return _shipped(given)
        if Path(given).suffix.lower() in {".yaml", ".yml"}:
            return _from_file(Path(given))
        cure = f"{nearest(given, _names())} A file is named by its path (.yaml)."
        raise bad("unknown limit set", given, cure)
    raise bad("cannot make limits of this", type(given).__name__, "Give a name, a path, a dict or a list of these.")


def _from_file(path: Path) -> LimitSet:
    if not path.is_file():
        raise bad("no such file of limits", str(path), f"Name a file that exists, or one of {', '.join(_names())}.")
    document = yamlfile.read(path)
    if set(document.data) & set(_SHORT):
        return _from_mapping(document.data)
    return build(LimitSet, document)


def _from_mapping(given: Mapping[str, Any]) -> LimitSet:
    if not given:
        return LimitSet()
    if "limits" in given or "title" in given:
        return build(LimitSet, given)
    if "limit" in given:
        return build(LimitSet, {"limits": [dict(given)]})
    for key in given:
        if key not in _SHORT:
            raise bad("unknown limit", str(key), nearest(str(key), [*_SHORT, "limits"]))
    made = [{"limit": _SHORT[k][0], "name": _SHORT[k][1], k: v} for k, v in given.items() if v is not None]
    return build(LimitSet, {"limits": made})


def _agree(whole: LimitSet) -> None:
    """Raise InputError where no voltage meets all bands."""
    bands = [limit for limit in whole.limits if isinstance(limit, VoltageLimit)]
    if not bands:
        return
    low, high = max(bands, key=lambda b: b.vm_pu[0]), min(bands, key=lambda b: b.vm_pu[1])
    if low.vm_pu[0] >= high.vm_pu[1]:
        value = f"{low.name!r} asks for at least {low.vm_pu[0]:g} pu, {high.name!r} for at most {high.vm_pu[1]:g} pu"
        raise bad("the limits contradict each other", value, "Leave one of them out.")


def _names() -> list[str]:
    return sorted(path.stem for path in _SETS.glob("*.yaml"))


@functools.lru_cache(maxsize=32)
def _shipped(name: str) -> LimitSet:
    return build(LimitSet, yamlfile.read(_SETS / f"{name}.yaml"))
