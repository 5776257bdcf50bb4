package consent

import (
	"slices"
	"time"

	"footbridge/identity"
)

// Choose sets scopes and options of a live grant. Taking away needs no more than the person's word; adding needs E1 or E4,
// as every yes does (R7).
func (d *Desk) Choose(tx Tx, s identity.Subject, scopes []Scope, o Options, e Evidence) (Change, error) {
	r, err := d.live(tx, s, e)
	if err != nil {
		return Change{}, err
	}
	if err := knownScopes(scopes); err != nil {
		return Change{}, err
	}
	if err := o.Check(); err != nil {
		return Change{}, err
	}
	scopes = normScopes(scopes)
	added := without(scopes, r.Scopes)
	if len(added) > 0 && !e.Type.Informed() {
		return Change{}, deny(ReasonUninformed)
	}
	ev := EventNarrow
	if len(added) > 0 {
		ev = EventGrant
	}
	l := leafOf(r, ev, tx.Now())
	l.Scopes, l.Options = scopes, o
	if ev == EventGrant {
		l.Policy = d.c.Policy
	}
	return d.commit(tx, r, l, e)
}

// Narrow takes scopes away and leaves the rest.
func (d *Desk) Narrow(tx Tx, s identity.Subject, drop []Scope, e Evidence) (Change, error) {
	r, err := d.live(tx, s, e)
	if err != nil {
		return Change{}, err
	}
	if !slices.ContainsFunc(drop, func(sc Scope) bool { return slices.Contains(r.Scopes, sc) }) {
		return unchanged(r), nil
	}
	return d.Choose(tx, s, without(r.Scopes, drop), r.Options, e)
}

// live loads a grant, paused or not, for an act of the person themself.
func (d *Desk) live(tx Tx, s identity.Subject, e Evidence) (*Row, error) {
	r, err := d.self(tx, s, e)
	if err != nil {
		return nil, err
	}
	if r.State != Granted && r.State != Paused {
		return nil, deny(stateReason(r))
	}
	return r, nil
}

func (d *Desk) self(tx Tx, s identity.Subject, e Evidence) (*Row, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	if !e.Type.ofSelf() {
		return nil, deny(ReasonUninformed)
	}
	r, err := d.load(tx, s)
	if err != nil {
		return nil, err
	}
	return r, tx.PutConsentContact(r.Who, tx.Now())
}

// Pause hides everything without destroying it, at the person's wish.
func (d *Desk) Pause(tx Tx, s identity.Subject, e Evidence) (Change, error) {
	r, err := d.live(tx, s, e)
	if err != nil || r.State == Paused {
		return unchangedOr(r, err)
	}
	return d.pause(tx, r, ReasonSelf, "self", e)
}

func unchangedOr(r *Row, err error) (Change, error) {
	if err != nil {
		return Change{}, err
	}
	return unchanged(r), nil
}

func (d *Desk) pause(tx Tx, r *Row, why Reason, actor string, e Evidence) (Change, error) {
	l := leafOf(r, EventPause, tx.Now())
	l.State, l.Reason, l.Actor = Paused, why, actor
	return d.commit(tx, r, l, e)
}

// Hold pauses from our side: an anomaly (a changed key, a domain with a new owner, 410 and then 200: R17) or an operator's
// brake. actor is "system" or "operator:#n".
func (d *Desk) Hold(tx Tx, s identity.Subject, why Reason, actor string) (Change, error) {
	r, err := d.load(tx, s)
	if err != nil {
		return Change{}, err
	}
	if r.State != Granted && (r.State != Paused || r.Reason == ReasonPanic || r.Reason == why) {
		return unchanged(r), nil
	}
	return d.pause(tx, r, why, actor, Evidence{})
}

// Panic hides everything at once (R110). It works from every state with something to hide, and outweighs other pauses.
func (d *Desk) Panic(tx Tx, s identity.Subject, e Evidence, actor string) (Change, error) {
	r, err := d.load(tx, s)
	if err != nil {
		return Change{}, err
	}
	hideable := r.State == Granted || r.State == Moved || r.State == Paused && r.Reason != ReasonPanic
	if !hideable {
		return unchanged(r), nil
	}
	return d.pause(tx, r, ReasonPanic, actor, e)
}

// EraseIn turns a pause into a withdrawal after some days, 0 to call that off (R111).
func (d *Desk) EraseIn(tx Tx, s identity.Subject, days int, e Evidence) (Change, error) {
	r, err := d.live(tx, s, e)
	if err != nil {
		return Change{}, err
	}
	if r.State != Paused || days < 0 || days > 365 {
		return Change{}, deny(ReasonWait)
	}
	l := leafOf(r, EventPause, tx.Now())
	l.EraseAt = ""
	if days > 0 {
		l.EraseAt = stamp(tx.Now().Add(time.Duration(days) * 24 * time.Hour))
	}
	return d.commit(tx, r, l, e)
}

// Resume takes up a paused grant. The person's own pause ends at their word; after a panic it takes a fresh sign-in and a
// day, so that whoever holds the phone cannot undo it (R111); other pauses end as mayResume says.
func (d *Desk) Resume(tx Tx, s identity.Subject, e Evidence) (Change, error) {
	r, err := d.live(tx, s, e)
	if err != nil || r.State == Granted {
		return unchangedOr(r, err)
	}
	if err := instanceDenies(tx, s); err != nil {
		return Change{}, err
	}
	if reason := mayResume(r, e.Type, tx.Now()); reason != "" {
		return Change{}, deny(reason)
	}
	if r.Grant < 0 || !r.Expires.IsZero() && !tx.Now().Before(r.Expires) {
		return Change{}, deny(ReasonExpired)
	}
	l := leafOf(r, EventResume, tx.Now())
	l.State, l.Reason, l.EraseAt = Granted, "", ""
	return d.commit(tx, r, l, e)
}

// mayResume is empty if this evidence ends this pause, else why not.
func mayResume(r *Row, t EvidenceType, now time.Time) Reason {
	switch r.Reason {
	case ReasonSelf:
		if !t.ofSelf() {
			return ReasonUninformed
		}
	case ReasonPanic:
		if t != E1 {
			return ReasonUninformed
		}
		if now.Before(r.Since.Add(panicWait)) {
			return ReasonWait
		}
	case ReasonOperator:
		return ReasonSuspended
	default:
		if !t.Informed() {
			return ReasonUninformed
		}
	}
	return ""
}
