"""The servers that are measured: how each is started, told its configuration, and stopped."""

import hashlib
import pathlib
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
DOMAIN = "example.com"
PASSWORD = "secret"


class Place:
    """Addresses on loopback: seven ports from the first on."""

    def __init__(self, first_port):
        names = ("server", "caller", "callee", "tls", "ws", "wss", "yardstick")
        for i, name in enumerate(names):
            setattr(self, name, f"127.0.0.1:{first_port + i}")


def pinned(cores, command):
    return ["taskset", "-c", cores, *map(str, command)]


def allow_files():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def ping(address):
    host, port = address.split(":")
    text = (
        f"OPTIONS sip:{address} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK{time.monotonic_ns()}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=a\r\nTo: <sip:{address}>\r\n"
        f"Call-ID: {time.monotonic_ns()}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.02)
        try:
            s.connect((host, int(port)))
            s.send(text.encode())
            return s.recv(4096).startswith(b"SIP/2.0 200")
        except OSError:
            return False


class Server:
    """Something that forwards SIP: started for one measurement, stopped by its pid.

    command(folder) writes what is needed into the folder and returns the command; is_ready() looks whether it has
    begun; setup(server) does what must be done before it is measured."""

    def __init__(self, name, command, is_ready=None, cores="0", setup=None):
        self.name, self.command, self.is_ready, self.cores, self.setup = name, command, is_ready, cores, setup

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="viaduct-bench-")
        command = self.command(pathlib.Path(self.folder))
        self.log = open(f"{self.folder}/log", "w", encoding="utf-8")
        begin = time.monotonic()
        self.process = subprocess.Popen(
            pinned(self.cores, command), stdout=self.log, stderr=self.log, preexec_fn=allow_files
        )
        try:
            self._wait()
            self.start_seconds = time.monotonic() - begin
            if self.setup:
                self.setup(self)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self):
        deadline = time.monotonic() + 60
        if not self.is_ready:
            time.sleep(0.3)
        while self.is_ready and not self.is_ready() and time.monotonic() < deadline and self.process.poll() is None:
            pass
        if self.process.poll() is not None:
            raise SystemExit(f"{self.name} ended at once:\n{pathlib.Path(self.log.name).read_text()}")

    def __exit__(self, *unused):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self):
        return self.process.pid


VIADUCT = """
workers: {workers}
listeners:
- {{transport: udp, address: "{place.server}", mode: {mode}}}
- {{transport: tcp, address: "{place.server}"}}
{listeners}
domains:
- {{name: {domain}, auth: {{register: {auth}, calls: none}}}}
{domains}
trusted: [127.0.0.0/8]
store: {{kind: {store}, path: {folder}/viaduct.db}}
auth: {{algorithms: [SHA-256], md5_only_agents: []}}
limits: {{transactions: 5000000, memory: 8G, connections: 200000, connections_per_source: 200000}}
log: {{level: warn}}
{overload}
{tls}
"""
SECURE = """
- {{transport: tls, address: "{place.tls}"}}
- {{transport: ws, address: "{place.ws}"}}
- {{transport: wss, address: "{place.wss}"}}
"""
DIGEST = """
- {{transport: udp, address: "{place.yardstick}", auth: {{register: required}}}}
"""


def make_certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
         folder / "key.pem", "-out", folder / "cert.pem", "-days", "30", "-subj", f"/CN={DOMAIN}", "-addext",
         f"subjectAltName=DNS:{DOMAIN}"], check=True, capture_output=True)


def viaduct(place, name="Viaduct", mode="stateful", workers=1, store="memory", auth="none", secure=False, database=None,
            cores="0", setup=None, binary=None, further_domains=(), digest=False,
            admits_all=False):
    """secure: TLS and WebSocket too. digest: who registers at place.yardstick is challenged. admits_all: without
    overload control, where a burst that waits is what is wanted."""

    def command(folder):
        if secure:
            make_certificate(folder)
        if database:
            shutil.copy(database, folder / "viaduct.db")
        tls = f"tls: {{certificates: [{{cert: {folder}/cert.pem, key: {folder}/key.pem}}]}}" if secure else ""
        (folder / "viaduct.yaml").write_text(VIADUCT.format(
            place=place, mode=mode, workers=workers, store=store, auth=auth, folder=folder, domain=DOMAIN, tls=tls,
            overload="overload: {admission: no}" if admits_all else "",
            listeners=(SECURE.format(place=place) if secure else "") + (DIGEST.format(place=place) if digest else ""),
            domains="".join(f"- {{name: {name}, auth: {{register: none, calls: none}}}}\n" for name in further_domains)))
        return [binary or BUILD / "viaduct", "run", "--config", folder / "viaduct.yaml"]

    return Server(name, command, lambda: ping(place.server), cores, setup)


KAMAILIO = """
debug=0
log_stderror=yes
children=1
auto_aliases=no
alias="{domain}"
listen=udp:{server}
disable_tcp=yes
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "pv.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "hash_size", 20)
modparam("registrar", "max_contacts", 1)
modparam("tm", "wt_timer", 5000)
request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (method=="REGISTER") {{ save("location"); exit; }}
    if (method=="OPTIONS" && uri==myself && $rU==$null) {{ sl_send_reply("200", "OK"); exit; }}
    if (loose_route()) {{ {relay}; exit; }}
    if (method=="INVITE") record_route();
    if ($rd == "{domain}" && !lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    {relay};
}}
"""


def kamailio(place, name="Kamailio", relay="t_relay()", allocator="fm", setup=None):
    """One process that receives, and no log, no accounting, no NAT, no authentication: what it does, it does for the call."""

    def command(folder):
        (folder / "kamailio.cfg").write_text(KAMAILIO.format(domain=DOMAIN, server=place.server, relay=relay))
        return ["kamailio", "-DD", "-E", "-f", folder / "kamailio.cfg", "-x", allocator, "-X", allocator, "-m", "4096",
                "-M", "64", "-Y", folder, "-P", folder / "pid"]

    return Server(name, command, lambda: ping(place.server), setup=setup)


def forwarder(place):
    return Server("bare forwarder",
                  lambda _folder: [BUILD / "viaduct-bench", "forward", place.server, place.caller, place.callee])


def tls_yardstick(place):
    def command(folder):
        make_certificate(folder)
        return [BUILD / "viaduct-bench", "tls-server", place.yardstick, folder / "cert.pem", folder / "key.pem"]

    return Server("bare TLS", command)


# ---- databases with many rows, made in seconds ----

def add_password_users(server, count):
    """Straight into the database of a running server, as `viaduct user add` would."""
    def digest(name, text):
        return hashlib.new(name, text.encode()).hexdigest()

    def row(i):
        plain, full = (f"{user}:{DOMAIN}:{PASSWORD}" for user in (f"u{i:07}", f"u{i:07}@{DOMAIN}"))
        algorithms = ("md5", "sha256", "sha512_256")
        return (DOMAIN, f"u{i:07}", DOMAIN, *(digest(a, plain) for a in algorithms), *(digest(a, full) for a in algorithms))

    with sqlite3.connect(f"{server.folder}/viaduct.db") as db:
        db.executemany("INSERT INTO user VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", map(row, range(count)))
    time.sleep(2)  # it looks every second


def clone_bindings(path, count):
    """One binding of u0000000, made by the server itself, becomes those of count users."""
    with sqlite3.connect(path) as db:
        columns = [c[1] for c in db.execute("PRAGMA table_info(binding)")]
        values = [{"id": "n + 1", "aor": f"printf('sip:u%07d@{DOMAIN}', n)",
                   "uri": "replace(uri, 'u0000000', printf('u%07d', n))"}.get(c, c) for c in columns]
        first = db.execute("SELECT aor, uri FROM binding").fetchone()
        assert first[0] == f"sip:u0000000@{DOMAIN}", first
        db.execute(
            f"WITH RECURSIVE seq(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < {count - 1}) "
            f"INSERT INTO binding SELECT {', '.join(values)} FROM seq, (SELECT * FROM binding LIMIT 1)")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
