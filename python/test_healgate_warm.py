"""The warm interpreter's side of the agreement with gateway and run host, in every way that a run can begin or fail to."""

import errno
import json
import os
import shutil
import signal
import socket
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import healgate_warm
from warm_stand_in import PYTHON, SCRIPT, WARM, World, heard

PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - command: %s
"""
EMPTY = "- hosts: localhost\n  gather_facts: false\n  tasks: []\n"


def until(done, seconds=60):
    """Waits for a condition."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise AssertionError("it has not come to pass")
        time.sleep(0.01)


def children(pid):
    return Path("/proc/%d/task/%d/children" % (pid, pid)).read_text().split()


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def private_bytes(pid):
    lines = Path("/proc/%d/smaps_rollup" % pid).read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("Private_", "Anonymous")))


class Scene(unittest.TestCase):
    def world(self, **environment):
        folder = tempfile.TemporaryDirectory(prefix="healgate-")
        self.addCleanup(folder.cleanup)
        script = environment.pop("script", SCRIPT)
        world = World(Path(folder.name) / "w", script, **environment)
        self.addCleanup(world.close)
        (world.folder / "empty.yml").write_text(EMPTY)
        return world

    def play(self, world, name, command):
        (world.folder / name).write_text(PLAY % command)


@unittest.skipUnless(SCRIPT.exists(), "this Python has no ansible-playbook beside it")
class Runs(Scene):
    """One interpreter for all; none of these harms it."""

    def setUp(self):
        self.world = self.world()
        self.warm = self.world.start()
        self.assertTrue(self.warm.answer.get("ready"), self.warm.answer)
        self.pid = self.warm.process.pid

    def test_the_host_is_started_as_agreed(self):
        status = self.warm.run(["empty.yml"])
        place = str(self.world.run)
        host, play = status["play"]
        self.assertEqual(status["argv"][1:], ["run-host", "--ticket", "ticket", "--warm", str(play), place])
        self.assertEqual((status["environment"], status["cwd"], status["sid"]), ("", "/", True))
        self.assertEqual(status["line"], [{"warm": True}])
        self.assertEqual(status["exit"], 0)
        self.assertEqual(oct((self.world.run / "host.log").stat().st_mode & 0o777), "0o600")

    def test_a_run_of_another_kind_is_refused(self):
        other = {**self.world.environment, "GREETING": "other", "MORE": "1"}
        for order, reason in (
            ({"env": other}, "the environment has changed: GREETING, MORE"),
            ({"cwd": "/"}, "the folder has changed: /"),
            ({"argv": ["/bin/true"]}, "the command has changed: /bin/true"),
        ):
            status = self.warm.run(["empty.yml"], order=order)
            self.assertEqual(status["answer"], {"refused": reason})
            self.assertEqual((self.world.run / "output").read_bytes(), b"")

    def test_a_folder_by_another_name_is_the_same(self):
        link = self.world.root / "link"
        link.symlink_to(self.world.folder)
        self.assertEqual(self.warm.run(["empty.yml"], order={"cwd": str(link)})["exit"], 0)

    def test_a_folder_that_took_the_others_place_is_another(self):
        folder = self.world.folder
        folder.rename(folder.with_name("old"))
        shutil.copytree(folder.with_name("old"), folder)
        status = self.warm.run(["empty.yml"])
        self.assertEqual(status["answer"], {"refused": "the folder has changed: %s" % folder})

    def test_only_the_names_of_a_run_may_differ(self):
        own = {"HEALGATE_RUN": "other/1", "ANSIBLE_LOCAL_TEMP": str(self.world.run / "other")}
        status = self.warm.run(["empty.yml"], order={"env": {**self.world.environment, **own}})
        self.assertEqual(status["exit"], 0)

    def test_a_host_that_leaves_before_it_says_go_takes_the_play_with_it(self):
        (self.world.run / "leave").touch()
        self.play(self.world, "touch.yml", "touch made/never")
        self.assertEqual(self.warm.run(["touch.yml"])["line"], [])
        until(lambda: not self.sessions())
        self.assertFalse((self.world.folder / "made" / "never").exists())
        self.assertEqual(sorted(os.listdir(self.world.root / "tmp")), [])

    def sessions(self):
        """Processes that are forks of the interpreter or of its forks."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                is_host = os.fsencode(self.world.warm) in Path("/proc", entry, "cmdline").read_bytes()
                is_ours = is_host or os.readlink("/proc/%s/cwd" % entry) == str(self.world.folder)
            except OSError:
                continue
            if is_ours and int(entry) != self.pid:
                found.append(entry)
        return found

    def test_it_shows_nothing_of_its_environment_and_is_not_taken_for_a_run(self):
        shown = {name: Path("/proc/%d/%s" % (self.pid, name)).read_bytes().strip(b"\0") for name in ("cmdline", "environ")}
        self.assertEqual(shown, {"cmdline": os.fsencode(PYTHON) + b"\0" + os.fsencode(WARM), "environ": b""})

    def play_lookup(self, name, command):
        """A play that executes the command as a child of one of its own processes."""
        tasks = 'debug:\n        msg: "{{ lookup(\'pipe\', command) }}"\n      vars:\n        command: %s' % json.dumps(command)
        (self.world.folder / name).write_text(PLAY.replace("command: %s", tasks))

    def test_a_play_shows_what_a_cold_one_shows(self):
        copy = "for face in cmdline environ; do tr '\\0' '\\n' < /proc/$PPID/$face | grep -v '^$' > made/$face; done"
        seen = []
        for start in (self.world.cold, self.world.warmed):
            self.world.clean()
            self.play_lookup("faces.yml", copy)
            code, output = start(["faces.yml", "--extra-vars", "long=" + "x" * 5000])
            self.assertEqual(code, 0, output)
            seen.append([(self.world.folder / "made" / face).read_text() for face in ("cmdline", "environ")])
        cold, warm = seen
        self.assertIn("HEALGATE_RUN=j/1", warm[1].splitlines())
        self.assertEqual(warm, cold)

    def test_a_play_has_a_group_of_its_own(self):
        self.play_lookup("group.yml", "ps -o pgid= -p $(ps -o ppid= -p $PPID) > made/group")
        _, play = self.warm.run(["group.yml"])["play"]
        self.assertEqual((self.world.folder / "made" / "group").read_text().strip(), str(play))

    def test_a_host_that_cannot_be_executed_is_said_on_the_line(self):
        (said,) = heard(self.warm.begin(["empty.yml"], host="/nonexistent"))
        self.assertIn("cannot start the run host", said["refused"])
        until(lambda: not self.sessions())
        (said,) = heard(self.warm.begin(["empty.yml"], host="/dev/null"))
        self.assertIn("Permission denied", said["refused"])

    def test_a_fork_that_fails_is_said_on_the_line(self):
        packet = json.dumps({"host": "/x", "ticket": "t", "dir": "/tmp"}).encode()
        line, theirs = socket.socketpair()
        with mock.patch("os.fork", side_effect=OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))):
            healgate_warm.Interpreter.take(mock.Mock(), packet, [theirs.detach()])
        self.assertEqual(heard(line), [{"refused": "cannot fork: Resource temporarily unavailable"}])

    def test_packets_that_are_no_runs_are_left_alone(self):
        before = descriptors(self.pid)
        for packet in (b"{", b"[]", b'{"host": 1, "ticket": "t", "dir": "d"}', b"x" * 70_000):
            self.warm.control.send(packet)
            with open("/dev/null") as null:
                socket.send_fds(self.warm.control, [packet], [null.fileno()])
        good = json.dumps({"host": "/x", "ticket": "t", "dir": "/tmp"}).encode()
        with open("/dev/null") as null:
            socket.send_fds(self.warm.control, [good], [null.fileno()] * 2)
            socket.send_fds(self.warm.control, [good], [null.fileno()] * 40)
        self.warm.control.send(good)
        self.assertEqual(self.warm.run(["empty.yml"])["exit"], 0)
        self.assertEqual(descriptors(self.pid), before)

    def test_many_runs_leave_nothing_behind(self):
        self.warm.run(["empty.yml"])
        # What a child still shares is not private.
        until(lambda: not children(self.pid))
        before, memory = descriptors(self.pid), private_bytes(self.pid)
        for _ in range(40):
            self.assertEqual(self.warm.run(["empty.yml"])["exit"], 0)
        self.assertEqual(descriptors(self.pid), before)
        until(lambda: not children(self.pid))
        self.assertLess(private_bytes(self.pid) - memory, 2 << 20)

    def test_fifty_runs_at_once(self):
        self.play(self.world, "touch.yml", "touch {{ lookup('env', 'HEALGATE_RUN') }}")
        lines = []
        for number in range(50):
            place = self.world.run / str(number)
            place.mkdir()
            own = {"HEALGATE_RUN": str(place / "made"), "ANSIBLE_LOCAL_TEMP": str(self.world.run / "shared")}
            own["HEALGATE_EVENTS"] = str(place / "events")
            order = {"env": {**self.world.environment, **own}}
            lines.append((place, self.warm.begin(["touch.yml"], place=place, order=order)))
        for place, line in lines:
            self.assertEqual(heard(line), [{"warm": True}])
            self.assertEqual(json.loads((place / "status").read_text())["exit"], 0, (place / "output").read_text())
            self.assertTrue((place / "made").exists())
        self.assertEqual(os.listdir(self.world.run / "shared"), [])
        events = [line for place, _ in lines for line in (place / "events").read_text().splitlines()]
        uuids = [json.loads(line)["uuid"][9:22] for line in events if '"uuid"' in line]
        self.assertEqual(len(set(uuids)), 50)

    def test_it_ends_when_the_gateway_is_gone_and_its_plays_do_not(self):
        self.play(self.world, "long.yml", "sh -c 'touch made/begun; while ! test -e made/end; do sleep 0.05; done'")
        line = self.warm.begin(["long.yml"])
        until((self.world.folder / "made" / "begun").exists)
        self.assertEqual(self.warm.close(), 0)
        (self.world.folder / "made" / "end").touch()
        self.assertEqual(heard(line), [{"warm": True}])
        self.assertEqual(json.loads((self.world.run / "status").read_text())["exit"], 0)

    def test_an_interpreter_that_is_killed_leaves_its_runs_alone(self):
        self.play(self.world, "long.yml", "sh -c 'touch made/begun; while ! test -e made/end; do sleep 0.05; done'")
        line = self.warm.begin(["long.yml"])
        until((self.world.folder / "made" / "begun").exists)
        self.warm.process.kill()
        (self.world.folder / "made" / "end").touch()
        self.assertEqual(heard(line), [{"warm": True}])
        self.assertEqual(json.loads((self.world.run / "status").read_text())["exit"], 0)

    def test_an_interrupt_ends_a_play_as_it_ends_a_cold_one(self):
        self.play(self.world, "long.yml", "sh -c 'echo $PPID > made/begun; sleep 60'")
        begun = self.world.folder / "made" / "begun"
        line = self.warm.begin(["long.yml"])
        until(begun.exists)
        status = self.world.run / "status"
        play = [pid for pid in self.sessions() if Path("/proc", pid, "comm").read_text() == "ansible-playboo\n"]
        os.kill(min(map(int, play)), signal.SIGINT)
        heard(line)
        self.assertEqual(json.loads(status.read_text())["exit"], 99)
        self.assertIn(b"User interrupted execution", (self.world.run / "output").read_bytes())

    def test_the_list_of_files_names_what_would_make_it_stale(self):
        listed = (self.world.warm / "watch").read_text().splitlines()
        ends = ("/ansible/release.py", "/ansible/plugins/action/copy.py", "/bin/ansible-playbook", "/pyvenv.cfg")
        for end in (*ends, "/site-packages", "/ansible/module_utils/basic.py", "/ansible/config/base.yml", "/yaml/loader.py"):
            self.assertTrue([path for path in listed if path.endswith(end)], end)
        self.assertEqual([path for path in listed if not os.path.exists(path) or "__pycache__" in path], [])
        staying = (str(SCRIPT.parent.parent), str(Path(__file__).parent))
        passing = [path for path in listed if path.startswith("/tmp") and not path.startswith(staying)]
        self.assertEqual(passing, [], "only what stays is watched")


@unittest.skipUnless(SCRIPT.exists(), "this Python has no ansible-playbook beside it")
class Starts(Scene):
    """What does not become an interpreter, and what does in a way of its own."""

    def test_a_locale_that_ansible_refuses_is_told(self):
        world = self.world(LC_ALL="POSIX", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
        self.assertIn("Ansible requires the locale encoding to be UTF-8", world.start().answer["error"])
        self.assertEqual(world.interpreter.process.wait(10), 1)

    def test_a_script_that_does_something_first_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, "ansible-playbook")
            first = "import os\nos.environ['ANSIBLE_STDOUT_CALLBACK'] = 'oneline'\n"
            script.write_text("#!%s\n%sfrom ansible.cli.playbook import main\nmain()\n" % (PYTHON, first))
            answer = self.world(script=script).start().answer
        self.assertEqual(answer, {"error": "the script does something before it imports ansible.cli.playbook"})

    def test_a_configuration_that_is_no_configuration_is_told(self):
        world = self.world()
        (world.folder / "ansible.cfg").write_text("[defaults\n")
        self.assertIn("error", world.start().answer)

    def test_an_ansible_that_is_not_known_is_told(self):
        world = self.world(PYTHONPATH=str(Path(tempfile.gettempdir())))
        fake = world.root / "fake" / "ansible"
        (fake / "cli").mkdir(parents=True)
        for name, text in (("__init__", ""), ("release", "__version__ = '2.99.1'"), ("constants", "DEFAULT_LOG_PATH = None")):
            (fake / (name + ".py")).write_text(text)
        (fake / "cli" / "__init__.py").write_text("")
        (fake / "cli" / "playbook.py").write_text("import ansible.constants\n")
        world.environment["PYTHONPATH"] = str(world.root / "fake")
        self.assertEqual(world.start().answer, {"error": "ansible-core 2.99.1 is not one that a warm start knows"})

    def test_what_importing_says_is_said_by_each_play(self):
        world = self.world(PYTHONPATH="")
        site = world.root / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text("import sys\nprint('from the site')\nprint('aside', file=sys.stderr)\n")
        world.environment["PYTHONPATH"] = str(site)
        cold = world.cold(["empty.yml"])
        self.assertTrue(world.start().answer.get("ready"), world.interpreter.answer)
        self.assertEqual(world.warmed(["empty.yml"]), cold)
        self.assertEqual(world.warmed(["empty.yml"]), cold)
        self.assertTrue(cold[1].startswith(b"from the site\naside\n"))

    def test_a_library_that_says_something_is_not_imported_in_advance(self):
        world = self.world(PYTHONPATH="")
        (world.root / "lib").mkdir()
        text = "import warnings\nwarnings.warn('an old paramiko', UserWarning)\nclass SSHClient: pass\n"
        (world.root / "lib" / "paramiko.py").write_text(text)
        world.environment["PYTHONPATH"] = str(world.root / "lib")
        cold = world.cold(["empty.yml"])
        self.assertTrue(world.start().answer.get("ready"), world.interpreter.answer)
        self.assertEqual(world.warmed(["empty.yml"]), cold)
        self.assertIn(b"an old paramiko", cold[1])

    def test_log_path_is_the_plays_to_open(self):
        world = self.world(ANSIBLE_LOG_PATH="made/log/of.txt")
        world.start()
        folder = world.folder / "made" / "log"
        self.assertFalse(folder.exists())
        folder.mkdir()
        self.assertEqual(world.warmed(["empty.yml"])[0], 0)
        (folder / "of.txt").rename(folder / "rotated")
        self.assertEqual(world.warmed(["empty.yml"])[0], 0)
        for name in ("of.txt", "rotated"):
            self.assertEqual((folder / name).read_text().count("PLAY RECAP"), 1)

    def test_starting_writes_nothing_into_the_project(self):
        world = self.world(ANSIBLE_LOG_PATH="made/log")
        before = world.left()
        world.start()
        self.assertEqual(world.left(), before)


if __name__ == "__main__":
    unittest.main()
