#!/usr/bin/env python3
"""Checks every file of Prometheus, Alertmanager and Grafana in the repository with promtool and amtool.

    check_rules.py [DIR]     the repository, or what lies in DIR

Files are known by what is in them, not by their names: so those of a new folder are checked as soon as they are there.
Fails where a rule has no unit test: each alert must be seen to fire and seen not to, each record to have a value.
"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
# What builds and runs leave behind. Hidden folders are passed over, too.
SKIPPED = {"target", "node_modules", "var"}
# Of each kind of YAML file, keys that it has at its top and no other one has together.
KINDS = {
    "rules": {"groups"},
    "tests": {"rule_files", "tests"},
    "alertmanager": {"route", "receivers"},
    "prometheus": {"scrape_configs"},
}
# Its paths are those of the repository; those of other configurations may be those of a container.
LOCAL = REPOSITORY / "prometheus/prometheus.yml"


class Wrong(Exception):
    """Something is not as it must be."""


def files(root, suffixes):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED)
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix in suffixes and path.is_file():
                yield path


def kind_of(text):
    """Judged by lines that begin at the margin, as fixtures need not be YAML at all."""
    keys = set(re.findall(r"^([a-z_]+):", text, re.MULTILINE))
    # A test's own keys are looked at first: it names rule files as a configuration does.
    for kind in ("tests", "alertmanager", "prometheus", "rules"):
        if KINDS[kind] <= keys:
            return kind
    return None


def found(root):
    """{kind: [paths]}"""
    by_kind = {kind: [] for kind in KINDS}
    for path in files(root, {".yml", ".yaml"}):
        kind = kind_of(path.read_text(errors="replace"))
        # `groups` is a word that others use, too: inventories, for one.
        if kind == "rules" and not is_rules(path):
            continue
        if kind:
            by_kind[kind].append(path)
    return by_kind


def is_rules(path):
    try:
        groups = yaml.safe_load(path.read_text())["groups"]
    except yaml.YAMLError:
        return True
    return isinstance(groups, list) and any(isinstance(group, dict) and "rules" in group for group in groups)


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Wrong(f"{' '.join(map(str, argv))}\n{done.stdout}{done.stderr}")


def tested(tests):
    """{rule file: [tests that load it]}"""
    by_rules = {}
    for path in tests:
        content = yaml.safe_load(path.read_text())
        for pattern in content["rule_files"] or []:
            matched = glob.glob(str(path.parent / pattern))
            # promtool itself would say nothing.
            if not matched:
                raise Wrong(f"{path}: rule_files: {pattern} names no file")
            for rules in matched:
                by_rules.setdefault(Path(rules).resolve(), []).extend(content["tests"] or [])
    return by_rules


def untested(path, tests):
    """The rules of a file that its tests do not show."""
    fires, silent, queries = set(), set(), ""
    for test in tests:
        for case in test.get("alert_rule_test") or []:
            (fires if case.get("exp_alerts") else silent).add(case["alertname"])
        for case in test.get("promql_expr_test") or []:
            queries += case["expr"] + "\n" if case.get("exp_samples") else ""
    for group in yaml.safe_load(path.read_text())["groups"]:
        for rule in group.get("rules") or []:
            if "record" in rule:
                if not re.search(rf"(?<![\w:]){re.escape(rule['record'])}(?![\w:])", queries):
                    yield f"{path}: no test asks for {rule['record']}"
                continue
            if rule["alert"] not in fires:
                yield f"{path}: no test sees {rule['alert']} fire"
            if rule["alert"] not in silent:
                yield f"{path}: no test sees {rule['alert']} stay silent"


def expressions(node):
    if isinstance(node, dict):
        if isinstance(node.get("expr"), str):
            yield node["expr"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from expressions(item)


def check_dashboard(path):
    """Whether Prometheus can read its expressions."""
    dashboard = json.loads(path.read_text())
    if not (isinstance(dashboard, dict) and "schemaVersion" in dashboard and "panels" in dashboard):
        return False
    rules = []
    for number, expr in enumerate(expressions(dashboard)):
        expr = re.sub(r"\[\$__\w+\]", "[5m]", expr)
        rules.append({"record": f"panel:{number}", "expr": re.sub(r"\$\{?\w+\}?", "x", expr)})
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"groups": [{"name": str(path.name), "rules": rules}]}, file)
        file.flush()
        try:
            run("promtool", "check", "rules", file.name)
        except Wrong as wrong:
            raise Wrong(f"{path}: {wrong}") from wrong
    return True


def check(root):
    """Everything below a folder. Returns what is wrong, and how many files of each kind there are."""
    wrong, by_kind = [], found(root)

    def attempt(what, *arguments):
        try:
            return what(*arguments)
        except Wrong as error:
            wrong.append(str(error))
            return None

    for path in by_kind["rules"]:
        attempt(run, "promtool", "check", "rules", "--lint=all", "--lint-fatal", path)
    for path in by_kind["tests"]:
        attempt(run, "promtool", "test", "rules", path)
    for path in by_kind["alertmanager"]:
        attempt(run, "amtool", "check-config", path)
    for path in by_kind["prometheus"]:
        attempt(run, "promtool", "check", "config", *([] if path == LOCAL else ["--syntax-only"]), path)
    if not wrong:
        tests = attempt(tested, by_kind["tests"]) or {}
        for path in by_kind["rules"]:
            wrong.extend(untested(path, tests.get(path.resolve(), [])))
    dashboards = [path for path in files(root, {".json"}) if '"schemaVersion"' in path.read_text(errors="replace")]
    dashboards = [path for path in dashboards if attempt(check_dashboard, path)]
    return wrong, {**{kind: len(paths) for kind, paths in by_kind.items()}, "dashboards": len(dashboards)}


def main():
    root = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else REPOSITORY
    wrong, counts = check(root)
    # Not even these: it has looked in the wrong place.
    if root == REPOSITORY:
        wrong.extend(f"no file of the kind {kind!r} was found" for kind, count in counts.items() if not count)
    for line in wrong:
        print(line.strip(), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
