"""What stands around without doing anything: memory of idle connections (`idle`) and the time to the first answer (`ready`)."""
import socket
import time
from dataclasses import dataclass

from .gateway import Gateway
from .load import Request
from .peers import Bare, Haproxy, Nginx
from .processes import CONNECTIONS
from .requests import own
from .table import interleave, show

IDLE_LIMIT_KIB = 8
READY_LIMIT_MS = 20


def idle(fleet, results, options):
    """Memory at rest, and KiB for each of 10,000 kept-alive connections that have had one request."""
    peer = Request(token=fleet.peer_token("HS256"))
    subjects = [fleet.haproxy("haproxy", "hs256", peer), fleet.nginx("nginx", "plain", peer), fleet.bare("bare hyper", peer)]
    subjects += fleet.portcullises("portcullis", own)
    print(f"\nidle: {CONNECTIONS:,} connections, each after one request; wanted of portcullis: {IDLE_LIMIT_KIB} KiB each, 15 MiB at rest")
    print(f"{'':34} {'at rest MiB':>11} {'with them':>10} {'KiB each':>9} {'after':>8}")
    for subject in subjects:
        figures = hold(subject, CONNECTIONS)
        results.runs.append({"scenario": "idle", "name": subject.name, **figures})
        print(f"{subject.name:34} {figures['rest']:11.1f} {figures['held']:10.1f} {figures['each']:9.2f} {figures['after']:8.1f}",
              flush=True)


def hold(subject, count):
    """Opens as many connections, asks once on each, waits, and looks at the memory of the proxy; in MiB."""
    rest = subject.process.memory_kib()
    request = subject.request.text().encode()
    connections = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", subject.port), 10)
        connection.sendall(request)
        take_answer(connection)
        connections.append(connection)
    time.sleep(2)  # for buffers that are given back only after a while
    held = subject.process.memory_kib()
    for connection in connections:
        connection.close()
    time.sleep(2)
    after = subject.process.memory_kib()
    return {"rest": rest / 1024, "held": held / 1024, "each": (held - rest) / count, "after": after / 1024}


def take_answer(connection):
    """Reads one response of 1 KiB."""
    answer = b""
    while True:
        head, mark, body = answer.partition(b"\r\n\r\n")
        if mark and len(body) >= 1024:
            break
        more = connection.recv(65536)
        if not more:
            raise OSError("the proxy closed a connection")
        answer += more
    if not head.startswith(b"HTTP/1.1 200"):
        raise OSError(f"the proxy answered {head[:40]}")


@dataclass
class Cold:
    """A proxy that does not run yet."""

    name: str
    start: callable


def ready(fleet, results, options):
    """From the start of a process to its first answer: Portcullis without a store, which it makes, and with an empty one."""
    workspace = fleet.workspace
    haproxy = Haproxy(workspace, fleet.peer_tokens("HS256"), fleet.peer_tokens("ES256"))
    nginx, bare = Nginx(workspace), Bare(workspace)

    def peer(proxy):
        begin = time.perf_counter()
        proxy.start()
        return proxy, time.perf_counter() - begin

    def portcullis(binary, store=True):
        gateway = Gateway(workspace, "cold", binary=binary, algorithm="ES256")
        if store:
            gateway.start()
            gateway.stop()
        return gateway, gateway.start()

    colds = [Cold("haproxy", lambda: peer(haproxy)), Cold("nginx", lambda: peer(nginx)), Cold("bare hyper", lambda: peer(bare)),
             Cold("portcullis, no store yet", lambda: portcullis(None, store=False)), Cold("portcullis", lambda: portcullis(None))]
    if fleet.also:
        colds.append(Cold("portcullis (also)", lambda: portcullis(fleet.also)))
    runs = interleave(results, "ready", colds, measure_start, max(options.reps, 5))
    show("ready: milliseconds from the start of the process", runs, "ms", "ms", more=[("PSS MiB", "memory", "{:.1f}")])
    print(f"wanted of portcullis with an empty store: {READY_LIMIT_MS} ms")


def measure_start(cold):
    proxy, taken = cold.start()
    figures = {"requests": 1, "ms": taken * 1000, "memory": proxy.process.memory_kib() / 1024}
    proxy.stop()
    return figures
