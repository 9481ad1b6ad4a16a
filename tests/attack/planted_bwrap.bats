# F11: what an agent leaves in the workspace for the host to run is shown to the person when the session ends, and is on
# the record. The file's name says the engine: planted_docker.bats is a link to this one.
# bats file_tags=own-world
load ../lib/world.bash
world_by_engine
bats_require_minimum_version 1.5.0

setup() {
    world_enter
    rm -rf "$WORLD/ws"
    mkdir "$WORLD/ws"
    cd "$WORLD/ws"
    git init -q .
    git config user.name "A Person"
    give
}

# Under docker the agent is whoever owns the workspace; bwrap cannot become another for root.
give() { [ "$ENGINE" != docker ] || chown -R 1234:1234 "$WORLD/ws"; }

# The record's lines of the newest session.
recorded() {
    local session
    session=$(aileron audit list --json | grep '"event":"session.start"' | tail -n 1 | sed 's/.*"session":"\([^"]*\)".*/\1/')
    aileron audit list --json --session="$session" | grep '"event":"workspace.executable"'
}

@test "F11: planted hooks, tasks and configuration are shown at the end, and on the record" {
    echo 'export A=1' > .envrc
    give
    run --separate-stderr inside sh -c '
        echo "#!/bin/sh" > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit
        mkdir .vscode; echo "{}" > .vscode/tasks.json
        printf "[core]\n\tfsmonitor = ./evil\n" >> .git/config
        echo "export A=2" > .envrc; touch -d "2001-01-01" .envrc
        mkdir -p docs/objects docs/refs docs/hooks; echo "ref: refs/heads/x" > docs/HEAD; echo x > docs/config
        ln -s /etc/shadow notes.txt
        echo done'
    [ "$status" -eq 0 ]
    [ "$output" = done ]
    grep -qx 'aileron: changed in this session, and run by this host without being asked: 6 files. Look at them before you go on' <<< "$stderr"
    for line in 'changed  .envrc  (direnv)' 'changed  .git/config  (git)' 'new      .git/hooks/pre-commit  (git)' \
        'new      .vscode/tasks.json  (VS Code)' 'new      docs/config  (git)' \
        'new      notes.txt  (a link that leads out of the workspace)'; do
        grep -qxF "aileron:   $line" <<< "$stderr"
    done
    [ "$(recorded | wc -l)" -eq 6 ]
    recorded | grep '"path":".git/hooks/pre-commit"' | grep '"change":"new"' | grep -q '"runs":"git"'
    aileron audit verify
}

# What runs is git's own doing: each of these is `git status`, as a prompt or an editor calls it.
@test "F11: repositories where nobody looks, halves of one, and what a configuration includes" {
    mkdir conf sub
    printf '[user]\n\tname = A Person\n' > conf/git
    git config -f .git/config include.path ../conf/git
    give
    run --separate-stderr inside sh -c '
        export HOME=/tmp GIT_CONFIG_NOSYSTEM=1; git config --global --add safe.directory "*"
        git config --global user.email a@b; git config --global user.name a
        marks() { printf "[core]\n\tfsmonitor = \"touch \$HOME/%s; false\"\n" "$1"; }
        marks included >> conf/git
        mkdir -p node_modules/a evil/objects evil/refs
        (cd node_modules/a; git init -q; echo x > x; git add x; git commit -qm x)
        git update-index --add --cacheinfo "160000,$(git -C node_modules/a rev-parse HEAD),node_modules/a"
        marks submodule >> node_modules/a/.git/config
        echo "ref: refs/heads/x" > sub/HEAD; echo ../evil > sub/commondir; cp .git/index sub/index
        { printf "[core]\n\trepositoryformatversion = 1\n"; marks half; printf "[extensions]\n\tworktreeConfig = true\n"; } > evil/config
        printf "[core]\n\tbare = false\n\tworktree = ..\n" > sub/config.worktree'
    [ "$status" -eq 0 ]
    for line in 'changed  conf/git  (git, whose configuration includes it)' 'new      node_modules/a/.git/config  (git)' \
        'new      sub/commondir  (git)'; do
        grep -qxF "aileron:   $line" <<< "$stderr" || { echo "$line"; echo "$stderr"; false; }
    done
    # So it would have been: what is told is what runs.
    if [ "$ENGINE" = bwrap ]; then
        mkdir "$WORLD/person"
        HOME=$WORLD/person git status > /dev/null 2>&1 || true
        (cd sub && HOME=$WORLD/person git status > /dev/null 2>&1) || true
        [ "$(ls "$WORLD/person" | tr '\n' ' ')" = 'half included submodule ' ]
    fi
}

@test "F11: a session that plants nothing says nothing" {
    echo 'all:' > Makefile
    give
    run --separate-stderr inside sh -c 'echo x >> Makefile; echo "[branch \"x\"]" >> .git/config
        printf "\tremote = origin\n" >> .git/config; mkdir -p node_modules/a; echo "{}" > node_modules/a/package.json'
    [ "$status" -eq 0 ]
    absent 'run by this host' <<< "$stderr"
    run recorded
    [ -z "$output" ]
}

@test "F11: the agent's exit status is kept, and what it planted before it failed is told" {
    run --separate-stderr inside sh -c 'echo x > .npmrc; exit 7'
    [ "$status" -eq 7 ]
    grep -qxF 'aileron:   new      .npmrc  (npm)' <<< "$stderr"
    run --separate-stderr inside sh -c 'echo x > .envrc; kill -9 $$'
    [ "$status" -eq 137 ]
    grep -qxF 'aileron:   new      .envrc  (direnv)' <<< "$stderr"
}

@test "F11: names that would write on the terminal are escaped, there and on the record" {
    run --separate-stderr inside python3 -c '
import os
os.mkdir(".vscode")
for name in (b".vscode/\x1b[2Jx.json", b".vscode/\xff\n.json", ".vscode/\u202egnp.json".encode()): open(name, "w").close()'
    [ "$status" -eq 0 ]
    grep -qF '.vscode/\x1b[2Jx.json' <<< "$stderr"
    grep -qF '.vscode/\xff\x0a.json' <<< "$stderr"
    grep -qF '.vscode/\u{202e}gnp.json' <<< "$stderr"
    absent -P '\x1b|\x{202e}' <<< "$stderr"
    [ "$(recorded | wc -l)" -eq 3 ]
}

@test "F11: FIFOs, loops and a flood of names neither hang nor hide a hook" {
    cat > flood.py <<'PY'
import os
os.mkfifo(".envrc"); os.mkdir(".vscode"); os.symlink("..", ".vscode/up"); os.symlink(".vscode", ".zed")
os.mkfifo(".vscode/tasks.json"); os.symlink(".husky", ".husky")
for folder in range(5):
    os.mkdir("f%d" % folder)
    for i in range(41000): os.mknod("f%d/%d" % (folder, i))
for i in range(150): os.makedirs("z%03d" % i); open("z%03d/.envrc" % i, "w").close()
open(".git/hooks/post-checkout", "w").close()
PY
    SECONDS=0
    run --separate-stderr inside timeout 120 python3 flood.py
    [ "$status" -eq 0 ]
    grep -qxF 'aileron:   new      .git/hooks/post-checkout  (git)' <<< "$stderr"
    grep -qxF 'aileron:   new      .envrc  (direnv)' <<< "$stderr"
    grep -qE '^aileron:   and [0-9]+ more: aileron audit list --session=' <<< "$stderr"
    grep -qE '^aileron: not all of the workspace was looked at .*\((too many names|the time for it)' <<< "$stderr"
    [ "$(recorded | wc -l)" -le 101 ]
    recorded | grep -q '"message":"t'
}

@test "F11: a session that was ended by another is told and recorded as well" {
    inside sh -c 'echo x > .envrc; touch here; sleep 60' 2> "$WORLD/said" &
    launcher=$!
    wait_for test -e here
    session=$(aileron sessions list | grep -oE '[0-9A-HJKMNP-TV-Z]{26}' | head -n 1)
    aileron sessions end "$session"
    wait "$launcher" || true
    grep -qxF 'aileron:   new      .envrc  (direnv)' "$WORLD/said"
    recorded | grep -q '"path":".envrc"'
}

@test "F11: what is said to the record is bounded, and only about a session" {
    session=$(aileron audit list --json | grep '"event":"session.start"' | tail -n 1 | sed 's/.*"session":"\([^"]*\)".*/\1/')
    post() { # SESSION BODY
        curl -sS --unix-socket "$AILERON_HOME/run/control.sock" -o /dev/null -w '%{http_code}' \
            -d "$2" "http://localhost/v1/sessions/$1/executable"
    }
    before=$(aileron audit list --json | wc -l)
    [ "$(post 01ARZ3NDEKTSV4RRFFQ69G5FAV '{"files":[],"total":0}')" = 404 ]
    [ "$(post "$session" '{"files":[{"path":"a","change":"odd","runs":"git"}],"total":1}')" = 400 ]
    [ "$(post "$session" '{"files":[{"path":"a\u001b","change":"new","runs":"git"}],"total":1}')" = 400 ]
    [ "$(post "$session" '{"files":[{"path":"a","change":"new","runs":"git","x":1}],"total":1}')" = 400 ]
    file='{"path":"a","change":"new","runs":"git"}'
    list=$(printf ",$file%.0s" $(seq 101))
    [ "$(post "$session" "{\"files\":[${list:1}],\"total\":101}")" = 400 ]
    [ "$(aileron audit list --json | wc -l)" = "$before" ]
    list=$(printf ",$file%.0s" $(seq 100))
    [ "$(post "$session" "{\"files\":[${list:1}],\"total\":100}")" = 201 ]
    [ "$(aileron audit list --json | wc -l)" = "$((before + 100))" ]
}
