"""What a list of findings comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gridedge.measure import finding
from gridedge.measure.finding import Finding


@dataclass(frozen=True)
class Verdict:
    """The overall verdict of some findings, and by how much it is missed.

    Parameters
    ----------
    overall : str
        fail if one fails; else cannot tell if one cannot; else pass, or not applicable where nothing applies.
    excess : float
        Largest measured value over its limit, minus 1; negative where all hold; infinite where nothing was measured.
    worst : Finding or None
        The finding that has it.
    findings : list of Finding
        All of them.
    """

    overall: finding.Verdict
    excess: float
    worst: Finding | None
    findings: list[Finding]

    def missed(self) -> str:
        """Return by how much the worst requirement is missed, or what cannot be told; empty where all hold."""
        open_ = next((f for f in self.findings if f.verdict == "cannot tell"), None)
        if self.overall == "cannot tell" and open_ is not None:
            return f"{open_.name} cannot be told" + (f": {open_.note}" if open_.note else "")
        w = self.worst
        if self.overall == "pass" or w is None or w.measured is None or w.limit is None or self.excess <= 0:
            return ""
        return f"{w.name}: {w.measured:.4g} {w.unit} against {w.limit:.4g} {w.unit}, {100 * self.excess:.3g} % too much"


def judge(findings: Sequence[Finding]) -> Verdict:
    """Return what some findings come to, and by how much the worst one misses."""
    applying = [f for f in findings if f.verdict != "not applicable"]
    measured = [f for f in applying if f.measured is not None and f.limit is not None]
    worst = max(measured, key=_excess, default=None)
    excess = _excess(worst) if worst is not None else (float("inf") if applying else -1.0)
    return Verdict(finding.overall(findings), excess, worst, list(findings))


def _excess(found: Finding) -> float:
    assert found.measured is not None
    assert found.limit is not None
    return found.measured / found.limit - 1.0 if found.limit else (float("inf") if found.measured > 0 else -1.0)
