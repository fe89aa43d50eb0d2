"""The page on flicker prints what its commands print."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "flicker.md").read_text(encoding="utf-8")


def test_every_result_is_that_of_the_command_above_it():
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```.*?```text\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 5
    for code, shown in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        assert printed.getvalue() == shown
