package consent_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"footbridge/identity/consent"
)

type signalCase struct {
	Name    string
	Doc     json.RawMessage
	Records map[string]json.RawMessage
	Want    struct {
		consent.Signals
		ForbidSome, NotForbid []consent.Scope
	}
}

func reader() consent.Reader {
	return consent.Reader{Bridge: "https://bridge.example/bot", Now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
}

func signalCases(t *testing.T, name string) (out []signalCase) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "signals", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (c *signalCase) check(t *testing.T, got consent.Signals) {
	t.Helper()
	w := c.Want.Signals
	if got.Deny != w.Deny || got.NoInvite != w.NoInvite || !slices.Equal(got.Needs, w.Needs) || got.NoSearch != w.NoSearch ||
		got.NoRecommend != w.NoRecommend || got.NoTranslation != w.NoTranslation || got.Moved != w.Moved || !got.Declared.Equal(w.Declared) {
		t.Errorf("%s: got %+v, want %+v", c.Name, got, w)
	}
	for _, s := range c.Want.ForbidSome {
		if !slices.Contains(got.Forbid, s) {
			t.Errorf("%s: %s is open", c.Name, s)
		}
	}
	for _, s := range got.Forbid {
		if slices.Contains(c.Want.NotForbid, s) || len(c.Want.ForbidSome) == 0 {
			t.Errorf("%s: %s is closed", c.Name, s)
		}
	}
}

// TestR46_ActorSignals are the test vectors of FEP-0036, of bridgePolicy, and of all else that actors say.
func TestR46_ActorSignals(t *testing.T) {
	for _, c := range signalCases(t, "actors.json") {
		c.check(t, reader().ActorSignals(c.Doc))
	}
}

func TestR46_ProfileSignals(t *testing.T) {
	for _, c := range signalCases(t, "profiles.json") {
		doc := c.Doc
		if string(doc) == "null" {
			doc = nil
		}
		c.check(t, reader().ProfileSignals(doc, c.Records))
	}
}

func TestSignalsOfBareHostReader(t *testing.T) {
	doc := json.RawMessage(`{"indexable":true,"bridgePolicy":{"default":"deny","rules":[{"bridge":"https://bridge.example/actor","effect":"allow"}]}}`)
	r := consent.Reader{Bridge: "bridge.example", Now: time.Now()}
	if s := r.ActorSignals(doc); s.Deny != "" {
		t.Errorf("a rule for this bridge was not taken: %+v", s)
	}
}

func TestUserIntentsCanBeOverruledLater(t *testing.T) {
	r := newRig(t)
	sig := consent.Signals{Deny: consent.SignalUserIntents, NoInvite: true, Declared: r.clock.now().Add(-time.Hour)}
	a := consent.Asked{}
	r.do(func(tx consent.Tx) (ch consent.Change, err error) {
		a, ch, err = r.desk.Begin(tx, consent.Contact{Subject: bella, Evidence: ev(consent.E3, "f"), Signals: sig})
		return ch, err
	})
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Confirm(tx, consent.Confirmation{Subject: bella, Evidence: ev(consent.E4, "y"), Code: a.Code, Signals: sig})
	})
	observe := func(s consent.Signals) consent.State {
		return r.do(func(tx consent.Tx) (consent.Change, error) { return r.desk.Observe(tx, bella, s, consent.Evidence{}) }).State
	}
	if s := observe(sig); s != consent.Granted {
		t.Errorf("an older declaration ends a newer yes: %s", s)
	}
	sig.Declared = r.clock.now().Add(time.Hour)
	if s := observe(sig); s != consent.Withdrawn {
		t.Errorf("a newer declaration is passed over: %s", s)
	}
}

func TestObserveKeepsNothingOfStrangers(t *testing.T) {
	r := newRig(t)
	ch := r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Observe(tx, alice, consent.Signals{Deny: consent.SignalNoBridge}, ev(consent.E5, "bio"))
	})
	if ch.Event != "" || r.state(alice) != consent.Unknown {
		t.Errorf("%+v", ch)
	}
}

func FuzzActorSignals(f *testing.F) {
	f.Add([]byte(`{"summary":"#nobridge","bridgePolicy":{"rules":[{}]}}`))
	f.Add([]byte(`{"attachment":[[[[]]]],"tag":{"name":{"a":{"b":["c"]}}},"bridgeable":{"@value":false}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := reader().ActorSignals(b)
		if !json.Valid(b) && s.Deny == "" {
			t.Error("an unreadable document does not deny")
		}
		_ = reader().ProfileSignals(b, map[string]json.RawMessage{"org.user-intents.declaration": b, "x.y.z": b})
	})
}
