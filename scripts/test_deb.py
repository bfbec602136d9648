#!/usr/bin/env python3
"""Installs the Debian package on a machine made with debootstrap, and lives with it: boot, upgrade, remove, purge.

The machine has no network but its own loopback (scripts/machine.py). The package is of target/debug/healgate. Needs root or
sudo; without, it says so and tests nothing.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from machine import ENVIRONMENT, REPOSITORY, TARGET, Failed, base, can_be_made, run, until
from machine import Machine as AnyMachine

WORK = TARGET / "test-deb"

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


def expect(condition, text):
    if not condition:
        raise Failed(text)


def packages():
    """Two versions of the package, of the development build as it is: what is tested is the packaging."""
    return [
        Path(run(REPOSITORY / "scripts/deb", "dev", "--fast", "--strip", f"--deb-version={version}",
                 f"--output={WORK}/").splitlines()[-1])
        for version in ("0.0.1", "0.0.2")
    ]


class Machine(AnyMachine):
    """The machine, as one talks to its gateway."""

    def ask(self, method, path, body=""):
        return self.run("python3", "-c", ASK, method, path, body and json.dumps(body))

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
    job = machine.start("become")
    refused = until("become ends", lambda: machine.ended(job))
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
    machine.wait_until_up()
    machine.serves()
    shut_tight(machine)
    machine.succeeds(machine.start("ping"))
    tell("installed, booted, and the ping of the conffiles has run")
    configure(machine)
    job = upgrades(machine, new)
    with_drop_ins(machine)
    removes(machine, new, job)
    purges(machine)


def become_root(made):
    """Goes on under sudo, if it asks for no password."""
    if os.geteuid() != 0 and shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], check=False).returncode == 0:
        os.execvp("sudo", ["sudo", "-n", "env", f"CARGO_TARGET_DIR={TARGET}", sys.executable, __file__, *map(str, made)])


def main():
    begin = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    # Made by whoever has cargo.
    old, new = made = [Path(name) for name in sys.argv[1:]] or packages()
    if not can_be_made():
        become_root(made)
        print("test-deb: SKIPPED, nothing was tested: a machine of its own needs root, and namespaces", file=sys.stderr)
        return 0
    machine = Machine(base(), "test-deb")
    try:
        machine.path("packages").mkdir()
        for package in (old, new):
            shutil.move(package, machine.path("packages") / package.name)
        story(machine, old, new)
    except Failed as error:
        print(f"test-deb: {error}", file=sys.stderr)
        if machine.init:
            print(machine.run("journalctl", "--no-pager", "--lines=30", check=False), file=sys.stderr)
        return 1
    finally:
        machine.halt()
    tell(f"passed in {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
