#!/usr/bin/env python3
"""Records what the real Alertmanager posts, byte for byte, into tests/fixtures/alertmanager/.

    record_fixtures.py [--to DIR] [NAME ...]

Each case gets an Alertmanager of its own with short intervals. It is given alerts through its API, with fixed times,
and a small receiver keeps the bodies: the same alerts give the same bytes. README.md there says what each file is.
"""

import argparse
import contextlib
import http.server
import json
import queue
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path

from stack import HTTP, REPOSITORY, binary, choose_ports, get, wait_for

START, END = "2026-01-31T09:00:10.123Z", "2026-01-31T09:04:10.456Z"
FAR = "2999-01-01T00:00:00Z"


def alert(labels, annotations=None, *, resolved=False, start=START, generator="http://prometheus.example:9090/graph?g0.expr=probe_success+%3D%3D+0&g0.tab=1"):
    return {
        "labels": {"alertname": "NginxDown", "severity": "critical", **labels},
        "annotations": {"summary": "nginx does not answer"} if annotations is None else annotations,
        "startsAt": start, "endsAt": END if resolved else FAR, "generatorURL": generator,
    }


def host(name, **more):
    return alert({"instance": f"{name}:9113", "job": "nginx"}, **more)


HOSTILE = {
    "instance": "{{ lookup('pipe', 'touch /tmp/owned') }}",
    "jinja": "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "quotes": "it's a \"quoted\" `value` \\ with a backslash",
    "newlines": "first\nsecond\r\n\tthird: [yaml, {is: here}]",
    "shell": "$(touch /tmp/owned); rm -rf / & | > <",
    "yaml": "!unsafe &anchor *alias # no comment",
    "limit": "all,!web1:&db*",
    "option": "--extra-vars=@/etc/passwd",
    "markup": "<script>alert(1)</script>",
    "terminal": "\x1b[2J\x1b[31mred\x07",
    "empty_looking": "\u200b\u202e",
}

# Each step: alerts to post, and the file that the next notification goes to. An empty list posts nothing: the next
# notification is a repeat.
CASES = {
    "single": {"steps": [
        ([host("web1")], "firing_single"),
        ([host("web1", resolved=True)], "resolved_single"),
    ]},
    "group": {"steps": [
        ([host("web1"), host("web2"), host("web3")], "firing_group"),
        ([host("web2", resolved=True)], "firing_group_one_resolved"),
        ([host("web1", resolved=True), host("web3", resolved=True)], "resolved_group"),
    ]},
    "repeat": {"repeat": "1s", "steps": [([host("web1")], "repeat_first"), ([], "repeat_second")]},
    "truncated": {"max_alerts": 2, "steps": [([host(f"web{n}") for n in range(1, 6)], "firing_truncated")]},
    "receiver": {"receiver": "web.hook+1", "steps": [([host("web1")], "firing_receiver_escaped")]},
    "bare": {"group_by": "[]", "steps": [
        ([alert({}, {}, generator="")], "firing_empty_annotations"),
    ]},
    "utf8": {"steps": [
        ([alert({"instance": "wéb-ä:9113", "standort": "Zürich 東京 🚑"}, {"summary": "nginx antwortet nicht – größer als ∞"})], "firing_utf8"),
    ]},
    "hostile": {"steps": [
        ([alert(HOSTILE, {"summary": HOSTILE["instance"], "description": HOSTILE["newlines"]})], "firing_hostile"),
    ]},
    "large": {"steps": [
        ([host(f"web{n:04}") for n in range(1, 2001)], "firing_2000"),
    ]},
}


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps every body."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.bodies = queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.bodies.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def configuration(case, url):
    return f"""\
route:
  receiver: {case.get("receiver", "healgate")}
  group_by: {case.get("group_by", "[alertname]")}
  group_wait: 500ms
  group_interval: 1s
  repeat_interval: {case.get("repeat", "4h")}
receivers:
  - name: {case.get("receiver", "healgate")}
    webhook_configs:
      - url: {url}
        send_resolved: true
        max_alerts: {case.get("max_alerts", 0)}
"""


@contextlib.contextmanager
def alertmanager(case, receiver):
    port = choose_ports({})["alertmanager"]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="healgate-fixtures-") as directory:
        config = Path(directory, "alertmanager.yml")
        config.write_text(configuration(case, f"http://127.0.0.1:{receiver.server_port}/"))
        with open(Path(directory, "log"), "wb") as log:
            process = subprocess.Popen(
                [binary("alertmanager"), f"--config.file={config}", f"--storage.path={directory}/data", "--cluster.listen-address=",
                 f"--web.listen-address=127.0.0.1:{port}", "--web.external-url=http://alertmanager.example:9093", "--web.route-prefix=/"],
                stdout=log, stderr=log)
        try:
            wait_for("Alertmanager is ready", lambda: get(f"{url}/-/ready"), 15, log=Path(directory, "log"))
            yield url
        finally:
            process.terminate()
            process.wait(10)


def post(url, alerts):
    request = urllib.request.Request(f"{url}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"})
    with HTTP.open(request, timeout=10):
        pass


def complete(receiver, alerts):
    """The first body that has all of `alerts`: as these began long ago, Alertmanager may send the first ones before it read the rest."""
    resolved = sum(alert["endsAt"] == END for alert in alerts)
    while True:
        body = receiver.bodies.get(timeout=20)
        told = json.loads(body)
        ended = sum(alert["status"] == "resolved" for alert in told["alerts"])
        if len(told["alerts"]) + told["truncatedAlerts"] >= len(alerts) and ended >= resolved:
            return body


def record(name, case, directory):
    receiver = Receiver()
    with alertmanager(case, receiver) as url:
        for alerts, file in case["steps"]:
            if alerts:
                post(url, alerts)
            body = complete(receiver, alerts)
            (directory / f"{file}.json").write_bytes(body)
            print(f"{name}: {file}.json, {len(body)} bytes, {json.loads(body)['status']}")
    receiver.shutdown()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=REPOSITORY / "tests/fixtures/alertmanager")
    parser.add_argument("cases", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)} (default: all)")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    for name in arguments.cases or CASES:
        record(name, CASES[name], arguments.to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
