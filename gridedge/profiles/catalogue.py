"""The shipped load profiles: listed and described without making one."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridedge import sources, yamlfile
from gridedge.errors import bad, nearest
from gridedge.profiles.cluster import ClusterProfile
from gridedge.profiles.inference.profile import InferenceProfile
from gridedge.profiles.job import TrainingProfile
from gridedge.profiles.measured import MeasuredProfile
from gridedge.profiles.shape import ShapeProfile
from gridedge.spec import build

AnyKind = TrainingProfile | ClusterProfile | InferenceProfile | MeasuredProfile | ShapeProfile
_KINDS: dict[str, type[AnyKind]] = {
    "training": TrainingProfile,
    "cluster": ClusterProfile,
    "inference": InferenceProfile,
    "measured": MeasuredProfile,
    "shape": ShapeProfile,
}


@dataclass(frozen=True)
class Entry:
    """A shipped profile: its name, its kind and what it is."""

    name: str
    kind: str
    title: str


def read_profile(path: Path) -> AnyKind:
    """Read a profile of any kind from its file."""
    document = yamlfile.read(path)
    kind = str(document.data.get("kind"))
    if kind not in _KINDS:
        raise bad("the profile's kind is unknown", kind, nearest(kind, _KINDS), document.where(("kind",)))
    return build(_KINDS[kind], document)


def list_profiles() -> list[Entry]:
    """Return every shipped profile."""
    found = [(name, read_profile(sources.find("profiles", name))) for name in sources.names("profiles")]
    return [Entry(name, spec.kind, spec.title) for name, spec in found]


def describe_profile(name: str) -> str:
    """Return what a profile is, where its figures come from, and how to use it, as plain text."""
    spec = read_profile(sources.resolve("profiles", name))
    lines = [f"{name}: {spec.title}", ""]
    lines += _wrapped("Source", getattr(spec, "source", "")) + _wrapped("Licence", getattr(spec, "licence", ""))
    lines.append("")
    if isinstance(spec, ShapeProfile):
        day = spec.factor(len(spec.values))
        lines.append(
            f"  {day.size} steps of {spec.step_s / 60:g} min; mean {day.mean():.3f}, lowest {day.min():.3f}, highest 1."
        )
        use = f"background:\n    shape: {name}"
    else:
        for a in spec.assumptions():
            if not a.name.startswith("expected"):
                lines += _wrapped(f"{a.name} = {a.value}", f"{a.mark}: {a.source}")
        use = f"load:\n    profile: {name}"
    return "\n".join([*lines, "", "In a study:", f"  {use}"])


def _wrapped(label: str, text: Any) -> list[str]:
    if not text:
        return []
    return textwrap.wrap(f"{label}: {text}", width=98, initial_indent="  ", subsequent_indent="      ")
