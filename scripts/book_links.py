#!/usr/bin/env python3
"""A preprocessor of mdBook: fails on links that lead nowhere, and turns those that lead out of docs/ into the repository's.

Pages link to files of the repository by relative paths, so that they can be read where they lie, too.
"""

import json
import os
import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"
HOME = "https://github.com/healgate/healgate/blob/main/"
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def anchors(path):
    """The anchors of a page's headings, as mdBook and GitHub make them."""
    text = FENCE.sub("", path.read_text())
    found = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-"))
    return found


def mended(chapter, known, wrong):
    page = DOCS / chapter["path"]

    def mend(link):
        label, url = link.groups()
        if re.match(r"[a-z]+:", url):
            return link[0]
        path, _, anchor = url.partition("#")
        target = Path(os.path.normpath(page.parent / path)) if path else page
        if not target.exists() and target.is_relative_to(DOCS / "pictures"):
            # `make pictures` takes them.
            print(f"{page.relative_to(REPOSITORY)}: {url} is not taken yet", file=sys.stderr)
        elif not target.exists():
            wrong.append(f"{page.relative_to(REPOSITORY)}: {url} does not exist")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            wrong.append(f"{page.relative_to(REPOSITORY)}: {url}: there is no such heading")
        elif not target.is_relative_to(DOCS):
            return f"{label}({HOME}{target.relative_to(REPOSITORY)}{'#' + anchor if anchor else ''})"
        elif target.suffix == ".md" and str(target.relative_to(DOCS)) not in known:
            wrong.append(f"{page.relative_to(REPOSITORY)}: {url} is not in SUMMARY.md")
        return link[0]

    parts, begin = [], 0
    for fence in FENCE.finditer(chapter["content"]):
        parts += [LINK.sub(mend, chapter["content"][begin : fence.start()]), fence[0]]
        begin = fence.end()
    return "".join([*parts, LINK.sub(mend, chapter["content"][begin:])])


def chapters(items):
    for item in items:
        if isinstance(item, dict) and "Chapter" in item:
            yield item["Chapter"]
            yield from chapters(item["Chapter"]["sub_items"])


def main():
    if sys.argv[1:2] == ["supports"]:
        return 0
    _, book = json.load(sys.stdin)
    pages = [chapter for chapter in chapters(book["items"]) if chapter["path"]]
    known, wrong = {chapter["path"] for chapter in pages}, []
    for path in sorted(DOCS.rglob("*.md")):
        if str(path.relative_to(DOCS)) not in known | {"SUMMARY.md"}:
            wrong.append(f"{path.relative_to(REPOSITORY)} is not in SUMMARY.md")
    for chapter in pages:
        chapter["content"] = mended(chapter, known, wrong)
    for line in wrong:
        print(line, file=sys.stderr)
    json.dump(book, sys.stdout)
    return 1 if wrong else 0


sys.exit(main())
