"""The catalogue of feeders: a name, a path or a net becomes a net of one's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridedge import sources
from gridedge.errors import InputError, bad, nearest
from gridedge.grid.buses import bus_coordinates, bus_names, find_bus, line_coordinates
from gridedge.grid.catalogue import (
    SIMBENCH_CITE,
    SIMBENCH_LICENCE,
    SIMBENCH_PREFIX,
    FeederSpec,
    Figure,
    describe_feeder,
    list_feeders,
    read_feeder,
)
from gridedge.grid.extras import require
from gridedge.grid.files import SUFFIXES, is_path, read_net

__all__ = [
    "Feeder",
    "FeederSpec",
    "Figure",
    "bus_coordinates",
    "bus_names",
    "describe_feeder",
    "find_bus",
    "line_coordinates",
    "list_feeders",
    "load_feeder",
]


@dataclass(frozen=True)
class Feeder:
    """A net, and what has to be said about it.

    Parameters
    ----------
    net : pandapowerNet
        The caller's own copy.
    name, title : str
        Name in the catalogue, code or path; one line that says what it is.
    source, licence, cite : str
        Who made the data, under which terms, what a publication has to cite.
    notes : tuple of str
        What a reader of any result must know.
    """

    name: str
    net: Any
    title: str
    source: str
    licence: str
    cite: str
    notes: tuple[str, ...]


def load_feeder(feeder: str | Path | Any, *, reference_bus: int | str | None = None) -> Feeder:
    """Load a net by name, SimBench code or path, or copy one.

    Parameters
    ----------
    feeder : str, Path or pandapowerNet
        A shipped name (``mv_oberrhein``), ``simbench:CODE``, the path of a file that pandapower's converters
        read (JSON, MATPOWER ``.m``/``.mat``, UCTE ``.uct``, CGMES ``.zip``/``.xml``/folder), or a net.
    reference_bus : int or str, optional
        Bus, by index or name, that holds voltage and angle.  Used only if the net has no
        reference: an external grid at 1.0 pu is then added there, or at the set-point of the
        generator that stands at this bus.

    Returns
    -------
    Feeder
        Never shares its net with anybody.

    Raises
    ------
    InputError
        If there is no such feeder or file, a package is missing, or the net has no reference
        bus and none was named.
    """
    built = _from_text(feeder) if isinstance(feeder, str | Path) else _from_net(feeder)
    notes = list(built.notes)
    references = _references(built.net)
    if not references:
        if reference_bus is None:
            named = f"reference_bus: BUS (index or name){_suggestion(built.net)}"
            cure = f"Name the bus that holds voltage and angle: {named}."
            raise bad("the net has no reference bus in service", built.name, cure)
        notes.append(_add_reference(built.net, reference_bus))
    elif reference_bus is not None:
        find_bus(built.net, reference_bus)
        own = ", ".join(references)
        notes.append(f"reference_bus {reference_bus} was not used: the net has its own reference, {own}.")
    return Feeder(built.name, built.net, built.title, built.source, built.licence, built.cite, tuple(notes))


def _from_text(feeder: str | Path) -> Feeder:
    text = str(feeder)
    if isinstance(feeder, str):
        # A shipped name wins over a folder of the same name that happens to lie in the working folder.
        if text in sources.names("feeders"):
            return _from_catalogue(read_feeder(text))
        if text.startswith(SIMBENCH_PREFIX):
            return _from_simbench(text)
        if not is_path(text):
            known = [*sources.names("feeders"), SIMBENCH_PREFIX + "CODE"]
            cure = f"{nearest(text, known)} A net file is named by its path ({', '.join(SUFFIXES)})."
            raise bad("unknown feeder", text, cure)
    path = Path(feeder)
    net, notes = read_net(path)
    unknown = "not known: it came with the file"
    return Feeder(text, net, getattr(net, "name", "") or path.stem, f"file {path.name}", unknown, unknown, tuple(notes))


def _from_catalogue(spec: FeederSpec) -> Feeder:
    net = _BUILDERS[spec.kind](spec)
    return Feeder(spec.name, net, spec.title, spec.source, spec.licence, spec.cite, spec.known)


def _from_net(net: Any) -> Feeder:
    import pandapower as pp

    if not isinstance(net, pp.pandapowerNet):
        raise bad("this is no feeder", type(net).__name__, "Give a name, simbench:CODE, a path or a pandapower net.")
    own = "not known: a net of the caller"
    return Feeder(net.name or "net", copy.deepcopy(net), net.name or "a pandapower net", own, own, own, ())


def _from_simbench(name: str) -> Feeder:
    code = name.removeprefix(SIMBENCH_PREFIX)
    return Feeder(
        name,
        _simbench_net(code),
        f"SimBench {code}",
        "SimBench data set (simbench package)",
        SIMBENCH_LICENCE,
        SIMBENCH_CITE,
        ("SimBench states its base case at full load and full infeed: use its profiles for a real hour.",),
    )


def _pandapower_net(spec: FeederSpec) -> Any:
    import pandapower.networks

    build: Callable[..., Any] | None = getattr(pandapower.networks, str(spec.function), None)
    if build is None:
        raise bad("pandapower.networks has no such function", str(spec.function), "Install a newer pandapower.")
    return build(**spec.kwargs)


def _simbench_net(code: str) -> Any:
    require("simbench", "a SimBench net")
    import simbench

    codes = simbench.collect_all_simbench_codes()
    if code not in codes:
        raise bad("there is no SimBench net of this code", code, nearest(code, codes))
    return simbench.get_simbench_net(code)


def _texas_net(_: FeederSpec) -> Any:
    from gridedge.grid.texas import texas_net

    return texas_net()


_BUILDERS: dict[str, Callable[[FeederSpec], Any]] = {
    "pandapower": _pandapower_net,
    "simbench": lambda spec: _simbench_net(str(spec.code)),
    "texas": _texas_net,
}


def _references(net: Any) -> list[str]:
    """Return the labels of the elements that hold the angle: external grids and slack generators."""
    grids = [f"ext_grid:{i}" for i in net.ext_grid.index[net.ext_grid["in_service"].astype(bool)]]
    slack = net.gen["in_service"].astype(bool) & net.gen["slack"].fillna(False).astype(bool)
    return grids + [f"gen:{i}" for i in net.gen.index[slack]]


def _suggestion(net: Any) -> str:
    """Suggest the bus of the largest unit, where a slack does the least harm."""
    units = net.gen[net.gen["in_service"].astype(bool)]
    if not len(units):
        return ""
    bus = int(units.loc[units["p_mw"].idxmax(), "bus"])
    return f", for instance {bus}, the bus of the largest generator"


def _add_reference(net: Any, reference_bus: int | str) -> str:
    import pandapower as pp

    try:
        bus, name = find_bus(net, reference_bus)
    except InputError as error:
        raise bad("the reference bus cannot be used", str(reference_bus), str(error)) from error
    # pandapower refuses two set-points at one bus, so a generator that stands there keeps its own.
    here = net.gen[(net.gen["bus"] == bus) & net.gen["in_service"].astype(bool)]
    vm_pu = float(here["vm_pu"].iloc[0]) if len(here) else 1.0
    pp.create_ext_grid(net, bus, vm_pu=vm_pu, name="reference named by the study")
    return f"The net has no reference: an external grid at {vm_pu:g} pu was added at bus {bus} ({name}), as named."
