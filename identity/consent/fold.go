package consent

import (
	"fmt"
	"time"
)

// apply is one step of the fold: the row after a leaf. prev is nil before the first. The subject's name is not in the
// ledger and is kept from prev.
func apply(prev *Row, index int64, l *Leaf) (*Row, error) {
	at, err := unstamp(l.Time)
	if err != nil {
		return nil, err
	}
	r := &Row{Who: l.Who, Grant: -1}
	if prev != nil {
		*r = *prev
	}
	if err := r.setTimes(l); err != nil {
		return nil, err
	}
	if prev == nil || r.State != l.State {
		r.Since = at
	}
	r.State, r.Reason, r.Scopes, r.Options = l.State, l.Reason, l.Scopes, l.Options
	r.Needs, r.Forbid = l.Needs, l.Forbid
	r.Policy, r.Incarnation, r.Ledger, r.Epoch = l.Policy, l.Incarnation, index, index+1
	if l.Text.Lang != "" {
		r.Lang = l.Text.Lang
	}
	if l.Event == EventGrant {
		r.Grant, r.Granted, r.Reminded = index, at, 0
	}
	r.Due = r.due()
	return r, nil
}

func (r *Row) setTimes(l *Leaf) (err error) {
	if r.Expires, err = unstamp(l.Expires); err != nil {
		return err
	}
	r.EraseAt, err = unstamp(l.EraseAt)
	return err
}

// Spans of time in the life of a consent (R12, 1.2).
const (
	pendingLife   = 7 * 24 * time.Hour
	invitedLife   = 30 * 24 * time.Hour
	eraseAfterEnd = 60 * 24 * time.Hour
	eraseDenied   = 7 * 24 * time.Hour
	panicWait     = 24 * time.Hour
)

// DefaultLife and the other lives that a grant may have (R12).
const DefaultLife = 365 * 24 * time.Hour

// Lives lists the spans that a person may choose from.
func Lives() []time.Duration {
	return []time.Duration{30 * 24 * time.Hour, 90 * 24 * time.Hour, DefaultLife}
}

// reminders are sent so long before the end.
func reminders() []time.Duration {
	return []time.Duration{30 * 24 * time.Hour, 7 * 24 * time.Hour, 24 * time.Hour}
}

// due is the next moment at which time alone changes something.
func (r *Row) due() time.Time {
	switch r.State {
	case Pending:
		return r.Since.Add(pendingLife)
	case Invited:
		return r.Since.Add(invitedLife)
	case Granted:
		return r.nextReminder()
	case Paused, Moved:
		return earlier(r.EraseAt, r.Expires)
	case Denied:
		return r.EraseAt
	}
	return time.Time{}
}

func (r *Row) nextReminder() time.Time {
	if r.Expires.IsZero() {
		return time.Time{}
	}
	life := r.Expires.Sub(r.Granted)
	for i, before := range reminders() {
		if int64(i) >= r.Reminded && before < life {
			return r.Expires.Add(-before)
		}
	}
	return r.Expires
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// fold is the state after all entries of one subject. It checks that they form one chain.
func fold(entries []*Entry) (*Row, error) {
	var row *Row
	last := int64(-1)
	for _, e := range entries {
		l, err := parseLeaf(e.Leaf)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.Index, err)
		}
		if l.Prev != last && l.Event != EventErase {
			return nil, fmt.Errorf("entry %d follows %d, not %d", e.Index, last, l.Prev)
		}
		if l.Who != e.Who {
			return nil, fmt.Errorf("entry %d is filed under another subject", e.Index)
		}
		if row, err = apply(row, e.Index, l); err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.Index, err)
		}
		last = e.Index
	}
	return row, nil
}
