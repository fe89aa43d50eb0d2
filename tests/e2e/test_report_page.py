"""The report in a browser, as a reader opens it: from a file, with no network."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridedge.report.page import write_report
from tests.e2e.browser import browser, check_report, chromium, problems_at
from tests.samples import STRATEGIES, sample_result


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(sample_result(), path)
    return path


def test_report_is_whole_and_asks_no_host(report):
    check_report(report, STRATEGIES)


SPOILT = [
    ('<div id="plot-loading"', '<div id="plot-other"', "plot-loading is not on the page"),
    ('<th scope="row">battery</th><td>', '<th scope="row">other</th><td>', "the verdict table judges"),
    ('<meta http-equiv="Content-Security-Policy"', "<meta data-was", ""),
    (
        "</body>\n</html>",
        '<img src="http://127.0.0.1:9/pixel.png" alt="">',
        "asked a host: http://127.0.0.1:9/pixel.png",
    ),
    ("</style>", "#plot-zoom { display: none } .facts { width: 3000px }</style>", "plot-zoom is not drawn"),
    ("const PAPER_PX", 'console.warn("odd"); const PAPER_PX', "the console is not silent: warning: odd"),
    ('"pan2d", "resetScale2d"', '"pan2d", "autoScale2d"', "plot-waveform offers more than it should"),
]


def test_checker_sees_what_is_wrong(report, tmp_path):
    text = report.read_text(encoding="utf-8")
    for old, new, _ in SPOILT:
        assert old in text
        text = text.replace(old, new, 1)
    spoilt = tmp_path / "spoilt.html"
    spoilt.write_text(text, encoding="utf-8")
    with browser() as open_browser:
        problems = "\n".join(problems_at(open_browser, spoilt, STRATEGIES, 1280, 900))
    missed = [complaint for _, _, complaint in SPOILT if complaint not in problems]
    assert not missed, problems
    assert "px wide on a screen of 1280 px" in problems


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_no_browser_skips_but_fails_in_ci(monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("GRIDEDGE_CHROMIUM", raising=False)
    with pytest.raises(outcome, match="no Chromium on this machine"):
        chromium()
