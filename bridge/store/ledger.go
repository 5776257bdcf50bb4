package store

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"footbridge/identity"
	"footbridge/identity/consent"
)

// ConsentLink implements consent.Tx.
func (tx *Tx) ConsentLink(hash string) (*consent.Link, error) {
	l := consent.Link{Hash: hash}
	var expires int64
	ok, err := tx.get("SELECT subject, purpose, expires FROM consent_link WHERE hash = ?", []any{hash}, &l.Subject, &l.Purpose, &expires)
	if err != nil {
		return nil, fmt.Errorf("reading a link: %w", err)
	}
	if !ok {
		return nil, consent.ErrNone
	}
	l.Expires = fromMicros(expires)
	return &l, nil
}

// PutConsentLink implements consent.Tx.
func (tx *Tx) PutConsentLink(l *consent.Link) error {
	return tx.drop("a link", "INSERT INTO consent_link (hash, subject, purpose, expires) VALUES (?, ?, ?, ?)", l.Hash, string(l.Subject), l.Purpose, toMicros(l.Expires))
}

// DeleteConsentLinks implements consent.Tx.
func (tx *Tx) DeleteConsentLinks(s identity.Subject) error {
	return tx.drop("links", "DELETE FROM consent_link WHERE subject = ?", string(s))
}

// ConsentText implements consent.Tx.
func (tx *Tx) ConsentText(hash string) (lang, text string, err error) {
	ok, err := tx.get("SELECT lang, body FROM consent_text WHERE hash = ?", []any{hash}, &lang, &text)
	if err == nil && !ok {
		err = consent.ErrNone
	}
	return lang, text, err
}

// PutConsentText implements consent.Tx.
func (tx *Tx) PutConsentText(hash, lang, text string) error {
	return tx.drop("texts", "INSERT INTO consent_text (hash, lang, body) VALUES (?, ?, ?) ON CONFLICT (hash) DO NOTHING", hash, lang, text)
}

// ConsentContact implements consent.Tx.
func (tx *Tx) ConsentContact(who consent.Pseudonym) (time.Time, error) {
	var at int64
	ok, err := tx.get("SELECT at FROM consent_contact WHERE who = ?", []any{string(who)}, &at)
	if err == nil && !ok {
		err = consent.ErrNone
	}
	return fromMicros(at), err
}

// PutConsentContact implements consent.Tx.
func (tx *Tx) PutConsentContact(who consent.Pseudonym, at time.Time) error {
	return tx.drop("contacts", "INSERT INTO consent_contact (who, at) VALUES (?, ?) ON CONFLICT (who) DO UPDATE SET at = excluded.at", string(who), toMicros(at))
}

// ConsentInvitation implements consent.Tx.
func (tx *Tx) ConsentInvitation(target consent.Pseudonym) (*consent.Invitation, error) {
	i := consent.Invitation{Target: target}
	var at int64
	ok, err := tx.get("SELECT requester, at FROM consent_invitation WHERE target = ?", []any{string(target)}, &i.Requester, &at)
	if err != nil {
		return nil, fmt.Errorf("reading an invitation: %w", err)
	}
	if !ok {
		return nil, consent.ErrNone
	}
	i.At = fromMicros(at)
	return &i, nil
}

// PutConsentInvitation implements consent.Tx.
func (tx *Tx) PutConsentInvitation(i *consent.Invitation) error {
	return tx.drop("invitations", "INSERT INTO consent_invitation (target, requester, at) VALUES (?, ?, ?)", string(i.Target), string(i.Requester), toMicros(i.At))
}

// ConsentInvitedSince implements consent.Tx.
func (tx *Tx) ConsentInvitedSince(requester consent.Pseudonym, since time.Time) (n int64, err error) {
	_, err = tx.get("SELECT COUNT(*) FROM consent_invitation WHERE at > ? AND (? = '' OR requester = ?)",
		[]any{toMicros(since), string(requester), string(requester)}, &n)
	return n, err
}

// ConsentSwitch implements consent.Tx.
func (tx *Tx) ConsentSwitch(name string) (value string, err error) {
	_, err = tx.get("SELECT value FROM consent_switch WHERE name = ?", []any{name}, &value)
	return value, err
}

// PutConsentSwitch implements consent.Tx.
func (tx *Tx) PutConsentSwitch(name, value string) error {
	return tx.drop("a switch", "INSERT INTO consent_switch (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
}

// contactLife is how long it is remembered that somebody wrote to us (retention class unbridged_interactions).
const contactLife = 24 * time.Hour

// ConsentSweep implements consent.Tx.
func (tx *Tx) ConsentSweep(now time.Time) (int64, error) {
	var total int64
	for _, q := range []struct {
		query string
		arg   int64
	}{
		{"DELETE FROM consent_code WHERE expires <= ?", toMicros(now)},
		{"DELETE FROM consent_link WHERE expires <= ?", toMicros(now)},
		{"DELETE FROM consent_contact WHERE at <= ?", toMicros(now.Add(-contactLife))},
		{"DELETE FROM evidence WHERE until > 0 AND until <= ?", toMicros(now)},
	} {
		n, err := tx.exec(q.query, q.arg)
		if err != nil {
			return total, fmt.Errorf("dropping what is over: %w", err)
		}
		total += n
	}
	return total, nil
}

// LedgerSize implements consent.Tx.
func (tx *Tx) LedgerSize() (n int64, err error) {
	_, err = tx.get("SELECT COALESCE(MAX(idx) + 1, 0) FROM ledger", nil, &n)
	return n, err
}

// LedgerAppend implements consent.Tx.
func (tx *Tx) LedgerAppend(e *consent.Entry, hashes []tlog.Hash) error {
	n, err := tx.LedgerSize()
	if err != nil {
		return err
	}
	if n != e.Index {
		return fmt.Errorf("%w: %d after %d", errLedgerGap, e.Index, n-1)
	}
	if _, err := tx.exec("INSERT INTO ledger (idx, who, salt, leaf) VALUES (?, ?, ?, ?)", e.Index, string(e.Who), e.Salt, e.Leaf); err != nil {
		return err
	}
	at := tlog.StoredHashIndex(0, e.Index)
	for i, h := range hashes {
		if _, err := tx.exec("INSERT INTO ledger_hash (idx, hash) VALUES (?, ?)", at+int64(i), h[:]); err != nil {
			return err
		}
	}
	return nil
}

// LedgerHashes implements consent.Tx.
func (tx *Tx) LedgerHashes(indexes []int64) ([]tlog.Hash, error) {
	if len(indexes) == 0 {
		return nil, nil
	}
	args := make([]any, len(indexes))
	for i, n := range indexes {
		args[i] = n
	}
	found := make(map[int64]tlog.Hash, len(indexes))
	err := tx.each("SELECT idx, hash FROM ledger_hash WHERE idx IN (?"+strings.Repeat(", ?", len(indexes)-1)+")", args, func(scan func(...any) error) error {
		var n int64
		var h []byte
		if err := scan(&n, &h); err != nil {
			return err
		}
		if len(h) != tlog.HashSize {
			return fmt.Errorf("hash %d has %d bytes", n, len(h))
		}
		found[n] = tlog.Hash(h)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading ledger hashes: %w", err)
	}
	out := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		h, ok := found[n]
		if !ok {
			return nil, fmt.Errorf("reading ledger hashes: %d is missing", n)
		}
		out[i] = h
	}
	return out, nil
}

// LedgerEntries implements consent.Tx.
func (tx *Tx) LedgerEntries(from int64, limit int) ([]*consent.Entry, error) {
	return tx.ledger("WHERE idx >= ? ORDER BY idx LIMIT ?", from, limit)
}

// LedgerEntriesOf implements consent.Tx.
func (tx *Tx) LedgerEntriesOf(who consent.Pseudonym) ([]*consent.Entry, error) {
	return tx.ledger("WHERE who = ? AND who <> '' ORDER BY idx", string(who))
}

func (tx *Tx) ledger(where string, args ...any) ([]*consent.Entry, error) {
	var out []*consent.Entry
	err := tx.each("SELECT idx, who, salt, leaf FROM ledger "+where, args, func(scan func(...any) error) error {
		var e consent.Entry
		err := scan(&e.Index, &e.Who, &e.Salt, &e.Leaf)
		out = append(out, &e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	return out, nil
}

// LedgerShred implements consent.Tx.
func (tx *Tx) LedgerShred(indexes []int64) error {
	for _, n := range indexes {
		if err := tx.drop("the ledger", "UPDATE ledger SET who = '', salt = NULL, leaf = NULL WHERE idx = ?", n); err != nil {
			return err
		}
	}
	tx.wipe()
	return nil
}

// LedgerHashCount implements consent.Tx.
func (tx *Tx) LedgerHashCount() (n int64, err error) {
	_, err = tx.get("SELECT COUNT(*) FROM ledger_hash", nil, &n)
	return n, err
}

// LedgerCheckpoints implements consent.Tx.
func (tx *Tx) LedgerCheckpoints(after int64, limit int) ([]consent.SignedSize, error) {
	var out []consent.SignedSize
	err := tx.each("SELECT size, note FROM ledger_checkpoint WHERE size > ? ORDER BY size LIMIT ?", []any{after, limit}, func(scan func(...any) error) error {
		var s consent.SignedSize
		err := scan(&s.Size, &s.Note)
		out = append(out, s)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", err)
	}
	return out, nil
}

// PutLedgerCheckpoint implements consent.Tx.
func (tx *Tx) PutLedgerCheckpoint(size int64, note string) error {
	return tx.drop("checkpoints", "INSERT INTO ledger_checkpoint (size, note) VALUES (?, ?) ON CONFLICT (size) DO NOTHING", size, note)
}

// EvidenceByIndex implements consent.Tx.
func (tx *Tx) EvidenceByIndex(index int64) (*consent.StoredEvidence, error) {
	found, err := tx.evidence("WHERE idx = ?", index)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, consent.ErrNone
	}
	return found[0], nil
}

// EvidenceRows implements consent.Tx.
func (tx *Tx) EvidenceRows(from int64, limit int) ([]*consent.StoredEvidence, error) {
	return tx.evidence("WHERE idx >= ? ORDER BY idx LIMIT ?", from, limit)
}

func (tx *Tx) evidence(where string, args ...any) ([]*consent.StoredEvidence, error) {
	var out []*consent.StoredEvidence
	err := tx.each("SELECT idx, who, type, sealed, until FROM evidence "+where, args, func(scan func(...any) error) error {
		var e consent.StoredEvidence
		var until int64
		if err := scan(&e.Index, &e.Who, &e.Type, &e.Sealed, &until); err != nil {
			return err
		}
		e.Until = fromMicros(until)
		out = append(out, &e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading evidence: %w", err)
	}
	return out, nil
}

// PutEvidence implements consent.Tx.
func (tx *Tx) PutEvidence(e *consent.StoredEvidence) error {
	return tx.drop("evidence", "INSERT INTO evidence (idx, who, type, sealed, until) VALUES (?, ?, ?, ?, ?)",
		e.Index, string(e.Who), string(e.Type), e.Sealed, toMicros(e.Until))
}

// EvidenceExpire implements consent.Tx.
func (tx *Tx) EvidenceExpire(who consent.Pseudonym, keep int64, until time.Time) error {
	return tx.drop("evidence", "UPDATE evidence SET until = ? WHERE who = ? AND idx <> ? AND until = 0", toMicros(until), string(who), keep)
}

// EvidenceForget implements consent.Tx.
func (tx *Tx) EvidenceForget(who consent.Pseudonym) error {
	return tx.drop("evidence", "DELETE FROM evidence WHERE who = ?", string(who))
}
