package consent

import (
	"errors"

	"footbridge/identity"
)

// Withdraw is a no, by whatever way it came (R13): a block, `stop`, the signed link, the page, a removed record. Nobody is
// asked for reasons and it cannot fail for lack of a grant: who never said yes is remembered as having said no.
func (d *Desk) Withdraw(tx Tx, s identity.Subject, e Evidence) (Change, error) {
	return d.no(tx, s, e, "self", ReasonSelf)
}

// AccountDeleted is what the deletion of the native account means.
func (d *Desk) AccountDeleted(tx Tx, s identity.Subject, e Evidence) (Change, error) {
	return d.no(tx, s, e, "self", ReasonDeleted)
}

func (d *Desk) no(tx Tx, s identity.Subject, e Evidence, actor string, why Reason) (Change, error) {
	if err := e.check(); err != nil {
		return Change{}, err
	}
	r, err := d.load(tx, s)
	if err != nil {
		return Change{}, err
	}
	next := settle(Next(r.State, e.Type, No), r.Grant >= 0)
	if next == r.State {
		return unchanged(r), nil
	}
	if next == Refused {
		l := leafOf(r, EventRefuse, tx.Now())
		l.State, l.Reason, l.Actor = Refused, why, actor
		clearGrant(l)
		return d.commit(tx, r, l, e)
	}
	return d.withdraw(tx, r, e, actor, why)
}

func (d *Desk) withdraw(tx Tx, r *Row, e Evidence, actor string, why Reason) (Change, error) {
	l := leafOf(r, EventWithdraw, tx.Now())
	l.State, l.Reason, l.Actor = Withdrawn, why, actor
	clearGrant(l)
	ch, err := d.commit(tx, r, l, e)
	if err != nil {
		return Change{}, err
	}
	return ch, errors.Join(tx.DeleteConsentCode(r.Subject), tx.DeleteConsentLinks(r.Subject))
}

func clearGrant(l *Leaf) {
	l.Scopes, l.Options, l.Needs, l.Forbid, l.Expires, l.EraseAt = nil, nil, nil, nil, "", ""
}

// WithdrawFor is a withdrawal by an operator (actor "operator:#n") or by the bridge itself ("system").
func (d *Desk) WithdrawFor(tx Tx, s identity.Subject, why Reason, actor string) (Change, error) {
	r, err := d.load(tx, s)
	if err != nil {
		return Change{}, err
	}
	if r.Grant < 0 || r.State == Withdrawn {
		return unchanged(r), nil
	}
	return d.withdraw(tx, r, Evidence{}, actor, why)
}

// MarkErased is called when nothing of the copy is left. It appends the last entry, which holds only the pseudonym, and
// destroys salts and leaves of all before it, the evidence and the name (R16, R23).
func (d *Desk) MarkErased(tx Tx, s identity.Subject) (Change, error) {
	r, err := d.load(tx, s)
	if err != nil {
		return Change{}, err
	}
	if r.State != Withdrawn {
		return unchanged(r), nil
	}
	before, err := tx.LedgerEntriesOf(r.Who)
	if err != nil {
		return Change{}, err
	}
	l := leafOf(r, EventErase, tx.Now())
	l.State, l.Reason, l.Actor = Erased, "", "system"
	clearGrant(l)
	ch, err := d.commit(tx, r, l, Evidence{})
	if err != nil {
		return Change{}, err
	}
	return ch, d.shred(tx, before)
}

func (d *Desk) shred(tx Tx, entries []*Entry) error {
	indexes := make([]int64, len(entries))
	for i, e := range entries {
		indexes[i] = e.Index
	}
	return tx.LedgerShred(indexes)
}

// lapse ends what came to nothing: a contact never confirmed, an invitation never answered, a veto lifted. The entries
// since the last lasting word (a refusal, an erasure) are shredded and that word stands again.
func (d *Desk) lapse(tx Tx, r *Row) (Change, error) {
	entries, err := tx.LedgerEntriesOf(r.Who)
	if err != nil {
		return Change{}, err
	}
	keep, err := lasting(entries)
	if err != nil {
		return Change{}, err
	}
	if err := errors.Join(d.shred(tx, entries[keep:]), d.forget(tx, r)); err != nil {
		return Change{}, err
	}
	back := &Row{Subject: r.Subject, Who: r.Who, State: Unknown, Ledger: -1, Grant: -1, Incarnation: 1}
	if keep > 0 {
		if back, err = fold(entries[:keep]); err != nil {
			return Change{}, err
		}
		back.Subject = r.Subject
		if err := d.store(tx, back); err != nil {
			return Change{}, err
		}
	}
	ch := change(r, back, EventContact)
	ch.Epoch = r.Epoch
	return ch, nil
}

// lasting is how many entries there are up to the last refusal or erasure.
func lasting(entries []*Entry) (int, error) {
	keep := 0
	for i, e := range entries {
		l, err := parseLeaf(e.Leaf)
		if err != nil {
			return 0, err
		}
		if l.State == Refused || l.State == Erased {
			keep = i + 1
		}
	}
	return keep, nil
}
