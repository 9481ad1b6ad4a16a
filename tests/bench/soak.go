// The upstream and the clients of the soak (tests/bench/soak): plain programs of Go's own library, HTTP/1.1 alone.
//
//	soak serve DIR                       an upstream on 127.0.0.1:443 and :80: /down?bytes=N, /up, anything else is 1 KiB
//	soak bulk PROXY CA HOST down|up N    one body of N bytes
//	soak idle PROXY CA HOST N            N tunnels that have each answered one request; "ready"; until standard input
//	                                     ends; then all of them are asked once more
//	soak churn PROXY CA HOST RATE SECS   RATE new connections a second with one request each; HOST may be http://HOST,
//	                                     or resumed:HOST, which takes up an earlier TLS session
//	soak slow PROXY CA HOST N            N readers and N writers of 1 KiB a second; "ready"; until standard input ends
//	soak quick PROXY CA HOST SECS        one client, one request after another
//
// Each prints one JSON object at its end. PROXY is asked by CONNECT.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const maxOpen = 4000 // connections of churn at a time: beyond it the rate is what is answered

type client struct {
	proxy, host string
	plain       bool
	config      *tls.Config
	resumed     int64
}

func check(err error, what string) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", what+":", err)
		os.Exit(1)
	}
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	check(err, text)
	return n
}

func say(value map[string]interface{}) {
	text, _ := json.Marshal(value)
	fmt.Println(string(text))
}

func percentile(samples []time.Duration, of float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	sort.Slice(samples, func(i, j int) bool { return samples[i] < samples[j] })
	return float64(samples[int(float64(len(samples)-1)*of)].Microseconds()) / 1000
}

// ---- the upstream

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func answer(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/down":
		n := number(r.URL.Query().Get("bytes"))
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(zeros{}, n), make([]byte, 256<<10))
	case "/up":
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, make([]byte, 256<<10))
		fmt.Fprintln(w, n)
	default:
		w.Write(make([]byte, 1024))
	}
}

func serve(dir string) {
	server := &http.Server{Handler: http.HandlerFunc(answer), ErrorLog: log.New(io.Discard, "", 0),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	plain, err := net.Listen("tcp", "127.0.0.1:80")
	check(err, "port 80")
	go server.Serve(plain)
	check(server.ListenAndServeTLS(dir+"/default.pem", dir+"/default.pem"), "port 443")
}

// ---- clients

func (c *client) open() (net.Conn, *bufio.Reader, error) {
	conn, err := net.DialTimeout("tcp", c.proxy, 30*time.Second)
	if err != nil {
		return nil, nil, err
	}
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	if c.plain {
		return conn, bufio.NewReaderSize(conn, 2048), nil
	}
	fmt.Fprintf(conn, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", c.host, c.host)
	head := make([]byte, 0, 512)
	for !strings.HasSuffix(string(head), "\r\n\r\n") && len(head) < 512 {
		n, err := conn.Read(head[len(head):cap(head)]) // nothing follows before our hello
		if err != nil {
			conn.Close()
			return nil, nil, err
		}
		head = head[:len(head)+n]
	}
	if !strings.HasPrefix(string(head), "HTTP/1.1 200") {
		conn.Close()
		return nil, nil, fmt.Errorf("the proxy says %.40q", head)
	}
	secure := tls.Client(conn, c.config)
	if err := secure.Handshake(); err != nil {
		conn.Close()
		return nil, nil, err
	}
	if secure.ConnectionState().DidResume {
		atomic.AddInt64(&c.resumed, 1)
	}
	return secure, bufio.NewReaderSize(secure, 2048), nil
}

// The newest ticket, for as many connections as come before the next one: programs that start together do the same.
type lastTicket struct {
	lock  sync.Mutex
	state *tls.ClientSessionState
}

func (t *lastTicket) Get(string) (*tls.ClientSessionState, bool) {
	t.lock.Lock()
	defer t.lock.Unlock()
	return t.state, t.state != nil
}

func (t *lastTicket) Put(_ string, state *tls.ClientSessionState) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if state != nil { // nil: the one that was taken is used up
		t.state = state
	}
}

func (c *client) ask(conn net.Conn, reader *bufio.Reader, method, path, more string) (*http.Response, error) {
	if c.plain {
		path = "http://" + c.host + path
	}
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, path, c.host, more); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err == nil && response.StatusCode != 200 {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	return response, err
}

func (c *client) get(conn net.Conn, reader *bufio.Reader) error {
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	response, err := c.ask(conn, reader, "GET", "/1k", "")
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, response.Body)
	if err == nil && n != 1024 {
		err = fmt.Errorf("%d bytes", n)
	}
	return err
}

func (c *client) bulk(up bool, n int64) {
	conn, _, err := c.open()
	check(err, "connecting")
	reader := bufio.NewReaderSize(conn, 256<<10)
	conn.SetDeadline(time.Time{})
	began := time.Now()
	var moved int64
	if up {
		go func() {
			io.CopyBuffer(struct{ io.Writer }{conn}, io.LimitReader(zeros{}, n), make([]byte, 256<<10))
		}()
		response, err := c.ask(conn, reader, "POST", "/up", fmt.Sprintf("Content-Length: %d\r\n", n))
		check(err, "the answer")
		_, err = fmt.Fscan(response.Body, &moved)
		check(err, "the answer")
	} else {
		response, err := c.ask(conn, reader, "GET", fmt.Sprintf("/down?bytes=%d", n), "")
		check(err, "the answer")
		moved, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, response.Body, make([]byte, 256<<10))
		check(err, "the body")
	}
	if moved != n {
		check(fmt.Errorf("%d bytes instead of %d", moved, n), "the body")
	}
	say(map[string]interface{}{"bytes": moved, "seconds": time.Since(began).Seconds()})
}

func untilEnd() { io.Copy(io.Discard, os.Stdin) }

func (c *client) idle(count int64) {
	type held struct {
		conn   net.Conn
		reader *bufio.Reader
	}
	tunnels, places, wait := make([]held, count), make(chan bool, 32), sync.WaitGroup{}
	began := time.Now()
	for i := range tunnels {
		places <- true
		wait.Add(1)
		go func(one *held) {
			conn, reader, err := c.open()
			check(err, "a tunnel")
			check(c.get(conn, reader), "a tunnel's request")
			conn.SetDeadline(time.Time{})
			*one = held{conn, reader}
			<-places
			wait.Done()
		}(&tunnels[i])
	}
	wait.Wait()
	took := time.Since(began).Seconds()
	fmt.Println("ready")
	untilEnd()
	good := 0
	for _, one := range tunnels {
		if c.get(one.conn, one.reader) == nil {
			good++
		}
	}
	say(map[string]interface{}{"tunnels": count, "seconds": took, "good": good})
}

func (c *client) churn(rate, seconds int64) {
	var done, failed, skipped, open int64
	var lock sync.Mutex
	var samples []time.Duration
	reasons := map[string]int{}
	began, wait := time.Now(), sync.WaitGroup{}
	for n := int64(0); n < rate*seconds; n++ {
		time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(rate))))
		if time.Since(began) > time.Duration(seconds)*time.Second {
			break
		}
		if atomic.LoadInt64(&open) >= maxOpen {
			skipped++
			continue
		}
		atomic.AddInt64(&open, 1)
		wait.Add(1)
		go func() {
			from := time.Now()
			conn, reader, err := c.open()
			if err == nil {
				err = c.get(conn, reader)
				conn.Close()
			}
			lock.Lock()
			if err != nil {
				failed++
				reasons[err.Error()]++
			} else {
				done++
				samples = append(samples, time.Since(from))
			}
			lock.Unlock()
			atomic.AddInt64(&open, -1)
			wait.Done()
		}()
	}
	wait.Wait()
	took := time.Since(began).Seconds()
	say(map[string]interface{}{"done": done, "failed": failed, "skipped": skipped, "seconds": took, "reasons": reasons,
		"resumed": c.resumed,
		"p50_ms":  percentile(samples, 0.5), "p99_ms": percentile(samples, 0.99)})
}

func (c *client) slow(count int64) {
	var read, written int64
	stop := make(chan bool)
	wait := sync.WaitGroup{}
	for i := int64(0); i < 2*count; i++ {
		conn, reader, err := c.open()
		check(err, "a slow one")
		conn.SetDeadline(time.Time{})
		wait.Add(1)
		go func(writes bool) {
			defer wait.Done()
			defer conn.Close()
			var body io.Reader
			if writes {
				fmt.Fprintf(conn, "POST /up HTTP/1.1\r\nHost: %s\r\nContent-Length: 100000000\r\n\r\n", c.host)
			} else {
				response, err := c.ask(conn, reader, "GET", "/down?bytes=100000000", "")
				check(err, "a slow reader")
				body = response.Body
			}
			piece, tick := make([]byte, 1024), time.NewTicker(time.Second)
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				if writes {
					_, err := conn.Write(piece)
					check(err, "a slow writer")
					atomic.AddInt64(&written, 1024)
				} else {
					n, err := io.ReadFull(body, piece)
					check(err, "a slow reader")
					atomic.AddInt64(&read, int64(n))
				}
			}
		}(i%2 == 0)
	}
	fmt.Println("ready")
	untilEnd()
	close(stop)
	wait.Wait()
	say(map[string]interface{}{"slow": 2 * count, "read": read, "written": written})
}

func (c *client) quick(seconds int64) {
	conn, reader, err := c.open()
	check(err, "connecting")
	var samples []time.Duration
	for until := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(until); time.Sleep(2 * time.Millisecond) {
		from := time.Now()
		check(c.get(conn, reader), "a request")
		samples = append(samples, time.Since(from))
	}
	say(map[string]interface{}{"requests": len(samples), "p50_ms": percentile(samples, 0.5), "p99_ms": percentile(samples, 0.99)})
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		serve(os.Args[2])
	}
	if len(os.Args) < 6 {
		fmt.Fprintln(os.Stderr, "usage: see the head of soak.go")
		os.Exit(64)
	}
	ca, err := os.ReadFile(os.Args[3])
	check(err, "the authority's certificate")
	host, plain := os.Args[4], strings.HasPrefix(os.Args[4], "http://")
	resumed := strings.HasPrefix(host, "resumed:")
	host = strings.TrimPrefix(strings.TrimPrefix(host, "http://"), "resumed:")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	c := &client{proxy: os.Args[2], host: host, plain: plain, config: &tls.Config{RootCAs: roots, ServerName: host}}
	if resumed {
		c.config.ClientSessionCache = &lastTicket{}
	}
	switch os.Args[1] {
	case "bulk":
		c.bulk(os.Args[5] == "up", number(os.Args[6]))
	case "idle":
		c.idle(number(os.Args[5]))
	case "churn":
		c.churn(number(os.Args[5]), number(os.Args[6]))
	case "slow":
		c.slow(number(os.Args[5]))
	case "quick":
		c.quick(number(os.Args[5]))
	}
}
