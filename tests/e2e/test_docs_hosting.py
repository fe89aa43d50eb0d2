"""What the pages on hosting capacity and remedies print is what their commands print."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("pandapower")

import gridedge
from gridedge.cli import app

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEAR_MW = 0.011  # an answer lies within 0.01 MW of its break


def blocks(page, heading):
    """Return the code blocks (language, text) of one section of a page, or of what stands before the first section."""
    sections = re.split(r"^#+ (.+)$", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return BLOCK.findall(dict(zip(sections[1::2], sections[2::2], strict=True))[heading])


def agree(printed, shown):
    """Every word of the page stands in what is printed, in its order; numbers within the tolerance of an answer."""
    whole = [line for line in shown.splitlines() if "..." not in line]  # a page may cut long remarks short
    printed, shown = printed.split(), " ".join(whole).split()
    assert len(printed) >= len(shown)
    for here, there in zip(printed, shown, strict=False):
        try:
            assert float(here) == pytest.approx(float(there), abs=NEAR_MW, rel=1e-3, nan_ok=True), (here, there)
        except ValueError:
            assert here == there


@pytest.mark.parametrize(
    ("page", "heading", "first"),
    [
        ("hosting.md", "At single buses", 0),
        ("hosting.md", "Which hours, and what a wish meets", 0),
        ("remedies.md", "What lets a bus take more, and what it costs", 2),
    ],
)
def test_a_page_prints_what_its_command_prints(page, heading, first, tmp_path, monkeypatch, capsys):
    import pandas as pd

    monkeypatch.chdir(tmp_path)
    (language, code), (_, shown) = blocks(page, heading)[first : first + 2]
    assert language == "python"
    code = code.replace("print(found.chosen)\n", "")  # of which the page tells in words
    with pd.option_context("display.width", 250, "display.max_columns", 30):
        exec(compile(code, page, "exec"), {"gridedge": gridedge})
    agree(capsys.readouterr().out, shown)


def test_the_page_on_remedies_prints_what_its_command_prints():
    (_, command), (_, shown) = blocks("remedies.md", "What lets a bus take more, and what it costs")[:2]
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    agree(done.output, shown)
