"""A file system that old logs fill is cleaned up; one that something else fills is left alone, and a person is told."""

import json
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer

from rack import Rack
from story import changes_nothing, get, heals, until

ALERT = "DiskAlmostFull"
LOGS = "/var/log/app"
SIZE = 32 << 20
DAY = 86400
ABOUT = {"labels": {"instance": "localhost:9100", "mountpoint": LOGS}}
# Debian's own services.
WATCHES = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")
# What must be there in the end, whatever is deleted: the live log, one that was rotated just now, what has another name, and
# where links lead.
KEPT = (f"{LOGS}/app.log", f"{LOGS}/app.log.1", f"{LOGS}/archive/orders.db", "/srv/precious/app.log.1", f"{LOGS}/elsewhere",
        f"{LOGS}/linked.log.1")


class People(BaseHTTPRequestHandler):
    """Where the notifier of healgate.yml posts to."""

    told = []

    def do_POST(self):
        self.told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class DiskFull(Rack):
    scenario = "scenarios/disk-full"
    names = ("disk-full",)
    well = ("up",)

    @classmethod
    def furnish(cls, made):
        for name in ("prometheus.yml", "rules.yml"):
            cls.copy(made, f"{cls.scenario}/prometheus/{name}", f"/etc/prometheus/{name}")
        cls.copy(made, f"{cls.scenario}/alertmanager/alertmanager.yml", "/etc/prometheus/alertmanager.yml")
        made.chroot("systemctl", "enable", *WATCHES)
        made.chroot("useradd", "--system", "--user-group", "app")
        made.chroot("install", "-d", LOGS)
        owner = made.chroot("id", "-u", "app"), made.chroot("id", "-g", "app")
        made.write("/etc/fstab", f"logs {LOGS} tmpfs size={SIZE},mode=2755,uid={owner[0]},gid={owner[1]} 0 0\n")
        cls.clone(made)

    @classmethod
    def settle(cls):
        cls.as_app(f"mkdir {LOGS}/archive")
        cls.types("Now do")
        cls.serves()
        server = HTTPServer(("127.0.0.1", 5000), People)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        cls.first.run("sh", "-ec", "mkdir /srv/precious; echo keep >/srv/precious/app.log.1")
        # As old as what may be deleted, and not to be deleted.
        cls.as_app(f"cd {LOGS}; echo log >app.log; echo log >app.log.1; echo data >archive/orders.db; "
                   "ln -s /srv/precious elsewhere; ln -s /srv/precious/app.log.1 linked.log.1")
        until("it is known that nothing can be deleted", 60, lambda: cls.peers.values("cleanable_bytes") == {"0"})
        cls.age("app.log", "archive/orders.db", "elsewhere", "linked.log.1", "/srv/precious/app.log.1")

    @classmethod
    def as_app(cls, script):
        cls.first.run("setpriv", "--reuid=app", "--regid=app", "--clear-groups", "sh", "-ec", script)

    @classmethod
    def age(cls, *names):
        cls.first.run("sh", "-ec", f"cd {LOGS}; touch --no-dereference --date=@{time.time() - 2 * DAY:.0f} {' '.join(names)}")

    def fill(self, *names, old=True):
        """Leaves 5 % free."""
        size = SIZE * 95 // 100 // len(names)
        for name in names:
            self.as_app(f"head --bytes={size} /dev/zero >{LOGS}/{name}")
        if old:
            self.age(*names)

    def there(self, *names):
        return [name for name in names if self.first.run("sh", "-c", f"test -e {name} || test -L {name} || echo gone") != "gone"]

    def empty(self, name):
        self.first.run("rm", f"{LOGS}/{name}")
        until("the alert is inactive", 60, lambda: not self.peers.firing(ALERT))

    def is_counted(self):
        until("the logs are counted", 60, lambda: any(int(count) > SIZE // 2 for count in self.peers.values("cleanable_bytes")))

    def refused(self, break_it):
        """The job of the alert, which has done nothing."""
        known = {job["id"] for job in self.peers.jobs(ALERT)}
        break_it()
        job = until("the alert has a job", 90, lambda: [job for job in self.peers.jobs(ALERT) if job["id"] not in known])[0]
        job = self.peers.ended(job["id"])
        self.assertEqual((job["status"], job["reason"], job["attempts"]), ("failed", "precondition_failed", []))
        return job

    def test_1_old_logs_are_deleted(self):
        old = ("app.log.2", "app.log.3", "archive/app.log.4")

        def fill():
            # The precondition is asked when what was written is counted.
            with self.paused("app-logs-full"):
                self.fill(*old)
                self.is_counted()

        job = heals(self.peers, ALERT, fill, scenario="disk-full", broken="old logs that leave 5 % of a file system free")
        self.assertEqual(job["target"], f"disk/localhost{LOGS}")
        self.assertEqual(self.there(*(f"{LOGS}/{name}" for name in old)), [])
        self.assertEqual(self.there(*KEPT), list(KEPT))

    def test_2_while_there_is_space_nothing_is_deleted(self):
        self.as_app(f"echo old >{LOGS}/app.log.9")
        self.age("app.log.9")
        changes_nothing(self, "clean-up-app-logs", alert=ABOUT)
        self.assertEqual(self.there(f"{LOGS}/app.log.9"), [f"{LOGS}/app.log.9"])

    def test_3_what_may_not_be_deleted_stays_and_a_person_is_told(self):
        job = self.refused(lambda: self.fill("archive/upload.bin"))
        history = get(f"{self.peers.healgate}/api/v1/jobs/{job['id']}/events")
        self.assertIn("the precondition does not hold: node_filesystem_avail_bytes", json.dumps(history))
        told = until("people are told", 30, lambda: [letter for letter in People.told if letter["job"]["id"] == job["id"]])[0]
        self.assertEqual(told["event"], "failed")
        self.assertIn("the precondition does not hold", told["text"])
        # Even what may be deleted, as it would not have helped.
        self.assertEqual(self.there(*KEPT, f"{LOGS}/app.log.9"), [*KEPT, f"{LOGS}/app.log.9"])

    def test_4_by_hand_it_says_that_it_was_not_enough(self):
        looked = self.peers.run("clean-up-app-logs", alert=ABOUT, check=True)
        self.assertEqual(looked["status"], "succeeded", self.peers.log(looked["id"]))
        self.assertEqual(self.there(f"{LOGS}/app.log.9"), [f"{LOGS}/app.log.9"])
        job = self.peers.run("clean-up-app-logs", alert=ABOUT)
        self.assertEqual((job["status"], job["reason"]), ("failed", "hosts_failed"))
        self.assertRegex(self.peers.log(job["id"]), r"Only \d % of /var/log/app are free, with 1")
        taken = f"{LOGS}/archive/upload.bin"
        self.assertEqual(self.there(*KEPT, f"{LOGS}/app.log.9", taken), [*KEPT, taken])

    def test_5_no_folder_but_one_on_that_file_system_is_touched(self):
        for paths in (["/"], ["/etc"], ["/srv/precious"], [f"{LOGS}/../../../srv/precious"], [f"{LOGS}/elsewhere"],
                      [f"{LOGS}/app.log"], [], LOGS):
            with self.subTest(paths=paths):
                job = self.peers.run("clean-up-app-logs", alert=ABOUT, vars={"clean_paths": paths})
                self.assertEqual((job["status"], job["reason"]), ("failed", "hosts_failed"))
                self.assertRegex(self.peers.log(job["id"]), "clean_paths must be folders|are folders of the file system")
        self.assertEqual(self.there(*KEPT), list(KEPT))
        self.empty("archive/upload.bin")

    def test_6_an_old_count_is_not_believed(self):
        counted = "/var/lib/prometheus/node-exporter/cleanable.prom"

        def fill():
            with self.paused("app-logs-full"):
                self.fill("app.log.2")
                self.is_counted()
                self.first.run("systemctl", "stop", "cleanable.timer", "cleanable.service")
                self.first.run("touch", "--date=10 minutes ago", counted)
                until("it is seen", 60, lambda: any(
                    float(when) < time.time() - 500 for when in self.peers.values("node_textfile_mtime_seconds")))

        self.refused(fill)
        self.assertEqual(self.there(f"{LOGS}/app.log.2"), [f"{LOGS}/app.log.2"])
        self.empty("app.log.2")


if __name__ == "__main__":
    unittest.main()
