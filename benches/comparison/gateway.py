"""Portcullis: its configuration, its store, a user and a token."""
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse

from . import instructions
from .processes import PROXY_CORES, Failed, Process, free_port

PASSWORD = "correct horse battery"
#: The routes of the scenarios. `{max_body}` is larger than any body that is sent.
ROUTES = [("/api/*", 'roles = ["user", "admin"]'), ("/admin/*", 'roles = ["admin"]'), ("/open/*", 'access = "public"'),
          ("/big", 'roles = ["user"]'), ("/up", 'roles = ["user"]\nmax_body = "1GiB"')]
CHEAP_LOGIN = 'memory = "64KiB"\npasses = 1'


def route(path, access, upstream="backend"):
    return f'[[route]]\npath = "{path}"\n{access}\nupstream = "{upstream}"\n'


def upstream(servers, name="backend"):
    return f"[upstream.{name}]\nservers = {json.dumps(servers)}\n"


class Gateway:
    """One gateway over a directory of its own."""

    def __init__(self, workspace, name, *, binary=None, algorithm="HS256", quiet=False, workers=1, routes=None, upstreams=None,
                 store=None, cores=PROXY_CORES, max_connections=10_000):
        self.name, self.workspace = name, workspace
        self.binary = binary or workspace.portcullis
        self.directory = workspace.folder(name)
        self.data = os.path.join(self.directory, "data")
        if store:
            shutil.copytree(store, self.data)
        self.ports, self.cores = {"plain": free_port()}, cores
        self.config, self.log = os.path.join(self.directory, "config.toml"), os.path.join(self.directory, "access.log")
        self.settings = {"algorithm": algorithm, "workers": workers, "quiet": quiet, "max_connections": max_connections}
        self.routes = routes or [route(path, access) for path, access in ROUTES]
        self.upstreams = upstreams or upstream([f"http://127.0.0.1:{workspace.backend_port}"])
        self.write()
        self.process = self.token = None

    def write(self):
        """Writes the configuration file anew."""
        text = configuration(self.ports["plain"], self.data, self.directory, self.workspace, **self.settings)
        text += self.upstreams + "".join(self.routes)
        with open(self.config + ".new", "w") as file:
            file.write(text)
        os.replace(self.config + ".new", self.config)

    def start(self, prefix=()):
        """Starts it, behind a prefix like `strace`. Returns the seconds until it has answered that it is ready."""
        begin = time.perf_counter()
        command = [*prefix, self.binary, "serve", "--config", self.config]
        self.process = Process(self.name, command, os.path.join(self.directory, "log"), self.cores)
        while not self.ready():
            self.process.check()
            if time.perf_counter() - begin > 120:  # under callgrind it takes its time
                raise Failed(f"{self.name} does not get ready; it said:\n{self.process.said()}")
            time.sleep(0.0005)
        return time.perf_counter() - begin

    def ready(self):
        try:
            with socket.create_connection(("127.0.0.1", self.ports["plain"]), 5) as connection:
                connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: bench\r\n\r\n")
                return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def stop(self):
        self.process.stop()

    def add_alice(self):
        """Through the admin socket, like `portcullis user add` while a gateway runs."""
        command = [self.binary, "user", "add", "alice", "--role", "user", "--password-stdin", "--config", self.config]
        subprocess.run(command, input=PASSWORD + "\n", text=True, check=True, capture_output=True)

    def login(self):
        """A token for alice, who logs in with her password."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["plain"], timeout=30)
        form = urllib.parse.urlencode({"grant_type": "password", "username": "alice", "password": PASSWORD})
        connection.request("POST", "/token", form, {"Content-Type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise Failed(f"{self.name}: the login was answered {response.status}: {answer.decode()}")
        return json.loads(answer)["access_token"]


def configuration(port, data, directory, workspace, algorithm, workers, quiet, max_connections):
    """The part of the file before upstreams and routes. `quiet` turns off the access log and the metrics."""
    text = f"""[server]
listen = ["127.0.0.1:{port}"]
workers = {workers}
max_connections = {max_connections}
[store]
path = "{data}"
[token]
issuer = "https://auth.example.com"
audience = "api"
algorithm = "{algorithm}"
access_ttl = "7d"
[login]
{CHEAP_LOGIN}
[log]
access = "{'off' if quiet else directory + '/access.log'}"
"""
    if quiet and workspace.has_metrics:
        text += "[metrics]\nenabled = false\n"
    return text


def started(workspace, name, counted=False, **settings):
    """A gateway that runs, and whose `token` is alice's. One that is counted runs under callgrind."""
    gateway = Gateway(workspace, name, **settings)
    gateway.start(instructions.prefix(gateway.directory) if counted else [])
    if "store" not in settings:
        gateway.add_alice()
    gateway.token = gateway.login()
    return gateway
