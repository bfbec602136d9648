"""The shell blocks of each page are run in order, in a folder and a network of their own: the tutorial from an empty folder on,
with the real Prometheus, Alertmanager and nginx; the other pages beside a gateway that has healed and failed before.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from blocks import HEALGATE, REPOSITORY, blocks

LIMIT = 240
ANSIBLE = REPOSITORY / ".venv/bin"
# Of blocks that are not run, what is done in their place.
INSTEAD = {"python3 -m venv .venv": f"ln -s {REPOSITORY}/.venv .venv\n"}
# Commands that end otherwise than with success here, and why.
FAILS = {
    "healgate db prune             # removes it at once; only while no gateway uses the database": "the gateway uses it",
}
SETTINGS = """\
ansible: {command: ansible-playbook, inventory: inventory/hosts.yml, warm: never}
"""
INVENTORY = """\
all:
  hosts: {localhost: , web1: , web1.example: }
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
"""
REMEDIATIONS = """\
playbooks:
  restart-web: {path: look.yml, limit: "{{ alert.labels.instance | host }}"}
  restart-container: {path: look.yml, limit: web1}
  fails-once: {path: fails_once.yml}
routes:
  - {name: web-down, matchers: ['alertname="WebDown"'], playbook: restart-web}
  - {name: fails, matchers: ['alertname="Fails"'], playbook: fails-once}
"""
LOOK = "- hosts: all\n  gather_facts: false\n  tasks: [{ansible.builtin.debug: {msg: looked}}]\n"
FAILS_ONCE = """\
- hosts: web1
  gather_facts: false
  tasks:
    - ansible.builtin.shell: "test -e {{ playbook_dir }}/once || { touch {{ playbook_dir }}/once; exit 1; }"
"""
# Two alerts come; `$ID` is the job that failed.
NIGHT = """\
healgate serve > healgate.log 2>&1 &
until curl -s http://127.0.0.1:8750/readyz > /dev/null; do sleep 0.2; done
post() { curl -s -H 'Content-Type: application/json' http://127.0.0.1:8750/webhooks/alertmanager -d @"$1" > answer.json; }
post payload.json
NOTIFICATION=$(sed 's/.*"notification":"\\([^"]*\\)".*/\\1/' answer.json)
post failing.json
of_jobs() { python3 -c "import json, sys; jobs = json.load(sys.stdin)['items']; print($1)"; }
until [ "$(healgate jobs list --status succeeded --status failed --output json | of_jobs 'len(jobs)')" = 2 ]; do sleep 0.2; done
ID=$(healgate jobs list --status failed --output json | of_jobs "jobs[0]['id']")
FINGERPRINT=f-WebDown
"""


def payload(alertname):
    alert = {
        "status": "firing", "fingerprint": f"f-{alertname}", "generatorURL": "", "annotations": {},
        "labels": {"alertname": alertname, "instance": "web1:80", "severity": "critical"},
        "startsAt": "2026-01-31T09:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
    }
    return json.dumps({
        "version": "4", "groupKey": "{}", "status": "firing", "receiver": "healgate", "groupLabels": {}, "commonLabels": {},
        "commonAnnotations": {}, "externalURL": "http://127.0.0.1:9093", "truncatedAlerts": 0, "alerts": [alert],
    })


def in_session(text):
    """A block with names of this session in the place of those that a person would fill in."""
    lines = [f"! {line}" if line in FAILS else line for line in text.splitlines()]
    text = "\n".join(lines) + "\n"
    text = text.replace("--notification ID", '--notification "$NOTIFICATION"').replace("jobs/ID/", 'jobs/"$ID"/')
    text = re.sub(r"\b(ID|FINGERPRINT)\b(?=\s|$)(?<![\"$]ID)", r'"$\1"', text)
    return text.replace("019a5b3c-12", '"$ID"').replace("/etc/healgate", '"$PWD"/etc/healgate')


def run_in(folder, script):
    """Runs a script in a network of its own, and ends what it has left; answers with its code and what it said."""
    script = f'ip link set lo up\ncurl() {{ command curl --fail "$@"; }}\n{script}'
    environment = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    environment["PATH"] = f"{HEALGATE.parent}:{ANSIBLE}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    # With the first process of a namespace all others of it end.
    command = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-xeuo", "pipefail", "-c", script]
    if os.geteuid() != 0:
        command[1:1] = ["--map-root-user"]
    done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
    return done.returncode, done.stdout


def session(page):
    """The shell blocks of a page, as one script."""
    script = []
    for block in blocks():
        if block.page == page and block.kind == "sh run":
            script.append(in_session(block.text))
        elif block.page == page and block.kind == "sh not-run":
            script.append(INSTEAD.get(block.text.splitlines()[0], ""))
    return "".join(script)


class Sessions(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="healgate-book-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def test_the_tutorial_ends_with_a_healed_service(self):
        code, output = run_in(self.folder, session("docs/tutorial.md"))
        self.assertEqual(code, 0, output[-6000:])
        self.assertRegex(output, r"shop-down +1 +100% +100% .* 1 healed", output[-6000:])
        lines = {line.strip() for line in output.splitlines()}
        for block in blocks():
            if block.page == "docs/tutorial.md" and block.kind == "text":
                for line in block.text.splitlines():
                    self.assertIn(line.strip(), lines, f"{block}\n{output[-6000:]}")

    def test_the_commands_of_every_page_do_what_they_are_there_for(self):
        pages = {block.page for block in blocks() if block.kind == "sh run"} - {"docs/tutorial.md"}
        self.assertGreater(len(pages), 8)
        for page in sorted(pages):
            with self.subTest(page=page), tempfile.TemporaryDirectory(prefix="healgate-book-") as folder:
                here = Path(folder)
                (here / "inventory").mkdir()
                for name, text in {
                    "healgate.yml": SETTINGS, "remediations.yml": REMEDIATIONS, "inventory/hosts.yml": INVENTORY,
                    "look.yml": LOOK, "fails_once.yml": FAILS_ONCE, "ansible.cfg": "",
                    "payload.json": payload("WebDown"), "failing.json": payload("Fails"),
                }.items():
                    (here / name).write_text(text)
                code, output = run_in(here, NIGHT + session(page))
                self.assertEqual(code, 0, output[-5000:])


if __name__ == "__main__":
    unittest.main()
