"""What large bodies cost (scenario `large`): CPU seconds for each GiB, and memory."""
import os
from dataclasses import replace

from .load import Request
from .processes import run
from .requests import own
from .table import interleave, show

MIB = 1 << 20
#: A download is this long because the backend makes it so.
SIZE = 100 * MIB
TIMES = 4
LIMIT = 0.8


def large(fleet, results, options):
    """Bodies of 100 MiB, down, up, and up in chunks: CPU seconds for each GiB, and memory."""
    token = fleet.peer_token("HS256")
    peer = Request(token=token)
    subjects = [fleet.haproxy("haproxy", "hs256", peer), fleet.nginx("nginx without login", "plain", peer),
                fleet.bare("bare hyper", peer)]
    subjects += fleet.portcullises("portcullis", own)
    body = fleet.workspace.path("body")
    with open(body, "wb") as file:
        file.truncate(SIZE)
    for way, path, sent, header in (("down", "/big", None, []), ("up", "/up", body, []),
                                    ("up, chunked", "/up", body, ["-H", "Transfer-Encoding: chunked"])):
        asked = [replace(subject, request=replace(subject.request, path=path)) for subject in subjects]
        runs = interleave(results, f"large {way}", asked, lambda subject: transfer(subject, sent, header), options.reps)
        more = [("GiB/s", "speed", "{:.2f}"), ("PSS MiB", "memory", "{:.1f}")]
        show(f"large: {way}, CPU seconds for each GiB", runs, "cpu", "CPU s", "haproxy", more, {"portcullis": LIMIT})
    os.remove(body)


def transfer(subject, body, header):
    """Some transfers, one after the other, by curl: of the file `body`, or of what comes down."""
    command = ["curl", "-s", "-H", "Expect:", "-H", "Authorization: Bearer " + subject.request.token, *header]
    url = f"http://127.0.0.1:{subject.port}{subject.request.path}"
    for _ in range(TIMES):
        command += (["-T", body, "-X", "POST"] if body else []) + ["-o", "/dev/null", url]
    before, _ = subject.process.cpu_seconds()
    output = run(command + ["-w", "%{http_code} %{time_total}\n"], timeout=120)
    answers = [line.split() for line in output.splitlines()]
    gib = TIMES * SIZE / (1 << 30)
    return {"requests": TIMES, "bad": sum(status != "200" for status, _ in answers), "errors": TIMES - len(answers),
            "cpu": (subject.process.cpu_seconds()[0] - before) / gib, "speed": gib / sum(float(time) for _, time in answers),
            "memory": subject.process.memory_kib() / 1024}
