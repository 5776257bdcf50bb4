package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"footbridge/identity"
	"footbridge/identity/consent"
)

const consentColumns = "subject, who, state, reason, scopes, options, needs, forbid, policy, lang, ledger, given, incarnation, since, granted, expires, erase_at, reminded, due"

// ConsentRow implements consent.Tx.
func (tx *Tx) ConsentRow(s identity.Subject) (*consent.Row, error) {
	rows, err := tx.consentRows("WHERE subject = ?", string(s))
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, consent.ErrNone
	}
	return rows[0], nil
}

// ConsentRows implements consent.Tx.
func (tx *Tx) ConsentRows(after identity.Subject, limit int) ([]*consent.Row, error) {
	return tx.consentRows("WHERE subject > ? ORDER BY subject LIMIT ?", string(after), limit)
}

// ConsentDue implements consent.Tx.
func (tx *Tx) ConsentDue(now time.Time, limit int) ([]*consent.Row, error) {
	return tx.consentRows("WHERE due > 0 AND due <= ? ORDER BY due, subject LIMIT ?", now.UnixMicro(), limit)
}

func (tx *Tx) consentRows(where string, args ...any) ([]*consent.Row, error) {
	var out []*consent.Row
	err := tx.each("SELECT "+consentColumns+" FROM consent "+where, args, func(scan func(...any) error) error {
		r, err := scanConsent(scan)
		out = append(out, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading consents: %w", err)
	}
	return out, nil
}

func scanConsent(scan func(...any) error) (*consent.Row, error) {
	var r consent.Row
	var scopes, options, needs, forbid string
	var since, granted, expires, eraseAt, due int64
	if err := scan(&r.Subject, &r.Who, &r.State, &r.Reason, &scopes, &options, &needs, &forbid, &r.Policy, &r.Lang, &r.Ledger, &r.Grant,
		&r.Incarnation, &since, &granted, &expires, &eraseAt, &r.Reminded, &due); err != nil {
		return nil, err
	}
	if options != "" {
		if err := json.Unmarshal([]byte(options), &r.Options); err != nil {
			return nil, fmt.Errorf("options of a consent: %w", err)
		}
	}
	r.Scopes, r.Needs, r.Forbid = splitScopes(scopes), splitScopes(needs), splitScopes(forbid)
	r.Epoch = r.Ledger + 1
	r.Since, r.Granted, r.Expires, r.EraseAt, r.Due = fromMicros(since), fromMicros(granted), fromMicros(expires), fromMicros(eraseAt), fromMicros(due)
	return &r, nil
}

// PutConsentRow implements consent.Tx.
func (tx *Tx) PutConsentRow(r *consent.Row) error {
	options := ""
	if len(r.Options) > 0 {
		b, err := json.Marshal(r.Options)
		if err != nil {
			return fmt.Errorf("storing a consent: %w", err)
		}
		options = string(b)
	}
	_, err := tx.exec(`INSERT INTO consent (`+consentColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (subject) DO UPDATE SET who = excluded.who, state = excluded.state, reason = excluded.reason, scopes = excluded.scopes,
options = excluded.options, needs = excluded.needs, forbid = excluded.forbid, policy = excluded.policy, lang = excluded.lang,
ledger = excluded.ledger, given = excluded.given, incarnation = excluded.incarnation, since = excluded.since, granted = excluded.granted,
expires = excluded.expires, erase_at = excluded.erase_at, reminded = excluded.reminded, due = excluded.due`,
		string(r.Subject), string(r.Who), string(r.State), string(r.Reason), joinScopes(r.Scopes), options, joinScopes(r.Needs), joinScopes(r.Forbid),
		r.Policy, r.Lang, r.Ledger, r.Grant, r.Incarnation, toMicros(r.Since), toMicros(r.Granted), toMicros(r.Expires), toMicros(r.EraseAt),
		r.Reminded, toMicros(r.Due))
	if err != nil {
		return fmt.Errorf("storing a consent: %w", err)
	}
	return nil
}

// DeleteConsentRow implements consent.Tx.
func (tx *Tx) DeleteConsentRow(s identity.Subject) error {
	return tx.drop("a consent", "DELETE FROM consent WHERE subject = ?", string(s))
}

// drop runs a DELETE or UPDATE of which it does not matter how many rows it touched.
func (tx *Tx) drop(what, query string, args ...any) error {
	if _, err := tx.exec(query, args...); err != nil {
		return fmt.Errorf("changing %s: %w", what, err)
	}
	return nil
}

// ConsentCounts implements consent.Tx.
func (tx *Tx) ConsentCounts() (map[consent.State]int64, error) {
	out := map[consent.State]int64{}
	err := tx.each("SELECT state, COUNT(*) FROM consent WHERE subject NOT LIKE 'domain:%' GROUP BY state", nil, func(scan func(...any) error) error {
		var s consent.State
		var n int64
		err := scan(&s, &n)
		out[s] = n
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("counting consents: %w", err)
	}
	return out, nil
}

const suppressionColumns = "who, state, reason, ledger, incarnation, at"

// ConsentSuppression implements consent.Tx.
func (tx *Tx) ConsentSuppression(who consent.Pseudonym) (*consent.Suppression, error) {
	found, err := tx.suppressions("WHERE who = ?", string(who))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, consent.ErrNone
	}
	return found[0], nil
}

// ConsentSuppressions implements consent.Tx.
func (tx *Tx) ConsentSuppressions(after consent.Pseudonym, limit int) ([]*consent.Suppression, error) {
	return tx.suppressions("WHERE who > ? ORDER BY who LIMIT ?", string(after), limit)
}

func (tx *Tx) suppressions(where string, args ...any) ([]*consent.Suppression, error) {
	var out []*consent.Suppression
	err := tx.each("SELECT "+suppressionColumns+" FROM consent_suppression "+where, args, func(scan func(...any) error) error {
		var s consent.Suppression
		var at int64
		if err := scan(&s.Who, &s.State, &s.Reason, &s.Ledger, &s.Incarnation, &at); err != nil {
			return err
		}
		s.At = fromMicros(at)
		out = append(out, &s)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the suppression list: %w", err)
	}
	return out, nil
}

// PutConsentSuppression implements consent.Tx.
func (tx *Tx) PutConsentSuppression(s *consent.Suppression) error {
	return tx.drop("the suppression list", `INSERT INTO consent_suppression (`+suppressionColumns+`) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (who) DO UPDATE SET state = excluded.state, reason = excluded.reason, ledger = excluded.ledger, incarnation = excluded.incarnation, at = excluded.at`,
		string(s.Who), string(s.State), string(s.Reason), s.Ledger, s.Incarnation, toMicros(s.At))
}

// DeleteConsentSuppression implements consent.Tx.
func (tx *Tx) DeleteConsentSuppression(who consent.Pseudonym) error {
	return tx.drop("the suppression list", "DELETE FROM consent_suppression WHERE who = ?", string(who))
}

// ConsentCode implements consent.Tx.
func (tx *Tx) ConsentCode(s identity.Subject) (*consent.Code, error) {
	c := consent.Code{Subject: s}
	var needs string
	var issued, expires int64
	ok, err := tx.get("SELECT hash, text_hash, lang, needs, issued, expires FROM consent_code WHERE subject = ?", []any{string(s)},
		&c.Hash, &c.TextHash, &c.Lang, &needs, &issued, &expires)
	if err != nil {
		return nil, fmt.Errorf("reading a code: %w", err)
	}
	if !ok {
		return nil, consent.ErrNone
	}
	c.Needs, c.Issued, c.Expires = splitScopes(needs), fromMicros(issued), fromMicros(expires)
	return &c, nil
}

// PutConsentCode implements consent.Tx.
func (tx *Tx) PutConsentCode(c *consent.Code) error {
	return tx.drop("a code", `INSERT INTO consent_code (subject, hash, text_hash, lang, needs, issued, expires) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (subject) DO UPDATE SET hash = excluded.hash, text_hash = excluded.text_hash, lang = excluded.lang, needs = excluded.needs,
issued = excluded.issued, expires = excluded.expires`,
		string(c.Subject), c.Hash, c.TextHash, c.Lang, joinScopes(c.Needs), toMicros(c.Issued), toMicros(c.Expires))
}

// DeleteConsentCode implements consent.Tx.
func (tx *Tx) DeleteConsentCode(s identity.Subject) error {
	return tx.drop("a code", "DELETE FROM consent_code WHERE subject = ?", string(s))
}

func joinScopes(in []consent.Scope) string {
	words := make([]string, len(in))
	for i, s := range in {
		words[i] = string(s)
	}
	return strings.Join(words, " ")
}

func splitScopes(s string) []consent.Scope {
	var out []consent.Scope
	for _, w := range strings.Fields(s) {
		out = append(out, consent.Scope(w))
	}
	return out
}

var _ consent.Tx = (*Tx)(nil)

func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

var errLedgerGap = errors.New("a ledger entry does not follow the last one")
