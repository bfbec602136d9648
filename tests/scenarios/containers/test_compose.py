"""docker-compose.yml as it is: all comes up, what is broken is healed, and the gateway can do no more to the engine than
that."""

import unittest

from stage import Stage
from story import get, heals, until

SERVICES = ("alertmanager", "blackbox", "engine", "healgate", "mail", "nginx", "nginx-exporter", "node-exporter", "prometheus")


def mails():
    return get("http://127.0.0.1:8025/api/v1/messages")


class Compose(Stage):
    well = ("probe_success", "nginx_up")

    def in_healgate(self, *command):
        return self.engine.call("docker", "exec", "--env", "DOCKER_HOST=tcp://engine:2375", self.container("healgate"), *command)

    def heals(self, alertname, container, *command, **row):
        before = mails()["total"]
        job = heals(self.peers, alertname, lambda: self.engine.must(*command), **row)
        self.assertEqual(job["target"], f"container/{container}")
        until("a mail tells of it", 30, lambda: mails()["total"] > before)

    def test_1_every_service_has_a_health_check_that_passes(self):
        self.assertEqual(self.health(), dict.fromkeys(SERVICES, "healthy"))

    def test_2_a_stopped_nginx_is_healed(self):
        self.heals("NginxDown", "nginx-demo", "docker", "stop", "nginx-demo",
                   scenario="docker-compose", broken="`docker stop nginx-demo`")
        mail = mails()["messages"][0]
        self.assertIn("healed: NginxDown", mail["Subject"])
        self.assertEqual([person["Address"] for person in mail["To"]], ["ops@example.org"])

    def test_3_an_nginx_that_hangs_is_healed(self):
        # It runs, and answers nobody.
        self.heals("NginxDown", "nginx-demo", "docker", "pause", "nginx-demo")

    def test_4_a_stopped_node_exporter_is_healed(self):
        self.heals("NodeExporterDown", "node-exporter", "docker", "stop", "node-exporter")

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
            state = self.inspect(self.container(service))
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
