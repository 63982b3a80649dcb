"""Starts processes on a core, watches what they cost, and ends them, by pid and whatever happens."""
import ctypes
import os
import re
import resource
import signal
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
#: The proxy that is measured runs here; the load and the backend, which must not disturb it, run elsewhere.
PROXY_CORES = {CORES[0]}
LOAD_CORES = set(CORES[1:2]) or PROXY_CORES

# As many descriptors as the system grants, here and in all children. A proxy needs two for a connection.
_, FILES = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
CONNECTIONS = min(10_000, FILES // 2 - 200)

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_running = []


class Failed(Exception):
    """A process did not do what it had to; the text says which, and what it printed."""


class Process:
    """A child. It ends when it is told to, at the end of the run, or when this program dies."""

    def __init__(self, name, command, log, cores=PROXY_CORES):
        self.name, self.log = name, log

        def settle():
            os.sched_setaffinity(0, cores)
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        with open(log, "ab") as output:
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                           start_new_session=True, preexec_fn=settle)
        self.pid = self._child.pid
        _running.append(self)

    def wait_for_port(self, port, patience=30):
        """Until somebody listens there."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.001)
        raise Failed(f"{self.name} does not listen on port {port}; it said:\n{self.said()}")

    def check(self):
        """That it still runs."""
        if self._child.poll() is not None:
            raise Failed(f"{self.name} has ended with status {self._child.returncode}; it said:\n{self.said()}")

    def said(self):
        """The end of its output."""
        with open(self.log, errors="replace") as file:
            return file.read()[-2000:]

    def stop(self):
        if self in _running:
            _running.remove(self)
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(10)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()

    def signal(self, number):
        self._child.send_signal(number)

    def cpu_seconds(self):
        """Time of all its threads: all of it, and the kernel's part. The kernel counts it in nanoseconds and shows it in hundredths of
        a second."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        user, system = int(fields[11]) / TICKS, int(fields[12]) / TICKS
        return user + system, system

    def switches(self):
        """How often one of its threads has had to leave its core, or has gone to sleep."""
        count = 0
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{thread}/status") as file:
                count += sum(map(int, re.findall(r"^\w*voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M)))
        return count

    def memory_kib(self):
        """Proportional set size: its own memory, and its share of what it has in common with others."""
        with open(f"/proc/{self.pid}/smaps_rollup") as file:
            return int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M).group(1))


def stop_all():
    for process in list(reversed(_running)):
        process.stop()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run(command, **options):
    """Runs a command to its end on the cores of the load, and returns what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          preexec_fn=lambda: os.sched_setaffinity(0, LOAD_CORES), **options)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
