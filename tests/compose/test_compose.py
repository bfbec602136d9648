"""docker-compose.yml as it is, on a Docker daemon of the test's own: all comes up, what is broken is healed, and the
gateway can do no more to the engine than that.

Images that cannot be pulled are made from Debian's packages (scripts/images). healgate's holds target/debug/healgate, which
`make test` has compiled; HEALGATE_BINARY names another.
"""

import json
import os
import subprocess
import sys
import time
import unittest
import urllib.request
from datetime import datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "scripts"))

from engine import BUILDING, Engine, leave_the_network  # noqa: E402

SERVICES = ("alertmanager", "blackbox", "engine", "healgate", "mail", "nginx", "nginx-exporter", "node-exporter", "prometheus")
# Of the Debian that the image is made of: what was compiled with a newer one would not start there.
NEWEST_LIBC = (2, 36)
UP_LIMIT = 180
HEAL_LIMIT = 120
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def until(what, limit, condition):
    deadline = time.monotonic() + limit
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit} s: {what}")
        time.sleep(0.2)
    return found


def get(url):
    try:
        with HTTP.open(url, timeout=5) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


def seconds(text):
    """An RFC 3339 time as seconds since the epoch."""
    head, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(head + "+00:00").timestamp() + float(f"0.{fraction or 0}")


def image_target():
    """Packs the binary that is there, if it would run in the image; otherwise the image compiles its own."""
    binary = Path(os.environ.get("HEALGATE_BINARY", REPOSITORY / "target/debug/healgate"))
    libc = tuple(map(int, os.confstr("CS_GNU_LIBC_VERSION").split()[1].split(".")[:2]))
    if libc > NEWEST_LIBC or not binary.exists():
        return "healgate"
    packed = REPOSITORY / "target/image/healgate"
    packed.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["strip", "-o", packed, binary], check=True)
    return "packed"


class Compose(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            print("\nSKIPPED: docker-compose.yml is not tested: a Docker daemon needs root\n", file=sys.stderr)
            raise unittest.SkipTest("a Docker daemon needs root")
        cls.engine = Engine()
        # Class cleanups also run where setUpClass fails.
        cls.addClassCleanup(cls.engine.stop)
        cls.engine.start(*BUILDING)
        begin = time.monotonic()
        subprocess.run([REPOSITORY / "scripts/images"], env=cls.engine.environment(), check=True)
        print(f"images are there after {time.monotonic() - begin:.0f} s", flush=True)
        cls.engine.must("docker", "build", "--network", "host", "--target", image_target(), "--tag", "healgate:0.1.0", ".")
        print(f"healgate's image is built after {time.monotonic() - begin:.0f} s", flush=True)
        cls.engine.stop()
        leave_the_network()
        cls.engine.start()
        cls.command = ["docker", "compose"] if cls.engine.call("docker", "compose", "version").returncode == 0 else ["docker-compose"]
        cls.addClassCleanup(cls.compose, "down", "--volumes", "--timeout", "2")
        begin = time.monotonic()
        cls.compose("up", "--detach")
        until("all containers are healthy", UP_LIMIT, lambda: set(cls.health().values()) == {"healthy"})
        until("Prometheus sees nginx, by both ways", 60, lambda: cls.values("probe_success", "nginx_up") == {"1"})
        print(f"all are up and healthy after {time.monotonic() - begin:.0f} s", flush=True)

    @classmethod
    def compose(cls, *arguments):
        return cls.engine.must(*cls.command, "--project-name", "healgate-test", *arguments)

    @classmethod
    def health(cls):
        """Service → what its health check says."""
        health = dict.fromkeys(SERVICES)
        for container in json.loads(cls.engine.must("docker", "inspect", *cls.engine.must("docker", "ps", "-aq").split())):
            name = container["Config"]["Labels"]["com.docker.compose.service"]
            health[name] = container["State"].get("Health", {}).get("Status", "no health check")
        return health

    @classmethod
    def values(cls, *metrics):
        """What Prometheus has for these metrics, over all their series."""
        answers = [get(f"http://127.0.0.1:9090/api/v1/query?query={metric}") for metric in metrics]
        return {series["value"][1] for answer in answers for series in (answer["data"]["result"] if answer else [])}

    def jobs(self, alertname):
        answer = get(f"http://127.0.0.1:8750/api/v1/jobs?alertname={alertname}")
        return answer["items"] if answer else []

    def firing(self, alertname):
        answer = get("http://127.0.0.1:9090/api/v1/alerts")
        alerts = answer["data"]["alerts"] if answer else []
        return any(alert["labels"]["alertname"] == alertname and alert["state"] == "firing" for alert in alerts)

    def in_healgate(self, *command):
        return self.engine.call("docker", "exec", "--env", "DOCKER_HOST=tcp://engine:2375", self.container("healgate"), *command)

    def container(self, service):
        return self.compose("ps", "-q", service).strip()

    def heals(self, alertname, container, story):
        """Breaks something and follows the alert until it is inactive again; prints where the time went."""
        known = {job["id"] for job in self.jobs(alertname)}
        mails = get("http://127.0.0.1:8025/api/v1/messages")["total"]
        begin = time.time()
        story()
        until(f"{alertname} fires", HEAL_LIMIT, lambda: self.firing(alertname))
        fired = time.time()
        until("the alert has a job", 30, lambda: {job["id"] for job in self.jobs(alertname)} - known)

        def finished():
            job = self.jobs(alertname)[0]
            return job if job["id"] not in known and job["status"] in ("succeeded", "failed", "canceled") else None
        job = until("the job is finished", HEAL_LIMIT, finished)
        self.assertEqual((job["status"], job["reason"]), ("succeeded", "healed"), job)
        self.assertEqual(job["target"], f"container/{container}")
        self.assertEqual(len({job["id"] for job in self.jobs(alertname)} - known), 1, "one break, one job")
        until("the alert is inactive", 30, lambda: not self.firing(alertname))
        until("a mail tells of it", 30, lambda: get("http://127.0.0.1:8025/api/v1/messages")["total"] > mails)
        attempt = job["attempts"][-1]
        started, ended, healed = (seconds(text) for text in (attempt["started_at"], attempt["finished_at"], job["healed_at"]))
        self.assertLess(healed - begin, HEAL_LIMIT)
        created = seconds(job["created_at"])
        print(
            f"\n{alertname}: break → detected {fired - begin:.1f} s → started {started - begin:.1f} s → healed "
            f"{healed - begin:.1f} s; of that from notification to start {started - created:.2f} s, "
            f"the playbook {ended - started:.1f} s", flush=True)
        return job

    def test_1_every_service_has_a_health_check_that_passes(self):
        self.assertEqual(self.health(), dict.fromkeys(SERVICES, "healthy"))

    def test_2_a_stopped_nginx_is_healed(self):
        self.heals("NginxDown", "nginx-demo", lambda: self.engine.must("docker", "stop", "nginx-demo"))
        mail = get("http://127.0.0.1:8025/api/v1/messages")["messages"][0]
        self.assertIn("healed: NginxDown", mail["Subject"])
        self.assertEqual([person["Address"] for person in mail["To"]], ["ops@example.org"])

    def test_3_an_nginx_that_hangs_is_healed(self):
        # It runs, and answers nobody.
        self.heals("NginxDown", "nginx-demo", lambda: self.engine.must("docker", "pause", "nginx-demo"))

    def test_4_a_stopped_node_exporter_is_healed(self):
        self.heals("NodeExporterDown", "node-exporter", lambda: self.engine.must("docker", "stop", "node-exporter"))

    def test_5_the_engine_refuses_all_that_healing_does_not_need(self):
        inspected = self.in_healgate("docker", "inspect", "--type", "container", "nginx-demo")
        self.assertEqual(inspected.returncode, 0, inspected.stderr)
        prometheus = self.container("prometheus")
        for command in (
            ["ps"], ["images"], ["info"], ["logs", "nginx-demo"], ["exec", "nginx-demo", "true"], ["rm", "-f", "nginx-demo"],
            ["cp", "nginx-demo:/etc/passwd", "-"], ["restart", prometheus], ["inspect", "--type", "container", prometheus],
            ["kill", "nginx-demo"], ["create", "healgate:0.1.0"], ["volume", "ls"], ["restart", "nginx-demo/../engine"],
        ):
            with self.subTest(command=command):
                refused = self.in_healgate("docker", *command)
                self.assertNotEqual(refused.returncode, 0, refused.stdout)
                self.assertRegex(refused.stdout + refused.stderr, "(?i)forbidden|403|invalid")

    def test_6_nothing_runs_as_root_but_what_holds_the_socket(self):
        for service in SERVICES:
            state = json.loads(self.engine.must("docker", "inspect", self.container(service)))[0]
            with self.subTest(service=service):
                user = state["Config"]["User"].split(":")[0]
                self.assertEqual(user in ("", "0", "root"), service == "engine", user)
                self.assertTrue(state["HostConfig"]["ReadonlyRootfs"])
                self.assertEqual(state["HostConfig"]["CapDrop"], ["ALL"])
                sockets = [mount for mount in state["Mounts"] if "docker.sock" in mount["Destination"]]
                self.assertEqual(bool(sockets), service == "engine")
        self.assertEqual(self.in_healgate("id", "-u").stdout.strip(), "10001")


if __name__ == "__main__":
    unittest.main()
