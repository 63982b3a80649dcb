"""What a reload of 10,000 routes takes, and what traffic notices of it (scenario `reload`)."""
import os
import re
import signal
import statistics
import threading
import time

from .gateway import route, started
from .growth import ROLES, headers, many_routes
from .load import open_loop
from .processes import Failed

RATE = 5_000
EVERY = 0.5
LIMIT_MS = 100
P99_LIMIT_MS = 2
DONE = re.compile("the configuration was (not )?reloaded")


def reload(fleet, results, options):
    """Milliseconds from SIGHUP to the new routes being in force, and the p99 of traffic with reloads against without."""
    gateway = started(fleet.workspace, "reload", routes=many_routes(), algorithm="ES256")

    def load(seconds):
        return open_loop(fleet.workspace.open_loop, gateway.ports["plain"], headers(gateway.token, 10), RATE, seconds)

    times = [reload_once(gateway, number) * 1000 for number in range(max(5, options.reps))]
    results.runs += [{"scenario": "reload", "name": "alone", "ms": ms} for ms in times]
    print(f"\nreload: 10,000 routes, {os.path.getsize(gateway.config) / 1024:.0f} KiB of configuration")
    verdict = "" if statistics.median(times) <= LIMIT_MS else " MISSED"
    print(f"without traffic: {statistics.median(times):.1f} ms, {min(times):.1f} - {max(times):.1f}  wanted: {LIMIT_MS}{verdict}")

    seconds, quiet, busy = max(options.secs, 2), [], []
    for _ in range(options.reps):
        quiet.append(load(seconds))
        with Reloading(gateway) as reloading:
            busy.append(load(seconds))
        busy[-1]["reload_ms"] = statistics.median(reloading.times) * 1000
    for name, runs in (("quiet", quiet), ("with reloads", busy)):
        results.runs += [{"scenario": "reload", "name": name, **run} for run in runs]
        print(f"{name:14} " + ", ".join(f"{key} {statistics.median(run[key] for run in runs):.0f} us" for key in ("p50", "p99", "p999", "max"))
              + f", {sum(run['bad'] + run['errors'] for run in runs)} failures")
    added = (statistics.median(run["p99"] for run in busy) - statistics.median(run["p99"] for run in quiet)) / 1000
    verdict = "" if added <= P99_LIMIT_MS else " MISSED"
    print(f"one every {EVERY} s, {RATE:,} requests a second: {statistics.median(run['reload_ms'] for run in busy):.1f} ms each; "
          f"p99 {added:+.2f} ms  wanted: {P99_LIMIT_MS}{verdict}")
    gateway.stop()


def reload_once(gateway, number):
    """Changes a route, sends SIGHUP, and waits for the line in the log. Returns the seconds that it took."""
    gateway.routes[-1] = route(f"/changed/{number}/*", ROLES)
    gateway.write()
    before = os.path.getsize(gateway.process.log)
    begin = time.perf_counter()
    gateway.process.signal(signal.SIGHUP)
    while time.perf_counter() - begin < 30:
        with open(gateway.process.log) as log:
            log.seek(before)
            done = DONE.search(log.read())
        if done:
            if done.group(1):
                raise Failed(f"{gateway.name}: the reload was refused:\n{gateway.process.said()}")
            return time.perf_counter() - begin
        time.sleep(0.001)
    raise Failed(f"{gateway.name} does not reload; it said:\n{gateway.process.said()}")


class Reloading:
    """Reloads again and again while its block runs."""

    def __init__(self, gateway):
        self.gateway, self.times, self.end = gateway, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.end.wait(EVERY):
            self.times.append(reload_once(self.gateway, 1000 + len(self.times)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()
