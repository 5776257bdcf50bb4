package netguard

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// suffixes of names that never are on the public internet, or only behind another network.
var localSuffixes = []string{".local", ".localhost", ".internal", ".intranet", ".lan", ".home", ".corp", ".private",
	".home.arpa", ".onion", ".i2p", ".test", ".invalid", ".example", ".alt", ".ts.net"}

// CheckURL reports whether a URL may be requested at all: https (http only for development hosts), no user info, a
// canonical host, port 80 or 443. What the host resolves to is checked when dialling.
func (g *Guard) CheckURL(u *url.URL) error {
	if u.User != nil || u.Opaque != "" || u.Host == "" {
		return fmt.Errorf("%w: not a plain URL", ErrDenied)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
		if strings.HasSuffix(u.Host, ":") {
			return fmt.Errorf("%w: empty port", ErrDenied)
		}
	}
	dev := g.devAllowed(u.Hostname(), port)
	if u.Scheme != "https" && !(u.Scheme == "http" && dev && g.o.DevHTTP) {
		return fmt.Errorf("%w: scheme %.10q", ErrDenied, u.Scheme)
	}
	return checkHost(u.Hostname(), port, dev)
}

// checkHost refuses hosts that two parsers could read differently and ports of other services.
func checkHost(host, port string, dev bool) error {
	if dev {
		return nil
	}
	if port != "443" && port != "80" {
		return fmt.Errorf("%w: port", ErrDenied)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" || ip.String() != host || !public(ip) {
			return fmt.Errorf("%w: address literal", ErrDenied)
		}
		return nil
	}
	return checkName(host)
}

// checkName wants a lower-case ASCII domain name with two labels or more, whose last one is not a number in any base:
// resolvers read "0x7f.1" and "2130706433" as IPv4 addresses.
func checkName(host string) error {
	bad := fmt.Errorf("%w: host name", ErrDenied)
	if len(host) > 253 || host == "" || strings.HasSuffix(host, ".") || !strings.Contains(host, ".") {
		return bad
	}
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil || ascii != strings.ToLower(host) {
		return bad
	}
	for _, label := range strings.Split(ascii, ".") {
		if label == "" || len(label) > 63 {
			return bad
		}
	}
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || last[0] >= '0' && last[0] <= '9' {
		return bad
	}
	for _, s := range localSuffixes {
		if strings.HasSuffix(ascii, s) {
			return bad
		}
	}
	return nil
}

// devRule is one entry of Options.DevAllow.
type devRule struct {
	host     string
	wildcard bool
	port     string
}

func parseDevRule(entry string) (devRule, error) {
	host, port, err := net.SplitHostPort(entry)
	if err != nil {
		host, port = strings.Trim(entry, "[]"), ""
	}
	r := devRule{host: strings.ToLower(host), port: port}
	if rest, ok := strings.CutPrefix(r.host, "*"); ok {
		r.wildcard, r.host = true, rest
		if !strings.HasPrefix(rest, ".") {
			return r, fmt.Errorf("development host %q: a wildcard is written *.name", entry)
		}
	}
	if r.host == "" || strings.Contains(r.host, "*") {
		return r, fmt.Errorf("development host %q: want host:port, host or *.name", entry)
	}
	return r, nil
}

func (g *Guard) devAllowed(host, port string) bool {
	host = strings.ToLower(host)
	for _, r := range g.dev {
		if r.port != "" && r.port != port {
			continue
		}
		if r.host == host || r.wildcard && strings.HasSuffix(host, r.host) && len(host) > len(r.host) {
			return true
		}
	}
	return false
}
