"""The command line's door to hosting capacity: one feeder, or a study of one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from gridedge.study.hosting_run import HostingStudyResult

_COLUMNS = ("bus_name", "capacity_mw", "limit", "element", "next_limit", "next_element", "next_mw")


def hosting(
    feeder: Annotated[str, typer.Argument(help="A feeder's name, simbench:CODE, a net file, or a hosting study.")],
    bus: Annotated[
        list[str] | None,
        typer.Option("--bus", "-b", help="Index or name of a bus; give it again for more. All without."),
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option("--limits", "-l", help="A limit set's name or a YAML file; several hold together."),
    ] = None,
    power_factor: Annotated[
        float | None, typer.Option(help="Of the site: lagging, or leading where negative; 0.98 if left out.")
    ] = None,
    existing: Annotated[
        str | None, typer.Option(help="Where the net breaks a limit already: absolute (0 MW) or no_worse.")
    ] = None,
    supply: Annotated[str | None, typer.Option(help="Who delivers: auto, slack or headroom.")] = None,
    max_mw: Annotated[float | None, typer.Option(help="Highest size of interest in MW.")] = None,
    tol_mw: Annotated[float | None, typer.Option(help="How near to the break, in MW; 0.01 if left out.")] = None,
    hours: Annotated[str | None, typer.Option(help="Steps that are judged: all, or worst by a stated rule.")] = None,
    want: Annotated[
        float | None, typer.Option(metavar="MW", help="Print what lets one bus (--bus) take this, with its price.")
    ] = None,
    curve: Annotated[bool, typer.Option("--curve", help="Print how near each limit is at every size.")] = False,
    n_1: Annotated[bool, typer.Option("--n-1", help="The limits hold after every single outage too.")] = False,
    outages: Annotated[
        str | None,
        typer.Option("--outages", help="Outages to look at: a .yaml or .csv file, or substation."),
    ] = None,
    emergency_percent: Annotated[
        float | None, typer.Option(help="Highest loading after an outage, of the normal rating.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Put over the study, e.g. requested_mw=5; may be given again."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for table, map, GeoJSON and report; or a .csv file for the table."),
    ] = None,
) -> None:
    """Find how much load each bus of a feeder can take, and what stops it: a table, a map, a report."""
    from gridedge.errors import bad
    from gridedge.study.hosting_run import run_hosting

    if n_1 and outages is not None:
        raise bad("--n-1 and --outages are both given", outages, "Give one of them.")
    given: dict[str, Any] = {
        "limits": limits or None, "power_factor": power_factor, "existing": existing, "supply": supply, "hours": hours,
        "tol_mw": tol_mw,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    if want is not None:
        _alone(
            {"--max-mw": max_mw, "--curve": curve, "--n-1": n_1, "--outages": outages, "--set": settings,
             "--emergency-percent": emergency_percent, "--out": out}
        )  # fmt: skip
        _remedies(feeder, bus, want, given)
        return
    more: dict[str, Any] = {"buses": [_bus(b) for b in bus] if bus else None, "max_mw": max_mw, "curve": curve or None}
    more |= {"n_minus_1": True if n_1 else outages, "emergency_percent": emergency_percent}
    given |= {name: value for name, value in more.items() if value is not None}
    began = time.perf_counter()
    table_only = out is not None and out.suffix.lower() == ".csv"
    if table_only:
        _refuse(out)
    result = run_hosting(_study(feeder, given), out=None if table_only else out, settings=settings or [])
    table = result.table
    columns = [*_COLUMNS[:4], "outage", *_COLUMNS[4:]] if "n_minus_1" in given else list(_COLUMNS)
    typer.echo(table[columns].to_string(float_format=lambda x: f"{x:.2f}", na_rep="-"))
    attrs = result.found.data.attrs
    lead = f"Power factor {attrs['power_factor']:g}"
    typer.echo(f"Delivered by: {attrs['supply']}. Thermal limits: {attrs['thermal']}. {lead}.")
    tell(result, time.perf_counter() - began)
    if curve:
        _curve(result.found)
    if table_only:
        _write_table(table, out)


def _refuse(out: Path | None) -> None:
    """Refuse a place that cannot be written to before the search, not behind it."""
    from gridedge.errors import bad

    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise bad("the table cannot be written there", str(out), "Name a .csv file in a folder that exists.")


def _write_table(table: pd.DataFrame, out: Path | None) -> None:
    from gridedge.formats.files import together
    from gridedge.formats.hosting_files import write_csv

    assert out is not None
    with together(out) as (beside,):
        write_csv(table, beside)
    typer.echo(f"Wrote {out}")


def _study(feeder: str, given: dict[str, Any]) -> Any:
    """Return the study that is meant: a file or a shipped one, or the study of a feeder as the options say."""
    from gridedge import sources
    from gridedge.errors import bad

    if Path(feeder).suffix.lower() in (".yaml", ".yml") or (
        feeder in sources.names("studies") and feeder not in sources.names("feeders")
    ):
        if given:
            options = ", ".join("--bus" if name == "buses" else f"--{name.replace('_', '-')}" for name in given)
            raise bad("these options are for a feeder, not for a study", options, "Use --set KEY=VALUE.")
        return feeder
    return {
        "study": "hosting", "title": f"How much load fits on {feeder}",
        "question": f"How many megawatts of computing can each bus of {feeder} take, and what stops it?",
        "feeder": feeder, **given,
    }  # fmt: skip


def tell(result: HostingStudyResult, took_s: float) -> None:
    """Print what came out, as a reader of a terminal wants it."""
    for sentence in [*result.answer, *_notes(result)]:
        typer.echo(f"* {sentence}")
    if result.out is not None:
        if result.no_places:
            typer.echo(f"No GeoJSON: {result.no_places}")
        names = ", ".join(sorted(path.name for path in result.out.iterdir()))
        typer.echo(f"\n{len(result.table)} buses, {took_s:.0f} s. Wrote to {result.out}: {names}")


def _notes(result: HostingStudyResult) -> Sequence[str]:
    return [f"Note: {note}" for note in result.notes]


def _bus(given: str) -> int | str:
    return int(given) if given.lstrip("-").isdigit() else given


def _alone(others: dict[str, Any]) -> None:
    """Refuse what would be given beside --want and change nothing."""
    from gridedge.errors import bad

    given = [name for name, value in others.items() if value is not None and value is not False and value != []]
    if given:
        cure = "Leave them out: what lets a bus take more is told for the whole net, and printed."
        raise bad("--want does not take these options", ", ".join(given), cure)


def _remedies(feeder: str, bus: list[str] | None, want_mw: float, given: dict[str, Any]) -> None:
    """Print what lets a bus take a size."""
    from gridedge.errors import bad
    from gridedge.planning.remedies.find import remedies

    if not bus or len(bus) != 1:
        raise bad("--want is about one bus", str(bus or "none"), "Name it: --bus 81 --want 8.")
    typer.echo(remedies(feeder, _bus(bus[0]), want_mw, **given).describe())


def _curve(found: Any) -> None:
    """Print the room to every kind of limit over size, bus by bus."""
    names = [str(n) for n in found.data.data_vars if str(n).startswith(("curve_mw", "room_"))]
    for bus in found.data["bus"].values:
        frame = found.data.sel(bus=bus)[names].to_dataframe()[names]
        typer.echo(f"\nBus {bus}: room to each limit, negative where it is broken")
        typer.echo(frame.to_string(index=False, float_format=lambda x: f"{x:.4f}", na_rep="-"))
