"""What a site that serves is: the spec of its requests, its replicas and how they are run."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from gridedge.errors import InputError, Problem, bad
from gridedge.profiles.catalog import servers
from gridedge.profiles.inference.pools import Pools
from gridedge.profiles.inference.replica import Rates, Replica, rates
from gridedge.profiles.inference.scaling import Scaling
from gridedge.profiles.traffic.traffic import TrafficProfile
from gridedge.spec import Origin, Spec, quantity


class InferenceProfile(Spec):
    """Requests that come to equal replicas of one model."""

    kind: Literal["inference"]
    title: str = ""
    source: str = ""
    licence: str = ""
    replica: Replica = Replica()
    """One copy of the model and what it runs on."""
    replicas: int = Field(1, ge=1)
    """How many; with ``pools``, how many decode."""
    group: int = quantity(16, mark="assumed", source="replicas behind one balancer", ge=1, le=256)
    """Replicas that share a queue.  Groups get streams of requests of their own, each as bursty as its class says; what
    they have in common is the week's shape and the noise of its minutes."""
    pools: Pools | None = None
    """Prompts are read by replicas of their own, so many for the whole site; together with decoding if left out."""
    scaling: Scaling | None = None
    """When replicas are parked, in each group; all work if left out."""
    traffic: TrafficProfile
    """What is asked."""
    queue_limit: int | None = Field(None, ge=0)
    """Requests that may wait in a group; one that finds as many is refused.  All wait if left out."""
    capacity_mw: float | None = Field(None, gt=0)
    """IT power that the site may draw; what is drawn above it is noted.  Not checked if left out. [MW]"""
    most_tokens: int = quantity(16_384, mark="assumed", source="longer prompts and answers are cut to it", ge=1)
    """Longest prompt, and longest answer."""
    noise_memory_s: float = quantity(
        600.0, mark="assumed", source="no published figure for how long a departure from the week lasts", ge=0,
        low=120.0, high=1800.0,
    )  # fmt: skip
    """After this the noise of the minutes has faded to 1/e. [s]"""
    method: Literal["auto", "exact", "fluid"] = "auto"
    """exact: request by request; fluid: minute by minute, with power and its spread from exact runs; auto: exact up to
    two days and two million requests."""
    origins: dict[str, Origin] = {}
    """Where the preset's figures come from, by key."""
    expected: dict[str, tuple[float, float]] = {}
    """Statistics this profile must show, each with its tolerance; checked by the tests."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        problems = []
        if self.replicas % self.groups:
            cure = f"Give a multiple of {self.groups}, or change group."
            problems.append(Problem("replicas do not fill their groups alike", str(self.replicas), cure))
        if self.pools is not None and self.pools.prefill_replicas % self.groups:
            cure = f"Give a multiple of {self.groups}, one for each group at least."
            value = str(self.pools.prefill_replicas)
            problems.append(Problem("pools.prefill_replicas do not fill the groups alike", value, cure))
        if self.scaling is not None and self.scaling.minimum > self.replicas // self.groups:
            value = f"{self.scaling.minimum} of {self.replicas // self.groups} in a group"
            problems.append(Problem("scaling.minimum is more than a group has", value, "Lower it."))
        if self.capacity_mw is not None and self.capacity_mw < self.idle_mw:
            value = f"{self.capacity_mw:g} MW, the replicas idle at {self.idle_mw:.4g} MW"
            problems.append(Problem("capacity_mw lies under the idle load", value, "Raise it, or give fewer replicas."))
        holds = self.rates.context_tokens
        if 2 * self.most_tokens > holds:
            value = f"2 x {self.most_tokens} tokens, a replica holds {holds}"
            cure = "Lower most_tokens, or give the replica more accelerators."
            problems.append(Problem("the longest request does not fit into the memory of a replica", value, cure))
        problems += [
            Problem("origins names a key that does not exist", key, "Use the profile's own keys.")
            for key in sorted(set(self.origins) - set(type(self).model_fields))
        ]
        if problems:
            raise InputError(problems)
        return self

    @property
    def groups(self) -> int:
        """Groups of replicas, each with its own queue."""
        return -(-self.replicas // self.group)

    @property
    def rates(self) -> Rates:
        """What a replica does."""
        return rates(self.replica)

    @property
    def prefill_rates(self) -> Rates:
        """What a replica does that reads prompts."""
        return rates(self.pools.prefill) if self.pools is not None and self.pools.prefill is not None else self.rates

    @property
    def accelerators(self) -> int:
        """Accelerators of the site."""
        own = self.replicas * self.replica.accelerators
        if self.pools is None:
            return own
        return own + self.pools.prefill_replicas * (self.pools.prefill or self.replica).accelerators

    @property
    def nameplate_mw(self) -> float:
        """Nameplate of the site's servers, in MW."""
        own = self.replicas * self.replica.rated_kw
        if self.pools is not None:
            own += self.pools.prefill_replicas * (self.pools.prefill or self.replica).rated_kw
        return own / 1e3

    @property
    def idle_mw(self) -> float:
        """Power without any request: every replica idles, or is parked where the policy parks it, in MW."""
        working = self.replicas
        parked = 0.0
        if self.scaling is not None:
            working = self.groups * self.scaling.minimum
            parked = (self.replicas - working) * self.scaling.parked_pu
        idle_w = (working + parked) * self.rates.idle_w
        if self.pools is not None:
            idle_w += self.pools.prefill_replicas * self.prefill_rates.idle_w
        return idle_w / 1e6

    @property
    def server(self) -> str:
        """The first server of the catalogue with the replica's accelerators."""
        for name, machine in servers().items():
            if machine.accelerator == self.replica.accelerator:
                return name
        raise bad("no server of the catalogue has this accelerator", self.replica.accelerator, "Choose another.")

    @property
    def servers(self) -> int:
        """Whole servers that the accelerators fill."""
        return -(-self.accelerators // servers()[self.server].accelerators)

    def sized(self, count: int) -> InferenceProfile:
        """Return the site on another number of servers, with requests in proportion.

        Raises
        ------
        InputError
            If they hold no replica.
        """
        each = servers()[self.server].accelerators
        share = count * each / self.accelerators
        replicas = int(self.replicas * share + 1e-9)
        update: dict[str, object] = {}
        first = 0
        if self.pools is not None:
            first = int(self.pools.prefill_replicas * share + 1e-9)
            if first < 1:
                raise bad("the servers hold no replica for prefill", f"{count} x {self.server}", "Give more servers.")
        if replicas < 1:
            raise bad("the servers hold no replica", f"{count} x {self.server}", "Give more servers.")
        groups = -(-replicas // self.group)
        replicas -= replicas % groups
        if self.pools is not None:
            update["pools"] = self.pools.model_copy(update={"prefill_replicas": max(first - first % groups, groups)})
        part = replicas / self.replicas
        classes = {
            key: one.model_copy(update={"requests_per_s": one.requests_per_s * part})
            for key, one in self.traffic.classes.items()
        }
        update |= {"replicas": replicas, "traffic": self.traffic.model_copy(update={"classes": classes})}
        return self.model_copy(update=update)

    def mean_tokens(self) -> dict[str, tuple[float, float]]:
        """Return the mean length of prompts and answers by class, before long ones are cut."""
        return {key: self.traffic.of(key).mean_tokens() for key in self.traffic.classes}
