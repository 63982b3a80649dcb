"""Everything that stands beside each other in a scenario, started when it is first asked for."""
import os
from dataclasses import dataclass
from typing import Callable

from . import gateway, instructions
from .load import Request, wrk
from .peers import Bare, Haproxy, Nginx

#: Distinct tokens, more than any cache here holds.
MANY_TOKENS = 100_000


@dataclass
class Subject:
    """A proxy that runs, as one scenario asks it."""

    name: str
    proxy: object
    request: Request
    #: Which of the proxy's ports.
    kind: str = "plain"

    @property
    def port(self):
        return self.proxy.ports[self.kind]

    @property
    def process(self):
        return self.proxy.process

    def measure(self, seconds, load: Callable = wrk):
        """One run: what the load generator saw, and what the proxy spent on it."""
        before, kernel_before = self.process.cpu_seconds()
        switches_before = self.process.switches()
        figures = load(self.port, self.request, seconds)
        after, kernel_after = self.process.cpu_seconds()
        spent, requests = after - before, max(1, figures["requests"])
        figures["cpu"] = spent * 1e6 / requests
        figures["kernel"] = (kernel_after - kernel_before) * 1e6 / requests
        figures["switches"] = (self.process.switches() - switches_before) / requests
        figures["busy"] = spent / figures["seconds"]
        figures["rate"] = figures["requests"] / figures["seconds"]
        figures["memory"] = self.process.memory_kib() / 1024
        self.empty_log()
        return figures

    def count(self):
        """One run under callgrind: instructions of each request."""
        def load():
            return wrk(self.port, self.request, instructions.SECONDS, instructions.CONNECTIONS)

        load()
        figures = instructions.count(self.process, self.proxy.directory, load)
        figures["cpu"] = figures["instructions"] / max(1, figures["requests"])
        self.empty_log()
        return figures

    def empty_log(self):
        """At tens of thousands of lines a second an access log would soon be gigabytes."""
        log = getattr(self.proxy, "log", "")
        if os.path.exists(log):
            os.truncate(log, 0)


class Fleet:
    """The proxies of a scenario. Those that nobody asks for are not started, and all share the backend."""

    def __init__(self, workspace, options):
        self.workspace, self.also, self.running = workspace, options.also, {}

    def once(self, name, make):
        if name not in self.running:
            self.running[name] = make()
        return self.running[name]

    def stop(self):
        """Ends all of them: the next scenario begins with fresh ones."""
        for proxy in self.running.values():
            proxy.stop()

    def peer_tokens(self, algorithm):
        return self.workspace.peer_tokens(algorithm, MANY_TOKENS)

    def peer_token(self, algorithm):
        with open(os.path.join(self.peer_tokens(algorithm), "tokens")) as file:
            return file.readline().strip()

    def haproxy(self, name, kind, request):
        def make():
            return Haproxy(self.workspace, self.peer_tokens("HS256"), self.peer_tokens("ES256")).start()
        return Subject(name, self.once("haproxy", make), request, kind)

    def nginx(self, name, kind, request):
        return Subject(name, self.once("nginx", lambda: Nginx(self.workspace).start()), request, kind)

    def bare(self, name, request, login=True):
        own = "bare-login" if login else "bare"
        key = self.peer_tokens("HS256") if login else None
        return Subject(name, self.once(own, lambda: Bare(self.workspace, key).start()), request)

    def portcullis(self, name, request, binary=None, **settings):
        """Gives the request a token of this gateway's own, unless it brings one or wants to be refused."""
        own = "-".join(["portcullis", *map(str, settings.values())] + (["also"] if binary else []))
        it = self.once(own, lambda: gateway.started(self.workspace, own, binary=binary, **settings))
        if request.token == "own":
            request.token = it.token
        return Subject(name, it, request)

    def portcullises(self, name, request, **settings):
        """Portcullis, and the other build of it when there is one (`--also`)."""
        settings = {"algorithm": "HS256", **settings}
        yield self.portcullis(name, request(), **settings)
        if self.also:
            yield self.portcullis(name + " (also)", request(), binary=self.also, **settings)
