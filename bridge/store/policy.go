package store

import (
	"fmt"

	"footbridge/bridge"
	"footbridge/identity"
)

// Rules implements bridge.PolicyTx.
func (tx *Tx) Rules() ([]bridge.Rule, error) {
	var out []bridge.Rule
	err := tx.each("SELECT target, action, reason, byline FROM rule ORDER BY target", nil, func(scan func(...any) error) error {
		var r bridge.Rule
		if err := scan(&r.Target, &r.Action, &r.Reason, &r.By); err != nil {
			return err
		}
		out = append(out, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the operator's rules: %w", err)
	}
	return out, nil
}

// RuleFor implements bridge.PolicyTx.
func (tx *Tx) RuleFor(target string) (*bridge.Rule, error) {
	var r bridge.Rule
	found, err := tx.get("SELECT target, action, reason, byline FROM rule WHERE target = ?", []any{target}, &r.Target, &r.Action, &r.Reason, &r.By)
	if err != nil || !found {
		return nil, err
	}
	return &r, nil
}

// PutRule implements bridge.PolicyTx.
func (tx *Tx) PutRule(r bridge.Rule) error {
	_, err := tx.exec(`INSERT INTO rule (target, action, reason, byline, at) VALUES (?,?,?,?,?) ON CONFLICT (target) DO UPDATE SET
		action = excluded.action, reason = excluded.reason, byline = excluded.byline, at = excluded.at`, r.Target, r.Action, r.Reason, r.By, tx.now.UnixMicro())
	return err
}

// DeleteRule implements bridge.PolicyTx.
func (tx *Tx) DeleteRule(target string) error {
	_, err := tx.exec("DELETE FROM rule WHERE target = ?", target)
	return err
}

// PutBlockEdge implements bridge.PolicyTx.
func (tx *Tx) PutBlockEdge(blocker, target, source string) error {
	_, err := tx.exec("INSERT INTO block_edge (blocker, target, source) VALUES (?,?,?) ON CONFLICT (blocker, target) DO UPDATE SET source = excluded.source", blocker, target, source)
	return err
}

// DeleteBlockEdge implements bridge.PolicyTx.
func (tx *Tx) DeleteBlockEdge(blocker, target string) error {
	_, err := tx.exec("DELETE FROM block_edge WHERE blocker = ? AND (target = ? OR source = ?)", blocker, target, target)
	return err
}

// HasBlockEdge implements bridge.PolicyTx.
func (tx *Tx) HasBlockEdge(blocker, target string) (bool, error) {
	var one int
	return tx.get("SELECT 1 FROM block_edge WHERE blocker = ? AND target = ?", []any{blocker, target}, &one)
}

// CountUnbridged implements bridge.PolicyTx.
func (tx *Tx) CountUnbridged(s identity.Subject) error {
	_, err := tx.exec("INSERT INTO unbridged (subject, n) VALUES (?, 1) ON CONFLICT (subject) DO UPDATE SET n = unbridged.n + 1", string(s))
	return err
}

// Unbridged implements bridge.PolicyTx.
func (tx *Tx) Unbridged(s identity.Subject) (n int, err error) {
	_, err = tx.get("SELECT n FROM unbridged WHERE subject = ?", []any{string(s)}, &n)
	return n, err
}
