"""A set-up that somebody built by hand (`before/` of its scenario), with healgate in the place of its receiver.

Its containers come from its own docker-compose.yml, and the scenario's is laid over that, as the scenario's README says.
"""

import json

import by_hand
from stage import Stage
from story import changes_nothing, get


def plain(service):
    """Without what Debian's compose writes in another way as soon as there are two files."""
    needs, networks = service.get("depends_on") or {}, service.get("networks") or {}
    return {
        **service,
        "depends_on": {name: {"condition": "service_started"} for name in needs} if isinstance(needs, list) else needs,
        "networks": {name: networks[name] or {} for name in networks},
        "volumes": sorted(service.get("volumes") or [], key=json.dumps),
    }


class Swap(Stage):
    scenario = None
    # The service that healgate takes the place of; None if it was none of compose's.
    receiver = None

    @classmethod
    def setUpClass(cls):
        folder = f"scenarios/{cls.scenario}"
        cls.files = (f"{folder}/before/docker-compose.yml", f"{folder}/docker-compose.yml")
        cls.override = cls.files
        if cls.receiver:
            cls.files += (by_hand.overlay(cls.receiver),)
        super().setUpClass()

    def assert_only_the_receiver_was_swapped(self):
        """Every service that was there is there, unchanged to the last key; only the engine's proxy came."""
        before, after = self.config(self.override[0]), self.config(*self.override)
        was, now = ({name: plain(service) for name, service in made["services"].items()} for made in (before, after))
        self.assertEqual(set(now) - set(was), {"engine"})
        self.assertEqual([name for name in was if was[name] != now[name]], [self.receiver] if self.receiver else [])
        for kind in ("networks", "volumes"):
            there = before.get(kind) or {}
            self.assertEqual({name: (after.get(kind) or {}).get(name) for name in there}, there)
        if self.receiver:
            self.assertEqual(now[self.receiver]["image"], "healgate:0.1.0")
            for key in ("container_name", "ports"):
                self.assertEqual(now[self.receiver].get(key), was[self.receiver].get(key))

    def assert_no_way_to_the_socket(self):
        """What stood at the socket's place is covered, and the proxy lets pass no more than it should."""
        mounts = {mount["Destination"]: mount["Source"] for mount in self.inspect(self.container(self.receiver))["Mounts"]}
        self.assertEqual(mounts["/var/run/docker.sock"], "/dev/null")
        for host, answer in (("unix:///var/run/docker.sock", "cannot connect|refused"), ("tcp://engine:2375", "forbidden")):
            self.assert_refused(answer, "docker", "exec", self.container(self.receiver), "docker", "--host", host, "ps")

    def assert_refused(self, answer, *command):
        refused = self.engine.call(*command)
        self.assertNotEqual(refused.returncode, 0, refused.stdout)
        self.assertRegex(refused.stderr, f"(?i){answer}")

    def assert_settings_are_clean(self):
        checked = self.in_receiver("healgate", "check", "--config", "/etc/healgate/healgate.yml")
        said = checked.stdout + checked.stderr
        self.assertEqual(checked.returncode, 0, said)
        self.assertNotIn("warning", said)

    def in_receiver(self, *command):
        return self.engine.call("docker", "exec", self.container(self.receiver), *command)

    def assert_changes_nothing(self, job):
        """The job's playbook, once more for its alert, while all is well."""
        alert = {key: job["alert"][key] for key in ("labels", "annotations")}
        changes_nothing(self, job["playbook"], alert=alert)

    def newest(self, alertname):
        """The job of an alert that ended last."""
        return get(f"{self.peers.healgate}/api/v1/jobs?alertname={alertname}&trigger=alert&limit=1")["items"][0]
