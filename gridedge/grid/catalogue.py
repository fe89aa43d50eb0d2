"""What the shipped feeders are, read from their YAML alone: no net is built, no pandapower imported."""

from __future__ import annotations

import textwrap
from typing import Literal, Self

from pydantic import Field, model_validator

from gridedge import sources
from gridedge.errors import bad
from gridedge.grid.extras import install_hint
from gridedge.spec import Spec

Quantity = Literal[
    "n_bus",
    "n_line",
    "n_trafo",
    "n_impedance",
    "n_load",
    "n_gen",
    "n_sgen",
    "p_load_mw",
    "q_load_mvar",
    "losses_mw",
    "vm_min_pu",
    "vm_max_pu",
    "max_line_loading_percent",
    "max_trafo_loading_percent",
    "max_impedance_loading_percent",
]
SIMBENCH_PREFIX = "simbench:"
SIMBENCH_LICENCE = "Open Database License (ODbL) with Database Contents License (DbCL): attribute, share alike"
SIMBENCH_CITE = (
    "S. Meinecke et al., SimBench: A Benchmark Dataset of Electric Power Systems, Energies 13(12), 3290, 2020"
)
_WIDTH = 100
_SIZES = {
    "n_bus": "buses",
    "n_line": "lines",
    "n_trafo": "transformers",
    "n_impedance": "impedances",
    "n_load": "loads",
    "n_gen": "generators",
    "n_sgen": "static generators",
}
_FIGURES = {
    "p_load_mw": "load [MW]",
    "q_load_mvar": "load [Mvar]",
    "losses_mw": "losses [MW]",
    "vm_min_pu": "lowest voltage [pu]",
    "vm_max_pu": "highest voltage [pu]",
    "max_line_loading_percent": "highest line loading [%]",
    "max_trafo_loading_percent": "highest transformer loading [%]",
    "max_impedance_loading_percent": "highest loading of an impedance [%]",
}


class Figure(Spec):
    """A checked figure of the base case, kept as the text that was printed.

    The digits are the tolerance: a value agrees when it is within half a unit
    of the last printed digit.  ``"1.040"`` therefore asks for more than
    ``"1.04"``, and a count such as ``"179"`` for the very number.
    """

    value: str = Field(pattern=r"^-?\d+(\.\d+)?$")
    """the figure as its source prints it"""
    source: str
    """where it comes from"""

    @property
    def number(self) -> float:
        """The figure as a number."""
        return float(self.value)

    @property
    def tolerance(self) -> float:
        """Half a unit of the last printed digit."""
        digits = len(self.value.partition(".")[2])
        return float(0.5 * 10.0**-digits)

    def agrees(self, measured: float) -> bool:
        """Say whether a calculated value rounds to the printed figure."""
        # A value exactly on the half rounds either way; 1e-9 keeps it from depending on the last bit.
        return abs(measured - self.number) <= self.tolerance + 1e-9


class SiteBus(Spec):
    """A bus at which a study may connect a site, and why that one."""

    bus: int
    """index of the bus in the net"""
    name: str
    """its name in the net"""
    why: str
    """what speaks for it"""


class FeederSpec(Spec):
    """One feeder of the catalogue, as ``feeders/<name>/feeder.yaml`` describes it."""

    name: str
    """name, equal to that of the folder"""
    title: str
    """one line that says what the net is"""
    kind: Literal["pandapower", "simbench", "texas"]
    """who builds it: a function of pandapower.networks, a SimBench code, the synthetic Texas case"""
    function: str | None = None
    """function of pandapower.networks, for kind pandapower"""
    kwargs: dict[str, str | bool | int | float] = Field(default_factory=dict)
    """arguments of that function"""
    code: str | None = None
    """SimBench code, for kind simbench"""
    source: str
    """who made the data and where it is published"""
    licence: str
    """terms under which the data may be used"""
    cite: str
    """what a publication has to cite"""
    known: tuple[str, ...]
    """what a reader of any result of this feeder must know"""
    extra: Literal["simbench", "texas"] | None = None
    """extra of gridedge that brings the data, if any"""
    sites: tuple[SiteBus, ...] = ()
    """buses that a study may use"""
    coordinates: bool
    """whether the buses have coordinates"""
    expected: dict[Quantity, Figure]
    """checked figures of the base case, as runpp gives them"""

    @model_validator(mode="after")
    def _builder_is_named(self) -> Self:
        for kind, key, value in (("pandapower", "function", self.function), ("simbench", "code", self.code)):
            if (self.kind == kind) != (value is not None):
                raise bad(f"{key} goes with kind {kind!r} and no other", self.kind, f"Add or remove `{key}:`.")
        if self.kwargs and self.kind != "pandapower":
            raise bad("kwargs go with kind 'pandapower' and no other", self.kind, "Remove `kwargs:`.")
        return self


def list_feeders() -> list[FeederSpec]:
    """Return every shipped feeder, sorted by name."""
    return [read_feeder(name) for name in sources.names("feeders")]


def read_feeder(name: str) -> FeederSpec:
    """Return the description of a shipped feeder.

    Raises
    ------
    InputError
        If there is none of this name; the message suggests the nearest.
    """
    return FeederSpec.from_yaml(sources.find("feeders", name))


def describe_feeder(name: str) -> str:
    """Describe a feeder in plain text, at most 100 columns wide.

    Parameters
    ----------
    name : str
        A shipped feeder, or ``simbench:CODE``.

    Returns
    -------
    str
        Title, size, source, licence, what to cite, what is known, how to use it.

    Raises
    ------
    InputError
        If there is no feeder of this name.
    """
    if name.startswith(SIMBENCH_PREFIX):
        return _describe_simbench(name)
    spec = read_feeder(name)
    figures = {str(key): figure for key, figure in spec.expected.items()}
    size = ", ".join(f"{figures[key].value} {word}" for key, word in _SIZES.items() if key in figures)
    lines = [f"{spec.name}: {spec.title}", ""]
    lines += _field("size", size)
    lines += _field("coordinates", "yes" if spec.coordinates else "no: the net cannot be drawn as a map")
    lines += _field("source", spec.source)
    lines += _field("licence", spec.licence)
    lines += _field("cite", spec.cite)
    if spec.extra is not None:
        lines += _field("needs", install_hint(spec.extra))
    lines += ["", "Base case (each figure is checked by the tests):"]
    for key, word in _FIGURES.items():
        figure = figures.get(key)
        if figure is not None:
            lines.append(f"  {word:<36} {figure.value:>9}")
    lines += ["", "Known, and to be said with any result:"]
    for sentence in spec.known:
        lines += textwrap.wrap(sentence, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
    if spec.sites:
        lines += ["", "Buses for a site:"]
        for site in spec.sites:
            text = f"{site.bus} ({site.name}): {site.why}"
            lines += textwrap.wrap(text, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
    bus = spec.sites[0].bus if spec.sites else "BUS"
    return "\n".join(lines + _usage(spec.name, str(bus)))


def _describe_simbench(name: str) -> str:
    lines = [f"{name}: a SimBench net, by its code", ""]
    lines += _field("source", "SimBench data set, University of Kassel, Fraunhofer IEE, RWTH Aachen and TU Dortmund")
    lines += _field("licence", SIMBENCH_LICENCE)
    lines += _field("cite", SIMBENCH_CITE)
    lines += _field("needs", install_hint("simbench"))
    return "\n".join(lines + _usage(name, "BUS"))


def _field(label: str, text: str) -> list[str]:
    indent = f"{label:<13}"
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=" " * 13, break_on_hyphens=False)


def _usage(name: str, bus: str) -> list[str]:
    return ["", "In a study:", f"  feeder: {name}", "  site:", f"    bus: {bus}"]
