"""A small study of a fleet: three megawatts on a 20 kV net, at one site or at three."""

from __future__ import annotations

from typing import Any


def small_study(**more: Any) -> dict[str, Any]:
    """Return the study as a dict; keys given replace its own."""
    return {
        "study": "fleet",
        "title": "Three megawatts in a small town",
        "question": "One site or three?",
        "feeder": "mv_oberrhein",
        "zone": "Europe/Berlin",
        "background": {"shape": "bdew-h0-winter-workday"},
        "traffic": {"conversation": {"requests_per_s": 10}},
        "places": [
            {"name": "town", "lat": 48.45, "lon": 8.0, "weight": 1.0},
            {"name": "village", "lat": 48.40, "lon": 7.95, "weight": 0.5},
        ],
        "layouts": {
            "1 x 3 MW": {"sites": 1, "mw_each": 3, "how": "named", "where": "Bus 73"},
            "3 x 1 MW": {"sites": 3, "mw_each": 1, "how": "best"},
        },
        "fluctuation": {"duration_s": 600},
    } | more
