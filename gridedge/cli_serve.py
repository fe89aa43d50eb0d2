"""The command line's door to the verb ``serve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gridedge.profiles.inference.serving import Serving


def serve(
    asked: Annotated[
        str, typer.Argument(metavar="TRACE|PROFILE", help="A trace of requests (.csv), or a profile of inference.")
    ],
    replicas: Annotated[
        int | None, typer.Option(min=1, help="How many share a queue; 1, or those of the profile's group.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of a model; Llama-3.1-70B-Instruct if left out.")] = None,
    accelerator: Annotated[str | None, typer.Option(help="What it runs on; H100 if left out.")] = None,
    accelerators: Annotated[int | None, typer.Option(min=1, help="How many share the model; 4 if left out.")] = None,
    max_batch: Annotated[
        int | None, typer.Option(help="Sequences that are decoded together at most; 256 if left out.")
    ] = None,
    prefill: Annotated[int | None, typer.Option(min=1, help="Replicas that read prompts, apart from decoding.")] = None,
    park: Annotated[bool, typer.Option("--park", help="Park idle replicas, and say what that saves.")] = False,
    queue_limit: Annotated[int | None, typer.Option(min=0, help="A request that finds so many is refused.")] = None,
    duration: Annotated[
        float | None, typer.Option(help="Length in seconds; the trace's, or 3600 of a profile.")
    ] = None,
    faster: Annotated[float | None, typer.Option(help="Play a trace so many times as fast.")] = None,
    tile: Annotated[float | None, typer.Option(help="Repeat a trace until it fills so many seconds.")] = None,
    dt: Annotated[float, typer.Option(help="Step of the power series in seconds.")] = 1.0,
    first_token: Annotated[
        float | None, typer.Option(help="A first token is late after so many seconds; the class's of a profile.")
    ] = None,
    between_tokens: Annotated[
        float | None, typer.Option(help="So is a mean time between tokens; the class's of a profile.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of a profile's requests.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the power to this .csv file; replaced.")
    ] = None,
) -> None:
    """Serve requests one by one: power, latencies, and what became of every request."""
    from gridedge.errors import bad
    from gridedge.profiles.inference.serving import serve as verb

    if out is not None and (out.suffix.lower() != ".csv" or not out.absolute().parent.is_dir()):
        raise bad("the series cannot be written there", str(out), "Name a .csv file in a folder that exists.")
    own = {"model": model, "accelerator": accelerator, "accelerators": accelerators, "max_batch": max_batch}
    given = {key: value for key, value in own.items() if value is not None}
    wanted: dict[str, Any] = {"dt_s": dt, "duration_s": duration, "queue_limit": queue_limit}
    bounds = {"first_token_s": first_token, "token_s": between_tokens}
    if asked.lower().endswith(".csv"):
        requests: Any = _of_trace(asked, faster, tile)
        wanted |= {"replica": given, "replicas": replicas or 1}
    else:
        if faster is not None or tile is not None:
            cure = "Leave --faster and --tile out; a profile has traffic.classes and --duration."
            raise bad("only a trace is played faster or repeated", asked, cure)
        requests, found = _of_profile(asked, given, replicas, duration or 3600.0, seed, bounds)
        wanted |= {**found, "queue_limit": found["queue_limit"] if queue_limit is None else queue_limit}
    if prefill is not None:
        wanted["pools"] = {"prefill_replicas": prefill}
    if park:
        wanted["scaling"] = wanted.get("scaling") or {}
    wanted |= {key: value for key, value in bounds.items() if value is not None}
    answer = verb(requests, **wanted)
    _tell(answer)
    if out is not None:
        answer.load[["p_mw", "batch", "working"]].to_dataframe().to_csv(out, float_format="%.10g")
        typer.echo(f"Wrote {out}")


def _of_trace(path: str, factor: float | None, duration_s: float | None) -> Any:
    """Return a trace, faster and then repeated where that is asked."""
    from gridedge.errors import bad
    from gridedge.profiles.traffic.replay import faster, read_requests, tiled

    if duration_s is not None and not duration_s > 0:
        raise bad("a trace cannot be repeated for no time", f"--tile {duration_s:g}", "Give seconds above 0.")
    requests = read_requests(path)
    if factor is not None:
        requests = faster(requests, factor)
    return requests if duration_s is None else tiled(requests, duration_s)


def _of_profile(
    name: str, given: dict[str, Any], replicas: int | None, duration_s: float, seed: int, bounds: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Draw the requests of the first group of a profile, and say how they are served."""
    from gridedge.errors import bad
    from gridedge.profiles.generate import load_profile
    from gridedge.profiles.inference.produce import group_requests
    from gridedge.profiles.inference.profile import InferenceProfile
    from gridedge.profiles.inference.replica import Replica
    from gridedge.spec import build

    spec = load_profile(name)
    if not isinstance(spec, InferenceProfile):
        raise bad(
            "only a profile of inference is served", f"{name}: kind {spec.kind}", "`gridedge profiles` lists them."
        )
    requests, _ = group_requests(spec, 0, duration_s, seed=seed, member=0)
    classes = [spec.traffic.of(key) for key in spec.traffic.classes]
    if len(classes) == 1:  # several have several bounds
        for key in bounds:
            bounds[key] = getattr(classes[0], key) if bounds[key] is None else bounds[key]
    pools = spec.pools
    if pools is not None:
        pools = pools.model_copy(update={"prefill_replicas": pools.prefill_replicas // spec.groups})
    return requests, {
        "replica": build(Replica, {**spec.replica.model_dump(exclude_unset=True), **given}),
        "replicas": replicas or spec.replicas // spec.groups,
        "duration_s": duration_s,
        "pools": pools,
        "scaling": spec.scaling,
        "queue_limit": spec.queue_limit,
        "drain": False,
    }


def _tell(answer: Serving) -> None:
    """Print power, latencies and books."""
    p_kw = answer.load["p_mw"].values * 1e3
    minutes = answer.run.duration_s / 60.0
    books, run = answer.books, answer.run
    lines = [
        f"{books['offered']:,} requests in {minutes:.4g} min ({run.asked_per_s:.4g}/s)",
        f"Power (IT): mean {p_kw.mean():.4g} kW, highest {p_kw.max():.4g} kW, lowest {p_kw.min():.4g} kW of "
        f"{answer.load.attrs['nameplate_mw'] * 1e3:.4g} kW nameplate; {answer.energy_mwh * 1e3:.4g} kWh",
    ]
    for name, words in (("first_token", "First token"), ("between_tokens", "Between tokens")):
        found = answer.latency_s[name]
        shown = ", ".join(f"{share} %: {1e3 * value:.4g} ms" for share, value in found.items())
        lines.append(f"{words}: {shown}")
    lines.append(
        f"Books: {books['served']:,} served ({books['late']:,} late), {books['refused']:,} refused, "
        f"{books['in_system']:,} in the system at the end, {books['after_end']:,} after it"
    )
    if len(run.pools) > 1:
        lines += [
            f"{p.name}: {p.mean_s * 1e3:.4g} ms on average, longest queue {p.longest_queue}"
            for p in run.pools
        ]  # fmt: skip
    if answer.saved is not None:
        s = answer.saved
        lines.append(
            f"Parking: {100 * s.energy_pu:.3g} % of the energy saved; {s.more_late:+,} late, "
            f"{s.more_refused:+,} refused, "
            f"{s.more_in_system:+,} in the system; on average {float(answer.load['working'].mean()):.3g} replicas work"
        )
    lines.append(f"Little's law: {answer.little - 1:+.1e}; energy against the states: {answer.energy_error:.1e}")
    lines += [f"Note: {note}" for note in answer.notes]
    for line in lines:
        typer.echo(line)
