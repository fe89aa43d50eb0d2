"""What a study file says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from gridedge import sources, yamlfile
from gridedge.errors import InputError, Problem, bad
from gridedge.measure.limits import Limits
from gridedge.measure.rulebook import AnyRule
from gridedge.profiles.generate import Profile, merge_preset
from gridedge.profiles.measured import MeasuredProfile
from gridedge.profiles.shape import ShapeProfile
from gridedge.sites.facility import Facility
from gridedge.sites.mitigate import Step
from gridedge.spec import Spec, build, quantity
from gridedge.timebase import step_count


class Size(Spec):
    """How large the site is: give exactly one."""

    meter_peak_mw: float | None = Field(None, gt=0)
    """Highest power at the meter without mitigation; the number of servers follows. [MW]"""
    nameplate_mw: float | None = Field(None, gt=0)
    """Nameplate of the servers; the number of servers follows. [MW]"""
    servers: int | None = Field(None, ge=1)
    """Number of servers."""

    @model_validator(mode="after")
    def _one(self) -> Size:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            cure = "Give one of meter_peak_mw, nameplate_mw, servers."
            raise bad("the size of the site must be given once", ", ".join(given) or "not at all", cure)
        return self


class Site(Spec):
    """One site and where it connects."""

    name: str = "campus"
    """Name of the site."""
    bus: int | str
    """Bus of the feeder: an integer is its index, a string its name."""
    size: Size
    facility: Facility = Facility()


class Background(Spec):
    """How the feeder's own loads move: each is its value in the net, times a common shape."""

    shape: ShapeProfile
    """Daily shape; the net's own values are its peak."""
    days: int = Field(1, ge=1, le=366)
    """Days of the season."""


class Waveform(Spec):
    """The clock of the fast part."""

    dt_s: float = Field(gt=0)
    """Step. [s]"""
    measure_s: float = quantity(600.0, mark="chosen", source="ten minutes, as the rules' windows need", gt=0)
    """Stretch on which changes and ramps are measured. [s]"""
    window_s: float = quantity(35.0, mark="chosen", source="two iterations of the default job", gt=0)
    """Stretch of it that goes through the power flow. [s]"""
    run_in_s: float = quantity(900.0, mark="assumed", source="several time constants of cooling and control", ge=0)
    """Time before the measured stretch in which cooling and storage settle. [s]"""

    @model_validator(mode="after")
    def _fits(self) -> Waveform:
        step_count(self.measure_s, self.dt_s)
        step_count(self.window_s, self.dt_s)
        if self.run_in_s:
            step_count(self.run_in_s, self.dt_s)
        if self.window_s > self.measure_s:
            raise bad(
                "window_s is longer than measure_s", f"{self.window_s} s > {self.measure_s} s", "Shorten window_s."
            )
        return self


class StudySpec(Spec):
    """A whole study: a site on a feeder, with and without mitigation."""

    title: str
    question: str = ""
    seed: int = Field(0, ge=0)
    """Seed of the random numbers."""
    feeder: str
    """A shipped feeder's name, `simbench:CODE`, or a file that pandapower reads."""
    reference_bus: int | str | None = None
    """Reference bus for a file that has none."""
    site: Site
    load: Profile
    background: Background
    waveform: Waveform
    limits: Limits
    requirement: tuple[AnyRule, ...] = ()
    """The utility's requirements on this site."""
    rulebook: str | None = "operators"
    """Rules tested beside them: a shipped rulebook or a file."""
    strategies: dict[str, tuple[Step, ...]] = Field(min_length=1)
    """What is compared: by name, the steps in order; an empty list does nothing."""


def load_study(
    study: str | Path | Mapping[str, Any] | StudySpec, settings: Iterable[str] = ()
) -> tuple[StudySpec, Path]:
    """Read a study and the folder that its relative paths start from.

    Parameters
    ----------
    study : str, path, dict or StudySpec
        A shipped study's name, a YAML file, its content, or the spec itself.
    settings : iterable of str
        ``KEY.SUBKEY=VALUE`` put over the file.

    Raises
    ------
    InputError
        With every problem found, each with its line.
    """
    if isinstance(study, StudySpec):
        if list(settings):
            raise bad("settings need a study file or a dict", "StudySpec", "Use study.model_copy(update=...).")
        return study, Path.cwd()
    if isinstance(study, Mapping):
        document, base = yamlfile.Document(_plain(study)), Path.cwd()
    else:
        path = sources.resolve("studies", study)
        document, base = yamlfile.read(path), path.resolve().parent
    yamlfile.override(document, settings)
    problems: list[Problem] = []
    for at in (("load",), ("background", "shape")):
        try:
            document = merge_preset(document, at)
        except InputError as error:
            problems += error.problems
    if document.where(("load", "trace")).startswith("--set"):
        base = Path.cwd()  # a path typed on the command line starts where it was typed
    try:
        spec = build(StudySpec, document)
    except InputError as error:
        named = {p.where for p in problems}
        problems += [p for p in error.problems if p.where not in named]
        raise InputError(problems) from error
    if problems:
        raise InputError(problems)
    _one_trace(spec)
    return spec, base


def _plain(data: Any) -> Any:
    return {str(k): _plain(v) for k, v in data.items()} if isinstance(data, Mapping) else data


def _one_trace(spec: StudySpec) -> None:
    if isinstance(spec.load, MeasuredProfile) and spec.load.nodes is not None:
        cure = "Leave load.nodes out; site.size says how many servers there are."
        raise bad("the number of servers is given twice", f"load.nodes {spec.load.nodes}", cure)
