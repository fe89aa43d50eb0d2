"""What the report needs to know of a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from gridedge.measure.finding import Finding
    from gridedge.measure.voltage_report import VoltageReport
    from gridedge.planning.compare import Comparison
    from gridedge.planning.sizing import BatterySize
    from gridedge.plot.change import Mark
    from gridedge.plot.network import NetworkPicture
    from gridedge.plot.spectrum import Band
    from gridedge.spec import Assumption


class Assuming(Protocol):
    """A result that says what it stands on."""

    @property
    def assumptions(self) -> Sequence[Assumption]:
        """Every number that the result stands on."""


class StudyResult(Assuming, Protocol):
    """The parts of a study's result that a report shows; a strategy is named by its label throughout."""

    @property
    def title(self) -> str:
        """Title of the study."""

    @property
    def question(self) -> str:
        """What was asked, in plain sentences."""

    @property
    def answer(self) -> Sequence[str]:
        """What came out, in sentences, the verdict first."""

    @property
    def facts(self) -> Sequence[tuple[str, str]]:
        """What was connected where: labels, and values with their units."""

    @property
    def notes(self) -> Sequence[str]:
        """What a reader must know before trusting a number."""

    @property
    def findings(self) -> Mapping[str, Sequence[Finding]]:
        """Findings by strategy."""

    @property
    def summary(self) -> pd.DataFrame:
        """Scalar results: a row per strategy, columns with the unit in the name; NaN reads "cannot tell"."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Versions, seed, hashes, engine, measured error; may be nested."""

    @property
    def data(self) -> Mapping[str, xr.DataTree]:
        """By strategy: children ``waveform``, ``season``, ``window_peak``, ``window_lightest``."""

    @property
    def base(self) -> xr.Dataset | None:
        """The season without the site."""

    @property
    def network(self) -> NetworkPicture | None:
        """Where the buses and branches are drawn."""

    @property
    def limits(self) -> Mapping[str, Any]:
        """Limits to draw: ``vm_pu`` (low, high), ``loading_percent``; either may be absent."""

    @property
    def zoom_s(self) -> float | None:
        """Length of one iteration of the load, if it has one [s]."""

    @property
    def equipment(self) -> Mapping[str, Sequence[Finding]]:
        """By strategy, what racks, UPS, transformer and storage see."""

    @property
    def comparison(self) -> Comparison | None:
        """What the strategies waste, delay and cost; None where the study did not ask."""

    @property
    def battery(self) -> BatterySize | None:
        """The smallest battery that meets the comparison's target alone."""

    @property
    def voltage(self) -> Mapping[str, VoltageReport]:
        """By strategy, and without the site: time in bands, worst buses, duration curves, tap operations."""

    @property
    def marks(self) -> Sequence[Mark]:
        """Limits of the rules on changes of the power."""

    @property
    def bands(self) -> Sequence[Band]:
        """Bands of frequencies that the rules speak of."""
