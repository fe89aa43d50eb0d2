"""Print one of the README's lines, named by the comment above it."""

import re
import sys
from pathlib import Path

name = sys.argv[1]
text = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
found = re.findall(rf"<!-- line: {re.escape(name)} -->\n```sh\n(.+)\n```", text)
if len(found) != 1:
    sys.exit(f"README.md must hold the line {name!r} exactly once, it holds {len(found)}")
print(found[0])
