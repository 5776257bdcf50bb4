package consent_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"footbridge/bridge/store"
	"footbridge/identity"
	"footbridge/identity/consent"
)

const (
	alice = identity.Subject("https://social.example/users/alice")
	bella = identity.Subject("did:plc:bellabellabellabellabella")
)

// box is a sealer for tests: it marks what was sealed, and opens only under the same purpose and row.
type box struct{}

func (box) Seal(purpose, row string, plain []byte) ([]byte, error) {
	key := sha256.Sum256([]byte(purpose + "/" + row))
	out := make([]byte, len(plain))
	for i := range plain {
		out[i] = plain[i] ^ key[i%32]
	}
	return append(key[:8:8], out...), nil
}

func (b box) Open(purpose, row string, sealed []byte) ([]byte, error) {
	key := sha256.Sum256([]byte(purpose + "/" + row))
	if len(sealed) < 8 || string(sealed[:8]) != string(key[:8]) {
		return nil, errors.New("sealed for something else")
	}
	out, err := b.Seal(purpose, row, sealed[8:])
	if err != nil {
		return nil, err
	}
	return out[8:], nil
}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

// rig is a desk and a gate over the real database.
type rig struct {
	*testing.T
	db       store.Room[consent.Tx]
	raw      *store.DB
	path     string
	clock    *clock
	desk     *consent.Desk
	gate     *consent.Gate
	config   consent.Config
	verifier string
}

func newRig(t *testing.T, change ...func(*consent.Config)) *rig {
	t.Helper()
	r := &rig{T: t, clock: &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, path: filepath.Join(t.TempDir(), "c.db")}
	seed := sha256.Sum256([]byte("ledger"))
	signer, verifier, err := consent.NewLogKey("bridge.example/consent", seed[:])
	r.ok(err)
	r.verifier = verifier
	r.config = consent.Config{Secret: []byte("0123456789abcdef0123456789abcdef"), Sealer: box{}, Signer: signer, Operator: operator()}
	for _, f := range change {
		f(&r.config)
	}
	r.desk, err = consent.NewDesk(r.config)
	r.ok(err)
	r.gate = consent.NewGate(r.config)
	r.open()
	return r
}

func operator() consent.Operator {
	return consent.Operator{Name: "Footbridge", Domain: "bridge.example", Runner: "Example Co-op", Contact: "help@bridge.example",
		LeaveURL: "https://bridge.example/leave/", PageURL: "https://bridge.example/"}
}

func (r *rig) open() {
	r.Helper()
	db, err := store.Open(context.Background(), store.Options{Path: r.path, Now: r.clock.now})
	r.ok(err)
	r.raw, r.db = db, store.Room[consent.Tx]{DB: db}
	r.Cleanup(func() { _ = db.Close() })
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// do runs one operation and wants it to succeed.
func (r *rig) do(f func(consent.Tx) (consent.Change, error)) consent.Change {
	r.Helper()
	ch, err := r.try(f)
	r.ok(err)
	return ch
}

func (r *rig) try(f func(consent.Tx) (consent.Change, error)) (ch consent.Change, err error) {
	err = r.db.Update(context.Background(), func(tx consent.Tx) error {
		ch, err = f(tx)
		return err
	})
	return ch, err
}

// refused runs one operation and wants it refused for a reason.
func (r *rig) refused(want consent.Reason, f func(consent.Tx) (consent.Change, error)) {
	r.Helper()
	_, err := r.try(f)
	if !errors.Is(err, consent.ErrDenied) || consent.ReasonOf(err) != want {
		r.Fatalf("got %v, want a denial for %q", err, want)
	}
}

func (r *rig) view(f func(consent.Tx) error) {
	r.Helper()
	r.ok(r.db.View(context.Background(), f))
}

func ev(t consent.EvidenceType, raw string) consent.Evidence {
	return consent.Evidence{Type: t, Raw: []byte(raw)}
}

func contactOf(s identity.Subject) consent.EvidenceType {
	if s == bella {
		return consent.E3
	}
	return consent.E2
}

// asked makes the first contact and returns the notice.
func (r *rig) asked(s identity.Subject) consent.Asked {
	r.Helper()
	var a consent.Asked
	r.do(func(tx consent.Tx) (ch consent.Change, err error) {
		a, ch, err = r.desk.Begin(tx, consent.Contact{Subject: s, Evidence: ev(contactOf(s), "follow"), Lang: "en"})
		return ch, err
	})
	return a
}

// join goes all the way to a grant.
func (r *rig) join(s identity.Subject, all bool) consent.Change {
	r.Helper()
	a := r.asked(s)
	return r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Confirm(tx, consent.Confirmation{Subject: s, Evidence: ev(consent.E4, "yes "+a.Code), Code: a.Code, All: all})
	})
}

func (r *rig) withdraw(s identity.Subject) consent.Change {
	r.Helper()
	return r.do(func(tx consent.Tx) (consent.Change, error) { return r.desk.Withdraw(tx, s, ev(contactOf(s), "stop")) })
}

func (r *rig) erased(s identity.Subject) consent.Change {
	r.Helper()
	return r.do(func(tx consent.Tx) (consent.Change, error) { return r.desk.MarkErased(tx, s) })
}

func (r *rig) publish(s identity.Subject, sc consent.Scope) consent.Reason {
	r.Helper()
	var err error
	r.view(func(tx consent.Tx) error {
		_, err = r.gate.Publish(context.Background(), tx, s, sc)
		return nil
	})
	return consent.ReasonOf(err)
}

func (r *rig) service(s identity.Subject, purpose string) consent.Reason {
	r.Helper()
	var err error
	r.view(func(tx consent.Tx) error {
		_, err = r.gate.Service(context.Background(), tx, s, purpose)
		return nil
	})
	return consent.ReasonOf(err)
}

// want compares a reason.
func (r *rig) want(got, want consent.Reason) {
	r.Helper()
	if got != want {
		r.Fatalf("got reason %q, want %q", got, want)
	}
}

func hexHash(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
