package consent

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"footbridge/identity"
)

// Contact is somebody getting in touch: a follow of the bot, a message, a visit to the page.
type Contact struct {
	Subject  identity.Subject
	Evidence Evidence
	// Lang is the language they seem to prefer.
	Lang    string
	Signals Signals
}

// Asked is the notice to send. Text asks for `yes CODE` or `yes all CODE`.
type Asked struct {
	Code, Lang, TextHash, Text string
	// Granted is set when no notice is needed: there is a live grant already, or the one-step flow made one.
	Granted bool
	// Again is set when a notice went out less than an hour ago: sending it again would only annoy. It has no code.
	Again   bool
	Expires time.Time
}

// Begin takes a contact and makes the notice. It is refused for those whose profile, instance or operator says no, and
// while an erasure runs; ReasonOf tells which.
func (d *Desk) Begin(tx Tx, c Contact) (Asked, Change, error) {
	r, err := d.welcome(tx, c)
	if err != nil {
		return Asked{}, Change{}, err
	}
	if r.State == Granted {
		return Asked{Granted: true}, unchanged(r), nil
	}
	if d.oneStep(r, c) {
		ch, err := d.grant(tx, r, MinimalScopes(), Confirmation{Evidence: c.Evidence, Lang: c.Lang, Signals: c.Signals}, LeafText{})
		return Asked{Granted: true}, ch, err
	}
	ch := unchanged(r)
	if next := Next(r.State, c.Evidence.contact(), Yes); next != r.State {
		l := leafOf(r, EventContact, tx.Now())
		l.State, l.Reason, l.Needs, l.Forbid = next, "", c.Signals.Needs, c.Signals.Forbid
		if ch, err = d.commit(tx, r, l, c.Evidence); err != nil {
			return Asked{}, Change{}, err
		}
	}
	p, err := d.notice(tx, c)
	return p, ch, err
}

// contact: arriving with a sign-in is not yet the answer to a form.
func (e Evidence) contact() EvidenceType {
	if e.Type == E1 || e.Type == E4 {
		return E2
	}
	return e.Type
}

// welcome loads the row of somebody who may be told about the bridge.
func (d *Desk) welcome(tx Tx, c Contact) (*Row, error) {
	if err := c.Evidence.check(); err != nil {
		return nil, err
	}
	if !c.Evidence.Type.ofSelf() {
		return nil, deny(ReasonUninformed)
	}
	r, err := d.load(tx, c.Subject)
	if err != nil {
		return nil, err
	}
	if err := tx.PutConsentContact(r.Who, tx.Now()); err != nil {
		return nil, err
	}
	return r, d.barred(tx, r, c.Signals)
}

// barred tells what stands against a grant, whatever the person says now.
func (d *Desk) barred(tx Tx, r *Row, s Signals) error {
	if err := instanceDenies(tx, r.Subject); err != nil {
		return err
	}
	switch {
	case r.State == Withdrawn:
		return deny(ReasonWait)
	case r.State == Denied && r.Reason == ReasonOperator:
		return deny(ReasonSuspended)
	case r.State == Denied:
		return deny(ReasonDenied)
	case s.Deny != "" && s.Deny != SignalUserIntents:
		return deny(ReasonSignal)
	case s.Moved:
		return deny(ReasonMoved)
	}
	return nil
}

// oneStep: only for people who were never asked before and whose profile has no wish of its own.
func (d *Desk) oneStep(r *Row, c Contact) bool {
	fresh := r.State == Unknown || r.State == Invited
	return d.c.OneStep && fresh && len(c.Signals.Needs) == 0 && !c.Signals.NoInvite
}

// quiet is how long a notice is not repeated.
const quiet = time.Hour

func (d *Desk) notice(tx Tx, c Contact) (Asked, error) {
	old, err := tx.ConsentCode(c.Subject)
	if err != nil && !errors.Is(err, ErrNone) {
		return Asked{}, err
	}
	n := d.Notice(c.Subject, c.Lang, c.Signals.Needs)
	now := tx.Now()
	if err == nil && now.Before(old.Issued.Add(quiet)) && old.TextHash == n.Hash {
		return Asked{Again: true, Lang: old.Lang, TextHash: old.TextHash, Expires: old.Expires}, nil
	}
	code, err := newCode(d.c.Rand)
	if err != nil {
		return Asked{}, err
	}
	if err := tx.PutConsentText(n.Hash, n.Lang, n.Text); err != nil {
		return Asked{}, err
	}
	row := &Code{Subject: c.Subject, Hash: hexSum([]byte(code)), TextHash: n.Hash, Lang: n.Lang, Needs: c.Signals.Needs, Issued: now, Expires: now.Add(pendingLife)}
	if err := tx.PutConsentCode(row); err != nil {
		return Asked{}, err
	}
	return Asked{Code: code, Lang: n.Lang, TextHash: n.Hash, Text: n.WithCode(code), Expires: row.Expires}, nil
}

// codeAlphabet has no letters or digits that are easily mixed up.
const codeAlphabet = "23456789ABCDEFGHJKMNPQRSTVWXYZ"

// codeLength is short enough to type.
const codeLength = 6

func newCode(random io.Reader) (string, error) {
	var b strings.Builder
	for b.Len() < codeLength {
		var one [1]byte
		if _, err := io.ReadFull(random, one[:]); err != nil {
			return "", fmt.Errorf("making a code: %w", err)
		}
		if int(one[0]) < 256/len(codeAlphabet)*len(codeAlphabet) { // no letter likelier than another
			b.WriteByte(codeAlphabet[int(one[0])%len(codeAlphabet)])
		}
	}
	return b.String(), nil
}

// Confirmation is an informed yes: E1 with the submitted form, E4 with the code of a notice, or E4 by record.
type Confirmation struct {
	Subject  identity.Subject
	Evidence Evidence
	// Code answers a notice; All chooses the larger of its two answers.
	Code string
	All  bool
	// Scopes, for E1 and for a record, are those ticked; nil means the preset that All chooses.
	Scopes  []Scope
	Options Options
	// TextHash names the text that the form showed or the record refers to; see Desk.Show. Lang is what they prefer.
	Lang, TextHash string
	// Life is one of Lives; 0 means DefaultLife.
	Life    time.Duration
	Signals Signals
	// Record says that the evidence is a consent record in the person's own repo.
	Record bool
}

// Confirm grants.
func (d *Desk) Confirm(tx Tx, c Confirmation) (Change, error) {
	r, err := d.confirmable(tx, c)
	if err != nil {
		return Change{}, err
	}
	scopes, text, err := d.agreed(tx, c)
	if err != nil {
		return Change{}, err
	}
	ch, err := d.grant(tx, r, scopes, c, text)
	if err != nil {
		return Change{}, err
	}
	return ch, tx.DeleteConsentCode(c.Subject)
}

func (d *Desk) confirmable(tx Tx, c Confirmation) (*Row, error) {
	if !c.Evidence.Type.Informed() {
		return nil, deny(ReasonUninformed)
	}
	r, err := d.welcome(tx, Contact{Subject: c.Subject, Evidence: c.Evidence, Signals: c.Signals})
	if err != nil {
		return nil, err
	}
	if Next(r.State, c.Evidence.Type, Yes) != Granted {
		return nil, deny(ReasonWait)
	}
	if r.State == Paused && r.Reason != ReasonSelf {
		if reason := mayResume(r, c.Evidence.Type, tx.Now()); reason != "" {
			return nil, deny(reason)
		}
	}
	return r, errors.Join(knownScopes(c.Scopes), c.Options.Check(), checkLife(c.Life))
}

func checkLife(life time.Duration) error {
	if life == 0 || slices.Contains(Lives(), life) {
		return nil
	}
	return fmt.Errorf("a grant cannot last %s", life)
}

// agreed tells which scopes were agreed to and which text was shown.
func (d *Desk) agreed(tx Tx, c Confirmation) ([]Scope, LeafText, error) {
	preset := MinimalScopes()
	if c.All {
		preset = AllScopes()
	}
	if c.Evidence.Type == E4 && !c.Record {
		code, err := tx.ConsentCode(c.Subject)
		if errors.Is(err, ErrNone) {
			return nil, LeafText{}, deny(ReasonCode)
		}
		if err != nil {
			return nil, LeafText{}, err
		}
		given := hexSum([]byte(strings.ToUpper(strings.TrimSpace(c.Code))))
		if subtle.ConstantTimeCompare([]byte(given), []byte(code.Hash)) != 1 || !tx.Now().Before(code.Expires) {
			return nil, LeafText{}, deny(ReasonCode)
		}
		// The notice warned of these, so its yes covers them.
		return normScopes(append(preset, code.Needs...)), LeafText{code.TextHash, code.Lang}, nil
	}
	if c.Scopes != nil {
		preset = normScopes(c.Scopes)
	}
	lang, _, err := tx.ConsentText(c.TextHash)
	if errors.Is(err, ErrNone) {
		return nil, LeafText{}, deny(ReasonUninformed) // whoever names no text of ours was not told
	}
	return preset, LeafText{c.TextHash, lang}, err
}

// grant writes the entry. After an erasure everything gets new ids.
func (d *Desk) grant(tx Tx, r *Row, scopes []Scope, c Confirmation, text LeafText) (Change, error) {
	life := c.Life
	if life == 0 {
		life = DefaultLife
	}
	l := leafOf(r, EventGrant, tx.Now())
	l.State, l.Reason, l.Scopes, l.Options, l.Text = Granted, "", scopes, c.Options, text
	l.Needs, l.Forbid, l.Policy = c.Signals.Needs, c.Signals.Forbid, d.c.Policy
	l.Expires, l.EraseAt = stamp(tx.Now().Add(life)), ""
	return d.commit(tx, r, l, c.Evidence)
}
