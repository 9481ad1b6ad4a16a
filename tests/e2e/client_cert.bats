# Client certificates for upstreams, with servers that insist on one: nginx (TLS 1.3 and 1.2) and openssl.
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0
ENGINE=bwrap

setup_file() {
    world_start api.test mtls.test old.test || return 1
    PKI=$WORLD/pki
    certificates || return 1
    nginx_start || return 1
    sed -i "/host: mtls.test/d; /host: old.test/d" "$AILERON_HOME/config.yaml"
    cat >> "$AILERON_HOME/config.yaml" <<YAML
  - { host: mtls.test, address: "127.0.0.1:$NGINX_PORT", client_cert: user/mtls }
  - { host: old.test, address: "127.0.0.1:$OLD_PORT", client_cert: user/mtls }
  - { host: bare.test, address: "127.0.0.1:$NGINX_PORT" }
YAML
    world_bindings api.test
    cp "$AILERON_HOME/config.yaml" "$WORLD/config.yaml"
    export WORLD SECRET UP_PORT UP_PLAIN_PORT PKI NGINX_PID NGINX_PORT OLD_PORT
}

free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A root, an intermediate that the server does not have, and a client's certificate below it; one of another root.
certificates() (
    mkdir "$PKI"; cd "$PKI"; umask 077
    key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
    root() { key "$1"; openssl req -x509 -new -key "$1.key" -days 30 -subj "/CN=$1" -out "$1.crt" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign; }
    below() { # NAME ISSUER EXTENSION...
        local name=$1 issuer=$2
        shift 2
        [ -e "$name.key" ] || key "$name"
        openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr"
        printf '%s\n' "$@" > "$name.ext"
        openssl x509 -req -in "$name.csr" -CA "$issuer.crt" -CAkey "$issuer.key" -CAcreateserial -days 10 \
            -extfile "$name.ext" -out "$name.crt"
    }
    {
        root clients && root strangers &&
            below middle clients basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign &&
            below agent middle extendedKeyUsage=clientAuth &&
            openssl genrsa -out second.key 2048 && below second middle extendedKeyUsage=clientAuth &&
            below stranger strangers extendedKeyUsage=clientAuth
    } 2> openssl.log || { cat openssl.log >&2; exit 1; }
    cat agent.crt middle.crt agent.key > agent.pem
    cat second.crt middle.crt second.key > second.pem
    cat stranger.crt stranger.key > stranger.pem
    cat agent.crt stranger.key > mixed.pem
    # What of the key could stand in a memory: its text, its number, and that in the order of a computer's words.
    sed -n 2p agent.key | cut -c11-52 | tr -d '\n' > key.text # what is the same in all keys is left out
    openssl ec -in agent.key -outform DER | tail -c +8 | head -c 32 > key.number
    /usr/bin/python3 -c 'import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])' < key.number > key.words
    aileron vault put --kind=certificate --from-file=agent.pem user/mtls &&
        aileron vault put --kind=certificate --from-file=second.pem user/second &&
        aileron vault put --kind=certificate --from-file=stranger.pem user/stranger
)

nginx_start() {
    NGINX_PORT=$(free_port) OLD_PORT=$(free_port)
    mkdir "$WORLD/nginx"
    [ "$(id -u)" -ne 0 ] || chmod 711 "$WORLD"
    server() { # PORT CERTIFICATE PROTOCOL
        cat <<CONF
    server {
        listen 127.0.0.1:$1 ssl http2;
        ssl_certificate $WORLD/up/$2.pem;
        ssl_certificate_key $WORLD/up/$2.pem;
        ssl_protocols $3;
        ssl_client_certificate $PKI/clients.crt;
        ssl_verify_client on;
        ssl_verify_depth 3;
        location / { return 200 "you are \$ssl_client_s_dn, connection \$connection, resumed \$ssl_session_reused\\n"; }
    }
CONF
    }
    {
        [ "$(id -u)" -ne 0 ] || echo 'user root;'
        cat <<CONF
daemon off;
master_process off;
pid $WORLD/nginx/pid;
error_log $WORLD/nginx/error.log;
events { }
http {
    access_log $WORLD/nginx/access.log;
    client_body_temp_path $WORLD/nginx/body;
    proxy_temp_path $WORLD/nginx/proxy;
    fastcgi_temp_path $WORLD/nginx/fastcgi;
    uwsgi_temp_path $WORLD/nginx/uwsgi;
    scgi_temp_path $WORLD/nginx/scgi;
CONF
        server "$NGINX_PORT" mtls.test TLSv1.3
        server "$OLD_PORT" old.test TLSv1.2
        echo '}'
    } > "$WORLD/nginx/nginx.conf"
    nginx -c "$WORLD/nginx/nginx.conf" > "$WORLD/nginx/out" 2>&1 3>&- < /dev/null &
    NGINX_PID=$!
    wait_for nginx_listens
}
nginx_listens() { (exec 9<> "/dev/tcp/127.0.0.1/$NGINX_PORT" && exec 8<> "/dev/tcp/127.0.0.1/$OLD_PORT"); }

teardown_file() {
    kill "$NGINX_PID" 2> /dev/null || true
    wait "$NGINX_PID" 2> /dev/null || true
    world_stop
}

setup() {
    world_clean_environment
    cp "$WORLD/config.yaml" "$AILERON_HOME/config.yaml"
    aileron daemon reload
}

with_entry() {
    sed "s|client_cert: user/mtls|client_cert: $1|" "$WORLD/config.yaml" > "$AILERON_HOME/config.yaml"
    aileron daemon reload
}

@test "the certificate is shown with its chain, over TLS 1.3 and 1.2, HTTP/1.1 and HTTP/2" {
    for host in mtls.test old.test; do
        for version in --http1.1 --http2; do
            run -0 inside curl -sS "$version" "https://$host/"
            grep -q '^you are CN=agent,' <<< "$output"
        done
    done
}

@test "an RSA key does as well" {
    with_entry user/second
    for host in mtls.test old.test; do
        run -0 inside curl -sS "https://$host/"
        grep -q '^you are CN=second,' <<< "$output"
    done
}

@test "requests share its connection, and a new one is a full handshake" {
    sed -i '/^limits/d' "$AILERON_HOME/config.yaml"
    run -0 inside sh -c 'for i in 1 2 3; do curl -sS https://mtls.test/; done'
    [ "$(grep -o 'connection [0-9]*' <<< "$output" | sort -u | wc -l)" -eq 1 ]
    before=$(aileron audit list --event=credential --json | grep -c '"scheme":"mtls"')
    echo 'limits: { pool_total: 0, pool_idle_ms: 0 }' >> "$AILERON_HOME/config.yaml"
    aileron daemon reload
    run -0 inside sh -c 'for i in 1 2 3; do curl -sS --http1.1 https://old.test/; sleep 0.2; done'
    [ "$(grep -c '^you are CN=agent,.* resumed \.$' <<< "$output")" -eq 3 ]
    after=$(aileron audit list --event=credential --json | grep -c '"scheme":"mtls"')
    [ "$((after - before))" -eq "$(grep -o 'connection [0-9]*' <<< "$output" | sort -u | wc -l)" ]
}

@test "C04 the same server by a name without a certificate gets none" {
    cp "$WORLD/up/mtls.test.pem" "$WORLD/up/kept.pem"
    sed -i "s/host: bare.test/host: mtls.test, port: 444/; s/host: mtls.test, address/host: mtls.test, port: 443, address/" \
        "$AILERON_HOME/config.yaml"
    aileron daemon reload
    cp "$WORLD/up/ca.pem" "$WORLD/ws/ca.pem"
    run -0 inside sh -c 'curl -sS --http1.1 https://mtls.test/; curl -sS --http1.1 --cacert ca.pem https://mtls.test:444/'
    grep -q '^you are CN=agent,' <<< "$output"
    grep -q 'No required SSL certificate was sent' <<< "$output"
}

@test "a certificate that the server does not take, and one that is missing, are said to be" {
    with_entry user/stranger
    run -0 inside curl -sS -w ' %{http_code}' --http1.1 https://old.test/
    grep -q 'The SSL certificate error\| 502$' <<< "$output"
    absent 'you are' <<< "$output"
    with_entry user/nothing
    run -0 inside curl -sS -w ' %{http_code}' https://mtls.test/
    grep -q 'the client certificate for mtls.test: upstreams.client_cert' <<< "$output"
    grep -q ' 502$' <<< "$output"
    with_entry user/api
    run -0 inside curl -sS https://mtls.test/
    grep -q 'entry user/api is of kind token, and certificate is needed' <<< "$output"
}

@test "C12 with a locked vault no connection is made" {
    aileron vault lock
    run -0 inside curl -sS -w ' %{http_code}' https://mtls.test/
    aileron vault unlock
    grep -q '"code":"vault_locked"' <<< "$output"
    grep -q ' 403$' <<< "$output"
}

@test "C05 plain http to its host is refused, and so is a server that cannot prove its name" {
    run -0 inside curl -sS -w ' %{http_code}' http://mtls.test/
    grep -q 'over TLS alone' <<< "$output"
    grep -q ' 502$' <<< "$output"
    sed -i 's|host: selfsigned.test, |host: selfsigned.test, client_cert: user/mtls, |' "$AILERON_HOME/config.yaml"
    aileron daemon reload
    run -0 inside curl -sS -w ' %{http_code}' https://selfsigned.test/user
    grep -q 'self-signed' <<< "$output"
}

@test "a host that the policy denies gets no connection and no certificate" {
    cp "$AILERON_HOME/policy.yaml" "$WORLD/policy.yaml"
    echo '  - { host: mtls.test, action: deny }' >> "$AILERON_HOME/policy.yaml"
    aileron daemon reload
    before=$(aileron audit list --event=credential --json | grep -c '"scheme":"mtls"')
    run -0 inside curl -sS https://mtls.test/
    cp "$WORLD/policy.yaml" "$AILERON_HOME/policy.yaml"
    grep -q '"code":"denied"' <<< "$output"
    [ "$(aileron audit list --event=credential --json | grep -c '"scheme":"mtls"')" -eq "$before" ]
}

@test "C01 the key is nowhere in the sandbox, nor in the worker when the handshake is over" {
    [ "$(id -u)" -eq 0 ] || skip "only root can look into a worker"
    line=$(cat "$PKI/key.text")
    (inside sh -c 'curl -sS https://mtls.test/ > answer; env > seen; cat /proc/[0-9]*/environ /run/aileron/* \
        /etc/aileron/* >> seen 2> /dev/null; mv seen one; until [ -e two ]; do sleep 0.05; done') 3>&- &
    launch=$!
    wait_for test -e "$WORLD/ws/one"
    worker=$(pgrep -P "$(cat "$AILERON_HOME/run/daemon.pid")")
    for needle in text number words; do
        run "$TESTS_LIB/sweep" "$PKI/key.$needle" --memory "$worker"
        echo "$needle: $output"
        [ "$status" -eq 0 ]
    done
    touch "$WORLD/ws/two"
    wait "$launch"
    grep -q '^you are CN=agent,' "$WORLD/ws/answer"
    absent -aF "$line" "$WORLD/ws/one"
    rm "$WORLD/ws/one" "$WORLD/ws/two" "$WORLD/ws/answer"
    absent -rF "$line" "$AILERON_HOME"
}

@test "what is no certificate with its key is refused when it is put in" {
    run -65 aileron vault put --kind=certificate --from-file="$PKI/mixed.pem" user/bad
    grep -q 'do not match' <<< "$output"
    run -65 aileron vault put --kind=certificate --from-file="$PKI/agent.crt" user/bad
    grep -q "cannot read the client certificate's key" <<< "$output"
    run -65 aileron vault put --kind=certificate --from-file="$PKI/agent.key" user/bad
    grep -q 'cannot read the client certificate' <<< "$output"
}

@test "a client certificate is no token" {
    printf 'version: 1\nbindings:\n  - { name: user/mtls, hosts: [api.test], scheme: bearer }\n' \
        > "$AILERON_HOME/bindings.yaml"
    aileron daemon reload
    run -0 inside curl -sS https://api.test/user
    world_bindings api.test
    grep -q 'of kind certificate, the binding needs token' <<< "$output"
}

@test "openssl's server sees it too, and what it sends" {
    port=$(free_port)
    openssl s_server -accept "127.0.0.1:$port" -cert "$WORLD/up/mtls.test.pem" -CAfile "$PKI/clients.crt" -Verify 3 \
        -verify_return_error -www > "$WORLD/s_server" 2>&1 3>&- < /dev/null &
    server=$!
    sed -i "s/127.0.0.1:$NGINX_PORT/127.0.0.1:$port/" "$AILERON_HOME/config.yaml"
    aileron daemon reload
    wait_for grep -q ACCEPT "$WORLD/s_server"
    run -0 inside curl -sS https://mtls.test/
    kill "$server"
    grep -q 'CN *= *agent' <<< "$output"
}
