// Package netguard makes the one HTTP client of the program that dials out. Every address that a stranger can name goes
// through it: actors, keys, WebFinger, NodeInfo, media, DID documents, handles. It decides where may be dialled and how
// much may come back; it knows no protocol above HTTP and imports nothing of ours.
package netguard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Options say what may be dialled. The zero value is the strict production guard.
type Options struct {
	// DevAllow lists what may resolve to loopback in demo and tests: "host:port", "host" (any port), "*.test" or
	// "*.test:8443" (any name below). Refuse it for public bridges before it gets here.
	DevAllow []string
	// DevHTTP lets hosts of DevAllow be reached over plain http.
	DevHTTP bool
	// ExtraCA is a PEM bundle that is trusted besides the system's.
	ExtraCA []byte
	// UserAgent is set on requests that have none.
	UserAgent string
	// Connect bounds name look-up, TCP and TLS each; Total bounds a whole exchange. 10 s and 30 s if zero.
	Connect, Total time.Duration
	// Deny lists more networks that are never dialled, such as the machine's own public addresses.
	Deny []netip.Prefix
	// PerHost bounds concurrent connections to one host; 16 if zero.
	PerHost int
	// Resolver looks names up; nil means the system's.
	Resolver *net.Resolver
}

// Limits of every response and redirect chain.
const (
	maxRedirects   = 3
	maxHeaderBytes = 64 << 10
	// DocumentLimit is meant for JSON and HTML documents.
	DocumentLimit = 1 << 20
	// MediaLimit is meant for images and videos.
	MediaLimit = 40 << 20
)

// ErrDenied says that the guard refused an address, a name, a scheme or a port.
var ErrDenied = errors.New("address refused by the network guard")

// ErrTooLarge says that a response was longer than the limit, or packed more tightly than any honest one.
var ErrTooLarge = errors.New("response is too large")

// Guard dials for everybody. It is safe for concurrent use.
type Guard struct {
	o         Options
	dev       []devRule
	deny      []netip.Prefix
	dialer    net.Dialer
	transport *http.Transport
	// observe sees each socket just before it connects; tests count with it.
	observe func(netip.AddrPort)
}

// New makes a guard.
func New(o Options) (*Guard, error) {
	if o.Connect == 0 {
		o.Connect = 10 * time.Second
	}
	if o.Total == 0 {
		o.Total = 30 * time.Second
	}
	if o.PerHost == 0 {
		o.PerHost = 16
	}
	g := &Guard{o: o, deny: o.Deny}
	for _, entry := range o.DevAllow {
		r, err := parseDevRule(entry)
		if err != nil {
			return nil, err
		}
		g.dev = append(g.dev, r)
	}
	pool, err := certPool(o.ExtraCA)
	if err != nil {
		return nil, err
	}
	g.dialer = net.Dialer{Timeout: o.Connect, KeepAlive: 30 * time.Second, Resolver: o.Resolver}
	g.transport = &http.Transport{
		Proxy:                  nil, // behind a proxy the check of the dialled address would see only the proxy
		DialContext:            g.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    o.Connect,
		ResponseHeaderTimeout:  o.Total,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxConnsPerHost:        o.PerHost,
		MaxIdleConnsPerHost:    o.PerHost,
		MaxIdleConns:           512,
		IdleConnTimeout:        90 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // done by limited, which watches the ratio
	}
	return g, nil
}

func certPool(extra []byte) (*x509.CertPool, error) {
	if len(extra) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(extra) {
		return nil, errors.New("the extra CA file has no PEM certificate")
	}
	return pool, nil
}

// TLS returns the TLS settings for dials that do not go through Client, such as WebSocket ones.
func (g *Guard) TLS() *tls.Config { return g.transport.TLSClientConfig.Clone() }

// CloseIdle closes connections that wait for reuse.
func (g *Guard) CloseIdle() { g.transport.CloseIdleConnections() }

// Client makes an HTTP client whose response bodies end with ErrTooLarge after limit bytes, counted after decompression.
// It follows at most three redirects, each checked like the first request, never from https to http, and never carrying
// a signature or credentials along. Callers that sign each hop themselves set CheckRedirect on a copy.
func (g *Guard) Client(limit int64) *http.Client {
	return &http.Client{
		Transport:     &limited{guard: g, limit: limit},
		CheckRedirect: g.checkRedirect,
		Timeout:       g.o.Total,
	}
}

// bound to one request: what a signature covers is not true of the next hop.
var hopHeaders = []string{"Signature", "Signature-Input", "Digest", "Content-Digest", "Authorization", "Cookie", "Date"}

func (g *Guard) checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: more than %d redirects", ErrDenied, maxRedirects)
	}
	last := via[len(via)-1]
	if last.URL.Scheme == "https" && next.URL.Scheme != "https" {
		return fmt.Errorf("%w: redirect from https to %s", ErrDenied, next.URL.Scheme)
	}
	for _, r := range via {
		if r.URL.String() == next.URL.String() {
			return fmt.Errorf("%w: redirect loop", ErrDenied)
		}
	}
	for _, h := range hopHeaders {
		next.Header.Del(h)
	}
	return g.CheckURL(next.URL)
}

// DialContext dials TCP like net.Dialer, but only names, ports and addresses that the guard allows. The address is
// checked when the socket is about to connect, so a name that resolves differently the second time gains nothing.
func (g *Guard) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDenied, err)
	}
	dev := g.devAllowed(host, port)
	if err := checkHost(host, port, dev); err != nil {
		return nil, err
	}
	d := g.dialer
	d.ControlContext = g.control(dev)
	return d.DialContext(ctx, network, addr)
}
