package consent_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"footbridge/identity"
	"footbridge/identity/consent"
)

func TestR1_PermitComesFromTheGateOnly(t *testing.T) {
	r := newRig(t)
	r.join(alice, false)
	var p consent.Permit
	if err := p.Check(r.clock.now(), consent.Publish, consent.Service, consent.Erase, 0); !errors.Is(err, consent.ErrNoPermit) {
		t.Fatalf("the zero permit allows something: %v", err)
	}
	r.view(func(tx consent.Tx) (err error) {
		p, err = r.gate.Publish(context.Background(), tx, alice, consent.ScopePosts)
		return err
	})
	r.ok(p.Check(r.clock.now(), consent.Publish))
	if p.Check(r.clock.now(), consent.Service, consent.Erase) == nil {
		t.Error("a publish permit is good for something else")
	}
	if p.Check(r.clock.now().Add(time.Minute), consent.Publish) == nil {
		t.Error("a permit does not expire")
	}
}

func TestR2_DefaultIsDeny(t *testing.T) {
	r := newRig(t)
	for _, s := range []identity.Subject{alice, bella, "", "nonsense"} {
		for _, i := range consent.Scopes() {
			if r.publish(s, i.Name) == consent.ReasonNone {
				t.Errorf("%q may publish %s", s, i.Name)
			}
		}
	}
	r.join(alice, true)
	r.want(r.publish(alice, "no_such_scope"), consent.ReasonScope)
	r.want(r.publish(alice, ""), consent.ReasonScope)
	r.want(r.service(alice, "no_such_purpose"), consent.ReasonPurpose)
}

// broken is a transaction in which one kind of read fails.
type broken struct {
	consent.Tx
	rows, hidden, switches, codes bool
}

var errBroken = errors.New("the disk is on fire")

func (b broken) ConsentRow(s identity.Subject) (*consent.Row, error) {
	if b.rows || b.hidden && s == consent.InstanceSubject("social.example") {
		return nil, errBroken
	}
	return b.Tx.ConsentRow(s)
}

func (b broken) ConsentSwitch(n string) (string, error) {
	if b.switches {
		return "", errBroken
	}
	return b.Tx.ConsentSwitch(n)
}

func (b broken) ConsentCode(s identity.Subject) (*consent.Code, error) {
	if b.codes {
		return nil, errBroken
	}
	return b.Tx.ConsentCode(s)
}

func TestR2_EveryDoubtIsNo(t *testing.T) {
	r := newRig(t)
	r.join(alice, true)
	r.want(r.publish(alice, consent.ScopePosts), consent.ReasonNone)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for name, b := range map[string]broken{"rows": {rows: true}, "instance": {hidden: true}, "switches": {switches: true}} {
		r.view(func(tx consent.Tx) error {
			b.Tx = tx
			p, err := r.gate.Publish(context.Background(), b, alice, consent.ScopePosts)
			if consent.ReasonOf(err) != consent.ReasonDoubt || p != (consent.Permit{}) {
				t.Errorf("%s broken: %v", name, err)
			}
			return nil
		})
	}
	r.view(func(tx consent.Tx) error {
		if _, err := r.gate.Publish(gone, tx, alice, consent.ScopePosts); consent.ReasonOf(err) != consent.ReasonDoubt {
			t.Errorf("a cancelled request got %v", err)
		}
		if _, err := r.gate.Service(context.Background(), broken{Tx: tx, codes: true}, alice, consent.PurposeNotice); consent.ReasonOf(err) != consent.ReasonDoubt {
			t.Errorf("no code to be read: %v", err)
		}
		return nil
	})
}

func TestR3_TheGateIsAskedAnew(t *testing.T) {
	r := newRig(t)
	r.join(alice, false)
	r.want(r.publish(alice, consent.ScopePosts), consent.ReasonNone)
	r.withdraw(alice)
	for range 1000 {
		r.want(r.publish(alice, consent.ScopePosts), consent.ReasonWithdrawn)
	}
}

func TestR14_PrivateActsNeedTheirOwnScope(t *testing.T) {
	r := newRig(t)
	r.join(alice, false)
	for _, sc := range []consent.Scope{consent.ScopeLikes, consent.ScopePublishFollows, consent.ScopePublishBlocks, consent.ScopePublishRSVPs,
		consent.ScopePublishVotes, consent.ScopeUnlisted, consent.ScopeBoosts} {
		r.want(r.publish(alice, sc), consent.ReasonScope)
	}
	r.join(bella, true)
	r.want(r.publish(bella, consent.ScopeLikes), consent.ReasonNone)
	for _, sc := range []consent.Scope{consent.ScopePublishBlocks, consent.ScopePublishRSVPs, consent.ScopePublishVotes, consent.ScopeUnlisted} {
		r.want(r.publish(bella, sc), consent.ReasonScope)
	}
}

func TestR25_EveryPermitNamesTheEntryInForce(t *testing.T) {
	r := newRig(t)
	first := r.join(alice, true)
	if got := r.permit(alice).LedgerIndex(); got != first.LedgerIndex {
		t.Fatalf("permit names entry %d, the grant is %d", got, first.LedgerIndex)
	}
	next := r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Narrow(tx, alice, []consent.Scope{consent.ScopeLikes}, ev(consent.E2, "less"))
	})
	if got := r.permit(alice).LedgerIndex(); got != next.LedgerIndex || got <= first.LedgerIndex {
		t.Fatalf("permit names entry %d, in force is %d", got, next.LedgerIndex)
	}
}

func (r *rig) permit(s identity.Subject) (p consent.Permit) {
	r.Helper()
	r.view(func(tx consent.Tx) (err error) {
		p, err = r.gate.Publish(context.Background(), tx, s, consent.ScopePosts)
		return err
	})
	return p
}

func TestServicePurposes(t *testing.T) {
	r := newRig(t)
	r.want(r.service(alice, consent.PurposeNotice), consent.ReasonNoContact)
	r.want(r.service(alice, consent.PurposeAnswer), consent.ReasonNoContact)
	r.want(r.service(alice, consent.PurposeInvite), consent.ReasonUnknown)
	r.want(r.service(alice, consent.PurposeReceipt), consent.ReasonUnknown)
	r.want(r.service(alice, consent.PurposeNotify), consent.ReasonUnknown)
	r.want(r.service(alice, consent.PurposeAccept), consent.ReasonNone)
	r.asked(alice)
	r.want(r.service(alice, consent.PurposeNotice), consent.ReasonNone)
	r.want(r.service(alice, consent.PurposeAnswer), consent.ReasonNone)
	r.clock.pass(25 * time.Hour)
	r.want(r.service(alice, consent.PurposeAnswer), consent.ReasonNoContact)
	r.clock.pass(7 * 24 * time.Hour)
	r.want(r.service(alice, consent.PurposeNotice), consent.ReasonNoContact)
	r.join(bella, false)
	r.want(r.service(bella, consent.PurposeReceipt), consent.ReasonNone)
	r.want(r.service(bella, consent.PurposeReminder), consent.ReasonNone)
	r.withdraw(bella)
	r.want(r.service(bella, consent.PurposeReceipt), consent.ReasonNone)
	r.want(r.service(bella, consent.PurposeNotify), consent.ReasonWithdrawn)
	r.erased(bella)
	r.want(r.service(bella, consent.PurposeReceipt), consent.ReasonNone)
	r.clock.pass(49 * time.Hour)
	r.want(r.service(bella, consent.PurposeReceipt), consent.ReasonErased)
}

func TestEraseNeedsNoGrantAndStopsForNothing(t *testing.T) {
	r := newRig(t)
	r.ok(r.db.Update(context.Background(), func(tx consent.Tx) error { return r.desk.Halt(tx, "breach") }))
	r.view(func(tx consent.Tx) error {
		p, err := r.gate.Erase(context.Background(), tx, alice)
		r.ok(err)
		r.ok(p.Check(r.clock.now(), consent.Erase))
		if p.Check(r.clock.now(), consent.Publish, consent.Service) == nil {
			t.Error("an erase permit publishes")
		}
		return nil
	})
}

func TestR45_HaltStopsAllPublishing(t *testing.T) {
	r := newRig(t)
	r.join(alice, true)
	r.ok(r.db.Update(context.Background(), func(tx consent.Tx) error { return r.desk.Halt(tx, "breach") }))
	r.want(r.publish(alice, consent.ScopePosts), consent.ReasonHalted)
	r.ok(r.db.Update(context.Background(), func(tx consent.Tx) error { return r.desk.Unhalt(tx) }))
	r.want(r.publish(alice, consent.ScopePosts), consent.ReasonNone)
}
