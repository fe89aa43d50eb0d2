"""Where inference runs: in the cloud, at the edge, on the device."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from gridedge.errors import bad
from gridedge.spec import Spec, quantity

_FORECAST = "an expert's forecast for 2035, 20 % cloud, 79 % edge, 1 % device; no measurement stands behind it"


class Tiers(Spec):
    """Share of the inference compute that each tier does."""

    cloud_pu: float = quantity(0.20, mark="assumed", source=_FORECAST, ge=0, le=1)
    """At sites of 100 MW and more. [pu of the compute]"""
    edge_pu: float = quantity(0.79, mark="assumed", source=_FORECAST, ge=0, le=1)
    """At sites around the city. [pu of the compute]"""
    device_pu: float = quantity(0.01, mark="assumed", source=_FORECAST, ge=0, le=1)
    """In the hand. [pu of the compute]"""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.cloud_pu + self.edge_pu + self.device_pu
        if abs(total - 1.0) > 1e-9:
            value = f"{self.cloud_pu:g} + {self.edge_pu:g} + {self.device_pu:g} = {total:g}"
            raise bad("the shares of the tiers do not add to one", value, "Give cloud_pu, edge_pu and device_pu anew.")
        return self

    def shares(self) -> dict[str, float]:
        """Return the share of each tier by its name, summing to 1."""
        return {"cloud": self.cloud_pu, "edge": self.edge_pu, "device": self.device_pu}
