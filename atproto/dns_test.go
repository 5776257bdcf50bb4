package atproto_test

import (
	"context"
	"errors"
	"footbridge/atproto"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/miekg/dns"
)

type zone map[syntax.Handle]syntax.DID

func (z zone) HandleDID(_ context.Context, h syntax.Handle) (syntax.DID, error) {
	if h == "broken.social.ap.test" {
		return "", errors.New("database is down")
	}
	return z[h], nil
}

func (z zone) Texts(_ context.Context, name string) ([]string, error) {
	if name == "_acme-challenge.ap.test" {
		return []string{strings.Repeat("x", 300)}, nil
	}
	return nil, nil
}

func startDNS(t *testing.T) string {
	t.Helper()
	s := atproto.NewDNSServer(atproto.DNSOptions{
		Zone: "AP.test", Source: zone{"anna.social.ap.test": someDID},
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")},
	})
	addr, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return addr
}

// The standard library's resolver, a stock one, finds what atproto looks for.
func TestDNSWithStockResolver(t *testing.T) {
	addr := startDNS(t)
	for _, network := range []string{"udp", "tcp"} {
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}}
		txt, err := r.LookupTXT(t.Context(), "_atproto.anna.social.ap.test")
		if err != nil || !slices.Equal(txt, []string{"did=" + string(someDID)}) {
			t.Errorf("%s: %q, %v", network, txt, err)
		}
		hosts, err := r.LookupHost(t.Context(), "anna.social.ap.test")
		if err != nil || len(hosts) != 2 {
			t.Errorf("%s: %q, %v", network, hosts, err)
		}
		var dnsErr *net.DNSError
		if _, err := r.LookupTXT(t.Context(), "_atproto.bert.social.ap.test"); !errors.As(err, &dnsErr) || !dnsErr.IsNotFound {
			t.Errorf("%s: nobody: %v", network, err)
		}
		resolver := atproto.NewResolver(atproto.ResolverOptions{Client: nil, LookupTXT: r.LookupTXT})
		if did, err := resolver.ResolveHandle(t.Context(), "anna.social.ap.test"); err != nil || did != someDID {
			t.Errorf("%s: our own: %q, %v", network, did, err)
		}
	}
}

func TestDNSAnswers(t *testing.T) {
	addr := startDNS(t)
	client := &dns.Client{Timeout: 2 * time.Second}
	for _, c := range []struct {
		name    string
		kind    uint16
		rcode   int
		answers int
		auth    bool
	}{
		{"_atproto.anna.social.ap.test.", dns.TypeTXT, dns.RcodeSuccess, 1, true},
		{"_ATproto.aNNa.social.ap.TEST.", dns.TypeTXT, dns.RcodeSuccess, 1, true}, // 0x20 mixed case
		{"anna.social.ap.test.", dns.TypeTXT, dns.RcodeSuccess, 0, true},
		{"social.ap.test.", dns.TypeA, dns.RcodeSuccess, 1, true}, // a name between must exist
		{"_atproto.anna.social.ap.test.", dns.TypeA, dns.RcodeSuccess, 0, true},
		{"ap.test.", dns.TypeSOA, dns.RcodeSuccess, 1, true},
		{"ap.test.", dns.TypeNS, dns.RcodeSuccess, 1, true},
		{"anna.social.ap.test.", dns.TypeMX, dns.RcodeSuccess, 0, true},
		{"_acme-challenge.ap.test.", dns.TypeTXT, dns.RcodeSuccess, 1, true},
		{"_atproto.broken.social.ap.test.", dns.TypeTXT, dns.RcodeServerFailure, 0, true},
		{"example.com.", dns.TypeA, dns.RcodeRefused, 0, false},
		{"notap.test.", dns.TypeA, dns.RcodeRefused, 0, false},
		{"ap.test.", dns.TypeANY, dns.RcodeSuccess, 1, true},
		{"ap.test.", dns.TypeAXFR, dns.RcodeRefused, 0, false},
	} {
		q := new(dns.Msg).SetQuestion(c.name, c.kind)
		if c.kind == dns.TypeAXFR {
			q.Question[0].Qtype = dns.TypeAXFR
		}
		got, _, err := client.ExchangeContext(t.Context(), q, addr)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got.Rcode != c.rcode || len(got.Answer) != c.answers || got.Authoritative != c.auth {
			t.Errorf("%s %s: %v", c.name, dns.TypeToString[c.kind], got)
		}
		if c.rcode == dns.RcodeSuccess && c.answers == 0 && len(got.Ns) != 1 {
			t.Errorf("%s: a negative answer without SOA", c.name)
		}
		if len(got.Question) != 1 || got.Question[0].Name != c.name {
			t.Errorf("%s: the question came back as %v", c.name, got.Question)
		}
	}
}
