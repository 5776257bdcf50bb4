package identity

import (
	"net/netip"
	"strings"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

// Zone answers for the names under which handles of copies live. It is pure: package atproto speaks DNS and asks the
// table. Every name below the apex has the bridge's addresses, as if by a wildcard, so that a handle's
// /.well-known/atproto-did is reached and names between apex and handle never look absent (RFC 8020).
type Zone struct {
	// Name is the apex, such as "ap.example.org".
	Name string
	// Addresses are those of the bridge's web server.
	Addresses []netip.Addr
	// Nameservers are the hosts that serve the zone; they are named in NS and SOA.
	Nameservers []string
	// Contact is the SOA's RNAME, as a name: "hostmaster.example.org".
	Contact string
	// Serial is the SOA's; zones without secondaries may leave it.
	Serial uint32
}

// RecordType is a DNS type by its mnemonic.
type RecordType string

// The types that the zone has.
const (
	TypeA    RecordType = "A"
	TypeAAAA RecordType = "AAAA"
	TypeTXT  RecordType = "TXT"
	TypeNS   RecordType = "NS"
	TypeSOA  RecordType = "SOA"
)

// Times to live in seconds: addresses change rarely, handles may.
const (
	TTLAddress = 3600
	TTLHandle  = 300
	TTLAbsent  = 60
)

// ZoneRecord is one answer. Value is an address, a text, or a name; for SOA it is the nameserver, and the zone has the
// rest.
type ZoneRecord struct {
	Name  string
	Type  RecordType
	TTL   uint32
	Value string
}

// ZoneAnswer is what goes into the response. With no Answer the SOA belongs into the authority section.
type ZoneAnswer struct {
	// Refused: the name is not in the zone.
	Refused bool
	// Absent: no such name (NXDOMAIN).
	Absent bool
	Answer []ZoneRecord
}

// Covers reports whether a name is in the zone.
func (z Zone) Covers(name string) bool {
	name, apex := canonical(name), canonical(z.Name)
	return name == apex || strings.HasSuffix(name, "."+apex)
}

// HandleAt is the handle that a question for _atproto.<handle> asks about.
func (z Zone) HandleAt(name string) (syntax.Handle, bool) {
	rest, ok := strings.CutPrefix(canonical(name), "_atproto.")
	if !ok || !z.Covers(rest) || rest == canonical(z.Name) {
		return "", false
	}
	h, err := syntax.ParseHandle(rest)
	return h, err == nil
}

// Resolve answers one question. did is the DID of HandleAt(name), or empty when no live account has that handle.
func (z Zone) Resolve(name string, typ RecordType, did syntax.DID) ZoneAnswer {
	name = canonical(name)
	if !z.Covers(name) {
		return ZoneAnswer{Refused: true}
	}
	if strings.HasPrefix(name, "_") {
		return z.underscore(name, typ, did)
	}
	var a ZoneAnswer
	switch typ {
	case TypeA, TypeAAAA:
		for _, ip := range z.Addresses {
			if ip.Unmap().Is4() == (typ == TypeA) {
				a.Answer = append(a.Answer, ZoneRecord{name, typ, TTLAddress, ip.Unmap().String()})
			}
		}
	case TypeNS:
		if name == canonical(z.Name) {
			for _, ns := range z.Nameservers {
				a.Answer = append(a.Answer, ZoneRecord{name, TypeNS, TTLAddress, canonical(ns)})
			}
		}
	case TypeSOA:
		if name == canonical(z.Name) {
			a.Answer = append(a.Answer, z.SOA())
		}
	}
	return a
}

func (z Zone) underscore(name string, typ RecordType, did syntax.DID) ZoneAnswer {
	if _, ok := z.HandleAt(name); !ok || did == "" {
		return ZoneAnswer{Absent: true}
	}
	if typ != TypeTXT {
		return ZoneAnswer{}
	}
	return ZoneAnswer{Answer: []ZoneRecord{{name, TypeTXT, TTLHandle, "did=" + did.String()}}}
}

// SOA is the start of authority.
func (z Zone) SOA() ZoneRecord {
	ns := canonical(z.Name)
	if len(z.Nameservers) > 0 {
		ns = canonical(z.Nameservers[0])
	}
	return ZoneRecord{canonical(z.Name), TypeSOA, TTLAbsent, ns}
}

func canonical(name string) string { return strings.TrimSuffix(fold(name), ".") }
