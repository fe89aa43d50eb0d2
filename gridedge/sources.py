"""Where the shipped data is: feeders, fleets, profiles, rules and example studies.

A checkout is looked into first, then the installed package, so that an
editable install never answers from a stale copy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gridedge.errors import bad, nearest

Kind = Literal["feeders", "fleets", "profiles", "studies"]
_PACKAGE = Path(__file__).resolve().parent


def folder(kind: Kind) -> Path:
    """Return the folder that holds the shipped ``kind``.

    Raises
    ------
    InputError
        If neither a checkout nor the installation holds it.
    """
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / kind).is_dir():
        return checkout / kind
    installed = _PACKAGE / "data" / kind
    if installed.is_dir():
        return installed
    raise bad(f"the shipped {kind} are missing", str(installed), "Install gridedge again.")


def names(kind: Kind) -> list[str]:
    """Return the names under which the shipped ``kind`` are known, sorted."""
    root = folder(kind)
    if kind == "studies":
        return sorted(p.stem for p in root.glob("*.yaml"))
    return sorted(p.name for p in root.iterdir() if (p / f"{kind[:-1]}.yaml").is_file())


def find(kind: Kind, name: str) -> Path:
    """Return the YAML file of a shipped feeder, fleet, profile or study.

    Parameters
    ----------
    kind : {"feeders", "fleets", "profiles", "studies"}
        What is looked for.
    name : str
        Its name, as ``names(kind)`` lists it.

    Raises
    ------
    InputError
        If there is none of this name; the message suggests the nearest.
    """
    if name not in names(kind):
        raise bad(f"unknown {_one(kind)}", name, nearest(name, names(kind)))
    root = folder(kind)
    return root / f"{name}.yaml" if kind == "studies" else root / name / f"{kind[:-1]}.yaml"


def resolve(kind: Kind, name_or_path: str | Path) -> Path:
    """Return the YAML file meant by a name or a path.

    A value that ends in ``.yaml`` or ``.yml``, or that holds a path separator, is
    a path; the shipped ``studies/default.yaml`` answers to that path too.
    """
    text = str(name_or_path)
    path = Path(text)
    if path.suffix.lower() not in {".yaml", ".yml"} and "/" not in text and "\\" not in text:
        return find(kind, text)
    if path.is_file():
        return path
    if path.parts[:-1] == (kind,) and path.stem in names(kind):
        return find(kind, path.stem)
    cure = f"Name a file that exists, or one of the shipped ones. {nearest(path.stem, names(kind))}"
    raise bad(f"no such {_one(kind)} file", text, cure)


def _one(kind: Kind) -> str:
    return {"feeders": "feeder", "fleets": "fleet", "profiles": "profile", "studies": "study"}[kind]
