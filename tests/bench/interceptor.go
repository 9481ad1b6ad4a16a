// A stand-in for a peer in Go: CONNECT, TLS opened with leaves that are minted and cached (one key for all),
// a header injected, upstream connections kept. net/http and crypto/tls as they are.
//
//	interceptor -listen ADDRESS:PORT -ca FILE -key FILE -roots FILE -inject "Bearer ..."
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"flag"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

type minter struct {
	ca     tls.Certificate
	issuer *x509.Certificate
	key    *ecdsa.PrivateKey
	leaves sync.Map // host -> *tls.Certificate
}

func (m *minter) leaf(host string) (*tls.Certificate, error) {
	if leaf, ok := m.leaves.Load(host); ok {
		return leaf.(*tls.Certificate), nil
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	must(err)
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{host}}
	der, err := x509.CreateCertificate(rand.Reader, template, m.issuer, &m.key.PublicKey, m.ca.PrivateKey)
	if err != nil {
		return nil, err
	}
	leaf := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: m.key}
	m.leaves.Store(host, leaf)
	return leaf, nil
}

func serve(conn net.Conn, config *tls.Config, upstream *http.Transport, inject string) {
	defer conn.Close()
	opening, err := http.ReadRequest(bufio.NewReaderSize(conn, 1024))
	if err != nil || opening.Method != "CONNECT" {
		return
	}
	io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	secure := tls.Server(conn, config)
	if secure.Handshake() != nil {
		return
	}
	in, out := bufio.NewReader(secure), bufio.NewWriterSize(secure, 32<<10)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		last := request.Close
		request.URL.Scheme, request.URL.Host, request.RequestURI = "https", opening.Host, ""
		request.Close = false
		request.Header.Del("Connection")
		request.Header.Set("Authorization", inject)
		answer, err := upstream.RoundTrip(request)
		if err != nil {
			io.WriteString(secure, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
			return
		}
		err = answer.Write(out)
		answer.Body.Close()
		if err != nil || out.Flush() != nil {
			return
		}
		if last || answer.Close {
			secure.Close()
			return
		}
	}
}

func main() {
	listen, cert, key := flag.String("listen", "", ""), flag.String("ca", "", ""), flag.String("key", "", "")
	roots, inject := flag.String("roots", "", ""), flag.String("inject", "", "")
	flag.Parse()
	var m minter
	var err error
	m.ca, err = tls.LoadX509KeyPair(*cert, *key)
	must(err)
	m.issuer, err = x509.ParseCertificate(m.ca.Certificate[0])
	must(err)
	m.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	pem, err := os.ReadFile(*roots)
	must(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	upstream := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(64)},
		MaxIdleConnsPerHost: 4096, MaxIdleConns: 8192, IdleConnTimeout: 10 * time.Minute, DisableCompression: true,
		ReadBufferSize: 32 << 10, WriteBufferSize: 32 << 10}
	config := &tls.Config{NextProtos: []string{"http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return m.leaf(strings.ToLower(hello.ServerName))
		}}
	listener, err := net.Listen("tcp", *listen)
	must(err)
	for {
		conn, err := listener.Accept()
		must(err)
		go serve(conn, config, upstream, *inject)
	}
}
