"""What an answer about hosting capacity does not look at, and where to ask instead."""

from __future__ import annotations

from collections.abc import Collection

_ELSEWHERE = {"harmonics": "gridedge.harmonic_screen", "unbalance": "gridedge.unbalance"}


def not_studied(studied: Collection[str] = ()) -> list[str]:
    """Return what is not studied, each with the verb that answers it.

    Parameters
    ----------
    studied : collection of str
        What a judge has looked at: "harmonics", "unbalance".
    """
    return [f"{name}: {verb}" for name, verb in _ELSEWHERE.items() if name not in studied]


def sentence(missing: Collection[str]) -> list[str]:
    """Return the remark that says so; none where nothing is missing."""
    return [f"Not studied: {'; '.join(missing)}."] if missing else []
