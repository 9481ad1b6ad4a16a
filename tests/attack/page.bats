# The page under attack (A01, A03, A04), with curl: what no browser would send, and what any program on this machine may.
# What a browser itself does with another origin is in tests/e2e/page.bats.
bats_require_minimum_version 1.5.0
# bats file_tags=own-world
load ../lib/world.bash

setup_file() {
    world_start api.test || return 1
    export WORLD SECRET UP_PORT UP_PLAIN_PORT
    aileron connector add "$ROOT/tests/e2e/shim.connector.json"
}
teardown_file() { world_stop; }
setup() {
    world_clean_environment
    rm -rf "$WORLD/ws"/*
    PAGE=$(jq -r .page "$AILERON_HOME/run/daemon.json")
    PORT=${PAGE##*:}
}
teardown() { [ -z "${SANDBOX:-}" ] || { kill "$SANDBOX" 2> /dev/null; wait "$SANDBOX" 2> /dev/null; } || true; }

agent() { inside sh -c "$1" > "$WORLD/out" 2> "$WORLD/stderr" 3>&- & SANDBOX=$!; }
waiting() { aileron approvals list | awk '{print $1}'; }
worker_exited() { aileron audit list --event=worker.exit | grep -q 'reason=page'; }
one_waits() { [ "$(waiting | wc -l)" -eq 1 ]; }
state_of() { aileron approvals show --json "$1" | jq -r .state; }

# login: COOKIE and KEY, as the browser would have them.
login() {
    local link
    link=$(aileron open --print)
    curl -sS -D "$WORLD/head" -o "$WORLD/login" -H "Origin: $PAGE" -H 'Content-Type: application/json' \
        -d "{\"token\":\"${link##*=}\"}" "$PAGE/api/login"
    COOKIE=$(sed -n 's/^Set-Cookie: \([^;]*\).*/\1/p' "$WORLD/head")
    KEY=$(jq -r .key "$WORLD/login")
    [ ${#KEY} -eq 64 ]
}
# The status of a call; without further words it is as the page would make it.
call() { # METHOD PATH [CURL-ARGUMENT...]
    local method=$1 path=$2
    shift 2
    curl -sS --max-time 10 -o "$WORLD/answer" -w '%{http_code}\n' -X "$method" "$@" "$PAGE$path"
}
ours() { call "$@" -H "Cookie: $COOKIE" -H "X-Aileron-Key: $KEY" -H "Origin: $PAGE" -H 'Content-Type: application/json'; }
refused() { [ "$(call "$@")" = 403 ] || { echo "$*: $(cat "$WORLD/answer")"; return 1; }; }

@test "A01: a launch token opens nothing of the page, and a sandbox reaches it through the proxy as anybody would" {
    agent 'svc drop --wait || true'
    wait_for one_waits
    id=$(waiting)
    digest=$(aileron approvals show --json "$id" | jq -r .digest)
    run inside sh -c 'token=$(cat /run/aileron/token)
        for path in api/state api/approvals "api/decide?id='"$id"'" api/lock api/events; do
            for how in "Authorization: Bearer $token" "X-Aileron-Key: $token" "Cookie: aileron_'"$PORT"'=$token"; do
                curl -s -m 10 --noproxy "" -x "$HTTP_PROXY" -o answer -w "%{http_code}\n" -H "$how" '"$PAGE"'/$path
                curl -s -m 10 --noproxy "" -x "$HTTP_PROXY" -o answer -w "%{http_code}\n" -H "$how" -H "Origin: '"$PAGE"'" -H "Content-Type: application/json" \
                    -d "{\"decision\":\"approve\",\"digest\":\"'"$digest"'\"}" '"$PAGE"'/$path
            done; done'
    [ "$(grep -cE '^(403|405)$' <<< "$output")" -eq 30 ]
    [ "$(state_of "$id")" = pending ]
    aileron approvals deny "$id"
    wait "$SANDBOX"
    SANDBOX=
}

@test "A04: a name that was bound to 127.0.0.1 is not the page's, whatever it asks for" {
    login
    for host in evil.example evil.example:$PORT 127.0.0.1 localhost 127.0.0.1:1 "[::1]:$PORT" 127.1:$PORT \
        "127.0.0.1.:$PORT" "LOCALHOST:$PORT" "127.0.0.1:$PORT@evil.example" "x127.0.0.1:$PORT"; do
        for path in / /page.js /api/state; do
            refused GET $path -H "Host: $host" -H "Cookie: $COOKIE" -H "X-Aileron-Key: $KEY"
            grep -q '"code":"denied"' "$WORLD/answer"
        done
    done
    [ "$(call GET /api/state -H 'Host;')" = 403 ]
    [ "$(ours GET /api/state)" = 200 ]
    [ "$(call GET /api/state -H "Host: localhost:$PORT" -H "Cookie: $COOKIE" -H "X-Aileron-Key: $KEY")" = 200 ]
    aileron audit list --event=page | grep -q 'reason=host'
}

@test "A04: another origin posts with the cookie and even the key: refused, and nothing is decided" {
    agent 'svc drop --wait || true'
    wait_for one_waits
    id=$(waiting)
    login
    body="{\"decision\":\"approve\",\"digest\":\"$(aileron approvals show --json "$id" | jq -r .digest)\"}"
    all=(-H "Cookie: $COOKIE" -H "X-Aileron-Key: $KEY" -H 'Content-Type: application/json' -d "$body")
    refused POST "/api/decide?id=$id" "${all[@]}" # no Origin at all
    for origin in null http://evil.example "https://127.0.0.1:$PORT" "http://127.0.0.1:1" "http://localhost:$PORT" \
        "http://127.0.0.1:$PORT.evil.example" "http://evil.example/http://127.0.0.1:$PORT" ''; do
        refused POST "/api/decide?id=$id" "${all[@]}" -H "Origin${origin:+: $origin}${origin:-;}"
    done
    for site in cross-site same-site none; do
        refused POST "/api/decide?id=$id" "${all[@]}" -H "Origin: $PAGE" -H "Sec-Fetch-Site: $site"
        refused GET /api/events -H "Cookie: $COOKIE" -H "X-Aileron-Key: $KEY" -H "Sec-Fetch-Site: $site"
    done
    for type in text/plain application/x-www-form-urlencoded multipart/form-data 'application/json; x'; do # what a form can send
        [ "$(call POST "/api/decide?id=$id" -H "Cookie: $COOKIE" -H "X-Aileron-Key: $KEY" -H "Origin: $PAGE" \
            -H "Content-Type: $type" -d "$body")" = 415 ]
    done
    [ "$(state_of "$id")" = pending ]
    [ "$(ours POST "/api/decide?id=$id" -d "$body" -H 'Sec-Fetch-Site: same-origin')" = 200 ] # and the page itself may
    [ "$(ours POST "/api/decide?id=$id" -d "$body")" = 409 ]
    wait_for test "$(state_of "$id")" = approved
    wait "$SANDBOX"
    SANDBOX=
    aileron audit list --event=page | grep -q 'reason=origin'
    aileron audit list --event=page | grep -q 'reason=site'
}

@test "A04: no cookie, no key, another's, or both swapped: nothing; the cookie is for one port alone" {
    login
    local first_cookie=$COOKIE first_key=$KEY
    login
    refused GET /api/state
    refused GET /api/state -H "Cookie: $COOKIE"
    refused GET /api/state -H "X-Aileron-Key: $KEY"
    refused GET /api/state -H "Cookie: $first_cookie" -H "X-Aileron-Key: $KEY"
    refused GET /api/state -H "Cookie: aileron_$PORT=$KEY" -H "X-Aileron-Key: ${COOKIE#*=}"
    refused GET /api/state -H "Cookie: aileron_1=${COOKIE#*=}" -H "X-Aileron-Key: $KEY"
    refused GET /api/state -H "Cookie: x$COOKIE" -H "X-Aileron-Key: $KEY"
    refused GET /api/state -H "Cookie: ${COOKIE}0" -H "X-Aileron-Key: $KEY"
    [ "$(call GET /api/state -H "Cookie: a=b; $first_cookie; c" -H "X-Aileron-Key: $first_key")" = 200 ]
    grep -q '; Path=/; HttpOnly; SameSite=Strict' "$WORLD/head"
    # A restarted daemon knows no login of the one before.
    wait_for aileron daemon stop > /dev/null
    aileron vault unlock > /dev/null
    PAGE=$(jq -r .page "$AILERON_HOME/run/daemon.json") PORT=${PAGE##*:}
    refused GET /api/state -H "Cookie: aileron_$PORT=${COOKIE#*=}" -H "X-Aileron-Key: $KEY"
}

@test "A04: a link works once, and its token is in no log, record or address that a server sees" {
    link=$(aileron open --print)
    [[ $link == $PAGE/#login=* ]]
    for try in 200 403 403; do
        [ "$(call POST /api/login -H "Origin: $PAGE" -H 'Content-Type: application/json' -d "{\"token\":\"${link##*=}\"}")" = $try ]
    done
    for token in '' "$(printf '%064d' 0)" "${link##*=}0"; do
        [ "$(call POST /api/login -H "Origin: $PAGE" -H 'Content-Type: application/json' -d "{\"token\":\"$token\"}")" = 403 ]
    done
    absent -rqF "${link##*=}" "$AILERON_HOME"
    absent -rqF "$(jq -r '.key // "none-at-all"' "$WORLD/answer")" "$AILERON_HOME"
}

@test "A04: every answer forbids frames, foreign scripts, sniffing, keeping and leaking its address" {
    login
    for path in / /page.js /page.css /api/state /api/nothing; do
        curl -sS -o "$WORLD/answer" -D "$WORLD/head" --compressed -H "Cookie: $COOKIE" -H "X-Aileron-Key: $KEY" "$PAGE$path"
        for field in "Content-Security-Policy: default-src 'none'; script-src 'self'" 'X-Content-Type-Options: nosniff' \
            'Referrer-Policy: no-referrer' 'Cache-Control: no-store' 'Cross-Origin-Opener-Policy: same-origin' \
            'Cross-Origin-Resource-Policy: same-origin' 'X-Frame-Options: DENY'; do
            grep -qF "$field" "$WORLD/head"
        done
        grep -q "frame-ancestors 'none'" "$WORLD/head"
        grep -q "base-uri 'none'" "$WORLD/head"
        absent -q unsafe "$WORLD/head"
        absent -qi 'access-control-allow' "$WORLD/head"
    done
    refused GET / --compressed -H 'Sec-Fetch-Dest: iframe'
    [ "$(cat "$ROOT"/contrib/page/* | wc -c)" -le $((120 * 1024)) ]
    absent -nE 'https?://' "$ROOT/contrib/page/page.js" "$ROOT/contrib/page/page.css"
    absent -nE 'innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function' "$ROOT/contrib/page/page.js"
}

@test "A04: what is no request of a page: 4xx, and the page goes on" {
    login
    [ "$(ours DELETE /api/state)" = 405 ]
    [ "$(ours GET /api/../state --path-as-is)" = 404 ]
    [ "$(ours GET /%61pi/state)" = 404 ]
    [ "$(ours GET "/api/approvals?limit=-1")" = 400 ]
    [ "$(ours GET "/api/approvals?limit=99999999999999999999")" = 400 ]
    [ "$(ours GET "/api/approval?id=$(printf '%0100d' 0)")" = 400 ]
    [ "$(ours GET "/api/hosts?session=..%2f..")" = 200 ] # of no session, and so of no host
    head -c 200000 /dev/zero | tr '\0' ' ' > "$WORLD/large"
    [ "$(ours POST /api/decide?id=x -d "@$WORLD/large")" = 413 ]
    [ "$(call GET / )" = 406 ]
    printf 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n' > "/dev/tcp/127.0.0.1/$PORT"
    head -c 100000 /dev/urandom > "/dev/tcp/127.0.0.1/$PORT" || true
    [ "$(ours GET /api/state)" = 200 ]
    absent -q 'worker.protocol\|worker.exit.*page' <(aileron audit list)
}

@test "the page worker is confined, has nothing open but its sockets, and is started again where it dies" {
    login
    worker=$(pgrep -P "$(cat "$AILERON_HOME/run/daemon.pid")" -f page-worker)
    grep -q '^Seccomp:[[:space:]]*2$' "/proc/$worker/status"
    grep -q '^NoNewPrivs:[[:space:]]*1$' "/proc/$worker/status"
    [ -z "$(tr -d '\0' < "/proc/$worker/environ" | grep -o 'AILERON[A-Z_]*')" ]
    ls -l "/proc/$worker/fd" | awk 'NR > 1 && $9 > 2 {print $11}' > "$WORLD/open"
    absent -qv '^socket:\|^anon_inode:\|^pipe:' "$WORLD/open"
    kill -9 "$worker"
    wait_for worker_exited
    [ "$(ours GET /api/state)" = 200 ] # the login is the monitor's
}

@test "A05: many connections, and many that say nothing: bounded, and a login still works" {
    local fds=() i fd
    for i in $(seq 80); do exec {fd}<> "/dev/tcp/127.0.0.1/$PORT" && fds+=("$fd"); done
    worker=$(pgrep -P "$(cat "$AILERON_HOME/run/daemon.pid")" -f page-worker)
    [ "$(ls "/proc/$worker/fd" | wc -l)" -le 80 ]
    for fd in "${fds[@]}"; do exec {fd}>&-; done
    login
    [ "$(ours GET /api/state)" = 200 ]
}
