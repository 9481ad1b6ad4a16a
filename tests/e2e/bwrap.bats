# Stories with real programs of a distribution in a sealed sandbox, against a real HTTPS service. The file's
# name is the engine: docker.bats and podman.bats are links to this one, and their programs are those of an image.
# bats file_tags=own-world
ENGINE=$(basename "$BATS_TEST_FILENAME" .bats)
load ../lib/world.bash

setup_file() {
    [ "$ENGINE" = bwrap ] || world_image debian
    [ -z "${WORLD_SKIP:-}" ] || return 0
    world_start api.test api.github.com git.test tunnel.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    cat >> "$AILERON_HOME/bindings.yaml" <<YAML
  - { name: user/git, hosts: [git.test], scheme: basic, username: octo, entry: user/api }
YAML
    sed -i '/^    scheme: bearer$/a\    sentinel: { env: [GH_TOKEN], like: "ghp_" }' "$AILERON_HOME/bindings.yaml"
    sed -i 's/api.github.com, git.test, tunnel.test, /api.github.com, /' "$AILERON_HOME/bindings.yaml"
    aileron daemon reload
    git init -q --bare "$WORLD/git/repo.git"
    git -C "$WORLD/git/repo.git" config http.receivepack true
    seed=$(mktemp -d "$WORLD/seed.XXXXXX")
    git -C "$seed" init -q -b main
    echo hello > "$seed/file"
    git -C "$seed" add file
    git -C "$seed" -c user.name=t -c user.email=t@test commit -qm first
    git -C "$seed" push -q "$WORLD/git/repo.git" main
    git -C "$WORLD/git/repo.git" symbolic-ref HEAD refs/heads/main
}

teardown_file() { world_stop; }
setup() { world_skip; world_clean_environment; : > "$WORLD/up/requests.log"; }

# What every story checks: the upstream was called with its credential, the sandbox never saw it.
sees_no_secret() { absent -F "$SECRET" <<< "$output"; }

@test "curl through the proxy variables, with a credential that it never sees" {
    run inside sh -c 'env; curl -sS https://api.test/user'
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
    grep -qx "AILERON_SANDBOX_RUNTIME=$ENGINE" <<< "$output"
    sees_no_secret
    [ "$(upstream_count)" -eq 1 ]
}

@test "curl that ignores the proxy variables is captured by name" {
    run inside curl -sS --noproxy '*' https://api.test/user
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
}

@test "wget" {
    run inside wget -qO- https://api.test/user
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
}

@test "python3 urllib" {
    run inside python3 -c 'import urllib.request; print(urllib.request.urlopen("https://api.test/user").read().decode())'
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
}

@test "python3 urllib without a proxy" {
    run inside python3 -c 'import urllib.request as u; print(u.build_opener(u.ProxyHandler({})).open("https://api.test/user").read().decode())'
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
}

@test "node fetch, which ignores the proxy variables" {
    run inside node -e 'fetch("https://api.test/user").then(r => r.text()).then(t => console.log(t))'
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
}

@test "what variables and the system's own file of roots say is there, and holds the session's authority" {
    run inside sh -c 'env | sed -n "s,^\([A-Za-z0-9_]*\)=\(/etc/aileron/ca.*\),\1 \2,p"; ls /etc/aileron; echo "$JAVA_TOOL_OPTIONS"
        for file in ca-extra.pem ca-bundle.pem; do head -n 3 /etc/aileron/$file | cmp - /etc/aileron/ca.pem 2>&1 | grep differ; done
        git config http.version; env -i PATH="$PATH" curl -sS https://api.test/user'
    [ "$status" -eq 0 ]
    grep -qx 'PERL_LWP_SSL_CA_FILE /etc/aileron/ca-bundle.pem' <<< "$output"
    grep -qx 'NODE_EXTRA_CA_CERTS /etc/aileron/ca-extra.pem' <<< "$output"
    [ "$(grep -c ' /etc/aileron/ca-bundle.pem$' <<< "$output")" -eq 18 ]
    grep -q -- '^-Djavax.net.ssl.trustStore=/etc/aileron/ca-bundle.p12 ' <<< "$output"
    grep -qx ca-bundle.p12 <<< "$output"
    grep -qx HTTP/1.1 <<< "$output"
    absent differ <<< "$output"
    grep -q '"login": "octo"' <<< "$output"
}

# Programs that add to their roots (Node) and those that replace them (curl).
@test "a service whose certificate is by tls.ca_file's authority is trusted through an untouched tunnel" {
    run inside sh -c 'curl -sS https://tunnel.test/open/curl
        node -e "fetch(process.argv[1]).then(r => r.text()).then(t => console.log(t))" https://tunnel.test/open/node'
    [ "$status" -eq 0 ]
    grep -q '"path": "/open/curl"' <<< "$output"
    grep -q '"path": "/open/node"' <<< "$output"
    session=$(grep -o 'session [0-9A-Z]*' <<< "$output" | cut -d' ' -f2)
    [ "$(aileron audit list --json --session "$session" | jq -r 'select(.event == "network") | .mode' | sort | uniq -c | tr -s ' ')" = ' 2 tunnel' ]
}

@test "gh api, with a stand-in for its token" {
    run inside sh -c 'test -n "$GH_TOKEN" && echo "token $GH_TOKEN" && gh api user'
    [ "$status" -eq 0 ]
    grep -q '"login": *"octo"' <<< "$output"
    grep -q '^token ghp_' <<< "$output"
    sees_no_secret
}

@test "git clone and git push over HTTPS" {
    rm -rf "$WORLD/ws/repo"
    run inside sh -c 'git clone -q https://git.test/git/repo.git repo && cd repo && echo "$AILERON_SESSION_ID" > file &&
        git -c user.name=a -c user.email=a@test commit -qam second && git push -q origin main'
    [ "$status" -eq 0 ]
    sees_no_secret
    git -C "$WORLD/git/repo.git" log --format=%s main | grep -qx second
}

@test "a body of 20 MiB goes up and comes down unchanged" {
    head -c 20971520 /dev/urandom > "$WORLD/ws/big"
    sum=$(sha256sum < "$WORLD/ws/big" | cut -d' ' -f1)
    run inside curl -sS -T big https://api.test/upload
    [ "$status" -eq 0 ]
    grep -q "$sum" <<< "$output"
    run inside sh -c 'curl -sS "https://api.test/download?bytes=20971520&chunked=1" | sha256sum'
    [ "$status" -eq 0 ]
    expected=$(python3 -c 'import hashlib; print(hashlib.sha256(bytes(range(256)) * (20971520 // 256)).hexdigest())')
    grep -q "$expected" <<< "$output"
}

@test "server-sent events arrive as they are sent" {
    run inside sh -c 'curl -sSN "https://api.test/stream?count=3&delay=0.4" | while read -r line; do if [ -n "$line" ]; then echo "$(date +%s%N) $line"; fi; done'
    [ "$status" -eq 0 ]
    first=$(grep 'data: 0' <<< "$output" | cut -d' ' -f1)
    last=$(grep 'data: 2' <<< "$output" | cut -d' ' -f1)
    [ $(((last - first) / 1000000)) -ge 500 ]
}

@test "the exit status is the command's own" {
    run inside sh -c 'exit 7'
    [ "$status" -eq 7 ]
    run inside sh -c 'kill -TERM $$'
    [ "$status" -eq 143 ]
    run inside no-such-command
    [ "$status" -eq 127 ]
    run inside /etc/passwd
    [ "$status" -eq 126 ]
}

@test "the workspace is the working directory, and what is written there stays" {
    run inside sh -c 'pwd; echo from inside > made'
    [ "$status" -eq 0 ]
    grep -qx /home/agent/workspace <<< "$output"
    grep -qx 'from inside' "$WORLD/ws/made"
}

@test "a refusal says what, why and what next, in JSON" {
    run inside curl -sS https://forbidden.test/x
    [ "$status" -eq 0 ]
    body=$(grep '^{' <<< "$output")
    [ "$(jq -r .error.code <<< "$body")" = denied ]
    [ "$(jq -r .error.rule <<< "$body")" = "no forbidden host" ]
    [ "$(jq -r .error.reason <<< "$body")" = "this host is not for agents" ]
    [ "$(jq -r '.error.next | length > 10' <<< "$body")" = true ]
    [ "$(upstream_count)" -eq 0 ]
}

@test "a policy that is reloaded holds for a sandbox that runs already" {
    mkfifo "$WORLD/ws/go"
    (wait_for test -e "$WORLD/ws/asked"; cat >> "$AILERON_HOME/policy.yaml" <<YAML
  - { name: no api any more, host: api.test, action: deny, reason: reloaded }
YAML
        aileron daemon reload; echo > "$WORLD/ws/go") > /dev/null 3>&- &
    run inside sh -c 'curl -sS https://api.test/user; touch asked; cat go > /dev/null; curl -sS https://api.test/user'
    sed -i '/no api any more/d' "$AILERON_HOME/policy.yaml"
    aileron daemon reload
    rm "$WORLD/ws/go" "$WORLD/ws/asked"
    [ "$status" -eq 0 ]
    grep -q '"login": "octo"' <<< "$output"
    grep -q '"rule":"no api any more"' <<< "$output"
}

@test "the usual image is found in podman where no engine is named, once podman is known to have it" {
    [ "$ENGINE" = podman ] || skip "of docker it is shown in plan.bats; bwrap has no images"
    cd "$WORLD/ws"
    export DOCKER_HOST=unix://$WORLD/none
    chosen() { aileron sandbox plan --json | jq -r '"\(.engine) \(.image)"'; }
    podman tag "$IMAGE" aileron-base
    [ "$(chosen)" = 'bwrap host' ] # podman is not even asked, which costs a tenth of a second
    aileron launch --sandbox=podman -- true
    [ "$(chosen)" = 'podman aileron-base' ]
    run aileron launch -- sh -c 'echo "$AILERON_SANDBOX_IMAGE $AILERON_SANDBOX_RUNTIME"'
    [ "$status" -eq 0 ]
    grep -qx 'aileron-base podman' <<< "$output"
    grep -q '^aileron: sandbox podman aileron-base (docker: it has not the usual image' <<< "$output"
    podman untag "$IMAGE" aileron-base
    [ "$(chosen)" = 'bwrap host' ]
}

@test "a file as standard input cannot be written to, and what is not read of it is left for the next" {
    [ "$ENGINE" = bwrap ] || skip "the engine's own program reads standard input"
    cd "$BATS_TEST_TMPDIR"
    seq 100000 > list
    cp list before
    inside timeout 1 sh -c 'echo changed > /proc/self/fd/0' < list || true
    cmp list before
    [ "$(inside cat < list | cksum)" = "$(cksum < list)" ]
    # One reads a line of it, one nothing, and one all the rest.
    {
        inside python3 -c 'import os; print(os.read(0, 4))' > first
        inside true
        inside wc -l > rest
    } < list
    [ "$(cat first)" = "b'1\\n2\\n'" ]
    [ "$(cat rest)" -eq 99998 ]
    run inside true < .
    [ "$status" -eq 64 ]
    grep -q 'standard input is a directory' <<< "$output"
}
