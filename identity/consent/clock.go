package consent

import (
	"errors"
	"fmt"
	"time"

	"footbridge/identity"
)

// Due is one thing that time alone brought about. Reminder is set (30, 7 or 1 days) when the person is to be reminded;
// else Change tells what happened.
type Due struct {
	Subject  identity.Subject
	Reminder int
	Change   Change
}

// Expire does what time alone does: lapsed contacts and invitations, reminders, expired grants, pauses that end in
// erasure (R12). Call it again while it returns limit of them.
func (d *Desk) Expire(tx Tx, limit int) ([]Due, error) {
	rows, err := tx.ConsentDue(tx.Now(), limit)
	if err != nil {
		return nil, err
	}
	var out []Due
	for _, r := range rows {
		due, err := d.expireOne(tx, r)
		if err != nil {
			return nil, fmt.Errorf("expiring: %w", err)
		}
		out = append(out, due)
	}
	return out, nil
}

func (d *Desk) expireOne(tx Tx, r *Row) (Due, error) {
	now := tx.Now()
	passed := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	var ch Change
	var err error
	switch {
	case r.State == Pending || r.State == Invited:
		ch, err = d.lapse(tx, r)
	case r.State == Granted && passed(r.Expires):
		ch, err = d.end(tx, r)
	case r.State == Granted:
		return d.remind(tx, r)
	case passed(r.EraseAt):
		ch, err = d.withdraw(tx, r, Evidence{}, "system", ReasonExpiry)
	case passed(r.Expires):
		ch, err = d.end(tx, r)
	default:
		err = errors.New("a row is due without a cause")
	}
	return Due{Subject: r.Subject, Change: ch}, err
}

// end hides everything when the grant runs out, and sets the day of erasure, unless an earlier one stands.
func (d *Desk) end(tx Tx, r *Row) (Change, error) {
	l := leafOf(r, EventPause, tx.Now())
	if r.State == Granted {
		l.State, l.Reason = Paused, ReasonExpiry
	}
	l.Actor, l.Expires = "system", ""
	l.EraseAt = stamp(earlier(r.EraseAt, r.Expires.Add(eraseAfterEnd)))
	return d.commit(tx, r, l, Evidence{})
}

// remind counts the reminder; it is no act of consent and makes no entry.
func (d *Desk) remind(tx Tx, r *Row) (Due, error) {
	left := r.Expires.Sub(tx.Now())
	days := 0
	for i, before := range reminders() {
		if left <= before {
			days, r.Reminded = int(before/(24*time.Hour)), int64(i)+1
		}
	}
	r.Due = r.due()
	return Due{Subject: r.Subject, Reminder: days, Change: unchanged(r)}, tx.PutConsentRow(r)
}

// Limits of invitations (R15). Nobody is ever invited twice.
const (
	invitesPerRequester = 10
	invitesPerBridge    = 100
)

// Invite notes the one invitation that target may ever get, asked for by a member. The caller sends it privately, with
// the requester's name only if they agreed.
func (d *Desk) Invite(tx Tx, target, requester identity.Subject, s Signals) (Change, error) {
	r, err := d.load(tx, target)
	if err != nil {
		return Change{}, err
	}
	if r.State != Unknown {
		return Change{}, deny(stateReason(r))
	}
	if s.Deny != "" || s.NoInvite {
		return Change{}, deny(ReasonSignal)
	}
	if err := instanceDenies(tx, target); err != nil {
		return Change{}, err
	}
	if err := d.inviteLimits(tx, r.Who, requester); err != nil {
		return Change{}, err
	}
	if err := tx.PutConsentInvitation(&Invitation{Target: r.Who, Requester: d.Pseudonym(requester), At: tx.Now()}); err != nil {
		return Change{}, err
	}
	l := leafOf(r, EventInvite, tx.Now())
	l.State, l.Actor = Invited, "system"
	return d.commit(tx, r, l, Evidence{})
}

func (d *Desk) inviteLimits(tx Tx, target Pseudonym, requester identity.Subject) error {
	if _, err := tx.ConsentInvitation(target); err == nil {
		return deny(ReasonInvited)
	} else if !errors.Is(err, ErrNone) {
		return doubt(err)
	}
	day := tx.Now().Add(-24 * time.Hour)
	mine, err := tx.ConsentInvitedSince(d.Pseudonym(requester), day)
	if err != nil {
		return doubt(err)
	}
	all, err := tx.ConsentInvitedSince("", day)
	if err != nil {
		return doubt(err)
	}
	if mine >= invitesPerRequester || all >= invitesPerBridge {
		return deny(ReasonTooMany)
	}
	return nil
}
