"""Accelerators, servers and racks: what they draw, each figure with its source and date.

The figures stand in ``catalog.yaml`` beside this file.  A server that is not in it is given as a
mapping or as a file with the same keys, wherever a server's name is asked for.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from gridedge import yamlfile
from gridedge.errors import bad, nearest
from gridedge.spec import Origin, Spec, build, quantity

_FILE = Path(__file__).resolve().parent / "catalog.yaml"
_EDP = "overshoot to 1.1 of the ceiling for about 50 ms (arXiv 2508.14318, 2025, by second sources); H100 samples agree"

_MOST_RATED = 20.0  # times the peak power: more is a nameplate in watts


class Accelerator(Spec):
    """One accelerator; powers in W, of the accelerator alone."""

    name: str
    """Key in the catalogue."""
    title: str = ""
    date: str = ""
    """Year of the newest figure."""
    tdp_w: float = Field(gt=0)
    """Power ceiling. [W]"""
    idle_w: float = Field(ge=0)
    """Power without work. [W]"""
    typical_w: float = Field(gt=0)
    """Power at work. [W]"""
    peak_w: float = Field(gt=0)
    """Highest power, over 50 to 200 ms. [W]"""
    power_floor: bool = False
    """Whether the accelerator can hold a power floor by itself."""
    floor_max_pu: float = Field(0.0, ge=0, le=1)
    """Highest floor it can hold, 0 without one. [pu of the ceiling]"""
    edp_pu: float = quantity(1.1, mark="quoted", source=_EDP, ge=1, le=2)
    """Overshoot that the peak limit allows. [pu of the ceiling]"""
    psu_energy_j: float | None = Field(None, gt=0)
    """Energy stored in the power supply per accelerator; none if left out. [J]"""
    origins: dict[str, Origin] = {}
    """Where the figures come from, by key."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _in_order(self.name, {"idle_w": self.idle_w, "typical_w": self.typical_w, "peak_w": self.peak_w})
        if (self.floor_max_pu > 0) != self.power_floor:
            value = f"power_floor {str(self.power_floor).lower()}, floor_max_pu {self.floor_max_pu:g}"
            raise bad(f"{self.name}: the floor is half described", value, "Give both, or neither.")
        return self

    @property
    def source(self) -> str:
        """Where the figures come from, in one line."""
        return "; ".join(dict.fromkeys(o.source for o in self.origins.values()))


class Server(Spec):
    """One server or rack with its accelerators; powers in kW, of the whole."""

    name: str
    """Key in the catalogue, or what you call your own."""
    title: str = ""
    source: str = ""
    date: str = ""
    """Year of the newest figure."""
    accelerator: str | Accelerator
    """Accelerator, as the catalogue names it, or one of your own."""
    accelerators: int = Field(ge=1)
    """Accelerators per server."""
    rated_kw: float = Field(gt=0)
    """Nameplate. [kW]"""
    idle_kw: float = Field(ge=0)
    """Power without work. [kW]"""
    typical_kw: float = Field(gt=0)
    """Power in training. [kW]"""
    peak_kw: float = Field(gt=0)
    """Highest power, over 1 to 2 s where it is measured. [kW]"""
    origins: dict[str, Origin] = {}
    """Where the figures come from, by key."""

    @model_validator(mode="before")
    @classmethod
    def _over_base(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "base" not in data:
            return data
        own = {key: value for key, value in data.items() if key != "base"}
        base = server(str(data["base"])).to_dict()
        kept = {key: origin for key, origin in base["origins"].items() if key not in own}
        name = f"own {base['name']}"
        return {**base, "name": name, "source": "", "date": "", **own, "origins": {**kept, **own.get("origins", {})}}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _in_order(self.name, {"idle_kw": self.idle_kw, "typical_kw": self.typical_kw, "peak_kw": self.peak_kw})
        if not self.idle_kw < self.rated_kw <= _MOST_RATED * self.peak_kw:
            cure = (
                f"Give the nameplate in kW, above idle_kw {self.idle_kw:g} and near peak_kw {self.peak_kw:g} or above."
            )
            raise bad(f"{self.name}: rated_kw does not fit the server's own powers", f"{self.rated_kw:g} kW", cure)
        if self.host_kw < 0:
            chip = accelerator(self.accelerator)
            value = f"{self.idle_kw:g} kW < {self.accelerators} x {chip.idle_w:g} W"
            cure = "Correct idle_kw, accelerators, or the accelerator."
            raise bad(f"{self.name}: the server idles below its accelerators", value, cure)
        return self

    @property
    def host_kw(self) -> float:
        """Power beside the accelerators in kW: what of the idle power is not theirs, taken as constant (assumed)."""
        return self.idle_kw - self.accelerators * accelerator(self.accelerator).idle_w / 1e3


def _in_order(name: str, levels: dict[str, float]) -> None:
    listed = list(levels.items())
    for (low, p_low), (high, p_high) in pairwise(listed):
        if p_low > p_high:
            raise bad(f"{name}: {low} is above {high}", f"{p_low:g} > {p_high:g}", "Let idle <= typical <= peak.")


@cache
def accelerators() -> dict[str, Accelerator]:
    """Return every accelerator of the catalogue, by name."""
    return {name: build(Accelerator, _part("accelerators", name)) for name in _document().data["accelerators"]}


@cache
def servers() -> dict[str, Server]:
    """Return every server and rack of the catalogue, by name."""
    return {name: build(Server, _part("servers", name)) for name in _document().data["servers"]}


@cache
def _document() -> yamlfile.Document:
    return yamlfile.read(_FILE)


def _part(table: str, name: str) -> yamlfile.Document:
    whole = _document()
    lines = {loc[2:]: place for loc, place in whole.lines.items() if loc[:2] == (table, name)}
    return yamlfile.Document({"name": name, **whole.data[table][name]}, whole.source, lines)


def accelerator(name: str | Accelerator | Mapping[str, Any]) -> Accelerator:
    """Return an accelerator of the catalogue, or the one that is described.

    Parameters
    ----------
    name : str, Accelerator or mapping
        Name in the catalogue, or the accelerator itself.

    Raises
    ------
    InputError
        If there is none of this name, or the description cannot be used.
    """
    if isinstance(name, Accelerator):
        return name
    if isinstance(name, Mapping):
        return build(Accelerator, name)
    if name not in accelerators():
        raise bad("unknown accelerator", name, nearest(str(name), accelerators()))
    return accelerators()[name]


def server(name: str | Path | Server | Mapping[str, Any]) -> Server:
    """Return a server of the catalogue, or the one that is described.

    Parameters
    ----------
    name : str, path, Server or mapping
        Name in the catalogue, a YAML file, its content, or the server itself.  A mapping with
        ``base`` takes what it does not say from that server of the catalogue:
        ``{"base": "8xH100", "rated_kw": 11}``.

    Returns
    -------
    Server

    Raises
    ------
    InputError
        If there is none of this name, or the description cannot be used.
    """
    if isinstance(name, Server):
        return name
    if isinstance(name, Mapping):
        return build(Server, name)
    if Path(name).suffix.lower() in {".yaml", ".yml"}:
        return build(Server, yamlfile.read(name))
    if name not in servers():
        cure = f"{nearest(str(name), servers())} Or describe your own: name, accelerator, accelerators, rated_kw, ..."
        raise bad("unknown server", str(name), cure)
    return servers()[str(name)]


def _read_choice(value: Any) -> Any:
    """Turn a mapping or a file into the server it describes, so that the spec that holds it needs no file."""
    is_file = isinstance(value, str | Path) and Path(value).suffix.lower() in {".yaml", ".yml"}
    if isinstance(value, Mapping) or is_file:
        return server(value)
    if isinstance(value, str):
        server(value)  # an unknown name is told here, at its line
    return value


ServerChoice = Annotated[str | Server, BeforeValidator(_read_choice)]
"""What a profile takes under ``server``: a name of the catalogue, a file, or a server of one's own."""


def describe_catalogue(name: str | None = None) -> str:
    """Return the catalogue as plain text: every accelerator and server, or one with the origin of its figures.

    Raises
    ------
    InputError
        If there is neither an accelerator nor a server of this name.
    """
    if name is not None:
        if name not in {**accelerators(), **servers()}:
            raise bad("neither a server nor an accelerator", name, nearest(name, {**accelerators(), **servers()}))
        return _described(servers()[name] if name in servers() else accelerators()[name])
    lines = [f"{'server or rack':<18}{'accelerators':>14}{'rated':>9}{'idle':>9}{'typical':>9}{'peak':>9}   typical is"]
    for s in servers().values():
        figures = "".join(f"{p:>6.4g} kW" for p in (s.rated_kw, s.idle_kw, s.typical_kw, s.peak_kw))
        count = f"{s.accelerators} {accelerator(s.accelerator).name}"
        lines.append(f"{s.name:<18}{count:>14}{figures}   {_mark(s, 'typical_kw')}")
    lines += [
        "",
        f"{'accelerator':<18}{'power floor':>14}{'ceiling':>9}{'idle':>9}{'typical':>9}{'peak':>9}   typical is",
    ]
    for a in accelerators().values():
        figures = "".join(f"{p:>7.4g} W" for p in (a.tdp_w, a.idle_w, a.typical_w, a.peak_w))
        floor = f"to {a.floor_max_pu:.0%}" if a.power_floor else "no"
        lines.append(f"{a.name:<18}{floor:>14}{figures}   {_mark(a, 'typical_w')}")
    return "\n".join(lines)


def _mark(item: Server | Accelerator, key: str) -> str:
    return item.origins[key].mark if key in item.origins else "chosen"


def _described(item: Server | Accelerator) -> str:
    lines = [f"{item.name}: {item.title} ({item.date})", ""]
    for origin in item.assumptions():
        if origin.mark == "chosen":  # counts, which need no source
            continue
        text = f"{origin.name} = {origin.value}  {origin.mark}: {origin.source}"
        lines += textwrap.wrap(text, width=98, initial_indent="  ", subsequent_indent="      ")
    if isinstance(item, Server):
        chip = accelerator(item.accelerator)
        text = f"{item.accelerators} x {chip.name}; {item.host_kw:.3g} kW beside them, taken as constant (assumed)"
        lines.append(f"  {text}")
    return "\n".join(lines)
