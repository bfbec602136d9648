"""Every block of the book is right: settings are accepted, commands and calls exist, and nothing is of an unknown kind."""

import configparser
import json
import re
import shlex
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml
from blocks import HEALGATE, REPOSITORY, blocks, name_of, pages, prose

# Of no kind that a program here could try, and why.
UNTRIED = {
    "text": "what a program prints; the tutorial's is held against what it did print",
    "mermaid": "a picture",
    "yaml grafana": "there is no Grafana here; it is only parsed",
}
# Blocks that are not run, by their first line, and why. Their commands of ours are parsed all the same.
NOT_RUN = {
    "sudo apt install nginx prometheus prometheus-alertmanager python3-venv curl": "`make deps` has done it",
    "make build": "the test's own binary is used",
    "python3 -m venv .venv": "the test links the one of `make deps`, which is the same",
    "make demo": "tests/it/end_to_end.rs runs it",
    'systemctl reload healgate': "there are other gateways here; tests/it/reload.rs does it",
    "healgate jobs list --status awaiting_approval": "the ids are made up; tests/it/command_line does it",
    "sudo -u healgate ssh-keygen -t ed25519 -N '' -f /var/lib/healgate/.ssh/id_ed25519": "a user of the package; tests/it/ssh.rs",
    "sudo install -m 0400 -o healgate -g healgate cache.token /etc/healgate/cache.token": "a user of the package",
    "HEALGATE_URL=https://healgate.example.org healgate status --token-file ~/.config/healgate.token": "another machine",
    "dpkg-deb -x healgate_*.deb new": "a package; scripts/test_deb.py checks its files with its binary",
    "sudo apt install ./healgate_*.deb     # restarts the gateway at its end": "scripts/test_deb.py does it",
    "healgate db backup /backup/healgate-$(date +%F).db   # while the gateway runs": "files of another machine; tests/it/db.rs",
    "systemctl stop healgate": "a service of another machine; tests/it/db.rs restores",
    "healgate notify test ops": "sends messages; tests/it/notify.rs",
    "amtool alert add HealgateTest --alertmanager.url=http://127.0.0.1:9093": "the tutorial has an Alertmanager of its own",
    "healgate completions bash > ~/.local/share/bash-completion/completions/healgate": "writes into the home",
    "docker compose up -d        # nginx, its exporter, blackbox and node exporter, Prometheus, Alertmanager, healgate, a mail catcher": "tests/scenarios/containers",
    "docker build -t healgate .": "tests/scenarios/containers builds it",
    "sudo scripts/images": "tests/scenarios/containers",
}
# Calls that the text names and that are not ours.
OF_DOCKER = ("/_ping",)
PLAYS = "- name: Nothing\n  hosts: all\n  tasks: []\n"


def said(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


class Scene:
    """A folder in which what a block names is there."""

    def __init__(self, folder):
        self.folder = Path(folder)
        (self.folder / ".venv").symlink_to(REPOSITORY / ".venv")
        self.write("inventory/hosts.yml", "all: { hosts: { web1: } }\n")
        self.write("ansible.cfg", "")

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def at_home(self, text):
        """Files of the machine become files of the folder, which are there."""
        def moved(match):
            return self.write("root" + match[0], PLAYS if match[0].endswith(".yml") else "a: b\n")
        return re.sub(r"(?<![\w.:/])/(?:etc|run|usr|var)/[\w./-]+\w", moved, text)

    def check(self, settings, remediations):
        self.write("healgate.yml", settings)
        self.write("remediations.yml", remediations)
        return said(HEALGATE, "check", cwd=self.folder)


def names(tree, *keys):
    """All texts below these keys, wherever they stand."""
    found = set()
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in keys:
                found |= {item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)}
            found |= names(value, *keys)
    for item in tree if isinstance(tree, list) else []:
        found |= names(item, *keys)
    return found


def try_settings(scene, text):
    return scene.check(scene.at_home(text), "playbooks: {}\n")


def try_remediations(scene, text):
    text = scene.at_home(text)
    tree = yaml.safe_load(text)
    playbooks = tree.setdefault("playbooks", {})
    stubs = names(tree.get("routes"), "playbook", "otherwise", "run") - set(playbooks)
    if stubs:
        playbooks |= {name: {"path": "stub.yml"} for name in stubs}
        text = yaml.safe_dump(tree)
    for path in names(tree, "path", "inventory") | {"stub.yml"}:
        scene.write(path, PLAYS)
    to = "".join(f"  - {{ name: {name}, slack: {{ url: 'http://127.0.0.1/' }} }}\n" for name in names(tree, "to"))
    peers = "alertmanagers: [{ url: 'http://127.0.0.1:9093' }]\nprometheus: { url: 'http://127.0.0.1:9090' }\n"
    return scene.check(peers + (f"notifiers:\n{to}" if to else ""), text)


def try_route(scene, text):
    keys = yaml.safe_load(text)
    route = {"name": "r", "matchers": ["a=b"], "playbook": "p"} | keys
    return try_remediations(scene, yaml.safe_dump({"routes": [route]}))


def try_playbook(scene, text):
    ansible = REPOSITORY / ".venv/bin/ansible-playbook"
    return said(ansible, "--syntax-check", "-i", "web1,", scene.write("play.yml", text))


def try_inventory(scene, text):
    return said(REPOSITORY / ".venv/bin/ansible-inventory", "-i", scene.write("hosts.yml", text), "--list")


def try_alertmanager(scene, text):
    tree = yaml.safe_load(scene.at_home(text))
    receivers = tree.setdefault("receivers", [{"name": name} for name in sorted(names(tree, "receiver"))])
    tree.setdefault("route", {"receiver": receivers[0]["name"]})
    return said("amtool", "check-config", scene.write("alertmanager.yml", yaml.safe_dump(tree)))


def try_webhook_config(scene, text):
    config = {"url": "http://127.0.0.1:8750/webhooks/alertmanager"} | yaml.safe_load(text)
    return try_alertmanager(scene, yaml.safe_dump({"receivers": [{"name": "a", "webhook_configs": [config]}]}))


def try_prometheus(scene, text):
    return said("promtool", "check", "config", scene.write("prometheus.yml", scene.at_home(text)))


def try_nginx(scene, text):
    for kind in ("pem", "key"):
        text = text.replace(f"/etc/ssl/healgate.{kind}", f"{scene.folder}/healgate.{kind}")
    said("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=h",
         "-keyout", "healgate.key", "-out", "healgate.pem", cwd=scene.folder)
    around = f"pid {scene.folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{text}}}\n"
    path = scene.write("nginx.conf", around)
    return said("/usr/sbin/nginx", "-t", "-p", f"{scene.folder}/", "-e", "error.log", "-c", path)


def parsed(parse):
    def try_it(_, text):
        try:
            parse(text)
        except ValueError as error:
            return 1, str(error)
        except (SyntaxError, configparser.Error, yaml.YAMLError) as error:
            return 1, str(error)
        return 0, ""
    return try_it


TRIES = {
    "yaml healgate": try_settings,
    "yaml remediations": try_remediations,
    "yaml route": try_route,
    "yaml playbook": try_playbook,
    "yaml inventory": try_inventory,
    "yaml alertmanager": try_alertmanager,
    "yaml webhook_config": try_webhook_config,
    "yaml prometheus": try_prometheus,
    "yaml grafana": parsed(yaml.safe_load),
    "nginx": try_nginx,
    "json": parsed(json.loads),
    "python": parsed(lambda text: compile(text, "block", "exec")),
    "ini": parsed(lambda text: configparser.ConfigParser().read_string(text)),
}


def own_commands(text):
    """The calls of healgate in a text for a shell, as lists of words."""
    text = re.sub(r"<<'END'.*?^END$", "", text, flags=re.DOTALL | re.MULTILINE).replace("\\\n", " ")
    before = ""
    for line in text.splitlines():
        lexer = shlex.shlex(before + line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words, command, before = list(lexer), None, ""
        except ValueError:
            before += line + "\n"
            continue
        for before_it, word in zip(["", *words], [*words, ";"], strict=True):
            # Elsewhere it is the name of a user, of a service, of an image.
            if command is None and word == "healgate" and re.fullmatch(r"[;|&()!$]*|until|\w+=.*|healgate", before_it):
                command = []
            elif command is not None and re.fullmatch(r"[;|&<>()]+|\d?>", word):
                yield command
                command = None
            elif command is not None:
                command.append(word)


def is_known(words):
    """Whether the command line has these commands and options: asked for help, clap reads all that stands before."""
    return said(HEALGATE, *("019a5b3c-1234-7000-8000-00000000000a" if word == "ID" else word for word in words), "--help")


class Blocks(unittest.TestCase):
    def test_every_block_has_a_kind_that_is_tried_or_a_reason_why_not(self):
        self.assertGreater(len(blocks()), 60)
        for block in blocks():
            with self.subTest(block=str(block)):
                if block.kind == "sh not-run":
                    self.assertIn(block.text.splitlines()[0], NOT_RUN)
                else:
                    self.assertIn(block.kind, ["sh run", *TRIES, *UNTRIED])
        known = {block.text.splitlines()[0] for block in blocks() if block.kind == "sh not-run"}
        self.assertEqual(set(NOT_RUN) - known, set(), "reasons of blocks that are gone")

    def test_what_is_no_shell_is_accepted_by_what_reads_it(self):
        for block in blocks():
            if block.kind in TRIES:
                with self.subTest(block=str(block)), tempfile.TemporaryDirectory() as folder:
                    code, output = TRIES[block.kind](Scene(folder), block.text)
                    self.assertEqual(code, 0, output)

    def test_commands_of_blocks_exist(self):
        for block in blocks():
            for words in own_commands(block.text) if block.kind.startswith("sh") else []:
                with self.subTest(block=str(block), words=words):
                    code, output = is_known(words)
                    self.assertEqual(code, 0, output)

    def test_shell_blocks_can_be_parsed(self):
        for block in blocks():
            if block.kind.startswith("sh"):
                with self.subTest(block=str(block)):
                    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, timeout=10)
                    self.assertEqual(done.returncode, 0, done.stderr)

    def test_commands_that_the_text_names_exist(self):
        tried = 0
        for page in pages():
            for inline in re.findall(r"`healgate ([a-z][^`]*)`", prose(page)):
                words = shlex.split(inline.split(" > ")[0])
                if "…" in inline or "run-host" in words:
                    continue
                tried += 1
                with self.subTest(page=name_of(page), inline=inline):
                    code, output = is_known(words)
                    self.assertEqual(code, 0, output)
        self.assertGreater(tried, 40)

    def test_calls_that_the_text_names_exist(self):
        reference = (REPOSITORY / "docs/reference/api.md").read_text()
        def plain(path):
            return re.sub(r"/(\{\w+\}|[A-Z]+|019…)(?=/|$)", "/*", path.split("?")[0].rstrip("/"))
        known = {(method, plain(path)) for method, path in re.findall(r"^### `([A-Z]+) (\S+)`", reference, re.MULTILINE)}
        tried = 0
        for page in pages():
            calls = re.findall(r"`(GET|POST|PUT|DELETE)\s(/[^` ,]*)`", prose(page))
            addresses = re.findall(r"127\.0\.0\.1:8750(/api/[^\s`'\"]+)", page.read_text())
            for method, path in [*calls, *((None, path) for path in addresses)]:
                if path in ("/", *OF_DOCKER):
                    continue
                tried += 1
                with self.subTest(page=name_of(page), call=f"{method} {path}"):
                    self.assertTrue(any(method in (None, m) and plain(path) == p for m, p in known))
        self.assertGreater(tried, 60)


if __name__ == "__main__":
    unittest.main()
