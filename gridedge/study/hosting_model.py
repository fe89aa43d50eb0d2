"""What a study file about hosting capacity says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from gridedge.errors import InputError, Problem, bad, nearest
from gridedge.measure.limit_sets import LimitSet, load_limits
from gridedge.profiles.preset import merge_preset
from gridedge.spec import Spec, build, quantity
from gridedge.study.kinds import document_of, kind_of
from gridedge.study.model import Background, Placed

_FORWARDED = (
    "power_factor", "existing", "supply", "taps", "max_mw", "tol_mw", "n_minus_1", "emergency_percent",
    "post_outage_vm_pu", "waveform", "waveform_hours", "hours", "sources", "requested_mw", "curve",
)  # fmt: skip


class HostingSpec(Spec):
    """A study of how much load fits: at which buses, within which limits."""

    study: Literal["hosting"]
    """Says that this is a study of hosting capacity."""
    title: str
    question: str = ""
    feeder: str
    """A shipped feeder's name, `simbench:CODE`, or a file that pandapower reads."""
    reference_bus: int | str | None = None
    """Reference bus for a file that has none."""
    buses: Literal["all", "loads"] | tuple[int | str, ...] = quantity(
        "all", mark="chosen", source="every bus that has a supply"
    )
    """Where a site is tried: all buses with a supply, those with a load, or a list of indices and names."""
    within: dict[str, int | float | str] = {}
    """What the buses must have in the net's bus table, such as {area: 3} or {vn_kv: 20}."""
    limits: str | dict[str, Any] | tuple[str | dict[str, Any], ...] = quantity(
        ("en50160", "ratings"), mark="chosen", source="the voltage band of EN 50160 and all normal ratings"
    )
    """Limit sets by name or file, or limits in short; several hold together."""
    power_factor: float = quantity(0.98, mark="assumed", source="lagging, as a campus with compensated cooling has it")
    """Of the site at the meter: lagging, or leading where negative."""
    existing: Literal["absolute", "no_worse"] = quantity(
        "absolute", mark="chosen", source="a net that breaks a limit already takes nothing more"
    )
    """What holds where the net breaks a limit already: the limit itself, or no worse than without the site."""
    background: Background | None = None
    """How the feeder's own loads move; left out, one step: the net as it stands."""
    supply: Literal["auto", "slack", "headroom"] = quantity(
        "auto", mark="chosen", source="the slack in a radial net, else every unit in proportion to its headroom"
    )
    """Who delivers what the site draws."""
    taps: str | dict[str, Any] = quantity("held", mark="chosen", source="tap changers stay where the net has them")
    """Whether tap changers stay, or settle."""
    max_mw: float | None = Field(None, gt=0)
    """Highest size of interest. [MW]"""
    tol_mw: float = quantity(0.01, mark="chosen", source="finer than any map shows", gt=0)
    """How near to the break an answer is. [MW]"""
    n_minus_1: bool | str | tuple[str | tuple[str, ...], ...] | None = None
    """Whether the limits hold after outages too: of everything, of what a word or a file names, or of a list."""
    emergency_percent: float | str | None = None
    """Highest loading after an outage, of the normal rating, or the column that holds it. [%]"""
    post_outage_vm_pu: tuple[float, float] | None = None
    """Voltage band after an outage. [pu]"""
    waveform: str | None = None
    """The site's waveform, by the name of a profile, for limits on flicker and rapid changes."""
    waveform_hours: tuple[float, ...] | None = None
    """Times of the series at which the waveform and voltage steps are solved; where it is heaviest and lightest, if
    left out. [s]"""
    hours: Literal["all", "worst"] | None = None
    """Whether every step is judged, or the worst ones by a stated rule."""
    sources: str | dict[str, float] | None = None
    """What grids and machines do within seconds."""
    requested_mw: float | None = Field(None, gt=0)
    """A wished size, held against what fits. [MW]"""
    curve: bool | None = None
    """Whether how near each limit is at every size is kept."""

    @field_validator("buses", mode="before")
    @classmethod
    def _which(cls, value: Any) -> Any:
        """Say what is known in place of pydantic's list of what it tried."""
        if isinstance(value, str) and value not in ("all", "loads"):
            cure = f"{nearest(value, ('all', 'loads'))} One bus is a list too: [{value}]."
            raise bad("buses is neither all nor loads", value, cure)
        if not isinstance(value, str | list | tuple):
            raise bad("buses is no list", str(value), f"Write all, loads, or a list such as [{value}].")
        return value

    @field_validator("limits", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if not isinstance(value, str | list | tuple | Mapping):
            raise bad("limits are no limits", str(value), "Write [en50160, ratings], or {vm_pu: [0.95, 1.05]}.")
        return value

    @model_validator(mode="after")
    def _fits(self) -> HostingSpec:
        if not 0 < abs(self.power_factor) <= 1:
            cure = "Give 0.98 for lagging, -0.98 for leading, 1 for none of both."
            raise bad("power_factor must be above 0 and at most 1 in size", self.power_factor, cure)
        if isinstance(self.buses, tuple) and not self.buses:
            raise bad("buses names none", "[]", "Write all, loads, or a list of indices and names.")
        return self

    def forwarded(self) -> dict[str, Any]:
        """Return the arguments of :func:`gridedge.hosting_capacity` that the file gives, and no others."""
        return {name: getattr(self, name) for name in _FORWARDED if getattr(self, name) is not None}


@dataclass(frozen=True)
class HostingStudy(Placed):
    """A hosting study, the folder that its relative paths start from, and where its values were written."""

    spec: HostingSpec

    def limits(self) -> LimitSet:
        """Return the limits of the study; files are looked for beside it.

        Raises
        ------
        InputError
            If they cannot be used.
        """
        given = self.spec.limits
        several = given if isinstance(given, tuple) else (given,)
        with self.at("limits"):
            return load_limits([self._beside_me(one) for one in several])

    def _beside_me(self, limit: str | dict[str, Any]) -> Any:
        beside = self.base / limit if isinstance(limit, str) else None
        return str(beside) if beside is not None and beside.is_file() else limit


def load_hosting(study: str | Path | Mapping[str, Any] | HostingSpec, settings: Iterable[str] = ()) -> HostingStudy:
    """Read a study of hosting capacity.

    Parameters
    ----------
    study : str, path, dict or HostingSpec
        A shipped study's name, a YAML file, its content, or the spec itself.
    settings : iterable of str
        ``KEY.SUBKEY=VALUE`` put over the file.

    Raises
    ------
    InputError
        With every problem found, each with its line.
    """
    settings = [settings] if isinstance(settings, str) else list(settings)
    if isinstance(study, HostingSpec):
        if settings:
            raise bad("settings need a study file or a dict", "HostingSpec", "Use study.model_copy(update=...).")
        return HostingStudy(Path.cwd(), lambda _: "", study)
    if kind_of(study, settings) != "hosting":
        what = study if isinstance(study, str | Path) else "a dict"
        cure = "Write `study: hosting`, or use gridedge.run for a study of one site."
        raise bad("this is no study of hosting capacity", str(what), cure)
    document, base = document_of(study, settings)
    problems: list[Problem] = []
    try:
        document = merge_preset(document, ("background", "shape"))
    except InputError as error:
        problems += error.problems
    try:
        spec = build(HostingSpec, document)
    except InputError as error:
        problems += [p for p in error.problems if not (problems and p.thing.startswith("background.shape"))]
        raise InputError(problems) from error
    if problems:
        raise InputError(problems)
    loaded = HostingStudy(base, document.where, spec)
    loaded.limits()
    return loaded
