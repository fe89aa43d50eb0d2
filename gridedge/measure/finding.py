"""What a measurement says about a limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["pass", "fail", "cannot tell", "not applicable"]


@dataclass(frozen=True)
class Finding:
    """One requirement, what was measured, and the verdict.

    Parameters
    ----------
    name : str
        Short name of the requirement.
    requirement : str
        The requirement in words, with its limit and unit.
    verdict : {"pass", "fail", "cannot tell", "not applicable"}
        What follows.
    measured : float or None
        Measured value in ``unit``; None where nothing was measured.
    limit : float or None
        Limit in ``unit``; None where the document names none.
    unit : str
        Unit of ``measured`` and ``limit``.
    when_s : float or None
        Time of the measured value. [s from the start of its series]
    where : str
        Bus, branch or series the value belongs to.
    note : str
        Why the verdict is what it is, where the numbers alone do not say it.
    authority, status, source : str
        Who asks for it, in force / proposed / study's own, and the document with its date.
    decides : bool
        Whether it counts in the verdict of a study, or is shown beside it.
    known : str
        How well the requirement's figures are known.
    members : int or None
        How many members were judged; None where the load has none.
    share_failing : float or None
        Share of the members whose own value exceeds the limit, 0 to 1.
    p50, p95, p99 : float or None
        Measured value that at least half, 95 % and 99 % of the members do not exceed, in ``unit``.  Each is the
        value of a member, nothing between two.  ``measured``, and with it the verdict, is ``p95``.
    figures : tuple of (str, float)
        What else was measured, each with its unit in its name.
    """

    name: str
    requirement: str
    verdict: Verdict
    measured: float | None
    limit: float | None
    unit: str
    when_s: float | None = None
    where: str = ""
    note: str = ""
    authority: str = ""
    status: str = ""
    source: str = ""
    decides: bool = True
    known: str = ""
    members: int | None = None
    share_failing: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    figures: tuple[tuple[str, float], ...] = ()

    @property
    def margin(self) -> float | None:
        """Limit minus measured value; negative when an upper limit is broken."""
        return None if self.measured is None or self.limit is None else self.limit - self.measured

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dict."""
        return asdict(self)


def overall(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict that a list of findings comes to.

    One failure fails; else one that cannot be told leaves it open; else one pass passes.  Nothing checked: cannot tell.
    """
    verdicts = [finding.verdict for finding in findings]
    order: tuple[Verdict, ...] = ("fail", "cannot tell", "pass", "not applicable")
    return next((verdict for verdict in order if verdict in verdicts), "cannot tell")
