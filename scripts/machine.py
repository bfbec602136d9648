"""Machines for tests: a Debian made with debootstrap, in which systemd is booted, in namespaces of its own.

They share one base, made once and kept below target/machines: Debian, with Ansible where packaging/README.md puts it, and
with the services that tests watch, of which none is enabled. A machine is a layer over it. It has its own loopback, and a
cable to the others where a `Switch` is given; of this machine's network and file systems it sees and changes nothing.
Needs root.
"""

import ctypes
import functools
import hashlib
import inspect
import os
import shutil
import subprocess
import time
from pathlib import Path

from engine import leave_the_network

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")).resolve()
WORK = TARGET / "machines"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
PACKAGES = [
    "systemd-sysv", "dbus", "polkitd", "adduser", "procps", "sudo", "python3-venv", "man-db", "ca-certificates", "curl",
    # What scenarios are made of.
    "openssh-server", "openssh-client", "nginx", "python3-flask", "prometheus", "prometheus-alertmanager",
    "prometheus-blackbox-exporter", "prometheus-node-exporter",
]
SERVICES = [
    "ssh", "nginx", "prometheus", "prometheus-alertmanager", "prometheus-blackbox-exporter", "prometheus-node-exporter",
]
REQUIREMENTS = REPOSITORY / "requirements.txt"
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
LIMIT = 60
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
C = ctypes.CDLL(None, use_errno=True)

# Runs as the first process of the namespaces: makes the machine's file systems, and becomes its systemd.
BOOT = r"""
set -e
cd "$1"
mount --make-rprivate /
mount --bind . .
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0 1 2; do ln -s /proc/self/fd/$number dev/$number; done
mv dev/0 dev/stdin; mv dev/1 dev/stdout; mv dev/2 dev/stderr
pivot_root . .
umount -l .
exec env -i container=other PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --log-target=console --show-status=no
"""


class Failed(Exception):
    """What is not as it should be."""


def run(*command, env=None, check=True):
    """Runs a command and answers with what it printed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=env, check=False)
    if check and done.returncode:
        raise Failed(f"{' '.join(str(part) for part in command)[:300]}\n{(done.stdout + done.stderr)[-4000:]}")
    return (done.stdout + done.stderr).strip()


def until(what, condition, limit=LIMIT):
    """Waits for a condition; its answer is the last one."""
    end = time.monotonic() + limit
    while True:
        try:
            answer = condition()
        except Failed as error:
            answer, last = None, error
        else:
            last = ""
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failed(f"after {limit} s still not: {what} {last}")
        time.sleep(0.1)


def tell(text):
    print(f"machine: {text}", flush=True)


def can_be_made():
    """Whether this process may make namespaces: root in a container may not."""
    command = ["unshare", "--mount", "--pid", "--cgroup", "--fork", "mount", "--make-rprivate", "/"]
    return os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0


def suite():
    """This machine's own Debian, as the binary was linked here."""
    facts = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    debian = facts.get("ID", "").strip('"') == "debian"
    return facts.get("VERSION_CODENAME", "").strip('"') if debian else "bookworm"


def base():
    """The root of the base, made once for what goes into it."""
    inputs = f"{PACKAGES} {SERVICES} {REQUIREMENTS.read_text()} {inspect.getsource(debian)} {inspect.getsource(ansible)}"
    root = WORK / f"{suite()}-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"
    if root.is_dir():
        return root
    begin, part = time.monotonic(), WORK / "part"
    shutil.rmtree(part, ignore_errors=True)
    for old in WORK.glob(f"{suite()}-*"):
        shutil.rmtree(old)
    WORK.mkdir(parents=True, exist_ok=True)
    debian(part)
    ansible(part)
    part.rename(root)
    tell(f"the base is made after {time.monotonic() - begin:.0f} s")
    return root


def debian(part):
    tell(f"debootstrap {suite()} from {MIRROR}")
    run("debootstrap", "--variant=minbase", suite(), part, MIRROR)
    # Not by debootstrap, which cannot order what these want. None of their services may start outside of the machine.
    policy = part / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    run("chroot", part, "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *PACKAGES, env=ENVIRONMENT)
    policy.unlink()
    run("chroot", part, "apt-get", "clean", env=ENVIRONMENT)
    run("chroot", part, "systemctl", "disable", *SERVICES, env=ENVIRONMENT)
    # What Debian does once a day, it would do at every boot of a new machine.
    shutil.rmtree(part / "etc/systemd/system/timers.target.wants")
    # A host's keys are its own.
    for key in (part / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (part / "etc/resolv.conf").write_text("")


def ansible(part):
    tell("ansible-core into its /opt/healgate/ansible")
    version = run("chroot", part, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])", env=ENVIRONMENT)
    run(REPOSITORY / ".venv/bin/pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
        "--python-version", version, "--dest", part / "wheels", "--requirement", REQUIREMENTS)
    run("chroot", part, "python3", "-m", "venv", "/opt/healgate/ansible", env=ENVIRONMENT)
    shutil.copy(REQUIREMENTS, part / "wheels/requirements.txt")
    run("chroot", part, "/opt/healgate/ansible/bin/pip", "install", "--quiet", "--no-index", "--no-deps",
        "--find-links=/wheels", "--requirement=/wheels/requirements.txt", env=ENVIRONMENT)
    shutil.rmtree(part / "wheels")


@functools.cache
def leave_the_mounts():
    """Puts this process into a mount namespace of its own: however it ends, its machines' file systems end with it."""
    if C.unshare(CLONE_NEWNS) != 0:
        raise Failed(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    run("mount", "--make-rprivate", "/")


class Switch:
    """What machines are plugged into: a bridge in a network namespace that this process moves to. Nothing leads out of it."""

    def __init__(self, address="10.77.0.1/24"):
        leave_the_network()
        self.net = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.bits = address.partition("/")[2]
        run("ip", "link", "add", "switch", "type", "bridge")
        run("ip", "address", "add", address, "dev", "switch")
        run("ip", "link", "set", "switch", "up")

    def run(self, *command, net=None, **options):
        """Runs it in a network namespace: the switch's own, or that of a process."""
        place = f"/proc/{net}/ns/net" if net else f"/proc/{os.getpid()}/fd/{self.net}"
        return run("nsenter", f"--net={place}", *command, **options)

    @staticmethod
    def port(machine):
        """Names of machines may be longer than those of links."""
        return f"port-{machine.address.rpartition('.')[2]}"

    def plug(self, machine):
        port = self.port(machine)
        self.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", machine.init)
        self.run("ip", "link", "set", port, "master", "switch", "up")
        self.run("ip", "link", "set", "lo", "up", net=machine.init)
        self.run("ip", "address", "add", f"{machine.address}/{self.bits}", "dev", "eth0", net=machine.init)
        self.run("ip", "link", "set", "eth0", "up", net=machine.init)

    def unplug(self, machine):
        """Not left to the kernel, which takes its time; the next machine may have the same port."""
        self.run("ip", "link", "delete", self.port(machine), check=False)

    def cut(self, machine):
        """Pulls its cable; `join` puts it back."""
        self.run("ip", "link", "set", self.port(machine), "down")

    def join(self, machine):
        self.run("ip", "link", "set", self.port(machine), "up")

    def enter(self, machine=None):
        """From now on this thread, and what it starts, talk from where that machine is; without one, from the switch."""
        net = os.open(f"/proc/{machine.init}/ns/net", os.O_RDONLY) if machine else self.net
        if C.setns(net, CLONE_NEWNET) != 0:
            raise Failed(f"cannot enter a network: {os.strerror(ctypes.get_errno())}")
        if machine:
            os.close(net)


class Machine:
    """A root directory over the base, and systemd in it once it is booted."""

    def __init__(self, base, name, switch=None, address=None):
        self.name, self.switch, self.address = name, switch, address
        self.directory = WORK / name
        self.root = self.directory / "root"
        self.process = None
        self.init = None
        groups = Path(run("findmnt", "-n", "-t", "cgroup2", "-o", "TARGET").splitlines()[0])
        self.group = groups / f"healgate-{hashlib.sha256(str(self.root).encode()).hexdigest()[:12]}"
        leave_the_mounts()
        shutil.rmtree(self.directory, ignore_errors=True)
        layers = self.directory / "upper", self.directory / "work"
        for folder in (*layers, self.root):
            folder.mkdir(parents=True)
        self.mounted = subprocess.run(
            ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={base},upperdir={layers[0]},workdir={layers[1]}", self.root],
            check=False, capture_output=True).returncode == 0
        if not self.mounted:
            # Not every file system can be a layer.
            run("cp", "--archive", "--reflink=auto", f"{base}/.", self.root)
        self.write("/etc/hostname", f"{name}\n")

    def chroot(self, *command, **options):
        return run("chroot", self.root, *command, env=ENVIRONMENT, **options)

    def boot(self):
        self.clear_group()
        self.group.mkdir()
        command = [
            "sh", "-c", 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"', "sh", self.group,
            # However this process ends, the machine ends with it.
            "setpriv", "--pdeathsig=KILL",
            "unshare", "--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup", "--fork", "--kill-child",
            "sh", "-c", BOOT, "sh", self.root,
        ]
        with (self.directory / "boot.log").open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.init = until("the machine's first process", lambda: children.read_text().split())[0]
        if self.switch:
            self.switch.plug(self)

    def is_up(self):
        return self.run("systemctl", "is-system-running", check=False) in ("running", "degraded")

    def wait_until_up(self):
        until(f"the machine {self.name} is up", self.is_up)

    def run(self, *command, **options):
        return run("nsenter", "--all", f"--target={self.init}", *command, env=ENVIRONMENT, **options)

    def path(self, name):
        """Where it is from here. Links lead to where they lead in the machine, never out of it."""
        place = self.root
        for part in os.path.normpath(f"/{name}").strip("/").split("/"):
            place = place / part
            if place.is_symlink():
                place = self.path(Path("/", place.parent.relative_to(self.root), os.readlink(place)))
        return place

    def write(self, name, text, mode=None):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if mode is not None:
            path.chmod(mode)

    def show(self, what, unit="healgate"):
        return self.run("systemctl", "show", "--value", f"--property={what}", unit)

    def halt(self):
        """Ends the machine, and forgets what it has written."""
        if self.process:
            self.process.kill()
            self.process.wait()
        self.clear_group()
        if self.switch and self.init:
            self.switch.unplug(self)
        if self.mounted:
            run("umount", "--lazy", self.root)
            self.mounted = False
        shutil.rmtree(self.directory, ignore_errors=True)

    def clear_group(self):
        """Groups go away leaf by leaf, once their processes have."""
        def gone():
            for folder, _, _ in os.walk(self.group, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    return False
            return True
        until("the machine's control group is gone", gone)
