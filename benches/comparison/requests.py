"""What small requests cost: scenarios s0 to s5, and a fixed rate."""
import os

from .fleet import MANY_TOKENS
from .load import Request, h2load, open_loop, wrk
from .table import against, interleave, show

COLUMNS = [("req/s", "rate", "{:.0f}"), ("p50 us", "p50", "{:.0f}"), ("p99 us", "p99", "{:.0f}"), ("core", "busy", "{:.2f}"),
           ("PSS MiB", "memory", "{:.1f}")]
RATE = 10_000


def own():
    return Request(token="own")


def refused():
    return Request(status=401)


def compare(title, scenario, subjects, results, options, reference, limits, load=wrk):
    """Warms up, runs all of them in turn, and prints CPU microseconds for each request."""
    for subject in subjects:
        subject.measure(1, load)
    runs = interleave(results, scenario, subjects, lambda subject: subject.measure(options.secs, load), options.reps)
    show(f"{scenario}: {title}", runs, "cpu", "CPU us", reference, COLUMNS, limits)
    return runs


def s0(fleet, results, options):
    """A public route: forwarding without login."""
    subjects = [fleet.haproxy("haproxy", "plain", Request()), fleet.nginx("nginx", "plain", Request()),
                fleet.bare("bare hyper", Request(), login=False)]
    subjects += fleet.portcullises("portcullis", lambda: Request(path="/open/items/42"))
    compare("a public route", "s0", subjects, results, options, "haproxy", {"portcullis": 1.0})


def s1(fleet, results, options):
    """HS256 token, role, headers; access log, metrics and request ids on, and once more with log and metrics off."""
    token = fleet.peer_token("HS256")
    subjects = [fleet.haproxy("haproxy", "hs256", Request(token=token)),
                fleet.haproxy("haproxy without login", "plain", Request(token=token)),
                fleet.bare("bare hyper", Request(token=token))]
    subjects += fleet.portcullises("portcullis", own)
    subjects += fleet.portcullises("portcullis, log and metrics off", own, quiet=True)
    limits = {"portcullis": 0.72, "portcullis, log and metrics off": 0.66}
    runs = compare("HS256 token, role, headers", "s1", subjects, results, options, "haproxy", limits)
    limits = {"portcullis": 1.08, "portcullis, log and metrics off": 1.0}
    against(runs, "cpu", "haproxy without login", limits)


def s2(fleet, results, options):
    """ES256, the default: one token that was seen before."""
    subjects = [fleet.haproxy("haproxy", "es256", Request(token=fleet.peer_token("ES256")))]
    subjects += fleet.portcullises("portcullis", own, algorithm="ES256")
    compare("ES256 token seen before", "s2", subjects, results, options, "haproxy", {"portcullis": 0.22})


def s2_many(fleet, results, options):
    """ES256, 100,000 tokens in turn: more than the cache of verified tokens holds."""
    subjects = [fleet.haproxy("haproxy", "es256", Request(token=fleet.peer_token("ES256")))]
    files = [os.path.join(fleet.peer_tokens("ES256"), "tokens")]
    for subject in fleet.portcullises("portcullis", own, algorithm="ES256"):
        files.append(own_tokens(fleet, subject))
        subjects.append(subject)
    # What connections need is there before the tokens come.
    before = {subject.name: subject.measure(2)["memory"] for subject in subjects}
    for subject, file in zip(subjects, files):
        subject.request = Request(tokens=file)
    compare(f"ES256, {MANY_TOKENS:,} tokens in turn", "s2-many", subjects, results, options, "haproxy", {"portcullis": 0.85})
    for subject in subjects:
        grown = subject.process.memory_kib() / 1024 - before[subject.name]
        print(f"{subject.name:34} grew by {grown:.1f} MiB over what it has with one token")


def own_tokens(fleet, subject):
    """As many tokens as the gateway would have issued. It lets go of its store while they are made."""
    it = subject.proxy
    place = os.path.join(it.directory, "tokens")
    it.stop()
    fleet.workspace.prepare("tokens", it.config, MANY_TOKENS, place)
    it.start()
    return place


def s3(fleet, results, options):
    """Refusals: no token, and one with a bad signature."""
    def spoilt(token):
        return token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBB")

    subjects = [fleet.haproxy("haproxy", "hs256", refused()), fleet.bare("bare hyper", refused())]
    subjects += fleet.portcullises("portcullis", refused)
    compare("no token", "s3", subjects, results, options, "haproxy", {"portcullis": 0.95})

    bad = Request(token=spoilt(fleet.peer_token("HS256")), status=401)
    subjects = [fleet.haproxy("haproxy", "hs256", bad), fleet.bare("bare hyper", bad)]
    for subject in fleet.portcullises("portcullis", own):
        subject.request = Request(token=spoilt(subject.request.token), status=401)
        subjects.append(subject)
    compare("a token with a bad signature", "s3", subjects, results, options, "haproxy", {"portcullis": 0.95})


def s5(fleet, results, options):
    """Clients that speak HTTP/2: 8 connections with 16 streams each."""
    token = fleet.peer_token("HS256")
    subjects = [fleet.haproxy("haproxy without login", "h2", Request(token=token)),
                fleet.haproxy("haproxy", "h2_hs256", Request(token=token)),
                fleet.nginx("nginx without login", "h2", Request(token=token)),
                fleet.bare("bare hyper without login", Request(token=token), login=False)]
    subjects += fleet.portcullises("portcullis, public route", lambda: Request(path="/open/items/42", token="own"))
    subjects += fleet.portcullises("portcullis", own)
    limits = {"portcullis, public route": 1.1, "portcullis": 1.1}
    compare("HTTP/2 clients", "s5", subjects, results, options, "haproxy without login", limits, h2load)


def rate(fleet, results, options):
    """10,000 requests a second, whatever happens, each timed from when it was due: p50, p99, p99.9."""
    def load(port, request, seconds):
        figures = open_loop(fleet.workspace.open_loop, port, request, RATE, seconds)
        return {**figures, "seconds": seconds}

    token = fleet.peer_token("HS256")
    subjects = [fleet.haproxy("haproxy", "hs256", Request(token=token)), fleet.nginx("nginx without login", "plain", Request(token=token)),
                fleet.bare("bare hyper", Request(token=token))]
    subjects += fleet.portcullises("portcullis", own)
    for subject in subjects:
        subject.measure(1, load)
    runs = interleave(results, "rate", subjects, lambda subject: subject.measure(options.secs, load), options.reps)
    more = [("p50 us", "p50", "{:.0f}"), ("p99.9 us", "p999", "{:.0f}"), ("max us", "max", "{:.0f}"), ("CPU us", "cpu", "{:.1f}")]
    show(f"rate: {RATE:,} requests a second, microseconds from when they were due", runs, "p99", "p99 us", "haproxy", more,
         {"portcullis": 1.0})
