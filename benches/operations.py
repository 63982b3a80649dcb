#!/usr/bin/env python3
"""Measures what operators ask about: time to readiness, memory, long load, a flood of logins, a kill -9.

  benches/operations.py ready           ready with no store, an empty one and 10,000 users in it, and idle memory
  benches/operations.py idle [NUMBER]   memory of idle connections after one request each and after a burst, and wake-ups
  benches/operations.py soak [SECONDS]  1,000 connections, 64 requests in flight: errors and memory over time
  benches/operations.py flood [SECONDS] p99 of forwarded requests before, during and after 200 concurrent wrong passwords
  benches/operations.py guesses [NUMBER]  what a wrong password costs by whose it is: that many for an unknown user, and for others
  benches/operations.py fsync           the system calls between a write and its acknowledgement (needs strace)

Starts everything itself, in a temporary directory and on 127.0.0.1 only: target/release/portcullis (or $PORTCULLIS) and a
small backend. Needs Python 3.9 or newer and nothing else. See benches/README.md for how to read the figures.
"""
import asyncio, json, os, random, re, resource, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BINARY = os.environ.get("PORTCULLIS", os.path.join(ROOT, "target/release/portcullis"))
PASSWORD = "correct horse battery"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024


# ---- the gateway and what stands behind it ---------------------------------------------------------------------------

def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Gateway:
    """A gateway over a data directory of its own."""

    def __init__(self, backend_port=9, login='memory = "19MiB"', server=""):
        self.directory = tempfile.mkdtemp(prefix="portcullis-")
        self.port = free_port()
        self.config = os.path.join(self.directory, "config.toml")
        with open(self.config, "w") as file:
            file.write(f"""
[server]
listen = ["127.0.0.1:{self.port}"]
{server}
[store]
path = "{self.directory}/data"
[login]
{login}
[log]
access = "{self.directory}/access.log"
[upstream.backend]
servers = ["http://127.0.0.1:{backend_port}"]
[[route]]
path = "/api/*"
roles = ["user"]
upstream = "backend"
""")
        self.process = None

    def start(self, prefix=()):
        """Starts it and returns the seconds until /readyz said yes."""
        begin = time.perf_counter()
        command = [*prefix, BINARY, "serve", "--config", self.config]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while True:
            if self.process.poll() is not None:
                raise SystemExit("the gateway has ended: " + " ".join(command))
            try:
                with socket.create_connection(("127.0.0.1", self.port)) as connection:
                    connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: bench\r\n\r\n")
                    if b" 200 " in connection.recv(64):
                        return time.perf_counter() - begin
            except OSError:
                pass
            time.sleep(0.0005)

    def stop(self):
        # Under strace the gateway is its child, and only that obeys.
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        for pid in children or [self.process.pid]:
            os.kill(int(pid), signal.SIGTERM)
        self.process.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self.directory)

    def memory(self, key="Pss"):
        """KiB of the process."""
        with open(f"/proc/{self.process.pid}/{'smaps_rollup' if key == 'Pss' else 'status'}") as file:
            return int(re.search(rf"^{key}:\s+(\d+)", file.read(), re.M).group(1))

    def switches(self):
        """How often its threads have given up a core by themselves: each wake-up ends with that."""
        total = 0
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{thread}/status") as file:
                total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M).group(1))
        return total

    def cpu(self):
        """Seconds of processor time of all its threads so far, to the nanosecond."""
        total = 0
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def add_users(self, count, prefix="user"):
        """Over one connection to the admin socket."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"{self.directory}/data/admin.sock")
            stream = connection.makefile("rb")
            for number in range(count):
                body = json.dumps({"username": f"{prefix}{number}", "roles": ["user"], "password": PASSWORD}).encode()
                head = f"POST /admin/v1/users HTTP/1.1\r\nHost: admin\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)
                status, length = stream.readline(), 0
                for line in iter(stream.readline, b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                answer = stream.read(length)
                assert b" 200 " in status, answer

    def token(self):
        form = f"grant_type=password&username=user0&password={PASSWORD.replace(' ', '+')}"
        answer = asyncio.run(one_exchange(self.port, login(form)))
        return json.loads(answer[1])["access_token"]


def login(form):
    head = f"POST /token HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}"
    return f"{head}\r\n\r\n{form}".encode()


def forwarded(token):
    return f"GET /api/items/42 HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


async def exchange(reader, writer, request):
    """Sends a request over an open connection; the status and the body of its response."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return int(head[9:12]), await reader.readexactly(int(length.group(1)))


async def one_exchange(port, request):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = await exchange(reader, writer, request)
    writer.close()
    return answer


def backend():
    """A process that answers every request on a port with 1 KiB."""
    port = free_port()

    async def serve(reader, writer):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=4096)
        await server.serve_forever()

    pid = os.fork()
    if pid == 0:
        asyncio.run(run())
    time.sleep(0.3)
    return pid, port


# ---- the measurements ------------------------------------------------------------------------------------------------

def ready():
    first = []
    for _ in range(9):
        gateway = Gateway()
        first.append(gateway.start() * 1000)
        gateway.close()
    gateway = Gateway(login='memory = "64KiB"\npasses = 1')
    gateway.start()
    gateway.stop()
    empty, _ = starts(gateway)
    gateway.start()
    gateway.add_users(10_000)
    gateway.stop()
    full, idle = starts(gateway)
    shutil.rmtree(gateway.directory)
    for name, times in (("the very first start", first), ("ready with an empty store", empty), ("ready with 10,000 users", full)):
        times.sort()
        print(f"{name}: median {times[4]:.1f} ms, worst {times[-1]:.1f} ms of 9")
    print(f"idle memory: {idle[0] / 1024:.1f} MiB proportional, {idle[1] / 1024:.1f} MiB resident")


def starts(gateway):
    """Milliseconds of nine starts, and the idle memory after the last."""
    times = []
    for _ in range(9):
        times.append(gateway.start() * 1000)
        time.sleep(1)
        memory = gateway.memory(), gateway.memory("VmRSS")
        gateway.stop()
    return times, memory


def idle(number):
    raise_descriptor_limit(number)
    pid, port = backend()
    gateway = Gateway(port, server=f"max_connections = {number + 10}")
    gateway.start()
    gateway.add_users(1)
    request = forwarded(gateway.token())
    asyncio.run(one_exchange(gateway.port, request))
    time.sleep(12)
    quiet, before = gateway.memory(), gateway.switches()
    time.sleep(10)
    switches = gateway.switches() - before
    print(f"idle: {quiet / 1024:.1f} MiB, {switches / 10:.1f} wake-ups a second")

    async def talk(reader, writer):
        status, _ = await exchange(reader, writer, request)
        assert status == 200, status

    async def burst(connections, limit):
        in_flight = asyncio.Semaphore(limit)

        async def one(connection):
            async with in_flight:
                await talk(*connection)

        await asyncio.gather(*[one(connection) for connection in connections])

    async def run():
        connections = []
        for _ in range(number):
            connections.append(await asyncio.open_connection("127.0.0.1", gateway.port))
            await talk(*connections[-1])
        told("one after the other, the last 2 s ago", await after(2))
        await burst(connections, 64)
        told("one request each, 64 in flight", await after(3))
        before = gateway.switches()
        await asyncio.sleep(10)
        print(f"wake-ups a second with {number} of them idle: {(gateway.switches() - before) / 10:.1f}")
        await burst(connections, number)
        told("all in flight at once", gateway.memory())
        told("the same 10 s later", await after(10))
        for _, writer in connections:
            writer.close()
        told("2 s after all have gone", await after(2))

    async def after(seconds):
        await asyncio.sleep(seconds)
        return gateway.memory()

    def told(when, memory):
        print(f"{when}: {memory / 1024:.1f} MiB, {(memory - quiet) / number:.2f} KiB for each of {number} connections")

    asyncio.run(run())
    gateway.close()
    os.kill(pid, 9)


def raise_descriptor_limit(number):
    """For ourselves and the processes that we start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * number + 1000
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise SystemExit(f"needs a limit of {wanted} open files (ulimit -n)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def soak(seconds):
    pid, port = backend()
    gateway = Gateway(port)
    gateway.start()
    gateway.add_users(1)
    request, end, count, errors = forwarded(gateway.token()), time.time() + seconds, 0, 0

    async def client(in_flight, reader, writer):
        nonlocal count, errors
        while time.time() < end:
            async with in_flight:
                try:
                    status, _ = await exchange(reader, writer, request)
                    count, errors = count + 1, errors + (status != 200)
                except (OSError, asyncio.IncompleteReadError):
                    errors += 1
                    return

    async def watch():
        while time.time() < end:
            print(f"{seconds - (end - time.time()):3.0f} s: {count} requests, {errors} errors, {gateway.memory()} KiB")
            await asyncio.sleep(10)

    async def run():
        in_flight = asyncio.Semaphore(64)
        connections = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(1000)]
        await asyncio.gather(watch(), *[client(in_flight, *connection) for connection in connections])

    asyncio.run(run())
    print(f"total: {count} requests, {errors} errors, {gateway.memory()} KiB")
    gateway.close()
    os.kill(pid, 9)


def flood(seconds):
    pid, port = backend()
    gateway = Gateway(port)
    gateway.start()
    gateway.add_users(1)
    request = forwarded(gateway.token())
    wrong = login("grant_type=password&username=user0&password=not+this+one")
    answers = {}

    async def measured(duration):
        """16 connections, 1,000 requests a second on a fixed schedule; microseconds from when each was due."""
        took = []

        async def client(number):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            start = time.perf_counter() + number / 1000
            for step in range(int(duration * 1000 / 16)):
                due = start + step * 0.016
                await asyncio.sleep(max(0, due - time.perf_counter()))
                await exchange(reader, writer, request)
                took.append((time.perf_counter() - due) * 1e6)
            writer.close()

        await asyncio.gather(*[client(number) for number in range(16)])
        took.sort()
        return took[len(took) // 2], took[int(len(took) * 0.99)]

    async def attacker(end):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        while time.time() < end:
            status, _ = await exchange(reader, writer, wrong)
            answers[status] = answers.get(status, 0) + 1
            if status == 503:
                await asyncio.sleep(1)  # as Retry-After asks
        writer.close()

    async def attack():
        end = time.time() + seconds
        await asyncio.gather(*[attacker(end) for _ in range(200)])

    def attack_from_another_process():
        child = os.fork()
        if child == 0:
            asyncio.run(attack())
            print("   answers to the attackers:", answers)
            sys.stdout.flush()
            os._exit(0)
        return child

    for name in ("quiet", "flood", "quiet", "flood", "quiet"):
        child = attack_from_another_process() if name == "flood" else None
        time.sleep(1)
        p50, p99 = asyncio.run(measured(seconds - 2))
        if child:
            os.waitpid(child, 0)
        print(f"{name}: p50 {p50:.0f} us, p99 {p99:.0f} us, peak memory {gateway.memory('VmHWM') / 1024:.1f} MiB")
    gateway.close()
    os.kill(pid, 9)


#: Hashes as they come from elsewhere. Nobody tries the right password, so any digest will do.
IMPORTED = {
    "bcrypt 2^8": "$2b$08$Sa7Jl2/gCH8kHa7LJ1naiu3nheCluBpgJ3BbFnWqDpAJvm9OH9WrO",
    "scrypt 2^13": "$scrypt$ln=13,r=8,p=1$z7lXCqHUmpNSitGa07r3vg$MtZQBmkrnsU4KX39081ffNLbWSchJSHCGteJFQ2QBeY",
    "argon2id 4 MiB": "$argon2id$v=19$m=4096,t=2,p=1$SKm1trbWeq+VUuodw1irNQ$ExURLiJxgOM5BrLnQ1p0NEcwqaAHtaop2pjNOas9z3Q",
}


def guesses(number):
    """First with our own hashes alone, then with imported ones beside them, which are slower or faster than ours."""
    for imported in ({}, IMPORTED):
        # Each guess from another address, or the throttle would answer.
        gateway = Gateway(server='trusted_proxies = ["127.0.0.1"]')
        with open(os.path.join(gateway.directory, "users"), "w") as file:
            for name, text in imported.items():
                file.write(json.dumps({"username": username(name), "password_hash": text}) + "\n")
        gateway.start()
        gateway.add_users(1)
        subprocess.run([BINARY, "user", "import", file.name, "--config", gateway.config], check=True, stdout=subprocess.DEVNULL)
        users = {"unknown": "nobody", "known": "user0", **{name: username(name) for name in imported}}
        times = {name: [] for name in users}
        asyncio.run(guess(gateway, users, times, number))
        gateway.close()
        unknown = [statistics.median(column) for column in zip(*times["unknown"])]
        print(f"{number} wrong passwords each, {'with imported hashes in the store' if imported else 'our own hashes alone'}")
        print(f"  {'user':<16} {'time':>9} {'':>8}  {'CPU':>9}")
        for name, pairs in times.items():
            (took, used) = (statistics.median(column) for column in zip(*pairs))
            print(f"  {name:<16} {took * 1e3:6.2f} ms {took / unknown[0] - 1:+8.2%}  {used * 1e3:6.2f} ms {used / unknown[1] - 1:+8.2%}")


async def guess(gateway, users, times, number):
    """One after the other, the users of each round in another order, so that whatever else the machine does meets all of them alike."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    guessed = 0
    for round in range(number + 5):
        for name in random.sample(list(users), len(users)):
            guessed += 1
            address = f"10.{guessed >> 16 & 255}.{guessed >> 8 & 255}.{guessed & 255}"
            request = login(f"grant_type=password&username={users[name]}&password=a+wrong+one")
            request = request.replace(b"\r\n", f"\r\nX-Forwarded-For: {address}\r\n".encode(), 1)
            used, begin = gateway.cpu(), time.perf_counter()
            status, body = await exchange(reader, writer, request)
            took, used = time.perf_counter() - begin, gateway.cpu() - used
            assert (status, json.loads(body)["error"]) == (400, "invalid_grant"), (status, body)
            # The first few find cold caches.
            times[name] += [(took, used)] if round >= 5 else []


def username(name):
    return re.sub("[^a-z0-9]", "", name)


def fsync():
    gateway = Gateway(login='memory = "64KiB"\npasses = 1')
    trace = os.path.join(gateway.directory, "trace")
    calls = "trace=fsync,fdatasync,sync_file_range,pwrite64,openat,sendto,writev,write"
    gateway.start(prefix=("strace", "-f", "-y", "-o", trace, "-e", calls))
    gateway.add_users(3)
    gateway.stop()
    wanted = re.compile(r"fsync|fdatasync|sync_file_range|pwrite64|HTTP/1.1 200 OK")
    with open(trace, errors="replace") as file:
        lines = [line.rstrip()[:150] for line in file if wanted.search(line)]
    print("\n".join(lines[-24:]))
    shutil.rmtree(gateway.directory)


if __name__ == "__main__":
    words = sys.argv[1:]
    number = float(words[1]) if len(words) > 1 else 0
    if not words or words[0] not in ("ready", "idle", "soak", "flood", "guesses", "fsync"):
        raise SystemExit(__doc__)
    {
        "ready": ready,
        "idle": lambda: idle(int(number) or 9000),
        "soak": lambda: soak(number or 60),
        "flood": lambda: flood(number or 20),
        "guesses": lambda: guesses(int(number) or 500),
        "fsync": fsync,
    }[words[0]]()
