"""scenarios/nginx-stub-status: the webhook's service becomes healgate, which keeps the whole trace."""

import re
import unittest

import by_hand
from swap import Swap
from story import Peers, get, heals, post, until

# What is told of an alert, in this order: kind and text.
STORY = (
    ("received", "the alert fires since"),
    ("decided", "queued restart-nginx on container/nginx"),
    ("run", "claimed for attempt 1"),
    ("run", "Alertmanager .main. says that the alert still fires"),
    ("run", "ansible-playbook was started"),
    ("run", "attempt 1 ended ok"),
    ("verified", "waits until .* for the alert to resolve"),
    ("verified", "healed: the alert resolved in time"),
)


class NginxStubStatus(Swap):
    scenario = "nginx-stub-status"
    receiver = "webhook"
    well = ("nginx_up",)
    peers = Peers(healgate="http://127.0.0.1:5001", token=by_hand.TOKEN)

    def api(self, path):
        return get(f"{self.peers.healgate}/api/v1/{path}")

    def story(self, job):
        alert = self.api(f"alerts/{job['alert']['fingerprint']}")
        return alert["story"] if alert else []

    def received(self):
        """The notifications, oldest first, as soon as there is more than one."""
        kept = [self.api(f"notifications/{told['id']}") for told in self.api("notifications")["items"]]
        return kept[::-1] if len(kept) > 1 else None

    def test_1_a_stopped_nginx_is_healed(self):
        job = heals(self.peers, "NginxDown", lambda: self.engine.must("docker", "stop", "nginx"),
                    scenario=self.scenario, broken="`docker stop nginx`")
        self.assertEqual((job["target"], job["route"]), ("container/nginx", "nginx-down"))

    def test_2_the_story_goes_from_the_alert_to_the_end(self):
        job = self.newest("NginxDown")
        story = self.story(job)
        self.assertEqual([entry["at"] for entry in story], sorted(entry["at"] for entry in story))
        rest = iter(story)
        for what, text in STORY:
            # Each is looked for after the one before.
            with self.subTest(text=text):
                self.assertTrue(any(entry["what"] == what and re.search(text, entry["text"]) for entry in rest), story)

    def test_3_what_was_received_and_decided_is_kept(self):
        job = self.newest("NginxDown")
        # Of the alert, and of its end.
        kept, end = until("Alertmanager reports the end", 60, self.received)
        self.assertEqual([told["received"]["status"] for told in (kept, end)], ["firing", "resolved"])
        self.assertEqual(kept["received"]["alerts"][0]["labels"], job["alert"]["labels"])
        self.assertEqual([(entry["decision"], entry["job"]) for entry in kept["decisions"]], [("queued", job["id"])])
        # And what it would cause if it came again.
        explained = post(f"{self.peers.healgate}/api/v1/explain", kept["received"])["items"][0]["routes"][0]
        self.assertTrue(explained["matched"])
        self.assertIn("/usr/share/healgate/playbooks/restart_container.yml", explained["argv"])
        self.assertTrue(explained["reason"])

    def test_4_what_ansible_did_is_kept(self):
        job = self.newest("NginxDown")
        self.assertRegex(self.peers.log(job["id"]), r"(?s)TASK \[Restart the container\].*changed: \[localhost\].*PLAY RECAP")
        tasks = {task["task"]: task["status"] for task in self.api(f"jobs/{job['id']}/tasks")["items"]}
        self.assertEqual((tasks["Restart the container"], tasks["Wait until it answers"]), ("changed", "ok"))

    def test_5_the_gateways_own_log_names_the_job(self):
        job = self.newest("NginxDown")
        lines = [line for line in self.compose("logs", "--no-color", "webhook").splitlines() if f"job.id={job['id']}" in line]
        story = ("decided", 'started playbook="restart-nginx"', 'ended outcome="ok"', "finished")
        self.assertEqual([next((said for said in story if said in line), line) for line in lines], list(story))
        self.assertIn('reason="healed"', lines[-1])

    def test_6_the_trace_outlives_a_restart(self):
        job = self.newest("NginxDown")
        story, log = self.story(job), self.peers.log(job["id"])
        self.compose("restart", "webhook")
        until("healgate answers again", 60, lambda: self.story(job))
        self.assertEqual((self.story(job), self.peers.log(job["id"])), (story, log))

    def test_7_the_playbook_changes_nothing_while_nginx_is_well(self):
        self.assert_changes_nothing(self.newest("NginxDown"))

    def test_8_only_the_receiver_was_swapped(self):
        self.assert_only_the_receiver_was_swapped()

    def test_9_healgate_has_no_way_to_the_socket_and_nothing_to_warn_of(self):
        self.assert_no_way_to_the_socket()
        self.assert_settings_are_clean()


if __name__ == "__main__":
    unittest.main()
