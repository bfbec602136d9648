#!/usr/bin/env python3
"""Installs the Debian package on a machine made with debootstrap, and lives with it: boot, upgrade, remove, purge.

The machine is a container with namespaces of its own, in which systemd is booted; it has no network but its own loopback.
Its base (Debian, and ansible-core installed as packaging/README.md says) is kept below target/test-deb. The package is of
target/debug/healgate. Needs root or sudo; without, it says so and tests nothing.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")).resolve()
WORK = TARGET / "test-deb"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
PACKAGES = ["systemd-sysv", "dbus", "polkitd", "adduser", "procps", "sudo", "python3-venv", "man-db"]
REQUIREMENTS = REPOSITORY / "requirements.txt"
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
LIMIT = 60

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

# Speaks HTTP on the machine's loopback.
ASK = r"""
import sys, urllib.error, urllib.request
method, path, body = sys.argv[1:]
request = urllib.request.Request("http://127.0.0.1:8750" + path, method=method, data=body.encode() or None,
                                 headers={"content-type": "application/json"})
try:
    print(urllib.request.urlopen(request, timeout=10).read().decode())
except urllib.error.HTTPError as error:
    sys.exit(f"{error}: {error.read().decode()}")
"""

# What the administrator of the machine adds: a playbook that goes on until it is told, and one for each drop-in.
REMEDIATIONS = """
  slow: {path: playbooks/slow.yml, timeout: 10m}
  become: {path: playbooks/become.yml}
  restart: {path: playbooks/restart.yml}
"""
PLAYBOOKS = {
    "slow": """
    - ansible.builtin.debug: {msg: before}
    - ansible.builtin.wait_for: {path: /tmp/go, timeout: 500, sleep: 1}
    - ansible.builtin.debug: {msg: after}
""",
    "become": """
    - ansible.builtin.command: {cmd: id -u}
      become: true
      register: who
      failed_when: who.stdout != "0"
""",
    "restart": """
    - ansible.builtin.service: {name: demo, state: restarted}
""",
}
DEMO = "[Service]\nExecStart=/bin/sleep infinity\n"


class Failed(Exception):
    """What the package does not do as it should."""


def run(*command, env=None, check=True):
    """Runs a command and answers with what it printed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=env, check=False)
    if check and done.returncode:
        raise Failed(f"{' '.join(str(part) for part in command)[:300]}\n{(done.stdout + done.stderr)[-4000:]}")
    return (done.stdout + done.stderr).strip()


def expect(condition, text):
    if not condition:
        raise Failed(text)


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


def suite():
    """This machine's own Debian, as the binary was linked here."""
    facts = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    debian = facts.get("ID", "").strip('"') == "debian"
    return facts.get("VERSION_CODENAME", "").strip('"') if debian else "bookworm"


def base():
    """A Debian with ansible-core in /opt/healgate/ansible, made once."""
    key = hashlib.sha256(f"{PACKAGES} {REQUIREMENTS.read_text()}".encode()).hexdigest()[:12]
    root = WORK / f"{suite()}-{key}"
    if root.is_dir():
        return root
    part = WORK / "part"
    shutil.rmtree(part, ignore_errors=True)
    for old in WORK.glob(f"{suite()}-*"):
        shutil.rmtree(old)
    debian(part)
    ansible(part)
    part.rename(root)
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


def packages():
    """Two versions of the package, of the development build as it is: what is tested is the packaging."""
    return [
        Path(run(REPOSITORY / "scripts/deb", "dev", "--fast", "--strip", f"--deb-version={version}",
                 f"--output={WORK}/").splitlines()[-1])
        for version in ("0.0.1", "0.0.2")
    ]


class Machine:
    """The container: a root directory, and systemd in it."""

    def __init__(self, root):
        self.root = root
        self.process = None
        self.init = None
        groups = Path(run("findmnt", "-n", "-t", "cgroup2", "-o", "TARGET").splitlines()[0])
        self.group = groups / f"healgate-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}"

    def chroot(self, *command, **options):
        return run("chroot", self.root, *command, env=ENVIRONMENT, **options)

    def boot(self):
        self.clear_group()
        self.group.mkdir()
        self.process = subprocess.Popen(
            ["sh", "-c", 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"', "sh", self.group,
             # However this process ends, the machine ends with it.
             "setpriv", "--pdeathsig=KILL",
             "unshare", "--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup", "--fork", "--kill-child",
             "sh", "-c", BOOT, "sh", self.root],
            stdout=(WORK / "boot.log").open("w"), stderr=subprocess.STDOUT,
        )
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.init = until("the machine's first process", lambda: children.read_text().split())[0]
        until("the machine is up", lambda: self.run("systemctl", "is-system-running", check=False) in ("running", "degraded"))

    def run(self, *command, **options):
        return run("nsenter", "--all", f"--target={self.init}", *command, env=ENVIRONMENT, **options)

    def path(self, name):
        return self.root / name.lstrip("/")

    def write(self, name, text):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def ask(self, method, path, body=""):
        return self.run("python3", "-c", ASK, method, path, body and json.dumps(body))

    def show(self, what):
        return self.run("systemctl", "show", "--value", f"--property={what}", "healgate")

    def serves(self):
        until("healgate serves", lambda: self.ask("GET", "/healthz"))

    def start(self, playbook):
        return json.loads(self.ask("POST", "/api/v1/jobs", {"playbook": playbook}))["id"]

    def job(self, job):
        return json.loads(self.ask("GET", f"/api/v1/jobs/{job}"))

    def log(self, job):
        return self.ask("GET", f"/api/v1/jobs/{job}/log")

    def succeeds(self, job):
        ended = until(f"job {job} ends", lambda: self.ended(job))
        expect(ended["status"] == "succeeded", f"{ended}\n{self.log(job)}")
        return ended

    def ended(self, job):
        seen = self.job(job)
        return seen if seen["status"] in ("succeeded", "failed", "canceled") else None

    def processes(self):
        """What runs for the user healgate: its run hosts and playbooks, and the gateway."""
        listed = self.run("sh", "-c", "cat /sys/fs/cgroup/system.slice/healgate.service/cgroup.procs || true")
        return {int(line) for line in listed.splitlines() if line.isdigit()}

    def of_run(self, job):
        """Its host, its guard, its playbook, and what that began."""
        found = self.run("sh", "-c", f"grep --text --files-with-matches --no-messages {job} /proc/[0-9]*/cmdline "
                         "/proc/[0-9]*/environ || true")
        return {int(line.split("/")[2]) for line in found.splitlines()} & self.processes()

    def halt(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.clear_group()

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


def tell(text):
    print(f"test-deb: {text}", flush=True)


def installs(machine, package):
    """Where no systemd runs, as in an image that is being built."""
    machine.chroot("dpkg", "--install", f"/packages/{package.name}")
    modes = machine.chroot(
        "stat", "-c", "%a %U:%G %n", "/etc/healgate", "/etc/healgate/healgate.yml", "/etc/healgate/remediations.yml",
        "/var/lib/healgate", "/usr/bin/healgate")
    expect(modes == "750 root:healgate /etc/healgate\n640 root:healgate /etc/healgate/healgate.yml\n"
           "644 root:root /etc/healgate/remediations.yml\n700 healgate:healgate /var/lib/healgate\n"
           "755 root:root /usr/bin/healgate", modes)
    user = machine.chroot("getent", "passwd", "healgate").split(":")
    expect(user[5:] == ["/var/lib/healgate", "/usr/sbin/nologin"] and 100 <= int(user[2]) < 1000, user)
    expect(machine.chroot("dpkg-query", "--show", "--showformat=${Conffiles}", "healgate").count("/etc/healgate/") == 3,
           "the conffiles are not three")
    # Ansible is where the service, not a shell, looks.
    checked = machine.chroot("env", f"PATH=/opt/healgate/ansible/bin:{ENVIRONMENT['PATH']}",
                             "healgate", "check", "--config", "/etc/healgate/healgate.yml")
    expect("are fine" in checked and "warning" not in checked, checked)
    for page in ("healgate", "healgate-serve", "healgate-token-new"):
        # Not `man`: it wants a terminal's width.
        text = machine.chroot("sh", "-c", f"man --warnings=all --encoding=ascii {page} 2>&1 >/tmp/page; cat /tmp/page")
        expect("SYNOPSIS" in text and "warning" not in text, f"{page}: {text}")
    completion = machine.chroot(
        "bash", "-c", "source /usr/share/bash-completion/completions/healgate; COMP_WORDS=(healgate pa) COMP_CWORD=1; "
        "_healgate healgate pa healgate; echo ${COMPREPLY[@]}")
    expect(completion == "pause", completion)


def analyzes(machine):
    complaints = machine.chroot("systemd-analyze", "verify", "healgate.service")
    expect("healgate" not in complaints, complaints)
    # Fails where the score is above 2.5.
    report = machine.chroot("systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", "healgate.service")
    score = re.search(r"Overall exposure level for healgate.service: ([0-9.]+)", report)
    expect(score and float(score[1]) <= 2.5, report)
    tell(f"systemd-analyze: nothing to complain of, exposure {score[1]}")


def shut_tight(machine):
    status = machine.run("cat", f"/proc/{machine.show('MainPID')}/status")
    for line in ("NoNewPrivs:\t1", "Seccomp:\t2", "CapBnd:\t0000000000000000"):
        expect(line in status, status)
    expect("Uid:\t0" not in status, status)
    expect(machine.run("healgate", "--version") != "", "no version")


def configure(machine):
    """Changes what the package brought, as administrators do."""
    for name, tasks in PLAYBOOKS.items():
        machine.write(f"/etc/healgate/playbooks/{name}.yml", f"- hosts: all\n  gather_facts: false\n  tasks:{tasks}")
    file = machine.path("/etc/healgate/remediations.yml")
    file.write_text(file.read_text().replace("playbooks:\n", f"playbooks:{REMEDIATIONS}", 1))
    machine.run("systemctl", "reload", "healgate")


def running(machine):
    """A run in its middle, with the processes that it consists of."""
    job = machine.start("slow")
    waits = ("pgrep", "--full", "^/usr/bin/python3 .*AnsiballZ_wait_for")
    until("the playbook waits", lambda: machine.run(*waits, check=False))
    processes = machine.of_run(job)
    expect(len(processes) > 3, f"a run of {len(processes)} processes")
    return job, processes


def upgrades(machine, package):
    job, processes = running(machine)
    gateway = machine.show("MainPID")
    begin = time.monotonic()
    machine.run("dpkg", "--install", f"/packages/{package.name}")
    machine.serves()
    tell(f"upgraded amid a run in {time.monotonic() - begin:.1f} s")
    expect(machine.run("dpkg-query", "--show", "--showformat=${Version}", "healgate") == "0.0.2", "not the new version")
    expect(machine.show("MainPID") != gateway, "the gateway was not restarted")
    executable = machine.run("readlink", f"/proc/{machine.show('MainPID')}/exe")
    expect(executable == "/usr/bin/healgate", f"the gateway is not the new one: {executable}")
    expect(processes <= machine.of_run(job), "the upgrade ended processes of the run")
    expect(machine.job(job)["status"] == "running", machine.job(job))
    machine.run("touch", "/tmp/go")
    ended = machine.succeeds(job)
    log = machine.log(job)
    expect("before" in log and "after" in log and len(ended["attempts"]) == 1, f"{ended}\n{log}")
    expect("slow:" in machine.path("/etc/healgate/remediations.yml").read_text(), "the upgrade changed a conffile")
    machine.run("rm", "/tmp/go")
    return job


def with_drop_ins(machine):
    """What packaging/README.md offers does what it says; without it, nobody becomes root."""
    text = (REPOSITORY / "packaging/README.md").read_text()
    machine.write("/etc/sudoers.d/healgate", "healgate ALL=(ALL) NOPASSWD: ALL\n")
    machine.write("/etc/systemd/system/demo.service", DEMO)
    rule = re.search(r"```js\n(.*?)```", text, re.S)[1].replace("nginx", "demo")
    machine.write("/etc/polkit-1/rules.d/healgate.rules", rule)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "polkit")
    refused = until("become ends", lambda job=machine.start("become"): machine.ended(job))
    expect(refused["status"] == "failed", "become works though the unit is shut")
    machine.succeeds(machine.start("restart"))
    expect(machine.run("systemctl", "is-active", "demo") == "active", "the rule for polkit did not restart it")
    drop_in = re.search(r"^`become`.*?```ini\n(.*?)```", text, re.S | re.M)[1]
    machine.write("/etc/systemd/system/healgate.service.d/become.conf", drop_in)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "healgate")
    machine.succeeds(machine.start("become"))
    shutil.rmtree(machine.path("/etc/systemd/system/healgate.service.d"))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "healgate")
    tell("become needs its drop-in and works with it; polkit's rule restarts a service without")


def removes(machine, package, job):
    machine.run("dpkg", "--remove", "healgate")
    until("warm interpreters end with their gateway", lambda: not machine.processes())
    expect(not machine.path("/usr/bin/healgate").exists(), "the program is still there")
    for kept in ("/etc/healgate/healgate.yml", "/etc/healgate/playbooks/slow.yml", "/var/lib/healgate/healgate.db"):
        expect(machine.path(kept).exists(), f"a removal took {kept}")
    machine.run("dpkg", "--install", f"/packages/{package.name}")
    machine.serves()
    expect(machine.job(job)["status"] == "succeeded", "the history is gone")
    tell("removed and installed again: settings and history are there")


def purges(machine):
    running(machine)
    machine.run("dpkg", "--purge", "healgate")
    expect(not machine.processes(), "a purge left processes")
    left = machine.run("find", "/", "-xdev", "-name", "*healgate*", "-not", "-path", "/packages/*")
    # These are not the package's: the administrator's Ansible, sudo and polkit.
    mine = ["/etc/polkit-1/rules.d/healgate.rules", "/etc/sudoers.d/healgate", "/opt/healgate"]
    expect(sorted(left.splitlines()) == mine, f"a purge left\n{left}")
    expect(machine.run("id", "-un", "healgate") == "healgate", "the user's number may be given to another")
    expect("healgate" not in machine.run("systemctl", "list-unit-files", "--no-pager"), "systemd still knows the unit")
    tell("purged amid a run: nothing is left but the user")


def story(machine, old, new):
    installs(machine, old)
    analyzes(machine)
    machine.boot()
    machine.serves()
    shut_tight(machine)
    machine.succeeds(machine.start("ping"))
    tell("installed, booted, and the ping of the conffiles has run")
    configure(machine)
    job = upgrades(machine, new)
    with_drop_ins(machine)
    removes(machine, new, job)
    purges(machine)


def is_root():
    """Whether this process may make namespaces: root in a container may not."""
    command = ["unshare", "--mount", "--pid", "--cgroup", "--fork", "mount", "--make-rprivate", "/"]
    return os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0


def become_root(made):
    """Goes on under sudo, if it asks for no password."""
    if os.geteuid() != 0 and shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], check=False).returncode == 0:
        os.execvp("sudo", ["sudo", "-n", "env", f"CARGO_TARGET_DIR={TARGET}", sys.executable, __file__, *map(str, made)])


def main():
    begin = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    # Made by whoever has cargo.
    old, new = made = [Path(name) for name in sys.argv[1:]] or packages()
    if not is_root():
        become_root(made)
        print("test-deb: SKIPPED, nothing was tested: a machine of its own needs root, and namespaces", file=sys.stderr)
        return 0
    origin, root = base(), WORK / "machine"
    shutil.rmtree(root, ignore_errors=True)
    run("cp", "--archive", "--reflink=auto", origin, root)
    (root / "packages").mkdir()
    for package in (old, new):
        package.rename(root / "packages" / package.name)
    machine = Machine(root)
    try:
        story(machine, old, new)
    except Failed as error:
        print(f"test-deb: {error}", file=sys.stderr)
        if machine.init:
            print(machine.run("journalctl", "--no-pager", "--lines=30", check=False), file=sys.stderr)
        return 1
    finally:
        machine.halt()
        shutil.rmtree(root, ignore_errors=True)
    tell(f"passed in {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
