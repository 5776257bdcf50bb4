package bridge

import (
	"fmt"
	"strings"

	"footbridge/identity"
)

// Rule is what the operator decided about an account, a domain or a PDS.
type Rule struct {
	// Target is an actor id, a DID, a domain (its subdomains too) or the host of a PDS.
	Target string
	// Action is block (nothing in, nothing out), limit (no new people) or suspend (this member is hidden).
	Action string
	Reason string
	By     string
}

// PolicyTx keeps the operator's rules and counts of what was not bridged.
type PolicyTx interface {
	// Rules lists all rules; RuleFor finds the one of exactly this target, nil if there is none.
	Rules() ([]Rule, error)
	RuleFor(target string) (*Rule, error)
	PutRule(Rule) error
	DeleteRule(target string) error
	// PutBlockEdge records that blocker keeps target away, on either network; HasBlockEdge asks.
	PutBlockEdge(blocker, target, source string) error
	DeleteBlockEdge(blocker, target string) error
	HasBlockEdge(blocker, target string) (bool, error)
	// CountUnbridged adds one to how often people who did not join reacted to a member's posts.
	CountUnbridged(identity.Subject) error
	Unbridged(identity.Subject) (int, error)
}

// refused reports whether the operator blocks a person or their host or any parent domain of it.
func refused(tx Tx, s identity.Subject, host string) (bool, error) {
	if r, err := tx.RuleFor(string(s)); err != nil || (r != nil && r.Action == "block") {
		return r != nil, err
	}
	for h := strings.ToLower(host); h != ""; {
		r, err := tx.RuleFor(h)
		if err != nil {
			return false, fmt.Errorf("reading the operator's rules: %w", err)
		}
		if r != nil && r.Action == "block" {
			return true, nil
		}
		_, rest, more := strings.Cut(h, ".")
		if !more {
			break
		}
		h = rest
	}
	return false, nil
}

func countUnbridged(tx Tx, owner identity.Subject) error { return tx.CountUnbridged(owner) }
