"""The callback plugin writes whole, valid lines whatever it is given. Run: python3 -m unittest discover python."""

import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import types
import unittest
from pathlib import Path
from types import SimpleNamespace


def load():
    """The plugin, with nothing of Ansible but the class that it derives from."""
    base = types.ModuleType("ansible.plugins.callback")
    base.CallbackBase = type("CallbackBase", (), {"__init__": lambda self, *args, **kwargs: None})
    for name in ("ansible", "ansible.plugins"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["ansible.plugins.callback"] = base
    path = Path(__file__).with_name("healgate_events.py")
    spec = importlib.util.spec_from_file_location("healgate_events", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


plugin = load()


class Task(SimpleNamespace):
    def get_name(self):
        return "restart"

    def get_path(self):
        return "/srv/play.yml:3"


class Host:
    name = "web1"


def task(**fields):
    return Task(**{"_uuid": "u1", "action": "command", "_parent": None, "loop": None, **fields})


def result(data, of=None):
    return SimpleNamespace(_host=Host(), _task=of or task(), _result=data)


class Events(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "events.jsonl")
        os.environ["HEALGATE_EVENTS"] = str(self.path)
        self.addCleanup(os.environ.pop, "HEALGATE_EVENTS", None)
        self.callback = plugin.CallbackModule()
        self.addCleanup(os.close, self.callback._fd)

    def lines(self):
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def last(self):
        return self.lines()[-1]

    def test_a_result_belongs_to_the_start_of_its_task(self):
        self.callback.v2_runner_on_start(Host(), task())
        self.callback.v2_runner_on_ok(result({"changed": True, "msg": "done"}))
        start, end = self.lines()
        self.assertEqual(start["n"], end["n"])
        self.assertEqual((end["status"], end["message"], end["host"]), ("changed", "done", "web1"))
        self.assertEqual(os.environ["HEALGATE_TASK"], str(start["n"]))

    def test_what_tasks_start_does_not_inherit_the_file(self):
        self.assertNotIn("HEALGATE_EVENTS", os.environ)

    def test_a_failure_in_a_block_with_a_rescue_is_rescued(self):
        inner = task()
        inner._parent = SimpleNamespace(_uuid="b", rescue=[task(_uuid="r")], block=[inner], _parent=None)
        self.callback.v2_runner_on_failed(result({}, inner))
        self.assertEqual(self.last()["status"], "rescued")
        rescuer = inner._parent.rescue[0]
        rescuer._parent = inner._parent
        self.callback.v2_runner_on_failed(result({}, rescuer))
        self.assertEqual(self.last()["status"], "failed")

    def test_items_are_those_of_a_loop(self):
        results = [
            {"item": "a", "ansible_loop_var": "item", "changed": True},
            {"fruit": "b", "ansible_loop_var": "fruit", "failed": True, "msg": "no"},
            {"item": "c", "_ansible_item_label": "label", "skipped": True},
            {"censored": "hidden"},
            "squashed",
        ]
        self.callback.v2_runner_on_ok(result({"results": results}, task(loop=["a"])))
        told = [(entry["item"], entry["status"], entry["message"]) for entry in self.last()["items"]]
        self.assertEqual(
            told,
            [("a", "changed", None), ("b", "failed", "no"), ("label", "skipped", None), ("(hidden)", "ok", "hidden")],
        )
        # A module may answer with a list of that name.
        self.callback.v2_runner_on_ok(result({"results": results}))
        self.assertNotIn("items", self.last())

    def test_the_name_of_a_task_is_the_one_that_was_rendered(self):
        self.callback.v2_playbook_on_task_start(task(get_name=lambda: "restart web"), False)
        self.callback.v2_runner_on_ok(result({}, task(get_name=lambda: "restart {{ name }}")))
        self.assertEqual(self.last()["task"], "restart web")

    def test_strange_objects_make_valid_lines(self):
        class Strange:
            def __str__(self):
                return "strange"

        class Mute:
            def __str__(self):
                raise RuntimeError("no")

        loop = {}
        loop["self"] = loop
        wide = []
        wide.extend([wide] * 50)
        odd = [Strange(), Mute(), "\udcff", b"\xff", float("nan"), 10**9999, -(2**70), {1: {2}, Mute(): 1}, loop, wide]
        for value in odd:
            self.callback.v2_runner_on_ok(result({"msg": value, "diff": value}, task(diff=True)))
        lines = self.lines()
        self.assertEqual([line["host"] for line in lines], ["web1"] * len(odd))
        self.assertTrue(all(len(line["message"].encode()) <= plugin.MESSAGE_BYTES for line in lines))

    def test_a_result_is_told_though_its_data_cannot_be_read(self):
        class Closed(dict):
            def get(self, *args):
                raise RuntimeError("no")

        self.callback.v2_runner_on_failed(result(Closed(msg="x")))
        self.assertEqual((self.last()["status"], self.last()["message"]), ("failed", None))

    def test_a_line_that_was_torn_by_a_full_disk_spoils_no_other(self):
        self.callback.v2_runner_on_ok(result({}))
        os.write(self.callback._fd, b'{"event":"res')
        self.callback._torn = True
        self.callback.v2_runner_on_ok(result({"msg": "after"}))
        lines = self.path.read_text().splitlines()
        self.assertEqual(len(lines), 3)
        self.assertEqual(json.loads(lines[2])["message"], "after")

    def test_a_file_that_takes_nothing_does_no_harm(self):
        fd = self.callback._fd
        for bad in ("/dev/full", "/proc/self/status"):
            self.callback._fd = os.open(bad, os.O_RDONLY if "proc" in bad else os.O_WRONLY)
            self.callback.v2_runner_on_ok(result({}))
            os.close(self.callback._fd)
            self.callback.v2_runner_on_start(Host(), task())
        self.callback._fd = fd
        self.assertFalse(self.path.read_text())

    def test_without_a_file_ansible_need_not_call(self):
        for path in ("/proc/nowhere/events.jsonl", ""):
            os.environ["HEALGATE_EVENTS"] = path
            self.assertTrue(plugin.CallbackModule().disabled)
        # A pipe that nobody reads must not hold up the play.
        fifo = self.path.with_name("fifo")
        os.mkfifo(fifo)
        os.environ["HEALGATE_EVENTS"] = str(fifo)
        self.assertTrue(plugin.CallbackModule().disabled)

    def test_an_object_that_raises_is_left_out_and_does_no_harm(self):
        class Broken:
            def __getattr__(self, name):
                raise RuntimeError(name)

        self.callback.v2_runner_on_ok(Broken())
        self.callback.v2_playbook_on_stats(Broken())
        self.callback.v2_playbook_on_play_start(Broken())
        self.assertFalse(self.path.read_text())

    def test_what_no_log_hides_stays_hidden(self):
        self.callback.v2_runner_on_ok(result({"censored": "hidden", "changed": True}))
        self.assertEqual(self.last()["message"], "hidden")

    def test_a_long_message_is_cut_between_characters(self):
        self.callback.v2_runner_on_ok(result({"msg": "é" * 5000}))
        self.assertLessEqual(len(self.last()["message"].encode()), plugin.MESSAGE_BYTES)

    def test_another_process_writes_nothing(self):
        self.callback._owner = -1
        self.callback.v2_runner_on_ok(result({}))
        self.assertFalse(self.path.read_text())


class Secrets(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def callback_without(self, *secrets, **variables):
        paths = []
        for number, secret in enumerate(secrets):
            paths.append(str(self.folder / f"secret{number}"))
            Path(paths[-1]).write_bytes(secret.encode() if isinstance(secret, str) else secret)
        os.environ["HEALGATE_EVENTS"] = str(self.folder / "events.jsonl")
        os.environ.update(variables)
        os.environ["HEALGATE_SECRETS"] = json.dumps({"files": paths, "variables": list(variables)})
        callback = plugin.CallbackModule()
        self.addCleanup(os.close, callback._fd)
        self.assertNotIn("HEALGATE_SECRETS", os.environ)
        return callback

    def written(self):
        return (self.folder / "events.jsonl").read_text(encoding="utf-8")

    def test_every_text_is_masked(self):
        callback = self.callback_without('hunter2"é\n')
        value = 'hunter2"é'

        class Named(Task):
            def get_name(self):
                return f"say {value}"

        callback.v2_playbook_on_play_start(SimpleNamespace(get_name=lambda: value))
        callback.v2_playbook_on_task_start(Named(_uuid="u", action="a", _parent=None), False)
        for data in (
            {"msg": f"it is {value}."},
            {"msg": {"deep": [value, {value: 1}]}},
            {"msg": "non-zero return code", "rc": 1, "stderr": json.dumps({"password": value})},
            {"reason": json.dumps([json.dumps(value)])},
            {"msg": {"x": json.dumps([json.dumps(value, ensure_ascii=False)])}},
        ):
            diff = [{"before": value, "after": f"x\n{value}\n", value: None}]
            results = [{"item": value, "ansible_loop_var": "item", **data}]
            told = result({**data, "results": results, "diff": diff}, task(diff=True, loop=[value]))
            callback.v2_runner_on_failed(told)
        self.assertNotIn("hunter", self.written())
        last = json.loads(self.written().splitlines()[-1])
        self.assertEqual(last["diff"], [{"before": "******", "after": "x\n******\n", "******": None}])
        self.assertEqual(last["items"][0]["item"], "******")

    def test_lines_of_a_file_are_masked_each(self):
        callback = self.callback_without("first line\nab\n  second line\n", b"\xffraw", " \n")
        callback.v2_runner_on_ok(result({"msg": "second line, ab, first line, first"}))
        self.assertIn('"******, ab, ******, first"', self.written())

    def test_what_a_variable_says_is_masked(self):
        callback = self.callback_without(HEALGATE_TEST_TOKEN="hunter2\nsecond line\n")
        self.addCleanup(os.environ.pop, "HEALGATE_TEST_TOKEN")
        callback.v2_runner_on_ok(result({"msg": "it is hunter2, second line, hunter2\nsecond line"}))
        self.assertIn('"it is ******, ******, ******"', self.written())

    def test_a_cut_leaves_no_half_of_a_secret(self):
        secret = "0123456789abcdef" * 4
        for before in range(plugin.MESSAGE_BYTES - 80, plugin.MESSAGE_BYTES + 10):
            mask = plugin.Mask([secret])
            self.assertNotIn("0123", plugin.trimmed("x" * before + secret + "y" * 200_000, mask))
        # Many that shrink move the border of what is looked at into sight.
        self.assertNotIn("0123", plugin.trimmed((secret + "-") * 10_000, plugin.Mask([secret])))
        self.assertNotIn("0123", plugin.trimmed(secret * 10_000, plugin.Mask([secret])))

    def test_overlapping_secrets_leave_no_rest(self):
        chance = random.Random(7)
        for _ in range(3000):
            secrets = {"".join(chance.choices("ab", k=chance.randint(1, 5))) for _ in range(chance.randint(1, 4))}
            text = "".join(chance.choices("aabb\n", k=chance.randint(0, 40)))
            masked = plugin.Mask(secrets).text(text)
            covered = set()
            for secret in secrets:
                for start in range(len(text)):
                    if text.startswith(secret, start):
                        covered.update(range(start, start + len(secret)))
                self.assertNotIn(secret, masked)
            kept = "".join(character for at, character in enumerate(text) if at not in covered)
            self.assertEqual(masked.replace(plugin.MASK, ""), kept)

    def test_where_secrets_cannot_be_learned_no_text_is_told(self):
        unknown = {"files": [], "variables": ["HEALGATE_TEST_UNSET"]}
        for named in ("nonsense", json.dumps({"files": ["/nowhere/gone"], "variables": []}), json.dumps(unknown)):
            os.environ["HEALGATE_SECRETS"] = named
            os.environ["HEALGATE_EVENTS"] = str(self.folder / "events.jsonl")
            callback = plugin.CallbackModule()
            self.addCleanup(os.close, callback._fd)
            told = {"msg": "hunter2", "diff": {"after": "hunter2"}, "results": [{"item": "hunter2", "msg": ["hunter2"]}]}
            callback.v2_runner_on_ok(result(told, task(diff=True, loop=["a"], get_name=lambda: "hunter2")))
            self.assertNotIn("hunter2", self.written())
            last = json.loads(self.written().splitlines()[-1])
            self.assertEqual((last["message"], last["status"]), (plugin.UNTOLD, "ok"))


# In a process of its own, as the tests above do without Ansible. Prints what it finds as JSON.
BESIDE_OTHERS = """
import importlib.util, json, sys, types
from ansible.executor import task_result
from ansible.playbook.task import Task
from ansible.utils import color, display

spec = importlib.util.spec_from_file_location("healgate_events", sys.argv[1])
plugin = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plugin)
color.ANSIBLE_COLOR = True
as_ever = display.stringc
ours = plugin.CallbackModule()
is_new = hasattr(task_result, "_RawTaskResult")
kind = task_result._RawTaskResult if is_new else task_result.TaskResult

def given(callback_plugin, no_log=False, **data):
    task = Task()
    task.no_log = no_log
    result = kind(types.SimpleNamespace(name="web1"), task, data, {})
    raw = result._return_data if is_new else result._result
    seen = result.as_callback_task_result() if is_new else result.clean_copy()
    return raw, plugin.data_of(seen)

def shares(*args, **more):
    raw, seen = given(*args, msg=["a"], **more)
    return seen.get("msg") is raw["msg"]

text = "\\n".join(["a line"] * 20_000) + "\\n"
print(json.dumps({
    "ours": shares(ours),
    "another's": shares(object()),
    "hidden": [given(ours, **more)[1].get("msg") for more in ({"no_log": True, "msg": "s"}, {"_ansible_no_log": True, "msg": "s"})],
    "untold": given(ours, no_log="{{ hide }}", _ansible_no_log=True, msg="s")[1].get("msg"),
    "coloured": [display.stringc(text, name) == as_ever(text, name) for name in ("green", "bright red")],
    "plain": display.stringc("x", "green") == as_ever("x", "green"),
    "is ours": display.stringc is not as_ever,
}))
"""


@unittest.skipUnless(Path(sys.executable).with_name("ansible-playbook").exists(), "this Python has no Ansible")
class BesideOthers(unittest.TestCase):
    def test_what_is_done_faster_is_the_same_for_everybody_else(self):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "HEALGATE_EVENTS": str(Path(folder, "events")), "HOME": folder, "LC_ALL": "C.UTF-8"}
            command = [sys.executable, "-c", BESIDE_OTHERS, str(Path(__file__).with_name("healgate_events.py"))]
            done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(
            json.loads(done.stdout),
            {
                "ours": True,
                "another's": False,
                "hidden": [None, None],
                "untold": None,
                "coloured": [True, True],
                "plain": True,
                "is ours": True,
            },
        )


if __name__ == "__main__":
    unittest.main()
