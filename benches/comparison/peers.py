"""HAProxy, nginx and the bare hyper proxy: one thread each, without an access log, told to do as much as they can."""
import os

from .processes import CONNECTIONS, FILES, Process, free_port
from .workspace import find

#: The ratios, and `pool-purge-delay` below, let it keep a connection to each of ten thousand servers, as Portcullis does: else it closes
#: idle ones when a quarter of its descriptors are in use, and every five seconds half of those that were not needed.
HAPROXY = """
global
    nbthread {threads}
    maxconn {connections}
    tune.pool-low-fd-ratio 90
    tune.pool-high-fd-ratio 95
    tune.bufsize 16384
defaults
    mode http
    timeout client 300s
    timeout server 300s
    timeout connect 5s
    option http-keep-alive
    http-reuse always
    no log
frontend plain
    bind 127.0.0.1:{plain}
    default_backend plain
frontend h2
    bind 127.0.0.1:{h2} proto h2
    default_backend plain
{login}
backend checked
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.iss') -m str https://auth.example.com }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_payload_query('$.aud') -m str api }}
    http-request set-var(txn.expires) var(txn.token),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless {{ var(txn.expires),sub(txn.now) -m int gt 0 }}
    http-request set-var(txn.role) var(txn.token),jwt_payload_query('$.role')
    http-request deny deny_status 403 if {{ path_beg /admin/ }} !{{ var(txn.role) -m str admin }}
    http-request deny deny_status 403 unless {{ var(txn.role) -m str user admin }}
    http-request set-header X-User %[var(txn.token),jwt_payload_query('$.sub')]
    http-request set-header X-Role %[var(txn.role)]
    server backend 127.0.0.1:{backend}
backend plain
{servers}
"""

HAPROXY_LOGIN = """
frontend {name}
    bind 127.0.0.1:{port}{protocol}
    http-request set-var(txn.token) http_auth_bearer
    http-request deny deny_status 401 hdr WWW-Authenticate Bearer unless {{ var(txn.token) -m found }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_header_query('$.alg') -m str {algorithm} }}
    http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify("{algorithm}","{key}") 1 }}
    use_backend checked
"""

NGINX = """
daemon off; master_process off; worker_processes 1; pid {directory}/pid; error_log {directory}/errors warn;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 300s;
  client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 100000000; }}
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
  server {{ listen 127.0.0.1:{plain}; location / {{ proxy_pass http://backend; }} }}
  server {{ listen 127.0.0.1:{h2} http2; http2_max_requests 100000000; location / {{ proxy_pass http://backend; }} }}
}}
"""


class Peer:
    """A proxy with a configuration. It can be started and stopped again and again."""

    def __init__(self, workspace, name):
        self.name, self.directory, self.process = name, workspace.folder(name), None

    def start(self):
        self.process = Process(self.name, self.command, os.path.join(self.directory, "log"))
        self.process.wait_for_port(next(iter(self.ports.values())))
        return self

    def stop(self):
        self.process.stop()

    def written(self, name, text):
        """A file in its directory."""
        place = os.path.join(self.directory, name)
        with open(place, "w") as file:
            file.write(text)
        return place


class Haproxy(Peer):
    """Ports: `plain` and `h2` forward; `hs256`, `h2_hs256` and `es256` check a token first."""

    def __init__(self, workspace, hs256, es256, threads=1, servers=None):
        """`hs256` and `es256` are directories of `Workspace.peer_tokens`. `servers`, `host:port` each, take turns behind `plain`."""
        super().__init__(workspace, "haproxy")
        self.ports = {kind: free_port() for kind in ("plain", "h2", "hs256", "h2_hs256", "es256")}
        with open(os.path.join(hs256, "key")) as file:
            secret = file.read()
        logins = [("hs256", "HS256", secret, ""), ("h2_hs256", "HS256", secret, " proto h2"), ("es256", "ES256", es256 + "/key", "")]
        login = "".join(HAPROXY_LOGIN.format(name=kind, port=self.ports[kind], algorithm=algorithm, key=key, protocol=protocol)
                        for kind, algorithm, key, protocol in logins)
        servers = servers or [f"127.0.0.1:{workspace.backend_port}"]
        lines = "\n".join(f"    server backend{index} {server} pool-purge-delay 300s" for index, server in enumerate(servers))
        text = HAPROXY.format(login=login, connections=CONNECTIONS, backend=workspace.backend_port, threads=threads, servers=lines,
                              **self.ports)
        self.command = [find("haproxy"), "-db", "-f", self.written("haproxy.cfg", text)]


class Nginx(Peer):
    """Ports: `plain` and `h2`, which forward."""

    def __init__(self, workspace):
        super().__init__(workspace, "nginx")
        self.ports = {"plain": free_port(), "h2": free_port()}
        text = NGINX.format(directory=self.directory, files=FILES, backend=workspace.backend_port, **self.ports)
        config = self.written("nginx.conf", text)
        self.command = [find("nginx"), "-p", self.directory, "-e", self.directory + "/errors", "-c", config]


class Bare(Peer):
    """The bare hyper proxy, which forwards or, with a key, checks HS256 tokens first. Its one port speaks HTTP/1.1 and HTTP/2."""

    def __init__(self, workspace, hs256=None):
        super().__init__(workspace, "bare")
        self.ports = {"plain": free_port()}
        listen, upstream = f"127.0.0.1:{self.ports['plain']}", f"127.0.0.1:{workspace.backend_port}"
        self.command = [workspace.bare(), listen, upstream] + ([os.path.join(hs256, "key")] if hs256 else [])
