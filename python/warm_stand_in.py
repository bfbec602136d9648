"""Stands for the gateway and the run host, for the tests of the warm start: speaks their side and nothing more."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPT = Path(sys.executable).parent / "ansible-playbook"
# As the gateway does, and not the one that runs the tests: it may have another name.
PYTHON = SCRIPT.read_text().splitlines()[0].removeprefix("#!") if SCRIPT.exists() else sys.executable
WARM = HERE / "healgate_warm.py"

# Speaks to the play as `healgate run-host --warm` does, and writes down how it ended.
HOST = """#!%s -IS
import json, os, resource, socket, sys, time
place, play = sys.argv[-1], int(sys.argv[sys.argv.index("--warm") + 1])
link, line = socket.socket(fileno=os.dup(0)), os.dup(1)
for fd in (0, 1):
    os.dup2(os.open(os.devnull, os.O_RDWR), fd)
with open(place + "/order", "rb") as file:
    order = file.read()
said = {"argv": sys.argv, "environment": open("/proc/self/environ").read(), "cwd": os.getcwd(), "sid": os.getsid(0) == os.getpid()}
said["play"] = [os.getpid(), play]
log = os.open(place + "/output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
source, sink = os.pipe()
socket.send_fds(link, [order + b"\\n"], [sink])
os.close(sink)
answer = json.loads(link.makefile().readline() or '{"gone": true}')
begin = time.monotonic()
if answer.get("ready"):
    if os.path.exists(place + "/leave"):
        os._exit(3)
    os.write(line, b'{"warm": true}\\n')
    link.sendall(b"go\\n")
link.close()
while data := os.read(source, 1 << 16):
    os.write(log, data)
_, status = os.waitpid(play, 0)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
said.update(answer=answer, exit=os.waitstatus_to_exitcode(status), wall=time.monotonic() - begin)
said["cpu"] = used.ru_utime + used.ru_stime
with open(place + "/status", "w") as file:
    json.dump(said, file)
""" % sys.executable


class World:
    """A folder of its own for a project, a home, temporary files, runs and an interpreter."""

    def __init__(self, root, script=SCRIPT, **environment):
        self.root = Path(root).resolve()
        self.script = str(script)
        self.folder, self.run, self.warm = self.root / "project", self.root / "run", self.root / "warm"
        for folder in (self.folder, self.warm):
            folder.mkdir(parents=True)
        # Alone, as Ansible loads all that lies beside a callback plugin.
        self.plugins = self.warm / "plugins"
        self.plugins.mkdir()
        shutil.copy(HERE / "healgate_events.py", self.plugins)
        self.host = self.warm / "host"
        self.host.write_text(HOST)
        self.host.chmod(0o700)
        self.environment = self.usual_environment(environment)
        self.interpreter = None
        self.clean()

    def usual_environment(self, more):
        """As the gateway makes it, sorted by name."""
        usual = {
            "ANSIBLE_ASYNC_DIR": str(self.root / "home" / "async"),
            "ANSIBLE_CALLBACKS_ENABLED": "healgate_events",
            "ANSIBLE_CALLBACK_PLUGINS": str(self.plugins),
            "ANSIBLE_FORCE_COLOR": "1",
            "ANSIBLE_LOCAL_TEMP": str(self.run / "tmp"),
            "ANSIBLE_NOCOWS": "1",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.run / "cp"),
            "GREETING": "hello",
            "HEALGATE_EVENTS": str(self.run / "events.jsonl"),
            "HEALGATE_RUN": "j/1",
            "HOME": str(self.root / "home"),
            "LC_ALL": "C.UTF-8",
            "PATH": "/usr/bin:/bin",
            # Sets have an order that differs from process to process, warm or not.
            "PYTHONHASHSEED": "0",
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.root / "tmp"),
        }
        return dict(sorted({**usual, **more}.items()))

    def clean(self):
        """The world as it is before a run. The project's folder itself stays, as the interpreter is in it."""
        for folder in (self.root / "home", self.root / "tmp", self.run):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
        for entry in self.folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        (self.folder / "made").mkdir(exist_ok=True)

    def argv(self, args):
        return [self.script, *args]

    def cold(self, args):
        """Runs ansible-playbook as it is. Answers with its exit code and its output."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(self.argv(args), env=self.environment, cwd=self.folder, start_new_session=True, **streams)
        return done.returncode, done.stdout

    def start(self):
        self.interpreter = Interpreter(self)
        return self.interpreter

    def warmed(self, args):
        """The same by way of the interpreter."""
        status = self.interpreter.run(args)
        return status["exit"], (self.run / "output").read_bytes()

    def close(self):
        if self.interpreter:
            self.interpreter.close()

    def left(self):
        """All files but those of the run and the interpreter, with their modes and contents."""
        found = {}
        own = {self.warm, self.run / "order", self.run / "output", self.run / "status", self.run / "host.log"}
        for path in sorted(self.root.rglob("*")):
            if own.isdisjoint([path, *path.parents]):
                found[path] = (oct(path.lstat().st_mode), path.read_bytes() if path.is_file() else None)
        return found


class Interpreter:
    """A started interpreter, from the gateway's side."""

    def __init__(self, world, *more):
        self.world = world
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        own = world.root / "warm"
        local = {"ANSIBLE_LOCAL_TEMP": str(own / "tmp"), "ANSIBLE_SSH_CONTROL_PATH_DIR": str(own / "cp")}
        environment = {name: value for name, value in world.environment.items() if not name.startswith("HEALGATE_")}
        with open(own / "log", "wb") as log:
            self.process = subprocess.Popen(
                [PYTHON, str(WARM), world.script, str(own / "watch"), *more],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=world.folder,
                env={**environment, **local},
                start_new_session=True,
            )
        theirs.close()
        self.control.settimeout(120)
        answer = self.control.recv(1 << 16)
        self.answer = json.loads(answer) if answer else {"died": self.log()}

    def log(self):
        return (self.world.warm / "log").read_text(errors="replace")

    def begin(self, args, place=None, order=None, host=None):
        """Sends a run; answers with the gateway's end of the line."""
        place = place or self.world.run
        place.mkdir(exist_ok=True)
        usual = {"argv": self.world.argv(args), "env": self.world.environment, "cwd": str(self.world.folder)}
        (place / "order").write_text(json.dumps({**usual, **(order or {})}))
        packet = {"host": str(host or self.world.host), "ticket": "ticket", "dir": str(place)}
        line, theirs = socket.socketpair()
        line.settimeout(300)
        socket.send_fds(self.control, [json.dumps(packet).encode()], [theirs.fileno()])
        theirs.close()
        return line

    def run(self, args, **more):
        """Runs to the end, and answers with what the host wrote down."""
        said = heard(self.begin(args, **more))
        status = (more.get("place") or self.world.run) / "status"
        return {"line": said, **(json.loads(status.read_text()) if status.exists() else {})}

    def close(self):
        self.control.close()
        return self.process.wait(60)


def heard(line):
    """All that comes on a line until its end."""
    data = b""
    with line:
        while more := line.recv(1 << 16):
            data += more
    return [json.loads(entry) for entry in data.splitlines()]
