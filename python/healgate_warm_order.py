"""A waiting play's part: what it is told, whether it can be that run, and its way to become it. Never forks."""

import ctypes
import json
import os
import socket
import sys
import types

# The only names of the environment in which runs of one interpreter differ.
RUN_NAMES = ("HEALGATE_EVENTS", "HEALGATE_RUN", "HEALGATE_SECRETS", "ANSIBLE_LOCAL_TEMP", "ANSIBLE_SSH_CONTROL_PATH_DIR")
ORDER_BYTES = 16 << 20
PR_SET_NAME = 15


class Mismatch(Exception):
    """That run would not be the same as a cold one; the text is a sentence."""


class Order:
    """What one play is told, and its way to become it. Making one waits until the host says `go`."""

    def __init__(self, interpreter, link):
        self.interpreter = interpreter
        data, fds = read_line(link)
        order = json.loads(data)
        self.argv, self.environment, self.cwd = order["argv"], order["env"], order["cwd"]
        try:
            (self.output,) = fds
            self.check()
        except (Mismatch, OSError, ValueError) as why:
            link.sendall((json.dumps({"refused": str(why)}) + "\n").encode())
            os._exit(0)
        interpreter.face.show(self.argv, self.environment)
        link.sendall(b'{"ready": true}\n')
        if read_line(link)[0] != b"go\n":
            os._exit(0)

    def check(self):
        """Refuses what would not be the same as a cold start."""
        interpreter = self.interpreter
        ours, theirs = without_run_names(interpreter.environment), without_run_names(self.environment)
        if ours != theirs:
            names = sorted(name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name))
            raise Mismatch("the environment has changed: %s" % ", ".join(names))
        # By any name, but not another one that has taken its place.
        if not os.path.samestat(os.stat(self.cwd), os.stat(".")):
            raise Mismatch("the folder has changed: %s" % self.cwd)
        command = self.argv[0] if self.argv else ""
        if not names_script(command, interpreter):
            raise Mismatch("the command has changed: %s" % command)

    def become(self):
        """Renews what importing froze, as if this process had just been started; the code and namespace to execute."""
        interpreter = self.interpreter
        for fd in (1, 2):
            os.dup2(self.output, fd)
        os.close(self.output)
        os.close(interpreter.output.file)
        self.apply_environment()
        sys.argv[:] = self.argv
        if hasattr(sys, "orig_argv"):
            sys.orig_argv[sys.orig_argv.index(interpreter.file) :] = sys.argv
        name = ctypes.create_string_buffer(os.fsencode(os.path.basename(interpreter.script))[:15])
        interpreter.prctl(PR_SET_NAME, ctypes.addressof(name), 0, 0, 0)
        interpreter.loaded.renew()
        return interpreter.loaded.code, fresh_main(os.path.join(self.cwd, sys.argv[0]))

    def apply_environment(self):
        """In the order in which the variables would have come, as `env` shows it."""
        own = {name: value for name, value in os.environ.items() if name not in self.interpreter.environment}
        os.environ.clear()
        os.environ.update(self.environment)
        os.environ.update(own)


def without_run_names(environment):
    return {name: value for name, value in environment.items() if name not in RUN_NAMES}


def read_line(link):
    """Bytes up to a newline, and the descriptors that came with them. The other end's end is ours."""
    data, fds = b"", []
    while not data.endswith(b"\n"):
        more, came = receive(link, 1 << 16)
        fds += came
        data += more
        if not more or len(data) > ORDER_BYTES:
            os._exit(0)
    return data, fds


def names_script(command, interpreter):
    """Whether executing that command is executing the script that was loaded. The host has looked it up on PATH."""
    same = os.path.join(interpreter.cwd, command) == interpreter.script
    return same or bool(command) and os.path.realpath(command) == os.path.realpath(interpreter.script)


def fresh_main(script):
    """The namespace of a new `__main__`, as Python makes it for a script."""
    from importlib.machinery import SourceFileLoader

    main = types.ModuleType("__main__")
    main.__loader__ = SourceFileLoader("__main__", script)
    main.__builtins__ = sys.modules["builtins"]
    main.__file__ = script
    main.__cached__ = None
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    return main.__dict__


def receive(source, size):
    """Some bytes and the descriptors that came with them."""
    room = socket.CMSG_SPACE(8 * 4)
    data, control, flags, _ = source.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    fds = []
    for level, kind, payload in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            whole = len(payload) - len(payload) % 4
            fds.extend(int.from_bytes(payload[at : at + 4], sys.byteorder) for at in range(0, whole, 4))
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(fds)
        return data or b"cut", []
    return data, fds


def close_all(fds):
    for fd in fds:
        os.close(fd)
