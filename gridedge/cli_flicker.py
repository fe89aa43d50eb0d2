"""The command line's door to flicker and rapid voltage changes at a site's bus."""

from __future__ import annotations

from typing import Annotated

import typer


def flicker(
    load: Annotated[
        str, typer.Argument(help="A profile's name or YAML file, or metered power in a .csv, .parquet or .nc file.")
    ],
    feeder: Annotated[str, typer.Argument(help="A feeder's name, simbench:CODE, or a net file.")],
    bus: Annotated[str, typer.Option("--bus", "-b", help="Where the site connects: index or name.")],
    duration: Annotated[
        float | None, typer.Option(help="Length in seconds that a profile is made for; 660 if left out: one Pst.")
    ] = None,
    dt: Annotated[float | None, typer.Option(help="Its step in seconds; 0.0025 if left out.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of its random numbers; 0 if left out.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Put over the profile, e.g. servers=9000.")
    ] = None,
    facility: Annotated[
        str | None, typer.Option(help="Carries it to the meter: a YAML file; the default facility if left out.")
    ] = None,
    s_sc_mva: Annotated[
        float | None, typer.Option(help="Short-circuit power of the external grids in MVA; the net's own, or assumed.")
    ] = None,
    rx: Annotated[float | None, typer.Option(help="Their ratio of resistance to reactance.")] = None,
    level: Annotated[str, typer.Option(help="Level that Pst and Plt are held against.")] = "iec-planning-mv",
    rapid: Annotated[str, typer.Option(help="Limit on rapid voltage changes.")] = "iec-planning-mv",
    lamp: Annotated[
        str | None, typer.Option(help="230V-50Hz or 120V-60Hz; by the net's frequency if left out.")
    ] = None,
) -> None:
    """Measure Pst, Plt and rapid voltage changes at a site's bus; a broken level is no error of the command."""
    import numpy as np

    from gridedge.cli_weigh import metered_load, tell_findings
    from gridedge.grid.feeders import load_feeder
    from gridedge.grid.solve import solve
    from gridedge.grid.strength import accept_site
    from gridedge.measure.flicker import flicker as read
    from gridedge.measure.flicker_limits import count_changes, judge_flicker
    from gridedge.measure.rapid import rapid_changes
    from gridedge.measure.rapid_limits import judge_rapid, threshold_percent

    making = {"--duration": duration, "--dt": dt, "--seed": seed, "--set": settings, "--facility": facility}
    site = metered_load(load, making, duration_s=660.0, dt_s=0.0025)
    where: int | str = int(bus) if bus.lstrip("-").isdigit() else bus
    site = site.assign_coords(bus=("site", [where]))
    net = load_feeder(feeder).net
    mains_hz = 60 if float(net.f_hz) > 55 else 50
    given = {name: value for name, value in (("s_sc_mva", s_sc_mva), ("rx", rx)) if value is not None}
    dt_s = float(site.attrs["dt_s"])
    s_mva = np.hypot(site["p_mw"].values[:, 0], site["q_mvar"].values[:, 0])
    swing_mva, per_min = count_changes(s_mva, dt_s)
    first = accept_site(net, where, swing_mva, per_min, sources=given)
    strength_mva = dict(first.figures)["s_sc_mva"]
    solved = solve(net, site, sources=given, reduce=["min", "max"], at=[where])
    vm_pu = solved["vm_at_pu"].values[:, 0]
    typer.echo(
        f"{load} at {first.where} of {feeder}: {float(site['p_mw'].max()):.4g} MW at most, {swing_mva:.4g} MVA of "
        f"swing {per_min:.3g} times a minute, short-circuit power {strength_mva:.4g} MVA; "
        f"{vm_pu.size:,} samples of {dt_s:g} s, {vm_pu.min():.4f} to {vm_pu.max():.4f} pu"
    )
    kind = lamp or ("120V-60Hz" if mains_hz == 60 else "230V-50Hz")
    found = read(vm_pu, dt_s, lamp=kind)  # type: ignore[arg-type]  # the meter says what it knows
    typer.echo(f"Highest Pinst {found.pinst_max:.3g} at {found.pinst_max_when_s:.4g} s")
    seen = threshold_percent(rapid)
    changes = rapid_changes(vm_pu, dt_s, mains_hz=mains_hz, threshold_percent=seen)  # type: ignore[arg-type]
    findings = [first, *judge_flicker(found, level, where=first.where), judge_rapid(changes, rapid, where=first.where)]
    tell_findings(findings)
    for sentence in solved.attrs["remarks"]:
        typer.echo(f"* {sentence}")
