"""What every verb of hosting capacity checks of its arguments."""

from __future__ import annotations

from typing import Any

from gridedge.errors import bad, is_number, nearest
from gridedge.sites.facility import tan_phi


def tangent(power_factor: Any) -> float:
    """Return reactive over active power, positive for lagging.

    Raises
    ------
    InputError
        If it is no power factor.
    """
    if not is_number(power_factor) or not 0 < abs(power_factor) <= 1:
        cure = "Give 0.98 for lagging, -0.98 for leading, 1 for none of both."
        raise bad("a power factor must be above 0 and at most 1 in size", power_factor, cure)
    return tan_phi(float(power_factor))


def check_search(existing: str, supply: str, max_mw: float | None, tol_mw: float) -> None:
    """Check what every search for a capacity is told.

    Raises
    ------
    InputError
        If a word is unknown, or a size is not positive.
    """
    one_of("existing", existing, ("absolute", "no_worse"))
    one_of("supply", supply, ("auto", "slack", "headroom"))
    if not is_number(tol_mw) or not tol_mw > 0:
        raise bad("tol_mw must be positive", tol_mw, "Give tol_mw=0.01.")
    if max_mw is not None and (not is_number(max_mw) or not max_mw > 0):
        raise bad("max_mw must be positive", max_mw, "Give the highest size of interest, or leave it out.")


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a word that is not known, and name the nearest that is."""
    if value not in known:
        raise bad(f"unknown {name}", str(value), nearest(str(value), known))
