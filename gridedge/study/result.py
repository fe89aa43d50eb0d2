"""What a study gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridedge.measure.finding import Finding
from gridedge.spec import Assumption

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from gridedge.measure.voltage_report import VoltageReport
    from gridedge.planning.compare import Comparison
    from gridedge.planning.sizing import BatterySize
    from gridedge.plot.change import Mark
    from gridedge.plot.network import NetworkPicture
    from gridedge.plot.spectrum import Band


@dataclass(frozen=True, eq=False)
class Result:
    """The results of a study; a strategy is named by its label throughout.

    Parameters
    ----------
    title, question : str
        As the study says them.
    answer : list of str
        What came out, in sentences, the verdict first.
    facts : list of (str, str)
        What was connected where: label, and value with its unit.
    notes : list of str
        What must be known before a number is trusted.
    findings : dict
        By strategy, the list of :class:`~gridedge.measure.finding.Finding`.
    summary : DataFrame
        A row per strategy, columns with the unit in their name.
    assumptions : list of Assumption
        Every number that the result stands on.
    manifest : dict
        Versions, seed, hashes, engine, time taken.
    data : dict of DataTree
        By strategy: ``waveform`` (the measured stretch), ``season`` (the site at its highest power),
        ``season_mean`` (at its mean), ``window_peak`` and ``window_lightest``.
    base : Dataset
        The season without the site.
    network : NetworkPicture or None
        Where buses and branches are drawn.
    limits : dict
        ``vm_pu`` and ``loading_percent``, as far as they are set.
    zoom_s : float or None
        Length of one iteration.
    equipment : dict
        By strategy, what racks, UPS, transformer and storage see, against their ratings.
    comparison : Comparison or None
        What the strategies waste, delay and cost, where the study asks for it.
    battery : BatterySize or None
        The smallest battery that meets the comparison's target alone.
    marks : list of Mark
        Limits on changes, to be drawn.
    bands : list of Band
        Bands of frequencies that rules speak of, to be drawn.
    voltage : dict of VoltageReport
        By strategy and "without the site": time in bands over the season, worst buses, duration curves, tap operations.
    out : Path or None
        Folder the result was written to.
    """

    title: str
    question: str
    answer: list[str]
    facts: list[tuple[str, str]]
    notes: list[str]
    findings: dict[str, list[Finding]]
    summary: pd.DataFrame
    assumptions: list[Assumption]
    manifest: dict[str, Any]
    data: dict[str, xr.DataTree]
    base: xr.Dataset
    network: NetworkPicture | None
    limits: dict[str, Any] = field(default_factory=dict)
    zoom_s: float | None = None
    equipment: dict[str, list[Finding]] = field(default_factory=dict)
    comparison: Comparison | None = None
    battery: BatterySize | None = None
    marks: list[Mark] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    voltage: dict[str, VoltageReport] = field(default_factory=dict)
    out: Path | None = None
