"""Tells healgate what a play does: one JSON object a line, appended to the file that $HEALGATE_EVENTS names.

Never prints, never blocks and never breaks a play: an event that cannot be written is left out. The contents of the
files and variables that $HEALGATE_SECRETS names are masked in every text.

Ansible forks a process for each task on each host, and whatever is touched in between is copied page by page. So what
comes once per host and task touches little: no encoder walks an event, and of a result only what is told is looked at.

One file, as Ansible takes whatever lies beside a plugin for another one.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import sys
import textwrap
import time
from json.encoder import encode_basestring
from types import SimpleNamespace

from ansible.plugins.callback import CallbackBase

try:
    from ansible.utils.vars import transform_to_native_types
except ImportError:
    # Before ansible-core 2.19 there are no types of its own.
    transform_to_native_types = None

DOCUMENTATION = """
    name: healgate_events
    type: notification
    short_description: Writes what happens in a play as JSON lines
    description:
      - Appends one JSON object a line to the file named by the environment variable E(HEALGATE_EVENTS).
      - Without that variable it does nothing.
      - The environment variable E(HEALGATE_SECRETS) names files and variables, in JSON; what they say is masked.
    requirements:
      - enable in configuration
"""

# What a person reads of one result; the log has the rest.
MESSAGE_BYTES = 4096
# A diff of a large file belongs in the log.
DIFF_BYTES = 65536
# A loop may have thousands of items; the first ones show what it did.
MAX_ITEMS = 500
MAX_DEPTH = 12
# The counts of about 100,000 hosts.
STATS_BYTES = 8 << 20
NATIVE = (str, int, float, bool, type(None))
# Tasks whose description is kept; in a play that is free to, each host may be at another one.
MAX_TASKS = 1000

# What stands in the place of a secret, as in the log.
MASK = "******"
# What stands in the place of every text when a file with secrets cannot be read.
UNTOLD = "(not told: a file with secrets cannot be read)"
# A line of a file with several lines counts as a secret from here on.
SECRET_LINE_BYTES = 4
# A message may be JSON, with a text of JSON inside that has another.
JSON_DEPTH = 3
# From here on a text is coloured as a whole.
LONG_TEXT = 64 << 10
# More than a person reads: what lies behind it is cut before anything is looked for.
LOOKED_AT = 64 << 10


class CallbackModule(CallbackBase):
    """Writes events; see the module."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "healgate_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._owner = os.getpid()
        self._fd = None
        # The last line has no end, as the disk was full.
        self._torn = False
        self._play = ""
        self._count = 0
        # task uuid -> its description, as the inside of a JSON object
        self._described = {}
        # (host, task uuid) -> (number, seconds since boot) of tasks in progress
        self._running = {}
        self._task_started = since_boot()
        # Taken out, so that an ansible-playbook that a task runs does not write here as well.
        path = os.environ.pop("HEALGATE_EVENTS", None)
        if path:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            try:
                self._fd = os.open(path, flags, 0o600)
            except OSError:
                pass
        self._mask = Mask()
        try:
            self._learn_secrets(os.environ.pop("HEALGATE_SECRETS", None))
        except Exception:
            self._mask = Untold()
        # Without a file, Ansible need not even call.
        self.disabled = self._fd is None
        if self._fd is not None:
            guarded(share_results, self)
            guarded(colour_at_once)

    def _learn_secrets(self, named):
        if not named:
            return
        named = json.loads(named)
        self._mask = Mask.of(map(read, named["files"]), map(os.environ.__getitem__, named["variables"]))
        guarded(keep_lines_whole)

    def _write(self, line):
        """Appends a line, in one write, so that a reader never sees two lines mixed."""
        if self._fd is None or os.getpid() != self._owner:
            return
        raw = line.encode("utf-8", "replace")
        if self._torn:
            raw = b"\n" + raw
        # Short of space, the system may take a part; the next line must not be glued to it.
        self._torn = os.write(self._fd, raw) < len(raw)

    def v2_playbook_on_start(self, playbook):
        guarded(self._begin_playbook, playbook)

    def _begin_playbook(self, playbook):
        file = encode_basestring(trimmed(getattr(playbook, "_file_name", None) or "", self._mask))
        self._write(f'{{"event":"playbook","time":{time.time()!r},"file":{file}}}\n')

    def v2_playbook_on_play_start(self, play):
        guarded(self._begin_play, play)

    def _begin_play(self, play):
        self._described.clear()
        self._play = encode_basestring(self._mask.text(str(play.get_name()).strip()))
        self._write(f'{{"event":"play","time":{time.time()!r},"play":{self._play}}}\n')

    def v2_playbook_on_task_start(self, task, is_conditional):
        guarded(self._begin_task, task)

    def v2_playbook_on_handler_task_start(self, task):
        guarded(self._begin_task, task)

    def v2_playbook_on_cleanup_task_start(self, task):
        guarded(self._begin_task, task)

    def _begin_task(self, task):
        self._task_started = since_boot()
        # Only here is the name rendered; a result has it as it was written.
        self._described.pop(task._uuid, None)
        self._write(f'{{"event":"task","time":{time.time()!r},{self._describe(task)}}}\n')

    def v2_runner_on_start(self, host, task):
        """Comes in the main process just before the worker is forked, so that all that the worker starts on this
        machine carries the number in its environment: a stop can tell what unfinished tasks began."""
        try:
            self._count = number = self._count + 1
            began = since_boot()
            self._running[(host.name, task._uuid)] = (number, began)
            os.environ["HEALGATE_TASK"] = str(number)
            self._write(f'{{"event":"start","n":{number},"boottime":{began!r}}}\n')
        except Exception:
            pass

    def v2_runner_on_ok(self, result):
        guarded(self._end_host, result, "ok")

    def v2_runner_on_skipped(self, result):
        guarded(self._end_host, result, "skipped")

    def v2_runner_on_unreachable(self, result):
        guarded(self._end_host, result, "unreachable")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        guarded(self._end_host, result, "ignored" if ignore_errors else "failed")

    def _end_host(self, result, status):
        host, task = part(result, "host").name, part(result, "task")
        number, began = self._running.pop((host, task._uuid), (None, self._task_started))
        now, seconds = time.time(), since_boot() - began
        data = guarded(data_of, result) or {}
        if status == "ok" and data.get("changed"):
            status = "changed"
        elif status == "failed" and guarded(is_rescued, task):
            status = "rescued"
        elif status == "unreachable" and getattr(task, "ignore_unreachable", False) is True:
            status = "ignored"
        self._write(
            f'{{"event":"result","time":{now!r},{self._describe(task)},'
            f'"n":{"null" if number is None else number},"host":{encode_basestring(host)},"status":"{status}",'
            f'"started_at":{now - seconds!r},"seconds":{seconds!r},"message":{guarded(message_of, data, self._mask) or "null"}'
            f'{guarded(details_of, task, data, self._mask) or ""}}}\n'
        )

    def v2_playbook_on_stats(self, stats):
        guarded(self._end_playbook, stats)

    def _end_playbook(self, stats):
        hosts = {str(host): stats.summarize(host) for host in sorted(stats.processed)}
        counts, _ = json_of(hosts, STATS_BYTES)
        self._write(f'{{"event":"stats","time":{time.time()!r},"hosts":{counts}}}\n')

    def _describe(self, task):
        """The inside of a JSON object: which task it is."""
        described = self._described.get(task._uuid)
        if described is None:
            if len(self._described) >= MAX_TASKS:
                self._described.clear()
            path = guarded(task.get_path)
            described = ",".join(
                (
                    f'"play":{self._play or encode_basestring("")}',
                    f'"task":{encode_basestring(self._mask.text(str(task.get_name()).strip()))}',
                    f'"path":{encode_basestring(path) if path else "null"}',
                    f'"action":{encode_basestring(str(task.action))}',
                    f'"uuid":{encode_basestring(task._uuid)}',
                )
            )
            self._described[task._uuid] = described
        return described


class Mask:
    """What must be in no text."""

    def __init__(self, secrets=()):
        # As they are, and as JSON has them, also when it is itself in JSON.
        forms = latest = set(secrets)
        for _ in range(JSON_DEPTH):
            latest = {form for text in latest for form in json_forms(text)}
            forms = forms | latest
        self._forms = sorted(forms - {""})
        self._longest = max(map(len, self._forms), default=0)

    @classmethod
    def of(cls, *texts):
        """Masks these texts as wholes, and their lines."""
        secrets = set()
        for content in itertools.chain(*texts):
            content = content.strip()
            lines = (line.strip() for line in content.split("\n"))
            secrets.update(line for line in lines if len(line.encode("utf-8", "replace")) >= SECRET_LINE_BYTES)
            secrets.add(content)
        return cls(secrets)

    def reach(self, most):
        """How many characters must be there so that the first `most` can be masked: masking may make a text shorter."""
        return LOOKED_AT + self._longest + 1 if self._forms else most

    def text(self, text):
        """The text with every secret masked; of several that overlap nothing is left."""
        found = self._find(text)
        return self._cover(text, found) if found else text

    def beginning(self, text):
        """As `text`, for one of which only the beginning is needed."""
        if len(text) <= LOOKED_AT + self._longest:
            return self.text(text)
        # What begins later may be half a secret here.
        window = text[: LOOKED_AT + self._longest]
        return self._cover(window, self._find(window), LOOKED_AT)

    def texts(self, value):
        """The same for each text of what JSON knows."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.texts(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.texts(entry) for entry in value]
        return value

    def _find(self, text):
        found = []
        for form in self._forms:
            start = text.find(form)
            while start >= 0:
                found.append((start, start + len(form)))
                start = text.find(form, start + 1)
        return sorted(found)

    @staticmethod
    def _cover(text, found, end=None):
        end = len(text) if end is None else end
        parts, position = [], 0
        for start, stop in found:
            if start >= end:
                break
            if start >= position:
                parts += [text[position:start], MASK]
            position = max(position, stop)
        return "".join([*parts, text[position : max(position, end)]])


class Untold(Mask):
    """Where it cannot be learned what is secret, nothing is told."""

    def text(self, text):
        return UNTOLD

    beginning = texts = text


def json_forms(text):
    """The text inside JSON's quotes: with its characters as they are, and in pure ASCII."""
    return {json.dumps(text, ensure_ascii=ascii)[1:-1] for ascii in (False, True)}


def keep_lines_whole():
    """Up to 2.18, ansible-core breaks warnings and errors into lines, which would hide a secret from whoever masks the
    log. Only that module's own use of `textwrap` changes."""
    from ansible.utils import display

    if getattr(display, "textwrap", None) is textwrap:
        display.textwrap = SimpleNamespace(**{**vars(textwrap), "wrap": lambda text, *args, **kwargs: [text]})


def share_results(reader):
    """Ansible gives each callback plugin a copy of each result, for which it walks through all of it. This one changes
    nothing, so what is in the copy can be the result's own. What is hidden is hidden as ever."""
    from ansible.executor import task_result

    kind = getattr(task_result, "_RawTaskResult", None)
    if kind:
        method, shared = "as_callback_task_result", task_result.CallbackTaskResult
    else:
        kind = shared = task_result.TaskResult
        method = "clean_copy"
    field = "_return_data" if hasattr(shared, "result") else "_result"
    copy = getattr(kind, method)

    def share(result):
        data = getattr(result, field)
        if part(result, "task").no_log is False and not data.get("_ansible_no_log"):
            return shared(part(result, "host"), part(result, "task"), data, part(result, "task_fields"))
        return None

    def copy_or_share(result):
        is_ours = sys._getframe(1).f_locals.get("callback_plugin") is reader
        return is_ours and guarded(share, result) or copy(result)

    setattr(kind, method, copy_or_share)


def colour_at_once():
    """Ansible colours a text line by line. Of a long one, this makes the same by replacing the ends of lines."""
    from ansible.utils import display

    colour = display.stringc

    def stringc(text, *args, **kwargs):
        if len(text) < LONG_TEXT:
            return colour(text, *args, **kwargs)
        before, _, after = colour("\0", *args, **kwargs).partition("\0")
        return before + text.replace("\n", f"{after}\n{before}") + after

    display.stringc = stringc


def since_boot():
    """Seconds, as /proc tells the start of a process."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def guarded(function, *args):
    """A play must not suffer from being watched, whatever object it hands over."""
    try:
        return function(*args)
    except Exception:
        return None


def read(path):
    with open(path, "rb") as file:
        return file.read().decode("utf-8", "surrogateescape")


def part(result, name):
    """What a result is about. 2.19 has public names as well, and the old ones for some time to come."""
    return getattr(result, f"_{name}" if hasattr(result, f"_{name}") else name)


def data_of(result):
    """The data of a result. ansible-core 2.19 turns all of it into native types when it is asked for `result`; where
    that can be done with the little that is told, it takes no time with large results."""
    data = getattr(result, "_return_data", None)
    if data is None or transform_to_native_types is None:
        data = result._result if hasattr(result, "_result") else result.result
    return data if isinstance(data, dict) else dict(data)


def native(value):
    """Without Ansible's own types, and without what was encrypted."""
    if type(value) in NATIVE or transform_to_native_types is None:
        return value
    try:
        return transform_to_native_types(value)
    except Exception:
        return f"({type(value).__name__})"


def is_rescued(task):
    """Whether a block around the task has a `rescue` that takes over when the task fails."""
    child = task
    parent = getattr(task, "_parent", None)
    while parent is not None:
        if getattr(parent, "rescue", None):
            if any(getattr(entry, "_uuid", None) == child._uuid for entry in parent.block):
                return True
        child, parent = parent, getattr(parent, "_parent", None)
    return False


def message_of(data, mask):
    """What to tell a person about a result, as JSON, or None."""
    message = data.get("censored") or data.get("msg") or data.get("skip_reason") or data.get("reason")
    if not message:
        return None
    if message == "non-zero return code":
        detail = trimmed(data.get("stderr") or data.get("stdout") or "", mask).strip()
        message = f"{message} ({data.get('rc')}): {detail}" if detail else f"{message} ({data.get('rc')})"
    return encode_basestring(trimmed(message, mask))


def details_of(task, data, mask):
    """The items of a loop, and the diff where one was asked for: the rest of a JSON object."""
    details = ""
    loop = []
    if getattr(task, "loop", None) is not None:
        loop = [entry for entry in data.get("results") or () if isinstance(entry, dict)]
    if loop:
        details = f',"items":[{",".join(guarded(item_of, entry, mask) or "null" for entry in loop[:MAX_ITEMS])}]'
    if getattr(task, "diff", False) is True or getattr(task, "check_mode", False) is True:
        diff = data.get("diff") or [entry["diff"] for entry in loop if entry.get("diff")]
        if diff:
            details += f',"diff":{bounded(diff, mask)}'
    return details


def item_of(data, mask):
    """One item of a loop, as JSON."""
    if data.get("unreachable"):
        status = "unreachable"
    elif data.get("failed_when_result", data.get("failed")):
        status = "failed"
    elif data.get("skipped"):
        status = "skipped"
    else:
        status = "changed" if data.get("changed") else "ok"
    label = data.get("_ansible_item_label", data.get(data.get("ansible_loop_var", "item")))
    item = encode_basestring(trimmed(label if label is not None or "censored" not in data else "(hidden)", mask))
    return f'{{"item":{item},"status":"{status}","message":{guarded(message_of, data, mask) or "null"}}}'


def trimmed(value, mask):
    """As a text of at most MESSAGE_BYTES, without secrets: masked first, as a cut could leave half of one."""
    # No character takes less than a byte, so that what is long need not be looked at as a whole.
    most = mask.reach(MESSAGE_BYTES + 1)
    if not isinstance(value, str):
        text = json_of(value, most)[0]
    else:
        text = (value if type(value) is str else native(value))[:most]
    text = mask.beginning(text)
    raw = text.encode("utf-8", "replace")
    if len(raw) <= MESSAGE_BYTES:
        return text
    return raw[: MESSAGE_BYTES - 3].decode("utf-8", "ignore") + "…"


def bounded(diff, mask):
    """A diff as JSON, unless it is too large to be kept beside the log."""
    text, is_whole = json_of(diff, DIFF_BYTES, mask)
    return text if is_whole else '{"omitted":"the diff is too large; the log has it"}'


def json_of(value, most, mask=None):
    """As JSON of about that many characters at most, whatever it is, and whether that is all of it."""
    left = [most]
    copy = plain(value, left)
    text = json.dumps(mask.texts(copy) if mask else copy, ensure_ascii=False, allow_nan=False)
    return text, left[0] >= 0


def plain(value, left, depth=0):
    """A copy of nothing but what JSON knows, as long as something is left."""
    left[0] -= 1
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        if depth >= MAX_DEPTH or left[0] < 0:
            left[0] = min(left[0], -1)
            return "…"
        if isinstance(value, dict):
            some = itertools.takewhile(lambda _: left[0] >= 0, value.items())
            return {shown(key, left): plain(entry, left, depth + 1) for key, entry in some}
        return [plain(entry, left, depth + 1) for entry in itertools.takewhile(lambda _: left[0] >= 0, value)]
    value = native(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    return shown(value, left)


def shown(value, left):
    """As a text, also where that fails, as for a number of ten thousand digits."""
    text = guarded(str, value)
    if text is None:
        text = f"({type(value).__name__})"
    room = max(left[0], 0)
    left[0] -= len(text)
    return text[:room]
