"""Which branches have a rating that means something, and how loaded they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

PLACEHOLDER_KA = 9.0
"""A line rating from here on is a placeholder: case files write 99999 kA or 9900 MVA for "no limit". [kA]"""
PLACEHOLDER_MVA = 9000.0
"""The same of a transformer or an impedance. [MVA]"""
_COLUMNS = {
    "line": ("max_i_ka", PLACEHOLDER_KA),
    "trafo": ("sn_mva", PLACEHOLDER_MVA),
    "trafo3w": ("sn_hv_mva", PLACEHOLDER_MVA),
    "impedance": ("sn_mva", PLACEHOLDER_MVA),
}


def known_rating(net: Any, element: str) -> NDArray[np.bool_]:
    """Say for each row of a branch table whether its rating is one.

    Parameters
    ----------
    net : pandapowerNet
        The net; it is not changed.
    element : {"line", "trafo", "trafo3w", "impedance"}
        The table.

    Returns
    -------
    ndarray of bool, shape (row,)
        False where the rating is missing, zero or a placeholder; a loading in percent of it says nothing.
    """
    column, limit = _COLUMNS[element]
    rating = np.asarray(net[element][column], dtype=float)
    return (rating > 0) & (rating < limit)


def has_real_ratings(net: Any) -> bool:
    """Say whether the line ratings of a net can carry a thermal result.

    The lines in service decide, by their median rating (real below 9 kA); in a net without
    lines the transformers and impedances do, by the majority.
    """
    lines = net.line["in_service"].to_numpy(dtype=bool)
    if lines.any():
        rating_ka = np.nan_to_num(net.line["max_i_ka"].to_numpy(dtype=float)[lines], nan=np.inf)
        return bool(0.0 < np.median(rating_ka) < PLACEHOLDER_KA)
    known = np.concatenate([known_rating(net, e)[net[e]["in_service"].to_numpy(dtype=bool)] for e in _COLUMNS])
    return bool(known.size and known.mean() > 0.5)


def branch_loading_percent(net: Any) -> pd.Series:
    """Return the loading of every branch of a solved net, impedances included.

    Lines and transformers have pandapower's own value.  For an impedance, which pandapower
    gives none, it is the larger of the two terminal currents over the rated current at that
    side, as pandapower takes it for a transformer.

    Parameters
    ----------
    net : pandapowerNet
        A net with power flow results; it is not changed.

    Returns
    -------
    Series
        Loading by branch label, ``line:12``, ``trafo:0``, ``trafo3w:0``, ``impedance:7``; NaN where
        the rating is not known. [%]
    """
    import pandas as pd

    parts = []
    for element in _COLUMNS:
        table = net[element]
        if element == "impedance":
            loading = _impedance_loading_percent(net)
        else:
            loading = net[f"res_{element}"]["loading_percent"].reindex(table.index).to_numpy(dtype=float)
        labels = [f"{element}:{index}" for index in table.index]
        parts.append(pd.Series(np.where(known_rating(net, element), loading, np.nan), index=labels, dtype=float))
    return pd.concat(parts).rename("loading_percent")


def _impedance_loading_percent(net: Any) -> NDArray[np.float64]:
    table, result = net.impedance, net.res_impedance.reindex(net.impedance.index)
    rating_mva = table["sn_mva"].to_numpy(dtype=float)
    sides = [
        np.sqrt(3.0)
        * net.bus["vn_kv"].reindex(table[f"{side}_bus"]).to_numpy(dtype=float)
        * result[f"i_{side}_ka"].to_numpy(dtype=float)
        for side in ("from", "to")
    ]
    loading: NDArray[np.float64] = np.maximum(*sides) / rating_mva * 100.0
    return loading


def known_ratings(net: Any, element: Sequence[str]) -> NDArray[np.bool_]:
    """Return, per branch in the order of a result, whether its rating is one, or a placeholder."""
    parts = [known_rating(net, table) for table in dict.fromkeys(element)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)
