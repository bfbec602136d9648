#!/usr/bin/env python3
"""Kills a real nginx and tells how it is healed: Prometheus, Alertmanager, healgate, ansible-playbook.

    demo.py [--gateway PATH] [--json] [--keep] [--dir DIR] [--port NAME=N ...]
    demo.py --stop DIR          ends what `--keep` (or KEEP=1) left running

Everything runs on free loopback ports in a directory of its own, and is gone afterwards. The last line is
`healed in N s`. With --json each stage is one JSON line: {"stage", "at", "text", …}, where `at` is seconds since
nginx was killed; `output` has the playbook's lines, the last one is `healed` (with the summary) or `failed`.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

from stack import (
    REPOSITORY, Stack, StackError, Stopped, choose_ports, clean, end, get, get_json, ignore_signals, port_argument,
    stop_on_signals, tail, work_directory,
)

# What Ansible paints its output with.
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
FINISHED = ("succeeded", "failed", "canceled")


class Story:
    """Tells what happens: for people, or as JSON lines."""

    def __init__(self, as_json):
        self.as_json = as_json
        self.colours = not as_json and sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.begin = None
        # The playbook's output comes from another thread.
        self.lock = threading.Lock()

    def at(self, moment=None):
        return (moment or time.time()) - self.begin if self.begin else None

    def tell(self, stage, text, moment=None, **facts):
        at = self.at(moment)
        with self.lock:
            if self.as_json:
                line = json.dumps({"stage": stage, "at": None if at is None else round(at, 3), "text": text, **facts})
            else:
                clock = "        " if at is None else f"{at:6.1f} s"
                line = f"{self.paint('2', clock)}  {text}"
            print(line, flush=True)

    def output(self, line):
        if not self.colours:
            line = COLOURS.sub("", line)
        with self.lock:
            if self.as_json:
                print(json.dumps({"stage": "output", "at": round(self.at(), 3), "line": line}), flush=True)
            else:
                print(f"          {self.paint('2', '|')} {line}", flush=True)

    def paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.colours else text


class LogFollower(threading.Thread):
    """Prints a job's log as it comes, over server-sent events, and resumes where a broken stream ended."""

    def __init__(self, port, job, story):
        super().__init__(daemon=True)
        self.port, self.job, self.story = port, job, story
        self.last_id, self.partial, self.end = None, "", None

    def run(self):
        deadline = time.monotonic() + 120
        while self.end is None and time.monotonic() < deadline:
            try:
                self.follow()
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)

    def follow(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            resume = {"Last-Event-ID": self.last_id} if self.last_id else {}
            connection.request("GET", f"/api/v1/jobs/{self.job}/log/stream", headers={"Accept": "text/event-stream", **resume})
            answer = connection.getresponse()
            if answer.status != 200:
                raise OSError(f"the log stream answers {answer.status}")
            event = {}
            for raw in answer:
                line = raw.decode().rstrip("\r\n")
                if line:
                    field, _, value = line.partition(":")
                    event[field] = value.removeprefix(" ")
                elif event:
                    self.handle(event)
                    event = {}
        finally:
            connection.close()

    def handle(self, event):
        self.last_id = event.get("id", self.last_id)
        if event.get("event") == "log":
            *lines, self.partial = (self.partial + json.loads(event["data"])).split("\n")
            for line in lines:
                if line.strip():
                    self.story.output(line)
        elif event.get("event") == "end":
            if self.partial.strip():
                self.story.output(self.partial)
            self.end = json.loads(event["data"])


class ServiceWatch(threading.Thread):
    """Tells when nginx answers again, whatever else is going on."""

    def __init__(self, url, story):
        super().__init__(daemon=True)
        self.url, self.story, self.answered_at = url, story, None

    def run(self):
        while get(self.url, timeout=1) is None:
            time.sleep(0.02)
        self.answered_at = time.time()
        self.story.tell("answers", "nginx answers again", self.answered_at)


def seconds(text):
    """An RFC 3339 time as seconds since the epoch."""
    head, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(head + "+00:00").timestamp() + float(f"0.{fraction or 0}")


class Demo:
    def __init__(self, stack, story):
        self.stack, self.story = stack, story
        self.stage = "start"

    def api(self, path):
        return get_json(f"{self.stack.url('healgate')}/api/v1/{path}")

    def job(self):
        """The one job of this demo, or None."""
        answer = self.api("jobs?alertname=NginxDown&limit=1")
        return answer["items"][0] if answer and answer["items"] else None

    def until(self, stage, what, name, condition, limit=15.0):
        """Waits for the next thing to happen; `name` is the part of the stack whose log says why it did not."""
        self.stage = stage
        return self.stack.wait(what, name, condition, limit)

    def run(self, gateway):
        self.start(gateway)
        self.kill()
        self.alert()
        job = self.playbook(self.job_of_the_alert())
        return self.resolve(job)

    def start(self, gateway):
        stack, tell = self.stack, self.story.tell
        self.stage = "start"
        if not os.access(gateway, os.X_OK):
            raise StackError(f"{gateway} is missing: run `make build`")
        tell("starting", f"starting nginx, Prometheus, Alertmanager and healgate in {stack.dir}", dir=str(stack.dir))
        stack.render()
        stack.spawn("healgate", [str(gateway), "serve", "--config", f"{stack.dir}/healgate.yml"])
        stack.start()
        self.until("start", "healgate is ready", "healgate", lambda: get(f"{stack.url('healgate')}/readyz") is not None)
        stack.save()
        tell("ready", f"all are up: nginx {stack.url('nginx')}, healgate {stack.url('healgate')}", **stack.facts())

    def kill(self):
        self.stage = "kill"
        self.story.begin = time.time()
        pids = self.stack.kill_nginx()
        self.watch = ServiceWatch(self.stack.url("nginx"), self.story)
        self.story.tell("killed", f"nginx is killed (SIGKILL to {', '.join(map(str, pids))})", self.story.begin, pids=pids)
        self.watch.start()

    def alert(self):
        stack, tell, until = self.stack, self.story.tell, self.until
        until("probe_failed", "Prometheus' probe fails", "prometheus", lambda: stack.probe_success() == 0)
        tell("probe_failed", "Prometheus: the probe fails")
        until("pending", "the alert is pending", "prometheus", lambda: stack.alert_state() in ("pending", "firing"))
        tell("pending", "Prometheus: NginxDown is pending")
        until("firing", "the alert fires", "prometheus", lambda: stack.alert_state() == "firing")
        tell("firing", "Prometheus: NginxDown fires")
        alert = until("alertmanager", "Alertmanager has the alert", "alertmanager", stack.alert_at_alertmanager)[0]
        tell("alertmanager", f"Alertmanager: has it, fingerprint {alert['fingerprint']}", fingerprint=alert["fingerprint"])

    def job_of_the_alert(self):
        """Follows the notification into its job."""
        def first_notification():
            answer = self.api("notifications?limit=50")
            return answer["items"][-1] if answer and answer["items"] else None
        self.notification = self.until("notified", "healgate has the notification", "healgate", first_notification)
        received = seconds(self.notification["received_at"])
        self.story.tell("notified", "healgate: notification received", received, notification=self.notification["id"])
        job = self.until("queued", "the alert has a job", "healgate", self.job)
        self.story.tell("queued", f"healgate: job {job['id']} for {job['playbook']} on {job['target']}",
                        seconds(job["created_at"]), job=job["id"])
        return job

    def playbook(self, job):
        follower = LogFollower(self.stack.ports["healgate"], job["id"], self.story)
        running = self.until("running", "the playbook runs", "healgate",
                             lambda: (now := self.job()) and now["attempts"] and now["attempts"][0].get("started_at") and now, 30)
        self.story.tell("running", "healgate: ansible-playbook runs", seconds(running["attempts"][0]["started_at"]))
        follower.start()
        self.until("playbook", "the playbook's log ends", "healgate", lambda: follower.end, 90)
        job = self.job()
        attempt = job["attempts"][-1]
        if attempt["outcome"] != "ok":
            raise StackError(f"the playbook ended with {attempt['outcome']}", self.stack.log("healgate"))
        self.story.tell("ran", f"healgate: the playbook ended well, the job is {job['status']}", seconds(attempt["finished_at"]),
                        status=job["status"], host_stats=attempt["host_stats"])
        self.until("answers", "nginx answers", "nginx", lambda: self.watch.answered_at)
        return job

    def resolve(self, job):
        stack, tell, until = self.stack, self.story.tell, self.until
        until("probe_ok", "Prometheus' probe succeeds", "prometheus", lambda: stack.probe_success() == 1)
        tell("probe_ok", "Prometheus: the probe succeeds")
        until("resolved", "the alert resolves", "prometheus", lambda: stack.alert_state() == "inactive")
        tell("resolved", "Prometheus: NginxDown is resolved")
        until("alertmanager_resolved", "Alertmanager resolves it", "alertmanager", lambda: stack.alert_at_alertmanager() == [])
        tell("alertmanager_resolved", "Alertmanager: resolved")

        def finished():
            now = self.job()
            return now if now and now["status"] in FINISHED else None
        job = until("job_healed", "healgate learns of the resolve", "healgate", finished, 30)
        if not job["healed_at"]:
            raise StackError(f"the job ended {job['status']}, {job['reason']}", stack.log("healgate"))
        tell("job_healed", f"healgate: job {job['status']}, reason {job['reason']}", seconds(job["healed_at"]),
             status=job["status"], reason=job["reason"])
        return job

    def summary(self, job):
        """Where the time went, in seconds."""
        begin, attempt = self.story.begin, job["attempts"][-1]
        received = seconds(self.notification["received_at"])
        started, finished = seconds(attempt["started_at"]), seconds(attempt["finished_at"])
        tasks = self.api(f"jobs/{job['id']}/tasks")
        in_tasks = sum(task.get("seconds") or 0 for task in tasks["items"]) if tasks else 0.0
        return {
            "kill_to_healed": seconds(job["healed_at"]) - begin,
            "service_down": self.watch.answered_at - begin,
            "kill_to_notification": received - begin,
            "notification_to_start": started - received,
            "run": finished - started,
            "run_in_tasks": in_tasks,
            "gateway_and_ansible_start": finished - received - in_tasks,
            # The alert may resolve before the last task has ended.
            "run_end_to_healed": max(0.0, seconds(job["healed_at"]) - finished),
        }


LABELS = {
    "kill_to_notification": "Prometheus and Alertmanager noticed and told healgate",
    "notification_to_start": "healgate stored it, decided and started the playbook",
    "run": "ansible-playbook ran",
    "run_in_tasks": "  of that in its tasks",
    "gateway_and_ansible_start": "from notification to run's end without the tasks",
    "run_end_to_healed": "until the resolve came back",
    "service_down": "nginx was down for",
}


def finish(story, figures):
    total = figures["kill_to_healed"]
    if story.as_json:
        story.tell("healed", f"healed in {total:.1f} s", seconds=round(total, 3), summary={k: round(v, 3) for k, v in figures.items()})
        return
    print()
    for key, label in LABELS.items():
        print(f"{figures[key]:8.2f} s  {label}")
    print()


def report_failure(story, demo, stack, error):
    log = getattr(error, "log", None) or (stack.log("healgate") if stack else None)
    lines = tail(log) if log else []
    stage = demo.stage if demo else "start"
    if story.as_json:
        story.tell("failed", str(error), failed_stage=stage, log=str(log), log_tail=lines)
        return
    print(f"\n{story.paint('31', 'failed')} at stage {stage}: {error}", file=sys.stderr)
    if lines:
        print(f"the end of {log}:", file=sys.stderr)
    for line in lines:
        print(f"    {line}", file=sys.stderr)


def say_what_is_kept(stack):
    print("left running:")
    for name in stack.ports:
        print(f"  {name:13} {stack.url(name)}")
    print(f"  kill nginx again: kill -9 {' '.join(map(str, stack.nginx_pids()))}")
    print(f"  stop all:         python3 {Path(__file__).relative_to(REPOSITORY)} --stop {stack.dir}\n")


def stop_kept(directory):
    directory = Path(directory).resolve()
    try:
        facts = json.loads((directory / "stack.json").read_text())
    except (OSError, ValueError) as error:
        print(f"{directory} is not a demo's directory: {error}", file=sys.stderr)
        return 1
    end(directory, facts["pids"])
    shutil.rmtree(directory)
    print(f"stopped and removed {directory}")
    return 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", default=REPOSITORY / "target/debug/healgate", type=Path, help="the binary (default: target/debug/healgate)")
    parser.add_argument("--json", action="store_true", help="tell the story as JSON lines")
    parser.add_argument("--keep", action="store_true", default=os.environ.get("KEEP", "") not in ("", "0"), help="leave all running; also KEEP=1")
    parser.add_argument("--dir", help="an empty directory to work in; kept afterwards")
    parser.add_argument("--port", action="append", default=[], type=port_argument, metavar="NAME=N", help="take this port")
    parser.add_argument("--stop", metavar="DIR", help="end what --keep left running")
    return parser.parse_args()


def main():
    arguments = parse()
    if arguments.stop:
        return stop_kept(arguments.stop)
    story = Story(arguments.json)
    stack, demo, directory, remove, kept, figures = None, None, None, False, False, None
    stop_on_signals()
    try:
        directory, remove = work_directory(arguments.dir, "healgate-demo-")
        stack = Stack(directory, choose_ports(dict(arguments.port)), keep=arguments.keep)
        demo = Demo(stack, story)
        figures = demo.summary(demo.run(arguments.gateway.resolve()))
        kept = arguments.keep
    except Stopped as stopped:
        story.tell("stopped", f"stopped by {stopped}: cleaning up")
        return 130
    except (StackError, KeyError, ValueError) as error:
        report_failure(story, demo, stack, error)
        return 1
    finally:
        ignore_signals()
        if not kept:
            clean(stack, directory, remove)
    finish(story, figures)
    if kept:
        say_what_is_kept(stack)
    if not story.as_json:
        print(f"healed in {figures['kill_to_healed']:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
