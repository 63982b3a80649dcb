"""What every scenario needs: the programs, a temporary directory, the backend, and what is prepared once and kept."""
import os
import shutil
import subprocess
import tempfile
import time

from .gateway import PASSWORD, Gateway
from .load import HERE
from .processes import LOAD_CORES, Failed, Process, free_port, run

ROOT = os.path.dirname(os.path.dirname(HERE))
#: Debian's packages.
TOOLS = {"haproxy": "haproxy", "nginx": "nginx", "wrk": "wrk", "h2load": "nghttp2-client", "cc": "gcc libc6-dev", "make": "make",
         "curl": "curl", "cargo": "cargo, or https://rustup.rs"}
#: Revocations in a prepared store are forgotten by the gateway after seven days, and tokens expire.
FRESH_SECONDS = 5 * 86_400


class Workspace:
    def __init__(self, directory, portcullis=None):
        missing = {tool: package for tool, package in TOOLS.items() if not find(tool)}
        if missing:
            raise Failed("missing: " + "; ".join(f"{tool} (Debian: {package})" for tool, package in missing.items()))
        self.directory = directory
        self.cache = os.path.join(target(), "compare")
        os.makedirs(self.cache, exist_ok=True)
        self.portcullis = portcullis or cargo("build", "--release", program="release/portcullis")
        self.backend_binary, self.open_loop = self.compiled("backend"), self.compiled("openloop")
        self.has_metrics = self.accepts("[metrics]\nenabled = false\n")
        self.backend_port = free_port()
        # On every loopback address: thousands of servers are one backend.
        command = [self.backend_binary, str(self.backend_port), "any"]
        self.backend = Process("backend", command, self.path("backend.log"), LOAD_CORES)
        self.backend.wait_for_port(self.backend_port)

    def folder(self, name):
        """A new directory."""
        return tempfile.mkdtemp(prefix=name + "-", dir=self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def compiled(self, name):
        """A C program of this folder, compiled again when its source is newer."""
        source, binary = os.path.join(HERE, name + ".c"), os.path.join(self.cache, name)
        if not os.path.exists(binary) or os.path.getmtime(binary) < os.path.getmtime(source):
            run(["cc", "-O2", "-o", binary, source])
        return binary

    def bare(self):
        """The bare hyper proxy."""
        manifest = os.path.join(HERE, "hyper/Cargo.toml")
        return cargo("build", "--release", "--manifest-path", manifest, "--target-dir", os.path.join(self.cache, "hyper"),
                     program="compare/hyper/release/bare")

    def accepts(self, lines):
        """Whether this version of Portcullis knows some lines of configuration."""
        file = self.path("probe.toml")
        with open(file, "w") as probe:
            probe.write(lines)
        command = [self.portcullis, "check", "--config", file]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def prepare(self, *words, **options):
        return run([cargo("build", "--example", "prepare", program="debug/examples/prepare"), *map(str, words)], **options)

    def kept(self, name, make):
        """A file or directory under target/compare, made by `make(path)` if there is none that is fresh."""
        place = os.path.join(self.cache, name)
        if os.path.exists(place) and time.time() - os.path.getmtime(place) < FRESH_SECONDS:
            return place
        unfinished = place + ".unfinished"
        for old in (place, unfinished):
            shutil.rmtree(old) if os.path.isdir(old) else os.path.exists(old) and os.remove(old)
        print(f"preparing {name} ...", flush=True)
        make(unfinished)
        os.rename(unfinished, place)
        os.utime(place)
        return place

    def store(self, users, revoked, algorithm="HS256"):
        """A data directory with alice and many more users, of which some are disabled and so revoked."""
        def make(place):
            gateway = Gateway(self, f"prepare-{users}-{revoked}", algorithm=algorithm)
            self.prepare("store", gateway.config, users, revoked, input=PASSWORD + "\n")
            shutil.move(gateway.data, place)
        return self.kept(f"store-{algorithm}-{users}-{revoked}", make)

    def peer_tokens(self, algorithm, count):
        """A directory with `tokens` as another issuer makes them, and the `key` that verifies them."""
        return self.kept(f"peer-{algorithm}-{count}", lambda place: self.prepare("peer", algorithm, count, place))


def find(tool):
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def target():
    return os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))


def cargo(*words, program):
    """Builds something and returns where it is."""
    subprocess.run(["cargo", *words, "--locked", "--quiet"], cwd=ROOT, check=True)
    return os.path.join(target(), program)
