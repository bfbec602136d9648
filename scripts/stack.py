#!/usr/bin/env python3
"""The real peers on loopback: nginx, the blackbox exporter, Prometheus and Alertmanager.

    stack.py up [--dir DIR] [--json] [--port NAME=N ...] [--gateway-port N]
    stack.py render --dir DIR [...]      write the configurations only, print the JSON

`up` starts them from rendered copies of the repository's own configuration, prints one JSON line (with
--json) as soon as all are ready, stays until its standard input closes or it gets SIGINT or SIGTERM, and then
removes everything that it started. It uses free ports, and nothing outside its directory. It does not start
healgate, but renders a healgate.yml that fits ("config" in the JSON).
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PORTS = ("nginx", "blackbox", "prometheus", "alertmanager", "healgate")
# Below the range that the kernel takes outgoing ports from, so that no connection steals one before its server binds it.
PORT_RANGE = range(20000, 32000)
# An answer on loopback takes milliseconds; a proxy set in the environment must not see these calls.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))
BINARIES = {
    "nginx": "nginx",
    "blackbox": "prometheus-blackbox-exporter",
    "prometheus": "prometheus",
    "alertmanager": "prometheus-alertmanager",
}

NGINX_CONF = """\
pid nginx.pid;
error_log error.log notice;
worker_processes 1;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen 127.0.0.1:@NGINX@;
        location / { return 200 "nginx is up\\n"; }
    }
}
"""

HEALGATE_YML = """\
server:
  listen: 127.0.0.1:@HEALGATE@
  external_url: http://127.0.0.1:@HEALGATE@
database:
  url: sqlite://var/healgate.db
data_dir: var
remediations: remediations.yml
ansible:
  command: @ANSIBLE@
  inventory: @REPOSITORY@/inventory/hosts.yml
  config_file: @REPOSITORY@/ansible.cfg
worker:
  slots: 2
  drain_timeout: 1s
  on_shutdown: stop
"""

REMEDIATIONS_YML = """\
playbooks:
  restart-service:
    path: @REPOSITORY@/playbooks/restart_service.yml
    description: Start nginx again and wait until it answers
    vars:
      service_name: "{{ alert.labels.service }}"
      service_start: @NGINX_START@
      service_url: "{{ alert.labels.instance }}"
    timeout: 1m
    lock: "service/{{ alert.labels.service }}"
routes:
  - name: nginx-down
    matchers: ['alertname="NginxDown"', 'severity=~"critical|page"']
    playbook: restart-service
    verify: { resolved_within: 1m }
"""


class StackError(Exception):
    """Something of the stack failed; `log` is the file that says why, if there is one."""

    def __init__(self, message, log=None):
        super().__init__(message)
        self.log = log


def get(url, timeout=2.0):
    """The body of a 2xx answer, or None while there is none."""
    try:
        with HTTP.open(url, timeout=timeout) as answer:
            return answer.read().decode()
    except (OSError, ValueError):
        return None


def get_json(url, timeout=2.0):
    body = get(url, timeout)
    return None if body is None else json.loads(body)


def wait_for(what, condition, limit, *, log=None, alive=None, every=0.05):
    """Calls `condition` until it gives something true, and returns that."""
    deadline = time.monotonic() + limit
    while not (result := condition()):
        if alive and (dead := alive()):
            raise StackError(f"{what}: {dead} ended", log)
        if time.monotonic() > deadline:
            raise StackError(f"{what}: not within {limit:g} s", log)
        time.sleep(every)
    return result


def choose_ports(fixed):
    """A free loopback port for each name; a fixed one that is taken is an error."""
    ports = {}
    with contextlib.ExitStack() as held:
        for name in PORTS:
            candidates = [fixed[name]] if name in fixed else random.sample(PORT_RANGE, 200)
            for port in candidates:
                probe = held.enter_context(socket.socket())
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                ports[name] = port
                break
            else:
                raise StackError(f"port {candidates[0]} for {name} is taken" if name in fixed else "no free port found")
    return ports


def rendered(path, replacements):
    """The repository's own file with every one of `replacements` made; one that fits nowhere is an error."""
    text = (REPOSITORY / path).read_text()
    for old, new in replacements.items():
        if old not in text:
            raise StackError(f"{path} no longer has {old!r}, which {Path(__file__).name} replaces")
        text = text.replace(old, new)
    return text


def tail(path, lines=15):
    try:
        return Path(path).read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


# ---- processes

def parents():
    """{pid: parent's pid} of everything that runs."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The name in parentheses may itself hold anything.
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def descendants(roots):
    """`roots` and all that they began and is still theirs."""
    everyone, found, fresh = parents(), set(roots), set(roots)
    while fresh:
        fresh = {pid for pid, parent in everyone.items() if parent in fresh} - found
        found |= fresh
    return found


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def kill(pids, number=signal.SIGKILL):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ---- the stack

class Stack:
    """Everything that lives in one directory. `keep` lets it outlive this process."""

    def __init__(self, directory, ports, keep=False):
        self.dir = Path(directory).resolve()
        self.ports = ports
        self.keep = keep
        self.children = {}

    def url(self, name):
        return f"http://127.0.0.1:{self.ports[name]}"

    def log(self, name):
        return self.dir / "nginx/error.log" if name == "nginx" else self.dir / f"{name}.log"

    def nginx_argv(self):
        prefix = self.dir / "nginx"
        return [binary("nginx"), "-p", f"{prefix}/", "-e", f"{prefix}/error.log", "-c", f"{prefix}/nginx.conf"]

    def render(self):
        port = {name: f"127.0.0.1:{number}" for name, number in self.ports.items()}
        fill = {
            "@REPOSITORY@": str(REPOSITORY),
            "@ANSIBLE@": os.environ.get("ANSIBLE_PLAYBOOK", str(REPOSITORY / ".venv/bin/ansible-playbook")),
            "@NGINX_START@": json.dumps(self.nginx_argv()),
            "@NGINX@": str(self.ports["nginx"]),
            "@HEALGATE@": str(self.ports["healgate"]),
        }

        def filled(text):
            for mark, value in fill.items():
                text = text.replace(mark, value)
            return text

        files = {
            "prometheus/prometheus.yml": rendered("prometheus/prometheus.yml", {
                "127.0.0.1:8080": port["nginx"],
                "127.0.0.1:9115": port["blackbox"],
                "127.0.0.1:9093": port["alertmanager"],
                "127.0.0.1:8750": port["healgate"],
                "scrape_interval: 15s": "scrape_interval: 1s",
                "scrape_timeout: 5s": "scrape_timeout: 1s",
                "evaluation_interval: 15s": "evaluation_interval: 1s",
            }),
            "prometheus/rules/nginx.yml": rendered("prometheus/rules/nginx.yml", {"for: 30s": "for: 2s", "30 seconds": "2 seconds"}),
            "prometheus/blackbox.yml": rendered("prometheus/blackbox.yml", {"timeout: 3s": "timeout: 900ms"}),
            "alertmanager/alertmanager.yml": rendered("alertmanager/alertmanager.yml", {
                "127.0.0.1:8750": port["healgate"],
                "group_wait: 5s": "group_wait: 0s",
                "group_interval: 30s": "group_interval: 1s",
            }),
            "nginx/nginx.conf": filled(NGINX_CONF),
            "healgate.yml": filled(HEALGATE_YML),
            "remediations.yml": filled(REMEDIATIONS_YML),
        }
        for name, text in files.items():
            path = self.dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.dir / "state").mkdir(exist_ok=True)

    def start(self, limit=30.0):
        """Starts all peers and returns when Prometheus has seen nginx up and Alertmanager ready."""
        self.start_nginx()
        d, url = self.dir, self.url
        self.spawn("blackbox", [
            binary("blackbox"), f"--config.file={d}/prometheus/blackbox.yml",
            f"--web.listen-address=127.0.0.1:{self.ports['blackbox']}"])
        self.spawn("alertmanager", [
            binary("alertmanager"), f"--config.file={d}/alertmanager/alertmanager.yml",
            f"--storage.path={d}/state/alertmanager", "--cluster.listen-address=",
            f"--web.listen-address=127.0.0.1:{self.ports['alertmanager']}", f"--web.external-url={url('alertmanager')}"])
        self.spawn("prometheus", [
            binary("prometheus"), f"--config.file={d}/prometheus/prometheus.yml",
            f"--storage.tsdb.path={d}/state/prometheus", "--storage.tsdb.retention.time=1d",
            f"--web.listen-address=127.0.0.1:{self.ports['prometheus']}", f"--web.external-url={url('prometheus')}"])
        for name, path in (("nginx", "/"), ("blackbox", "/-/healthy"), ("alertmanager", "/-/ready"), ("prometheus", "/-/ready")):
            self.wait(f"{name} is ready", name, lambda name=name, path=path: get(url(name) + path), limit)
        self.wait("Prometheus sees nginx up", "prometheus", lambda: self.probe_success() == 1, limit)
        self.wait("Prometheus knows Alertmanager", "prometheus", self.alertmanager_is_known, limit)

    def start_nginx(self):
        try:
            with open(self.dir / "nginx/start.log", "wb") as log:
                subprocess.run(self.nginx_argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True, timeout=10)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise StackError(f"nginx did not start: {error}", self.dir / "nginx/start.log") from error

    def spawn(self, name, argv, env=None):
        """Starts a peer in a session of its own, so that a Ctrl-C reaches only us."""
        if not self.keep:
            # Should we be killed, it ends too.
            argv = ["setpriv", "--pdeathsig", "TERM", "--", *argv]
        with open(self.log(name), "ab") as log:
            self.children[name] = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir, env=env, start_new_session=True)
        self.save()

    def wait(self, what, name, condition, limit):
        def dead():
            child = self.children.get(name)
            return name if child and child.poll() is not None else None
        return wait_for(what, condition, limit, log=self.log(name), alive=dead)

    # -- what the peers say

    def probe_success(self):
        answer = get_json(f"{self.url('prometheus')}/api/v1/query?query=probe_success%7Bjob%3D%22nginx%22%7D")
        result = answer and answer["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    def alert_state(self):
        """pending, firing, or inactive: what Prometheus says of NginxDown."""
        answer = get_json(f"{self.url('prometheus')}/api/v1/alerts")
        states = [a["state"] for a in answer["data"]["alerts"] if a["labels"]["alertname"] == "NginxDown"] if answer else []
        return "inactive" if answer and not states else states[0] if states else None

    def alert_at_alertmanager(self):
        """Its NginxDown alerts that are not resolved, or None if it does not answer."""
        alerts = get_json(f"{self.url('alertmanager')}/api/v2/alerts")
        return None if alerts is None else [a for a in alerts if a["labels"]["alertname"] == "NginxDown"]

    def alertmanager_is_known(self):
        answer = get_json(f"{self.url('prometheus')}/api/v1/alertmanagers")
        return bool(answer and answer["data"]["activeAlertmanagers"])

    # -- nginx

    def nginx_pids(self):
        """Master and workers, whoever started them: the nginx processes that hold our error log."""
        log, found = str(self.dir / "nginx/error.log"), []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "comm").read_text() == "nginx\n":
                    if any(os.readlink(fd) == log for fd in (entry / "fd").iterdir()):
                        found.append(int(entry.name))
        return sorted(found)

    def kill_nginx(self):
        """SIGKILL to master and workers: nothing is left that could clean up. Returns their ids."""
        pids = self.nginx_pids()
        kill(pids)
        wait_for("nginx is gone", lambda: not self.nginx_pids(), 5)
        return pids

    # -- the end

    def facts(self):
        return {
            "dir": str(self.dir),
            "config": str(self.dir / "healgate.yml"),
            "ports": self.ports,
            "urls": {name: self.url(name) for name in self.ports},
            "pids": {**{name: child.pid for name, child in self.children.items()}, "nginx": (self.nginx_pids() or [None])[0]},
        }

    def save(self):
        (self.dir / "stack.json").write_text(json.dumps(self.facts()))

    def stop(self):
        """Ends all that was started here, and what that started."""
        pids = {name: child.pid for name, child in self.children.items()}
        end(self.dir, pids)
        for child in self.children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(5)
        self.children.clear()


def end(directory, pids):
    """Ends the stack of `directory`, whose processes had these `pids`."""
    # An id may long belong to something else: its command line must name the directory.
    ours = {pid for pid in pids.values() if pid and str(directory) in command_line(pid)}
    # Runs outlive a gateway on purpose: they are known by their directory.
    runs = {pid for pid in parents() if f"{directory}/var/runs/" in command_line(pid)} - {os.getpid()}
    family = descendants(ours | runs)
    kill(ours, signal.SIGTERM)
    deadline = time.monotonic() + 5
    while any(alive(pid) for pid in ours) and time.monotonic() < deadline:
        family |= descendants(ours)
        time.sleep(0.05)
    kill({pid for pid in family if alive(pid)})
    with contextlib.suppress(StackError):
        Stack(directory, {}).kill_nginx()


def clean(stack, directory, remove):
    if stack:
        stack.stop()
    if remove:
        shutil.rmtree(directory, ignore_errors=True)


def binary(name):
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin"
    found = shutil.which(BINARIES[name], path=path)
    if not found:
        raise StackError(f"{BINARIES[name]} is not installed: run `make deps`")
    return found


def work_directory(given, name="healgate-stack-"):
    """The directory to work in, and whether it is ours to remove."""
    if given is None:
        return Path(tempfile.mkdtemp(prefix=name)), True
    path = Path(given)
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise StackError(f"{path} is not empty")
    return path, False


def port_argument(text):
    name, _, number = text.partition("=")
    if name not in PORTS or not number.isdigit():
        raise argparse.ArgumentTypeError(f"NAME=NUMBER, where NAME is one of {', '.join(PORTS)}")
    return name, int(number)


class Stopped(Exception):
    """Someone wants us to end."""


def stop_on_signals():
    def stop(number, _frame):
        # A second one must not break into the cleaning up.
        ignore_signals()
        raise Stopped(signal.Signals(number).name)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def ignore_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("up", "render"))
    parser.add_argument("--dir", help="an empty directory to work in; kept afterwards (default: a temporary one)")
    parser.add_argument("--json", action="store_true", help="print what runs where as one JSON line")
    parser.add_argument("--port", action="append", default=[], type=port_argument, metavar="NAME=N", help="take this port")
    parser.add_argument("--gateway-port", type=int, metavar="N", help="where healgate listens or will listen")
    arguments = parser.parse_args()
    fixed = dict(arguments.port)
    if arguments.gateway_port:
        # The caller may listen there already.
        fixed.pop("healgate", None)
    stack, directory, remove = None, None, False
    stop_on_signals()
    try:
        directory, remove = work_directory(arguments.dir)
        ports = choose_ports(fixed)
        if arguments.gateway_port:
            ports["healgate"] = arguments.gateway_port
        stack = Stack(directory, ports)
        stack.render()
        if arguments.command == "render":
            remove = False
            print(json.dumps(stack.facts()))
            return 0
        stack.start()
        if arguments.json:
            print(json.dumps(stack.facts()), flush=True)
        else:
            for name in BINARIES:
                print(f"{name:13} {stack.url(name)}")
            print(f"{'directory':13} {stack.dir}\nCtrl-C ends it", flush=True)
        while os.read(0, 4096):
            pass
    except Stopped:
        pass
    except StackError as error:
        print(f"stack: {error}", file=sys.stderr)
        for line in tail(error.log) if error.log else []:
            print(f"    {line}", file=sys.stderr)
        return 1
    finally:
        ignore_signals()
        clean(stack, directory, remove)
    return 0


if __name__ == "__main__":
    sys.exit(main())
