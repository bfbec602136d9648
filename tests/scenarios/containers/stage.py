"""A Docker daemon of the test's own, the images that compose files name, and what `docker compose` brings up on it.

Images that cannot be pulled are made from Debian's packages (scripts/images). healgate's holds target/debug/healgate, which
`make test` has compiled; HEALGATE_BINARY names another.
"""

import atexit
import functools
import json
import os
import subprocess
import sys
import time
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(REPOSITORY / "scripts"), str(REPOSITORY / "tests/scenarios")]

import no_names  # noqa: E402
from engine import BUILDING, Engine, leave_the_network  # noqa: E402
from story import Peers, until  # noqa: E402

# Of the Debian that the image is made of: what was compiled with a newer one would not start there.
NEWEST_LIBC = (2, 36)
UP_LIMIT = 180


def binary():
    """The gateway that is tested."""
    return Path(os.environ.get("HEALGATE_BINARY", REPOSITORY / "target/debug/healgate"))


def image_target():
    """Packs the binary that is there, if it would run in the image; otherwise the image compiles its own."""
    libc = tuple(map(int, os.confstr("CS_GNU_LIBC_VERSION").split()[1].split(".")[:2]))
    if libc > NEWEST_LIBC or not binary().exists():
        return "healgate"
    packed = REPOSITORY / "target/image/healgate"
    packed.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["strip", "-o", packed, binary()], check=True)
    return "packed"


@functools.cache
def engine():
    """The daemon of this process, with all images, in a network namespace that this process has moved to."""
    engine = Engine()
    atexit.register(engine.stop)
    engine.start(*BUILDING)
    begin = time.monotonic()
    subprocess.run([REPOSITORY / "scripts/images"], env=engine.environment(), check=True)
    print(f"images are there after {time.monotonic() - begin:.0f} s", flush=True)
    engine.must("docker", "build", "--network", "host", "--target", image_target(), "--tag", "healgate:0.1.0", ".")
    print(f"healgate's image is built after {time.monotonic() - begin:.0f} s", flush=True)
    engine.stop()
    leave_the_network()
    engine.start(f"--dns={no_names.serve()}")
    return engine


class OnEngine(unittest.TestCase):
    """Tests that need a Docker daemon."""

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            print(f"\nSKIPPED: {cls.__name__} is not tested: a Docker daemon needs root\n", file=sys.stderr)
            raise unittest.SkipTest("a Docker daemon needs root")
        cls.engine = engine()


class Stage(OnEngine):
    """Brings up the compose files of a scenario for all tests of the class."""

    # Paths from the repository's root; the later ones change the earlier ones.
    files = ("docker-compose.yml",)
    # Alerts that must be known to be inactive, and metrics that must be 1, before anything is broken.
    well = ()
    peers = Peers()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        compose = ["docker", "compose"] if cls.engine.call("docker", "compose", "version").returncode == 0 else ["docker-compose"]
        cls.command = [*compose, "--project-name", "healgate-test", *(part for file in cls.files for part in ("--file", file))]
        # Class cleanups also run where setUpClass fails.
        cls.addClassCleanup(cls.compose, "down", "--volumes", "--timeout", "2")
        begin = time.monotonic()
        cls.compose("up", "--detach")
        until("all containers are healthy", UP_LIMIT, lambda: set(cls.health().values()) <= {"healthy", None})
        until("Prometheus sees all well", 90, lambda: all(cls.peers.values(metric) == {"1"} for metric in cls.well))
        print(f"all are up and healthy after {time.monotonic() - begin:.0f} s", flush=True)

    @classmethod
    def compose(cls, *arguments):
        return cls.engine.must(*cls.command, *arguments)

    @classmethod
    def config(cls, *files):
        """What compose makes of these files."""
        command = [*cls.command[: cls.command.index("--file")], *(part for file in files for part in ("--file", file)), "config"]
        # Debian's compose prints YAML only, which Ansible's Python reads.
        to_json = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"
        return json.loads(cls.engine.must(".venv/bin/python", "-c", to_json, input=cls.engine.must(*command)))

    @classmethod
    def health(cls):
        """Service → what its health check says; None if it runs and has none."""
        states = {}
        for container in json.loads(cls.engine.must("docker", "inspect", *cls.compose("ps", "-aq").split())):
            state = container["State"]
            health = state.get("Health", {}).get("Status") if state["Running"] else "not running"
            states[container["Config"]["Labels"]["com.docker.compose.service"]] = health
        return states

    def container(self, service):
        return self.compose("ps", "-q", service).strip()

    def inspect(self, container):
        return json.loads(self.engine.must("docker", "inspect", container))[0]
