"""One replica of a model: how fast it serves, how much it holds, and what it draws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gridedge.errors import bad
from gridedge.profiles.catalog import accelerator
from gridedge.profiles.inference.curve import BatchCurve, measured_curve
from gridedge.profiles.inference.models import Model, model
from gridedge.spec import Spec, quantity

Float = NDArray[np.float64]
_GB = {"A100": 80.0, "H100": 80.0, "H200": 141.0, "B200": 180.0, "B300": 288.0}
_TFLOPS = {"A100": 312.0, "H100": 989.0, "H200": 989.0, "B200": 2250.0, "B300": 2250.0}


class Replica(Spec):
    """One copy of a model with the accelerators that it runs on."""

    model: str | Model = "Llama-3.1-70B-Instruct"
    """Name in the catalogue of models, or one of your own."""
    accelerator: str = "H100"
    """Name in the catalogue of accelerators."""
    accelerators: int = Field(4, ge=1, le=512)
    """How many share the model."""
    max_batch: int = quantity(256, mark="assumed", source="a usual setting of serving engines", ge=1, le=8192)
    """Sequences that are decoded together at most; memory may allow fewer."""
    host_kw: float | None = Field(None, ge=0)
    """Power beside the accelerators, constant; the server's share by the catalogue if left out. [kW]"""
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
        have = self.accelerators * self._memory_gb * self.memory_used_pu
        if one.weights_gb >= have:
            held = f"{self.accelerators} x {self.accelerator} hold {have:.0f} GB"
            value = f"{one.name}: {one.weights_gb:.0f} GB of weights, {held}"
            raise bad("the model does not fit", value, "Give more accelerators, or a smaller model.")
        return self

    @property
    def _memory_gb(self) -> float:
        if self.memory_gb is not None:
            return self.memory_gb
        if self.accelerator not in _GB:
            raise bad("memory of the accelerator is not known", self.accelerator, "Give memory_gb.")
        return _GB[self.accelerator]


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
    """

    token_s: Float
    power_w: Float
    prefill_s_per_token: float
    prefill_w: float
    context_tokens: int
    prompt_tokens: int

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
    Reading prompts is bound by arithmetic: two operations for each active weight and token, over the accelerators'
    dense 16-bit peak times what they reach of it.
    """
    one, chip = model(replica.model), accelerator(replica.accelerator)
    if curve is None:
        curve = measured_curve(one.name, replica.accelerator, replica.accelerators)
    if replica.accelerator not in _TFLOPS:
        raise bad("arithmetic of the accelerator is not known", replica.accelerator, "Choose one of the catalogue.")
    host_w = 1e3 * (replica.host_kw if replica.host_kw is not None else 0.11 * replica.accelerators)
    batch = np.arange(1, replica.max_batch + 1)
    power = replica.accelerators * curve.power_at(batch) + host_w
    idle = replica.accelerators * chip.idle_w + host_w
    flops = 2e9 * one.active_b
    peak = 1e12 * _TFLOPS[replica.accelerator] * replica.accelerators * replica.prefill_efficiency_pu
    room = replica.accelerators * replica._memory_gb * replica.memory_used_pu - one.weights_gb
    token_s = curve.token_s_at(np.r_[1, batch])
    return Rates(
        token_s=np.asarray(token_s, dtype=float),
        power_w=np.r_[idle, power].astype(float),
        prefill_s_per_token=flops / peak,
        prefill_w=replica.accelerators * replica.prefill_pu * chip.tdp_w + host_w,
        context_tokens=int(room * 1e9 / one.context_bytes),
        prompt_tokens=replica.prompt_tokens,
    )
