"""scenarios/multi-service: several services break at once, each is healed by its own playbook; one needs the ladder, and one a
person."""

import unittest
from concurrent.futures import ThreadPoolExecutor

import by_hand
from stage import Stage
from story import Peers, changes_nothing, get, heals, seconds, until


def subjects():
    return [mail["Subject"] for mail in get("http://127.0.0.1:8025/api/v1/messages")["messages"]]


class MultiService(Stage):
    files = ("docker-compose.yml", "scenarios/multi-service/docker-compose.yml", by_hand.overlay())
    well = ("probe_success", 'up{job!="alertmanager"}')
    peers = Peers(token=by_hand.TOKEN)

    def docker(self, *arguments):
        return self.engine.must("docker", *arguments)

    def address(self, container):
        network, = self.inspect(container)["NetworkSettings"]["Networks"].values()
        return network["IPAddress"]

    def move_the_backend(self):
        """Others take addresses while it is stopped, until its own is taken."""
        (network, _), = self.inspect("backend")["NetworkSettings"]["Networks"].items()
        image, before = self.inspect("backend")["Config"]["Image"], self.address("backend")
        self.docker("stop", "backend")
        for number in range(8):
            squatter = f"healgate-test-squatter-{number}"
            self.addCleanup(self.docker, "rm", "--force", squatter)
            self.docker("run", "--detach", "--name", squatter, "--network", network, "--entrypoint", "sleep", image, "1d")
            if self.address(squatter) == before:
                break
        self.docker("start", "backend")
        self.assertNotEqual(self.address("backend"), before)

    def alert(self, alertname):
        """What healgate tells about it; None if it does not know it."""
        found = [alert for alert in get("http://127.0.0.1:8750/api/v1/alerts")["items"] if alert["labels"]["alertname"] == alertname]
        return get(f"http://127.0.0.1:8750/api/v1/alerts/{found[0]['fingerprint']}") if found else None

    def test_1_three_at_once_are_healed_side_by_side_each_by_its_playbook(self):
        kept = self.inspect("api")["State"]["StartedAt"]
        with ThreadPoolExecutor() as pool:
            healed = [
                pool.submit(heals, self.peers, "WebDown", lambda: self.docker("stop", "web"), scenario="multi-service",
                            broken="`docker stop web`, with two others"),
                pool.submit(heals, self.peers, "ApiDown", self.move_the_backend),
                pool.submit(heals, self.peers, "NodeExporterDown", lambda: self.docker("stop", "node-exporter")),
            ]
            web, api, node = (job.result() for job in healed)
        self.assertEqual([job["playbook"] for job in (web, api, node)], ["restart-container", "reload-nginx", "restart-container"])
        self.assertEqual([job["target"] for job in (web, api, node)], ["container/web", "container/api", "container/node-exporter"])
        # None waited for another.
        for job in (web, api, node):
            self.assertLess(seconds(job["started_at"]) - seconds(job["created_at"]), 3, job)
        self.assertLess(max(web["started_at"], node["started_at"]), min(web["finished_at"], node["finished_at"]))
        # A reload is no restart.
        self.assertEqual(self.inspect("api")["State"]["StartedAt"], kept)
        for alertname in ("WebDown", "ApiDown", "NodeExporterDown"):
            told_of = f"healed: {alertname}"
            until(told_of, 30, lambda told_of=told_of: any(told_of in subject for subject in subjects()))

    def test_2_the_playbook_on_trial_did_nothing_and_is_on_record(self):
        decided = {decision["decision"]: decision for decision in self.alert("WebDown")["decisions"]}
        self.assertEqual((decided["observed"]["route"], decided["observed"]["job"]), ("reload-web-on-trial", None))
        self.assertEqual(decided["observed"]["would_run"]["vars"], {"container": "web", "container_url": "http://web:8080/"})
        self.assertEqual(decided["queued"]["route"], "container-down")

    def test_3_the_shop_that_a_restart_does_not_heal_is_healed_with_what_it_needs(self):
        heals(self.peers, "ShopDown", lambda: self.docker("pause", "stock"), rungs=2)
        first, second = reversed(self.peers.jobs("ShopDown"))
        self.assertEqual((first["playbook"], first["reason"]), ("restart-container", "not_healed"))
        self.assertEqual((second["playbook"], second["trigger"], second["follows"]), ("restart-shop-and-stock", "ladder", first["id"]))
        until("a mail tells of it", 30, lambda: any("healed: ShopDown" in subject for subject in subjects()))

    def test_4_what_is_well_is_left_alone(self):
        before = [self.inspect(name)["State"]["StartedAt"] for name in ("api", "shop", "stock")]
        for playbook in ("reload-nginx", "restart-shop-and-stock"):
            changes_nothing(self, playbook, alert={"labels": {"container": "api"}})
        self.assertEqual([self.inspect(name)["State"]["StartedAt"] for name in ("api", "shop", "stock")], before)

    def test_5_an_alert_that_nobody_routes_is_on_record_with_the_reason(self):
        self.compose("stop", "nginx-exporter")
        until("healgate knows it", 60, lambda: self.alert("NginxExporterDown"))
        decision, = self.alert("NginxExporterDown")["decisions"]
        self.assertEqual((decision["decision"], decision["route"]), ("unmatched", None))
        self.assertEqual(decision["reason"], "no route matches this alert's labels")
        self.assertEqual(self.peers.jobs("NginxExporterDown"), [])

    def test_6_the_engine_takes_no_other_signal(self):
        for signal in ("KILL", "TERM", "9"):
            refused = self.engine.call("docker", "exec", "--env", "DOCKER_HOST=tcp://engine:2375", self.container("healgate"),
                                       "docker", "kill", "--signal", signal, "web")
            self.assertRegex(refused.stderr, "403")

    def test_7_what_the_ladder_does_not_heal_is_for_a_person(self):
        known = {job["id"] for job in self.peers.jobs("ShopDown")}
        self.docker("rm", "--force", "stock")
        until("a mail tells of it", 120, lambda: any("everything was tried: ShopDown" in subject for subject in subjects()))
        made = [job for job in self.peers.jobs("ShopDown") if job["id"] not in known]
        self.assertEqual([job["playbook"] for job in made], ["restart-shop-and-stock", "restart-container"])


if __name__ == "__main__":
    unittest.main()
