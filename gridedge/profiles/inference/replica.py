"""One replica of a model: how fast it serves, how much it holds, and what it draws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from gridedge.errors import bad
from gridedge.profiles.catalog import accelerator, servers
from gridedge.profiles.inference.curve import BatchCurve, measured_curve, measured_curves
from gridedge.profiles.inference.estimate import estimated_curve
from gridedge.profiles.inference.models import Model, model
from gridedge.spec import Spec, quantity

Float = NDArray[np.float64]
_GB = {"A100": 80.0, "H100": 80.0, "H200": 141.0, "B200": 180.0, "B300": 288.0, "GB200": 186.0, "GB300": 288.0}
_TFLOPS = {
    "A100": 312.0,
    "H100": 989.0,
    "H200": 989.0,
    "B200": 2250.0,
    "B300": 2250.0,
    "GB200": 2500.0,
    "GB300": 2500.0,
}
# Memory and dense 16-bit peak of one accelerator: data sheets of NVIDIA (2020 to 2025), from memory.
_HOST_KW = 0.11


class Replica(Spec):
    """One copy of a model with the accelerators that it runs on."""

    model: str | Model = "Llama-3.1-70B-Instruct"
    """Name in the catalogue of models, or one of your own."""
    accelerator: str = "H100"
    """Name in the catalogue of accelerators."""
    accelerators: int = Field(4, ge=1, le=512)
    """How many share the model: of one server, of a rack, or of several servers."""
    linked: int = quantity(8, mark="chosen", source="a server of 8; a rack of one fast network has 72", ge=1, le=512)
    """Accelerators behind one fast network."""
    across_pu: float = quantity(
        0.8, mark="assumed", source="no published figure for a model split over servers", low=0.6, high=0.95, gt=0, le=1
    )
    """Speed of a replica that is split over several such groups. [pu of that of one group]"""
    curve: Literal["nearest", "measured"] = "nearest"
    """What stands in where the model was not measured on these accelerators: the nearest that was, scaled by a
    roofline (assumed, and said so), or nothing."""
    max_batch: int = quantity(256, mark="assumed", source="a usual setting of serving engines", ge=1, le=8192)
    """Sequences that are decoded together at most; memory may allow fewer."""
    host_kw: float | None = Field(None, ge=0)
    """Power beside the accelerators, constant; 0.11 kW for each if left out (assumed: four H100 of a node that idles at
    0.73 kW). [kW]"""
    memory_gb: float | None = Field(None, gt=0)
    """Memory of one accelerator; by its name if left out. [GB]"""
    memory_used_pu: float = quantity(0.9, mark="assumed", source="default of vLLM's gpu_memory_utilization", gt=0, le=1)
    """Share of the memory for weights and context."""
    prefill_pu: float = quantity(
        0.95, mark="assumed", source="Splitwise: prefill of a 70B model at 0.47 to 1.09 of the ceiling", gt=0, le=1.2
    )
    """Power of an accelerator while prompts are read. [pu of its ceiling]"""
    prefill_efficiency_pu: float = quantity(
        0.5, mark="assumed", source="share of the peak arithmetic that long prompts reach, 0.4 to 0.6", gt=0, le=1
    )
    """How much of its arithmetic an accelerator reaches while it reads prompts."""
    prompt_tokens: int = quantity(8192, mark="assumed", source="a usual budget of serving engines", ge=1)
    """Tokens of prompts that one iteration reads at most."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        one = model(self.model)
        accelerator(self.accelerator)  # known to the catalogue
        have = self.accelerators * self._memory_gb * self.memory_used_pu
        if one.weights_gb >= have:
            held = f"{self.accelerators} x {self.accelerator} hold {have:.0f} GB"
            value = f"{one.name}: {one.weights_gb:.0f} GB of weights, {held}"
            least = int(np.ceil(one.weights_gb / (self._memory_gb * self.memory_used_pu) * 1.05))
            raise bad("the model does not fit", value, f"Give {least} accelerators or more, or a smaller model.")
        return self

    def unused(self) -> set[str]:
        """Return the keys that have no effect as the others stand."""
        return set() if self.accelerators > self.linked else {"across_pu"}

    @property
    def _memory_gb(self) -> float:
        if self.memory_gb is not None:
            return self.memory_gb
        if self.accelerator not in _GB:
            raise bad("memory of the accelerator is not known", self.accelerator, "Give memory_gb.")
        return _GB[self.accelerator]

    @property
    def rated_kw(self) -> float:
        """Nameplate, in kW: its share of the first server of the catalogue that has these accelerators."""
        for machine in servers().values():
            if machine.accelerator == self.accelerator:
                return machine.rated_kw / machine.accelerators * self.accelerators
        raise bad("no server of the catalogue has this accelerator", self.accelerator, "Choose one of the catalogue.")


@dataclass(frozen=True)
class Rates:
    """What a replica does at each batch size: the tables that the loops read.

    Parameters
    ----------
    token_s : ndarray, shape (batch + 1,)
        Length of an iteration; entry 0 is that of a batch of 1. [s]
    power_w : ndarray, shape (batch + 1,)
        Power of the replica with its host; entry 0 is idle. [W]
    prefill_s_per_token : float
        What an iteration is longer by for a token of a prompt. [s]
    prefill_w : float
        Power in that time. [W]
    context_tokens : int
        Tokens of context that it holds.
    prompt_tokens : int
        Tokens of prompts that one iteration reads at most.
    context_bytes : float
        What a token of context takes. [byte]
    weights_gb : float
        What the model's weights take. [GB]
    source : str
        Where power and times come from; begins with ``assumed`` where they were not measured.
    """

    token_s: Float
    power_w: Float
    prefill_s_per_token: float
    prefill_w: float
    context_tokens: int
    prompt_tokens: int
    context_bytes: float = 0.0
    weights_gb: float = 0.0
    source: str = ""

    @property
    def idle_w(self) -> float:
        """Power without work, in W."""
        return float(self.power_w[0])

    @property
    def max_batch(self) -> int:
        """Sequences that are decoded together at most."""
        return self.token_s.size - 1

    @cached_property
    def peak_w(self) -> float:
        """Highest power, in W."""
        return float(max(self.power_w.max(), self.prefill_w))

    def capacity_per_s(self, tokens_in: float, tokens_out: float) -> float:
        """Return the requests of this mean length that it serves per second at most, its batch always full."""
        fits = int(min(self.max_batch, max(1, self.context_tokens // max(tokens_in + tokens_out, 1.0))))
        return 1.0 / (tokens_in * self.prefill_s_per_token + tokens_out * float(self.token_s[fits]) / fits)

    def work_s(self, tokens_in: ArrayLike, tokens_out: ArrayLike) -> Float:
        """Return the time of a replica that each request takes, its batch as full as their mean lengths allow. [s]."""
        read, write = np.asarray(tokens_in, dtype=float), np.asarray(tokens_out, dtype=float)
        mean = float(np.mean(read + write)) if read.size else 1.0
        fits = int(min(self.max_batch, max(1, self.context_tokens // max(mean, 1.0))))
        return np.asarray(read * self.prefill_s_per_token + write * float(self.token_s[fits]) / fits)


def rates(replica: Replica, curve: BatchCurve | None = None) -> Rates:
    """Return the tables of a replica.

    Parameters
    ----------
    replica : Replica
        What runs on what.
    curve : BatchCurve, optional
        Power and time between tokens by batch; the measured one by its name where it is left out.

    Raises
    ------
    InputError
        If there is no measured curve, or a figure of the accelerator is not known.

    Notes
    -----
    A model that was not measured on these accelerators takes the nearest that was, scaled
    (:func:`gridedge.profiles.inference.estimate.estimated_curve`); ``Rates.source`` says so.  A replica that is split
    over several groups of accelerators runs at ``across_pu`` of the speed, at the same power.

    Reading prompts is bound by arithmetic: two operations for each active weight and token, over the accelerators'
    dense 16-bit peak times what they reach of it.
    """
    one, chip = model(replica.model), accelerator(replica.accelerator)
    if curve is None:
        known = (one.name, replica.accelerator, replica.accelerators) in measured_curves()
        if known or replica.curve == "measured":
            curve = measured_curve(one.name, replica.accelerator, replica.accelerators)
        else:
            curve = estimated_curve(one, replica.accelerator, replica.accelerators)
    if replica.accelerator not in _TFLOPS:
        raise bad("arithmetic of the accelerator is not known", replica.accelerator, "Choose one of the catalogue.")
    host_w = 1e3 * (replica.host_kw if replica.host_kw is not None else _HOST_KW * replica.accelerators)
    batch = np.arange(1, replica.max_batch + 1)
    power = replica.accelerators * curve.power_at(batch) + host_w
    idle = replica.accelerators * chip.idle_w + host_w
    flops = 2e9 * one.active_b
    peak = 1e12 * _TFLOPS[replica.accelerator] * replica.accelerators * replica.prefill_efficiency_pu
    room = replica.accelerators * replica._memory_gb * replica.memory_used_pu - one.weights_gb
    split = replica.across_pu if replica.accelerators > replica.linked else 1.0
    token_s = curve.token_s_at(np.r_[1, batch]) / split
    return Rates(
        token_s=np.asarray(token_s, dtype=float),
        power_w=np.r_[idle, power].astype(float),
        prefill_s_per_token=flops / peak / split,
        prefill_w=replica.accelerators * replica.prefill_pu * chip.tdp_w + host_w,
        context_tokens=int(room * 1e9 / one.context_bytes),
        prompt_tokens=replica.prompt_tokens,
        context_bytes=one.context_bytes,
        weights_gb=one.weights_gb,
        source=curve.source,
    )
