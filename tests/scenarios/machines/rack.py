"""Machines with systemd that stand side by side, for all tests of a class, and healgate's Debian package for them.

The package holds target/debug/healgate, which `make test` has compiled; HEALGATE_BINARY names another.
"""

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import textwrap
import time
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(REPOSITORY / "scripts"), str(REPOSITORY / "tests/scenarios")]

import machine  # noqa: E402
from story import Peers, get, until  # noqa: E402

UP_LIMIT = 90
# Where a machine has a clone of the repository, as far as a README needs it.
CLONE = "/srv/healgate"


@functools.cache
def switch():
    """Of this process, which leaves this machine's network for it."""
    return machine.Switch()


@functools.cache
def package():
    """The Debian package of the development build."""
    built = machine.WORK / "package/debug/healgate"
    built.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(os.environ.get("HEALGATE_BINARY", machine.TARGET / "debug/healgate"), built)
    environment = {**os.environ, "CARGO_TARGET_DIR": str(built.parents[1])}
    command = [REPOSITORY / "scripts/deb", "dev", "--fast", "--strip", f"--output={built.parents[1]}/"]
    return Path(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def commands(page, heading):
    """The shell's lines that a page has below a heading."""
    lines, below, typed = [], False, False
    for line in page.splitlines():
        if line.strip().startswith("```"):
            typed = line.strip() == "```sh"
        elif typed and below:
            lines.append(line)
        elif not typed and line.startswith("#"):
            below = line.lstrip("# ") == heading
    if not lines:
        raise AssertionError(f"nothing is to be typed below {heading!r}")
    return textwrap.dedent("\n".join(lines))


class Rack(unittest.TestCase):
    """Boots the machines of a scenario. The tests talk from where the first one is: its loopback is theirs."""

    # Its folder.
    scenario = ""
    names = ()
    # Metrics that must be 1 for all their series before anything is broken.
    well = ()
    peers = Peers()

    @classmethod
    def setUpClass(cls):
        if not machine.can_be_made():
            print(f"\nSKIPPED: {cls.__name__} is not tested: machines need root, and namespaces\n", file=sys.stderr)
            raise unittest.SkipTest("machines need root, and namespaces")
        # What it is made from comes over this machine's network, which is left behind after that.
        base = machine.base()
        package()
        cls.switch = switch()
        begin = time.monotonic()
        cls.machines = []
        for number, name in enumerate(cls.names, 10):
            made = machine.Machine(base, name, cls.switch, f"10.77.0.{number}")
            # Class cleanups also run where setUpClass fails.
            cls.addClassCleanup(made.halt)
            cls.machines.append(made)
        hosts = "".join(f"{made.address} {made.name}\n" for made in cls.machines)
        for made in cls.machines:
            made.write("/etc/hosts", f"127.0.0.1 localhost\n{hosts}")
            cls.furnish(made)
            made.boot()
        for made in cls.machines:
            made.wait_until_up()
        cls.first = cls.machines[0]
        cls.addClassCleanup(cls.switch.enter)
        cls.switch.enter(cls.first)
        cls.settle()
        until("Prometheus sees all well", UP_LIMIT, lambda: all(cls.peers.values(metric) == {"1"} for metric in cls.well))
        print(f"all are up and well after {time.monotonic() - begin:.0f} s", flush=True)

    @classmethod
    def furnish(cls, made):
        """Writes what a machine holds before it is booted."""

    @classmethod
    def settle(cls):
        """Does what is done once all are booted."""

    @classmethod
    def copy(cls, made, source, place):
        """Copies a file or folder of the repository onto a machine; a folder's content goes into the place."""
        source = REPOSITORY / source
        for file in [source] if source.is_file() else source.rglob("*"):
            target = made.path(Path(place, file.relative_to(source)))
            if file.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)

    @classmethod
    def clone(cls, made):
        """Has the scenario's folder and healgate's package lie where `make deb` leaves them."""
        cls.copy(made, cls.scenario, f"{CLONE}/{cls.scenario}")
        cls.copy(made, package(), f"{CLONE}/target/debian/{package().name}")

    @classmethod
    def types(cls, heading, made=None):
        """Runs what the scenario's README says to type under a heading, word for word."""
        typed = commands((REPOSITORY / cls.scenario / "README.md").read_text(), heading)
        return (made or cls.first).run("sh", "-ec", f"cd {CLONE}/{cls.scenario}\n{typed}")

    @classmethod
    def serves(cls):
        """healgate is up, and has nothing to say against its files."""
        # Ansible is where the service, not a shell, looks.
        path = f"PATH=/opt/healgate/ansible/bin:{machine.ENVIRONMENT['PATH']}"
        checked = cls.first.run("env", path, "healgate", "check", "--config", "/etc/healgate/healgate.yml")
        if "are fine" not in checked or "warning" in checked:
            raise AssertionError(checked)
        until("healgate serves", UP_LIMIT, lambda: get(f"{cls.peers.healgate}/api/v1/pause"))

    @contextlib.contextmanager
    def paused(self, route):
        """Alerts of this route wait until the end."""
        self.first.run("healgate", "pause", f"route:{route}")
        try:
            yield
        finally:
            self.first.run("healgate", "resume", f"route:{route}")
