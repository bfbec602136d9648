"""A night's worth of alerts, so that every page has something to show."""

from dataclasses import dataclass


@dataclass
class Night:
    done: str
    half: str
    waiting: str
    running: str
    fingerprint: str
    notification: str

    def pages(self):
        """Every page, as an operator finds it."""
        return [
            "/",
            "/jobs",
            "/jobs?status=failed&q=restart",
            f"/jobs/{self.done}",
            f"/jobs/{self.half}",
            f"/jobs/{self.waiting}",
            f"/jobs/{self.running}",
            f"/jobs/{self.half}/log",
            f"/jobs/{self.running}/log",
            f"/jobs/{self.half}/rerun",
            f"/jobs/{self.half}/rerun?hosts=failed",
            f"/jobs/{self.half}/rerun?check=true",
            f"/jobs/{self.running}/cancel",
            f"/jobs/{self.waiting}/approve",
            f"/jobs/{self.waiting}/reject",
            "/pause",
            "/alerts",
            f"/alerts/{self.fingerprint}",
            "/routes",
            "/playbooks",
            "/playbooks/restart-web/run",
            "/tester",
            f"/tester?notification={self.notification}",
            "/notifications",
            f"/notifications/{self.notification}",
            "/stats",
        ]


def night(gateway):
    """Posts it, and waits until all has come to where it stays."""
    done = gateway.queue("WebDown", service="shop")
    gateway.until_finished(done)
    # Held back by the cooldown, observed, and reached by no route.
    gateway.post("WebDown", service="shop", instance="web2:80")
    gateway.post("DiskFull", instance="db1:9100", mountpoint="/var")
    gateway.post("CertificateExpires", instance="shop.example:443")
    half = gateway.queue("WebHalfDown", service="shop")
    gateway.until_finished(half)
    (waiting,) = gateway.post("DatabaseDown", service="orders")
    running = gateway.queue("TrafficHigh", service="front")
    gateway.until_logged(running, "Wait for the first sign")
    fingerprint = gateway.job(half)["alert"]["fingerprint"]
    notification = gateway.get("/api/v1/notifications")["items"][-1]["id"]
    return Night(done, half, waiting["job"], running, fingerprint, notification)
