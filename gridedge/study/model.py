"""What a study file says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from gridedge import sources, yamlfile
from gridedge.errors import InputError, Problem, bad, nearest
from gridedge.grid.tap_data import TapControl
from gridedge.measure.limits import Limits
from gridedge.measure.rulebook import AnyRule
from gridedge.planning.prices import Prices
from gridedge.profiles.generate import Profile
from gridedge.profiles.measured import MeasuredProfile
from gridedge.profiles.preset import merge_preset
from gridedge.profiles.shape import ShapeProfile
from gridedge.sites.equipment import Ratings
from gridedge.sites.facility import Facility
from gridedge.sites.mitigate import Step
from gridedge.spec import Spec, build, quantity
from gridedge.timebase import step_count

_MOST_STEPS = {"measure_s": 5_000_000, "run_in_s": 5_000_000, "window_s": 5_000_000}  # what a laptop holds


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
    ratings: Ratings = Ratings()
    """What racks, UPS, transformer and storage may see; what is left out is shown without a verdict."""


class Background(Spec):
    """How the feeder's own loads move: each is its value in the net, times a common shape."""

    shape: ShapeProfile
    """Daily shape; the net's own values are its peak."""
    days: int = Field(1, ge=1, le=366)
    """Days of the season."""
    generation: Literal["hold", "follow"] = quantity(
        "hold", mark="assumed", source="as in the net; `follow` scales it with the loads"
    )
    """Whether the net's own generators keep their power, or follow the same shape."""


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

    sources: Literal["emf", "held"] = quantity(
        "emf", mark="chosen", source="a source held at its set-point hides the swing that is asked about"
    )
    """Whether grid and machines are constant EMFs behind their impedance, or hold their set-points."""
    s_sc_mva: float | None = Field(None, gt=0)
    """Short-circuit power of every external grid; without, the net's own, else by voltage level. [MVA]"""
    rx: float | None = Field(None, ge=0)
    """Its ratio of resistance to reactance; without, the net's own, else 0.1."""
    xd_transient_pu: float | None = Field(None, gt=0)
    """Transient reactance of every machine on its rating; without, the net's own, else 0.3. [pu]"""
    tol_vm_pu: float = quantity(1e-6, mark="chosen", source="a hundredth of what flicker needs", gt=0)
    """Error of the voltages that interpolation may make. [pu]"""

    def for_solve(self) -> str | dict[str, float]:
        """Return the sources as :func:`gridedge.solve` takes them."""
        if self.sources == "held":
            return "held"
        given = {"s_sc_mva": self.s_sc_mva, "rx": self.rx, "xd_transient_pu": self.xd_transient_pu}
        return {name: value for name, value in given.items() if value is not None}

    @model_validator(mode="after")
    def _fits(self) -> Waveform:
        if self.sources == "held" and any(v is not None for v in (self.s_sc_mva, self.rx, self.xd_transient_pu)):
            raise bad("data of sources that are held", "s_sc_mva, rx or xd_transient_pu", "Write sources: emf.")
        for name in ("measure_s", "window_s", "run_in_s"):
            length = getattr(self, name)
            steps = step_count(length, self.dt_s, name) if length else 0
            if steps > _MOST_STEPS[name]:
                cure = f"Lengthen dt_s or shorten {name}."
                raise bad(f"{name} has too many steps", f"{steps}, at most {_MOST_STEPS[name]}", cure)
        if self.window_s > self.measure_s:
            raise bad(
                "window_s is longer than measure_s", f"{self.window_s} s > {self.measure_s} s", "Shorten window_s."
            )
        return self


class Comparing(Spec):
    """What the strategies are weighed by, beside the power flow."""

    target: str | dict[str, Any] | None = None
    """A rulebook's name, a file, or a short form such as {ramp_mw_per_min: 20}; without, the study's requirement."""
    vary: dict[str, dict[str, tuple[Any, ...]]] = {}
    """By strategy: values to try, by step and key, such as {battery.p_rated_mw: [10, 20]}."""
    size_battery: bool = quantity(True, mark="chosen", source="the smallest battery that meets the target alone")
    """Whether to look for the smallest battery that meets the target with nothing else."""
    battery: dict[str, Any] = {}
    """What is fixed of that battery, such as {delay_s: 0.005}."""
    behind: str | None = None
    """Strategy whose steps inside the site stand before that battery; none if left out."""
    dt_s: float | None = Field(None, gt=0)
    """Step of the comparison; the waveform's if left out. [s]"""
    prices: Prices = Prices()


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
    taps: TapControl | None = None
    """Tap changers that follow the season; left out, taps are held as they stand in the feeder."""
    requirement: tuple[AnyRule, ...] = ()
    """The utility's requirements on this site."""
    rulebook: str | None = "operators"
    """Rules tested beside them: a shipped rulebook or a file."""
    strategies: dict[str, tuple[Step, ...]] = Field(min_length=1)
    """What is compared: by name, the steps in order; an empty list does nothing."""
    compare: Comparing | None = None
    """Whether the strategies are weighed by what they waste, delay and cost, and over which parameters."""

    @model_validator(mode="after")
    def _fits(self) -> StudySpec:
        files: dict[str, str] = {"without-site": "the season without the site"}
        for label, steps in self.strategies.items():
            if file_name(label) in files:
                cure = f"Its file would be that of {files[file_name(label)]!r}; choose another name."
                raise bad("two strategies need the same file", repr(label), cure)
            files[file_name(label)] = label
            places = [step.place for step in steps]
            if places != sorted(places, key=lambda place: place == "site"):
                cure = "Steps act from the chip outwards: list those at the site last."
                raise bad(f"the steps of {label!r} are out of order", ", ".join(s.step for s in steps), cure)
        if self.compare is not None:
            if self.compare.target is None and not self.requirement:
                cure = "Write compare.target, or a requirement."
                raise bad("there is nothing to compare the strategies by", "compare.target", cure)
            named = {"vary": [*self.compare.vary], "behind": [self.compare.behind] if self.compare.behind else []}
            for key, labels in named.items():
                for label in labels:
                    if label not in self.strategies:
                        cure = nearest(label, self.strategies)
                        raise bad(f"compare.{key} names a strategy that does not exist", label, cure)
        for rule in self.requirement:
            if rule.needs_s >= self.waveform.measure_s:
                cure = f"Lengthen waveform.measure_s ({self.waveform.measure_s:g} s)."
                raise bad(
                    f"the window of {rule.name!r} is not shorter than what is measured", f"{rule.needs_s:g} s", cure
                )
        return self


def file_name(label: str) -> str:
    """Return a strategy's label as a file name that every system takes."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "strategy"


@dataclass(frozen=True)
class Placed:
    """Something read from a file: the folder that its relative paths start from, and where its values were written."""

    base: Path
    where: Callable[[yamlfile.Loc], str]

    @contextmanager
    def at(self, *loc: str) -> Iterator[None]:
        """Give an error that arises inside the place of a key."""
        try:
            yield
        except InputError as error:
            problems = error.problems or [Problem(str(error), "", "")]
            raise InputError([replace(p, where=self._beside(p.where, loc)) for p in problems]) from error

    def _beside(self, known: str, loc: tuple[str, ...]) -> str:
        """Put the place of a key before what is known of a place already, unless that names a line itself."""
        here = self.where(loc)
        return (
            known if re.search(r":\d+$", known) or not here or known == here else ", ".join(filter(None, (here, known)))
        )


@dataclass(frozen=True)
class Study(Placed):
    """A study of one site."""

    spec: StudySpec


def load_study(study: str | Path | Mapping[str, Any] | StudySpec, settings: Iterable[str] = ()) -> Study:
    """Read a study.

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
    settings = [settings] if isinstance(settings, str) else list(settings)
    if isinstance(study, StudySpec):
        if settings:
            raise bad("settings need a study file or a dict", "StudySpec", "Use study.model_copy(update=...).")
        return Study(Path.cwd(), lambda _: "", study)
    if isinstance(study, Mapping):
        document, base = yamlfile.Document(_plain(study)), Path.cwd()
    else:
        path = sources.resolve("studies", study)
        document, base = yamlfile.read(path), path.resolve().parent
    yamlfile.override(document, settings)
    problems: list[Problem] = []
    broken: list[yamlfile.Loc] = []
    problems += _no_profile(document)
    if problems:
        broken.append(("load",))
    for at in (("load",), ("background", "shape")):
        try:
            document = merge_preset(document, at)
        except InputError as error:
            problems += error.problems
            broken.append(at)
    if document.where(("load", "trace")).startswith("--set"):
        base = Path.cwd()  # a path typed on the command line starts where it was typed
    try:
        spec = build(StudySpec, document)
    except InputError as error:
        # What could not be read is not also incomplete.
        roots = tuple(".".join(map(str, at)) for at in broken)
        problems += [p for p in error.problems if not (roots and p.thing.startswith(roots))]
        raise InputError(problems) from error
    if problems:
        raise InputError(problems)
    _one_trace(spec)
    return Study(base, document.where, spec)


def _no_profile(document: yamlfile.Document) -> list[Problem]:
    """Return what is wrong with a load that names neither a profile nor a kind."""
    load = document.data.get("load")
    if not isinstance(load, Mapping) or "profile" in load or "kind" in load:
        return []
    for key in load:
        if "profile" in nearest(key, ["profile", "kind"]):
            return [yamlfile.unknown_key(key, ["profile", "kind"], document.where(("load", key)))]
    cure = f"Write `profile:` with one of {', '.join(sources.names('profiles'))}, or `kind:`."
    return [Problem("load names no profile", "", cure, document.where(("load",)))]


def _plain(data: Any) -> Any:
    return {str(k): _plain(v) for k, v in data.items()} if isinstance(data, Mapping) else data


def _one_trace(spec: StudySpec) -> None:
    if isinstance(spec.load, MeasuredProfile) and spec.load.nodes is not None:
        cure = "Leave load.nodes out; site.size says how many servers there are."
        raise bad("the number of servers is given twice", f"load.nodes {spec.load.nodes}", cure)
