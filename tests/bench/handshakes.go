// The load of the benchmark, on connections that are new: TCP, CONNECT, TLS handshake, one request, the end.
// In Go, since OpenSSL 3.0 spends more on a client's handshake than some of the proxies on theirs.
//
//	handshakes [-tls12] [-resume] [-names N] -proxy [=]ADDRESS:PORT -ca FILE -host HOST [-seconds S]
//
// 16 at a time; with -names N, one connection to each of h1.HOST to hN.HOST. "begin" is printed where what is
// measured begins, and one JSON object where it ends. Any failure ends the program.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	proxy   = flag.String("proxy", "", "address; = before it: no CONNECT")
	caFile  = flag.String("ca", "", "")
	host    = flag.String("host", "", "")
	seconds = flag.Float64("seconds", 2, "")
	names   = flag.Int64("names", 0, "")
	tls12   = flag.Bool("tls12", false, "")
	resume  = flag.Bool("resume", false, "")
)

const atOnce = 16

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "handshakes:", err)
		os.Exit(1)
	}
}

func one(name string, config *tls.Config) (resumed bool, version uint16) {
	address := strings.TrimPrefix(*proxy, "=")
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	check(err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if address == *proxy {
		fmt.Fprintf(conn, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", name, name)
		answer := make([]byte, 512)
		n := 0
		for !strings.Contains(string(answer[:n]), "\r\n\r\n") {
			some, err := conn.Read(answer[n:])
			check(err)
			n += some
		}
		if string(answer[8:12]) != " 200" {
			check(fmt.Errorf("the proxy answered %q", answer[:n]))
		}
	}
	own := config.Clone()
	own.ServerName = name
	secure := tls.Client(conn, own)
	check(secure.Handshake())
	fmt.Fprintf(secure, "GET /1k HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", name)
	answer, err := http.ReadResponse(bufio.NewReader(secure), nil)
	check(err)
	_, err = io.Copy(io.Discard, answer.Body)
	check(err)
	if answer.StatusCode != 200 {
		check(fmt.Errorf("%s answered %s", name, answer.Status))
	}
	state := secure.ConnectionState()
	return state.DidResume, state.Version
}

type result struct {
	sync.Mutex
	done, resumed int
	version       uint16
	took          []float64
}

// Connections one after another in each of atOnce lines, as long as next gives a name.
func run(config *tls.Config, next func() (string, bool)) *result {
	var all result
	var lines sync.WaitGroup
	for i := 0; i < atOnce; i++ {
		lines.Add(1)
		go func() {
			defer lines.Done()
			for name, more := next(); more; name, more = next() {
				from := time.Now()
				resumed, version := one(name, config)
				all.Lock()
				all.took = append(all.took, float64(time.Since(from).Microseconds()))
				all.done++
				if resumed {
					all.resumed++
				}
				all.version = version
				all.Unlock()
			}
		}()
	}
	lines.Wait()
	sort.Float64s(all.took)
	return &all
}

func during(seconds float64) func() (string, bool) {
	until := time.Now().Add(time.Duration(seconds * 1e9))
	return func() (string, bool) { return *host, time.Now().Before(until) }
}

func each(count int64) func() (string, bool) {
	var last int64
	return func() (string, bool) {
		i := atomic.AddInt64(&last, 1)
		return fmt.Sprintf("h%d.%s", i, *host), i <= count
	}
}

func main() {
	flag.Parse()
	if !strings.HasPrefix(strings.TrimPrefix(*proxy, "="), "127.") {
		check(fmt.Errorf("loopback addresses alone"))
	}
	pem, err := os.ReadFile(*caFile)
	check(err)
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(pem)
	if *tls12 {
		config.MaxVersion = tls.VersionTLS12
	}
	if *resume {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(64)
	}
	if *names == 0 {
		run(config, during(0.4))
	}
	fmt.Println("begin")
	from := time.Now()
	var all *result
	if *names > 0 {
		all = run(config, each(*names))
	} else {
		all = run(config, during(*seconds))
	}
	took := time.Since(from).Seconds()
	version := map[uint16]string{tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}[all.version]
	fmt.Printf("{\"done\": %d, \"seconds\": %.4f, \"resumed\": %d, ", all.done, took, all.resumed)
	fmt.Printf("\"p50_us\": %.0f, \"p99_us\": %.0f, \"tls\": %q}\n", all.took[len(all.took)/2],
		all.took[len(all.took)*99/100], version)
}
