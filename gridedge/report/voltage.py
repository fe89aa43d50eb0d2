"""The voltage section of the report, as plain rows of text."""

from __future__ import annotations

from dataclasses import dataclass

from gridedge.measure.voltage_report import BandTime, VoltageReport
from gridedge.report.result import StudyResult


@dataclass(frozen=True)
class BandCell:
    """One band of one strategy: share of the time within, times outside, and which buses."""

    share: str
    times: str
    buses: str


@dataclass(frozen=True)
class VoltageRow:
    """What the season's voltages of one strategy come to."""

    strategy: str
    lowest: str
    lowest_at: str
    highest: str
    highest_at: str
    heads: list[tuple[str, str]]
    cells: list[BandCell]
    taps: str


def voltage_rows(result: StudyResult) -> list[VoltageRow]:
    """Return a row per strategy, that without the site first, as the result has them."""
    return [_row(label, report) for label, report in result.voltage.items()]


def _row(label: str, report: VoltageReport) -> VoltageRow:
    low, high = report.data.sel(bus=report.lowest[0]), report.data.sel(bus=report.highest[0])
    heads = [(b.limit, f"{b.low_pu:g} to {b.high_pu:g} pu") for b in report.bands]
    taps = ", ".join(f"{name}: {count}" for name, count in report.operations.items())
    return VoltageRow(
        label, f"{low['vm_min_pu'].item():.4f} pu", f"bus {report.lowest[0]}",
        f"{high['vm_max_pu'].item():.4f} pu", f"bus {report.highest[0]}",
        heads, [_cell(b) for b in report.bands], taps or "held",
    )  # fmt: skip


def _cell(band: BandTime) -> BandCell:
    if not band.buses_below and not band.buses_above:
        return BandCell("all of the time", f"{band.hours:.4g} h", "")
    times = [f"{h:.4g} h {side}" for h, side in ((band.below_h, "below"), (band.above_h, "above")) if h]
    buses = [
        f"{count} bus{'es' if count > 1 else ''} {side}, {worst} for {hours:.4g} h"
        for count, side, worst, hours in (
            (band.buses_below, "below", band.worst_below, band.worst_below_h),
            (band.buses_above, "above", band.worst_above, band.worst_above_h),
        )
        if count
    ]
    return BandCell(f"{band.within_percent:.4g} % of the time within", " and ".join(times), "; ".join(buses))
