"""Follows one break to its end: the alert fires, a job runs, the alert is inactive again; and keeps where the time went.

What it measured is kept in target/scenarios, one file for each scenario; scripts/scenario_table.py makes the table of
docs/scenarios.md from that.
"""

import json
import time
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MEASURED = REPOSITORY / "target/scenarios"
FIRE_LIMIT = 120
HEAL_LIMIT = 180
ENDED = ("succeeded", "failed", "canceled")
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def until(what, limit, condition):
    """Waits for a condition, and answers with what it found."""
    deadline = time.monotonic() + limit
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit} s: {what}")
        time.sleep(0.2)
    return found


def get(url):
    """What a JSON address says; None if it says nothing."""
    try:
        with HTTP.open(url, timeout=5) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


def post(url, body, token=None):
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    with HTTP.open(request, timeout=10) as answer:
        return json.load(answer)


def seconds(text):
    """An RFC 3339 time as seconds since the epoch."""
    head, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(head + "+00:00").timestamp() + float(f"0.{fraction or 0}")


@dataclass
class Peers:
    """Where Prometheus and healgate answer."""

    prometheus: str = "http://127.0.0.1:9090"
    healgate: str = "http://127.0.0.1:8750"
    # An operator's, where the gateway wants one.
    token: str | None = None

    def values(self, *metrics):
        """What Prometheus has for these metrics, over all their series."""
        answers = [get(f"{self.prometheus}/api/v1/query?query={metric}") for metric in metrics]
        return {series["value"][1] for answer in answers for series in (answer["data"]["result"] if answer else [])}

    def firing(self, alertname):
        """The labels of its firing alerts."""
        answer = get(f"{self.prometheus}/api/v1/alerts")
        alerts = answer["data"]["alerts"] if answer else []
        return [alert["labels"] for alert in alerts if alert["labels"]["alertname"] == alertname and alert["state"] == "firing"]

    def jobs(self, alertname=None):
        """The newest first."""
        answer = get(f"{self.healgate}/api/v1/jobs" + (f"?alertname={alertname}" if alertname else ""))
        return answer["items"] if answer else []

    def run(self, playbook, **body):
        """Runs a playbook by hand; the job, once it has ended."""
        return self.ended(post(f"{self.healgate}/api/v1/jobs", {"playbook": playbook, **body}, self.token)["id"])

    def log(self, job):
        with HTTP.open(f"{self.healgate}/api/v1/jobs/{job}/log", timeout=5) as answer:
            return answer.read().decode()

    def ended(self, job):
        """The job once it has ended, whatever became of it."""

        def look():
            found = get(f"{self.healgate}/api/v1/jobs/{job}")
            return found if found and found["status"] in ENDED else None

        return until(f"job {job} ends", HEAL_LIMIT, look)


def heals(peers, alertname, break_it, scenario=None, broken=None, rungs=1):
    """Breaks something and follows the alert until it is inactive again. Answers with the job that healed it: the first and
    only one, or that of the given rung of the ladder.

    `scenario` and `broken` name it in the table; without them nothing is kept.
    """
    known = {job["id"] for job in peers.jobs(alertname)}
    begin = time.time()
    break_it()
    until(f"{alertname} fires", FIRE_LIMIT, lambda: peers.firing(alertname))
    fired = time.time()
    ended = []
    while len(ended) < rungs:
        job = until("the alert has a job", 60, lambda: [
            job for job in peers.jobs(alertname) if job["id"] not in known.union(job["id"] for job in ended)])[-1]
        ended.append(peers.ended(job["id"]))
    job = ended[-1]
    if (job["status"], job["reason"]) != ("succeeded", "healed"):
        raise AssertionError(f"{json.dumps(job, indent=1)}\n{peers.log(job['id'])}")
    until("the alert is inactive", 60, lambda: not peers.firing(alertname))
    made = [job["id"] for job in peers.jobs(alertname) if job["id"] not in known]
    if len(made) != rungs:
        raise AssertionError(f"one break made {len(made)} jobs: {made}")
    first, attempts = ended[0]["attempts"][-1], [attempt for job in ended for attempt in job["attempts"]]
    measured = {
        "broken": broken,
        # It may be notified before we look.
        "detected": min(fired, seconds(ended[0]["created_at"])) - begin,
        "started": seconds(first["started_at"]) - begin,
        "healed": seconds(job["healed_at"]) - begin,
        # From the notification to the start of the playbook.
        "healgate": seconds(first["started_at"]) - seconds(ended[0]["created_at"]),
        "playbook": sum(seconds(attempt["finished_at"]) - seconds(attempt["started_at"]) for attempt in attempts),
    }
    told = ", ".join(f"{name} {value:.2f} s" for name, value in measured.items() if name != "broken")
    print(f"\n{scenario or ''} {alertname}: {told}", flush=True)
    if scenario:
        MEASURED.mkdir(parents=True, exist_ok=True)
        (MEASURED / f"{scenario}.json").write_text(json.dumps(measured) + "\n")
    return job


def changes_nothing(test, playbook, **body):
    """While all is well the playbook succeeds and changes nothing, and in check mode too."""
    for check in (False, True):
        with test.subTest(playbook=playbook, check=check):
            job = test.peers.run(playbook, check=check, **body)
            test.assertEqual(job["status"], "succeeded", test.peers.log(job["id"]))
            stats = job["attempts"][-1]["host_stats"]
            test.assertEqual({host: stat["changed"] for host, stat in stats.items()}, dict.fromkeys(stats, 0))
