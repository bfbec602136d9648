#!/usr/bin/env python3
"""A Docker daemon of our own, for tests: own data, own sockets, own network. A daemon of the machine is never touched.

    engine.py COMMAND …     runs COMMAND with DOCKER_HOST set, and ends the daemon with it

It has two ways to be. While images are built it shares the machine's network, but makes no bridge and sets no rule of its
firewall. While containers run it lives in a network namespace of its own, with all rules and ports in there: nothing
outside sees them, and no port of the machine is taken. Images stay in target/engine for the next time. Needs root.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CLONE_NEWNET = 0x40000000
# The machine's firewall, its bridges and its forwarding stay as they are.
BUILDING = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false")
START_LIMIT = 60
STOP_LIMIT = 60


class EngineError(Exception):
    pass


def leave_the_network():
    """Puts this thread, and what it starts from now on, into an empty network namespace."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise EngineError(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


class Engine:
    def __init__(self, directory=REPOSITORY / "target/engine"):
        self.directory = Path(directory)
        self.log = self.directory / "dockerd.log"
        self.process = self.run = None

    @property
    def socket(self):
        return self.run / "docker.sock"

    def environment(self):
        """What Docker's own tools, and compose, need to reach it and nothing else."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "COMPOSE_"))}
        return {**kept, "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_SOCKET": str(self.socket)}

    def start(self, *flags):
        self.directory.mkdir(parents=True, exist_ok=True)
        # Sockets have short names only, and a checkout may lie deep.
        self.run = Path(tempfile.mkdtemp(prefix="healgate-engine-"))
        command = [
            # Never outlives the one that started it.
            "setpriv", "--pdeathsig", "TERM", "--",
            "dockerd", "--config-file", str(self.run / "none.json"), "--host", f"unix://{self.socket}",
            "--data-root", str(self.directory / "data"), "--exec-root", str(self.run / "exec"),
            "--pidfile", str(self.run / "docker.pid"), "--oom-score-adjust", "0", *flags,
        ]
        (self.run / "none.json").write_text("{}\n")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_LIMIT
        while self.call("docker", "version").returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise EngineError(f"dockerd does not start; the end of {self.log}:\n{self.tail()}")
            time.sleep(0.2)

    def call(self, *command, **options):
        return subprocess.run(command, env=self.environment(), cwd=REPOSITORY, capture_output=True, text=True, **options)

    def must(self, *command, **options):
        done = self.call(*command, **options)
        if done.returncode != 0:
            raise EngineError(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done.stdout

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_LIMIT)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None
        # dockerd leaves the mount that held its own network.
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            place = line.split()[4]
            if place.startswith(f"{self.run}/"):
                subprocess.run(["umount", place], check=False)
        shutil.rmtree(self.run, ignore_errors=True)


def main():
    engine = Engine()
    try:
        engine.start(*BUILDING)
        return subprocess.run(sys.argv[1:], env=engine.environment()).returncode
    finally:
        engine.stop()


if __name__ == "__main__":
    sys.exit(main())
