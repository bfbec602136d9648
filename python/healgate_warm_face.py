"""What other processes see of this one: the command line and the environment that the kernel shows in /proc. Never changes
what this process itself knows of them.

The kernel shows the memory in which a program found them when it was executed (proc_pid_cmdline(5), proc_pid_environ(5)).
The interpreter blanks it, so that nobody takes it for a run; a play shows its own there, by which a stop finds what belongs
to a run, and a person with `ps` what it does.
"""

import ctypes
import os
import sys

# As an argument and as a variable it makes room for what a play has to show beyond what the interpreter was given.
ROOM = "." * 8192
ROOM_NAME = "HEALGATE_ROOM"


def execute_again(arguments, environment):
    """Executes this program anew."""
    variables = {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
    os.execve(sys.executable, arguments, variables)


def given_arguments():
    return read("/proc/self/cmdline").split(b"\0")[:-1]


def given_environment():
    """The environment as it came from outside, in its order: without what Python itself puts into it (LC_CTYPE), as it
    will do so again."""
    entries = read("/proc/self/environ").split(b"\0")
    return dict(os.fsdecode(entry).split("=", 1) for entry in entries if b"=" in entry)


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Face:
    """The memory that the kernel shows. Over a fork it keeps its place, and each process has its own copy."""

    def __init__(self):
        self.python = given_arguments()[: -len(sys.argv)]
        # Everything after the name, which is in parentheses: fields 48 to 51 of proc_pid_stat(5), which counts from 1.
        fields = read("/proc/self/stat").rpartition(b")")[2].split()
        start, end, environment_start, environment_end = map(int, fields[45:49])
        self.arguments, self.environment = (start, end - start), (environment_start, environment_end - environment_start)
        os.environ.pop(ROOM_NAME, None)
        # Has the C library make copies of its own, as its pointers lead into that memory.
        for name, value in os.environb.items():
            os.putenv(name, value)

    def show(self, argv, environment):
        """Shows that a Python executes those arguments; of what is too long, the beginning."""
        put(self.arguments, [*self.python, *map(os.fsencode, argv)])
        put(self.environment, [os.fsencode("%s=%s" % pair) for pair in environment.items()])


def put(place, texts):
    """Writes the texts there, each ended by a NUL, and blanks the rest."""
    address, size = place
    content = b"".join(text + b"\0" for text in texts)[: max(size - 1, 0)]
    ctypes.memset(address, 0, size)
    ctypes.memmove(address, content, len(content))
