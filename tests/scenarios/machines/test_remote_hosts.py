"""Three hosts with sshd and nginx: each is healed alone, all are restarted one by one, and one that is cut off waits."""

import os
import ssl
import time
import unittest

from rack import Rack
from story import changes_nothing, heals, until

WEB = ("web-1", "web-2", "web-3")
# Debian's own services, on the machine that watches.
WATCHES = ("prometheus", "prometheus-alertmanager", "prometheus-blackbox-exporter")
NGINX = """
server {
    listen 80;
    listen 443 ssl;
    ssl_certificate /etc/nginx/tls/web.pem;
    ssl_certificate_key /etc/nginx/tls/web.pem;
    location = /healthz { return 200 "well\\n"; }
}
"""
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
CA = "/etc/prometheus/web-ca.pem"
OPENSSL = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class RemoteHosts(Rack):
    scenario = "scenarios/remote-hosts"
    names = ("control", *WEB)
    well = ("probe_success",)

    @classmethod
    def furnish(cls, made):
        if made.name == "control":
            for name in ("prometheus.yml", "rules.yml", "blackbox.yml"):
                cls.copy(made, f"{cls.scenario}/prometheus/{name}", f"/etc/prometheus/{name}")
            cls.copy(made, f"{cls.scenario}/alertmanager/alertmanager.yml", "/etc/prometheus/alertmanager.yml")
            made.chroot("systemctl", "enable", *WATCHES)
            made.chroot(*OPENSSL, "-subj", "/CN=web's", "-days", "365", "-keyout", "/root/ca.key", "-out", CA)
            cls.clone(made)
            return
        cls.copy(made, f"{cls.scenario}/host.sh", "/root/host.sh")
        made.write("/etc/nginx/sites-enabled/default", NGINX)
        cls.give(made, cls.certificate(days=90))
        # Of yesterday: nginx may run within a second from now, and would count as older than its certificate.
        yesterday = time.time() - 86_400
        os.utime(made.path("/etc/nginx/tls/web.pem"), (yesterday, yesterday))
        made.chroot("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", HOST_KEY)
        made.chroot("systemctl", "enable", "ssh", "nginx")

    @classmethod
    def certificate(cls, days):
        """With its key, as nginx takes them from one file."""
        names = ",".join(f"DNS:{name}" for name in WEB)
        cls.machines[0].chroot(
            *OPENSSL, "-CA", CA, "-CAkey", "/root/ca.key", "-subj", "/CN=web", "-addext", f"subjectAltName={names}",
            "-days", str(days), "-keyout", "/root/key", "-out", "/root/crt")
        return "".join(cls.machines[0].path(f"/root/{part}").read_text() for part in ("crt", "key"))

    @staticmethod
    def give(made, pem):
        made.write("/etc/nginx/tls/web.pem", pem, mode=0o600)

    @classmethod
    def settle(cls):
        cls.web = dict(zip(WEB, cls.machines[1:], strict=True))
        printed = cls.types("On healgate's machine")
        key = next(line for line in printed.splitlines() if line.startswith("ssh-ed25519 "))
        own = {name: made.run("ssh-keygen", "-lf", f"{HOST_KEY}.pub").split()[1] for name, made in cls.web.items()}
        for made in cls.web.values():
            made.run("sh", "/root/host.sh", key)
        seen = cls.types("Knowing the hosts")
        for name, fingerprint in own.items():
            if f"{fingerprint} {name} " not in seen:
                raise AssertionError(f"{name} has {fingerprint}, but seen was\n{seen}")
        cls.serves()
        # The README's own try.
        job = cls.peers.ended(cls.peers.jobs()[0]["id"])
        if job["status"] != "succeeded" or list(job["attempts"][-1]["host_stats"]) != list(WEB):
            raise AssertionError(f"{job}\n{cls.peers.log(job['id'])}")

    def pids(self):
        return {name: made.show("MainPID", "nginx") for name, made in self.web.items()}

    def restarted(self, before):
        """The hosts whose nginx is another one than before."""
        return {name for name, pid in self.pids().items() if pid != before[name]}

    def stats(self, job, what):
        return {host: stats[what] for host, stats in job["attempts"][-1]["host_stats"].items() if stats[what]}

    def rolling(self, **more):
        return self.peers.run("rolling-restart-nginx", alert={"labels": {"group": "web"}}, **more)

    def gap(self, host):
        """From when nginx was told to stop until it ran again; all machines have one clock."""
        return tuple(int(self.web[host].show(f"{word}TimestampMonotonic", "nginx")) for word in ("ActiveExit", "ActiveEnter"))

    def test_1_the_host_of_the_alert_is_healed_and_no_other(self):
        before = self.pids()
        job = heals(self.peers, "WebDown", lambda: self.web["web-2"].run("systemctl", "stop", "nginx"),
                    scenario="remote-hosts", broken="`systemctl stop nginx` on one of three hosts")
        self.assertEqual((job["parameters"]["limit"], job["target"]), ("web-2", "host/web-2"))
        self.assertEqual(list(job["attempts"][-1]["host_stats"]), ["web-2"])
        self.assertEqual(self.restarted(before), {"web-2"})

    def test_2_while_all_is_well_nothing_is_changed(self):
        before = self.pids()
        changes_nothing(self, "restart-nginx", alert={"labels": {"instance": "http://web-1/healthz"}})
        changes_nothing(self, "rolling-restart-nginx", alert={"labels": {"group": "web"}})
        self.assertEqual(self.restarted(before), set())

    def test_3_the_group_is_restarted_one_by_one(self):
        old, renewed = self.certificate(days=1), self.certificate(days=90)
        before = self.pids()

        def renew():
            with self.paused("certificate-old"):
                for made in self.web.values():
                    self.give(made, old)
                    made.run("systemctl", "reload", "nginx")
                    until("nginx has read it", 30, lambda at=(made.address, 443): ssl.get_server_certificate(at) in old)
                    # Renewed on disk; nobody tells nginx.
                    self.give(made, renewed)

        job = heals(self.peers, "CertificateOld", renew)
        self.assertEqual(self.restarted(before), set(WEB))
        self.assertEqual(self.stats(job, "changed"), dict.fromkeys(WEB, 1))
        gaps = [self.gap(name) for name in WEB]
        for (_, up), (down, _) in zip(gaps, gaps[1:], strict=False):
            self.assertLess(up, down, f"two were down at once: {gaps}")

    def test_4_the_rolling_restart_stops_at_the_first_that_does_not_come_back(self):
        before = self.pids()
        broken = self.web["web-2"].path("/etc/nginx/conf.d/broken.conf")
        for made in self.web.values():
            made.run("touch", "/etc/nginx/tls/web.pem")
        broken.write_text("no such directive;\n")

        def mend():
            # What the group's restart has left down has an alert of its own.
            with self.paused("web-down"):
                job = self.rolling()
                self.assertEqual((job["status"], job["reason"]), ("failed", "hosts_failed"), self.peers.log(job["id"]))
                self.assertEqual(self.stats(job, "failed"), {"web-2": 1})
                now.update(self.pids())
                self.assertEqual((now["web-1"] != before["web-1"], now["web-2"], now["web-3"]), (True, "0", before["web-3"]))
                broken.unlink()

        now = {}
        heals(self.peers, "WebDown", mend)
        self.assertEqual(self.restarted(now), {"web-2"})

    def test_5_a_host_that_is_cut_off_is_healed_when_it_is_back(self):
        before = self.pids()
        known = {job["id"] for job in self.peers.jobs("WebDown")}
        self.web["web-3"].run("systemctl", "stop", "nginx")
        self.switch.cut(self.web["web-3"])

        def made():
            return [job for job in self.peers.jobs("WebDown") if job["id"] not in known]

        first = self.peers.ended(until("the alert has a job", 60, made)[0]["id"])
        self.assertEqual((first["status"], first["reason"]), ("failed", "hosts_unreachable"), self.peers.log(first["id"]))
        for attempt in first["attempts"]:
            self.assertEqual(self.stats({"attempts": [attempt]}, "unreachable"), {"web-3": 1})
        self.assertEqual(len(first["attempts"]), 2)

        job = self.rolling()
        self.assertEqual((job["status"], self.stats(job, "unreachable")), ("failed", {"web-3": 1}), self.peers.log(job["id"]))
        self.assertEqual(self.restarted(before), {"web-3"})

        self.switch.join(self.web["web-3"])
        until("a later job heals it", 90, lambda: any(job["reason"] == "healed" for job in made()))
        until("the alert is inactive", 60, lambda: not self.peers.firing("WebDown"))
        self.assertNotEqual(self.pids()["web-3"], "0")

    def test_6_a_host_with_another_key_is_not_talked_to(self):
        web = self.web["web-1"]
        web.run("mv", HOST_KEY, f"{HOST_KEY}.kept")
        web.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", HOST_KEY)
        web.run("systemctl", "restart", "ssh")
        job = self.peers.run("ping", limit="web")
        self.assertEqual((job["reason"], self.stats(job, "unreachable")), ("hosts_unreachable", {"web-1": 1}))
        self.assertIn("Host key verification failed", self.peers.log(job["id"]))
        web.run("mv", f"{HOST_KEY}.kept", HOST_KEY)
        web.run("systemctl", "restart", "ssh")
        self.assertEqual(self.peers.run("ping", limit="web")["status"], "succeeded")

    def test_7_the_key_opens_nothing_but_nginx(self):
        def over_ssh(command):
            return self.first.run(
                "setpriv", "--reuid=healgate", "--regid=healgate", "--clear-groups", "env", "HOME=/var/lib/healgate",
                "ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "web-1", command, check=False)

        self.assertEqual(over_ssh("id -un"), "healgate")
        for command in ("systemctl --no-ask-password restart ssh", "systemctl --no-ask-password stop nginx", "sudo -n true"):
            with self.subTest(command=command):
                self.assertRegex(over_ssh(command), "authentication required|Access denied|password is required")


if __name__ == "__main__":
    unittest.main()
