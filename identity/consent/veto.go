package consent

import (
	"errors"
	"slices"

	"footbridge/identity"
)

// Deny is a veto: of an instance over itself (InstanceSubject, evidence E6) or one of its people, or of an operator (actor
// "operator:#n", no evidence). A veto over a domain stands in the gate for everybody there; hiding their copies is up to
// the caller, who calls Deny for each of them as well.
func (d *Desk) Deny(tx Tx, s identity.Subject, e Evidence, actor string) (Change, error) {
	r, err := d.load(tx, s)
	if err != nil {
		return Change{}, err
	}
	why := ReasonInstance
	if e.Type != E6 {
		why = ReasonOperator
	}
	next := Next(r.State, E6, No)
	if next == r.State && r.Reason == why || next != Denied {
		return unchanged(r), nil
	}
	l := leafOf(r, EventDeny, tx.Now())
	l.State, l.Reason, l.Actor = Denied, why, actor
	if r.Grant >= 0 && why == ReasonInstance {
		l.EraseAt = stamp(tx.Now().Add(eraseDenied))
	}
	return d.commit(tx, r, l, e)
}

// Lift ends a veto, but never brings back the grant: the person says so, or the copy stays hidden.
func (d *Desk) Lift(tx Tx, s identity.Subject, e Evidence, actor string) (Change, error) {
	r, err := d.load(tx, s)
	if err != nil {
		return Change{}, err
	}
	if r.State != Denied {
		return unchanged(r), nil
	}
	if settle(Next(r.State, E6, Yes), r.Grant >= 0) == Unknown {
		return d.lapse(tx, r)
	}
	l := leafOf(r, EventLift, tx.Now())
	l.State, l.Reason, l.Actor, l.EraseAt = Paused, ReasonInstance, actor, ""
	return d.commit(tx, r, l, e)
}

// instanceDenies is an error if the subject's server does not want this bridge, or if that cannot be told.
func instanceDenies(tx Tx, s identity.Subject) error {
	host := instanceOf(s)
	if host == "" {
		return nil
	}
	row, err := tx.ConsentRow(InstanceSubject(host))
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return doubt(err)
	}
	if row.State == Denied {
		return deny(ReasonDenied)
	}
	return nil
}

// Move drops a grant to Moved: the account now points elsewhere, and whoever is there has to say so anew (R17).
func (d *Desk) Move(tx Tx, s identity.Subject, e Evidence) (Change, error) {
	r, err := d.load(tx, s)
	if err != nil {
		return Change{}, err
	}
	if r.State != Granted && r.State != Paused || r.Reason == ReasonPanic {
		return unchanged(r), nil
	}
	l := leafOf(r, EventMove, tx.Now())
	l.State, l.Reason, l.Actor = Moved, ReasonMoved, "system"
	l.EraseAt = stamp(tx.Now().Add(eraseAfterEnd))
	return d.commit(tx, r, l, e)
}

// Observe takes what a changed profile says. Only people who have to do with the bridge are affected; of others nothing is
// kept.
func (d *Desk) Observe(tx Tx, s identity.Subject, sig Signals, e Evidence) (Change, error) {
	r, err := d.load(tx, s)
	if err != nil {
		return Change{}, err
	}
	e.Type = E5
	switch r.State {
	case Granted, Paused, Moved, Pending, Invited:
	default:
		return unchanged(r), nil
	}
	if sig.Deny != "" && !overruled(r, sig) {
		return d.no(tx, s, e, "self", ReasonSignal)
	}
	if sig.Moved && (r.State == Granted || r.State == Paused) {
		return d.Move(tx, s, e)
	}
	needs, forbid := normList(slices.Clone(sig.Needs)), normList(slices.Clone(sig.Forbid))
	if slices.Equal(needs, r.Needs) && slices.Equal(forbid, r.Forbid) {
		return unchanged(r), nil
	}
	l := leafOf(r, EventSignals, tx.Now())
	l.Needs, l.Forbid, l.Actor = needs, forbid, "system"
	return d.commit(tx, r, l, e)
}

// overruled: proposal 0008 lets people overrule their general declaration for one project, later.
func overruled(r *Row, s Signals) bool {
	return s.Deny == SignalUserIntents && r.Grant >= 0 && !s.Declared.IsZero() && r.Granted.After(s.Declared)
}

// switchHalt is the bridge-wide brake (R45, R65).
const switchHalt = "halt"

// Halt stops all publishing at once; why is shown to operators. Erasing goes on.
func (d *Desk) Halt(tx Tx, why string) error {
	if why == "" {
		why = "halted"
	}
	return tx.PutConsentSwitch(switchHalt, why)
}

// Unhalt lets publishing go on.
func (d *Desk) Unhalt(tx Tx) error { return tx.PutConsentSwitch(switchHalt, "") }

// Halted is why publishing is stopped, empty if it is not.
func (d *Desk) Halted(tx Tx) (string, error) { return tx.ConsentSwitch(switchHalt) }

// Heard notes that a subject wrote to us, so that an answer may be sent. It keeps no name.
func (d *Desk) Heard(tx Tx, s identity.Subject) error {
	return tx.PutConsentContact(d.Pseudonym(s), tx.Now())
}
