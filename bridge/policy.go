package bridge

import (
	"fmt"
	"slices"
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
	return ruled(tx, s, host, "block")
}

// limited reports whether the operator lets nobody new in from there.
func limited(tx Tx, s identity.Subject, host string) (bool, error) {
	return ruled(tx, s, host, "block", "limit", "suspend")
}

// ruled looks for a rule of one of the actions, for the person, the host, and each domain above it.
func ruled(tx Tx, s identity.Subject, host string, actions ...string) (bool, error) {
	targets := []string{string(s)}
	for h := strings.ToLower(host); h != ""; {
		targets = append(targets, h)
		_, h, _ = strings.Cut(h, ".")
	}
	for _, target := range targets {
		r, err := tx.RuleFor(target)
		if err != nil {
			return false, fmt.Errorf("reading the operator's rules: %w", err)
		}
		if r != nil && slices.Contains(actions, r.Action) {
			return true, nil
		}
	}
	return false, nil
}

func countUnbridged(tx Tx, owner identity.Subject) error { return tx.CountUnbridged(owner) }
