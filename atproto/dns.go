package atproto

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/miekg/dns"
)

// ZoneSource knows the handles of a zone.
type ZoneSource interface {
	// HandleDID returns the DID of a handle, or "" if the handle is nobody's. An error makes the answer SERVFAIL.
	HandleDID(context.Context, syntax.Handle) (syntax.DID, error)
}

// TextSource is implemented by a ZoneSource that has TXT records of its own, such as those of an ACME DNS-01 challenge.
type TextSource interface {
	Texts(ctx context.Context, name string) ([]string, error)
}

// DNSOptions configure a DNSServer.
type DNSOptions struct {
	// Zone is the handle zone, without a trailing dot. Needed.
	Zone string
	// Nameservers are the names of the zone's servers; default is ns1.<zone>.
	Nameservers []string
	// Addresses are those of the HTTPS server of handles; every name of the zone has them.
	Addresses []netip.Addr
	// TTL of answers, default 300 s; negative answers live a fifth of it.
	TTL    time.Duration
	Source ZoneSource
	Log    *slog.Logger
}

// DNSServer answers with authority for a handle zone: TXT at _atproto.<handle> (https://atproto.com/specs/handle), and
// addresses at every other name, so that the HTTPS way works too. It recurses for nobody and transfers to nobody.
type DNSServer struct {
	o       DNSOptions
	zone    string // canonical: lower case, trailing dot
	servers []*dns.Server
}

const dnsTimeout = 3 * time.Second

// NewDNSServer returns a server; call Start.
func NewDNSServer(o DNSOptions) *DNSServer {
	if o.TTL <= 0 {
		o.TTL = 300 * time.Second
	}
	if len(o.Nameservers) == 0 {
		o.Nameservers = []string{"ns1." + o.Zone}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &DNSServer{o: o, zone: dns.CanonicalName(o.Zone)}
}

// Start serves UDP and TCP on addr (host:port) and returns the address used, which is of interest for port 0.
func (s *DNSServer) Start(addr string) (string, error) {
	tcp, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("listening for DNS: %w", err)
	}
	bound := tcp.Addr().String()
	udp, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", bound)
	if err != nil {
		return "", errors.Join(fmt.Errorf("listening for DNS: %w", err), tcp.Close())
	}
	s.servers = []*dns.Server{
		{Listener: tcp, Handler: s, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, MaxTCPQueries: 64},
		{PacketConn: udp, Handler: s, UDPSize: 1232},
	}
	for _, srv := range s.servers {
		ready := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(ready) }
		go func() {
			if err := srv.ActivateAndServe(); err != nil {
				s.o.Log.Error("the DNS server stopped", "error", err)
			}
		}()
		<-ready
	}
	return bound, nil
}

// Close stops the server.
func (s *DNSServer) Close() error {
	var errs []error
	for _, srv := range s.servers {
		errs = append(errs, srv.Shutdown())
	}
	return errors.Join(errs...)
}

// ServeDNS implements dns.Handler.
func (s *DNSServer) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	ctx, cancel := context.WithTimeout(context.Background(), dnsTimeout)
	defer cancel()
	reply := s.answer(ctx, req)
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if opt := req.IsEdns0(); opt != nil {
			size = min(max(int(opt.UDPSize()), dns.MinMsgSize), 1232)
		}
		reply.Truncate(size)
	}
	if err := w.WriteMsg(reply); err != nil {
		s.o.Log.Debug("answering a DNS question", "error", err)
	}
}

func (s *DNSServer) answer(ctx context.Context, req *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	reply.SetReply(req)
	if opt := req.IsEdns0(); opt != nil {
		reply.SetEdns0(1232, false)
		if opt.Version() != 0 {
			reply.Rcode = dns.RcodeBadVers
			return reply
		}
	}
	switch {
	case req.Opcode != dns.OpcodeQuery:
		reply.Rcode = dns.RcodeNotImplemented
	case len(req.Question) != 1:
		reply.Rcode = dns.RcodeFormatError
	case req.Question[0].Qclass != dns.ClassINET || !dns.IsSubDomain(s.zone, dns.CanonicalName(req.Question[0].Name)):
		reply.Rcode = dns.RcodeRefused
	default:
		s.authoritative(ctx, reply, req.Question[0])
	}
	return reply
}

// authoritative answers in the zone. Every name of the zone exists: a name between a handle and the zone must not be
// denied (RFC 8020), and asking for names then tells nobody which handles there are.
func (s *DNSServer) authoritative(ctx context.Context, reply *dns.Msg, q dns.Question) {
	reply.Authoritative = true
	name := dns.CanonicalName(q.Name)
	var err error
	switch q.Qtype {
	case dns.TypeTXT:
		err = s.texts(ctx, reply, q.Name, name)
	case dns.TypeA, dns.TypeAAAA:
		if !strings.HasPrefix(name, "_") {
			s.addresses(reply, q)
		}
	case dns.TypeSOA, dns.TypeNS:
		if name == s.zone {
			s.apex(reply, q)
		}
	case dns.TypeANY: // RFC 8482
		reply.Answer = append(reply.Answer, &dns.HINFO{Hdr: s.header(q.Name, dns.TypeHINFO), Cpu: "RFC8482"})
	case dns.TypeAXFR, dns.TypeIXFR:
		reply.Rcode, reply.Authoritative = dns.RcodeRefused, false
		return
	}
	if err != nil {
		s.o.Log.Error("looking up a handle for DNS", "error", err)
		reply.Rcode = dns.RcodeServerFailure
		return
	}
	if len(reply.Answer) == 0 {
		reply.Ns = append(reply.Ns, s.soa(s.zone))
	}
}

func (s *DNSServer) texts(ctx context.Context, reply *dns.Msg, asked, name string) error {
	plain := strings.TrimSuffix(name, ".")
	if t, ok := s.o.Source.(TextSource); ok {
		texts, err := t.Texts(ctx, plain)
		if err != nil {
			return err
		}
		for _, text := range texts {
			reply.Answer = append(reply.Answer, &dns.TXT{Hdr: s.header(asked, dns.TypeTXT), Txt: split255(text)})
		}
	}
	rest, ok := strings.CutPrefix(plain, "_atproto.")
	if !ok {
		return nil
	}
	handle, err := syntax.ParseHandle(rest)
	if err != nil {
		return nil //nolint:nilerr // what is no handle is nobody's: an empty answer
	}
	did, err := s.o.Source.HandleDID(ctx, handle.Normalize())
	if err != nil || did == "" {
		return err
	}
	reply.Answer = append(reply.Answer, &dns.TXT{Hdr: s.header(asked, dns.TypeTXT), Txt: split255("did=" + string(did))})
	return nil
}

// split255 cuts a text into the character strings of RFC 1035, which a reader joins again.
func split255(s string) []string {
	var out []string
	for len(s) > 255 {
		out, s = append(out, s[:255]), s[255:]
	}
	return append(out, s)
}

func (s *DNSServer) header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: uint32(s.o.TTL / time.Second)}
}

func (s *DNSServer) addresses(reply *dns.Msg, q dns.Question) {
	for _, a := range s.o.Addresses {
		switch {
		case a.Is4() && q.Qtype == dns.TypeA:
			reply.Answer = append(reply.Answer, &dns.A{Hdr: s.header(q.Name, dns.TypeA), A: a.AsSlice()})
		case a.Is6() && q.Qtype == dns.TypeAAAA:
			reply.Answer = append(reply.Answer, &dns.AAAA{Hdr: s.header(q.Name, dns.TypeAAAA), AAAA: a.AsSlice()})
		}
	}
}

func (s *DNSServer) apex(reply *dns.Msg, q dns.Question) {
	if q.Qtype == dns.TypeSOA {
		reply.Answer = append(reply.Answer, s.soa(q.Name))
		return
	}
	for _, ns := range s.o.Nameservers {
		reply.Answer = append(reply.Answer, &dns.NS{Hdr: s.header(q.Name, dns.TypeNS), Ns: dns.Fqdn(ns)})
	}
}

// soa says how long a negative answer may live: short, as a handle is asked for soon after it is made.
func (s *DNSServer) soa(name string) dns.RR {
	negative := uint32(max(s.o.TTL/5, time.Second) / time.Second)
	h := s.header(name, dns.TypeSOA)
	h.Ttl = negative
	return &dns.SOA{
		Hdr: h, Ns: dns.Fqdn(s.o.Nameservers[0]), Mbox: "hostmaster." + s.zone,
		Serial: 1, Refresh: 7200, Retry: 600, Expire: 1209600, Minttl: negative,
	}
}
