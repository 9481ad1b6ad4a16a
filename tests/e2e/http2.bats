# HTTP/2 on either side, with real clients and a real service: negotiated by each side on its own, one upstream
# connection for many requests, trailers, early answers, back-pressure, and what is refused.
# bats file_tags=own-world
load ../lib/world.bash
bats_require_minimum_version 1.5.0
ENGINE=bwrap

setup_file() {
    world_start api.test http2.test || return 1
    world_http2 || return 1
    cp "$TESTS_LIB/client-http2.js" "$WORLD/ws/client.js"
    export WORLD SECRET UP_PORT UP_PLAIN_PORT HTTP2_PID
}
teardown_file() { world_stop; }
setup() { world_clean_environment; : > "$WORLD/up/requests.log"; }

node_client() { inside node client.js "$@"; }

@test "an HTTP/2 client and an HTTP/2 service: the credential is put in" {
    run -0 inside curl -sS --http2 -w ' over %{http_version}' https://http2.test/a
    grep -q '"http":"2.0","method":"GET","path":"/a"' <<< "$output"
    grep -q 'over 2$' <<< "$output"
    [ "$(grep -cF "$SECRET" <<< "$output")" -eq 0 ]
}

@test "an HTTP/1.1 client and an HTTP/2 service" {
    run -0 inside curl -sS --http1.1 -w ' over %{http_version}' -d hello 'https://http2.test/b?c=d'
    grep -q '"http":"2.0","method":"POST","path":"/b?c=d","length":5' <<< "$output"
    grep -q 'over 1.1$' <<< "$output"
}

@test "an HTTP/2 client and an HTTP/1.1 service" {
    run -0 inside curl -sS --http2 -w ' over %{http_version}' https://api.test/user
    grep -q '"login": "octo"' <<< "$output"
    grep -q 'over 2$' <<< "$output"
}

@test "20 MB each way, both kinds of client, with the right bytes" {
    sum=$(head -c 20000000 /dev/zero | sha256sum | cut -d' ' -f1)
    for version in --http2 --http1.1; do
        run -0 inside sh -c "head -c 20000000 /dev/zero | curl -sS $version -T - https://http2.test/up"
        grep -q "\"length\":20000000,\"sha256\":\"$sum\"" <<< "$output"
        run -0 inside sh -c "curl -sS $version 'https://http2.test/download?bytes=20000000' | tr -d x | wc -c
            curl -sS $version 'https://http2.test/download?bytes=20000000' | wc -c"
        [ "$(grep -v '^aileron:' <<< "$output" | tr '\n' ' ')" = '0 20000000 ' ]
    done
}

@test "HEAD, early hints, and a reset that is told as what it is" {
    run -0 inside curl -sS --http2 -I https://http2.test/a
    grep -q '^HTTP/2 200' <<< "$output"
    run -0 inside curl -sS --http2 -i https://http2.test/hints
    grep -q '^HTTP/2 103' <<< "$output"
    grep -q '^link: </a.css>' <<< "$output"
    grep -q '^hinted' <<< "$output"
    run -0 inside curl -sS --http1.1 -i https://http2.test/hints
    grep -q '^HTTP/1.1 103 Early Hints' <<< "$output"
    run -0 inside curl -sS --http2 -w ' %{http_code}' https://http2.test/reset
    grep -q 'the upstream reset the request (INTERNAL_ERROR)' <<< "$output"
    grep -q ' 502$' <<< "$output"
}

@test "many requests at a time share one connection to the service" {
    before=$(inside curl -sS --http2 https://http2.test/open | jq .connections)
    run -0 --separate-stderr node_client many
    [ "$output" = 'good 300' ]
    after=$(inside curl -sS --http2 https://http2.test/open | jq .connections)
    [ $((after - before)) -le 3 ] # a session is a worker: one each of the three launches
}

@test "trailers pass: a unary gRPC call has its status" {
    run -0 --separate-stderr node_client trailers
    [ "$output" = 'grpc-status 0 fine' ]
}

@test "a stream that is not read holds up no other, and is whole in the end" {
    run -0 --separate-stderr node_client slow
    [ "$output" = 'others 20 bytes 3000000' ]
}

@test "streams that are reset leave the connection as it was" {
    run -0 --separate-stderr node_client cancel
    [ "$output" = 'status 200' ]
}

@test "a client that gives up: the service is let go at once, though nobody writes anything" {
    count=0
    for version in --http1.1 --http2; do
        count=$((count + 1))
        run -0 inside sh -c "curl -sS $version --max-time 1 https://http2.test/open/poll; [ \$? -eq 28 ] || exit 2
            end=\$((\$(date +%s) + 20)) # ahead of half_closed_ms
            while [ \$(date +%s) -lt \$end ]; do
                curl -sS https://http2.test/open/gone | grep -x 'gone $count' && exit 0; sleep 0.1; done; exit 1"
    done
}

@test "E08: CONNECT inside HTTP/2 is refused" {
    run -0 --separate-stderr node_client connect
    [ "$output" = 'status 400' ]
}

@test "E09: an :authority that is not the connection's is 421, and nothing is sent" {
    run -0 --separate-stderr node_client authority
    [[ "$output" == 'status 421 '*'this connection was made to http2.test'* ]]
    [ "$(upstream_count)" -eq 0 ]
}

@test "a host that policy denies says so over HTTP/2, too" {
    run -0 inside curl -sS --http2 -w ' %{http_code} %{http_version}' https://forbidden.test/x
    grep -q 'this host is not for agents' <<< "$output"
    grep -q ' 403 2$' <<< "$output"
}

@test "the record of all that verifies" {
    aileron audit verify
    [ "$(aileron audit list --json | grep -cF "$SECRET")" -eq 0 ]
}
