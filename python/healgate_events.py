"""Tells healgate what a play does: one JSON object a line, appended to the file that $HEALGATE_EVENTS names.

Never prints, never blocks and never breaks a play: an event that cannot be written is left out. The contents of the
files that $HEALGATE_SECRETS names are masked in every text.
"""

from __future__ import annotations

import json
import math
import os
import textwrap
import time
from types import SimpleNamespace

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: healgate_events
    type: notification
    short_description: Writes what happens in a play as JSON lines
    description:
      - Appends one JSON object a line to the file named by the environment variable E(HEALGATE_EVENTS).
      - Without that variable it does nothing.
      - The environment variable E(HEALGATE_SECRETS) has a list of files, in JSON; what they say is masked.
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

# What stands in the place of a secret, as in the log.
MASK = "******"
# A line of a file with several lines counts as a secret from here on.
SECRET_LINE_BYTES = 4
# A message may be JSON, with a text of JSON inside that has another.
JSON_DEPTH = 3
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
        self._play = ""
        self._count = 0
        # (host, task uuid) -> (number, wall clock, monotonic clock) of tasks in progress
        self._running = {}
        self._task_started = (time.time(), time.monotonic())
        self._items = {}
        # Taken out, so that an ansible-playbook that a task runs does not write here as well.
        path = os.environ.pop("HEALGATE_EVENTS", None)
        if path:
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError:
                pass
        self._mask = Mask()
        guarded(self._learn_secrets, os.environ.pop("HEALGATE_SECRETS", None))

    def _learn_secrets(self, files):
        if not files:
            return
        self._mask = Mask.of_files(json.loads(files))
        guarded(keep_lines_whole)

    def _write(self, event, **fields):
        if self._fd is None or os.getpid() != self._owner:
            return
        line = json.dumps(plain({"event": event, "time": time.time(), **fields}), ensure_ascii=False, allow_nan=False)
        # One write for a whole line, so that a reader never sees two lines mixed.
        os.write(self._fd, line.encode("utf-8", "replace") + b"\n")

    def v2_playbook_on_start(self, playbook):
        guarded(self._write, "playbook", file=getattr(playbook, "_file_name", None))

    def v2_playbook_on_play_start(self, play):
        guarded(self._begin_play, play)

    def _begin_play(self, play):
        self._play = self._mask.text(str(play.get_name()).strip())
        self._write("play", play=self._play)

    def v2_playbook_on_task_start(self, task, is_conditional):
        guarded(self._begin_task, task)

    def v2_playbook_on_handler_task_start(self, task):
        guarded(self._begin_task, task)

    def v2_playbook_on_cleanup_task_start(self, task):
        guarded(self._begin_task, task)

    def _begin_task(self, task):
        self._task_started = (time.time(), time.monotonic())
        self._write("task", **self._describe(task))

    def v2_runner_on_start(self, host, task):
        guarded(self._begin_host, host, task)

    def _begin_host(self, host, task):
        """Comes in the main process just before the worker is forked, so that all that the worker starts on this
        machine carries the number in its environment: a stop can tell what unfinished tasks began."""
        if self._fd is None:
            return
        self._count += 1
        self._running[(host.get_name(), task._uuid)] = (self._count, time.time(), time.monotonic())
        os.environ["HEALGATE_TASK"] = str(self._count)
        booted = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._write("start", n=self._count, host=host.get_name(), uuid=task._uuid, boottime=booted)

    def v2_runner_on_ok(self, result):
        guarded(self._end_host, result, "ok")

    def v2_runner_on_skipped(self, result):
        guarded(self._end_host, result, "skipped")

    def v2_runner_on_unreachable(self, result):
        guarded(self._end_host, result, "unreachable")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        guarded(self._end_host, result, "ignored" if ignore_errors else "failed")

    def _end_host(self, result, status):
        host, task, data = parts_of(result)
        key = (host, task._uuid)
        number, at, clock = self._running.pop(key, (None, *self._task_started))
        items = self._items.pop(key, None)
        if status == "ok" and data.get("changed"):
            status = "changed"
        if status == "failed" and is_rescued(task):
            status = "rescued"
        if status == "unreachable" and getattr(task, "ignore_unreachable", False) is True:
            status = "ignored"
        fields = self._describe(task)
        fields.update(n=number, host=host, status=status, started_at=at, seconds=time.monotonic() - clock)
        fields["message"] = message_of(data, self._mask)
        if items:
            fields["items"] = items
        if "diff" in data and (getattr(task, "diff", False) is True or getattr(task, "check_mode", False) is True):
            fields["diff"] = bounded(data["diff"], self._mask)
        self._write("result", **fields)

    def v2_runner_item_on_ok(self, result):
        guarded(self._end_item, result, "ok")

    def v2_runner_item_on_failed(self, result):
        guarded(self._end_item, result, "failed")

    def v2_runner_item_on_skipped(self, result):
        guarded(self._end_item, result, "skipped")

    def _end_item(self, result, status):
        host, task, data = parts_of(result)
        items = self._items.setdefault((host, task._uuid), [])
        if len(items) >= MAX_ITEMS:
            return
        if status == "ok" and data.get("changed"):
            status = "changed"
        label = data.get("_ansible_item_label", data.get(data.get("ansible_loop_var", "item")))
        message = message_of(data, self._mask)
        items.append({"item": trimmed(label, self._mask), "status": status, "message": message})

    def v2_playbook_on_stats(self, stats):
        guarded(self._end_playbook, stats)

    def _end_playbook(self, stats):
        self._write("stats", hosts={host: stats.summarize(host) for host in sorted(stats.processed)})

    def _describe(self, task):
        return {
            "play": self._play,
            "task": self._mask.text(str(task.get_name()).strip()),
            "path": task.get_path() or None,
            "action": str(task.action),
            "uuid": task._uuid,
        }


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
    def of_files(cls, paths):
        """Masks what these files say; one that cannot be read any more is passed over."""
        secrets = set()
        for path in paths:
            try:
                with open(path, "rb") as file:
                    content = file.read().decode("utf-8", "surrogateescape").strip()
            except OSError:
                continue
            lines = (line.strip() for line in content.split("\n"))
            secrets.update(line for line in lines if len(line.encode("utf-8", "replace")) >= SECRET_LINE_BYTES)
            secrets.add(content)
        return cls(secrets)

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


def json_forms(text):
    """The text inside JSON's quotes: with its characters as they are, and in pure ASCII."""
    return {json.dumps(text, ensure_ascii=ascii)[1:-1] for ascii in (False, True)}


def keep_lines_whole():
    """Up to 2.18, ansible-core breaks warnings and errors into lines, which would hide a secret from whoever masks the
    log. Only that module's own use of `textwrap` changes."""
    from ansible.utils import display

    if getattr(display, "textwrap", None) is textwrap:
        display.textwrap = SimpleNamespace(**{**vars(textwrap), "wrap": lambda text, *args, **kwargs: [text]})


def guarded(function, *args, **kwargs):
    """A play must not suffer from being watched, whatever object it hands over."""
    try:
        function(*args, **kwargs)
    except Exception:
        pass


def parts_of(result):
    """Host name, task and data of a result; ansible-core 2.19 has public names for what 2.16 has underscored."""
    host = getattr(result, "host", None) or result._host
    task = getattr(result, "task", None) or result._task
    data = getattr(result, "result", None)
    if data is None:
        data = result._result
    return host.get_name(), task, data if isinstance(data, dict) else dict(data)


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
    """What to tell a person about a result, or None."""
    if data.get("censored"):
        return trimmed(data["censored"], mask)
    message = data.get("msg") or data.get("skip_reason") or data.get("reason")
    if message == "non-zero return code":
        detail = data.get("stderr") or data.get("stdout") or ""
        message = f"{message} ({data.get('rc')}): {str(detail).strip()}" if detail else f"{message} ({data.get('rc')})"
    return None if message is None else trimmed(message, mask)


def trimmed(value, mask):
    """As a text of at most MESSAGE_BYTES, without secrets: masked first, as a cut could leave half of one."""
    text = value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
    text = mask.beginning(str(text))
    raw = text.encode("utf-8", "replace")
    if len(raw) <= MESSAGE_BYTES:
        return text
    return raw[: MESSAGE_BYTES - 3].decode("utf-8", "ignore") + "…"


def bounded(diff, mask):
    """A diff, unless it is too large to be kept beside the log."""
    diff = plain(diff)
    if len(json.dumps(diff)) > DIFF_BYTES:
        return {"omitted": "the diff is too large; the log has it"}
    return mask.texts(diff)


def plain(value, depth=0):
    """A copy of nothing but what JSON knows."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {str(key): plain(entry, depth + 1) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry, depth + 1) for entry in value]
    return str(value)
