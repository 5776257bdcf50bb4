package consent_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"footbridge/identity/consent"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares with a file, or rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; if that is meant, run with -update and have it reviewed.\ngot:\n%s", path, got)
	}
}

func answers() []consent.Answer { return []consent.Answer{consent.Yes, consent.No} }

func word(a consent.Answer) string {
	if a == consent.Yes {
		return "yes"
	}
	return "no"
}

func TestR4_TransitionTable(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s %-4s %-4s -> %s\n", "state", "kind", "says", "next")
	for _, s := range consent.States() {
		for _, e := range consent.EvidenceTypes() {
			for _, a := range answers() {
				fmt.Fprintf(&b, "%-10s %-4s %-4s -> %s\n", s, e, word(a), consent.Next(s, e, a))
			}
		}
	}
	golden(t, "states.txt", b.String())
}

// TestR4_OnlyInformedEvidenceGrants says the rule once more, so that a golden file cannot be updated past it.
func TestR4_OnlyInformedEvidenceGrants(t *testing.T) {
	for _, s := range consent.States() {
		for _, e := range append(consent.EvidenceTypes(), "", "E7") {
			for _, a := range answers() {
				next := consent.Next(s, e, a)
				if next == consent.Granted && s != consent.Granted && (e != consent.E1 && e != consent.E4 || a == consent.No) {
					t.Errorf("%s by %s %s reaches granted", s, e, word(a))
				}
				if next == consent.Pending && s != consent.Pending && e != consent.E2 && e != consent.E3 {
					t.Errorf("%s by %s %s reaches pending", s, e, word(a))
				}
				if a == consent.No && slices.Contains(consent.EvidenceTypes(), e) && slices.Contains([]consent.State{consent.Granted, consent.Pending}, next) {
					t.Errorf("%s by %s is still %s after a no", s, e, next)
				}
				if (e == consent.E5 || e == consent.E6) && a == consent.Yes && next != s && next != consent.Paused {
					t.Errorf("%s by %s yes becomes %s", s, e, next)
				}
			}
		}
	}
}

// TestR4_DeskFollowsTheTable walks the desk through the evidence that the table is about.
func TestR4_DeskFollowsTheTable(t *testing.T) {
	r := newRig(t)
	for _, e := range []consent.EvidenceType{consent.E2, consent.E3, consent.E5, consent.E6, ""} {
		r.asked(alice)
		_, err := r.try(func(tx consent.Tx) (consent.Change, error) {
			return r.desk.Confirm(tx, consent.Confirmation{Subject: alice, Evidence: ev(e, "yes"), Code: "ABCDEF"})
		})
		if consent.ReasonOf(err) != consent.ReasonUninformed {
			t.Errorf("a yes by %q: %v", e, err)
		}
	}
	for _, e := range []consent.EvidenceType{consent.E5, consent.E6} {
		r.refused(consent.ReasonUninformed, func(tx consent.Tx) (consent.Change, error) {
			_, ch, err := r.desk.Begin(tx, consent.Contact{Subject: bella, Evidence: ev(e, "x")})
			return ch, err
		})
	}
	r.clock.pass(2 * time.Hour)
	if ch := r.join(alice, false); ch.State != consent.Granted {
		t.Errorf("the right code leads to %s", ch.State)
	}
}

func TestOneStepIsForFreshContactsWithoutWishes(t *testing.T) {
	r := newRig(t, func(c *consent.Config) { c.OneStep = true })
	if a := r.asked(alice); !a.Granted {
		t.Error("the one-step flow did not grant")
	}
	r.want(r.publish(alice, consent.ScopePosts), consent.ReasonNone)
	r.want(r.publish(alice, consent.ScopeLikes), consent.ReasonScope)
	r.withdraw(alice)
	r.erased(alice)
	if a := r.asked(alice); a.Granted || a.Code == "" {
		t.Error("somebody who left was taken back without being asked")
	}
	var a consent.Asked
	r.do(func(tx consent.Tx) (ch consent.Change, err error) {
		a, ch, err = r.desk.Begin(tx, consent.Contact{Subject: bella, Evidence: ev(consent.E3, "f"), Signals: consent.Signals{Needs: []consent.Scope{consent.ScopeDespiteNoUnauth}}})
		return ch, err
	})
	if a.Granted {
		t.Error("a wish of the profile was passed over")
	}
}
