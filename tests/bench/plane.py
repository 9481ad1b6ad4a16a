"""The data plane beside its peers: the same load through each, one after another, in rounds. A proxy has core 0 for
itself; client and upstream share the other. What counts is the proxy's CPU time: where the client's core is full,
the rate is the harness's own."""

import json
import os
import subprocess
import time

import measure
import world as bench

PORT = 13128
IDLE = 2000

# How a mode's figure is read: its unit, what it is made of, and what it should be beside a peer's in the same run.
MODES = {
    "ka32": ("CPU ms a request", "cpu", "0.6 squid, 1 sslsplit, 1 go"),
    "ka1same": ("CPU ms a request", "cpu", "0.6 squid, 1 sslsplit, 1 go"),
    "hs12": ("CPU ms a connection", "cpu", "1.5 go"),
    "hs": ("CPU ms a connection", "cpu", "2 go"),
    "hs12-resume": ("CPU ms a connection", "cpu", "1 go"),
    "hs-resume": ("CPU ms a connection", "cpu", ""),
    "down": ("CPU s a GiB", "bulk", "1 squid"),
    "up": ("CPU s a GiB", "bulk", "1 squid"),
    "idle": ("KiB a tunnel", "idle", "42 KiB, untouched 8"),
    "mint": ("CPU ms a name", "cpu", "0.5 squid"),
}


class Peer:
    """An interceptor that is not ours; or, without a name, the upstream itself."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.parts, self.prefix, self.child = {}, [], None
        self.host, self.ca = bench.HOST, world.ca + "/ca.pem"

    def start(self):
        global PORT
        PORT += 1
        self.proxy = "%s127.0.0.1:%d" % ("=" if self.name == "sslsplit" else "", PORT)
        scratch = os.path.join(self.world.dir, "%s-%d" % (self.name, PORT))
        with open(scratch + ".log", "w") as log:
            self.child = self.world.start(self.world.proxy_core, bench.HERE + "/peer", self.name, str(PORT), scratch,
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        url = "https://%s/1k" % self.host
        how = (["--connect-to", "::127.0.0.1:%d" % PORT] if self.name == "sslsplit"
               else ["--proxy", "http://127.0.0.1:%d" % PORT])
        self.world.wait(self.name, lambda: self.world.answers(url, *how, "--cacert", self.ca))
        self.parts = {self.name: measure.tree(self.child.pid)}

    def stop(self):
        self.world.end(self.child)

    def injects(self):
        """Whether the upstream gets the credential that the client does not have."""
        address = self.proxy.lstrip("=")
        how = ["--connect-to", "::" + address] if self.proxy.startswith("=") else ["--proxy", "http://" + address]
        done = subprocess.run(self.prefix + ["curl", "-s", "-m", "5", "--cacert", self.ca] + how
                              + ["https://%s/auth" % self.host], env=self.world.env, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip() == "yes"


class Direct(Peer):
    def __init__(self, world):
        super().__init__(world, "direct")
        self.proxy, self.ca = "=127.0.0.1:443", world.up + "/ca.pem"

    def start(self):
        pass

    def stop(self):
        pass


class Ours(Peer):
    """The supervisor's relay in a sandbox, the session's worker, the monitor: the client runs where the agent would."""

    def __init__(self, world, name, host):
        super().__init__(world, name)
        self.host, self.proxy = host, "127.0.0.1:3128"

    def start(self):
        self.child, relay = self.world.sandbox()
        worker = self.world.worker()
        self.parts = {"worker": [worker], "relay": [relay], "monitor": [self.world.monitor()]}
        self.prefix = ["nsenter", "-t", str(relay), "-n", "--"]
        with open("/proc/%d/root/run/aileron/ca-bundle.pem" % relay) as file:
            self.world.write("session-ca.pem", file.read())
        self.ca = self.world.dir + "/session-ca.pem"
        if self.host == bench.UNTOUCHED:
            self.ca = self.world.up + "/ca.pem"

    def stop(self):
        """And the worker's end: the monitor's time would have all of the worker's once it is reaped."""
        super().stop()
        worker = "/proc/%d" % self.parts["worker"][0]
        self.world.wait("the worker's end", lambda: not os.path.exists(worker))


def pids(peer):
    return [pid for part in peer.parts.values() for pid in part]


def load(world, peer, words, then=None):
    """Runs a client; the CPU that each part of the proxy used between "begin" and the client's last line."""
    pipe = subprocess.PIPE
    child = subprocess.Popen(["taskset", "-c", str(world.load_core)] + peer.prefix + words, stdin=pipe, stdout=pipe,
                             stderr=pipe, text=True, env=dict(world.env, GOMAXPROCS="1"))
    if child.stdout.readline() != "begin\n":
        return {"error": child.communicate()[1].strip() or "the client did not begin"}
    before = {name: measure.cpu(part) for name, part in peer.parts.items()}
    extra = then() if then else {}
    if then:
        child.stdin.close()
    line = child.stdout.readline()
    after = {name: measure.cpu(part) for name, part in peer.parts.items()}
    child.stdout.read()
    error = child.stderr.read().strip()
    if child.wait() != 0:
        return {"error": error}
    result = dict(json.loads(line), **extra)
    result["parts"] = {name: after[name] - before[name] for name in after}
    result["cpu"] = sum(result["parts"].values())
    return result


def run_mode(world, peer, mode, seconds):
    programs = bench.PROGRAMS
    steady = [programs + "/load", mode, peer.proxy, peer.host, peer.ca]
    fresh = [programs + "/handshakes", "-proxy", peer.proxy, "-host", peer.host, "-ca", peer.ca, "-seconds",
             str(seconds)]
    if mode == "ka1same":
        measure.pin(pids(peer), world.load_core)
        result = load(world, peer, steady[:1] + ["get"] + steady[2:] + ["1", str(seconds)])
        measure.pin(pids(peer), world.proxy_core)
        return result
    if mode.startswith("ka"):
        return load(world, peer, steady[:1] + ["get"] + steady[2:] + [mode[2:], str(seconds)])
    if mode in ("down", "up"):
        return load(world, peer, steady + ["75" if mode == "up" else "3", "0"])
    if mode == "mint":
        return load(world, peer, fresh + ["-names", str(bench.NAMES)])
    if mode == "idle":
        return run_idle(world, peer, steady)
    return load(world, peer, fresh + (["-tls12"] if "12" in mode else []) + (["-resume"] if "resume" in mode else []))


def run_idle(world, peer, steady):
    count = IDLE // 4 if peer.name == "mitmproxy" else IDLE
    time.sleep(1)
    before = {name: measure.memory(part)[0] for name, part in peer.parts.items()}

    def settled():
        time.sleep(8)  # connections rest after a second, and the heap is tidied some seconds later
        used = measure.cpu(pids(peer))
        time.sleep(2)
        used = measure.cpu(pids(peer)) - used
        return {"kib": {name: (measure.memory(part)[0] - before[name]) / count for name, part in peer.parts.items()},
                "before": before, "idle_cpu": used / 2 * 1000}
    return load(world, peer, steady + [str(count), "0"], settled)


def figure(mode, result):
    """The one number of a run, and the same for each part of the proxy."""
    if "error" in result:
        return None, {}
    _, kind, _ = MODES[mode]
    if kind == "idle":
        return sum(result["kib"].values()), result["kib"]
    scale = 1000 / max(1, result["done"]) if kind == "cpu" else 1024 / result["mib"]
    return result["cpu"] * scale, {name: used * scale for name, used in result["parts"].items()}


def contenders(world, names):
    for name in names:
        if name == "direct":
            yield Direct(world)
        elif name == "ours":
            yield Ours(world, name, bench.HOST)
        elif name == "ours-seen":
            yield Ours(world, name, bench.SEEN)
        elif name == "ours-untouched":
            yield Ours(world, name, bench.UNTOUCHED)
        else:
            yield Peer(world, name)


def applies(peer, mode):
    """sslsplit copies the upstream's certificate, so that it mints one leaf for all names, and it does not resume."""
    if mode == "idle":
        return peer.name not in ("direct", "ours-seen")
    if peer.name == "ours-untouched":  # no TLS of its own: what is left is what carrying bytes takes
        return mode.startswith("ka")
    if mode == "mint" and peer.name in ("direct", "ours-seen", "sslsplit"):
        return False
    return not (peer.name == "sslsplit" and mode.endswith("resume"))


def run(world, names, modes, rounds, seconds):
    results, injecting = {mode: {} for mode in modes}, set()
    for turn in range(rounds):
        for peer in contenders(world, names):
            steady = [mode for mode in modes if mode not in ("idle", "mint") and applies(peer, mode)]
            for group in [steady] + [[mode] for mode in modes if mode in ("idle", "mint") and applies(peer, mode)]:
                if not group:
                    continue
                peer.start()  # memory, and names seen before, are those of a fresh process
                if group == steady and peer.injects():
                    injecting.add(peer.name)
                for mode in group:
                    result = run_mode(world, peer, mode, seconds)
                    results[mode].setdefault(peer.name, []).append(result)
                    if "error" in result:
                        print("# round %d, %s, %s: %s" % (turn + 1, peer.name, mode, result["error"]), flush=True)
                peer.stop()
    print("\nThe credential arrives at the upstream through: " + (", ".join(sorted(injecting)) or "none that was asked"))
    return results


def show(results, names):
    others = [name for name in names if name not in ("direct",) and not name.startswith("ours")]
    rows = [["mode", "unit"] + [name for name in names if name != "direct"] + ["ours / " + name for name in others]
            + ["to reach"]]
    for mode, found in results.items():
        values = {name: measure.median([figure(mode, run)[0] for run in runs]) for name, runs in found.items()}
        row = [mode, MODES[mode][0]]
        row += ["%.3f" % values[name] if values.get(name) is not None else "-" for name in names if name != "direct"]
        row += ["%.2f" % (values["ours"] / values[name]) if values.get("ours") is not None and values.get(name)
                else "-" for name in others] + [MODES[mode][2]]
        rows.append(row)
    print("\nMedians; a ratio below 1 means that ours takes less\n")
    measure.table(rows)
    show_parts(results)
    show_rates(results)


def show_parts(results):
    rows = [["of ours", "worker", "relay", "monitor"]]
    for mode, found in results.items():
        for name in sorted(found):
            parts = [figure(mode, run)[1] for run in found[name] if "error" not in run]
            if name.startswith("ours") and parts:
                rows.append(["%s, %s" % (mode, name)] + ["%.3f" % measure.median([part[key] for part in parts])
                                                         for key in ("worker", "relay", "monitor")])
    print("\nThe same by process\n")
    measure.table(rows)


def show_rates(results):
    rows = [["mode, proxy", "a second", "p50 us", "p99 us", "TLS to the client", "resumed"]]
    for mode, found in results.items():
        for name, runs in found.items():
            good = [run for run in runs if "error" not in run and "seconds" in run]
            if good:
                middle = lambda key: measure.median([run.get(key) for run in good])
                rate = measure.median([run["done"] / run["seconds"] for run in good])
                rows.append(["%s, %s" % (mode, name),
                             "%.0f MiB" % middle("mib_s") if "mib_s" in good[0] else "%.0f" % rate,
                             "%.0f" % middle("p50_us") if "p50_us" in good[0] else "-",
                             "%.0f" % middle("p99_us") if "p99_us" in good[0] else "-", good[0]["tls"],
                             "%.0f %%" % measure.median([100 * run["resumed"] / run["done"] for run in good])
                             if "resumed" in good[0] else "-"])
    print("\nRates and latencies (limited by the client's core where it is full)\n")
    measure.table(rows)
    direct = results.get("ka1same", {}).get("direct")
    if direct:
        base = measure.median([run.get("p50_us") for run in direct])
        print("\nLatency added at one connection, all on one core (p50, us, over direct): " + ", ".join(
            "%s %.0f" % (name, measure.median([run.get("p50_us") for run in runs]) - base)
            for name, runs in results["ka1same"].items() if name != "direct"
            and any("p50_us" in run for run in runs)))
