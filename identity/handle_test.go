package identity_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"footbridge/identity"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

const zone = "bridge.test"

func TestHandleFor(t *testing.T) {
	for _, c := range []struct{ user, host, want string }{
		{"alice", "mastodon.social", "alice.mastodon.social.bridge.test"},
		{"Alice", "Mastodon.Social", "alice.mastodon.social.bridge.test"},
		{"alice_smith", "a.example", "alice-smith.a.example.bridge.test"},
		{"alice-smith", "a.example", "alice--hsmith.a.example.bridge.test"},
		{"alice.smith", "a.example", "alice--dsmith.a.example.bridge.test"},
		{"_alice_", "a.example", "x--z--ualice--u.a.example.bridge.test"},
		{"a__b", "a.example", "a--u-b.a.example.bridge.test"},
		{"~tilde", "a.example", "x--z--ttilde.a.example.bridge.test"},
		{"xn--foo", "a.example", "x--zxn--h--hfoo.a.example.bridge.test"},
		{"bücher", "bücher.example", "xn--bcher-kva.xn--bcher-kva.example.bridge.test"},
		{"a😀", "a.example", "xn--a-jv3s.a.example.bridge.test"},
		{"a%b", "a.example", "a--x25gb.a.example.bridge.test"},
		{"bob", "localhost:3001", "bob.localhost.port--3001.bridge.test"},
		{"bob", "127.0.0.1:80", "bob.127.0.0.1.port--80.bridge.test"},
	} {
		h, err := identity.HandleFor(c.user, c.host, zone)
		if err != nil {
			t.Errorf("%s@%s: %v", c.user, c.host, err)
			continue
		}
		if h.String() != c.want {
			t.Errorf("%s@%s: got %s, want %s", c.user, c.host, h, c.want)
		}
	}
}

func TestHandleForRefuses(t *testing.T) {
	for _, c := range [][2]string{{"", "a.example"}, {"a", ""}, {strings.Repeat("a", 3000), "a.example"}} {
		if h, err := identity.HandleFor(c[0], c[1], zone); err == nil {
			t.Errorf("%q@%q became %s", c[0], c[1], h)
		}
	}
}

// TestHandlesAreUniqueAndReversible draws addresses from an alphabet that is rich in what collides.
func TestHandlesAreUniqueAndReversible(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	parts := []string{"a", "b", "x", "z", "u", "g", "n", "y", "0", "9", "_", "-", ".", "~", "+", "--", "__", "xn--", "--z", "--y", "é", "日本", "😀", "%", " ", "'", "ß", "١", "\u200d"}
	hosts := []string{"a.example", "b.example", "my-site.social", "a-b.c--d.example", "localhost:3000", "localhost", "bücher.example", "xn--bcher-kva.example2", "port--3000.example", "under_score.example", "[::1]:3000", "127.0.0.1:3000", strings.Repeat("long.", 40) + "example", strings.Repeat("x", 70) + ".example", "localhost.port--3000"}
	seen := map[string]string{}
	hashed := 0
	for range 10_000 {
		var b strings.Builder
		for range 1 + r.IntN(9) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		if r.IntN(20) == 0 {
			b.WriteString(strings.Repeat("long", 20+r.IntN(3)))
		}
		user, host := strings.ToLower(b.String()), hosts[r.IntN(len(hosts))]
		h, err := identity.HandleFor(user, host, zone)
		if err != nil {
			t.Fatalf("%q@%q: %v", user, host, err)
		}
		if _, err := syntax.ParseHandle(h.String()); err != nil || len(h) > 253 || h.Normalize() != h {
			t.Fatalf("%q@%q: %s is no handle: %v", user, host, h, err)
		}
		address := user + "@" + host
		if other, ok := seen[h.String()]; ok && other != address {
			t.Fatalf("%q and %q share %s", address, other, h)
		}
		seen[h.String()] = address
		back, err := identity.AcctFor(h, zone)
		if errors.Is(err, identity.ErrHashed) {
			hashed++
			continue
		}
		if err != nil || back != asciiHost(address) {
			t.Fatalf("%q: %s gives back %q, %v", address, h, back, err)
		}
	}
	if hashed == 0 || hashed > 6000 {
		t.Errorf("%d of 10,000 were hashed: the draw does not test what it should", hashed)
	}
}

// asciiHost writes the host as the network does.
func asciiHost(address string) string {
	return strings.Replace(address, "@bücher.example", "@xn--bcher-kva.example", 1)
}

func TestAcctForForeign(t *testing.T) {
	for _, h := range []string{"alice.elsewhere.test", "a--qb.a.example.bridge.test", "a--x61g.a.example.bridge.test", "a---b.a.example.bridge.test"} {
		if acct, err := identity.AcctFor(syntax.Handle(h), zone); err == nil {
			t.Errorf("%s gave %s", h, acct)
		}
	}
}

func TestVariant(t *testing.T) {
	h, err := identity.HandleFor("alice", "a.example", zone)
	if err != nil {
		t.Fatal(err)
	}
	v, err := identity.Variant(h, 2)
	if err != nil || v != "alice--n2.a.example.bridge.test" {
		t.Fatalf("got %s, %v", v, err)
	}
	if _, err := identity.AcctFor(v, zone); !errors.Is(err, identity.ErrHashed) {
		t.Errorf("a variant must be resolved by the table, got %v", err)
	}
	long, err := identity.HandleFor(strings.Repeat("a", 63), "a.example", zone)
	if err != nil {
		t.Fatal(err)
	}
	if v, err = identity.Variant(long, 3); err != nil || len(strings.Split(v.String(), ".")[0]) > 63 {
		t.Errorf("got %s, %v", v, err)
	}
}
