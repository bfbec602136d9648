"""The code blocks of the book, with their places and kinds."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HEALGATE = REPOSITORY / "target/debug/healgate"
FENCE = re.compile(r"^( *)```(.*)$")


@dataclass
class Block:
    page: str
    line: int
    kind: str
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}"


def pages():
    """The README and the pages of the book, but for the decisions' records, which tell of their time."""
    book = sorted((REPOSITORY / "docs").rglob("*.md"))
    return [REPOSITORY / "README.md", *(page for page in book if "adr" not in page.parts)]


def name_of(page):
    return str(page.relative_to(REPOSITORY))


def blocks():
    found = []
    for page in pages():
        begun = None
        for number, line in enumerate(page.read_text().splitlines(), 1):
            fence = FENCE.match(line)
            if fence and begun is None:
                begun, lines = (number, fence[2].strip()), []
            elif fence:
                found.append(Block(name_of(page), *begun, textwrap.dedent("\n".join(lines) + "\n")))
                begun = None
            elif begun:
                lines.append(line)
        assert begun is None, f"{page}: a block does not end"
    return found


def prose(page):
    """A page without its blocks."""
    return re.sub(r"^ *```.*?^ *``` *$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
