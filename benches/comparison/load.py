"""The load generators: wrk for HTTP/1.1, h2load for HTTP/2, openloop.c for a fixed rate."""
import json
import os
import random
import re
from dataclasses import dataclass, field

from .processes import run

HERE = os.path.dirname(os.path.abspath(__file__))
CONNECTIONS = 64
#: What a client of an API sends besides its token.
HEADERS = ["Host: api.example.com", "User-Agent: bench/1", "Accept: application/json", "X-Request-Id: 7f0e8a52c1d94f0b"]


@dataclass
class Request:
    """What is asked of a proxy, and the status that it has to answer."""

    path: str = "/api/items/42"
    token: str = None
    headers: list = field(default_factory=list)
    status: int = 200
    #: A file of tokens that are used in turn.
    tokens: str = None

    def lines(self):
        lines = HEADERS + self.headers
        if self.token:
            # A client that tries to name itself is what the proxies are there to correct.
            lines = lines + ["Authorization: Bearer " + self.token, "X-User: mallory"]
        return lines

    def text(self):
        return f"GET {self.path} HTTP/1.1\r\n" + "".join(line + "\r\n" for line in self.lines()) + "\r\n"


def wrk(port, request, seconds, connections=CONNECTIONS):
    """As many requests as go through. `bad` are those with another status than is expected; latencies in microseconds."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "5s"]
    command += ["-s", os.path.join(HERE, "wrk/report.lua")]
    for line in request.lines():
        command += ["-H", line]
    command.append(f"http://127.0.0.1:{port}{request.path}")
    if request.tokens:
        command += ["--", request.tokens, str(random.randrange(100_000))]
    output = run(command, timeout=seconds + 60)
    result = json.loads(re.search(r"RESULT (.*)", output).group(1))
    refused = result.pop("refused")
    result["bad"] = refused if request.status < 400 else result["requests"] - refused
    return result


def h2load(port, request, seconds):
    """The same over HTTP/2 without TLS: 8 connections with 16 streams each."""
    command = ["h2load", "-c8", "-m16", "-t1", "-D", str(max(1, round(seconds))), "--warm-up-time=0"]
    for line in request.lines():
        if not line.startswith("Host:"):  # it sends :authority
            command += ["-H", line]
    output = run(command + [f"http://127.0.0.1:{port}{request.path}"], timeout=seconds + 60)
    counts = re.search(r"requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed", output)
    good = re.search(r"status codes: (\d+) 2xx", output)
    latency = re.search(r"time for request:\s+\S+\s+\S+\s+(\S+)", output)
    # Statuses count when their head has come, requests when they are done: the last ones have only the former.
    requests = int(counts.group(1))
    return {"requests": requests, "seconds": seconds, "bad": max(0, requests - int(good.group(1))),
            "errors": int(counts.group(2)), "mean": microseconds(latency.group(1))}


def microseconds(text):
    """h2load's `5.31ms`."""
    number, unit = re.match(r"([\d.]+)(\w+)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def open_loop(binary, port, request, rate, seconds, connections=CONNECTIONS):
    """Requests at a fixed rate, each timed from when it was due."""
    command = [binary, str(port), str(rate), str(seconds), str(connections)]
    return json.loads(run(command, input=request.text(), timeout=seconds + 60))
