"""The reference is what the program says, and what the parser takes."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from blocks import HEALGATE, REPOSITORY

REFERENCE = REPOSITORY / "docs/reference"


def sections():
    """For each file and path of keys in docs/reference/configuration.md: its keys, in order."""
    found, file, path = {}, None, None
    for line in (REFERENCE / "configuration.md").read_text().splitlines():
        if heading := re.match(r"## (\S+)", line):
            file, path = heading[1], ""
        elif heading := re.match(r"### `(\S+)`", line):
            path = heading[1]
        elif (key := re.match(r"\| `(\w+)` \|", line)) and file:
            found.setdefault((file, path), []).append(key[1])
    return found


def with_unknown_key(path):
    """YAML that has an unknown key at that path."""
    text = "zzz: 1"
    for part in reversed(path.split(".")) if path else []:
        name, is_list = part.removesuffix("[]"), part.endswith("[]")
        text = f"{name}: [{{ {text} }}]" if is_list else f"{name}: {{ {text} }}"
    return text + "\n"


class Reference(unittest.TestCase):
    def test_what_is_committed_is_what_the_program_writes(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([HEALGATE, "manual", folder], check=True, timeout=60)
            written = {path.name: path.read_text() for path in Path(folder, "reference").iterdir()}
        committed = {path.name: path.read_text() for path in REFERENCE.iterdir()}
        self.assertEqual(sorted(written), sorted(committed))
        for name, text in written.items():
            self.assertTrue(text == committed[name], f"docs/reference/{name} is out of date: run `make reference`")

    def test_at_every_place_the_parser_takes_the_documented_keys_and_no_others(self):
        self.assertGreater(len(sections()), 30)
        for (file, path), keys in sections().items():
            with self.subTest(file=file, path=path), tempfile.TemporaryDirectory() as folder:
                other = {"healgate.yml": "remediations.yml", "remediations.yml": "healgate.yml"}[file]
                Path(folder, other).write_text("playbooks: {}\n" if other == "remediations.yml" else "")
                Path(folder, file).write_text(with_unknown_key(path))
                done = subprocess.run([HEALGATE, "check"], cwd=folder, capture_output=True, text=True, timeout=60)
                allowed = re.search(r"unknown key `[^`]*zzz`.*; allowed here: (.*)", done.stdout + done.stderr)
                self.assertIsNotNone(allowed, done.stdout + done.stderr)
                self.assertEqual(allowed[1].split(", "), keys)


if __name__ == "__main__":
    unittest.main()
