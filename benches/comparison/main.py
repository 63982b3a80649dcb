"""The command line of `benches/compare`: arguments, the heading, one scenario after the other, and an end without leftovers."""
import argparse
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time

from . import bodies, growth, reload, requests, standing
from .fleet import Fleet
from .processes import CORES, Failed, stop_all
from .table import Results
from .workspace import ROOT, Workspace, find

SCENARIOS = {
    "s0": requests.s0, "s1": requests.s1, "s2": requests.s2, "s2-many": requests.s2_many, "s3": requests.s3, "s5": requests.s5,
    "large": bodies.large, "rate": requests.rate, "idle": standing.idle, "ready": standing.ready,
    "growth": growth.growth, "reload": reload.reload,
}


def arguments():
    width = max(map(len, SCENARIOS)) + 2
    listed = "\n".join(f"  {name:{width}}{first_line(function)}" for name, function in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="benches/compare", description="Portcullis beside HAProxy, nginx and a bare hyper proxy, in interleaved runs.",
        epilog="scenarios:\n" + listed + "\n\nbenches/README.md says how to read the tables.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="all of them, when none is named")
    parser.add_argument("--reps", type=int, default=5, help="runs of each (5)")
    parser.add_argument("--secs", type=float, default=3, help="seconds of a run (3)")
    parser.add_argument("--json", metavar="FILE", help="write every single run there")
    parser.add_argument("--portcullis", metavar="BINARY", help="measure this binary instead of building target/release/portcullis")
    parser.add_argument("--also", metavar="BINARY", help="another build of Portcullis beside it")
    parser.add_argument("--only", metavar="TEXT", help="in growth, only the variants that contain this")
    parser.add_argument("--instructions", action="store_true", help="in growth, count instructions under callgrind instead of time")
    options = parser.parse_args()
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    return options


def first_line(function):
    return (function.__doc__ or "").strip().split("\n")[0]


def about(workspace):
    """The date, the machine and the versions."""
    def version(command, pattern):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(pattern, done.stdout + done.stderr)
        return found.group(1) if found else "?"

    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    git = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "portcullis": version([workspace.portcullis, "--version"], r"portcullis (\S+)") + " " + git.stdout.strip(),
        "haproxy": version([find("haproxy"), "-v"], r"version (\S+)"),
        "nginx": version([find("nginx"), "-v"], r"nginx/(\S+)"),
        "machine": f"{model.group(1) if model else platform.machine()}, {len(CORES)} cores, Linux {platform.release()}",
        "load average": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = Results()
    with tempfile.TemporaryDirectory(prefix="compare-", ignore_cleanup_errors=True) as directory:
        try:
            measure(directory, results, options)
        except (Failed, subprocess.SubprocessError) as error:
            sys.exit(f"compare: {error}")
        except KeyboardInterrupt:
            sys.exit(130)
        finally:
            # A second ^C must not keep anything alive.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            stop_all()
            if options.json:
                results.write(options.json)


def measure(directory, results, options):
    workspace = Workspace(directory, options.portcullis)
    results.about = about(workspace)
    print("\n".join(f"{name}: {value}" for name, value in results.about.items()))
    print(f"{options.reps} x {options.secs:g} s, interleaved; medians", flush=True)
    for name in options.scenarios or SCENARIOS:
        fleet = Fleet(workspace, options)
        SCENARIOS[name](fleet, results, options)
        fleet.stop()
