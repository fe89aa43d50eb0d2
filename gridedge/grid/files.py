"""Nets from files, through pandapower's own converters."""

from __future__ import annotations

import re
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from gridedge.errors import InputError, bad, nearest
from gridedge.grid.extras import require

SUFFIXES = (".json", ".m", ".mat", ".uct", ".xml", ".zip")
"""Endings by which a text is taken for a path."""
_NO_LIMIT_KA = 99999.0  # what pandapower's converter writes for a rate of 0, MATPOWER's "unlimited"


def is_path(text: str) -> bool:
    """Say whether a text means a file or a folder: it exists, ends like one, or holds a separator."""
    lower = text.lower()
    return lower.endswith(SUFFIXES) or "/" in text or "\\" in text or Path(text).exists()


def read_net(path: Path) -> tuple[Any, list[str]]:
    """Read a net from a file or a CGMES folder.

    Parameters
    ----------
    path : Path
        pandapower JSON, MATPOWER ``.m`` or ``.mat``, UCTE ``.uct``, CGMES ``.zip``, ``.xml`` or a folder.

    Returns
    -------
    tuple of (pandapowerNet, list of str)
        The net, and what the reading of it left open.

    Raises
    ------
    InputError
        If the file is missing, of no known format, cannot be read, or needs a package that is missing.
    """
    if not path.exists():
        raise bad("no such net file", str(path), "Check the path; a relative one starts at the working folder.")
    reader = _READERS.get("folder" if path.is_dir() else path.suffix.lower())
    if reader is None:
        known = f"Known formats: {', '.join(SUFFIXES)}, or a folder of CGMES files."
        raise bad("this file format is not read", path.name, f"{nearest(path.suffix, SUFFIXES)} {known}")
    try:
        with _quiet():
            net, notes = reader(path)
    except InputError:
        raise
    except Exception as error:  # the converters raise anything, from KeyError to a bare Exception
        cause = f"{type(error).__name__}: {error}"
        raise bad(
            f"pandapower cannot read this {path.suffix or 'folder'}", str(path), f"Check its content ({cause})."
        ) from error
    if not len(net.bus):
        raise bad("the file holds no bus", str(path), "Check that it is a net in the format its ending says.")
    return net, notes


def matpower_net(path: Path, *, f_hz: float) -> tuple[Any, Any]:
    """Read a MATPOWER case file through pandapower's converter, and keep what that drops.

    Parameters
    ----------
    path : Path
        A ``.m`` or ``.mat`` case file.
    f_hz : float
        Frequency; the format has none. [Hz]

    Returns
    -------
    tuple of (pandapowerNet, ndarray)
        The net and the bus matrix of the case.  In the net, ``bus["area"]`` and ``bus["name"]`` are
        filled, a line without a limit has the rating NaN, and ``source_row`` in the tables of
        branches and units is the row of the case's own matrix, counted from 0.
    """
    from pandapower.converter.matpower import from_mpc

    bus, names = _matpower_bus(path)
    with _quiet():
        net = from_mpc(str(path), f_hz=f_hz)
    number = bus[:, 0].astype(int) - 1
    place = {index: row for row, index in enumerate(number)}
    rows = np.array([place[index] for index in net.bus.index])
    net.bus["area"] = bus[rows, 6].astype(int)
    if names:
        net.bus["name"] = [names[row] for row in rows]
    net.line.loc[net.line["max_i_ka"] >= _NO_LIMIT_KA, "max_i_ka"] = np.nan
    for lookup in net._from_ppc_lookups.values():
        for element, part in lookup.groupby("element_type"):
            source = dict(zip(part["element"].astype(int), part.index, strict=True))
            # A table can hold more than the lookup knows: a negative load becomes an sgen.
            net[element]["source_row"] = [source.get(index, -1) for index in net[element].index]
    return net, bus


def _matpower_bus(path: Path) -> tuple[Any, list[str]]:
    """Return the bus matrix and the names of the buses, if the case has any."""
    if path.suffix.lower() == ".mat":
        from scipy.io import loadmat

        case = loadmat(str(path), squeeze_me=True, struct_as_record=False)
        if "mpc" not in case:
            raise bad("the .mat file has no variable `mpc`", path.name, "Save it with MATPOWER: savecase(file, mpc).")
        names = np.atleast_1d(getattr(case["mpc"], "bus_name", [])).tolist()
        return np.atleast_2d(case["mpc"].bus), [str(name).strip() for name in names]
    from matpowercaseframes import CaseFrames

    _refuse_computed_case(path)
    frames = CaseFrames(str(path))
    named = "bus_name" in frames._attributes
    names = [str(name).strip() for name in frames.bus_name.to_numpy().ravel()] if named else []
    return frames.bus.to_numpy(dtype=float), names


def _refuse_computed_case(path: Path) -> None:
    """Refuse a case that changes its own matrices by MATLAB statements, which nobody executes here."""
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        code = line.partition("%")[0]
        if re.search(r"\bmpc\.(bus|branch|gen)\s*\([^)]*\)\s*=", code):
            raise bad(
                "the case computes its own data by a MATLAB statement, which is not executed here",
                code.strip(),
                "Save the finished case with MATPOWER, savecase('case.mat', loadcase('case.m')), and name that file.",
                f"{path.name}:{number}",
            )


def _read_json(path: Path) -> tuple[Any, list[str]]:
    import pandapower as pp

    net = pp.from_json(str(path))
    if not isinstance(net, pp.pandapowerNet):
        raise bad("the JSON file holds no pandapower net", str(path), "Write one with pandapower.to_json(net, file).")
    return net, []


def _read_matpower(path: Path) -> tuple[Any, list[str]]:
    if path.suffix.lower() == ".m":
        require("files", "reading a MATPOWER .m file", ("matpowercaseframes",))
    net, _ = matpower_net(path, f_hz=50.0)
    return net, [
        "A MATPOWER case has no frequency: 50 Hz is assumed, which the power flow does not depend on.",
        "Bus indices are MATPOWER's bus numbers minus 1.",
    ]


def _read_ucte(path: Path) -> tuple[Any, list[str]]:
    from pandapower.converter.ucte.from_ucte import from_ucte

    net = from_ucte(str(path))
    return net, ["A UCTE file has no coordinates and no load profile; its node codes are in bus.ucte_name."]


def _read_cgmes(path: Path) -> tuple[Any, list[str]]:
    require("files", "reading CGMES", ("lxml",))
    from pandapower.converter.cim.cim2pp.from_cim import from_cim

    # Archives are unpacked here: the converter leaves its own unpacked copy behind when it fails.
    with tempfile.TemporaryDirectory() as scratch:
        files = _xml_files(path, Path(scratch))
        if not files:
            raise bad("there is no CGMES file in it", str(path), "It has to hold the .xml profiles (EQ, SSH, TP).")
        version = "3.0" if any(b"CIM100#" in _head(file) for file in files) else "2.4.15"
        net = from_cim(file_list=[str(file) for file in files], cgmes_version=version, ignore_errors=False)
    return net, [f"Read as CGMES {version}."]


def _xml_files(path: Path, scratch: Path) -> list[Path]:
    """Return the XML files of a folder, an archive, or a folder of archives."""
    if path.is_file() and path.suffix.lower() == ".xml":
        return [path]
    archives = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.suffix.lower() == ".zip")
    for number, archive in enumerate(archives):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(scratch / str(number))
    loose = [] if path.is_file() else [p for p in path.iterdir() if p.suffix.lower() == ".xml"]
    return sorted(loose) + sorted(p for p in scratch.rglob("*") if p.suffix.lower() == ".xml")


def _head(path: Path) -> bytes:
    """Return the beginning of a file, where an XML profile names its CIM version."""
    with path.open("rb") as file:
        return file.read(4096)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the deprecation warnings of pandas and numpy that pandapower's converters cause themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        yield


_READERS: dict[str, Callable[[Path], tuple[Any, list[str]]]] = {
    ".json": _read_json,
    ".m": _read_matpower,
    ".mat": _read_matpower,
    ".uct": _read_ucte,
    ".xml": _read_cgmes,
    ".zip": _read_cgmes,
    "folder": _read_cgmes,
}
