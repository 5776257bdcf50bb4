package consent

import (
	"context"
	"errors"
	"slices"
	"time"

	"footbridge/identity"
)

// Purposes of service permits. The list is closed; each has its own condition.
const (
	PurposeNotice   = "notice"   // the plain-language text, to somebody who made contact
	PurposeAnswer   = "answer"   // the reply to a command, within a day of it
	PurposeAccept   = "accept"   // Accept or Reject of a follow, Reject of a reply, and what else a protocol must answer
	PurposeReceipt  = "receipt"  // receipts and reports of erasure
	PurposeReminder = "reminder" // before and at expiry
	PurposeNotify   = "notify"   // counts of what did not cross, storms, trouble on the other network
	PurposeInvite   = "invite"   // the one invitation
	PurposeReport   = "report"   // Flag or createReport to moderators
	PurposeInstance = "instance" // the bridge's own actor: requestCrawl, its profile, following members
)

// Gate mints permits. It holds no state: every answer is read in the transaction it is given.
type Gate struct {
	secret []byte
	policy int64
}

var _ PermitSource = (*Gate)(nil)

// NewGate makes the gate that goes with a desk's configuration.
func NewGate(c Config) *Gate {
	if c.Policy == 0 {
		c.Policy = CurrentPolicy
	}
	return &Gate{secret: c.Secret, policy: c.Policy}
}

// Grant is a live yes as flows read it.
type Grant struct {
	Scopes  []Scope
	Options Options
	Ledger  int64
	Epoch   int64
	Policy  int64
}

// Has tells whether the grant covers a scope.
func (g Grant) Has(s Scope) bool { return slices.Contains(g.Scopes, s) }

// Live gives the grant of a subject if it is in force now, else ErrDenied. Scopes that signals close are left out.
func (g *Gate) Live(ctx context.Context, tx Tx, s identity.Subject) (Grant, error) {
	r, err := g.inForce(ctx, tx, s)
	if err != nil {
		return Grant{}, err
	}
	out := Grant{Options: r.Options, Ledger: r.Ledger, Epoch: r.Epoch, Policy: r.Policy}
	for _, sc := range r.Scopes {
		if g.scope(r, sc) == nil {
			out.Scopes = append(out.Scopes, sc)
		}
	}
	return out, nil
}

// Publish mints a permit for what a person's live grant covers.
func (g *Gate) Publish(ctx context.Context, tx Tx, s identity.Subject, scope Scope) (Permit, error) {
	r, err := g.inForce(ctx, tx, s)
	if err != nil {
		return Permit{}, err
	}
	if err := g.scope(r, scope); err != nil {
		return Permit{}, err
	}
	return Permit{kind: Publish, subject: s, scope: scope, ledgerIndex: r.Ledger, expires: permitEnd(tx.Now(), r.Expires)}, nil
}

func permitEnd(now, grantEnd time.Time) time.Time {
	end := now.Add(permitLife)
	if !grantEnd.IsZero() && grantEnd.Before(end) {
		return grantEnd
	}
	return end
}

func (g *Gate) inForce(ctx context.Context, tx Tx, s identity.Subject) (*Row, error) {
	r, err := g.row(ctx, tx, s)
	if err != nil {
		return nil, err
	}
	if why, err := tx.ConsentSwitch(switchHalt); err != nil {
		return nil, doubt(err)
	} else if why != "" {
		return nil, deny(ReasonHalted)
	}
	if err := instanceDenies(tx, s); err != nil {
		return nil, err
	}
	switch {
	case r.State != Granted:
		return nil, deny(stateReason(r))
	case r.Ledger < 0 || r.Grant < 0 || r.Expires.IsZero():
		return nil, doubt(errors.New("a grant without a ledger entry or an end"))
	case !tx.Now().Before(r.Expires):
		return nil, deny(ReasonExpired)
	}
	return r, nil
}

func (g *Gate) row(ctx context.Context, tx Tx, s identity.Subject) (*Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, doubt(err)
	}
	r, err := load(tx, g.secret, s)
	if err != nil {
		return nil, doubt(err)
	}
	return r, nil
}

// scope: ticked, not newer than the grant, not closed by the profile, and with what the profile makes necessary.
func (g *Gate) scope(r *Row, scope Scope) error {
	info, ok := scopeInfo(scope)
	if !ok || !slices.Contains(r.Scopes, scope) {
		return deny(ReasonScope)
	}
	if info.Since > r.Policy || info.Since > g.policy {
		return deny(ReasonPolicy)
	}
	if slices.Contains(r.Forbid, scope) || len(without(r.Needs, r.Scopes)) > 0 {
		return deny(ReasonSignal)
	}
	return nil
}

func stateReason(r *Row) Reason {
	switch r.State {
	case Pending, Invited:
		return ReasonPending
	case Refused:
		return ReasonRefused
	case Paused:
		return r.Reason
	case Withdrawn:
		return ReasonWithdrawn
	case Erased:
		return ReasonErased
	case Denied:
		if r.Reason == ReasonOperator {
			return ReasonSuspended
		}
		return ReasonDenied
	case Moved:
		return ReasonMoved
	}
	return ReasonUnknown
}

// Erase mints a permit to delete. It needs no grant, stops for no state, and is refused only for lack of a subject.
func (g *Gate) Erase(ctx context.Context, tx Tx, s identity.Subject) (Permit, error) {
	if err := ctx.Err(); err != nil {
		return Permit{}, doubt(err)
	}
	if s == "" {
		return Permit{}, doubt(errors.New("nobody to erase for"))
	}
	return Permit{kind: Erase, subject: s, ledgerIndex: -1, expires: tx.Now().Add(permitLife)}, nil
}

// Service mints a permit for what the bridge itself has to say to somebody, each purpose under its own condition.
func (g *Gate) Service(ctx context.Context, tx Tx, to identity.Subject, purpose string) (Permit, error) {
	r, err := g.row(ctx, tx, to)
	if err != nil {
		return Permit{}, err
	}
	if err := g.purpose(tx, r, purpose); err != nil {
		return Permit{}, err
	}
	return Permit{kind: Service, subject: to, ledgerIndex: -1, expires: tx.Now().Add(permitLife)}, nil
}

func (g *Gate) purpose(tx Tx, r *Row, purpose string) error {
	switch purpose {
	case PurposeNotice:
		return g.mayNotice(tx, r)
	case PurposeAnswer:
		return heardLately(tx, r.Who)
	case PurposeReceipt:
		return mayReceipt(r, tx.Now())
	case PurposeReminder, PurposeNotify:
		return only(r, Granted, Paused)
	case PurposeInvite:
		return errors.Join(instanceDenies(tx, r.Subject), only(r, Invited))
	case PurposeAccept, PurposeReport, PurposeInstance:
		if r.State == Denied {
			return deny(stateReason(r))
		}
		return instanceDenies(tx, r.Subject)
	}
	return deny(ReasonPurpose)
}

func only(r *Row, states ...State) error {
	if slices.Contains(states, r.State) {
		return nil
	}
	return deny(stateReason(r))
}

// mayNotice: only while there is a code to answer with, which only a contact makes.
func (g *Gate) mayNotice(tx Tx, r *Row) error {
	if err := instanceDenies(tx, r.Subject); err != nil {
		return err
	}
	code, err := tx.ConsentCode(r.Subject)
	if errors.Is(err, ErrNone) {
		return deny(ReasonNoContact)
	}
	if err != nil {
		return doubt(err)
	}
	if !tx.Now().Before(code.Expires) {
		return deny(ReasonNoContact)
	}
	return only(r, Pending, Paused, Moved, Granted)
}

// answerWithin is how long after a message an answer may still be sent.
const answerWithin = 24 * time.Hour

func heardLately(tx Tx, who Pseudonym) error {
	at, err := tx.ConsentContact(who)
	if errors.Is(err, ErrNone) {
		return deny(ReasonNoContact)
	}
	if err != nil {
		return doubt(err)
	}
	if tx.Now().After(at.Add(answerWithin)) {
		return deny(ReasonNoContact)
	}
	return nil
}

// reportWithin is how long after the end the last report may be sent.
const reportWithin = 48 * time.Hour

func mayReceipt(r *Row, now time.Time) error {
	switch r.State {
	case Granted, Paused, Withdrawn, Moved:
		return nil
	case Denied:
		if r.Grant >= 0 {
			return nil
		}
	case Refused, Erased:
		if r.Reason != ReasonSignal && now.Before(r.Since.Add(reportWithin)) {
			return nil
		}
	}
	return deny(stateReason(r))
}
