"""One site: from the IT power of its computers to the meter, with every step of mitigation at its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from gridedge.sites.facility import Facility, connect
from gridedge.sites.mitigate import mitigate, read_step


def at_meter(
    load: xr.Dataset,
    facility: Facility | Mapping[str, Any],
    steps: Sequence[Any] = (),
    *,
    bus: int | str | None = None,
    site: str = "site",
) -> xr.Dataset:
    """Carry IT power through all its steps to the meter.

    Parameters
    ----------
    load : Dataset
        IT power, as :func:`gridedge.generate` makes it.
    facility : Facility or dict
        As :func:`gridedge.connect` takes it.
    steps : sequence of dict or spec
        Steps of :func:`gridedge.mitigate`, from the chip outwards: those at the site act on the metered power.
    bus, site
        As :func:`gridedge.connect` takes them.

    Returns
    -------
    Dataset
        Metered power with the books of all steps; ``p_before_mw`` is the metered power without any step.
    """
    bare = connect(load, facility, bus=bus, site=site)
    read = [read_step(step) for step in steps]
    inner = [step for step in read if step.place != "site"]
    shaped = mitigate(load, inner)
    metered = connect(shaped, facility, bus=bus, site=site)
    after = mitigate(metered, [step for step in read if step.place == "site"])
    return after.assign(p_before_mw=bare["p_mw"])
