"""What a hosting study says: the answer in sentences, facts, limits, what was not studied, the manifest."""

from __future__ import annotations

import platform
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from gridedge.measure.limit_sets import LimitSet, limit_words
from gridedge.planning.hosting.published import BINDING
from gridedge.planning.hosting.result import NOT_BOUND
from gridedge.spec import Assumption
from gridedge.study.describe import versions
from gridedge.study.hosting_model import HostingSpec

if TYPE_CHECKING:
    import pandas as pd

    from gridedge.planning.hosting.result import HostingResult

_HELD_MOST = 12  # rows of the table of elements
_MANY = 10  # buses from which on shares of them mean something


def sentences(table: pd.DataFrame, found: HostingResult, requested_mw: float | None) -> list[str]:
    """Return what came out, the shortest answer first."""
    bound = table[table["binding"] != NOT_BOUND]
    said = []
    if requested_mw is not None:
        fit = int((table["capacity_mw"] >= requested_mw).sum())
        said.append(f"{fit} of {len(table)} buses take the {requested_mw:g} MW that are wished for.")
    if len(table) == 1:
        said.append(_one(table))
    elif len(bound) and bound["capacity_mw"].max() > found.data.attrs["tol_mw"]:
        if len(table) >= _MANY:
            said.append(f"{_spread(table)}; each is asked alone.")
        most, least = bound["capacity_mw"].idxmax(), bound["capacity_mw"].idxmin()
        said.append(f"Where something binds, most fits at {_at(table, most)}, least at {_at(table, least)}.")
    counts = table["binding"].value_counts()
    parts = [f"{name} at {counts[name]}" for name in BINDING if name in counts and name != NOT_BOUND]
    if parts and len(table) > 1:
        said.append(f"What stops a site first: {', '.join(parts)}.")
    unbound = int(counts.get(NOT_BOUND, 0))
    if unbound and len(table) > 1:
        said.append(f"Nothing binds at {unbound} {'bus' if unbound == 1 else 'buses'}, as far as the search went.")
    nothing = int((table["capacity_mw"] <= found.data.attrs["tol_mw"]).sum())
    if nothing:
        said.append(
            f"{nothing} {'bus takes' if nothing == 1 else 'buses take'} nothing: a limit is broken there, or anywhere "
            "in the net, before a site comes."
        )
    return said


def bottlenecks(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the elements that stop most buses: element, limit, how many, and the capacities they leave [MW]."""
    bound = table[table["binding"] != NOT_BOUND]
    groups = [(str(e), str(limit), g) for (e, limit), g in bound.groupby(["element", "limit"], sort=False)]
    groups.sort(key=lambda group: (-len(group[2]), float(group[2]["capacity_mw"].min())))
    return [
        {
            "element": element, "limit": limit, "binding": str(group["binding"].iloc[0]), "buses": len(group),
            "low_mw": float(group["capacity_mw"].min()), "high_mw": float(group["capacity_mw"].max()),
        }
        for element, limit, group in groups[:_HELD_MOST]
    ]  # fmt: skip


def limit_rows(limits: LimitSet) -> list[dict[str, str]]:
    """Return each limit: what it asks, who asks it, and how well that is known."""
    return [
        {
            "name": limit.name, "asks": limit_words(limit),
            "origin": "; ".join(filter(None, (limit.standard, limit.clause, limit.edition, limit.date))),
            "known": limit.known, "assumed": limit.assumed,
        }
        for limit in limits.limits
    ]  # fmt: skip


def facts(spec: HostingSpec, feeder: Any, found: HostingResult, steps: int, took_s: float) -> list[tuple[str, str]]:
    """Return what was asked of what: labels, and values with their units."""
    attrs = found.data.attrs
    which = spec.buses if isinstance(spec.buses, str) else f"{len(spec.buses)} named"
    where = ", ".join(f"{k} {v}" for k, v in spec.within.items())
    series = "one step: the net as it stands"
    if spec.background is not None:
        shape = spec.background.shape
        series = f"{steps} steps of {shape.step_s / 60:g} min; {shape.title}"
    lead = "leading" if spec.power_factor < 0 else "lagging"
    return [
        ("Feeder", f"{feeder.name}: {feeder.title}"),
        ("Source of the feeder", f"{feeder.source} ({feeder.licence})"),
        ("Buses", f"{found.data.sizes['bus']} ({which}{', ' + where if where else ''})"),
        ("Limits", ", ".join(limit.name for limit in found.limits.limits) or "none"),
        ("Thermal limits", str(attrs["thermal"])),
        ("Where the net breaks a limit already", str(attrs["existing"]).replace("_", " ")),
        ("Power factor of a site", f"{spec.power_factor:g} ({lead})"),
        ("Series", series),
        ("Who delivers", str(attrs["supply"])),
        ("Tap changers", str(attrs["taps"])),
        ("Capacities are found to", f"{spec.tol_mw:g} MW"),
        ("Largest difference from runpp where compared", f"{attrs['error_vm_pu']:.1e} pu"),
        ("Time taken", f"{took_s:.1f} s"),
    ]


def not_studied(spec: HostingSpec, found: HostingResult) -> list[str]:
    """Return what this answer says nothing about."""
    kinds = {limit.limit for limit in found.limits.limits}
    missing = ["Several sites at once: each bus is asked alone, and capacities do not add up."]
    if not spec.n_minus_1:
        missing.append("Outages: every element of the net is in service.")
    if spec.waveform is None:
        missing.append("Flicker and rapid changes: a site draws a steady power.")
    if "voltage_step" not in kinds:
        missing.append("The step of the voltage when a site starts or trips.")
    if spec.background is None:
        missing.append("Other hours than the one in which the net stands.")
    if spec.taps == "held":
        missing.append("Tap changers that move: they stay where the net has them.")
    if not spec.requested_mw:
        missing.append("What it would take to fit more: gridedge hosting FEEDER --bus BUS --want MW.")
    elsewhere = [f"{one}." for one in found.data.attrs["not_studied"]]
    return [*missing, *elsewhere, "Protection and stability."]


def assumptions(spec: HostingSpec) -> list[Assumption]:
    """Return every number that the result stands on, the background's shape as a whole."""
    found = [a for a in spec.assumptions() if not a.name.startswith(("background.shape.", "limits."))]
    if isinstance(spec.limits, tuple):
        named = ", ".join(one if isinstance(one, str) else str(one) for one in spec.limits)
        found.append(Assumption("limits", named or "none", "chosen", "each with its origin in the table of limits"))
    if spec.background is not None:
        shape = spec.background.shape
        found.append(Assumption("background.shape", shape.title, "quoted", f"{shape.source} ({shape.licence})"))
    return found


def manifest(spec: HostingSpec, feeder: Any, found: HostingResult, steps: int, began: float) -> dict[str, Any]:
    """Return versions, hashes, engine, measured error and time taken."""
    attrs = found.data.attrs
    return {
        "study": spec.title,
        "kind": "hosting",
        "spec_sha256": spec.hash(),
        "spec": spec.to_dict(),
        "feeder": {"name": feeder.name, "source": feeder.source, "licence": feeder.licence, "cite": feeder.cite},
        "buses": int(found.data.sizes["bus"]),
        "steps": steps,
        **{name: attrs[name] for name in ("engine_detail", "error_vm_pu", "supply", "taps", "existing", "thermal")},
        "versions": versions(),
        "platform": platform.platform(),
        "time_taken_s": round(time.perf_counter() - began, 2),
    }


def _spread(table: pd.DataFrame) -> str:
    """Return what most buses take; of those without a limit it is not known how much more they would."""
    known = table["capacity_mw"].where(table["binding"] != NOT_BOUND, np.inf).sort_values().to_numpy(float)
    parts = []
    for share, words in ((0.1, "nine in ten"), (0.5, "half of them"), (0.9, "one in ten")):
        value = float(known[min(int(share * known.size), known.size - 1)])
        if np.isfinite(value):
            parts.append(f"{words} {value:.3g} MW")
    return f"Of {len(table)} buses, {', '.join(parts)} or more" if parts else f"{len(table)} buses were asked"


def _one(table: pd.DataFrame) -> str:
    row: Any = table.iloc[0]
    after = f"; behind it {row['next_limit']} at {row['next_element']}, at {row['next_mw']:.4g} MW"
    stop = "nothing binds" if row["binding"] == NOT_BOUND else f"then {row['limit']} at {row['element']}"
    return f"{_at(table, table.index[0])}: {stop}{after if np.isfinite(row['next_mw']) else ''}."


def _at(table: pd.DataFrame, bus: Any) -> str:
    row: Any = table.loc[bus]
    return f"bus {bus} ({row['bus_name']}, {row['vn_kv']:g} kV) with {row['capacity_mw']:.4g} MW"
