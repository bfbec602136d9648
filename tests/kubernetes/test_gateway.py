"""The packaged files as the pod sees them, with the real gateway: the check, and an alert that restarts a Deployment."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import yaml
from api_server import Deployment
from scene import PACKAGE, PLAYBOOKS, ROOT, TOKEN, Scene

HEALGATE = Path(os.environ.get("HEALGATE", ROOT / "target" / "debug" / "healgate"))
ALERT = {
    "version": "4",
    "groupKey": "{}:{}",
    "status": "firing",
    "receiver": "healgate",
    "groupLabels": {},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager",
    "truncatedAlerts": 0,
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(look, seconds=90):
    """Waits until a look finds something, and gives it back."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError("it has not come to pass")
        time.sleep(0.1)


class Pod(Scene):
    def etc(self):
        """/etc/healgate as a projected volume makes it, by symbolic links, with this test's paths in place of the pod's."""
        etc, layer = self.folder / "etc", self.folder / "etc" / "..2026"
        files = {name: PACKAGE / "base" / name for name in ("remediations.yml", "hosts.yml", "ansible.cfg")}
        files |= {str(path.relative_to(ROOT)): path for path in PLAYBOOKS.rglob("*.yml")}
        for name, source in files.items():
            text = source.read_text().replace("/etc/healgate/kubeconfig.yml", str(self.folder / "kubeconfig.yml"))
            (layer / name).parent.mkdir(parents=True, exist_ok=True)
            (layer / name).write_text(text.replace("/run/secrets/cluster/token", str(self.folder / "token")))
        (etc / "..data").symlink_to(layer.name)
        for name in ("healgate.yml", "playbooks", "remediations.yml", "hosts.yml", "ansible.cfg"):
            (etc / name).symlink_to("..data/" + name)
        settings = yaml.safe_load((PACKAGE / "example" / "healgate.yml").read_text())
        settings["database"]["url"] = "sqlite://%s/var/healgate.db" % self.folder
        settings["data_dir"] = str(self.folder / "var")
        self.settings = settings
        self.write_settings()
        return etc

    def write_settings(self):
        (self.folder / "etc" / "healgate.yml").write_text(yaml.safe_dump(self.settings))

    def test_the_catalogue_and_the_settings_pass_the_check(self):
        self.cluster()
        etc = self.etc()
        run = subprocess.run(
            [HEALGATE, "check", "--config", etc / "healgate.yml"],
            env=self.environment(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def serve(self):
        """A gateway with tokens that are known here, and without peers, which this machine has not."""
        self.etc()
        port = free_port()
        self.url = "http://127.0.0.1:%d" % port
        self.settings["server"]["listen"] = "127.0.0.1:%d" % port
        for token in self.settings["auth"]["tokens"]:
            token["sha256"] = hashlib.sha256(token["name"].encode()).hexdigest()
        del self.settings["alertmanagers"], self.settings["prometheus"]
        self.write_settings()
        log = (self.folder / "serve.log").open("wb")
        self.addCleanup(log.close)
        gateway = subprocess.Popen(
            [HEALGATE, "serve", "--config", self.folder / "etc" / "healgate.yml"],
            env=self.environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.addCleanup(gateway.wait)
        self.addCleanup(gateway.kill)
        until(lambda: self.get("/readyz"))
        return gateway

    def get(self, path, body=None, token="prometheus"):
        request = urllib.request.Request(self.url + path, headers={"Authorization": "Bearer " + token})
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.read().decode()
        except (urllib.error.HTTPError, ConnectionError, urllib.error.URLError):
            return None

    def post(self, labels, status="firing", annotations=None):
        alert = {
            "status": status,
            "labels": labels,
            "annotations": annotations or {},
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "2026-01-01T00:05:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16],
        }
        answer = self.get("/webhooks/alertmanager", ALERT | {"status": status, "alerts": [alert]}, "alertmanager")
        self.assertIsNotNone(answer, "the webhook was refused")
        (decision,) = json.loads(answer)["decisions"]
        return decision

    def job(self, decision, *states):
        def look():
            job = json.loads(self.get("/api/v1/jobs/" + decision["job"]))
            self.assertNotEqual(job["status"], "failed", self.get("/api/v1/jobs/%s/log" % decision["job"]))
            return job if job["status"] in states else None

        return until(look)

    def test_an_alert_restarts_its_deployment_another_one_scales_it_and_the_gateway_ends_when_asked(self):
        web = Deployment("shop", "web")
        api = self.cluster(web)
        gateway = self.serve()
        down = {"alertname": "KubeDeploymentReplicasMismatch", "namespace": "shop", "deployment": "web"}
        decision = self.post(down)
        self.assertEqual((decision["decision"], decision["route"]), ("queued", "deployment-unavailable"), decision)
        job = self.job(decision, "verifying")
        self.assertEqual(job["target"], "deployment/shop/web")
        ((method, path, _, _, body),) = api.writes()
        self.assertEqual((method, path.split("/")[-1]), ("PATCH", "web"))
        cause = body["metadata"]["annotations"]["kubernetes.io/change-cause"]
        self.assertEqual(cause, "restarted by healgate, job " + job["id"])
        self.assertIn("Restart its pods", self.get("/api/v1/jobs/%s/log" % job["id"]))
        self.post(down, "resolved")
        self.assertEqual(self.job(decision, "succeeded")["reason"], "healed")

        busy = {"alertname": "DeploymentOverloaded", "namespace": "shop", "deployment": "web"}
        job = self.job(self.post(busy, annotations={"replicas": "5"}), "verifying")
        self.assertEqual((api.writes()[1][1].split("/")[-1], web.object["spec"]["replicas"]), ("scale", 5))
        self.assertNotIn(TOKEN, json.dumps(job) + self.get("/api/v1/jobs/%s/tasks" % job["id"]))
        decision = self.post(busy | {"namespace": "kube-system"}, annotations={"replicas": "5"})
        self.assertEqual(decision["decision"], "guarded")
        self.assertEqual(len(api.writes()), 2)

        gateway.send_signal(signal.SIGTERM)
        self.assertEqual(gateway.wait(60), 0, (self.folder / "serve.log").read_text())


if __name__ == "__main__":
    unittest.main()
