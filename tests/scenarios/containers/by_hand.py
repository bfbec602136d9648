"""Runs a scenario's playbooks by hand: when all is well they change nothing, and in check mode neither."""

import hashlib
import os
import secrets

import stage  # noqa: F401 (knows where story is)
from story import post

# A compose file that gives the service `healgate` an operator's token, of this process alone.
FILE = "tests/scenarios/containers/by_hand.yml"
TOKEN = secrets.token_urlsafe(32)
os.environ["HEALGATE_TEST_SHA256"] = hashlib.sha256(TOKEN.encode()).hexdigest()


def run(peers, playbook, labels, **body):
    """The job, once it has ended."""
    body = {"playbook": playbook, "alert": {"labels": labels, "annotations": {}}, **body}
    return peers.ended(post(f"{peers.healgate}/api/v1/jobs", body, TOKEN)["id"])


def changes_nothing(test, playbook, labels, **body):
    for check in (False, True):
        with test.subTest(playbook=playbook, check=check):
            job = run(test.peers, playbook, labels, check=check, **body)
            test.assertEqual(job["status"], "succeeded", test.peers.log(job["id"]))
            stats = job["attempts"][-1]["host_stats"].values()
            test.assertEqual([host["changed"] for host in stats], [0], test.peers.log(job["id"]))
