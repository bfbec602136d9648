"""Keeps an ansible-playbook ready: imports it once, forks a run host and a waiting play for each run. Never runs a play
itself, never starts a thread, and writes nothing but its log and its list of files to watch.

Started by the gateway as `PYTHON [flags] healgate_warm.py SCRIPT WATCHLIST`, in the environment and folder of the runs,
with a SOCK_SEQPACKET socket as standard input. Ends when that is closed.
"""

import ctypes
import importlib.util
import json
import os
import signal
import socket
import sys
import traceback

# The arguments that it adds to its own when it executes itself anew: three descriptors, names not to import, and room.
SECOND_ARGUMENTS = 5
PACKET_BYTES = 64 << 10
PR_SET_PDEATHSIG = 1


def sibling(name):
    """A module that lies beside this one, without a trace on sys.path."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


faces = sibling("healgate_warm_face")
loading = sibling("healgate_warm_load")
plugins = sibling("healgate_warm_plugins")
memo = sibling("healgate_warm_memo")
orders = sibling("healgate_warm_order")
Unsuitable = loading.Unsuitable


def restart_with_plain_streams(skip):
    """Executes itself anew, so that Python makes its streams as it does for a play: on pipes, and /dev/null to read.
    The control socket moves away from standard input, the log away from standard error."""
    control = os.dup(0)
    log = os.dup(2)
    said, say = os.pipe()
    null = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((null, 0), (say, 1), (say, 2)):
        os.dup2(old, new)
    for fd in (control, log, said):
        os.set_inheritable(fd, True)
    given = faces.given_arguments()[: -1 if skip else None]
    more = [*(str(fd) for fd in (control, log, said)), skip, faces.ROOM]
    faces.execute_again(given + [os.fsencode(text) for text in more], {**faces.given_environment(), faces.ROOM_NAME: faces.ROOM})


class Interpreter:
    """The resident process."""

    def __init__(self, script, watchlist, control, log, said, skip):
        self.file = sys.argv[0]
        self.script = script
        self.watchlist = watchlist
        self.skip = skip
        self.control = socket.socket(fileno=control)
        self.log = log
        self.control.set_inheritable(False)
        os.set_inheritable(log, False)
        self.arguments = faces.given_arguments()[:-SECOND_ARGUMENTS]
        self.environment = faces.given_environment()
        del self.environment[faces.ROOM_NAME]
        self.face = faces.Face()
        self.face.show(sys.argv[:1], {})
        self.cwd = os.getcwd()
        self.old_child_handler = signal.getsignal(signal.SIGCHLD)
        self.output = Output(said)
        self.prctl = prctl()
        self.loaded = None

    def prepare(self):
        """Imports all that can be imported before a run is known, and tells the gateway that it is ready."""
        self.loaded, loud = loading.load(self.script, self.output, plugins, memo, self.skip)
        if loud:
            self.restart_without(loud)
        with open(self.watchlist, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(path + "\n" for path in loading.watched(self.script, self.loaded))
        if len(os.listdir("/proc/self/task")) != 1:
            raise Unsuitable("importing ansible-playbook starts threads, and a process with threads cannot be forked")
        self.tell({"ready": True, "ansible": self.loaded.version, "python": sys.version.split()[0]})

    def restart_without(self, name):
        """Executes itself anew, as what has been imported cannot be forgotten."""
        self.note("%s says something when it is imported, and so it is not imported in advance" % name)
        os.dup2(self.control.fileno(), 0)
        os.dup2(self.log, 2)
        skip = ",".join((*self.skip, name))
        faces.execute_again([*self.arguments, os.fsencode(skip)], self.environment)

    def tell(self, message):
        self.control.send(json.dumps(message).encode())

    def serve(self):
        """Forks for each run until the gateway is gone. Comes back only in a play's process, with its order."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            try:
                packet, fds = orders.receive(self.control, PACKET_BYTES)
            except OSError:
                os._exit(0)
            if not packet:
                os._exit(0)
            play = self.take(packet, fds)
            if play:
                return play

    def take(self, packet, fds):
        """One run: forks its host half, which forks the play half."""
        run = parsed(packet)
        if run is None or len(fds) != 1:
            self.note("a packet that is no run: %r with %d descriptors" % (packet[:200], len(fds)))
            orders.close_all(fds)
            return None
        line = fds[0]
        try:
            forked = os.fork()
        except OSError as error:
            refuse(line, "cannot fork: %s" % error.strerror)
            forked = -1
        if forked == 0:
            return self.host_half(run, line)
        os.close(line)
        return None

    def note(self, text):
        try:
            os.write(self.log, (text + "\n").encode("utf-8", "replace"))
        except OSError:
            pass

    def host_half(self, run, line):
        """Becomes the run host, after it has forked the play half: comes back only in that."""
        try:
            signal.signal(signal.SIGCHLD, self.old_child_handler)
            os.setsid()
            theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            host = os.getpid()
            play = os.fork()
            if play == 0:
                return self.play_half(host, line, theirs, ours)
            execute_host(run, line, theirs, play)
        except BaseException as error:
            refuse(line, "cannot start the run host: %s" % error)
        os._exit(127)

    def play_half(self, host, line, theirs, ours):
        """Waits until it is told to become a play, and comes back to do so."""
        try:
            os.close(line)
            theirs.close()
            self.control.close()
            # As of a cold play: a stop may kill groups, and never meets the host.
            os.setpgid(0, 0)
            self.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != host:
                os._exit(0)
            play = orders.Order(self, ours)
            ours.close()
            os.close(self.log)
            return play
        except BaseException as error:
            self.note("play: %r" % error)
        os._exit(0)


def execute_host(run, line, link, play):
    """Replaces this process by `healgate run-host`."""
    log = os.open(os.path.join(run["dir"], "host.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for old, new in ((link.fileno(), 0), (line, 1), (log, 2)):
        os.dup2(old, new)
    # The line as standard output is for the host; ours is closed by the execution.
    os.set_inheritable(line, False)
    for name in ("SIGPIPE", "SIGXFSZ"):
        # Python ignores these, and what is ignored stays so.
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    os.chdir("/")
    argv = ["healgate", "run-host", "--ticket", run["ticket"], "--warm", str(play), run["dir"]]
    os.execve(run["host"], argv, {})


def refuse(line, sentence):
    try:
        os.write(line, (json.dumps({"refused": sentence}) + "\n").encode())
    except OSError:
        pass


def parsed(packet):
    """The run that a packet asks for, or None."""
    try:
        run = json.loads(packet)
        texts = [run[name] for name in ("host", "ticket", "dir")]
    except (ValueError, KeyError, TypeError):
        return None
    return run if all(isinstance(text, str) for text in texts) else None


def prctl():
    """The system call; asked for before a run is in a hurry."""
    function = ctypes.CDLL(None, use_errno=True).prctl
    function.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    return function


class Output:
    """What importing wrote to the streams. A play says it again; what preloading says is only counted."""

    def __init__(self, said):
        self.file = os.memfd_create("said")
        os.set_blocking(said, False)
        try:
            os.write(self.file, os.read(said, 1 << 20))
        except BlockingIOError:
            pass
        os.close(said)
        for fd in (1, 2):
            os.dup2(self.file, fd)

    def size(self):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        return os.fstat(self.file).st_size

    def taken(self):
        """All that was said until now."""
        return os.pread(self.file, self.size(), 0)


def main():
    """All that comes before a play. Returns in a play's process only."""
    script, watchlist = sys.argv[1:3]
    if len(sys.argv) < 3 + SECOND_ARGUMENTS:
        restart_with_plain_streams("".join(sys.argv[3:]))
    skip = [name for name in sys.argv[6].split(",") if name]
    interpreter = Interpreter(script, watchlist, *map(int, sys.argv[3:6]), skip)
    try:
        interpreter.prepare()
    except BaseException as error:
        said = interpreter.output.taken().decode("utf-8", "replace").strip()
        interpreter.tell({"error": said_and_why(said, error)})
        interpreter.note(said + "\n" + traceback.format_exc())
        os._exit(1)
    order = interpreter.serve()
    try:
        return order.become()
    except BaseException:
        # The host has let go: what remains is to start as if nothing had been prepared.
        os.execvpe(order.argv[0], order.argv, order.environment)


def said_and_why(said, error):
    """What a person needs to know of a failed start, in a line."""
    if isinstance(error, Unsuitable):
        return str(error)
    # Ansible says what it misses, and exits.
    why = said.splitlines()[-1:] if isinstance(error, SystemExit) and error.code != str(error.code) else []
    return "importing ansible-playbook failed: %s" % (why[0] if why else "%s: %s" % (type(error).__name__, error))


if __name__ == "__main__":
    code, namespace = main()
    # Here, and in no function, so that ending the play is ending this program.
    try:
        exec(code, namespace)
    except SystemExit:
        raise
    except BaseException:
        # A traceback begins at the play.
        sys.excepthook = lambda kind, value, trace: sys.__excepthook__(kind, value, trace and trace.tb_next)
        raise
