"""scenarios/blackbox-autohealer: the autohealer's service becomes healgate, and all else stays as it is."""

import unittest

import by_hand
from swap import Swap
from story import HTTP, Peers, heals, until


class BlackboxAutohealer(Swap):
    scenario = "blackbox-autohealer"
    receiver = "autohealer"
    well = ("probe_success",)
    peers = Peers(healgate="http://127.0.0.1:5000", token=by_hand.TOKEN)

    def test_1_a_stopped_nginx_is_healed(self):
        job = heals(self.peers, "NginxDown", lambda: self.engine.must("docker", "stop", "nginx"),
                    scenario=self.scenario, broken="`docker stop nginx`")
        self.assertEqual((job["target"], job["route"]), ("container/nginx", "container-down"))
        self.assertTrue(self.inspect("nginx")["State"]["Running"])

    def test_2_the_playbook_changes_nothing_while_nginx_is_well(self):
        self.assert_changes_nothing(self.newest("NginxDown"))

    def test_3_a_restart_that_fails_is_tried_again_after_a_wait(self):
        known = self.newest("NginxDown")["id"]
        # Nothing of that name is there to restart, for a while.
        self.engine.must("docker", "rename", "nginx", "elsewhere")
        self.engine.must("docker", "kill", "elsewhere")
        until("another job's first attempt has failed", 60, lambda: self.attempts(known))
        self.engine.must("docker", "rename", "elsewhere", "nginx")
        job = self.peers.ended(self.newest("NginxDown")["id"])
        self.assertEqual(job["reason"], "healed", self.peers.log(job["id"]))
        self.assertEqual([attempt["outcome"] for attempt in job["attempts"]][:1], ["hosts_failed"])
        self.assertEqual(job["attempts"][-1]["outcome"], "ok")
        until("the alert is inactive", 60, lambda: not self.peers.firing("NginxDown"))

    def attempts(self, known):
        """Those that ended, of a job that is newer than the known one."""
        job = self.newest("NginxDown")
        return job["id"] != known and [attempt for attempt in job["attempts"] if attempt["outcome"]]

    def test_4_only_the_receiver_was_swapped(self):
        self.assert_only_the_receiver_was_swapped()

    def test_5_healgate_has_no_way_to_the_socket(self):
        self.assert_no_way_to_the_socket()

    def test_6_the_settings_have_nothing_to_warn_of(self):
        self.assert_settings_are_clean()

    def test_7_every_address_answers_that_answered_before(self):
        for address in ("9090/-/ready", "9093/-/ready", "9115/metrics", "9100/metrics", "8080/", "5000/healthz"):
            with self.subTest(address=address):
                with HTTP.open(f"http://127.0.0.1:{address}", timeout=5) as answer:
                    self.assertEqual(answer.status, 200)


if __name__ == "__main__":
    unittest.main()
