package identity_test

import (
	"net/netip"
	"testing"

	"footbridge/identity"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

func TestZone(t *testing.T) {
	z := identity.Zone{Name: "Bridge.test.", Nameservers: []string{"ns1.example."}, Contact: "hostmaster.example",
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}}
	const did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
	for _, c := range []struct {
		name   string
		typ    identity.RecordType
		did    string
		want   string
		absent bool
	}{
		{"_atproto.alice.social.example.bridge.test.", identity.TypeTXT, did, "did=" + did, false},
		{"_ATPROTO.Alice.social.example.BRIDGE.test", identity.TypeTXT, did, "did=" + did, false},
		{"_atproto.nobody.bridge.test", identity.TypeTXT, "", "", true},
		{"_atproto.alice.social.example.bridge.test", identity.TypeA, did, "", false},
		{"_other.alice.bridge.test", identity.TypeTXT, did, "", true},
		{"_atproto.bridge.test", identity.TypeTXT, did, "", true},
		{"alice.social.example.bridge.test", identity.TypeA, "", "192.0.2.1", false},
		{"alice.social.example.bridge.test", identity.TypeAAAA, "", "2001:db8::1", false},
		{"example.bridge.test", identity.TypeNS, "", "", false}, // names between are not absent
		{"bridge.test", identity.TypeNS, "", "ns1.example", false},
		{"bridge.test", identity.TypeSOA, "", "ns1.example", false},
		{"alice.bridge.test", identity.TypeTXT, "", "", false},
	} {
		a := z.Resolve(c.name, c.typ, syntax.DID(c.did))
		got := ""
		if len(a.Answer) > 0 {
			got = a.Answer[0].Value
		}
		if got != c.want || a.Absent != c.absent || a.Refused {
			t.Errorf("%s %s: got %+v", c.name, c.typ, a)
		}
	}
	for _, name := range []string{"example.com", "notbridge.test", "bridge.test.example.com", "."} {
		if !z.Resolve(name, identity.TypeA, "").Refused {
			t.Errorf("%s is answered", name)
		}
	}
	if h, ok := z.HandleAt("_atproto.alice.social.example.bridge.test."); !ok || h != "alice.social.example.bridge.test" {
		t.Errorf("got %s, %v", h, ok)
	}
}
