"""Imports ansible-playbook once, and renews in a forked play what that import froze. Never forks, and never runs a play."""

import ast
import atexit
import ctypes
import gc
import importlib
import io
import os
import sys
import tempfile
import time
from importlib.machinery import PathFinder

OLDEST, NEWEST = (2, 16), (2, 20)


class Unsuitable(Exception):
    """This Ansible is not made as this module knows it; the text is a sentence."""


# What scripts import that pip writes.
HARMLESS = {"__future__", "re", "sys"}

# Ending Python needs these.
NEEDED_TO_END = ("abc", "codecs", "encodings", "io", "threading", "traceback", "warnings", "weakref")


class Exits:
    """What is to be done at exit, in its order, so that a play can do it with what is its own."""

    def __init__(self):
        # Of those there is no list, so they must stay as they are.
        self.others = atexit._ncallbacks()
        self.entries = []
        self.register = atexit.register
        atexit.register = self.note

    def note(self, function, *args, **kwargs):
        self.entries.append((function, args, kwargs))
        return self.register(function, *args, **kwargs)

    def end(self):
        atexit.register = self.register

    def again(self, last, temp, make_temp):
        """Registers all anew, with `last` to be done after all, and making a temporary directory for the entry of one."""
        if self.others:
            atexit.unregister(temp[0])
            make_temp()
            return
        atexit._clear()
        atexit.register(last)
        for function, args, kwargs in self.entries:
            if (function, args) == temp:
                make_temp()
            else:
                atexit.register(function, *args, **kwargs)


class Memory:
    """What was imported in advance. Taking it apart at exit, object by object, would take longer than a short play."""

    def __init__(self, stash):
        stashed = stash.modules if stash else {}
        every = {**sys.modules, **stashed}
        self.modules = {name: module for name, module in every.items() if self.is_spared(name, module)}

    def is_spared(self, name, module):
        return name.partition(".")[0] not in NEEDED_TO_END and getattr(module, "__file__", None)

    def spare(self):
        """At exit, after all else: keeps these modules from being taken apart. Those of a project are, as ever. What
        only these modules know is written out, as it is when a file is closed."""
        if sys.flags.dev_mode or sys.warnoptions:
            return
        for thing in gc.get_objects():
            if issubclass(type(thing), (io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)):
                try:
                    thing.flush()
                except (OSError, ValueError):
                    pass
        spared = [sys.modules.pop(name) for name, module in self.modules.items() if sys.modules.get(name) is module]
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(spared))


class LogPath:
    """Keeps `log_path` closed while importing: the file is the play's, and may be another by then. Notes what would have
    been logged."""

    def __init__(self, output):
        self.output = output
        self.path, self.opened_at, self.records = None, 0, []
        self.logging, self.make = None, None
        sys.meta_path.insert(0, self)

    def find_spec(self, name, path=None, target=None):
        around = {"ansible.constants": self.around_constants, "ansible.utils.display": self.around_display}.get(name)
        if not around:
            return None
        spec = PathFinder.find_spec(name, path, target)
        execute = spec.loader.exec_module

        def exec_module(module):
            del spec.loader.exec_module
            around(execute, module)

        spec.loader.exec_module = exec_module
        return spec

    def around_constants(self, execute, module):
        execute(module)
        if module.DEFAULT_LOG_PATH:
            self.path, module.DEFAULT_LOG_PATH = module.DEFAULT_LOG_PATH, os.devnull

    def around_display(self, execute, module):
        # Not before: importing it asks for something at exit, and that has its place.
        self.logging = importlib.import_module("logging")
        self.make = self.logging.getLogRecordFactory()
        self.logging.setLogRecordFactory(self.note)
        self.opened_at = self.output.size()
        execute(module)

    def note(self, *args, **kwargs):
        record = self.make(*args, **kwargs)
        self.records.append(record)
        return record

    def end(self):
        sys.meta_path.remove(self)
        if self.logging:
            self.logging.setLogRecordFactory(self.make)

    def prepare(self, display):
        """Looks for the statement of ansible/utils/display.py that opens the file."""
        if not self.path:
            return
        with open(display.__file__, "rb") as file:
            tree = ast.parse(file.read())
        found = [node for node in tree.body if isinstance(node, ast.If) and "DEFAULT_LOG_PATH" in ast.dump(node.test)]
        if len(found) != 1:
            raise Unsuitable("this ansible-core opens log_path in another way")
        self.statement = compile(ast.Module(found, []), display.__file__, "exec")
        for handler in self.logging.root.handlers[:]:
            self.logging.root.removeHandler(handler)
            handler.close()
        self.logging.root.setLevel(self.logging.WARNING)
        display.logger = None

    def open(self, constants, display):
        """In a play: opens the file, and logs what was noted as if it were now."""
        constants.DEFAULT_LOG_PATH = self.path
        exec(self.statement, display.__dict__)
        for record in self.records:
            made = self.make(record.name, record.levelno, record.pathname, record.lineno, record.msg, record.args, None)
            if display.logger:
                self.logging.getLogger(record.name).handle(made)


class Loaded:
    """An imported ansible-playbook."""

    def __init__(self, script, output):
        with open(script, "rb") as file:
            source = file.read()
        check_script(source)
        self.code = compile(source, script, "exec", dont_inherit=True)
        self.output = output
        self.stash = None
        self.exits = Exits()
        self.log_path = LogPath(output)
        sys.argv[:] = [script]
        try:
            importlib.import_module("ansible.cli.playbook")
        finally:
            self.log_path.end()
            self.exits.end()
        self.said = output.taken()
        self.version = importlib.import_module("ansible.release").__version__
        self.check_version()
        self.constants = importlib.import_module("ansible.constants")
        self.vars = importlib.import_module("ansible.utils.vars")
        self.display = importlib.import_module("ansible.utils.display")
        self.log_path.prepare(self.display)
        self.temp = self.take_temp()

    def check_version(self):
        numbers = tuple(int(part) for part in self.version.split(".")[:2])
        if not OLDEST <= numbers < NEWEST:
            raise Unsuitable("ansible-core %s is not one that a warm start knows" % self.version)

    def take_temp(self):
        """The entry at exit for Ansible's temporary directory, which is removed: each play makes its own."""
        temp = self.constants.DEFAULT_LOCAL_TMP
        entries = [(function, args) for function, args, _ in self.exits.entries if args == (temp,)]
        if len(entries) != 1:
            raise Unsuitable("this ansible-core makes its temporary directory in another way")
        os.rmdir(temp)
        return entries[0]

    def make_temp(self):
        constants = self.constants
        constants.set_constant("DEFAULT_LOCAL_TMP", constants.config.get_config_value("DEFAULT_LOCAL_TMP"))

    def renew(self):
        """In a play that begins: what is made when Ansible is imported is made now."""
        opened_at = self.log_path.opened_at
        write(self.said[:opened_at])
        if self.log_path.path:
            self.log_path.open(self.constants, self.display)
        write(self.said[opened_at:])
        time.tzset()
        tempfile.tempdir = None
        self.exits.again(self.memory.spare, self.temp, self.make_temp)
        self.vars.random_int = "%08x" % int.from_bytes(os.urandom(4), "big")
        process = sys.modules.get("multiprocessing.process")
        if process:
            process.current_process().authkey = os.urandom(32)


def check_script(source):
    """What a script does before it imports Ansible must be nothing that Ansible could notice, as here Ansible comes first."""
    for node in ast.parse(source).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module]
        if "ansible.cli.playbook" in names:
            return
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not is_text and (not names or not HARMLESS.issuperset(names)):
            break
    raise Unsuitable("the script does something before it imports ansible.cli.playbook")


def write(data):
    while data:
        data = data[os.write(1, data) :]


def load(script, output, plugins, memo, skip):
    """Imports what the script imports, and what plays import later. The other answer is what should be skipped, as it
    says something when it is imported."""
    if not getattr(sys.flags, "safe_path", False) and not sys.flags.isolated:
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    loaded = Loaded(script, output)
    if not loaded.constants.DEFAULT_DEBUG:
        # Debugging shows each step, and so each is taken.
        stash, loud = plugins.preload(output, skip)
        if loud:
            return loaded, loud
        if stash:
            loaded.stash = stash
            memo.remember(stash)
    loaded.memory = Memory(loaded.stash)
    gc.collect()
    gc.freeze()
    return loaded, None


def watched(script, loaded):
    """The files that make this interpreter what it is: a change of one makes it stale."""
    files = {script, os.path.realpath(script), os.path.realpath(sys.executable)}
    for module in [*sys.modules.values(), *(loaded.stash.modules.values() if loaded.stash else ())]:
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            files.add(os.path.realpath(file))
    ansible = os.path.dirname(sys.modules["ansible"].__file__)
    for name in ("release.py", "config/base.yml", "config/ansible_builtin_runtime.yml"):
        files.add(os.path.join(ansible, name))
    for prefix in {sys.prefix, sys.exec_prefix}:
        files.add(os.path.join(prefix, "pyvenv.cfg"))
    for folder in sys.path:
        files.add(folder)
        if os.path.isdir(folder):
            entries = os.listdir(folder)
            pick = [entry for entry in entries if entry.endswith(".pth") or entry.startswith("ansible_core-")]
            files.update(os.path.join(folder, entry) for entry in pick)
    return sorted(file for file in files if os.path.isabs(file) and os.path.exists(file))
