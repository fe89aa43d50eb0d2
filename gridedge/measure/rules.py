"""Rules on a load as data: who asks, how well it is known, and exactly what is measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gridedge.errors import bad
from gridedge.measure.filters import Start
from gridedge.measure.ramp import Direction
from gridedge.spec import DateText, Spec, quantity

Status = Literal["in force", "proposed", "discussed", "not known", "chosen"]
Known = Literal[
    "read at its source", "quoted by a reader of the source", "quoted by a second source", "from memory", "chosen"
]
Band = tuple[float, float]
_NO_FILTER = "the operator's filter is not published; a common choice"


class Filter(Spec):
    """A band-pass through which a rule looks; see :func:`gridedge.measure.filters.band_pass`."""

    type: Literal["butterworth"] = "butterworth"
    order: int = quantity(2, mark="assumed", source=_NO_FILTER, ge=1, le=8)
    """Order of the low-pass it is made from; the band-pass has twice as many poles."""
    band_hz: Band
    """Lower and upper edge, where 0.707 of a swing passes. [Hz]"""
    causal: bool = quantity(True, mark="assumed", source="a meter knows no later sample")
    """Whether it looks at no later sample; else it runs forwards and backwards."""
    start: Start = quantity("mean", mark="assumed", source="the time before the series is not known")
    """Where the load stood before the series begins.  From `mean`, the first sample is a jump that nobody made: a
    largest change within the first period of the lower edge counts only as far as a start at the first sample shows
    it too; and where the load swings nearly as much once the filter has settled, what it shows then counts."""
    known: Literal["published", "assumed", "chosen"] = "assumed"
    """Whether the filter is the authority's own, or an assumption; then a finding gives the spread over orders."""

    @model_validator(mode="after")
    def _fits(self) -> Filter:
        _check_band(self.band_hz, "band_hz")
        return self


class Rule(Spec):
    """What every requirement carries, whatever it measures."""

    name: str
    """Short name."""
    authority: str = "the study's own"
    """Who asks for it."""
    document: str = ""
    """Where it is written."""
    date: DateText = ""
    """Date of the document, year first."""
    status: Status = "chosen"
    """In force, proposed, discussed, not known, or chosen in the study."""
    known: Known = "chosen"
    """How well the figures are known."""
    assumed: str = ""
    """What of the measurement its text leaves open, and how it is taken here."""
    applies_from_mw: float | None = Field(None, gt=0)
    """Size at the meter from which it applies; left out where that is not known. [MW]"""

    @property
    def unit(self) -> str:
        """Unit of the limit and of what is measured."""
        return "MW"

    @property
    def needs_s(self) -> float:
        """Return the shortest series that can be judged, in s."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """The requirement in words."""
        raise NotImplementedError

    def limit(self, size_mw: float) -> float | None:
        """Return the limit for a site of this size, in ``unit``; None where the document names none."""
        raise NotImplementedError


class Unlimited(Rule):
    """A requirement whose document may name no figure."""

    no_figure: bool = False
    """Whether the document names no figure; the requirement is then measured and not judged."""

    def _once(self, **limits: float | None) -> None:
        given = [name for name, value in limits.items() if value is not None]
        names = " or ".join(limits)
        if len(given) > 1 or (given and self.no_figure):
            raise bad(f"the limit of {self.name!r} is given twice", ", ".join(given), f"Keep one of {names}.")
        if not given and not self.no_figure:
            raise bad(f"{self.name!r} has no limit", "", f"Add {names}, or no_figure: true to measure only.")


class ChangeRule(Unlimited):
    """Largest max - min of the power in any closed window, as it is or filtered."""

    rule: Literal["change"]
    window_s: float = Field(gt=0)
    """Length of the window. [s]"""
    limit_mw: float | None = Field(None, gt=0)
    """Largest change. [MW]"""
    filter: Filter | None = None
    """What the power passes before it is measured."""

    @model_validator(mode="after")
    def _fits(self) -> ChangeRule:
        self._once(limit_mw=self.limit_mw)
        return self

    @property
    def needs_s(self) -> float:
        """Return the window, or one period of the filter's lower edge where that is longer, in s."""
        return self.window_s if self.filter is None else max(self.window_s, 1.0 / self.filter.band_hz[0])

    @property
    def words(self) -> str:
        """The requirement in words."""
        text = f"max - min {_at_most(self.limit_mw, 'MW')} in any {self.window_s:g} s"
        f = self.filter
        if f is None:
            return text
        how = f"order {f.order}, {'causal' if f.causal else 'both ways'}, from the {f.start}; {f.known}"
        return f"{text}, {_band(f.band_hz)} (Butterworth, {how})"

    def limit(self, size_mw: float) -> float | None:  # noqa: ARG002
        """Return the limit, in MW."""
        return self.limit_mw


class RampRule(Unlimited):
    """Largest |P(t + w) - P(t)| per minute, which is also the largest mean slope over w; or a percentile of it."""

    rule: Literal["ramp"]
    window_s: float = Field(60.0, gt=0)
    """The window w; ten minutes for a ramp averaged over a rolling ten minutes. [s]"""
    limit_mw_per_min: float | None = Field(None, gt=0)
    """Largest ramp. [MW/min]"""
    limit_mw_per_s: float | None = Field(None, gt=0)
    """The same per second, where a document says it so. [MW/s]"""
    direction: Direction = "both"
    """Which ramps count; up is a rise of consumption."""
    percentile: float | None = Field(None, gt=0, lt=100)
    """Share of all times at which it must hold; left out, at all of them. [%]"""

    @model_validator(mode="after")
    def _fits(self) -> RampRule:
        self._once(limit_mw_per_min=self.limit_mw_per_min, limit_mw_per_s=self.limit_mw_per_s)
        return self

    @property
    def unit(self) -> str:
        """MW/min, unless the limit is given per second."""
        return "MW/min" if self.limit_mw_per_s is None else "MW/s"

    @property
    def needs_s(self) -> float:
        """Return the window, in s."""
        return self.window_s

    @property
    def words(self) -> str:
        """The requirement in words."""
        sign = {"both": "|P(t + {w:g} s) - P(t)|", "up": "P(t + {w:g} s) - P(t)", "down": "P(t) - P(t + {w:g} s)"}
        what = sign[self.direction].format(w=self.window_s)
        share = "" if self.percentile is None else f"{self.percentile:g} % of the time "
        limit = self.limit_mw_per_min if self.limit_mw_per_s is None else self.limit_mw_per_s
        return f"{what} {share}{_at_most(limit, self.unit)}"

    def limit(self, size_mw: float) -> float | None:  # noqa: ARG002
        """Return the limit, in ``unit``."""
        return self.limit_mw_per_min if self.limit_mw_per_s is None else self.limit_mw_per_s


class FastChangeRule(Rule):
    """Largest change between two times at a mean rate of so much or more."""

    rule: Literal["fast_change"]
    rate_mw_per_s: float = Field(gt=0)
    """Rate below which any change is allowed. [MW/s]"""
    limit_mw: float = Field(gt=0)
    """Largest change that may be faster. [MW]"""

    @property
    def needs_s(self) -> float:
        """Return the time that the limit takes at the rate, in s."""
        return self.limit_mw / self.rate_mw_per_s

    @property
    def words(self) -> str:
        """The requirement in words."""
        return f"no change above {self.limit_mw:g} MW at {self.rate_mw_per_s:g} MW/s or faster"

    def limit(self, size_mw: float) -> float | None:  # noqa: ARG002
        """Return the limit, in MW."""
        return self.limit_mw


class BandAmplitudeRule(Rule):
    """Largest line of the amplitude spectrum within a band, in any piece of the series."""

    rule: Literal["band_amplitude"]
    band_hz: Band
    """Band, edges included. [Hz]"""
    limit_mw: float | None = Field(None, gt=0)
    """Largest amplitude, half of peak to peak. [MW]"""
    limit_percent_of_size: float | None = Field(None, gt=0)
    """Largest amplitude of the site's size; where both are given, the smaller one holds. [%]"""
    window_s: float = quantity(
        60.0, mark="assumed", source="six periods of 0.1 Hz; operators do not publish theirs", gt=0
    )
    """Length of a piece, under a Hann window, half overlapping. [s]"""

    @model_validator(mode="after")
    def _fits(self) -> BandAmplitudeRule:
        _check_band(self.band_hz, "band_hz")
        if self.limit_mw is None and self.limit_percent_of_size is None:
            raise bad(f"{self.name!r} has no limit", "", "Add limit_mw or limit_percent_of_size, or both.")
        if self.window_s * self.band_hz[0] < 4:
            cure = f"Use a window of {4 / self.band_hz[0]:g} s or more: a piece must hold four periods."
            raise bad(f"window_s of {self.name!r} is too short for its band", f"{self.window_s:g} s", cure)
        return self

    @property
    def needs_s(self) -> float:
        """Return the length of a piece, in s."""
        return self.window_s

    @property
    def words(self) -> str:
        """The requirement in words."""
        share = None if self.limit_percent_of_size is None else f"{self.limit_percent_of_size:g} % of the site's size"
        fixed = None if self.limit_mw is None else f"{self.limit_mw:g} MW"
        most = f"the lesser of {fixed} and {share}" if share and fixed else share or fixed
        return f"amplitude of any sine at most {most}, {_band(self.band_hz)} (Hann, {self.window_s:g} s)"

    def limit(self, size_mw: float) -> float | None:
        """Return the limit for a site of this size, in MW."""
        share = None if self.limit_percent_of_size is None else self.limit_percent_of_size / 100.0 * size_mw
        return min(limit for limit in (self.limit_mw, share) if limit is not None)


class BandEnergyRule(Rule):
    """Share of the swing's energy, its mean square, within a band."""

    rule: Literal["band_energy"]
    band_hz: Band
    """Band; the upper edge is not part of it. [Hz]"""
    limit_percent: float = Field(gt=0, lt=100)
    """Largest share. [%]"""

    @model_validator(mode="after")
    def _fits(self) -> BandEnergyRule:
        _check_band(self.band_hz, "band_hz")
        return self

    @property
    def unit(self) -> str:
        """Per cent of the swing's mean square."""
        return "%"

    @property
    def needs_s(self) -> float:
        """Return ten periods of the lower edge, in s: lines are then a tenth of it apart."""
        return 10.0 / self.band_hz[0]

    @property
    def words(self) -> str:
        """The requirement in words."""
        return f"at most {self.limit_percent:g} % of the energy of all swings, {_band(self.band_hz)}"

    def limit(self, size_mw: float) -> float | None:  # noqa: ARG002
        """Return the limit, in per cent."""
        return self.limit_percent


class VoltageChangeRule(Rule):
    """Largest max - min of the voltage at the point of connection in any closed window."""

    rule: Literal["voltage_change"]
    limit_percent: float = Field(gt=0)
    """Largest change. [% of the nominal voltage]"""
    window_s: float = quantity(
        1.0,
        mark="assumed",
        source="a rapid change lies between states steady for 1 s (IEC 61000-4-30)",
        gt=0,
    )
    """Length of the window. [s]"""

    @property
    def unit(self) -> str:
        """Per cent of the nominal voltage."""
        return "%"

    @property
    def needs_s(self) -> float:
        """Return the window, in s."""
        return self.window_s

    @property
    def words(self) -> str:
        """The requirement in words."""
        return (
            f"voltage at the point of connection: max - min at most {self.limit_percent:g} % in any {self.window_s:g} s"
        )

    def limit(self, size_mw: float) -> float | None:  # noqa: ARG002
        """Return the limit, in per cent."""
        return self.limit_percent


AnyRule = Annotated[
    ChangeRule | RampRule | FastChangeRule | BandAmplitudeRule | BandEnergyRule | VoltageChangeRule,
    Field(discriminator="rule"),
]


class Rulebook(Spec):
    """A list of requirements."""

    title: str = ""
    include: tuple[str, ...] = ()
    """Other rulebooks whose requirements come first: shipped ones by name, files by their path from this one."""
    rules: tuple[AnyRule, ...] = ()


def _at_most(limit: float | None, unit: str) -> str:
    return f"at most {limit:g} {unit}" if limit is not None else f"(in {unit}; the document names no figure)"


def _band(band_hz: Band) -> str:
    return f"{band_hz[0]:g} to {band_hz[1]:g} Hz"


def _check_band(band_hz: Band, name: str) -> None:
    if not 0 < band_hz[0] < band_hz[1]:
        raise bad(f"{name} is empty", f"{list(band_hz)} Hz", "Write [0.1, 55], the lower edge first and above 0.")
