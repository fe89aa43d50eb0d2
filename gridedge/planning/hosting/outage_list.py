"""Which outages are looked at: all, the transformers of the substation, a list, or a file with names."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gridedge import yamlfile
from gridedge.errors import InputError, Problem, bad
from gridedge.grid.engines.outages import Case
from gridedge.grid.outage_cases import at_references, every_case, read_cases
from gridedge.grid.trial import Trial

_KEYS = ("name", "out")
Entry = tuple[str, tuple[str, ...], str]


def read_outages(trial: Trial, given: Any) -> list[Case]:
    """Return the outages that are asked for.

    Parameters
    ----------
    trial : Trial
        The net.
    given : True, "substation", str, path, or sequence
        True is every line, transformer, impedance and generator in service, one at a time; "substation" the
        transformers at the external grids; a path names a YAML or CSV file; a sequence holds labels such as
        ``"line:12"`` and tuples of labels that go out together.

    Raises
    ------
    InputError
        With every problem of the file or the list, lines included.

    Notes
    -----
    A YAML file holds ``outages:``, a list of labels, of lists of labels, or of ``{name: double circuit, out:
    [line:1, line:2]}``.  A CSV file has the columns ``name`` and ``out``, labels joined by ``+``.
    """
    if given is True:
        return every_case(trial)
    if isinstance(given, str) and given == "substation":
        return at_references(trial)
    if isinstance(given, str | Path):
        entries, problems = _from_file(Path(given))
    elif isinstance(given, Sequence):
        entries, problems = [], []
        for e in given:
            labels = (e,) if isinstance(e, str) else tuple(e) if isinstance(e, Sequence) else ()
            if not labels or not all(isinstance(label, str) for label in labels):
                cure = 'Write "line:12", or ("line:1", "line:2") for what goes out together.'
                problems.append(Problem("an outage names no elements", repr(e), cure))
            else:
                entries.append(("", labels, ""))
        if not given:
            raise bad("no outage is listed", repr(given), "Give labels, or n_minus_1=True for all.")
    else:
        cure = 'Give True, "substation", a file, or labels such as ["line:12", ("line:1", "line:2")].'
        raise bad("cannot make outages of this", type(given).__name__, cure)
    found: list[Case] = []
    try:
        if entries or not problems:
            found = read_cases(trial, entries)
    except InputError as error:
        problems = [*problems, *error.problems]
    if problems:
        raise InputError(problems)
    return found


def _from_file(path: Path) -> tuple[list[Entry], list[Problem]]:
    ending = path.suffix.lower()
    if ending not in {".yaml", ".yml", ".csv"}:
        cure = 'Name a .yaml or .csv file, or give "substation", True or a list of labels.'
        raise bad("unknown outages", str(path), cure)
    if not path.is_file():
        raise bad("no such file of outages", str(path), "Name a file that exists.")
    return _from_csv(path) if ending == ".csv" else _from_yaml(path)


def _from_yaml(path: Path) -> tuple[list[Entry], list[Problem]]:
    document = yamlfile.read(path)
    problems = list(document.problems)
    known = ("outages", "title")
    problems += [yamlfile.unknown_key(k, known, document.where((k,))) for k in document.data if k not in known]
    listed = document.data.get("outages")
    if not isinstance(listed, list) or not listed:
        problems.append(
            Problem("the file lists no outages", "", "Write outages: and a list.", document.where(("outages",)))
        )
        return [], problems
    entries: list[Entry] = []
    for k, one in enumerate(listed):
        place, name, out = document.where(("outages", k)), "", one
        if isinstance(one, dict):
            problems += [
                yamlfile.unknown_key(key, _KEYS, document.where(("outages", k, key))) for key in one if key not in _KEYS
            ]
            name, out = str(one.get("name") or ""), one.get("out")
        labels = (out,) if isinstance(out, str) else out
        if not isinstance(labels, list | tuple) or not labels or not all(isinstance(x, str) for x in labels):
            cure = "Write line:12, or {name: double circuit, out: [line:1, line:2]}."
            problems.append(Problem("an outage names no elements", repr(one), cure, place))
            continue
        entries.append((name, tuple(labels), place))
    return entries, problems


def _from_csv(path: Path) -> tuple[list[Entry], list[Problem]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise bad("cannot read the file", str(path), f"Check that it is a text file ({error}).") from error
    header = [cell.strip() for cell in lines[0][1]] if lines else []
    if "out" not in header or set(header) - set(_KEYS):
        raise bad("the columns are not name and out", ", ".join(header), "Begin with: name,out", f"{path.name}:1")
    entries: list[Entry] = []
    problems: list[Problem] = []
    for number, row in lines[1:]:
        place = f"{path.name}:{number}"
        if len(row) != len(header):
            cure = "Write name,out."
            problems.append(Problem("a row has not as many cells as the header", ",".join(row), cure, place))
            continue
        cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
        labels = tuple(label.strip() for label in cells["out"].split("+") if label.strip())
        if not labels:
            problems.append(Problem("an outage names no elements", ",".join(row), "Write line:1+line:2.", place))
            continue
        entries.append((cells.get("name", ""), labels, place))
    if not entries and not problems:
        problems.append(Problem("the file lists no outages", "", "Write a row for each.", path.name))
    return entries, problems
