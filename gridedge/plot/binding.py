"""How each class of what binds looks: a colour, a shape and a place in the legend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """How a class is drawn.

    Parameters
    ----------
    colour : str
        Fill, ``#rrggbb``.
    symbol : str
        Shape, by plotly's name: ``circle``, ``square``, ``diamond``, ``triangle-up``, ``triangle-down``, ``cross``,
        ``x`` or ``hexagon``.
    """

    colour: str
    symbol: str


# Okabe and Ito's colours, told apart by colour-blind readers; shapes tell the classes apart on grey paper too.
LOOKS = {
    "voltage too low": Look("#0072b2", "triangle-down"),
    "voltage too high": Look("#56b4e9", "triangle-up"),
    "line": Look("#d55e00", "circle"),
    "transformer": Look("#e69f00", "square"),
    "voltage step": Look("#cc79a7", "diamond"),
    "flicker": Look("#f0e442", "hexagon"),
    "rapid voltage change": Look("#8a6fb0", "hexagon"),
    "losses": Look("#a87900", "triangle-up"),
    "outage": Look("#1f2933", "x"),
    "supply": Look("#009e73", "cross"),
    "collapse": Look("#7a1f1f", "x"),
    "other": Look("#7b8794", "diamond"),
    "not bound": Look("#ffffff", "circle"),
}
"""By class, in the order of legends."""


def counts(classes: Iterable[str]) -> dict[str, int]:
    """Return how many there are of each class that occurs, in the order of the legend."""
    seen = Counter(classes)
    return {name: seen[name] for name in LOOKS if seen[name]}
