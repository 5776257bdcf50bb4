package consent_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"footbridge/identity"
	"footbridge/identity/consent"
)

const (
	day       = 24 * time.Hour
	quietHour = time.Hour
)

func (r *rig) state(s identity.Subject) consent.State {
	r.Helper()
	state := consent.Unknown
	r.view(func(tx consent.Tx) error {
		row, err := tx.ConsentRow(s)
		if err == nil {
			state = row.State
			return nil
		}
		if sup, err := tx.ConsentSuppression(r.desk.Pseudonym(s)); err == nil {
			state = sup.State
		}
		return nil
	})
	return state
}

// tick lets time do its work and tells what came of it.
func (r *rig) tick(d time.Duration) []consent.Due {
	r.Helper()
	r.clock.pass(d)
	var due []consent.Due
	r.ok(r.db.Update(context.Background(), func(tx consent.Tx) (err error) {
		if _, err := tx.ConsentSweep(tx.Now()); err != nil {
			return err
		}
		due, err = r.desk.Expire(tx, 100)
		return err
	}))
	return due
}

func TestR7_EachScopeIsRevocable(t *testing.T) {
	r := newRig(t)
	all := slices.DeleteFunc(consent.AllScopes(), func(s consent.Scope) bool { return s == consent.ScopeProfile })
	r.join(alice, true)
	for i, sc := range all {
		r.want(r.publish(alice, sc), consent.ReasonNone)
		ch := r.do(func(tx consent.Tx) (consent.Change, error) {
			return r.desk.Narrow(tx, alice, []consent.Scope{sc}, ev(consent.E2, "less"))
		})
		r.want(r.publish(alice, sc), consent.ReasonScope)
		if !slices.Equal(ch.Dropped, []consent.Scope{sc}) {
			t.Errorf("narrowing %s offers to erase %v", sc, ch.Dropped)
		}
		for _, other := range all[i+1:] {
			r.want(r.publish(alice, other), consent.ReasonNone)
		}
	}
	r.refused(consent.ReasonUninformed, func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Choose(tx, alice, consent.AllScopes(), nil, ev(consent.E2, "more"))
	})
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Choose(tx, alice, consent.AllScopes(), nil, ev(consent.E1, "more"))
	})
	r.want(r.publish(alice, consent.ScopeLikes), consent.ReasonNone)
}

func TestR10_APolicyNeverWidensAGrant(t *testing.T) {
	r := newRig(t)
	subjects := make([]identity.Subject, 1000)
	before := map[identity.Subject][]consent.Scope{}
	for i := range subjects {
		subjects[i] = identity.Subject(fmt.Sprintf("https://s%d.example/u", i))
		r.join(subjects[i], i%2 == 0)
		before[subjects[i]] = r.may(r.gate, subjects[i])
	}
	// The next policy: same desk, same people, a gate of version 2, in which one scope has grown.
	next := r.config
	next.Policy = 2
	gate := consent.NewGate(next)
	for _, s := range subjects {
		if got := r.may(gate, s); !slices.Equal(got, before[s]) {
			t.Fatalf("a new policy changed what %s agreed to: %v, was %v", s, got, before[s])
		}
	}
	// Granting under a later policy than the code knows gives nothing that is not listed.
	older := r.config
	older.Policy = -1
	if got := r.may(consent.NewGate(older), subjects[0]); len(got) != 0 {
		t.Errorf("under an older policy the gate still allows %v", got)
	}
}

func (r *rig) may(g *consent.Gate, s identity.Subject) (out []consent.Scope) {
	r.view(func(tx consent.Tx) error {
		for _, i := range consent.Scopes() {
			if _, err := g.Publish(context.Background(), tx, s, i.Name); err == nil {
				out = append(out, i.Name)
			}
		}
		return nil
	})
	return out
}

func TestR12_Expiry(t *testing.T) {
	r := newRig(t)
	r.join(alice, false)
	if due := r.tick(334 * day); len(due) != 0 {
		t.Fatalf("too early: %+v", due)
	}
	for _, step := range []struct {
		after    time.Duration
		reminder int
		state    consent.State
	}{{1 * day, 30, consent.Granted}, {23 * day, 7, consent.Granted}, {6 * day, 1, consent.Granted}, {1 * day, 0, consent.Paused}} {
		due := r.tick(step.after)
		if len(due) != 1 || due[0].Reminder != step.reminder || r.state(alice) != step.state {
			t.Fatalf("after %s: %+v, %s", step.after, due, r.state(alice))
		}
		if again := r.tick(0); len(again) != 0 {
			t.Fatalf("said twice: %+v", again)
		}
	}
	r.want(r.publish(alice, consent.ScopePosts), consent.ReasonExpiry)
	if due := r.tick(59 * day); len(due) != 0 {
		t.Fatalf("erased early: %+v", due)
	}
	if due := r.tick(2 * day); len(due) != 1 || due[0].Change.State != consent.Withdrawn {
		t.Fatalf("not erased: %+v", due)
	}
}

func TestR12_TheGateKnowsTheEndByItself(t *testing.T) {
	r := newRig(t)
	r.join(alice, false)
	r.clock.pass(365*day + time.Second)
	r.want(r.publish(alice, consent.ScopePosts), consent.ReasonExpired)
}

func TestR12_ShorterLivesAndRenewal(t *testing.T) {
	r := newRig(t)
	for _, life := range []time.Duration{time.Hour, -1, 1000 * day} {
		a := r.asked(bella)
		if _, err := r.try(func(tx consent.Tx) (consent.Change, error) {
			return r.desk.Confirm(tx, consent.Confirmation{Subject: bella, Evidence: ev(consent.E4, "y"), Code: a.Code, Life: life})
		}); err == nil {
			t.Errorf("a grant of %s was made", life)
		}
		r.clock.pass(2 * time.Hour)
	}
	a := r.asked(bella)
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Confirm(tx, consent.Confirmation{Subject: bella, Evidence: ev(consent.E4, "y"), Code: a.Code, Life: 30 * day})
	})
	if due := r.tick(31 * day); len(due) != 1 || due[0].Change.Reason != consent.ReasonExpiry {
		t.Fatalf("30 days did not end: %+v", due)
	}
	again := r.join(bella, false)
	if again.State != consent.Granted || again.Incarnation != 1 {
		t.Errorf("renewal gives %+v", again)
	}
}

func TestR13_EveryNoWithdraws(t *testing.T) {
	no := map[string]func(*rig, consent.Tx, identity.Subject) (consent.Change, error){
		"block": func(r *rig, tx consent.Tx, s identity.Subject) (consent.Change, error) {
			return r.desk.Withdraw(tx, s, ev(contactOf(s), "Block"))
		},
		"stop": func(r *rig, tx consent.Tx, s identity.Subject) (consent.Change, error) {
			return r.desk.Withdraw(tx, s, ev(contactOf(s), "stop"))
		},
		"page": func(r *rig, tx consent.Tx, s identity.Subject) (consent.Change, error) {
			return r.desk.Withdraw(tx, s, ev(consent.E1, "form"))
		},
		"record": func(r *rig, tx consent.Tx, s identity.Subject) (consent.Change, error) {
			return r.desk.Withdraw(tx, s, ev(consent.E4, "delete"))
		},
		"bio": func(r *rig, tx consent.Tx, s identity.Subject) (consent.Change, error) {
			return r.desk.Observe(tx, s, consent.Signals{Deny: consent.SignalNoBridge}, ev(consent.E5, "bio"))
		},
		"deleted": func(r *rig, tx consent.Tx, s identity.Subject) (consent.Change, error) {
			return r.desk.AccountDeleted(tx, s, ev(contactOf(s), "Delete"))
		},
		"link": leaveByLink,
	}
	for name, way := range no {
		for _, s := range []identity.Subject{alice, bella} {
			r := newRig(t)
			before := r.join(s, true)
			ch := r.do(func(tx consent.Tx) (consent.Change, error) { return way(r, tx, s) })
			if ch.State != consent.Withdrawn || ch.Epoch <= before.Epoch {
				t.Errorf("%s of %s: %+v", name, s, ch)
			}
			r.want(r.publish(s, consent.ScopePosts), consent.ReasonWithdrawn)
		}
	}
}

func leaveByLink(r *rig, tx consent.Tx, s identity.Subject) (consent.Change, error) {
	receipt, err := r.desk.Receipt(tx, s)
	if err != nil {
		return consent.Change{}, err
	}
	who, err := r.desk.OpenLink(tx, receipt.Leave[len(r.config.Operator.LeaveURL):], consent.LinkWithdraw)
	if err != nil {
		return consent.Change{}, err
	}
	return r.desk.Withdraw(tx, who, ev(consent.E4, "link"))
}

func TestR103_LinksAreForOnePurposeAndEnd(t *testing.T) {
	r := newRig(t)
	r.join(alice, false)
	var token string
	r.ok(r.db.Update(context.Background(), func(tx consent.Tx) (err error) {
		token, err = r.desk.Link(tx, alice, consent.LinkWithdraw, time.Hour)
		return err
	}))
	open := func(token, purpose string) (err error) {
		r.view(func(tx consent.Tx) error { _, err = r.desk.OpenLink(tx, token, purpose); return nil })
		return err
	}
	r.ok(open(token, consent.LinkWithdraw))
	for _, bad := range []struct{ token, purpose string }{{token, consent.LinkPanic}, {token[1:] + "A", consent.LinkWithdraw}, {"", consent.LinkWithdraw}} {
		if open(bad.token, bad.purpose) == nil {
			t.Errorf("%+v opened", bad)
		}
	}
	if file := r.file(); bytes.Contains(file, []byte(token)) {
		t.Error("the token is in the database")
	}
	r.clock.pass(time.Hour)
	if open(token, consent.LinkWithdraw) == nil {
		t.Error("the link has no end")
	}
}

// file is the whole database as it is on disk.
func (r *rig) file() []byte {
	r.Helper()
	var all []byte
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(r.path + end)
		if err != nil && !os.IsNotExist(err) {
			r.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

func TestR110_PanicHidesAndCannotBeUndoneAtOnce(t *testing.T) {
	r := newRig(t)
	r.join(alice, true)
	r.do(func(tx consent.Tx) (consent.Change, error) { return r.desk.Pause(tx, alice, ev(consent.E2, "pause")) })
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Panic(tx, alice, ev(consent.E2, "PANIC"), "self")
	})
	r.want(r.publish(alice, consent.ScopePosts), consent.ReasonPanic)
}

func TestR111_ResumeAfterPanic(t *testing.T) {
	r := newRig(t)
	r.join(alice, true)
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Panic(tx, alice, ev(consent.E2, "PANIC"), "self")
	})
	resume := func(e consent.EvidenceType) func(consent.Tx) (consent.Change, error) {
		return func(tx consent.Tx) (consent.Change, error) { return r.desk.Resume(tx, alice, ev(e, "resume")) }
	}
	r.refused(consent.ReasonWait, resume(consent.E1))
	a := r.asked(alice)
	r.refused(consent.ReasonUninformed, func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Confirm(tx, consent.Confirmation{Subject: alice, Evidence: ev(consent.E4, "y"), Code: a.Code})
	})
	r.clock.pass(24*time.Hour - time.Second)
	r.refused(consent.ReasonWait, resume(consent.E1))
	r.clock.pass(time.Second)
	r.refused(consent.ReasonUninformed, resume(consent.E2))
	r.refused(consent.ReasonUninformed, resume(consent.E4))
	if ch := r.do(resume(consent.E1)); ch.State != consent.Granted {
		t.Errorf("resumed to %s", ch.State)
	}
}

func TestR111_EraseAfterDays(t *testing.T) {
	r := newRig(t)
	r.join(alice, true)
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Panic(tx, alice, ev(consent.E2, "PANIC"), "self")
	})
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.EraseIn(tx, alice, 3, ev(consent.E1, "in 3"))
	})
	if due := r.tick(2 * day); len(due) != 0 {
		t.Fatalf("too early: %+v", due)
	}
	if due := r.tick(day); len(due) != 1 || due[0].Change.State != consent.Withdrawn {
		t.Fatalf("not erased: %+v", due)
	}
}

func TestPendingLapsesWithoutATrace(t *testing.T) {
	r := newRig(t)
	a := r.asked(alice)
	if due := r.tick(7 * day); len(due) != 1 || due[0].Change.State != consent.Unknown {
		t.Fatalf("%+v", due)
	}
	r.refused(consent.ReasonCode, func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Confirm(tx, consent.Confirmation{Subject: alice, Evidence: ev(consent.E4, "y"), Code: a.Code})
	})
	r.view(func(tx consent.Tx) error {
		entries, err := tx.LedgerEntriesOf(r.desk.Pseudonym(alice))
		if len(entries) != 0 {
			t.Errorf("%d entries still name the pseudonym", len(entries))
		}
		return err
	})
	r.audit()
}

func TestNoSurvivesALapsedContact(t *testing.T) {
	r := newRig(t)
	r.withdraw(alice)
	r.asked(alice)
	r.tick(8 * day)
	if r.state(alice) != consent.Refused {
		t.Errorf("a refusal became %s", r.state(alice))
	}
	r.audit()
}

func TestWrongAndOldCodes(t *testing.T) {
	r := newRig(t)
	a := r.asked(alice)
	confirm := func(s identity.Subject, code string) func(consent.Tx) (consent.Change, error) {
		return func(tx consent.Tx) (consent.Change, error) {
			return r.desk.Confirm(tx, consent.Confirmation{Subject: s, Evidence: ev(consent.E4, "y"), Code: code})
		}
	}
	r.refused(consent.ReasonCode, confirm(alice, ""))
	r.refused(consent.ReasonCode, confirm(alice, "AAAAAA"))
	r.refused(consent.ReasonCode, confirm(bella, a.Code))
	r.do(confirm(alice, " "+a.Code+" "))
	r.do(func(tx consent.Tx) (consent.Change, error) { return r.desk.Pause(tx, alice, ev(consent.E2, "p")) })
	r.refused(consent.ReasonCode, confirm(alice, a.Code)) // good once
}

func TestANoticeIsNotRepeatedWithinTheHour(t *testing.T) {
	r := newRig(t)
	if a := r.asked(alice); a.Code == "" || a.Again {
		t.Fatalf("%+v", a)
	}
	if a := r.asked(alice); !a.Again || a.Code != "" {
		t.Errorf("%+v", a)
	}
	r.clock.pass(time.Hour)
	if a := r.asked(alice); a.Again || a.Code == "" {
		t.Errorf("%+v", a)
	}
}

func TestLockedAccountsAreWarnedAndCovered(t *testing.T) {
	r := newRig(t)
	needs := []consent.Scope{consent.ScopeDespiteLocked}
	var a consent.Asked
	r.do(func(tx consent.Tx) (ch consent.Change, err error) {
		a, ch, err = r.desk.Begin(tx, consent.Contact{Subject: alice, Evidence: ev(consent.E2, "f"), Signals: consent.Signals{Needs: needs}})
		return ch, err
	})
	warning := r.desk.Texts().Say("en", "notice.warn.despite_locked", nil)
	if !bytes.Contains([]byte(a.Text), []byte(warning)) {
		t.Fatalf("the notice does not warn:\n%s", a.Text)
	}
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Confirm(tx, consent.Confirmation{Subject: alice, Evidence: ev(consent.E4, "y"), Code: a.Code, Signals: consent.Signals{Needs: needs}})
	})
	r.want(r.publish(alice, consent.ScopePosts), consent.ReasonNone)
	// Somebody who locks the account later was never warned.
	r.join(bella, true)
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Observe(tx, bella, consent.Signals{Needs: []consent.Scope{consent.ScopeDespiteNoUnauth}}, ev(consent.E5, "profile"))
	})
	r.want(r.publish(bella, consent.ScopePosts), consent.ReasonSignal)
}
