package netguard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// deniedAddresses are one or more of each class of the matrix.
var deniedAddresses = []string{
	"0.0.0.0", "0.1.2.3", "::", "127.0.0.1", "127.8.8.8", "127.255.255.254", "::1",
	"10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255",
	"169.254.169.254", "169.254.170.2", "fe80::1", "fe80::a9fe:a9fe", "168.63.129.16",
	"192.0.0.1", "192.0.0.170", "192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
	"192.31.196.1", "192.52.193.1", "192.175.48.1", "2620:4f:8000::1", "192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
	"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1",
	"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2001:0:7f00:1::", "2001:10::1", "2001:20::1", "2001:2::1", "2001:1::1",
	"2002:7f00:1::1", "2002:a9fe:a9fe::1", "2001:db8::1", "3fff::1", "3fff:fff::1",
	"fd00:ec2::254", "fd20:ce::254", "fc00::1", "fec0::1", "ff02::1", "ff0e::1", "5f00::1", "100::1", "4000::1",
	"198.41.0.77", // configured as our own
}

var allowedAddresses = []string{"93.184.216.34", "1.1.1.1", "9.9.9.9", "172.32.0.1", "100.128.0.1", "192.0.1.1", "198.20.0.1", "223.255.255.255",
	"2606:4700::1111", "2001:200::1", "2001:4860:4860::8888", "2a00:1450::1", "::ffff:93.184.216.34"}

func TestAddresses(t *testing.T) {
	g := guardFor(t, nil)
	for _, a := range deniedAddresses {
		if g.checkAddr(netip.MustParseAddr(a), false) == nil {
			t.Errorf("%s is allowed", a)
		}
	}
	for _, a := range allowedAddresses {
		if err := g.checkAddr(netip.MustParseAddr(a), false); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

// names answers DNS questions: a list of addresses for each time a name is asked for, the last one from then on.
type names struct {
	mu      sync.Mutex
	answers map[string][][]string
	addr    string
}

func startNames(t *testing.T) *names {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{answers: map[string][][]string{}, addr: pc.LocalAddr().String()}
	srv := &dns.Server{PacketConn: pc, Handler: n}
	go func() { _ = srv.ActivateAndServe() }() // ends with the shutdown
	t.Cleanup(func() { _ = srv.Shutdown() })
	return n
}

// set says what a name means, each time it is asked for.
func (n *names) set(name string, turns ...[]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers[name] = turns
}

func (n *names) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(q)
	name, typ := strings.TrimSuffix(strings.ToLower(q.Question[0].Name), "."), q.Question[0].Qtype
	n.mu.Lock()
	list := n.answers[name]
	key := name + "#" + fmt.Sprint(typ)
	if turns := n.answers[key]; turns != nil {
		list = turns
	} else if list != nil {
		list = append([][]string(nil), list...)
	}
	if len(list) > 1 {
		n.answers[key] = list[1:]
	}
	n.mu.Unlock()
	if len(list) > 0 {
		for _, a := range list[0] {
			ip := netip.MustParseAddr(a)
			head := dns.RR_Header{Name: q.Question[0].Name, Class: dns.ClassINET, Rrtype: typ}
			if typ == dns.TypeA && ip.Is4() {
				m.Answer = append(m.Answer, &dns.A{Hdr: head, A: ip.AsSlice()})
			}
			if typ == dns.TypeAAAA && ip.Is6() {
				m.Answer = append(m.Answer, &dns.AAAA{Hdr: head, AAAA: ip.AsSlice()})
			}
		}
	}
	_ = w.WriteMsg(m)
}

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", n.addr)
	}}
}

// sockets counts connects at the socket: the hook runs when a socket is about to connect.
type sockets struct {
	mu  sync.Mutex
	all []netip.AddrPort
}

func (s *sockets) observe(a netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, a)
}

// but lists the sockets to other addresses than the one given.
func (s *sockets) but(host string) []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.all), func(a netip.AddrPort) bool { return a.String() == host })
}

func guardFor(t *testing.T, n *names) *Guard {
	t.Helper()
	o := Options{Deny: []netip.Prefix{netip.MustParsePrefix("198.41.0.77/32")}}
	if n != nil {
		o.Resolver = n.resolver()
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// purposes are what the program fetches: path, limit and how.
var purposes = []struct {
	name string
	path string
}{
	{"actor", "/users/a"}, {"key", "/users/a/main-key"}, {"webfinger", "/.well-known/webfinger?resource=acct:a@b"}, {"nodeinfo", "/.well-known/nodeinfo"},
	{"host-meta", "/.well-known/host-meta"}, {"did:web", "/.well-known/did.json"}, {"handle", "/.well-known/atproto-did"}, {"plc", "/did:plc:x"},
	{"media", "/media/x.png"}, {"preview", "/"}, {"oauth", "/.well-known/oauth-authorization-server"}, {"blocklist", "/blocks.csv"}, {"inbox", "/inbox"},
}

// TestSSRF tries every denied address for every kind of fetch, in every way an address can come in, and counts sockets.
func TestSSRF(t *testing.T) {
	n := startNames(t)
	g := guardFor(t, n)
	var open sockets
	g.observe = open.observe
	cases := 0
	for i, a := range deniedAddresses {
		for _, p := range purposes {
			cases += tryAll(t, g, n, a, p.path, fmt.Sprintf("c%d-%s.example.com", i, strings.ReplaceAll(p.name, ":", "-")))
		}
	}
	if cases < 2000 {
		t.Errorf("only %d cases", cases)
	}
	if bad := open.but(""); len(bad) > 0 {
		t.Errorf("%d sockets were opened to denied addresses: %v", len(bad), bad[:min(len(bad), 10)])
	}
	t.Logf("%d cases, 0 sockets", cases)
}

func tryAll(t *testing.T, g *Guard, n *names, addr, path, name string) int {
	ip := netip.MustParseAddr(addr)
	literal := addr
	if ip.Is6() {
		literal = "[" + addr + "]"
	}
	n.set(name, []string{addr})
	for _, host := range []string{literal, name} {
		for _, scheme := range []string{"https", "http"} {
			mustRefuse(t, g, scheme+"://"+host+path)
		}
	}
	// The dialer alone, as WebSocket dials use it.
	for _, host := range []string{addr, name} {
		conn, err := g.DialContext(context.Background(), "tcp", net.JoinHostPort(host, "443"))
		if err == nil {
			_ = conn.Close()
			t.Errorf("dialled %s", host)
		}
	}
	return 6
}

func mustRefuse(t *testing.T, g *Guard, target string) {
	t.Helper()
	resp, err := g.Client(DocumentLimit).Get(target)
	if err == nil {
		_ = resp.Body.Close()
		t.Errorf("%s was fetched", target)
		return
	}
	if !errors.Is(err, ErrDenied) {
		t.Errorf("%s: %v, want a refusal by the guard", target, err)
	}
}

// TestMixedAndRebinding: of several addresses only public ones may be tried, and a name that changes its mind between
// look-up and connection gains nothing, because it is the socket's address that is judged.
func TestMixedAndRebinding(t *testing.T) {
	n := startNames(t)
	n.set("rebind.example.com", []string{"192.0.2.77"}, []string{"127.0.0.1"})
	n.set("mixed.example.com", []string{"127.0.0.1", "10.0.0.1", "::1", "169.254.169.254"})
	g := guardFor(t, n)
	var open sockets
	g.observe = open.observe
	for range 4 {
		mustRefuse(t, g, "https://rebind.example.com/")
		mustRefuse(t, g, "https://mixed.example.com/")
	}
	if bad := open.but(""); len(bad) > 0 {
		t.Errorf("sockets: %v", bad)
	}
}

// TestRedirects: each hop is judged like the first request.
func TestRedirects(t *testing.T) {
	n := startNames(t)
	var location string
	hops := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hops > 0 {
			hops--
			http.Redirect(w, r, fmt.Sprintf("/hop%d", hops), http.StatusFound)
			return
		}
		http.Redirect(w, r, location, http.StatusFound)
	}))
	t.Cleanup(srv.Close)
	host := strings.TrimPrefix(srv.URL, "http://")
	g, err := New(Options{DevAllow: []string{host}, DevHTTP: true, Resolver: n.resolver()})
	if err != nil {
		t.Fatal(err)
	}
	var open sockets
	g.observe = open.observe
	for i, a := range deniedAddresses {
		if netip.MustParseAddr(a).IsLoopback() || a == "198.41.0.77" {
			continue
		}
		name := fmt.Sprintf("r%d.example.com", i)
		n.set(name, []string{a})
		for before := range 3 {
			hops, location = before, "https://"+name+"/"
			mustRefuse(t, g, srv.URL+"/start")
		}
	}
	if bad := open.but(host); len(bad) > 0 {
		t.Errorf("sockets: %v", bad)
	}
	hops, location = 9, "/end"
	mustRefuse(t, g, srv.URL+"/start")
}

// TestR88_URLs: names and URLs that two parsers could read differently.
func TestR88_URLs(t *testing.T) {
	g := guardFor(t, nil)
	for _, bad := range []string{
		"http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "data:text/plain,x", "javascript:alert(1)",
		"https://user@example.com/", "https://user:pass@example.com/", "https://example.com:8443/", "https://example.com:22/", "https://example.com:/", "https:///x",
		"https://0x7f.1/", "https://0x7f000001/", "https://2130706433/", "https://017700000001/", "https://127.1/", "https://127.0.1/", "https://0177.0.0.1/",
		"https://[::1%25lo]/", "https://[fe80::1%25eth0]/", "https://[::ffff:7f00:1]/", "https://[0:0:0:0:0:0:0:1]/", "https://\uff11\uff12\uff17.0.0.1/", "https://①②⑦.⓪.⓪.①/",
		"https://example.com./", "https://localhost/", "https://a.localhost/", "https://printer.local/", "https://metadata.google.internal/", "https://intranet/",
		"https://x.onion/", "https://x.i2p/", "https://box.home.arpa/", "https://a..b.com/", "https://.example.com/", "https://exa mple.com/", "https://example.com%00.evil.com/",
		"https://example.com\\@evil.com/", "https://\u0435xample.com/", "https://a.test/", "https://node.tailnet.ts.net/", "https://" + strings.Repeat("a", 64) + ".com/",
		"https://1.2.3/", "https://1.2.3.4.5/", "https://example.0x10/",
	} {
		u, err := url.Parse(bad)
		if err != nil {
			continue // cannot even become a request
		}
		if g.CheckURL(u) == nil {
			t.Errorf("%s is allowed", bad)
		}
	}
	for _, fine := range []string{"https://example.com/", "https://EXAMPLE.com/", "https://example.com:443/x", "https://xn--bcher-kva.example.com/", "https://93.184.216.34/",
		"https://[2606:4700::1111]/", "https://a-b.c1.co.uk/x?y#z", "https://3com.com/", "https://x.1e100.net/"} {
		u, err := url.Parse(fine)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.CheckURL(u); err != nil {
			t.Errorf("%s: %v", fine, err)
		}
	}
}

// TestR88_NoProxy: an environment that names a proxy is ignored, for behind it every address would look like the proxy's.
func TestR88_NoProxy(t *testing.T) {
	proxied := false
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied = true }))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("ALL_PROXY", proxy.URL)
	g := guardFor(t, nil)
	mustRefuse(t, g, "https://127.0.0.1/")
	if g.transport.Proxy != nil || proxied {
		t.Error("a proxy from the environment is used")
	}
}

// TestDevAllow: development hosts reach loopback and nothing else denied.
func TestDevAllow(t *testing.T) {
	n := startNames(t)
	n.set("social.test", []string{"127.0.0.1"})
	n.set("inner.test", []string{"10.0.0.1"})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	t.Cleanup(srv.Close)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(srv.URL, "http://"))
	g, err := New(Options{DevAllow: []string{"*.test"}, DevHTTP: true, Resolver: n.resolver()})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.Client(10).Get("http://social.test:" + port)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, target := range []string{"http://inner.test/", "http://127.0.0.1:" + port, "http://test/", "http://eviltest/"} {
		mustRefuse(t, g, target)
	}
	tls, err := New(Options{DevAllow: []string{"*.test"}, Resolver: n.resolver()})
	if err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, tls, "http://social.test:"+port)
	for _, bad := range []string{"*", "*test", "", "a*.test", "*:80"} {
		if _, err := New(Options{DevAllow: []string{bad}}); err == nil {
			t.Errorf("development host %q is taken", bad)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://example.com/", "https://0x7f.1/", "https://[::1]/", "http://a@b:1/", "https://１２７.0.0.1/"} {
		f.Add(s)
	}
	g, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil || g.CheckURL(u) != nil {
			return
		}
		if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !public(ip) {
			t.Errorf("%q is allowed", s)
		}
		if u.Scheme != "https" || u.User != nil {
			t.Errorf("%q is allowed", s)
		}
	})
}
