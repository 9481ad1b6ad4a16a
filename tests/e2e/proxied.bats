# Upstreams through a corporate proxy: the real squid, with user names, passwords and rules of its own.
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0
ENGINE=bwrap

setup_file() {
    world_start api.test other.test named.test || return 1
    sed -i '/host: named.test/d' "$AILERON_HOME/config.yaml" # the proxy alone knows where that is
    SQUID=$WORLD/squid PROXY_SECRET=pw-$(od -An -N18 -tx1 /dev/urandom | tr -d ' \n')
    PROXY_PORT=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    squid_start || return 1
    printf '%s' "$PROXY_SECRET" | aileron vault put --kind=basic --username=corp user/corp-proxy
    printf 'wrong' | aileron vault put --kind=basic --username=corp user/wrong-proxy
    cp "$AILERON_HOME/config.yaml" "$WORLD/config.yaml"
    export WORLD SECRET UP_PORT UP_PLAIN_PORT SQUID SQUID_PID PROXY_SECRET PROXY_PORT
}

squid_start() {
    mkdir "$SQUID"
    printf 'corp:%s\n' "$(openssl passwd -apr1 "$PROXY_SECRET")" > "$SQUID/passwords"
    printf '127.0.0.1 named.test localhost\n' > "$SQUID/hosts"
    cat > "$SQUID/squid.conf" <<CONF
http_port 127.0.0.1:$PROXY_PORT
auth_param basic program /usr/lib/squid/basic_ncsa_auth $SQUID/passwords
acl known proxy_auth REQUIRED
acl connecting method CONNECT
acl forbidden port 81
http_access deny forbidden
http_access allow connecting known
http_access deny all
hosts_file $SQUID/hosts
cache deny all
access_log stdio:$SQUID/access.log
cache_log $SQUID/cache.log
cache_store_log none
pid_filename $SQUID/squid.pid
coredump_dir $SQUID
max_filedescriptors 1024
shutdown_lifetime 0 seconds
netdb_filename none
pinger_enable off
CONF
    [ "$(id -u)" -ne 0 ] || { chmod 711 "$WORLD"; chown -R proxy "$SQUID"; }
    squid -N -f "$SQUID/squid.conf" > "$SQUID/out" 2>&1 3>&- < /dev/null &
    SQUID_PID=$!
    wait_for squid_listens
}
squid_listens() { (exec 9<> "/dev/tcp/127.0.0.1/$PROXY_PORT"); }

teardown_file() {
    kill "$SQUID_PID" 2> /dev/null || true
    wait "$SQUID_PID" 2> /dev/null || true
    world_stop
}

setup() {
    world_clean_environment
    : > "$WORLD/up/requests.log"
    cp "$WORLD/config.yaml" "$AILERON_HOME/config.yaml"
}

through() { # KEY...: of the section network, beside the proxy's address
    {
        printf 'network:\n  upstream_proxy: "http://127.0.0.1:%s"\n' "$PROXY_PORT"
        [ $# -eq 0 ] || printf '  %s\n' "$@"
    } >> "$AILERON_HOME/config.yaml"
    aileron daemon reload
}
authorised() { through 'upstream_proxy_credential: user/corp-proxy' "$@"; }
through_more_than() { [ "$(proxied "$1")" -eq $(($2 + 1)) ]; } # squid says so when a tunnel is over
proxied() { grep -c "TCP_TUNNEL/200 .* CONNECT $1 corp " "$SQUID/access.log" || true; }

@test "a credentialed request goes inside a tunnel that the proxy cannot look into" {
    authorised
    before=$(proxied "127.0.0.1:$UP_PORT")
    run -0 inside curl -sS https://api.test/user
    grep -q '"login": "octo"' <<< "$output"
    wait_for through_more_than "127.0.0.1:$UP_PORT" "$before"
    absent -F "$SECRET" "$SQUID/access.log" "$SQUID/cache.log"
    [ "$(upstream_count)" -eq 1 ]
    absent -i 'proxy-authorization\|corp' "$WORLD/up/requests.log"
}

@test "plain http, and TLS that is relayed untouched, go through it too" {
    sed -i "s/api.test, other.test/api.test/; s/, named.test//; s/, plain.test//" "$AILERON_HOME/bindings.yaml"
    authorised
    before=$(proxied "127.0.0.1:$UP_PLAIN_PORT")
    run -0 inside curl -sS -o /dev/null -w '%{http_code}' "http://plain.test:$UP_PLAIN_PORT/public"
    wait_for through_more_than "127.0.0.1:$UP_PLAIN_PORT" "$before"
    before=$(proxied "127.0.0.1:$UP_PORT")
    cp "$WORLD/up/ca.pem" "$WORLD/ws/ca.pem"
    run -0 inside curl -sS --cacert ca.pem -o /dev/null -w '%{http_code}' https://other.test/public
    world_bindings api.test other.test named.test
    wait_for through_more_than "127.0.0.1:$UP_PORT" "$before"
}

@test "names that only the proxy knows are left to it where the user says so, and not else" {
    authorised
    run -0 inside curl -sS "https://named.test:$UP_PORT/user"
    grep -q 'network.upstream_proxy_resolves' <<< "$output"
    [ "$(upstream_count)" -eq 0 ]
    cp "$WORLD/config.yaml" "$AILERON_HOME/config.yaml"
    authorised 'upstream_proxy_resolves: true'
    run -0 inside curl -sS "https://named.test:$UP_PORT/user"
    grep -q '"login": "octo"' <<< "$output"
    wait_for through_more_than "named.test:$UP_PORT" 0
}

@test "E05 E06 a private address, and a machine's own name, are refused before the proxy hears of them" {
    authorised 'upstream_proxy_resolves: true'
    asked=$(wc -l < "$SQUID/access.log")
    run -0 inside sh -c 'for url in http://10.1.2.3/ http://169.254.169.254/ http://[::ffff:10.1.2.3]/ \
        http://x.localhost:1/; do curl -sS --noproxy "" -x http://127.0.0.1:3128 "$url"; done'
    [ "$(grep -c '"rule":"network.private"' <<< "$output")" -eq 3 ]
    [ "$(grep -c "not in the host's table" <<< "$output")" -eq 1 ]
    [ "$(wc -l < "$SQUID/access.log")" -eq "$asked" ]
}

@test "the proxy's own questions and refusals are ours to tell, never passed on" {
    through
    run -0 inside curl -sS -i https://api.test/user
    grep -q '^HTTP/[12.]* 502' <<< "$output"
    grep -q 'wants a user name and a password (407)' <<< "$output"
    absent -i '^proxy-authenticate' <<< "$output"
    cp "$WORLD/config.yaml" "$AILERON_HOME/config.yaml"
    through 'upstream_proxy_credential: user/wrong-proxy'
    run -0 inside curl -sS -i https://api.test/user
    grep -q 'does not take the credential user/wrong-proxy (407)' <<< "$output"
    absent -i '^proxy-authenticate' <<< "$output"
    cp "$WORLD/config.yaml" "$AILERON_HOME/config.yaml"
    authorised
    run -0 inside curl -sS -i --noproxy '' -x http://127.0.0.1:3128 http://127.0.0.1:81/
    grep -q 'refuses to connect to 127.0.0.1:81 (403)' <<< "$output"
    absent -i 'squid' <<< "$output"
    [ "$(upstream_count)" -eq 0 ]
}

@test "C01 the proxy's password is nowhere in the sandbox, and C12 nothing goes without it" {
    authorised
    run -0 inside sh -c 'curl -sS https://api.test/user > /dev/null; env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline \
        2> /dev/null; cat /run/aileron/* /etc/aileron/* 2> /dev/null; true'
    [ "$(grep -caF "$PROXY_SECRET" <<< "$output")" -eq 0 ]
    absent -rF "$PROXY_SECRET" "$AILERON_HOME"
    aileron vault lock
    run -0 inside curl -sS -w ' %{http_code}' https://api.test/user
    aileron vault unlock
    grep -q '"code":"vault_locked"' <<< "$output"
    grep -q ' 403$' <<< "$output"
}

@test "each use of it is on the record" {
    authorised
    run -0 inside curl -sS https://api.test/user
    aileron audit list --event=credential --json > "$WORLD/record"
    jq -se 'map(select(.scheme == "proxy" and .entry == "user/corp-proxy" and .host == "api.test" and
        .decision == "allow")) | length > 0' "$WORLD/record"
    absent -F "$PROXY_SECRET" "$WORLD/record"
}

@test "no_proxy is reached directly, and a proxy that is not there is said to be" {
    authorised 'no_proxy: [other.test]'
    sed -i "s/127.0.0.1:$PROXY_PORT/127.0.0.1:9/" "$AILERON_HOME/config.yaml"
    aileron daemon reload
    run -0 inside curl -sS https://other.test/user
    grep -q '"login": "octo"' <<< "$output"
    run -0 inside curl -sS -w ' %{http_code}' https://api.test/user
    grep -q 'cannot reach the upstream proxy 127.0.0.1 port 9' <<< "$output"
    grep -q ' 502$' <<< "$output"
}

@test "doctor says which proxy, and what it does not take from the environment" {
    authorised 'no_proxy: [other.test]'
    run aileron doctor
    grep -q "^proxy *ok *http://127.0.0.1:$PROXY_PORT, credential user/corp-proxy; names are resolved here; 1 exception" \
        <<< "$output"
    cp "$WORLD/config.yaml" "$AILERON_HOME/config.yaml"
    run aileron doctor
    grep -q '^proxy *ok *none' <<< "$output"
    https_proxy=http://user:secret@proxy.example:3128 run aileron doctor
    grep -q '^proxy *warning' <<< "$output"
    grep -q 'network.upstream_proxy' <<< "$output"
    absent -F secret <<< "$output"
}
