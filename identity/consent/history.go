package consent

import (
	"time"

	"footbridge/identity"
)

// History is everything that this room knows of one subject; it is for that subject alone (R19).
type History struct {
	Subject       identity.Subject
	Who           Pseudonym
	State         State
	Reason        Reason
	Scopes        []Scope
	Options       Options
	Needs, Forbid []Scope
	Lang          string
	Since         time.Time
	Expires       time.Time
	EraseAt       time.Time
	Policy        int64
	Entries       []HistoryEntry
}

// HistoryEntry is one ledger entry in clear.
type HistoryEntry struct {
	Index int64
	Leaf  Leaf
}

// History reads it. Somebody never seen is Unknown, without entries.
func (d *Desk) History(tx Tx, s identity.Subject) (History, error) {
	r, err := d.load(tx, s)
	if err != nil {
		return History{}, err
	}
	h := History{Subject: s, Who: r.Who, State: r.State, Reason: r.Reason, Scopes: r.Scopes, Options: r.Options, Needs: r.Needs, Forbid: r.Forbid,
		Lang: r.Lang, Since: r.Since, Expires: r.Expires, EraseAt: r.EraseAt, Policy: r.Policy}
	entries, err := tx.LedgerEntriesOf(r.Who)
	if err != nil {
		return History{}, err
	}
	for _, e := range entries {
		l, err := parseLeaf(e.Leaf)
		if err != nil {
			return History{}, err
		}
		h.Entries = append(h.Entries, HistoryEntry{e.Index, *l})
	}
	return h, nil
}
