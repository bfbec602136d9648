"""A machine as the author of the set-up has it: it heals itself by its listener; then README.md is followed, word for word,
and healgate does it, with all else as it was."""

import unittest

from rack import REPOSITORY, UP_LIMIT, Rack
from story import FIRE_LIMIT, HEAL_LIMIT, Peers, changes_nothing, heals, until

ALERT = "NodeExporterDown"
# What the author downloaded, by the names under which it was unpacked.
PROGRAMS = {
    "node_exporter": "/usr/bin/prometheus-node-exporter", "prometheus": "/usr/bin/prometheus",
    "alertmanager": "/usr/bin/prometheus-alertmanager", "ansible-playbook": "/opt/healgate/ansible/bin/ansible-playbook",
}
FILES = {
    "before/prometheus": "/etc/prometheus", "before/alertmanager": "/etc/alertmanager",
    "before/systemd": "/etc/systemd/system", "before/webhook_listener": "/opt/webhook_listener",
}
UNITS = ("node_exporter", "prometheus", "alertmanager", "webhook_listener")


class NodeExporterService(Rack):
    scenario = "scenarios/node-exporter-service"
    names = ("node-exporter-service",)
    well = ("up",)
    peers = Peers(healgate="http://127.0.0.1:5001")

    @classmethod
    def furnish(cls, made):
        for name, place in PROGRAMS.items():
            made.path(f"/usr/local/bin/{name}").symlink_to(place)
        for source, place in FILES.items():
            cls.copy(made, f"{cls.scenario}/{source}", place)
        made.chroot("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "node_exporter")
        made.chroot("install", "-d", "-o", "prometheus", "/var/lib/alertmanager")
        made.chroot("systemctl", "enable", *UNITS)
        cls.clone(made)

    def stop(self):
        self.first.run("systemctl", "stop", "node_exporter")

    def state(self, unit):
        return self.first.run("systemctl", "is-active", unit, check=False)

    def enabled(self):
        listed = self.first.run("systemctl", "list-unit-files", "--type=service", "--state=enabled", "--no-legend", "--no-pager")
        return {line.split()[0].removesuffix(".service") for line in listed.splitlines()}

    def test_1_it_was_healed_by_the_listener(self):
        self.stop()
        until(f"{ALERT} fires", FIRE_LIMIT, lambda: self.peers.firing(ALERT))
        until("the listener's playbook starts it", HEAL_LIMIT, lambda: self.state("node_exporter") == "active")
        until("the alert is inactive", 60, lambda: not self.peers.firing(ALERT))

    def test_2_the_readme_swaps_the_receiver_and_nothing_else(self):
        before = self.enabled()
        self.types("Now do")
        self.serves()
        self.assertEqual((before - self.enabled(), self.enabled() - before), ({"webhook_listener"}, {"healgate"}))
        self.assertEqual((self.state("webhook_listener"), self.state("node_exporter")), ("inactive", "active"))
        for source, place in FILES.items():
            for file in (REPOSITORY / self.scenario / source).iterdir():
                with self.subTest(file=file.name):
                    self.assertEqual(self.first.path(f"{place}/{file.name}").read_text(), file.read_text())

    def test_3_the_stopped_service_is_healed(self):
        job = heals(self.peers, ALERT, self.stop, scenario="node-exporter-service", broken="`systemctl stop node_exporter`")
        self.assertEqual(job["target"], "service/localhost/node_exporter")
        self.assertEqual(self.state("node_exporter"), "active")

    def test_4_a_service_that_answers_is_left_alone(self):
        pid = self.first.show("MainPID", "node_exporter")
        changes_nothing(self, "restart-node-exporter", alert={"labels": {"instance": "localhost:9100"}})
        self.assertEqual(self.first.show("MainPID", "node_exporter"), pid)

    def test_5_healgate_may_restart_that_unit_and_no_other(self):
        as_healgate = ("setpriv", "--reuid=healgate", "--regid=healgate", "--clear-groups", "systemctl", "--no-ask-password")
        for verb, unit in (("restart", "prometheus"), ("stop", "node_exporter"), ("start", "webhook_listener")):
            with self.subTest(verb=verb, unit=unit):
                refused = self.first.run(*as_healgate, verb, unit, check=False)
                self.assertRegex(refused, "authentication required|Access denied")
        self.assertEqual(self.first.run(*as_healgate, "restart", "node_exporter"), "")

    def test_6_the_way_back_is_there(self):
        self.types("Go back")
        until("the listener serves", UP_LIMIT, lambda: "5001" in self.first.run(
            "journalctl", "--unit=webhook_listener", "--lines=5", "--no-pager"))
        self.assertEqual((self.state("webhook_listener"), self.state("healgate")), ("active", "inactive"))


if __name__ == "__main__":
    unittest.main()
