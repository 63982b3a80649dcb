"""How the cost of a request grows with everything else (scenario `growth`): S1 with little and with much of one thing at a time."""
from functools import partial

from .fleet import Subject
from .gateway import route, started, upstream
from .load import CONNECTIONS, Request, wrk
from .peers import Haproxy
from .table import interleave, show

MANY = 10_000
MORE = 100_000
#: How much dearer a request may be with much of it.
LIMIT = 1.03
ROLES = 'roles = ["user", "admin"]'


def addresses(count, port):
    """The backend, under as many loopback addresses."""
    return [f"http://127.1.{index // 250}.{index % 250 + 1}:{port}" for index in range(count)]


def ten_routes():
    return [route("/api/*", ROLES)] + [route(f"/team{index}/service{index}/*", ROLES) for index in range(9)]


def many_routes():
    return [route("/api/*", ROLES)] + [route(f"/team{index % 100}/service{index}/v1/*", ROLES) for index in range(MANY - 1)]


def many_hosts():
    other = 'host = "service{}.example.com"\n' + ROLES
    return [route("/api/*", ROLES)] + [route("/*", other.format(index)) for index in range(MANY - 1)]


def many_upstreams(port):
    names = [f"u{index}" for index in range(MANY - 1)]
    servers = addresses(MANY, port)
    tables = upstream(servers[:1]) + "".join(upstream([server], name) for server, name in zip(servers[1:], names))
    routes = [route("/api/*", ROLES)] + [route(f"/service{index}/*", ROLES, name) for index, name in enumerate(names)]
    return {"upstreams": tables, "routes": routes}


#: Name of a variant → what there is much of in it.
TITLES = {
    "routes": "10,000 routes", "hosts": "10,000 hosts, a route each", "users": "100,000 users",
    "revocations": "100,000 revocations (and users)", "upstreams": "10,000 upstreams, a route each",
    "hundred": "100 servers in turn", "servers": "10,000 servers in turn", "workers": "2 workers", "headers": "100 header fields",
}


#: Header fields may cost, and HAProxy what it likes.
LIMITED = {title for name, title in TITLES.items() if name != "headers"}
#: Where HAProxy has much of the same.
PEER = {
    "servers": lambda port: {"servers": [address.removeprefix("http://") for address in addresses(MANY, port)]},
    "workers": lambda port: {"threads": 2},
}


def settings(workspace, name):
    """What makes the gateway of a variant."""
    port = workspace.backend_port
    return {
        "routes": lambda: {"routes": many_routes()},
        "hosts": lambda: {"routes": many_hosts()},
        "users": lambda: {"store": workspace.store(MORE, 0)},
        "revocations": lambda: {"store": workspace.store(MORE, MORE)},
        "upstreams": lambda: many_upstreams(port),
        "hundred": lambda: {"upstreams": upstream(addresses(100, port))},
        "servers": lambda: {"upstreams": upstream(addresses(MANY, port))},
        "workers": lambda: {"workers": 2},
    }[name]()


def growth(fleet, results, options):
    """S1 with ten thousand routes, upstreams, servers; 100,000 users, revocations; 100 header fields; two workers."""
    def start(name, **own):
        return started(fleet.workspace, name, counted=options.instructions, **{"routes": ten_routes(), **own})

    base = start("base")
    base_subject = Subject("base", base, headers(base.token, 10))
    for name, title in TITLES.items():
        if options.only and name != options.only:
            continue
        # Each has a table of its own, so that a ratio always comes from runs that lie next to each other.
        if name == "headers":
            compare(results, base_subject, Subject(title, base, headers(base.token, 100)), options)
            continue
        variant = start(name, **settings(fleet.workspace, name))
        # Each of two workers has as many connections as one has elsewhere, and the one here has all of them: connections cost too.
        load = partial(wrk, connections=2 * CONNECTIONS) if name == "workers" else wrk
        compare(results, base_subject, Subject(title, variant, headers(variant.token, 10)), options, load)
        variant.stop()
        if name in PEER and not options.instructions:
            peer_growth(fleet, results, options, name, load)
    base.stop()


def peer_growth(fleet, results, options, name, load):
    """The same for HAProxy, where it is the machine that sets a price: what falls out of its caches, and two threads on one core."""
    def start(**own):
        haproxy = Haproxy(fleet.workspace, fleet.peer_tokens("HS256"), fleet.peer_tokens("ES256"), **own).start()
        return haproxy, Subject("haproxy" if not own else f"haproxy, {TITLES[name]}", haproxy, headers(None, 10))

    base, base_subject = start()
    variant, subject = start(**PEER[name](fleet.workspace.backend_port))
    compare(results, base_subject, subject, options, load)
    variant.stop()
    base.stop()


def headers(token, count):
    """A request with as many fields in all, Host and Authorization included."""
    request = Request(token=token)
    request.headers = [f"X-Field-{index}: value-{index}" for index in range(count - len(request.lines()))]
    return request


def compare(results, base, other, options, load=wrk):
    table = f"growth: {other.name}"
    if options.instructions:
        runs = interleave(results, table, [base, other], lambda subject: subject.count(), 1)
        return show(table, runs, "cpu", "instr.", base.name, [("requests", "requests", "{:.0f}")], {})
    for subject in (base, other):
        subject.measure(2, load)
    runs = interleave(results, table, [base, other], lambda subject: subject.measure(options.secs, load), options.reps)
    more = [("kernel us", "kernel", "{:.2f}"), ("switches", "switches", "{:.3f}"), ("req/s", "rate", "{:.0f}"),
            ("PSS MiB", "memory", "{:.1f}"), ("p99 us", "p99", "{:.0f}")]
    limit = {other.name: LIMIT} if other.name in LIMITED else {}
    show(table, runs, "cpu", "CPU us", base.name, more, limit)
