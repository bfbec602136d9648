"""The real gateway in a folder of its own, with tokens for every role, and alerts as Alertmanager posts them.

Playbooks are real, run by the repository's ansible-playbook on two hosts that are both this machine. Those that take time wait
for files, so that tests say when they go on.
"""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEALGATE = Path(os.environ.get("HEALGATE", ROOT / "target" / "debug" / "healgate"))
HOUSE = Path(__file__).parent / "house"
ROLES = ("sender", "viewer", "operator", "admin")
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))
LIMIT = 60


def until(what, look, seconds=LIMIT):
    """Waits until a look finds something, and gives it back."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return found


def token(role):
    """The token of a role: made for these tests, and good for no other gateway."""
    return f"{role}-of-the-browser-tests"


def settings(more=""):
    tokens = "".join(
        f"    - {{name: {role}, role: {role}, sha256: {hashlib.sha256(token(role).encode()).hexdigest()}}}\n"
        for role in ROLES
    )
    return (
        "server: {listen: '127.0.0.1:0'}\n"
        "database: {url: 'sqlite://var/healgate.db'}\n"
        f"ansible: {{command: {ROOT}/.venv/bin/ansible-playbook, inventory: hosts.yml, config_file: ansible.cfg}}\n"
        f"auth:\n  tokens:\n{tokens}{more}"
    )


class Gateway:
    """A running gateway. `close` ends it, and every process that was started in its folder."""

    def __init__(self, folder, more=""):
        self.folder = Path(folder)
        for source in HOUSE.rglob("*"):
            if source.is_file() and source.suffix != ".pyc":
                place = self.folder / source.relative_to(HOUSE)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, place)
        (self.folder / "healgate.yml").write_text(settings(more))
        self.process = None
        self.start()

    def start(self, listen=None):
        environment = {**os.environ, "HOME": str(self.folder)}
        if listen:
            environment["HEALGATE__SERVER__LISTEN"] = listen
        self.log = open(self.folder / "gateway.log", "a")
        self.process = subprocess.Popen(
            [HEALGATE, "serve", "--config", self.folder / "healgate.yml"],
            env=environment, stdout=subprocess.PIPE, stderr=self.log, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        for line in self.process.stdout:
            if "listening on " in line:
                self.url = line.split("listening on ")[1].strip()
                break
        else:
            raise AssertionError("the gateway ended: " + (self.folder / "gateway.log").read_text())
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def kill(self):
        """Ends it as a crash would; runs go on."""
        self.process.kill()
        self.process.wait()
        self.log.close()

    def restart(self):
        """The same gateway again, at the same address."""
        self.start(self.url.removeprefix("http://"))

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.kill()
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)

    def processes(self):
        """Every process whose command line names this folder."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if str(self.folder).encode() in command and int(folder.name) != os.getpid():
                found.append(int(folder.name))
        return found

    def call(self, method, path, body=None, role="admin"):
        """What the API answers, as JSON; `None` if it is nothing."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {token(role)}", "content-type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with HTTP.open(request, timeout=30) as answer:
                said = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return json.loads(said) if said else None

    def get(self, path, role="viewer"):
        return self.call("GET", path, role=role)

    def log_of(self, job):
        """A job's log, byte for byte."""
        request = urllib.request.Request(
            f"{self.url}/api/v1/jobs/{job}/log", headers={"authorization": f"Bearer {token('viewer')}"}
        )
        with HTTP.open(request, timeout=60) as answer:
            return answer.read()

    def post(self, name, status="firing", **labels):
        """Posts one alert as Alertmanager does; the decisions."""
        labels = {"alertname": name, "severity": "critical", **labels}
        alert = {
            "status": status,
            "labels": labels,
            "annotations": {"summary": f"{name} is not well", "runbook_url": "https://runbooks.example/" + name},
            "startsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 5)),
            "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "generatorURL": "http://prometheus.example/graph?g0.expr=up",
            "fingerprint": hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16],
        }
        return self.call("POST", "/webhooks/alertmanager", {
            "version": "4", "groupKey": '{}:{alertname="%s"}' % name, "status": status, "receiver": "healgate",
            "groupLabels": {"alertname": name}, "commonLabels": labels, "commonAnnotations": {},
            "externalURL": "http://alertmanager.example", "truncatedAlerts": 0, "alerts": [alert],
        }, role="sender")["decisions"]  # fmt: skip

    def queue(self, name, **labels):
        """Posts an alert that must make a job; the job's id."""
        (decision,) = self.post(name, **labels)
        assert decision["job"], decision
        return decision["job"]

    def job(self, job):
        return self.get(f"/api/v1/jobs/{job}")

    def until_status(self, job, *wanted):
        return until(f"job {job} is {wanted}", lambda: (found := self.job(job))["status"] in wanted and found)

    def until_finished(self, job):
        return self.until_status(job, "succeeded", "failed", "canceled")

    def until_logged(self, job, text):
        return until(f"job {job} says {text}", lambda: text.encode() in self.log_of(job))

    def pipe(self, name):
        """A file of that name for a playbook to read, and what is written to it: a run says it at that moment."""
        os.mkfifo(self.folder / name)
        return Pipe(self.folder / name)

    def touch(self, name):
        """Makes a file that a playbook waits for."""
        (self.folder / name).touch()


class Pipe:
    def __init__(self, path):
        self.path = path
        self.end = None

    def say(self, text):
        """Waits until somebody reads, the first time."""
        if self.end is None:
            self.end = open(until(f"{self.path} is read", self._opened), "wb", buffering=0)
        self.end.write(text if isinstance(text, bytes) else text.encode())

    def _opened(self):
        try:
            end = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO, error
            return None
        os.set_blocking(end, True)
        return end

    def close(self):
        self.end.close()
