"""Has core's plugins imported before a play asks for them, without their being in sys.modules until it does: a project's
plugin of the same name wins exactly when it wins in a cold start. Loads nothing of a project, and never runs a plugin.
"""

import builtins
import glob
import importlib
import importlib.util
import inspect
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder

# Core's plugins that plays of many kinds load. Those of QUALIFIED are often asked for as `ansible.builtin.name`, which
# makes another module of the same file.
KINDS = ("cache", "inventory", "connection", "shell", "become", "callback", "strategy", "vars", "filter", "test")
KINDS += ("action", "lookup", "doc_fragments")
QUALIFIED = ("action", "lookup")
# What plays import besides, if it is there.
OTHERS = """
    ansible.executor.task_executor ansible.executor.process.worker ansible.executor.module_common
    ansible.executor.interpreter_discovery ansible.module_utils._internal._json._profiles._module_legacy_c2m
    ansible.module_utils._internal._json._profiles._module_legacy_m2c ansible._internal._json._profiles._inventory_legacy
    ansible.module_utils._internal._json._profiles._tagless ansible._internal._errors._task_timeout
    ansible.playbook.handler ansible.playbook.task_include ansible.playbook.role.include ansible.playbook.role_include
    ansible.playbook.handler_task_include ansible.playbook.included_file ansible.playbook.playbook_include ansible.modules
    ansible.parsing.yaml.dumper ansible.utils.encrypt ansible.utils.unicode
    ansible.utils.shlex ansible.utils.hashing ansible.cli.scripts multiprocessing.popen_fork multiprocessing.synchronize
    multiprocessing.spawn multiprocessing.resource_tracker multiprocessing.queues pty tomllib
""".split()
PREFIXES = ("ansible.", "ansible_collections.")


class Stash:
    """Modules of Ansible that are executed but not imported. Asked by `import` and by the plugin loaders."""

    def __init__(self):
        self.modules = {}
        # For each module, what its execution imported, in that order.
        self.needs = {}
        self.base = set(sys.modules)
        sys.meta_path.insert(sys.meta_path.index(PathFinder), self)

    def add(self, name, path):
        """Executes the plugin as Ansible's loaders do, and puts it aside."""
        spec = importlib.util.spec_from_file_location(name, path)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception:
            # Most likely it needs what is not installed; a play will see that for itself.
            del sys.modules[name]

    def put_aside(self):
        """Takes what was imported since the beginning out of sys.modules, and out of the packages."""
        new = [name for name in sys.modules if name.startswith(PREFIXES) and name not in self.base]
        # What has no file was made by another module, which does not make it again.
        new = [name for name in new if getattr(sys.modules[name], "__file__", None)]
        self.modules.update((name, sys.modules.pop(name)) for name in new)
        for name in new:
            parent, _, leaf = name.rpartition(".")
            package = self.modules.get(parent) or sys.modules.get(parent)
            if package and vars(package).get(leaf) is self.modules[name]:
                delattr(package, leaf)

    def borrow(self, name):
        """A module to look at, without its being imported; None if it is not here."""
        return sys.modules.get(name) or self.modules.get(name)

    def take(self, name, path):
        """Imports the module of that name and file, if it is here and all that it has imported is what would be."""
        module = self.modules.get(name)
        if module is None or module.__file__ != path:
            return None
        sys.modules[name] = module
        if all(self.is_same(need) for need in self.needs.get(name, ())):
            return module
        del sys.modules[name]
        return None

    def is_same(self, name):
        """Imports what a module has imported, by the usual way, so that all happens that happens then."""
        if name in self.modules and name not in sys.modules:
            importlib.import_module(name)
        return name not in self.modules or sys.modules.get(name) is self.modules[name]

    def find_spec(self, name, path=None, target=None):
        """For `import`: the module, as it would be found where its package is."""
        module = self.modules.get(name)
        if module is None or name in sys.modules:
            return None
        package = os.path.dirname(module.__file__)
        if hasattr(module, "__path__"):
            package = os.path.dirname(package)
        if list(path or ()) != [package]:
            return None
        return ModuleSpec(name, Executed(self, module), origin=module.__file__, is_package=hasattr(module, "__path__"))


class Executed:
    """The loader of a module that needs no execution."""

    def __init__(self, stash, module):
        self.stash, self.module, self.spec = stash, module, module.__spec__

    def create_module(self, spec):
        return self.module

    def exec_module(self, module):
        module.__spec__ = self.spec
        if not self.stash.take(self.spec.name, module.__file__):
            fresh = sys.modules[self.spec.name] = importlib.util.module_from_spec(self.spec)
            self.spec.loader.exec_module(fresh)


class Imports:
    """Notes which module's execution imports which, also if that is imported already."""

    def __init__(self, needs):
        self.needs = needs

    def __enter__(self):
        self.load = builtins.__import__
        builtins.__import__ = self.note

    def __exit__(self, *error):
        builtins.__import__ = self.load

    def note(self, name, globals=None, locals=None, fromlist=(), level=0):
        result = self.load(name, globals, locals, fromlist, level)
        if globals and locals is globals:
            package = globals.get("__package__") or ""
            whole = importlib.util.resolve_name("." * level + name, package) if level else name
            needs = self.needs.setdefault(globals.get("__name__"), [])
            words = whole.split(".")
            parents = [".".join(words[:count]) for count in range(1, len(words) + 1)]
            leaves = ["%s.%s" % (whole, leaf) for leaf in fromlist or ()]
            seen = [each for each in (*parents, *leaves) if each.startswith(PREFIXES) and each in sys.modules]
            needs.extend(each for each in seen if each not in needs)
        return result


def names_of(kind, path):
    """The names under which Ansible's loaders import that file of core."""
    base = os.path.splitext(os.path.basename(path))[0]
    if kind in ("filter", "test"):
        # ansible-core 2.19 and 2.16; the other name is no more than one that nobody asks for.
        mark = abs(hash(path))
        return ["ansible.plugins.%s.%s_%d" % (kind, base, mark), "ansible.plugins.%s.%d_%s" % (kind, mark, base)]
    names = ["ansible.plugins.%s.%s" % (kind, base)]
    if kind in QUALIFIED:
        names.append("ansible_collections.ansible.builtin.plugins.%s.%s" % (kind, base))
    return names


def core_plugins(is_new):
    """Name and file of each plugin to have ready."""
    home = os.path.dirname(sys.modules["ansible.plugins"].__file__)
    for kind in KINDS:
        for path in sorted(glob.glob(os.path.join(home, kind, "*.py"))):
            names = names_of(kind, path)
            if kind in ("filter", "test"):
                names = names[:1] if is_new else names[1:]
            # cache/base.py only warns that it is another now.
            if os.path.basename(path) not in ("__init__.py", "base.py"):
                yield from ((name, path) for name in names)


def preload(output, skip):
    """Puts core's plugins aside, and lets the plugin loaders ask for them. Answers with the stash, and with what wrote
    something while it was imported: a play would have written it as well, so that must not be loaded before one."""
    loader = importlib.import_module("ansible.plugins.loader").PluginLoader
    names = list(inspect.signature(loader._load_module_source).parameters)
    if names not in (["self", "name", "path"], ["self", "python_module_name", "path"]):
        return None, None
    is_new = names[1] != "name"
    stash = Stash()
    with Imports(stash.needs):
        for name, path in [*((other, None) for other in OTHERS), *core_plugins(is_new)]:
            if name in skip or name in sys.modules or name in stash.modules:
                continue
            said = output.size()
            stash.add(name, path) if path else import_if_there(name)
            stash.put_aside()
            if output.size() != said:
                return None, name
    lend(stash, loader, is_new)
    return stash, None


def import_if_there(name):
    try:
        importlib.import_module(name)
    except Exception:
        pass


def lend(stash, loader, is_new):
    """Makes the plugin loaders look into the stash for what they would execute."""
    load = loader._load_module_source

    def load_new(self, *, python_module_name, path):
        if python_module_name not in sys.modules:
            module = stash.take(python_module_name, path)
            if module:
                return module
        return load(self, python_module_name=python_module_name, path=path)

    def load_old(self, name, path):
        whole = name if name.startswith("ansible_collections.") else "%s.%s" % (self.package, name)
        return (stash.take(whole, path) if whole not in sys.modules else None) or load(self, name, path)

    loader._load_module_source = load_new if is_new else load_old
