# Attacks from inside a sandbox on its walls: the network (E01 to E04), the host (C01, E04). The file's name says the
# engine: sandbox_docker.bats and sandbox_podman.bats are links to this one.
# bats file_tags=own-world
load ../lib/world.bash
world_by_engine
bats_require_minimum_version 1.5.0

setup_file() {
    world_share
    [ -z "${WORLD_SKIP:-}" ] || return 0
    export HOST_MARKER="marker-of-the-host-$RANDOM$RANDOM"
    # In a container the agent is whoever owns the workspace; bwrap cannot become another for root.
    [ "$ENGINE" = bwrap ] || chown 1234:1234 "$WORLD/ws"
}

@test "E01: without proxy variables, and by address, there is no route and no waiting" {
    cat > attack.py <<'PY'
import socket, time
for address in ("1.1.1.1", "8.8.8.8", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200"):
    for port in (80, 443, 53, 22, 8443):
        start = time.time()
        try:
            socket.create_connection((address, port), 5)
            print("REACHED", address, port)
        except OSError as error:
            if time.time() - start > 1: print("SLOW", address, port, error)
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    s = socket.socket(socket.AF_INET6, kind)
    try:
        s.connect(("2606:4700:4700::1111", 443)); print("REACHED v6")
    except OSError: pass
print("done")
PY
    run --separate-stderr inside env -u http_proxy -u https_proxy -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY -u all_proxy \
        python3 attack.py
    [ "$status" -eq 0 ]
    [ "$output" = done ]
    run -7 inside curl -sS --max-time 5 --noproxy '*' https://1.1.1.1/ # 7: no connection; 28 would be a wait
}

@test "E02: a raw socket by name is captured, and policy applies" {
    run inside python3 -c '
import socket
s = socket.create_connection(("plain.test", 80))
s.sendall(b"GET / HTTP/1.1\r\nHost: forbidden.test\r\nConnection: close\r\n\r\n")
print(s.makefile("rb").read().decode("latin1"))'
    [ "$status" -eq 0 ]
    grep -q '^HTTP/1.1 421' <<< "$output"
    run inside python3 -c '
import socket
s = socket.create_connection(("forbidden.test", 80))
s.sendall(b"GET / HTTP/1.1\r\nHost: forbidden.test\r\nConnection: close\r\n\r\n")
print(s.makefile("rb").read().decode("latin1"))'
    grep -q '^HTTP/1.1 403' <<< "$output"
    grep -q 'no forbidden host' <<< "$output"
}

@test "E03: no query leaves: any name and type is answered inside, another resolver is out of reach" {
    cat > dns.py <<'PY'
import socket, struct, os
def ask(server, name, kind):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)
    q = struct.pack(">HHHHHH", 7, 256, 1, 0, 0, 0) + b"".join(bytes([len(l)]) + l for l in name.split(b".")) + b"\0" + struct.pack(">HH", kind, 1)
    s.sendto(q, (server, 53)); return s.recv(4096)
for kind in (16, 28, 15, 5, 12, 33, 65, 255, 257, 10):
    a = ask("127.0.0.1", b"aGVsbG8gd29ybGQgdGhpcyBpcyBhIHR1bm5lbA.evil.test", kind)
    assert a[3] & 15 in (0, 4) and struct.unpack(">H", a[6:8])[0] == 0, (kind, a)
for i in range(2000):
    a = ask("127.0.0.1", b"%d.evil.test" % i, 1)
    assert a[-4] == 127 and 64 <= a[-3] < 128, a
for server in ("8.8.8.8", "1.1.1.1"):
    try: ask(server, b"evil.test", 1); print("REACHED")
    except OSError: pass
for junk in (b"", b"\0", b"\xff" * 12, os.urandom(300), b"\0" * 512, b"\xc0\x0c" * 100):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(junk, ("127.0.0.1", 53))
assert ask("127.0.0.1", b"still.there", 1)[-4] == 127
print("done")
PY
    run --separate-stderr inside python3 dns.py
    echo "$stderr"
    [ "$status" -eq 0 ]
    [ "$output" = done ]
}

@test "E04: ICMP, raw and packet sockets, QUIC, and families that know no network namespace" {
    cat > families.py <<'PY'
import socket
for family, kind, protocol in ((2, 3, 1), (10, 3, 58), (17, 3, 768), (17, 2, 768), (40, 1, 0), (38, 5, 0), (31, 3, 1), (29, 3, 1), (21, 5, 0), (44, 3, 0)):
    try: socket.socket(family, kind, protocol); print("OPENED", family, kind)
    except OSError: pass
    # The kernel makes both sockets before it asks whether the family has pairs: the filter is to come first.
    try: socket.socketpair(family, kind, protocol); print("PAIR", family, kind)
    except OSError as e:
        if family not in (2, 10) and e.errno != 97: print("ASKED THE KERNEL", family, kind, e)
try:
    s = socket.socket(2, 2, 1); s.connect(("1.1.1.1", 0)); s.send(b"\x08\0\0\0\0\0\0\0"); print("PING")
except OSError: pass
try:
    s = socket.socket(2, 2); s.sendto(b"x", ("1.1.1.1", 443)); print("QUIC")
except OSError: pass
print("done")
PY
    run --separate-stderr inside python3 families.py
    [ "$status" -eq 0 ]
    [ "$output" = done ]
}

@test "E04: a namespace of one's own leads nowhere" {
    run --separate-stderr inside sh -c 'unshare -rn sh -c "ip link set lo up; curl -sS --max-time 3 https://api.test/" 2>&1; true'
    absent -F '"login"' <<< "$output"
    run --separate-stderr inside sh -c 'unshare -rm mount -t tmpfs x /etc/aileron 2>/dev/null; head -c 27 /etc/aileron/ca.pem'
    [ "$output" = "-----BEGIN CERTIFICATE-----" ]
}

# An engine that gives the sandbox a network namespace which HOLE (shell) has made: in front of the real one on PATH.
engine_with() { # HOLE
    mkdir -p "$WORLD/holes"
    if [ "$ENGINE" = bwrap ]; then
        printf '#!/bin/bash\nexec unshare -n bash -c '\''%s\nexec %s "$1" "$2" --share-net "${@:3}"'\'' _ "$@"\n' \
            "$1" "$(command -v bwrap)" > "$WORLD/holes/bwrap"
    else
        HOLDER=aileron-test-hole-$BATS_ROOT_PID
        container_holder "$HOLDER"
        nsenter -t "$("$ENGINE" inspect -f '{{.State.Pid}}' "$HOLDER")" -n sh -c "$1"
        printf '#!/bin/bash\nexec %s "${@/#--network=none/--network=container:%s}"\n' "$(command -v "$ENGINE")" "$HOLDER" \
            > "$WORLD/holes/$ENGINE"
    fi
    chmod 755 "$WORLD/holes/$ENGINE"
}
teardown() { [ -z "${HOLDER:-}" ] || "$ENGINE" rm -f "$HOLDER" > /dev/null; }

no_start() { # HOLE WORDS
    HOLDER=
    engine_with "$1"
    PATH=$WORLD/holes:$PATH run -125 --separate-stderr inside sh -c 'touch escaped; sleep 1'
    teardown
    [ ! -e escaped ]
    grep -q "^aileron: the sandbox's fence has a hole: $2.*The agent was not started" <<< "$stderr"
    [ -z "$(ls "$AILERON_HOME/run/sessions")" ]
}

@test "E11: a fence with a hole means no start: an interface, with a route or without" {
    no_start 'ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up' 'the network interface v[01] is up'
    no_start 'ip link add v0 type veth peer name v1; ip link set v1 up; ip addr add 10.9.0.2/24 dev v0; ip link set v0 up
        ip route add default via 10.9.0.1' 'the network interface v[01] is up'
}

@test "E11: a fence with a hole means no start: a metadata address that answers" {
    no_start 'ip link set lo up; ip addr add 169.254.169.254/32 dev lo' 'the metadata service (169.254.169.254 port 80) '
    no_start 'ip link set lo up; echo 0 > /proc/sys/net/ipv6/conf/lo/disable_ipv6; ip -6 addr add fd00:ec2::254/128 dev lo' 'the metadata service (fd00:ec2::254 port 80) '
}

@test "E11: a fence with a hole means no start: an outside address, or DNS, that is answered" {
    no_start 'ip link set lo up; ip route add local 1.0.0.0/8 dev lo' 'an outside address (1.1.1.1 port 443) '
    no_start 'ip link set lo up; ip addr add 8.8.8.8/32 dev lo' 'a resolver outside (8.8.8.8 port 53) can be reached'
    no_start 'ip link set lo up; ip route add 10.0.0.0/8 dev lo' 'a private address (10.0.0.1 port 443) '
}

@test "E11: what fails to start changes nothing in a network that is not the sandbox's" {
    [ "$ENGINE" != bwrap ] || skip "the engine is asked for the host's own network"
    ip -o link show up | grep -qv '^[0-9]*: lo:' || skip "this machine has no network interface that a fence could see"
    before=$(ip addr; ip route)
    mkdir -p "$WORLD/holes"
    printf '#!/bin/bash\nexec %s "${@/#--network=none/--network=host}"\n' "$(command -v "$ENGINE")" > "$WORLD/holes/$ENGINE"
    chmod 755 "$WORLD/holes/$ENGINE"
    PATH=$WORLD/holes:$PATH run --separate-stderr inside sh -c 'touch escaped'
    [ "$(ip addr; ip route)" = "$before" ] || { ip addr del 127.64.0.1/10 dev lo; return 1; }
    [ "$status" -eq 125 ]
    [ ! -e escaped ]
    grep -q "^aileron: the sandbox's fence has a hole: the network interface" <<< "$stderr"
}

@test "E11: a whole fence, through the same wrapping, is found whole" {
    engine_with 'ip link set lo up'
    PATH=$WORLD/holes:$PATH run --separate-stderr inside touch started
    teardown
    # Under bwrap the next step fails: the namespace is not the sandbox's own to set up.
    absent 'fence has a hole' <<< "$stderr"
    [ "$ENGINE" = bwrap ] || [ -e started ]
}

@test "C01: the host's environment, home and vault are not there" {
    export SOME_HOST_SECRET=$HOST_MARKER
    mkdir -p "$WORLD/user"
    echo "$HOST_MARKER" > "$WORLD/user/.netrc"
    HOME=$WORLD/user run inside sh -c "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; cat '$WORLD/user/.netrc' ~/.netrc /root/.* 2>&1;
        ls -la '$AILERON_HOME' /root /home /var/lib /srv /mnt 2>&1"
    absent -F "$HOST_MARKER" <<< "$output"
    absent -F vault.json <<< "$output"
    absent -F "$SECRET" <<< "$output"
}

@test "C01: proxies with a password, of the host's environment and of docker's configuration, stay outside" {
    mkdir -p "$WORLD/dockerconfig"
    proxy=http://me:$HOST_MARKER@127.0.0.1:9
    printf '{"proxies": {"default": {"httpProxy": "%s", "httpsProxy": "%s", "ftpProxy": "%s", "allProxy": "%s", "noProxy": "%s"}}}' \
        "$proxy" "$proxy" "$proxy" "$proxy" "$HOST_MARKER" > "$WORLD/dockerconfig/config.json"
    DOCKER_CONFIG=$WORLD/dockerconfig FTP_PROXY=$proxy ftp_proxy=$proxy HTTP_PROXY=$proxy https_proxy=$proxy \
        run inside sh -c 'env; tr "\0" "\n" < /proc/1/environ'
    grep -qx 'HTTP_PROXY=http://127.0.0.1:3128' <<< "$output"
    absent -F "$HOST_MARKER" <<< "$output"
}

@test "C01: an engine's socket cannot be reached" {
    [ "$(id -u)" -eq 0 ] || skip "needs root to put a socket where an engine's is"
    real=/run/aileron-test.$BATS_ROOT_PID.sock
    /usr/bin/python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(9); time.sleep(60)' "$real" 3>&- &
    wait_for test -S "$real"
    run --separate-stderr inside python3 -c '
import glob, socket, sys
paths = sys.argv[1:] + glob.glob("/run/**/*.sock", recursive=True) + glob.glob("/tmp/**/*sock*", recursive=True)
for path in set(paths) - {"/run/aileron/session.sock"}:
    s = socket.socket(socket.AF_UNIX)
    try: s.connect(path); print("REACHED", path)
    except OSError: pass
print("done")' "$real" /run/docker.sock /var/run/docker.sock /run/containerd/containerd.sock /run/podman/podman.sock
    kill $!
    rm "$real"
    [ "$output" = done ]
}

@test "C01: a sweep of everything that can be read finds no credential" {
    inside curl -sS https://api.test/user > /dev/null
    run --separate-stderr inside sh -c "grep -rlF '$SECRET' / --exclude-dir=usr --exclude-dir=proc --exclude-dir=lib 2>/dev/null;
        grep -alF '$SECRET' /proc/[0-9]*/cmdline /proc/[0-9]*/environ /proc/[0-9]*/maps 2>/dev/null; true"
    # The command line of the sweep itself holds the words that it looks for.
    [ -z "$(grep -v '^/proc/[0-9]*/cmdline$' <<< "$output")" ]
    # And it is a sweep that finds things: the launch token is in the environment and in its file.
    run --separate-stderr inside sh -c 'grep -rlF "$AILERON_TOKEN" /run /etc /proc/self/environ 2>/dev/null; true'
    grep -qx /run/aileron/token <<< "$output"
    grep -qx /proc/self/environ <<< "$output"
}

@test "C01: shadow, keys and what others may not read are not shown, whoever launches" {
    [ "$ENGINE" = bwrap ] || skip "nothing of the host's files is in a container; the image's own are no secret"
    run inside sh -c 'cat /etc/shadow /etc/gshadow /etc/sudoers /.etc/shadow /.etc/ssh/* /.etc/ssl/private/* 2>/dev/null | wc -c
        find /etc/ /.etc -type f ! -perm -004 -size +0 2>/dev/null'
    [ "$(tail -n +2 <<< "$output")" = 0 ]
}

@test "the kernel's settings, keyrings and the supervisor are out of reach" {
    cat > kernel.py <<'PY'
import ctypes, fcntl, os, glob, resource
for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/proc/1/mem"):
    try: open(path, "r+b", buffering=0).write(b""); print("OPENED", path)
    except OSError: pass
for path in ("/proc/1/environ", "/proc/1/maps", "/proc/kcore"):
    try:
        if open(path, "rb").read(1): print("READ", path)
    except OSError: pass
try: fcntl.ioctl(0, 0x5412, b"x"); print("TIOCSTI")
except OSError: pass
libc = ctypes.CDLL(None, use_errno=True)
if os.uname().machine == "x86_64":
    for number in (250, 248, 249, 321, 298, 425, 101):
        args = (16, 1, 0, 0) if number == 101 else (0, 0, 0, 0) # 101: ptrace, attach to pid 1
        if libc.syscall(number, *args) != -1: print("CALLED", number)
status = open("/proc/self/status").read()
for line in ("CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
    if line not in status: print("MISSING", line)
for signal in (9, 19): os.kill(1, signal)
# Below processes that never rest the supervisor would end nobody.
for name, call in (("idle", lambda: os.sched_setscheduler(1, 5, os.sched_param(0))),
                   ("nice", lambda: os.setpriority(os.PRIO_PROCESS, 1, 1)),
                   ("nice group", lambda: os.setpriority(os.PRIO_PGRP, 1, 1)),
                   ("nice user", lambda: os.setpriority(os.PRIO_USER, os.getuid(), 1)),
                   ("affinity", lambda: os.sched_setaffinity(1, {0})),
                   ("limits", lambda: resource.prlimit(1, resource.RLIMIT_NPROC, (9999, 9999)))):
    try: call(); print("SET", name)
    except (PermissionError, ProcessLookupError): pass
try:
    with open("/proc/1/autogroup", "r+") as group:
        if group.read(): print("SET autogroup")
except OSError: pass
os.nice(1)
os.sched_setscheduler(0, 3, os.sched_param(0))
for path in ("/opt/aileron/bin/aileron", "/run/aileron/token", "/etc/aileron/ca.pem", "/usr/bin/env", "/etc/resolv.conf"):
    try: open(path, "ab"); print("WRITABLE", path)
    except OSError: pass
print("done")
PY
    run --separate-stderr inside python3 kernel.py
    [ "$status" -eq 0 ]
    [ "$output" = done ]
}

@test "the host's devices are not the agent's to change, by name or as a standard stream" {
    [ "$ENGINE" = bwrap ] || skip "a container has its own"
    [ "$(id -u)" -eq 0 ] || skip "they are root's"
    cat > devices.py << 'PY'
import os
for where in ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", 0, 2]:
    try:
        os.utime(where)  # as its mode could be, and with less harm
        print("CHANGED", where)
    except OSError: pass
with open("/dev/null", "w") as null: null.write("x")
os.write(2, b"x")
print(len(os.read(os.open("/dev/zero", os.O_RDONLY), 3)), len(os.read(0, 1)))
PY
    output=$(inside python3 devices.py < /dev/null 2> /dev/null)
    [ "$output" = "3 0" ]
}

@test "E02: the worker takes one listening socket, the supervisor's, and goes on whatever else it is handed" {
    cat > listeners.py <<'PY'
import fcntl, os, socket
token = open("/run/aileron/token", "rb").read().strip()
def hand(fds):
    s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect("/run/aileron/session.sock")
    socket.send_fds(s, [b"AILERON " + token + b" listener\r\n"], fds)
    print(s.recv(65536).split(b"\r\n")[0].decode())
def listener():
    s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); s.setblocking(True); return s
mine, other = listener(), listener()
connected = socket.create_connection(mine.getsockname())
for fds in ([mine.fileno()], [mine.fileno(), other.fileno()], [connected.fileno()], list(os.pipe()), os.pipe()[:1],
            [socket.socket(type=socket.SOCK_DGRAM).fileno()], [socket.socket(socket.AF_UNIX).fileno()], []):
    hand(fds)
mine.settimeout(0)
try: mine.accept(); print("my own connection is there")
except BlockingIOError: print("ACCEPTED BY THE WORKER")
PY
    run --separate-stderr inside sh -c 'python3 listeners.py; curl -sS https://api.test/user'
    [ "$status" -eq 0 ]
    [ "$(grep -c '^HTTP/1.1 400 ' <<< "$output")" -eq 8 ]
    grep -qx 'my own connection is there' <<< "$output"
    grep -q '"login": "octo"' <<< "$output"
    absent ACCEPTED <<< "$output"
    absent worker.exit < <(aileron audit list --event worker.exit)
}

@test "A01: the control socket refuses a process of a sandbox, though it has its own user's id" {
    aileron status > /dev/null
    connect='import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1])
try:
    s.sendall(b"GET /v1/health HTTP/1.1\r\nHost: aileron\r\n\r\n"); print(s.recv(100))
except OSError as e: print("refused", e)'
    run -0 python3 -c "$connect" "$AILERON_HOME/run/control.sock"
    grep -q 'HTTP/1.1 200' <<< "$output"
    run -0 unshare --user --map-root-user --pid --fork python3 -c "$connect" "$AILERON_HOME/run/control.sock"
    absent -F HTTP <<< "$output"
    aileron audit list --event=control.denied | grep -q 'reason=a sandbox'
}

@test "C01: a home below a directory that is shown is not shown with it" {
    [ "$ENGINE" = bwrap ] || skip "nothing of the host's directories is in a container"
    [ -w /opt ] || skip "needs to make a directory in /opt"
    shown=$(mktemp -d /opt/aileron-test.XXXXXX)
    chmod 755 "$shown"
    mkdir "$shown/app" "$shown/bin"
    printf '#!/bin/sh\necho works' > "$shown/bin/tool"
    chmod 755 "$shown/bin/tool"
    echo "$HOST_MARKER" > "$shown/app/.netrc"
    cp -r "$AILERON_HOME" "$shown/app/.aileron"
    HOME=$shown/app AILERON_HOME=$shown/app/.aileron run inside sh -c \
        "'$shown/bin/tool'; cat '$shown/app/.netrc'; ls -laR '$shown/app'; cat '$shown'/app/.aileron/*"
    HOME=$shown/app AILERON_HOME=$shown/app/.aileron aileron daemon stop --force > /dev/null
    rm -rf "$shown"
    grep -qx works <<< "$output"
    absent -F "$HOST_MARKER" <<< "$output"
    absent -F vault.json <<< "$output"
    absent -F checksum <<< "$output"
}

@test "C01: what is the user's alone below /opt and /usr/local is not shown" {
    [ "$ENGINE" = bwrap ] || skip "docker shows nothing of the host's"
    [ "$(id -u)" -eq 0 ] || skip "only root can make such files here"
    cat > look.sh <<'SH'
cat /opt/tool/shown /usr/local/tool/shown
cat /opt/tool/key /opt/tool/state/key /opt/tool/odd/key /opt/alone/key /usr/local/tool/key
ls -l /opt/tool/state /opt/tool/odd
true
SH
    cat > inside.sh <<SH
mount -t tmpfs -o mode=755 tmpfs /opt; mount -t tmpfs -o mode=755 tmpfs /usr/local
mkdir -p /opt/tool/state /opt/tool/odd /opt/alone /usr/local/tool
for place in /opt/tool /opt/tool/state /opt/tool/odd /opt/alone /usr/local/tool; do
    echo $HOST_MARKER > \$place/key; echo everybody > \$place/shown
done
chmod 600 /opt/tool/key; chmod 640 /usr/local/tool/key
chmod 700 /opt/tool/state /opt/alone; chmod 754 /opt/tool/odd
exec aileron launch --sandbox=bwrap -- sh look.sh
SH
    run -0 unshare -m sh inside.sh
    rm look.sh inside.sh
    [ "$(grep -c '^everybody$' <<< "$output")" -eq 2 ]
    [ "$(grep -c "$HOST_MARKER" <<< "$output")" -eq 0 ]
}

@test "F10: a workspace that holds the engine's socket, or leads to it, is refused" {
    mkdir -p "$WORLD/engine"
    python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$WORLD/engine/docker.sock"
    cd "$WORLD/engine"
    DOCKER_HOST=unix://$WORLD/engine/docker.sock run -125 aileron launch --sandbox=bwrap -- true
    grep -qF 'socket, or another that controls this host' <<< "$output"
    ln -sfn "$WORLD/engine" "$WORLD/to-engine"
    cd "$WORLD/to-engine"
    DOCKER_HOST=unix://$WORLD/engine/docker.sock run -125 aileron launch --sandbox=bwrap -- true
    [ "$(aileron sessions list 2> /dev/null | wc -l)" -eq 0 ]
}

@test "C01: the host's proxies, with their passwords, are not put into a container" {
    docker version > /dev/null 2>&1 || skip "no docker"
    mkdir -p "$WORLD/docker"
    proxy=http://user:$HOST_MARKER@proxy.example:3128
    cat > "$WORLD/docker/config.json" <<JSON
{"proxies": {"default": {"httpProxy": "$proxy", "httpsProxy": "$proxy", "ftpProxy": "$proxy", "allProxy": "$proxy"}}}
JSON
    IMAGE=$("$ROOT/tests/lib/image" scratch)
    DOCKER_CONFIG=$WORLD/docker ENGINE=docker run -0 inside /busybox sh -c \
        '/busybox env; /busybox cat /proc/1/environ /proc/self/environ 2> /dev/null | /busybox tr "\0" "\n"'
    grep -qx HTTP_PROXY=http://127.0.0.1:3128 <<< "$output"
    absent -F "$HOST_MARKER" <<< "$output"
}

@test "F10: a workspace that is replaced by a link while the sandbox is made is noticed, and nothing starts" {
    mkdir -p "$WORLD/outer/project" "$WORLD/elsewhere" "$WORLD/racing"
    echo "$HOST_MARKER" > "$WORLD/elsewhere/private"
    # What an agent in a sandbox of the directory around it could do, at the worst moment: ahead of the mount.
    cat > "$WORLD/racing/bwrap" <<SH
#!/bin/sh
mv "$WORLD/outer/project" "$WORLD/outer/moved"
ln -s "$WORLD/elsewhere" "$WORLD/outer/project"
exec /usr/bin/bwrap "\$@"
SH
    chmod 755 "$WORLD/racing/bwrap"
    cd "$WORLD/outer/project"
    PATH=$WORLD/racing:$PATH run -125 aileron launch --sandbox=bwrap -- cat private
    absent -F "$HOST_MARKER" <<< "$output"
    grep -qF 'is not the directory that was launched from' <<< "$output"
}
