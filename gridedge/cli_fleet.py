"""The command line's doors to fleets: what one serves and draws, which are shipped, and where sites may stand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from gridedge.planning.placement import Placement
    from gridedge.sites.fleet.fleet import FleetResult
    from gridedge.sites.fleet.model import Fleet
    from gridedge.sites.fleet.routing import Outage

_SHOWN = 12
"""Sites that a table shows; the rest is one line, and whole in the files."""


def fleet(
    spec: Annotated[str, typer.Argument(metavar="FLEET", help="A shipped fleet's name, or a YAML file.")],
    duration: Annotated[float, typer.Option(help="Length in seconds; a week if left out.")] = 604_800.0,
    dt: Annotated[float, typer.Option(help="Step in seconds.")] = 900.0,
    outage: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SITE:START[:LENGTH]", help="A site that is lost, from so many seconds on and for so long."
        ),
    ] = None,
    park: Annotated[bool, typer.Option("--park", help="Park what is not needed, and say what that saves.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write load.nc and tables into this folder; replaced.")
    ] = None,
) -> None:
    """Carry the requests of a metro through a fleet of sites, to their meters."""
    from functools import partial

    from gridedge import sources
    from gridedge.sites.fleet.fleet import fleet as verb
    from gridedge.sites.fleet.model import Fleet
    from gridedge.spec import build, take

    plan = take(Fleet, spec, find=partial(sources.resolve, "fleets"))
    if park and plan.scaling is None:
        plan = build(Fleet, {**plan.model_dump(exclude_unset=True), "scaling": {}})
    lost = [_outage(text, plan) for text in outage or []]
    made = verb(plan, duration_s=duration, dt_s=dt)
    shown = verb(plan, duration_s=duration, dt_s=dt, outages=lost, curves=made.curves) if lost else made
    _tell(spec, plan, shown, duration, dt)
    if lost:
        _tell_lost(lost, made, shown, dt)
        if dt > plan.detect_s:
            typer.echo(
                f"Note: a lost site is noticed after {plan.detect_s:g} s, but a step is {dt:g} s: what is sent "
                "to it in a step waits until the next. Lower --dt."
            )
    if out is not None:
        for path in _written(shown, plan, out):
            typer.echo(f"Wrote {path}")


def fleets(name: Annotated[str | None, typer.Argument(help="Describe this one.")] = None) -> None:
    """List the fleets there are, or describe one with the origin of its figures."""
    from gridedge import sources
    from gridedge.sites.fleet.model import Fleet

    if name is None:
        listed = sources.names("fleets")
        width = max(map(len, listed))
        for known in listed:
            typer.echo(f"{known:<{width}}  {Fleet.from_yaml(sources.find('fleets', known)).title}")
        typer.echo("\n`gridedge fleets NAME` describes one; `gridedge fleet NAME` runs it.")
        return
    plan = Fleet.from_yaml(sources.resolve("fleets", name))
    typer.echo(f"{name}: {plan.title}\n{plan.source}\n")
    for one in plan.assumptions():
        if not one.name.startswith(("places.", "sites.")):
            typer.echo(f"  {one.name} = {one.value} ({one.mark}: {one.source})")
    for what in ("places", "sites"):
        origin = plan.origins.get(what)
        said = f" ({origin.mark}: {origin.source})" if origin is not None else ""
        typer.echo(f"  {len(getattr(plan, what))} {what}{said}")


def place(
    feeder: Annotated[str, typer.Argument(help="A feeder's name, simbench:CODE, or a net file.")],
    sites: Annotated[int, typer.Argument(min=1, help="How many.")],
    p_mw: Annotated[float, typer.Argument(help="Size of each at its meter, in MW.")],
    how: Annotated[str, typer.Option(help="named, best, random, town, near or corridor.")] = "best",
    where: Annotated[list[str] | None, typer.Option(help="A bus, town or area; give it again for more.")] = None,
    spacing_km: Annotated[float, typer.Option(help="Least distance of any two sites, in km.")] = 0.0,
    power_factor: Annotated[float, typer.Option(help="Lagging, or leading where negative.")] = 0.98,
    seed: Annotated[int, typer.Option(help="Of a placement at random.")] = 0,
    existing: Annotated[
        str, typer.Option(help="Where the net breaks a limit already: absolute or no_worse.")
    ] = "absolute",
    if_full: Annotated[str, typer.Option(help="A bus that takes no more: next, or note.")] = "next",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the table to this .csv file; replaced.")
    ] = None,
) -> None:
    """Place the sites of a fleet on a net, all at once within its limits."""
    from gridedge.errors import bad
    from gridedge.planning.placement import place_sites

    if out is not None and (out.suffix.lower() != ".csv" or not out.absolute().parent.is_dir()):
        raise bad("the table cannot be written there", str(out), "Name a .csv file in a folder that exists.")
    asked: list[int | str] = [int(w) if w.isdecimal() else w for w in where or []]
    more: dict[str, Any] = {} if not asked else {"where": asked[0] if len(asked) == 1 else asked}
    found = place_sites(
        feeder, sites, p_mw, how=how, spacing_km=spacing_km, power_factor=power_factor, seed=seed,  # type: ignore[arg-type]
        existing=existing, if_full=if_full, **more,  # type: ignore[arg-type]
    )  # fmt: skip
    _tell_placed(found)
    if out is not None:
        found.table().to_csv(out)
        typer.echo(f"Wrote {out}")


def _outage(text: str, plan: Fleet) -> Outage:
    """Read SITE:START or SITE:START:LENGTH."""
    from gridedge.errors import bad, nearest
    from gridedge.sites.fleet.routing import Outage

    names = [site.name for site in plan.sites]
    name = next((n for n in sorted(names, key=len, reverse=True) if text.startswith(f"{n}:")), None)
    if name is None and text not in names:
        site = text.split(":")[0]
        raise bad("unknown site", site, nearest(site, names))
    try:
        times = [float(part) for part in text[len(name or text) + 1 :].split(":")]
    except ValueError:
        times = []
    if name is None or len(times) not in (1, 2) or not min(times) >= 0 or times[-1] <= 0 < len(times) - 1:
        cure = "Write SITE:START or SITE:START:LENGTH in seconds, as in Plano:36000:3600."
        raise bad("no outage", text, cure)
    return Outage(name, times[0], times[0] + times[1] if len(times) == 2 else float("inf"))


def _tell(name: str, plan: Fleet, made: FleetResult, duration_s: float, dt_s: float) -> None:
    """Print what the meters show, what became of the requests, and whether the books close."""
    total = made.load["p_mw"].sum("site")
    known = [site.p_mw for site in plan.sites if site.p_mw is not None]
    size = f" of {sum(known):,.5g} MW" if len(known) == len(plan.sites) else ""
    typer.echo(f"{name}: {len(plan.sites)} sites, {duration_s / 3600:.6g} h at {dt_s:g} s from {plan.traffic.start}")
    typer.echo(
        f"At the meters: mean {float(total.mean()):.4g} MW, highest {float(total.max()):.4g} MW, "
        f"lowest {float(total.min()):.4g} MW{size}"
    )
    if made.homes is not None:
        homes = "" if plan.homes is None else f" on {plan.homes:,} homes"
        typer.echo(f"Chargers of phones: {float(made.homes['p_mw'].max()):.4g} MW at most{homes}")
    _table("By tier", _tiers(made))
    _table("Requests by class", _requests(made))
    _table("By site", _sites(made), most=_SHOWN)
    gap = max(_gap(book) for book in made.flow.books.values())
    typer.echo("\nBooks: offered = in time + late + refused + still in the system, "
               f"within {gap:.0e} of what is offered")  # fmt: skip
    slow = sum(made.slow.values())
    if slow > 0:
        asked = sum(book["offered"] for book in made.flow.books.values())
        typer.echo(
            f"Note: {slow:,.0f} requests ({100 * slow / asked:.2g} %) miss their bounds inside a busy replica: slow. "
            "The other columns count network and queue."
        )
    if made.parked is not None:
        typer.echo(_parking(made, dt_s))


def _parking(made: FleetResult, dt_s: float) -> str:
    """Say what parking saves and costs."""
    assert made.parked is not None
    saved = float(made.parked["saved_it_mwh"].sum())
    share = 100.0 * saved / (float(made.load["p_it_mw"].sum()) * dt_s / 3600.0 + saved)
    start_s = sorted({f"{value:.3g}" for value in made.parked["start_s"].values})
    span = start_s[0] if len(start_s) == 1 else f"{start_s[0]} to {start_s[-1]}"
    return (
        f"Parking: {saved:,.4g} MWh of IT energy saved ({share:.3g} %), "
        f"{100 * float(made.parked['awake_pu'].mean()):.3g} % awake on average; a start takes {span} s; "
        f"{float(made.parked['more_slow'].sum()):+,.0f} requests slow inside a replica"
    )


def _tiers(made: FleetResult) -> pd.DataFrame:
    names = {
        "it_mwh": "IT MWh",
        "meter_mwh": "meter MWh",
        "pue": "PUE",
        "requests": "requests",
        "j_per_token": "J/token",
    }
    table = made.by_tier[list(names)].to_dataframe()[list(names)].rename(columns=names)
    table.index.name = None
    return table


def _requests(made: FleetResult) -> pd.DataFrame:
    import pandas as pd

    rows = {}
    for name, book in made.flow.books.items():
        rows[name] = {
            "offered": book["offered"], "in time": book["in_time"], "late": book["late"], "refused": book["refused"],
            "in system": book["in_system"], "slow": made.slow[name], "network ms": 1e3 * made.flow.network_s[name],
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").round(6)


def _sites(made: FleetResult) -> pd.DataFrame:
    import pandas as pd

    load, by = made.load, made.flow.by_site.sum("class")
    return pd.DataFrame(
        {
            "mean MW": load["p_mw"].mean("time").values, "peak MW": load["p_mw"].max("time").values,
            "load %": 100 * made.flow.data["load_pu"].mean("time").values, "taken on": by["taken_on"].values,
            "served": by["served"].values, "handed over": by["handed_over"].values,
            "in system": by["still_there"].values,
        },
        index=[str(n) for n in load["site"].values],
    ).round(6)  # fmt: skip


def _tell_lost(lost: Sequence[Outage], whole: FleetResult, made: FleetResult, dt_s: float) -> None:
    """Print what each lost site does to the others: where its load lands, and what becomes of the requests."""
    import pandas as pd

    for one in lost:
        span = "to the end" if one.to_s == float("inf") else f"for {one.to_s - one.from_s:g} s"
        during = (made.load["time"] >= one.from_s) & (made.load["time"] < one.to_s)
        if not bool(during.any()):
            typer.echo(f"\nNote: {one.site} is lost {span} from {one.from_s:g} s on, between two steps of {dt_s:g} s.")
            continue
        before, after = (x.load["p_mw"].sel(time=during) for x in (whole, made))
        change = after.mean("time") - before.mean("time")
        steps = _step(made.load["p_mw"], during)
        table = pd.DataFrame(
            {"without it MW": after.mean("time").values, "change MW": change.values, "largest step MW": steps},
            index=[str(n) for n in change["site"].values],
        )
        table = table.reindex(table["change MW"].abs().sort_values(ascending=False, kind="stable").index)
        _table(f"{one.site} is lost from {one.from_s:g} s on, {span}", table, most=_SHOWN)
    typer.echo("")
    for key, words in (("late", "late"), ("refused", "refused"), ("in_system", "in the system at the end")):
        more = {n: made.flow.books[n][key] - whole.flow.books[n][key] for n in made.flow.books}
        parts = ", ".join(f"{n} {value:+,.0f}" for n, value in more.items() if abs(value) >= 0.5)
        typer.echo(f"Requests that are {words} because of it: {parts or 'none'}")


def _step(p_mw: xr.DataArray, during: xr.DataArray) -> Any:
    """Return the largest change from step to step of every site while a site is lost, the first among them, in MW."""
    import numpy as np

    jumps = np.abs(np.diff(p_mw.transpose("time", "site").values, axis=0, prepend=p_mw.values[:1]))
    return jumps[during.values].max(axis=0)


def _tell_placed(found: Placement) -> None:
    table = found.table()[["bus", "bus_name", "town", "p_mw", "reason"]].rename(columns={"p_mw": "MW"})
    typer.echo(table.to_string())
    for one in found.refused:
        typer.echo(f"Not at {one.bus_name} (bus {one.bus}): {one.why}")
    typer.echo(f"All {len(found.sites)} at once: {found.breaks or 'every limit holds'}")
    for remark in found.remarks:
        typer.echo(f"Note: {remark}")


def _table(title: str, table: pd.DataFrame, most: int | None = None) -> None:
    """Print a table with its rows under a title; the first of them where there are many."""
    typer.echo(f"\n{title}")
    shown = table if most is None else table.iloc[:most]
    typer.echo(shown.to_string(float_format=lambda x: f"{x:,.0f}" if abs(x) >= 1e4 else f"{x:,.4g}"))
    if len(shown) < len(table):
        typer.echo(f"... and {len(table) - len(shown)} more")


def _gap(book: dict[str, float]) -> float:
    rest = book["offered"] - book["in_time"] - book["late"] - book["refused"] - book["in_system"]
    return abs(rest) / max(book["offered"], 1.0)


def _written(made: FleetResult, plan: Fleet, out: Path) -> list[Path]:
    """Write load and tables into a folder, all of them or none."""
    from gridedge.errors import bad
    from gridedge.formats.files import together
    from gridedge.formats.write import export

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise bad("cannot write there", f"{out} ({error.strerror})", "Name a folder.") from error
    tables = {
        "load.csv": made.load["p_mw"].to_pandas(),
        "tiers.csv": made.by_tier.to_dataframe(),
        "requests.csv": _requests(made),
        "sites.csv": made.flow.by_site.to_dataframe(),
    }
    if made.homes is not None:
        tables["homes.csv"] = made.homes["p_mw"].to_dataframe()
    wanted = [out / name for name in ("load.nc", *tables)]
    with together(*wanted) as new:
        export(made.load, new[0], start=plan.traffic.start, tz=plan.traffic.zone)
        for path, table in zip(new[1:], tables.values(), strict=True):
            table.to_csv(path, float_format="%.10g")
    return wanted
