"""A shipped profile under what a document or a mapping says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridedge import sources, yamlfile
from gridedge.errors import InputError, Problem, bad


def merge_preset(document: yamlfile.Document, at: yamlfile.Loc) -> yamlfile.Document:
    """Put a shipped profile under what a document says at a path, where it names one; a feeder's day under `shape`."""
    parent: Any = document.data
    for key in at[:-1]:
        parent = parent.get(key) if isinstance(parent, Mapping) else None
    own = document.data if not at else (parent or {}).get(at[-1])
    if isinstance(own, str):
        own = {"profile": own}
    if not isinstance(own, Mapping) or "profile" not in own:
        return document
    name = own["profile"]
    if not isinstance(name, str):
        raise bad(
            "profile must be a name or a path",
            name,
            "Write `profile: h100-at-scale`.",
            document.where((*at, "profile")),
        )
    try:
        preset = yamlfile.read(sources.resolve("profiles", name))
    except InputError as error:
        where = document.where((*at, "profile"))
        raise InputError([Problem(p.thing, p.value, p.cure, p.where or where) for p in error.problems]) from error
    kind = preset.data.get("kind")
    if at and at[-1] == "shape" and isinstance(kind, str) and kind != "shape":  # else every key of it is a problem
        raise bad(
            f"{'.'.join(map(str, at))} is no day of a feeder",
            f"{name}, a profile of {kind}",
            "Take one of kind shape, such as bdew-h0-winter-workday.",
            document.where((*at, "profile")),
        )
    changed = {k: v for k, v in own.items() if k != "profile"}
    merged = {**preset.data, **changed}
    if "origins" in merged:  # what is overridden no longer comes from where the preset had it
        merged["origins"] = {k: v for k, v in merged["origins"].items() if k not in changed}
    if at:
        parent[at[-1]] = merged
    else:
        document.data = merged
    for loc, place in preset.lines.items():
        if loc and loc[0] not in changed:  # what was put over it does not stand at the preset's line
            document.lines.setdefault((*at, *loc), place)
    document.problems += preset.problems
    return document
