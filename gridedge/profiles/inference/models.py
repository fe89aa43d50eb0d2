"""The catalogue of models: weights, context and quality class."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field

from gridedge import yamlfile
from gridedge.errors import bad, nearest
from gridedge.spec import Spec, build

_FILE = Path(__file__).resolve().parent / "models.yaml"


class Model(Spec):
    """A model that serves."""

    name: str
    """Key in the catalogue."""
    weights_b: float = Field(gt=0)
    """Parameters. [1e9]"""
    active_b: float = Field(gt=0)
    """Parameters that one token passes; fewer than all in a mixture of experts. [1e9]"""
    bytes_per_weight: float = Field(gt=0, le=8)
    """Size of one. [byte]"""
    context_bytes: float = Field(gt=0)
    """Memory that one token of context takes. [byte]"""
    quality: int = Field(ge=1, le=4)
    """1 small, 2 middle, 3 large, 4 the largest."""

    @property
    def weights_gb(self) -> float:
        """Memory of the weights, in GB."""
        return self.weights_b * self.bytes_per_weight


@cache
def models() -> dict[str, Model]:
    """Return every model of the catalogue, by name."""
    document = yamlfile.read(_FILE)
    return {name: build(Model, {"name": name, **figures}) for name, figures in document.data.items()}


def model(name: str | Model) -> Model:
    """Return a model of the catalogue, or the one that is described.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if isinstance(name, Model):
        return name
    if name not in models():
        raise bad("unknown model", name, nearest(name, models()))
    return models()[name]
