package consent_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"footbridge/identity"
	"footbridge/identity/consent"
)

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
