package consent

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"footbridge/identity"
)

// Config is what the desk and the gate need.
type Config struct {
	// Secret keys the pseudonyms. It must stay the same for the life of the ledger, and outside the database.
	Secret []byte
	Sealer Sealer
	// Signer signs checkpoints; see NewLogKey.
	Signer note.Signer
	// Operator is named in notices and receipts.
	Operator Operator
	// Policy is the version in force; 0 means CurrentPolicy.
	Policy int64
	// OneStep lets a first follow or message grant the minimal preset, where the operator chose that.
	OneStep bool
	// Rand makes salts and codes; nil means crypto/rand.
	Rand io.Reader
}

// Operator is who runs the bridge.
type Operator struct {
	Name    string // of the bridge, as people know it
	Domain  string
	Runner  string // person or organisation
	Contact string // address or URL
	// WithdrawURL and PageURL are where links lead; both end in a slash or are empty.
	LeaveURL, PageURL string
}

// CurrentPolicy is the version of what the scopes mean today.
const CurrentPolicy = 1

// Desk is where consent is given, narrowed and taken back. Each operation runs in the caller's transaction, appends one
// ledger entry and leaves the row that the entries fold to.
type Desk struct {
	c      Config
	ledger ledger
	texts  *Texts
}

// NewDesk checks the configuration and loads the texts.
func NewDesk(c Config) (*Desk, error) {
	if len(c.Secret) < 32 || c.Sealer == nil || c.Signer == nil {
		return nil, errors.New("the consent desk needs a secret of 32 bytes, a sealer and a signer")
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Policy == 0 {
		c.Policy = CurrentPolicy
	}
	texts, err := LoadTexts()
	if err != nil {
		return nil, err
	}
	return &Desk{c: c, ledger: ledger{c.Rand, c.Signer}, texts: texts}, nil
}

// Texts are the desk's catalogues.
func (d *Desk) Texts() *Texts { return d.texts }

// Change is what an operation did. The caller sets identity.Account.Epoch to Epoch, and Incarnation with a grant.
type Change struct {
	Subject            identity.Subject
	From, State        State
	Reason             Reason
	Event              Event // empty if nothing changed
	Epoch, Incarnation int64
	LedgerIndex        int64
	Scopes             []Scope
	Options            Options
	// Dropped are the scopes that this change took away: erasure of what they brought is to be offered (R7).
	Dropped []Scope
}

// Pseudonym is the keyed hash of a subject (R16).
func (d *Desk) Pseudonym(s identity.Subject) Pseudonym { return pseudonym(d.c.Secret, s) }

func pseudonym(secret []byte, s identity.Subject) Pseudonym {
	m := hmac.New(sha256.New, secret)
	_, _ = io.WriteString(m, "footbridge subject\n"+canonicalID(s)) // a hash never fails to write
	return Pseudonym(hex.EncodeToString(m.Sum(nil)))
}

// canonicalID makes spellings of one id equal: scheme and host in lower case, no default port.
func canonicalID(s identity.Subject) string {
	u, err := url.Parse(string(s))
	if err != nil || u.Host == "" {
		return string(s)
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if host, port, err := net.SplitHostPort(u.Host); err == nil && (port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http") {
		u.Host = host
	}
	u.Fragment = ""
	return u.String()
}

// InstanceSubject is the subject that stands for a whole server (R26).
func InstanceSubject(host string) identity.Subject {
	return identity.Subject("domain:" + strings.ToLower(strings.TrimSuffix(host, ".")))
}

// instanceOf is the server that a subject lives on, empty for a DID.
func instanceOf(s identity.Subject) string {
	u, err := url.Parse(string(s))
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// load reads where a subject stands; somebody never seen is Unknown.
func (d *Desk) load(tx Tx, s identity.Subject) (*Row, error) { return load(tx, d.c.Secret, s) }

func load(tx Tx, secret []byte, s identity.Subject) (*Row, error) {
	if s == "" || len(s) > 2100 {
		return nil, errors.New("reading a consent: no subject")
	}
	row, err := tx.ConsentRow(s)
	if err == nil || !errors.Is(err, ErrNone) {
		return row, err
	}
	fresh := &Row{Subject: s, Who: pseudonym(secret, s), State: Unknown, Ledger: -1, Grant: -1, Incarnation: 1}
	sup, err := tx.ConsentSuppression(fresh.Who)
	if errors.Is(err, ErrNone) {
		return fresh, nil
	}
	if err != nil {
		return nil, err
	}
	fresh.State, fresh.Reason, fresh.Ledger, fresh.Epoch = sup.State, sup.Reason, sup.Ledger, sup.Ledger+1
	fresh.Incarnation, fresh.Since = sup.Incarnation, sup.At
	return fresh, nil
}

// leafOf starts an entry that changes nothing. Whatever comes after an erasure belongs to a new incarnation, so that ids
// that were deleted never come back.
func leafOf(r *Row, ev Event, now time.Time) *Leaf {
	incarnation := r.Incarnation
	if r.State == Erased {
		incarnation++
	}
	return &Leaf{V: 1, Time: stamp(now), Who: r.Who, Event: ev, State: r.State, Reason: r.Reason, Scopes: r.Scopes, Options: r.Options,
		Needs: r.Needs, Forbid: r.Forbid, Policy: r.Policy, Actor: "self", Prev: r.Ledger, Incarnation: incarnation,
		Expires: stamp(r.Expires), EraseAt: stamp(r.EraseAt)}
}

// commit appends an entry, stores the row it folds to, and keeps the evidence.
func (d *Desk) commit(tx Tx, r *Row, l *Leaf, e Evidence) (Change, error) {
	l.Evidence = LeafProof{Type: e.Type, SHA256: e.sum()}
	index, err := d.ledger.append(tx, l)
	if err != nil {
		return Change{}, err
	}
	next, err := apply(r, index, l)
	if err != nil {
		return Change{}, err
	}
	if err := d.store(tx, next); err != nil {
		return Change{}, fmt.Errorf("storing a consent: %w", err)
	}
	if err := d.keep(tx, next, l.Event, e); err != nil {
		return Change{}, fmt.Errorf("storing evidence: %w", err)
	}
	return change(r, next, l.Event), nil
}

func change(from, to *Row, ev Event) Change {
	return Change{Subject: to.Subject, From: from.State, State: to.State, Reason: to.Reason, Event: ev, Epoch: to.Epoch,
		Incarnation: to.Incarnation, LedgerIndex: to.Ledger, Scopes: to.Scopes, Options: to.Options, Dropped: without(from.Scopes, to.Scopes)}
}

func unchanged(r *Row) Change { return change(r, r, "") }

// store keeps the name only of those whose consent is alive or being wound up (R16).
func (d *Desk) store(tx Tx, r *Row) error {
	switch r.State {
	case Refused, Erased:
		return errors.Join(d.forget(tx, r),
			tx.PutConsentSuppression(&Suppression{Who: r.Who, State: r.State, Reason: r.Reason, Ledger: r.Ledger, Incarnation: r.Incarnation, At: r.Since}))
	}
	return errors.Join(tx.PutConsentRow(r), tx.DeleteConsentSuppression(r.Who))
}

// forget drops every row that holds the name.
func (d *Desk) forget(tx Tx, r *Row) error {
	return errors.Join(tx.DeleteConsentRow(r.Subject), tx.DeleteConsentCode(r.Subject), tx.DeleteConsentLinks(r.Subject), tx.EvidenceForget(r.Who))
}

// rawAfter is how long raw evidence outlives the grant it stood for (R24).
const rawAfter = 30 * 24 * time.Hour

func (d *Desk) keep(tx Tx, r *Row, ev Event, e Evidence) error {
	if ev == EventGrant || ev == EventWithdraw {
		if err := tx.EvidenceExpire(r.Who, r.Ledger, tx.Now().Add(rawAfter)); err != nil {
			return err
		}
	}
	if len(e.Raw) == 0 || r.State == Refused || r.State == Erased {
		return nil
	}
	sealed, err := d.c.Sealer.Seal("consent-evidence", fmt.Sprint(r.Ledger), e.Raw)
	if err != nil {
		return err
	}
	until := time.Time{}
	if ev != EventGrant {
		until = tx.Now().Add(rawAfter)
	}
	return tx.PutEvidence(&StoredEvidence{Index: r.Ledger, Who: r.Who, Type: e.Type, Sealed: sealed, Until: until})
}
