"""The benchmark's world: a network namespace of its own with the upstream, a home with a vault, sandboxes in it.
All traffic stays on that namespace's loopback. What is started here is ended by World.stop."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time

import measure

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAMS = os.path.join(ROOT, "build/bench")
BIN = os.path.join(ROOT, "build/bin")
LIB = os.path.join(ROOT, "tests/lib")
HOST, SEEN, UNTOUCHED, NAMES = "up.test", "seen.test", "tunnel.test", 1000

POLICY = """version: 1
network: { default: allow, private: deny, allow_private: ["127.0.0.1/32"] }
rules:
  - { name: looked into, host: %s, paths: ["/**"], action: allow }
""" % SEEN
BINDINGS = """version: 1
bindings:
  - { name: user/api, hosts: [%s, "*.%s"], scheme: bearer }
""" % (HOST, HOST)


def enter():
    """Runs this program again in namespaces of its own: loopback, /etc/hosts and mounts are then the bench's."""
    if os.environ.get("BENCH_INSIDE") == "1":
        return
    if os.geteuid() != 0:
        sys.exit("bench: run this as root: it makes a network namespace, so that no traffic leaves")
    os.environ["BENCH_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "-mn", "--", sys.executable] + sys.argv)


def build():
    os.makedirs(PROGRAMS, exist_ok=True)
    go = dict(os.environ, GO111MODULE="off", GOFLAGS="", GOCACHE=os.path.join(PROGRAMS, "go-cache"))
    for name, words in (("load", ["gcc", "-O2", "-Wall"]), ("first", ["gcc", "-O2", "-Wall", "-static"])):
        subprocess.run(words + ["-o", os.path.join(PROGRAMS, name), os.path.join(HERE, name + ".c")]
                       + (["-lssl", "-lcrypto"] if name == "load" else []), check=True)
    for name in ("handshakes", "interceptor", "soak"):
        subprocess.run(["go", "build", "-o", os.path.join(PROGRAMS, name), os.path.join(HERE, name + ".go")],
                       check=True, env=go)


class World:
    def __init__(self, cores):
        self.proxy_core, self.load_core = cores
        self.dir = tempfile.mkdtemp(prefix="aileron-bench.")
        os.chmod(self.dir, 0o711)  # squid's helper has a user of its own
        self.children = []
        self.secret = secrets.token_hex(18)
        self.up = self.make("up")
        self.upstream = [HERE + "/upstream", self.up]
        self.ca = self.make("ca")
        self.home = self.make("home")
        self.workspace = self.make("ws")
        os.chmod(self.home, 0o700)
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith("AILERON_") and "proxy" not in name.lower()}
        docker = os.environ.get("TEST_DOCKER_HOST", "unix:///var/run/docker.sock")  # tests/lib/with-docker's
        self.env.update(DOCKER_HOST=docker, AILERON_HOME=self.home, AILERON_VAULT_PASSPHRASE="a passphrase for the benchmark",
                        PATH=BIN + ":/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL="C.UTF-8",
                        CA=self.ca, ROOTS=self.up + "/ca.pem", INJECT="Bearer " + self.secret, PROGRAMS=PROGRAMS)

    def make(self, name):
        path = os.path.join(self.dir, name)
        os.mkdir(path)
        return path

    def write(self, path, text):
        with open(os.path.join(self.dir, path), "w") as file:
            file.write(text)

    def run(self, *words, **options):
        """Runs a program of ours or of the system to its end; its output."""
        done = subprocess.run(words, env=self.env, text=True, stdout=subprocess.PIPE, **options)
        if done.returncode != 0:
            sys.exit("bench: %s ended with status %d\n%s" % (" ".join(words[:4]), done.returncode, done.stdout))
        return done.stdout

    def start(self, core, *words, **options):
        """Starts a program on a core; it is ended with the world."""
        child = subprocess.Popen(("taskset", "-c", str(core)) + words, env=self.env, **options)
        self.children.append(child)
        return child

    def end(self, child):
        self.children.remove(child)
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def open(self):
        """The network, the upstream, the home."""
        self.run("ip", "link", "set", "lo", "up")
        # sslsplit takes a host for one without IPv4 unless it has a route; this one leads to loopback.
        self.run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
        self.run("ip", "route", "add", "default", "dev", "lo", "src", "192.0.2.1")
        names = ["localhost", HOST, SEEN, UNTOUCHED] + ["h%d.%s" % (i, HOST) for i in range(1, NAMES + 1)]
        self.write("hosts", "".join("127.0.0.1 %s\n" % name for name in names))
        self.run("mount", "--bind", os.path.join(self.dir, "hosts"), "/etc/hosts")
        self.run(LIB + "/certs", self.up, "%s,DNS:*.%s,DNS:%s,DNS:%s" % (HOST, HOST, SEEN, UNTOUCHED))
        self.run(LIB + "/certs", self.ca, "unused.test")
        self.start(self.load_core, *self.upstream)
        self.write("home/config.yaml", "version: 1\ntls: { ca_file: %s/ca.pem }\n"
                   # A run says more in a minute than a sandbox may: what is measured is not that bound.
                   "limits: { record_bytes: 1099511627776 }\n" % self.up)
        self.write("home/policy.yaml", POLICY)
        self.write("home/bindings.yaml", BINDINGS)
        self.run("taskset", "-c", str(self.proxy_core), "aileron", "vault", "init")
        self.run("aileron", "vault", "put", "user/api", input=self.secret)
        self.wait("the upstream", lambda: self.answers("https://%s/1k" % HOST))

    def answers(self, url, *more):
        words = ["curl", "-sf", "-o", "/dev/null", "-m", "5", "--cacert", self.up + "/ca.pem", *more, url]
        return subprocess.run(words, env=self.env).returncode == 0

    def wait(self, what, good, seconds=20):
        until = time.monotonic() + seconds
        while not good():
            if time.monotonic() > until:
                sys.exit("bench: waited in vain for " + what)
            time.sleep(0.05)

    def stop(self):
        subprocess.run(["aileron", "daemon", "stop"], env=self.env, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        for child in list(self.children):
            self.end(child)
        subprocess.run(["umount", "/etc/hosts"], stderr=subprocess.DEVNULL)
        if os.environ.get("KEEP_WORLD"):
            print("kept", self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    # ---- ours

    def monitor(self):
        with open(self.home + "/run/daemon.pid") as file:
            return int(file.read())

    def worker(self):
        """The newest worker of the monitor."""
        found = [pid for pid in measure.tree(self.monitor()) if measure.command(pid)[1:2] == ["worker"]]
        return max(found, default=0)

    def sandbox(self):
        """A sealed sandbox that stays until World.end: its launcher, and the supervisor's pid."""
        earlier = self.worker()
        child = self.start(self.proxy_core, "aileron", "launch", "--sandbox=bwrap", "--", "sleep", "1000000",
                           cwd=self.workspace, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        inside = lambda: [pid for pid in measure.tree(child.pid) if measure.command(pid)[:1] == ["sleep"]]
        self.wait("a sandbox", lambda: inside() and self.worker() != earlier)
        return child, measure.parents()[inside()[0]]

    def connector(self):
        """The demonstration's tool `api`, for the upstream of this world."""
        with open(LIB + "/demo.connector.json") as file:
            document = json.load(file)
        document["tools"][0]["operations"][0]["hosts"] = [HOST]
        self.make("connector")
        self.write("connector/aileron.connector.v1.json", json.dumps(document))
        self.run("aileron", "connector", "add", self.dir + "/connector")
