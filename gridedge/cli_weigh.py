"""The command line's doors to rules and comparisons: ``check`` and ``compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import xarray as xr

    from gridedge.measure.finding import Finding
    from gridedge.planning.compare import Comparison


def check(
    load: Annotated[
        str, typer.Argument(help="A profile's name or YAML file, or metered power in a .csv, .parquet or .nc file.")
    ],
    rules: Annotated[str, typer.Option("--rules", "-r", help="A shipped rulebook's name, or a file.")] = "operators",
    duration: Annotated[
        float | None, typer.Option(help="Length in seconds that a profile is made for; 900 if left out.")
    ] = None,
    dt: Annotated[float | None, typer.Option(help="Its step in seconds; 0.005 if left out.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of its random numbers; 0 if left out.")] = None,
    members: Annotated[int | None, typer.Option(help="Realisations; the verdict is that of 95 % of them.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Put over the profile, e.g. servers=9000.")
    ] = None,
    facility: Annotated[
        str | None, typer.Option(help="Carries it to the meter: a YAML file; the default facility if left out.")
    ] = None,
) -> None:
    """Test a load against operators' rules; a broken rule is no error of the command."""
    from gridedge.measure.rulebook import check as test
    from gridedge.measure.rulebook import load_rulebook

    book = load_rulebook(rules)
    making = {
        "--duration": duration, "--dt": dt, "--seed": seed, "--members": members, "--set": settings,
        "--facility": facility,
    }  # fmt: skip
    metered = metered_load(load, making)
    p_mw = metered["p_mw"]
    typer.echo(
        f"{load}: {metered.sizes['time']:,} samples of {float(metered.attrs['dt_s']):g} s at the meter, highest "
        f"{float(p_mw.max()):.4g} MW, mean {float(p_mw.mean()):.4g} MW, lowest {float(p_mw.min()):.4g} MW"
    )
    tell_findings(test(metered, book))


def compare(
    study: Annotated[str, typer.Argument(help="A study with `compare:`; a shipped name or a YAML file.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Put over the study, e.g. compare.target=ieso."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write every variant to this .csv file.")] = None,
) -> None:
    """Weigh a study's strategies by what they waste, delay and cost, without any power flow."""
    from gridedge.errors import bad
    from gridedge.study.answer import weighed
    from gridedge.study.model import load_study
    from gridedge.study.weigh import weigh_alone

    if out is not None and (out.suffix.lower() != ".csv" or not out.absolute().parent.is_dir()):
        raise bad("the table cannot be written there", str(out), "Name a .csv file in a folder that exists.")
    loaded = load_study(study, settings or [])
    found, battery = weigh_alone(loaded)
    _table(found)
    for sentence in weighed(found, battery, loaded.spec.compare.behind if loaded.spec.compare else None):
        typer.echo(f"* {sentence}")
    if out is not None:
        found.table.to_csv(out, index_label="variant", float_format="%.10g")
        typer.echo(f"Wrote {out}")


def metered_load(load: str, making: dict[str, Any], duration_s: float = 900.0, dt_s: float = 0.005) -> xr.Dataset:
    """Read a file of metered power, or make a profile, so long unless told otherwise, and carry it to the meter."""
    from gridedge.cli_generate import facility_of, load_of
    from gridedge.errors import bad
    from gridedge.formats.read import READS, read_metered
    from gridedge.sites.facility import connect

    suffix = Path(load).suffix.lower()
    if suffix in READS:
        for option, value in making.items():
            if value is not None:
                raise bad(f"{option} has no effect on a file", f"{load}: {value}", "It is for profiles; leave it out.")
        return read_metered(load)
    if suffix and suffix not in (".yaml", ".yml") and Path(load).is_file():
        raise bad("a load of this kind cannot be read", load, f"Name a file of {', '.join(READS)}, or a profile.")
    wanted: dict[str, Any] = {"--duration": duration_s, "--dt": dt_s, "--seed": 0, "--facility": "default"}
    given = wanted | {option: value for option, value in making.items() if value is not None}
    made = load_of(
        load, given.get("--set"), given["--duration"], given["--dt"], given["--seed"], given.get("--members")
    )  # fmt: skip
    return connect(made, facility_of(given["--facility"], None))


def tell_findings(findings: Sequence[Finding]) -> None:
    """Print one line per finding: verdict, rule, measured value, limit, when."""
    width = max((len(f.name) for f in findings), default=0)
    for f in findings:
        measured = "" if f.measured is None else f"{f.measured:.4g} {f.unit}"
        limit = "" if f.limit is None else f"limit {f.limit:.4g} {f.unit}"
        when = "" if f.when_s is None else f"at {f.when_s:.4g} s"
        share = "" if f.share_failing is None else f"{100 * f.share_failing:.0f} % of {f.members} members fail"
        words = ", ".join(part for part in (measured, limit, when, share) if part)
        typer.echo(f"{f.verdict:<14}  {f.name:<{width}}  {words}")
        origin = "; ".join(part for part in (f.authority, f.status, f.source) if part)
        typer.echo(f"{'':<14}  {origin}")
        if f.note:
            typer.echo(f"{'':<14}  {f.note}")


def _table(found: Comparison) -> None:
    """Print the front and what meets the target, the cheapest first."""
    table = found.table.sort_values(["pareto", "cost_per_year"], ascending=[False, True])
    width = max(len(str(label)) for label in table.index)
    head = f"wasted %  delayed %    MW   MWh  thousand {found.currency}/a"
    typer.echo(f"{'':<{width}}  {'target':<14}  {'excess %':>8}  {head}")
    for label, row in table.iterrows():
        values: Any = row
        cells = [
            f"{label!s:<{width}}",
            f"{values['verdict']:<14}",
            f"{values['excess_percent']:>8.3g}",
            f"{values['wasted_percent']:>8.3g}",
            f"{values['delayed_percent']:>9.3g}",
            f"{values['bought_mw']:>4.3g}",
            f"{values['bought_mwh']:>4.3g}",
            f"{values['cost_per_year'] / 1e3:>14,.0f}",
        ]
        typer.echo("  ".join([*cells, "not beaten"] if values["pareto"] else cells))
    typer.echo("")
