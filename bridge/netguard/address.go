package netguard

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
)

// denied4 are the networks of IPv4 that are not the public internet (IANA special-purpose registry, RFC 6890), and the
// metadata address of one cloud that lies in public space.
var denied4 = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32",
)

// global6 is what of IPv6 is given out for the public internet; denied6 are the exceptions within it: IETF protocol
// assignments (Teredo, ORCHID, benchmarking), documentation (RFC 3849, RFC 9637), 6to4, AS112 (RFC 7534, 7535).
var (
	global6 = netip.MustParsePrefix("2000::/3")
	denied6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48")
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// public reports whether an address is on the public internet.
func public(ip netip.Addr) bool {
	if ip.Zone() != "" {
		return false
	}
	// An IPv4 address in IPv6 clothes (::ffff:a.b.c.d) is what it is without them. All other embeddings
	// (::a.b.c.d, 64:ff9b::/96, 2002::/16) lie outside of global6 or in denied6.
	ip = ip.Unmap()
	if ip.Is4() {
		return !contained(ip, denied4)
	}
	return global6.Contains(ip) && !contained(ip, denied6)
}

func contained(ip netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// checkAddr decides about one address that is about to be connected to.
func (g *Guard) checkAddr(ip netip.Addr, dev bool) error {
	if dev && ip.Unmap().IsLoopback() {
		return nil
	}
	if !public(ip) || contained(ip.Unmap(), g.deny) {
		return fmt.Errorf("%w: not a public address", ErrDenied)
	}
	return nil
}

// control runs between socket and connect, with the address in its final form.
func (g *Guard) control(dev bool) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, addr string, _ syscall.RawConn) error {
		if !strings.HasPrefix(network, "tcp") {
			return fmt.Errorf("%w: network %s", ErrDenied, network)
		}
		ap, err := netip.ParseAddrPort(addr)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDenied, err)
		}
		if err := g.checkAddr(ap.Addr(), dev); err != nil {
			return err
		}
		if g.observe != nil {
			g.observe(ap)
		}
		return nil
	}
}
