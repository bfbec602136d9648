"""The callback plugin writes whole, valid lines whatever it is given. Run: python3 -m unittest discover python."""

import importlib.util
import json
import os
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
    def get_name(self):
        return "web1"


def task(**fields):
    return Task(**{"_uuid": "u1", "action": "command", "_parent": None, **fields})


def result(data, of=None):
    return SimpleNamespace(host=Host(), task=of or task(), result=data)


class Events(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "events.jsonl")
        os.environ["HEALGATE_EVENTS"] = str(self.path)
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

    def test_items_are_collected(self):
        for item in ("a", "b"):
            self.callback.v2_runner_item_on_ok(result({"item": item, "_ansible_item_label": item}))
        self.callback.v2_runner_on_ok(result({"msg": "All items completed"}))
        self.assertEqual([entry["item"] for entry in self.last()["items"]], ["a", "b"])

    def test_strange_objects_make_valid_lines(self):
        class Strange:
            def __str__(self):
                return "strange"

        loop = {}
        loop["self"] = loop
        for value in (Strange(), "\udcff", b"\xff", float("nan"), {1: {2}}, loop):
            self.callback.v2_runner_on_ok(result({"msg": value, "diff": value}, task(diff=True)))
        self.assertEqual(len(self.lines()), 6)

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


if __name__ == "__main__":
    unittest.main()
