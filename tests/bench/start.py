"""Size, memory, and what a start costs: of the program, a shim's call, a sandbox. Medians of many runs with their
range; what is measured beside ours (the engine alone, the upstream alone) is measured in turns with it."""

import concurrent.futures
import json
import os
import subprocess
import time

import measure
import world as bench

AT_ONCE = 20

# A stand-in for the engine's program on PATH: notes what it was called with (the descriptors that bwrap reads its
# mounts from, too) and becomes the real one. So "the engine alone" has exactly our options and mounts.
WRAPPER = """#!/usr/bin/python3
import json, os, sys
fds = {}
for number in range(10, 64):
    try:
        size = os.fstat(number).st_size
        if os.readlink("/proc/self/fd/%%d" %% number).startswith("/memfd:"):
            fds[number] = os.pread(number, size, 0).decode("latin-1")
    except OSError:
        pass
json.dump({"argv": sys.argv, "env": dict(os.environ), "fds": fds}, open(%(out)r, "w"))
os.execv(%(real)r, [%(real)r] + sys.argv[1:])
"""


def spawn(words, env, fds=(), cwd=None):
    """Runs a command; (seconds from exec to exit, seconds from exec to its first instruction, where it prints that)."""
    begun = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    done = subprocess.run(words, env=env, cwd=cwd, pass_fds=fds, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    ended = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    if done.returncode != 0:
        raise SystemExit("bench: %s ended with status %d\n%s" % (" ".join(words[:3]), done.returncode, done.stderr))
    first = int(done.stdout) if done.stdout.strip().isdigit() else begun
    return (ended - begun) / 1e6, (first - begun) / 1e6


def in_turns(runs, *makers):
    """Runs each in turn; for each the lists of both figures. The first turn only warms up, and the pauses let an
    engine's daemon finish what it does after a container's end."""
    found = [([], []) for _ in makers]
    for turn in range(runs + 1):
        for maker, (whole, first) in zip(makers, found):
            time.sleep(0.3)
            figures = maker()
            if turn > 0:
                whole.append(figures[0])
                first.append(figures[1])
    return found


def say(what, values, unit, goal="", digits=1):
    measure.table([["  " + what.ljust(58), measure.spread(values, unit, digits) + (", goal " + goal if goal else "")]])


def sizes():
    size = os.stat(bench.BIN + "/aileron").st_size
    say("the program, stripped", [size / 2**20], "MiB", "4", 2)


def resting(world, runs):
    """Memory of the monitor without a session, and of workers that have just started. Private memory is what one more
    process costs; the program's own pages are shared by all of them."""
    resident, private, worker_private, worker_resident = [], [], [], []
    for _ in range(runs):
        child, _ = world.sandbox()
        found = measure.memory([world.worker()])
        worker_resident.append(found[0] / 1024)
        worker_private.append(found[1] / 1024)
        world.end(child)
    world.wait("the workers' end", lambda: world.worker() == 0)
    found = measure.memory([world.monitor()])
    say("monitor after %d sessions, resident" % runs, [found[0] / 1024], "MiB", "8 when idle")
    say("monitor after %d sessions, private" % runs, [found[1] / 1024], "MiB")
    for _ in range(3):
        world.run("aileron", "daemon", "stop")
        world.run("aileron", "vault", "unlock")
        time.sleep(0.5)
        found = measure.memory([world.monitor()])
        resident.append(found[0] / 1024)
        private.append(found[1] / 1024)
    say("monitor started afresh, vault unlocked, resident", resident, "MiB", "8")
    say("monitor started afresh, vault unlocked, private", private, "MiB")
    say("worker after start, private", worker_private, "MiB", "4")
    say("worker after start, resident", worker_resident, "MiB")


def shim(world, runs):
    """The tool `api` in a sandbox, timed there from exec to exit; the same request on a kept connection, alone."""
    world.connector()
    out = world.workspace + "/shim.json"
    world.run("aileron", "launch", "--sandbox=bwrap", "--", "hyperfine", "-N", "--warmup=2", "--runs=%d" % runs,
              "--export-json=shim.json", "api show --item 7", cwd=world.workspace, stderr=subprocess.DEVNULL)
    with open(out) as file:
        calls = [seconds * 1000 for seconds in json.load(file)["results"][0]["times"]]
    alone = world.run(bench.PROGRAMS + "/load", "get", "=127.0.0.1:443", bench.HOST, world.up + "/ca.pem", "1", "1")
    upstream = json.loads(alone.splitlines()[-1])["p50_us"] / 1000
    say("shim's call on a warm daemon, exec to exit", calls, "ms", digits=2)
    say("the upstream's part (a request on a kept connection)", [upstream], "ms", digits=2)
    say("the call beyond the upstream", [call - upstream for call in calls], "ms", "8", 2)


def capture(world, name, words):
    """Launches once through the wrapper; what the engine was called with."""
    place = world.make("wrap-" + name)
    out = place + "/call.json"
    real = world.run("sh", "-c", "command -v " + name).strip()
    world.write("wrap-%s/%s" % (name, name), WRAPPER % {"out": out, "real": real})
    os.chmod(place + "/" + name, 0o755)
    env = dict(world.env, PATH=place + ":" + world.env["PATH"])
    child = subprocess.Popen(words, env=env, cwd=world.workspace, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    world.children.append(child)
    world.wait("the %s engine" % name, lambda: os.path.exists(out) and os.path.getsize(out) > 0, 60)
    time.sleep(1)
    with open(out) as file:
        return child, json.load(file), real


def memfds(call):
    """The descriptors of a call anew: {number as it was: number now}."""
    again = {}
    for number, text in call["fds"].items():
        fd = os.memfd_create("again")
        os.write(fd, text.encode("latin-1"))
        again[int(number)] = fd
    return again


def bare_bwrap(call, real, program):
    """bwrap with the same namespaces, mounts and environment, and the command in place of our supervisor."""
    def run():
        fds = memfds(call)
        try:
            at = call["argv"].index("--args")
            args_fd = fds[int(call["argv"][at + 1])]
            words = os.pread(args_fd, 2**20, 0).split(b"\0")
            for i, word in enumerate(words[:-1]):
                if word == b"--file":
                    words[i + 1] = b"%d" % fds[int(words[i + 1])]
            os.ftruncate(args_fd, 0)
            os.pwrite(args_fd, b"\0".join(words), 0)
            for fd in fds.values():
                os.lseek(fd, 0, os.SEEK_SET)
            return spawn([real, "--args", str(args_fd), "--", program], call["env"], tuple(fds.values()))
        finally:
            for fd in fds.values():
                os.close(fd)
    return run


def bare_docker(call, real, program):
    """docker run with the same options, and the command in place of our supervisor."""
    words = [real] + call["argv"][1:]
    image = next(i for i, word in enumerate(words) if word.startswith("--entrypoint=")) + 1
    words = [word for word in words[:image] if not word.startswith(("--entrypoint=", "--name="))] + [
        "--entrypoint=" + program, words[image]]
    return lambda: spawn(words, call["env"])


def at_once(name, bare, ours):
    """AT_ONCE starts together: how long until the last one has ended. A start that fails ends the whole run."""
    for what, start in (("the engine alone", bare), ("ours", ours)):
        begun = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for started in [pool.submit(start) for _ in range(AT_ONCE)]:
                started.result()
        say("%s: %d at once, %s, until the last has ended" % (name, AT_ONCE, what),
            [(time.monotonic() - begun) * 1000], "ms")


def engine(world, name, runs, more, bare, goals):
    inside = "/home/agent/workspace/first"
    subprocess.run(["cp", bench.PROGRAMS + "/first", world.workspace + "/first"], check=True)
    hold = ["/home/agent/workspace/first-hold"] if name == "docker" else ["sleep", "600"]
    launch = ["aileron", "launch", "--sandbox=" + name] + more + ["--"]
    child, call, real = capture(world, name, launch + hold)
    ours = lambda: spawn(launch + [inside], world.env, cwd=world.workspace)
    (ours_whole, ours_first), (bare_whole, bare_first) = in_turns(runs, ours, bare(call, real, inside))
    median = measure.median
    say("%s: launch to the command's first instruction" % name, ours_first, "ms", goals[0])
    say("%s alone, same options and mounts: the same" % name, bare_first, "ms")
    say("%s: launch, exec to exit" % name, ours_whole, "ms")
    say("%s alone: the same" % name, bare_whole, "ms")
    say("%s: what ours adds until the first instruction" % name, [median(ours_first) - median(bare_first)], "ms",
        goals[1])
    say("%s: what ours adds, exec to exit" % name, [median(ours_whole) - median(bare_whole)], "ms")
    at_once(name, bare(call, real, inside), ours)
    world.end(child)


def docker(world, runs):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if subprocess.run(["docker", "version"], env=world.env, **quiet).returncode != 0:
        print("  no docker daemon answers: not measured")
        return
    image = world.run(bench.LIB + "/image", "scratch").strip()
    # The image holds one static program; what keeps the captured sandbox open comes from the workspace.
    subprocess.run(["cp", "/bin/busybox", world.workspace + "/busybox"], check=True)
    world.write("ws/first-hold", "#!/home/agent/workspace/busybox sh\nexec /home/agent/workspace/busybox sleep 600\n")
    os.chmod(world.workspace + "/first-hold", 0o755)
    engine(world, "docker", runs, ["--image=" + image], bare_docker, ("", "60"))


def run(world, runs):
    print("\nSize, memory and starts: medians\n")
    sizes()
    resting(world, runs)
    shim(world, runs)
    engine(world, "bwrap", runs, [], bare_bwrap, ("", "40"))
    docker(world, runs)
