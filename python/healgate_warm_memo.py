"""Remembers what core computes anew in every run from its own files: the documentation of plugins, the table of
redirections, and which module_utils there are and what they import. Remembers only results that the same input always has; another input, as from a
project's own file, is computed as ever.
"""

import ast
import glob
import os
import sys
import types


def remember(stash):
    """Fills and installs all that this Ansible has a place for."""
    for install in (remember_redirections, remember_places, remember_scans, remember_documentation):
        install(stash)
    stash.put_aside()


def remember_redirections(stash):
    """The table of ansible.builtin is a file of some 10,000 lines, and parsing it takes longer than an empty play."""
    finder = stash.borrow("ansible.utils.collection_loader._collection_finder")
    parse = getattr(finder, "_meta_yml_to_dict", None)
    path = os.path.join(os.path.dirname(sys.modules["ansible"].__file__), "config", "ansible_builtin_runtime.yml")
    if not callable(parse) or not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        text = file.read()
    known = Once()
    known.keep((text, ("ansible.builtin", "runtime.yml")), parse(text, ("ansible.builtin", "runtime.yml")))

    def parse_or_recall(yaml_string_data, content_id):
        found = known.take((yaml_string_data, content_id))
        return found if found is not None else parse(yaml_string_data, content_id)

    finder._meta_yml_to_dict = parse_or_recall


class Once:
    """Results that may be changed by who gets them, so each is given away once; after that there is none."""

    def __init__(self):
        self.results = {}

    def keep(self, key, result):
        self.results[key] = result

    def take(self, key):
        try:
            return self.results.pop(key, None)
        except TypeError:
            return None


def remember_documentation(stash):
    """Documentation of plugins is YAML in which their options are defined."""
    loader = stash.borrow("ansible.plugins.loader")
    docs = stash.borrow("ansible.utils.plugin_docs")
    modules = [module for module in (loader, docs) if hasattr(module, "AnsibleLoader")]
    if len(modules) != 2:
        return
    tags = getattr(loader, "_tags", None)
    reader = (New if tags else Old)(loader)
    known = Once()
    for text, path in documentation(stash):
        try:
            known.keep((text, path), reader.parse(text, path))
        except Exception:
            continue
    for module in modules:
        reader.install(module, known)


class Old:
    """How ansible-core to 2.18 parses documentation: `AnsibleLoader(text, file_name=path).get_single_data()`."""

    def __init__(self, loader):
        self.make = loader.AnsibleLoader

    def parse(self, text, path):
        return self.make(text, file_name=path).get_single_data()

    def install(self, module, known):
        make = self.make

        class Recalling:
            def __new__(cls, text, file_name=None, **kwargs):
                found = known.take((text, file_name)) if type(text) is str and not kwargs else None
                if found is None:
                    return make(text, file_name=file_name, **kwargs)
                return types.SimpleNamespace(get_single_data=lambda: found)

        module.AnsibleLoader = Recalling


class New:
    """How ansible-core from 2.19 parses it: `yaml.load(tagged text, Loader=AnsibleLoader)`."""

    def __init__(self, loader):
        self.yaml, self.loader, self.tags = loader.yaml, loader.AnsibleLoader, loader._tags

    def tagged(self, text, path):
        return self.tags.Origin(path=path).tag(self.tags.TrustedAsTemplate().tag(text))

    def parse(self, text, path):
        return self.yaml.load(self.tagged(text, path), Loader=self.loader)

    def install(self, module, known):
        yaml, loader, tags = self.yaml, self.loader, self.tags
        helper = sys.modules["ansible.module_utils._internal._datatag"].AnsibleTagHelper

        def load(stream, Loader):
            if Loader is loader and isinstance(stream, str):
                origin = tags.Origin.get_tag(stream)
                plain = origin and str(stream)
                if origin and helper.tags(stream) == frozenset((tags.Origin(path=origin.path), tags.TrustedAsTemplate())):
                    found = known.take((plain, origin.path))
                    if found is not None:
                        return found
            return yaml.load(stream, Loader=Loader)

        view = types.ModuleType("yaml")
        view.__dict__.update(yaml.__dict__)
        view.load = load
        module.yaml = view


def documentation(stash):
    """Each text of documentation that loading core's plugins parses, with the file that it is parsed for."""
    fragments = {}
    for name, module in stash.modules.items():
        if name.startswith("ansible.plugins.doc_fragments."):
            fragments[name.rpartition(".")[2]] = getattr(module, "ModuleDocFragment", None)
    for name, module in stash.modules.items():
        text = getattr(module, "DOCUMENTATION", None)
        if isinstance(text, str) and ".doc_fragments." not in name:
            yield str(text), module.__file__
            for fragment in extends(text):
                base, _, variable = fragment.partition(".")
                more = getattr(fragments.get(base), (variable or "DOCUMENTATION").upper(), None)
                if isinstance(more, str):
                    yield str(more), module.__file__


def extends(text):
    """The fragments that a documentation names."""
    import yaml

    try:
        names = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)).get("extends_documentation_fragment")
    except Exception:
        return []
    names = names.split(",") if isinstance(names, str) else names or []
    return [name.strip() for name in names]


def remember_places(stash):
    """For each name that a module could mean by an import, core's own folder is searched as `import` would search it."""
    common = stash.borrow("ansible.executor.module_common")
    locator = getattr(common, "LegacyModuleUtilLocator", None)
    if not callable(getattr(locator, "_find_module", None)) or not callable(getattr(common, "_slurp", None)):
        return
    home = os.path.normpath(common._MODULE_UTILS_PATH)
    homes = {common._MODULE_UTILS_PATH, home}
    known, searched = {}, set()
    for folder, _, names in os.walk(home):
        words = tuple(os.path.relpath(folder, home).split(os.sep)) if folder != home else ()
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending == ".py" and stem != "__init__":
                known.setdefault((*words, stem), (*words, name))
        if words and "__init__.py" in names:
            known[words] = (*words, "__init__.py")
        elif words:
            searched.add(words)
    origin = getattr(common, "Origin", None)
    find = locator._find_module

    def find_or_recall(self, name_parts):
        words = tuple(name_parts[2:])
        # A project's own module_utils come before core's.
        if words in searched or not homes.issuperset(self._mu_paths):
            return find(self, name_parts)
        found = known.get(words)
        if found:
            path = os.path.join(self._mu_paths[0], *found)
            source = common._slurp(path)
            self.is_package = found[-1] == "__init__.py"
            self.source_code = origin(path=path).tag(source) if origin else source
            return True
        # Something may have been added since.
        place = os.path.join(home, *words)
        return find(self, name_parts) if os.path.exists(place) or os.path.exists(place + ".py") else False

    locator._find_module = find_or_recall


def remember_scans(stash):
    """What modules and module_utils import decides on what is sent to a host with a module."""
    common = stash.borrow("ansible.executor.module_common")
    finder = getattr(common, "ModuleDepFinder", None)
    if not isinstance(finder, type) or not issubclass(finder, ast.NodeVisitor):
        return
    known = {}
    home = os.path.dirname(sys.modules["ansible"].__file__)
    for folder in ("module_utils", "modules"):
        for path in glob.glob(os.path.join(home, folder, "**", "*.py"), recursive=True):
            words = os.path.splitext(os.path.relpath(path, os.path.dirname(home)))[0].split(os.sep)
            is_package = words[-1] == "__init__"
            with open(path, "rb") as file:
                source = file.read()
            try:
                found = finder(".".join(words[:-1] if is_package else words), parse(source), is_package)
            except Exception:
                continue
            key = (found.module_fqn, bool(is_package))
            known.setdefault(source, {})[key] = (frozenset(found.submodules), frozenset(found.optional_imports))
    common.compile = lambda source, *args: Known(source, args) if is_known(source, args, known) else compile(source, *args)
    recall(finder, known)


def parse(source):
    return compile(source, "<unknown>", "exec", ast.PyCF_ONLY_AST)


def is_known(source, args, known):
    return len(args) == 3 and args[1:] == ("exec", ast.PyCF_ONLY_AST) and isinstance(source, bytes) and source in known


class Known(ast.Module):
    """A source that has been scanned: parsed only if somebody looks at it."""

    def __init__(self, source, args):
        self.source, self.args = source, args

    def parsed(self):
        return compile(self.source, *self.args)

    def __getattr__(self, name):
        if name in ("body", "type_ignores"):
            return getattr(self.parsed(), name)
        raise AttributeError(name)


def recall(finder, known):
    """Makes the finder look up what is known. The class stays, as it calls itself by its name."""
    scan = finder.__init__

    def __init__(self, module_fqn, tree, is_pkg_init=False, *args, **kwargs):
        if isinstance(tree, Known):
            found = known[tree.source].get((module_fqn, bool(is_pkg_init)))
            if found and not args and not kwargs:
                self.module_fqn, self.is_pkg_init = module_fqn, is_pkg_init
                self.submodules, self.optional_imports = set(found[0]), set(found[1])
                return
            tree = tree.parsed()
        scan(self, module_fqn, tree, is_pkg_init, *args, **kwargs)

    finder.__init__ = __init__
