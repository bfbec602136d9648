#!/usr/bin/env python3
"""Writes the table of docs/scenarios.md from what the scenarios' tests measured last (target/scenarios).

A scenario that was not measured since keeps its line.
"""

import json
import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs/scenarios.md"
BEGIN, END = "<!-- table: written by `make scenarios` -->", "<!-- end of the table -->"
COLUMNS = ["Scenario", "Broken by", "Detected", "Started", "Healed", "Part of healgate", "Playbook"]


def line(name, measured):
    place = f"[{name}](../scenarios/{name}/)" if (REPOSITORY / "scenarios" / name).is_dir() else name
    times = [f"{measured[key]:.1f} s" for key in ("detected", "started", "healed")]
    return [place, measured["broken"], *times, f"{measured['healgate']:.2f} s", f"{measured['playbook']:.1f} s"]


def table(old, directory):
    """The new text between the marks."""
    lines = {re.sub(r"^\[(.*?)\].*", r"\1", cells[0]): cells for cells in rows(old)}
    for path in sorted(Path(directory).glob("*.json")):
        lines[path.stem] = line(path.stem, json.loads(path.read_text()))
    body = [COLUMNS, ["---"] * 2 + ["---:"] * 5, *(lines[name] for name in sorted(lines))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in body)


def rows(text):
    """The cells of a table's lines, without its head."""
    return [[cell.strip() for cell in row.strip("| ").split("|")] for row in text.strip().splitlines() if row.startswith("|")][2:]


def main():
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(old, REPOSITORY / 'target/scenarios')}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
