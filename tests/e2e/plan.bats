# A project's dev container: its image is built when what goes into it has changed and at no other time, what is not taken
# is told by name, and a hostile file gets nothing that the user's configuration does not give. Images are made of one
# static program, so that no registry is needed.
ENGINE=docker
load ../lib/world.bash
bats_require_minimum_version 1.5.0

setup_file() {
    world_image scratch
    [ -z "$WORLD_SKIP" ] || return 0
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
}

teardown_file() {
    [ -n "${WORLD:-}" ] || return 0
    docker image ls --format '{{.Repository}}:{{.Tag}}' | grep '^aileron-plan-test' | xargs -r docker image rm -f > /dev/null 2>&1 || true
    docker image rm aileron-base > /dev/null 2>&1 || true
    docker volume ls -q | grep -- '-plan-cache$' | xargs -r docker volume rm > /dev/null 2>&1 || true
    world_stop
}

setup() {
    world_skip
    world_clean_environment
    rm -rf "$WORLD/ws"
    mkdir -p "$WORLD/ws/.devcontainer"
    cp "$(command -v busybox)" "$WORLD/ws/.devcontainer/busybox"
    cd "$WORLD/ws"
    BASE=scratch
    [[ $BIN != */asan/* ]] || BASE=$IMAGE # the program needs its loader and libraries
    printf 'FROM %s\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\nENV PATH=/bin\n' $BASE > .devcontainer/Dockerfile
    dev '"build": { "dockerfile": "Dockerfile" }'
}

dev() { # MEMBERS: of the file, beside its name
    printf '// a comment\n{ "name": "Plan Test", %s, }\n' "$1" > .devcontainer/devcontainer.json
}
image() { aileron sandbox plan --json "$@" | jq -r .image; }
# Runs a command in the sandbox; LAUNCHER has what the launcher said.
launch() { aileron launch --sandbox=docker "$@" 2> "$WORLD/stderr"; }
built() { grep -c 'building aileron-plan-test' "$WORLD/stderr" || true; }

@test "the project's image is built, and run as tier 1; the second launch builds nothing" {
    tag=$(image)
    [[ $tag =~ ^aileron-plan-test:[0-9a-f]{24}$ ]]
    run launch -- sh -c 'echo "$AILERON_SANDBOX_TIER $AILERON_SANDBOX_IMAGE"; exit 7'
    [ "$status" -eq 7 ]
    [ "$output" = "1 $tag" ]
    [ "$(built)" -eq 1 ]
    launch -- sh -c :
    [ "$(built)" -eq 0 ]
    launch --build=always -- sh -c :
    [ "$(built)" -eq 1 ]
}

@test "an edit of what goes into the image is another image, and nothing else is" {
    tag=$(image)
    echo other > src.txt # outside of the context
    touch .devcontainer/busybox
    chmod g-r .devcontainer/Dockerfile
    dev '"build": { "dockerfile": "Dockerfile" }, "forwardPorts": [1], "containerEnv": { "A": "b" }'
    [ "$(image)" = "$tag" ]
    touch .devcontainer/new # everything below hands another context to the builder
    for change in 'echo x > .devcontainer/new' 'chmod +x .devcontainer/new' 'ln -sf busybox .devcontainer/new' \
        'mkdir .devcontainer/dir' 'echo "# c" >> .devcontainer/Dockerfile' \
        'dev "\"build\": { \"dockerfile\": \"Dockerfile\", \"args\": { \"A\": \"1\" } }"' \
        'dev "\"build\": { \"dockerfile\": \"Dockerfile\", \"args\": { \"A\": \"2\" } }"' \
        'printf "dir\n" > .devcontainer/.dockerignore'; do
        eval "$change"
        now=$(image)
        [ "$now" != "$tag" ] || { echo "no other image: $change"; return 1; }
        tag=$now
    done
    echo x > .devcontainer/dir/file # which .dockerignore leaves out
    [ "$(image)" = "$tag" ]
}

@test "an edit is in the sandbox at the next launch" {
    launch -- sh -c '[ ! -e /new ]'
    echo 'COPY Dockerfile /new' >> .devcontainer/Dockerfile
    run launch -- sh -c '[ -e /new ] && echo there'
    [ "$output" = there ]
    [ "$(built)" -eq 1 ]
    # A Dockerfile that copies nothing does not depend on what lies beside it.
    printf 'FROM scratch\n' > .devcontainer/Dockerfile
    tag=$(image)
    echo x > .devcontainer/beside
    [ "$(image)" = "$tag" ]
}

@test "--build=never starts what is there, and says so where it is not" {
    echo "# $RANDOM $BATS_ROOT_PID" >> .devcontainer/Dockerfile
    run --separate-stderr -125 aileron launch --sandbox=docker --build=never -- sh -c :
    grep -q 'there is no image aileron-plan-test:.* --build=never .*aileron sandbox build' <<< "$stderr"
    [ "$(aileron sandbox build 2> /dev/null)" = "$(image)" ]
    launch --build=never -- sh -c :
}

@test "a build that fails ends the launch, with the builder's words above ours" {
    printf 'FROM scratch\nCOPY nothing /\n' > .devcontainer/Dockerfile
    run --separate-stderr -125 aileron launch --sandbox=docker -- sh -c :
    grep -qi 'nothing' <<< "$stderr"
    grep -q '^aileron: docker cannot build aileron-plan-test:' <<< "${stderr_lines[-1]}"
    [ -z "$(ls "$AILERON_HOME/run/sessions")" ]
}

@test "tier 2 is ours to name, and --image is the person's" {
    launch -- sh -c : # so that there is an image
    docker tag "$(image)" aileron-plan-test:own
    dev '"image": "localhost:1/nothing:1", "customizations": { "aileron": { "image": "aileron-plan-test:own" } }'
    run launch -- sh -c 'echo "$AILERON_SANDBOX_TIER $AILERON_SANDBOX_IMAGE"'
    [ "$output" = "2 aileron-plan-test:own" ]
    run launch --image="$IMAGE" -- /busybox sh -c 'echo "$AILERON_SANDBOX_TIER $AILERON_SANDBOX_IMAGE"'
    [ "$output" = "0 $IMAGE" ]
    dev '"customizations": { "aileron": { "img": "x" } }'
    run -78 aileron sandbox plan
    grep -q 'customizations.aileron' <<< "$output"
}

@test "variables, a volume, a directory of the workspace and lower limits are taken" {
    mkdir data
    echo of-the-workspace > data/file
    chown -R 1234:2345 .
    dev '"build": { "dockerfile": "Dockerfile" }, "containerEnv": { "A": "${containerWorkspaceFolder}" },
        "remoteEnv": { "B": "${localEnv:NOT_SET:usual}" }, "runArgs": ["--memory=64m", "-e", "C=3", "--pids-limit", "50"],
        "mounts": ["type=volume,source=plan-cache,target=/cache",
            { "type": "bind", "source": "${localWorkspaceFolder}/data", "target": "/data", "readonly": true }]'
    run launch -- sh -c 'echo "$A $B $C"; /bin/busybox cat /data/file; echo kept > /cache/file && echo x 2> /dev/null > /data/x
        /bin/busybox stat -c %u /cache; /bin/busybox cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2> /dev/null'
    echo "$output"; cat "$WORLD/stderr"
    [ "${lines[0]}" = "/home/agent/workspace usual 3" ]
    [ "${lines[1]}" = of-the-workspace ]
    [ "${lines[2]}" = 1234 ]
    [ ! -e data/x ]
    [ "${#lines[@]}" -eq 3 ] || [ "${lines[3]}" = 67108864 ]
    run launch -- /bin/busybox cat /cache/file # it stays
    [ "$output" = kept ]
    # Its name is the workspace's own: another project's volume of that name is not this one.
    [ "$(docker volume ls -q | grep -c '^aileron-[0-9a-f]\{16\}-plan-cache$')" -eq 1 ]
}

@test "remoteUser: the agent has that user's name and home, and the ids of the workspace's owner" {
    printf 'node:x:1000:1000::/home/node:/bin/sh\n' > .devcontainer/passwd
    printf 'COPY passwd /etc/passwd\nCOPY passwd /home/node/.profile\n' >> .devcontainer/Dockerfile
    dev '"build": { "dockerfile": "Dockerfile" }, "remoteUser": "node"'
    chown -R 1234:2345 .
    run launch -- sh -c 'echo "$USER $HOME"; cd; pwd; echo x > made && /bin/busybox stat -c %u made; /bin/busybox whoami; [ -e .profile ] && echo kept'
    [ "${lines[*]}" = "node /home/node /home/node 1234 node kept" ]
    sed -i 's/"node"/"nobody-here"/' .devcontainer/devcontainer.json
    run -125 launch -- sh -c 'echo RAN'
    [ -z "$output" ]
    grep -q 'the image has no user nobody-here with a home.*Correct remoteUser' "$WORLD/stderr"
    # A directory of the workspace that the image calls a home keeps its owner.
    sed -i 's/"nobody-here"/"node"/' .devcontainer/devcontainer.json
    printf 'node:x:1000:1000::/home/agent/workspace/closed:/bin/sh\n' > .devcontainer/passwd
    mkdir -m 700 closed
    run launch -- sh -c 'echo RAN; : > closed/mine'
    [ "${lines[0]}" = RAN ]
    [ "$(stat -c %u closed)" -eq 0 ]
    [ ! -e closed/mine ]
}

@test "what is not taken is told by name, with the reason in the plan" {
    dev '"build": { "dockerfile": "Dockerfile", "options": ["--network=host"] }, "postCreateCommand": "make", "forwardPorts": [80],
        "customizations": { "vscode": {} }, "wobble": 1, "remoteEnv": { "PATH": "/x", "K": "${localEnv:AILERON_VAULT_PASSPHRASE}" }'
    launch -- sh -c ':'
    for key in build.options postCreateCommand forwardPorts customizations.vscode wobble 'remoteEnv PATH' 'remoteEnv K'; do
        grep -q "^aileron: .devcontainer/devcontainer.json: not taken: .*$key" "$WORLD/stderr" || { echo "$key"; cat "$WORLD/stderr"; return 1; }
        aileron sandbox plan --json | jq -e --arg key "$key" '.not_taken[] | select(.key == $key and (.why | length > 10))' > /dev/null
    done
    run aileron sandbox plan
    grep -q '^not_taken .*postCreateCommand: commands of a container' <<< "$output"
    absent "$AILERON_VAULT_PASSPHRASE" <<< "$output"
}

@test "A03: a folder's name cannot write to the terminal" {
    odd=$'a\e]0;title\ab'
    mkdir ".devcontainer/$odd"
    mv .devcontainer/devcontainer.json ".devcontainer/$odd/"
    printf '{ "image": "%s", "wobble": 1 }' "$IMAGE" > ".devcontainer/$odd/devcontainer.json"
    launch -- /busybox true
    grep -qF '.devcontainer/a\x1b]0;title\x07b/devcontainer.json: not taken: wobble' "$WORLD/stderr"
    absent $'\e' "$WORLD/stderr"
}

@test "a hostile file gets no privilege, no network and no capability" {
    dev '"build": { "dockerfile": "Dockerfile" }, "privileged": true, "capAdd": ["SYS_ADMIN"], "securityOpt": ["seccomp=unconfined"],
        "initializeCommand": "touch '"$WORLD"'/planted", "remoteUser": "root", "appPort": [80],
        "runArgs": ["--privileged", "--network=host", "--cap-add", "ALL", "--pid=host", "--device", "/dev/kmsg", "-v", "/:/host",
            "--mount=type=bind,source=/,target=/host", "--user=0", "--security-opt", "apparmor=unconfined", "--env", "AILERON_VAULT_PASSPHRASE"],
        "containerEnv": { "LD_PRELOAD": "/x.so", "HTTPS_PROXY": "http://evil.test:1", "DOCKER_HOST": "tcp://evil.test:1", "AILERON_TOKEN": "x" }'
    chown -R 1234:2345 .
    run launch -- sh -c '/bin/busybox grep -E "^(Cap(Prm|Eff|Bnd)|NoNewPrivs|Seccomp):" /proc/self/status; /bin/busybox id -u
        /bin/busybox ip -o link | /bin/busybox wc -l; [ ! -e /host ] || echo HOST; echo "$HTTPS_PROXY ${#AILERON_TOKEN}"
        [ -z "$LD_PRELOAD$DOCKER_HOST$AILERON_VAULT_PASSPHRASE" ] || echo SET; [ ! -e /dev/kmsg ] || echo KMSG'
    [ "$status" -eq 0 ]
    [ "$(grep -c '^Cap.*[[:space:]]0000000000000000$' <<< "$output")" -eq 3 ]
    grep -qx $'NoNewPrivs:\t1' <<< "$output"
    grep -qx $'Seccomp:\t2' <<< "$output"
    [ "${lines[5]} ${lines[6]}" = "1234 1" ]
    [ "${lines[7]}" = "http://127.0.0.1:3128 64" ]
    [ "${#lines[@]}" -eq 8 ]
    [ ! -e "$WORLD/planted" ]
    plan=$(aileron sandbox plan)
    for key in privileged capAdd securityOpt initializeCommand remoteUser 'runArgs --privileged' 'runArgs --network host' \
        'runArgs --cap-add ALL' 'runArgs --pid host' 'runArgs --device' 'runArgs -v /:/host' 'runArgs --mount' 'runArgs --user 0' \
        'containerEnv LD_PRELOAD' 'containerEnv HTTPS_PROXY' 'containerEnv DOCKER_HOST' 'containerEnv AILERON_TOKEN'; do
        grep -qF -- "$key" <<< "$plan" || { echo "not told: $key"; return 1; }
    done
}

@test "F10: a mount of the host's root, of the vault or of an engine's socket ends the launch, whatever leads there" {
    ln -s "$AILERON_HOME" vault
    ln -s / root
    engine=$(readlink -f "${DOCKER_HOST#unix://}")
    for source in / "$AILERON_HOME" "$AILERON_HOME/vault.json" '${localWorkspaceFolder}/vault' '${localWorkspaceFolder}/root' \
        '${localWorkspaceFolder}/root/' vault "$(dirname "$AILERON_HOME")" "$engine" "$(dirname "$engine")"; do
        dev '"build": { "dockerfile": "Dockerfile" }, "mounts": ["type=bind,source='"$source"',target=/x"]'
        run --separate-stderr -125 aileron launch --sandbox=docker -- sh -c 'echo RAN'
        [ -z "$output" ]
        grep -q 'asks for a mount of .*--devcontainer=none' <<< "$stderr" || { echo "$source: $stderr"; return 1; }
    done
    # Another path of the host is not mounted, and that is told.
    mkdir -p "$WORLD/elsewhere"
    dev '"build": { "dockerfile": "Dockerfile" }, "mounts": ["type=bind,source='"$WORLD"'/elsewhere,target=/x"]'
    launch -- sh -c '[ ! -e /x ]'
    grep -q 'not taken: mounts\[0\]' "$WORLD/stderr"
}

# A mount lands where the image's symbolic links lead, and both are the agent's to write.
@test "an image's symbolic links cannot put a mount where our own program is" {
    cp "$AILERON_HOME/config.yaml" "$WORLD/config"
    echo 'sandbox: { cache: { plan: ~/.one/two/three/four } }' >> "$AILERON_HOME/config.yaml"
    for at in /data /a/b/c/d/e/data /home/agent/.one/two/three/four; do
        rm -rf .devcontainer/links
        printf 'FROM %s\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\nENV PATH=/bin\n' $BASE > .devcontainer/Dockerfile
        dev '"build": { "dockerfile": "Dockerfile" }, "mounts": ["type=volume,source=plan-cache,target='"${at#/home/agent/.one/two/three}"'"]'
        chown -R 1234:2345 .
        launch -- sh -c "printf '#!/bin/sh\\necho PWNED\\n' > $at/aileron-proxy && /bin/busybox chmod +x $at/aileron-proxy" ||
            { cat "$WORLD/stderr"; return 1; }
        mkdir -p ".devcontainer/links${at%/*}"
        ln -s /opt/aileron/bin ".devcontainer/links$at"
        echo 'COPY links /' >> .devcontainer/Dockerfile
        run launch -- sh -c 'echo RAN'
        cp "$WORLD/stderr" "$WORLD/said"
        [ "$output" = RAN ] || { cat "$WORLD/said"; cp "$WORLD/config" "$AILERON_HOME/config.yaml"; return 1; }
        absent PWNED "$WORLD/said"
    done
    cp "$WORLD/config" "$AILERON_HOME/config.yaml"
}

# So does a volume that the image itself asks for, and it begins with what the image has there.
@test "an image's own volumes cannot put its program where ours is" {
    mkdir -p .devcontainer/links/a/b/c/d/e .devcontainer/links/opt/aileron/bin
    printf '#!/bin/sh\necho PWNED\n' > .devcontainer/links/opt/aileron/bin/aileron-proxy
    chmod +x .devcontainer/links/opt/aileron/bin/aileron-proxy
    ln -s /opt/aileron/bin .devcontainer/links/a/b/c/d/e/f
    printf 'COPY links /\nVOLUME /a/b/c/d/e/f\n' >> .devcontainer/Dockerfile
    run launch -- sh -c 'echo RAN'
    cat "$WORLD/stderr"
    [ "$output" = RAN ]
    absent PWNED "$WORLD/stderr"
}

# pid 1 begins as root, which on this host it is, too.
@test "where an image's links lead a directory of the workspace keeps its owner" {
    mkdir -m 700 data
    mkdir -p -m 755 nested/deep
    mkdir -m 700 nested/deep/agent
    chown 1234:2345 .
    for link in "home/agent:/data:data:data" "home:/n/deep:nested:nested/deep/agent" "vol:/home/agent/workspace:-:data"; do
        IFS=: read -r name target source dir <<< "$link"
        rm -rf .devcontainer/links
        mkdir -p ".devcontainer/links/$(dirname "$name")"
        ln -s "$target" ".devcontainer/links/$name"
        printf 'FROM %s\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\nENV PATH=/bin\nCOPY links /\n' $BASE > .devcontainer/Dockerfile
        mounts='"type=bind,source='$source',target=/'$(cut -d/ -f2 <<< "$target")'"'
        [ "$source" != - ] || mounts='"type=volume,source=plan-cache,target=/vol/data"'
        dev '"build": { "dockerfile": "Dockerfile" }, "mounts": ['"$mounts"']'
        run launch -- sh -c 'echo RAN'
        echo "$link: $output $(tail -n 2 "$WORLD/stderr")"
        [ "$(stat -c %u "$dir")" -eq 0 ] || { echo "$dir is $(stat -c %u "$dir")'s"; return 1; }
    done
}

@test "root's own files in a directory of the workspace are not written to, wherever it is mounted" {
    mkdir -p -m 755 etc/ssl/certs
    for file in etc/passwd etc/group etc/ssl/certs/ca-certificates.crt; do echo mine > "$file"; done
    chown 1234:2345 .
    mkdir -p .devcontainer/links
    ln -s /data .devcontainer/links/etc
    for mounts in '"type=bind,source=etc/ssl/certs,target=/etc/ssl/certs"' '"type=bind,source=etc,target=/data"'; do
        printf 'FROM %s\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\nENV PATH=/bin\n' $BASE > .devcontainer/Dockerfile
        [ "${mounts##*=}" != '/data"' ] || echo 'COPY links /' >> .devcontainer/Dockerfile
        dev '"build": { "dockerfile": "Dockerfile" }, "mounts": ['"$mounts"']'
        run launch -- sh -c 'echo RAN'
        for file in etc/passwd etc/group etc/ssl/certs/ca-certificates.crt; do
            [ "$(cat "$file")" = mine ] || { echo "$file"; cat "$file" "$WORLD/stderr"; return 1; }
        done
    done
}

# Whoever writes in the workspace can change what a name leads to between the launcher's look and the engine's.
@test "a directory of the workspace that is another one when it is mounted ends the launch" {
    mkdir data
    ln -s /opt links
    mkdir -p .devcontainer/links
    ln -s /bin .devcontainer/links/data
    echo 'COPY links /' >> .devcontainer/Dockerfile
    dev '"build": { "dockerfile": "Dockerfile" }, "mounts": ["type=bind,source=data,target=/data"]'
    run -125 launch -- sh -c 'echo RAN'
    [ -z "$output" ]
    grep -q 'what is at /data is not the directory of the workspace that was asked for' "$WORLD/stderr"
}

# What does not count, .git or what a base image copies by itself, is in the image all the same.
@test "another project's image is not taken, whatever it shares with this one" {
    mkdir .devcontainer/.git
    echo theirs > .devcontainer/.git/config
    echo 'COPY . /c' >> .devcontainer/Dockerfile
    launch -- sh -c :
    mkdir -p "$WORLD/other"
    cp -a "$WORLD/ws" "$WORLD/other/"
    cd "$WORLD/other/ws"
    echo ours > .devcontainer/.git/config
    run launch -- sh -c '/bin/busybox cat /c/.git/config'
    [ "$output" = ours ]
}

# A builder goes to files by their names, and who writes in the workspace can put links to this host's own there meanwhile.
@test "F10: nothing is built of a workspace in which a sandbox runs" {
    launch -- sh -c :
    mkdir sub
    for dir in . sub; do
        id=$(cd $dir && aileron launch --sandbox=bwrap --detach --devcontainer=none -- sleep 60)
        launch -- sh -c : # what is there is taken
        echo "# $dir" >> .devcontainer/Dockerfile
        run -125 launch -- sh -c 'echo RAN'
        [ -z "$output" ]
        grep -q "a sandbox runs in $WORLD/ws.*, and could change what the image is made of.*session stop $id" "$WORLD/stderr" ||
            { cat "$WORLD/stderr"; return 1; }
        [ "$(built)" -eq 0 ]
        run -69 aileron sandbox build --sandbox=docker
        aileron session stop "$id"
        over() { [ -z "$(aileron session list)" ]; }
        wait_for over
        launch -- sh -c :
        [ "$(built)" -eq 1 ]
    done
    # One that was told to end goes on until it has: stop waits for that.
    id=$(aileron launch --sandbox=bwrap --detach --devcontainer=none -- sh -c 'trap "" TERM; while :; do sleep 1; done')
    launcher=$(aileron session show --json "$id" | jq .pid)
    echo '# ends' >> .devcontainer/Dockerfile
    aileron session stop "$id"
    [ ! -e "/proc/$launcher" ]
    launch -- sh -c :
    # One that runs elsewhere is not in the way.
    mkdir -p "$WORLD/ws2"
    id=$(cd "$WORLD/ws2" && aileron launch --sandbox=bwrap --detach -- sleep 60)
    echo '# elsewhere' >> .devcontainer/Dockerfile
    launch -- sh -c :
    aileron session stop "$id"
}

@test "F10: what is built lies in the workspace, and so does the file" {
    mkdir "$WORLD/outside"
    printf 'FROM scratch\n' > "$WORLD/outside/Dockerfile"
    ln -s "$WORLD/outside" .devcontainer/out
    for build in '"dockerfile": "out/Dockerfile"' '"dockerfile": "'"$WORLD"'/outside/Dockerfile"' \
        '"dockerfile": "Dockerfile", "context": "../.."' '"dockerfile": "Dockerfile", "context": "/"'; do
        dev "\"build\": { $build }"
        run --separate-stderr -125 aileron launch --sandbox=docker -- sh -c 'echo RAN'
        grep -q 'leads out of the workspace' <<< "$stderr" || { echo "$build: $stderr"; return 1; }
    done
    rm -r .devcontainer
    ln -s "$WORLD/outside" .devcontainer
    echo '{ "image": "x" }' > "$WORLD/outside/devcontainer.json"
    run --separate-stderr -125 aileron launch --sandbox=docker -- sh -c 'echo RAN'
    grep -q 'devcontainer.json leads out of the workspace' <<< "$stderr"
}

@test "a broken file is refused with its line and column; none and --image go without it" {
    printf '{\n  // c\n  "image": "x"\n  "name": 1 }\n' > .devcontainer/devcontainer.json
    run --separate-stderr -125 aileron launch --sandbox=docker -- sh -c 'echo RAN'
    grep -q 'devcontainer.json:4:[0-9]*: .*--devcontainer=none' <<< "$stderr"
    launch --image="$IMAGE" -- /busybox true
    run -0 aileron launch --sandbox=bwrap --devcontainer=none -- sh -c :
}

@test "of several dev containers one is named" {
    mkdir .devcontainer/a .devcontainer/b
    mv .devcontainer/devcontainer.json .devcontainer/a/
    sed -i 's|Dockerfile|../Dockerfile|; s|"build": {|&"context": "..",|' .devcontainer/a/devcontainer.json
    [[ $(image) == aileron-plan-test:* ]] # there is only one
    echo '{ "image": "b:1" }' > .devcontainer/b/devcontainer.json
    run -78 aileron sandbox plan
    grep -q 'has 2 dev containers.*a, b' <<< "$output"
    [[ $(image --devcontainer=a) == aileron-plan-test:* ]]
    [ "$(image --devcontainer=b)" = b:1 ]
    for odd in c ../a . ''; do
        run -78 aileron sandbox plan --devcontainer="$odd"
    done
    echo '{ "image": "c:1" }' > .devcontainer.json
    [ "$(image)" = c:1 ]
}

@test "Features are the devcontainer program's: it is called where it is there, and named where it is not" {
    dev '"image": "scratch", "features": { "./feature": {} }'
    run --separate-stderr -125 aileron launch --sandbox=docker -- sh -c :
    grep -q 'has features, which need the program devcontainer.*npm install -g @devcontainers/cli' <<< "$stderr"
    mkdir "$WORLD/tools"
    cat > "$WORLD/tools/devcontainer" <<'SH'
#!/bin/sh
echo "$@" >> "${0%/*}/calls"
for word; do case $word in --image-name=*) name=${word#*=} ;; --docker-path=*) docker=${word#*=} ;; esac; done
"$docker" build --tag="$name" .devcontainer
SH
    chmod +x "$WORLD/tools/devcontainer"
    PATH=$WORLD/tools:$PATH run launch -- sh -c 'echo "$AILERON_SANDBOX_IMAGE"'
    [ "$output" = "$(image)" ]
    PATH=$WORLD/tools:$PATH launch -- sh -c :
    [ "$(wc -l < "$WORLD/tools/calls")" -eq 1 ]
    grep -qx -- "build --workspace-folder=$WORLD/ws --config=$WORLD/ws/.devcontainer/devcontainer.json --docker-path=/.*/docker --image-name=aileron-plan-test:.*" "$WORLD/tools/calls"
    mkdir .devcontainer/feature # its files count
    tag=$(image)
    echo x > .devcontainer/feature/install.sh
    [ "$(image)" != "$tag" ]
    # It reads the file by itself, and would do what we do not.
    for odd in '"initializeCommand": "true"' '"build": { "dockerfile": "Dockerfile", "options": ["--secret=id=x,src=/etc/shadow"] }' \
        '"name": "Plan Test ${localEnv:HOME}"' '"containerEnv": { "A": "\u0024{env:HOME}" }'; do
        printf '{ "image": "scratch", "features": { "a": {} }, %s }\n' "$odd" > .devcontainer/devcontainer.json
        [ "${odd#*dockerfile}" = "$odd" ] || sed -i 's/"image": "scratch",//' .devcontainer/devcontainer.json
        PATH=$WORLD/tools:$PATH run --separate-stderr -125 aileron launch --sandbox=docker -- sh -c :
        grep -q 'for them the program devcontainer would' <<< "$stderr" || { echo "$odd: $stderr"; return 1; }
    done
    [ "$(wc -l < "$WORLD/tools/calls")" -eq 1 ]
}

@test "the usual image is taken where it is there, else bwrap, else it is said how to make it" {
    rm -r .devcontainer
    docker image rm aileron-base > /dev/null 2>&1 || true
    [ "$(aileron sandbox plan --json | jq -r .engine)" = bwrap ]
    run -125 aileron launch --sandbox=docker -- sh -c :
    grep -q 'needs an image. Make the usual one (aileron sandbox build)' <<< "$output"
    docker tag "$IMAGE" aileron-base
    run aileron launch -- /busybox sh -c 'echo "$AILERON_SANDBOX_TIER $AILERON_SANDBOX_IMAGE $AILERON_SANDBOX_RUNTIME"'
    grep -qx '0 aileron-base docker' <<< "$output"
    docker image rm aileron-base > /dev/null
}

@test "init writes a file that can be launched, and an agent's recipe, and overwrites nothing" {
    rm -r .devcontainer
    [ "$(aileron sandbox init --image=localhost:1/x:1)" = .devcontainer/devcontainer.json ]
    [ "$(image)" = localhost:1/x:1 ]
    run -1 aileron sandbox init
    grep -q 'is there already. Edit it' <<< "$output"
    aileron sandbox init --force --agent claude
    grep -qx 'FROM debian:12-slim' .devcontainer/Dockerfile
    grep -q '^RUN .*@anthropic-ai/claude-code' .devcontainer/Dockerfile
    aileron sandbox init --force --agent claude --image=alpine:3
    grep -q '^RUN apk add' .devcontainer/Dockerfile
    run -1 aileron sandbox init --force --agent goose
    grep -q 'no recipe for debian' <<< "$output"
    [[ $(image) =~ ^aileron-ws:[0-9a-f]{24}$ ]]
    rm -r .devcontainer
    ln -s "$WORLD" .devcontainer
    run -1 aileron sandbox init
    grep -q 'leads out of the project' <<< "$output"
    [ ! -e "$WORLD/devcontainer.json" ]
}

@test "check looks from inside, in one start: command, machine, workspace, socket" {
    run -0 aileron sandbox check -- sh
    for what in command machine workspace socket; do grep -q "^$what  *ok " <<< "$output"; done
    run -127 aileron sandbox check -- nothing-like-it
    grep -q '^command  *MISSING  nothing-like-it is not on the PATH' <<< "$output"
    grep -q '^socket  *ok' <<< "$output"
    /usr/bin/python3 -c '
import sys
data = bytearray(open("/bin/sh", "rb").read(4096)); data[18:20] = (243).to_bytes(2, "little")
open("foreign", "wb").write(data)'
    chmod +x foreign
    run -126 aileron sandbox check -- ./foreign
    grep -q 'made for another machine (ELF machine 243)' <<< "$output"
    run -0 aileron sandbox check --sandbox=bwrap -- sh
}
