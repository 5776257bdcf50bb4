package consent_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
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

func TestR15_OneInviteEver(t *testing.T) {
	r := newRig(t)
	rng := rand.New(rand.NewPCG(1, 2))
	invited := map[identity.Subject]int{}
	perRequester := map[string]int{}
	sent := 0
	for i := range 10000 {
		if i%250 == 0 {
			r.tick(5 * time.Hour)
		}
		target := identity.Subject(fmt.Sprintf("https://t.example/u%d", rng.IntN(300)))
		requester := identity.Subject(fmt.Sprintf("https://s.example/r%d", rng.IntN(5)))
		ch, err := r.try(func(tx consent.Tx) (consent.Change, error) {
			return r.desk.Invite(tx, target, requester, consent.Signals{})
		})
		if err != nil {
			continue
		}
		if ch.State != consent.Invited {
			t.Fatalf("an invitation gives %+v", ch)
		}
		sent++
		invited[target]++
		perRequester[fmt.Sprintf("%s %d", requester, r.clock.now().Unix()/86400)]++
		if rng.IntN(4) == 0 {
			r.withdraw(target)
		}
	}
	for target, n := range invited {
		if n > 1 {
			t.Errorf("%s was invited %d times", target, n)
		}
	}
	for who, n := range perRequester {
		if n > 20 { // 10 in any 24 hours can touch one date twice
			t.Errorf("%s invited %d", who, n)
		}
	}
	if sent < 100 {
		t.Errorf("only %d invitations went out; the test tests nothing", sent)
	}
}

func TestR15_WhoIsNeverInvited(t *testing.T) {
	r := newRig(t)
	invite := func(s identity.Subject, sig consent.Signals) func(consent.Tx) (consent.Change, error) {
		return func(tx consent.Tx) (consent.Change, error) { return r.desk.Invite(tx, s, bella, sig) }
	}
	r.refused(consent.ReasonSignal, invite(alice, consent.Signals{Deny: consent.SignalNoBridge}))
	r.refused(consent.ReasonSignal, invite(alice, consent.Signals{NoInvite: true}))
	r.withdraw(alice) // never joined: a plain no
	r.refused(consent.ReasonRefused, invite(alice, consent.Signals{}))
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Deny(tx, consent.InstanceSubject("Closed.example"), ev(consent.E6, "no"), "instance")
	})
	r.refused(consent.ReasonDenied, invite("https://closed.example/u", consent.Signals{}))
	for i := range 10 {
		r.do(invite(identity.Subject(fmt.Sprintf("https://x.example/%d", i)), consent.Signals{}))
	}
	r.refused(consent.ReasonTooMany, invite("https://x.example/11", consent.Signals{}))
	r.tick(31 * day)
	if r.state("https://x.example/1") != consent.Unknown {
		t.Error("an unanswered invitation is not forgotten")
	}
	r.refused(consent.ReasonInvited, invite("https://x.example/1", consent.Signals{}))
}

func TestR16_SuppressionKeepsNoName(t *testing.T) {
	r := newRig(t)
	r.join(alice, true)
	r.withdraw(alice)
	r.erased(alice)
	r.withdraw(bella)
	if r.state(alice) != consent.Erased || r.state(bella) != consent.Refused {
		t.Fatalf("%s, %s", r.state(alice), r.state(bella))
	}
	r.view(func(tx consent.Tx) error { // nothing in any row; what free pages keep is the store's (secure_delete)
		rows, err := tx.ConsentRows("", 10)
		if len(rows) != 0 {
			t.Errorf("rows are left: %+v", rows)
		}
		return err
	})
	for _, s := range []identity.Subject{alice, "HTTPS://Social.Example:443/users/alice"} {
		if r.desk.Pseudonym(s) != r.desk.Pseudonym(alice) {
			t.Errorf("%s is not recognised", s)
		}
	}
	r.want(r.publish(alice, consent.ScopePosts), consent.ReasonErased)
	r.want(r.publish(bella, consent.ScopePosts), consent.ReasonRefused)
	r.refused(consent.ReasonErased, func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Invite(tx, alice, "https://s.example/r", consent.Signals{})
	})
	again := r.join(alice, false)
	if again.Incarnation != 2 {
		t.Errorf("coming back after an erasure gives incarnation %d", again.Incarnation)
	}
}

func TestR17_MovedAndOddAccountsArePaused(t *testing.T) {
	r := newRig(t)
	r.join(alice, true)
	r.do(func(tx consent.Tx) (consent.Change, error) { return r.desk.Move(tx, alice, ev(consent.E2, "Move")) })
	r.want(r.publish(alice, consent.ScopePosts), consent.ReasonMoved)
	r.refused(consent.ReasonMoved, func(tx consent.Tx) (consent.Change, error) { return r.desk.Resume(tx, alice, ev(consent.E2, "resume")) })
	if ch := r.join(alice, false); ch.State != consent.Granted {
		t.Errorf("confirming again gives %s", ch.State)
	}
	r.join(bella, true)
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Hold(tx, bella, consent.ReasonAnomaly, "system")
	})
	r.want(r.publish(bella, consent.ScopePosts), consent.ReasonAnomaly)
	r.refused(consent.ReasonUninformed, func(tx consent.Tx) (consent.Change, error) { return r.desk.Resume(tx, bella, ev(consent.E3, "resume")) })
	r.do(func(tx consent.Tx) (consent.Change, error) { return r.desk.Resume(tx, bella, ev(consent.E1, "resume")) })
}

func TestR26_AnInstanceCanOnlyDeny(t *testing.T) {
	r := newRig(t)
	r.join(alice, true)
	site := consent.InstanceSubject("social.example")
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Deny(tx, site, ev(consent.E6, "no"), "instance")
	})
	r.want(r.publish(alice, consent.ScopePosts), consent.ReasonDenied)
	r.want(r.service(alice, consent.PurposeAccept), consent.ReasonDenied)
	ch := r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Deny(tx, alice, ev(consent.E6, "no"), "instance")
	})
	if ch.State != consent.Denied {
		t.Fatalf("denied is %s", ch.State)
	}
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Lift(tx, site, ev(consent.E6, "yes"), "instance")
	})
	ch = r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Lift(tx, alice, ev(consent.E6, "yes"), "instance")
	})
	if ch.State != consent.Paused {
		t.Fatalf("a lifted veto gives %s", ch.State)
	}
	r.want(r.publish(alice, consent.ScopePosts), consent.ReasonInstance)
	r.refused(consent.ReasonUninformed, func(tx consent.Tx) (consent.Change, error) { return r.desk.Resume(tx, alice, ev(consent.E2, "resume")) })
	if ch := r.join(alice, false); ch.State != consent.Granted {
		t.Errorf("the person's own yes gives %s", ch.State)
	}
	stranger := identity.Subject("https://other.example/u")
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Deny(tx, stranger, ev(consent.E6, "no"), "instance")
	})
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Lift(tx, stranger, ev(consent.E6, "yes"), "instance")
	})
	if r.state(stranger) != consent.Unknown {
		t.Errorf("a veto over a stranger leaves %s", r.state(stranger))
	}
}

func TestR26_DeniedCopiesAreErasedAfterSevenDays(t *testing.T) {
	r := newRig(t)
	r.join(alice, true)
	r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Deny(tx, alice, ev(consent.E6, "no"), "instance")
	})
	if due := r.tick(6 * day); len(due) != 0 {
		t.Fatalf("too early: %+v", due)
	}
	if due := r.tick(day); len(due) != 1 || due[0].Change.State != consent.Withdrawn {
		t.Fatalf("not erased: %+v", due)
	}
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
