// Package consent decides who agreed to what: scopes, states, evidence, the Merkle ledger, receipts, and the gate, which
// alone can mint the Permit that every write that leaves this machine must carry. It sends nothing itself.
package consent

import (
	"errors"
	"fmt"
	"time"

	"footbridge/identity"
)

// Kind is what a permit is good for.
type Kind uint8

// Publish needs a live grant with the scope; Service covers notices, Accepts and receipts; Erase needs no grant.
const (
	Publish Kind = iota + 1
	Service
	Erase
)

// ErrNoPermit is returned by senders that were handed a permit that is not valid for what they are about to do.
var ErrNoPermit = errors.New("no valid permit")

// permitLife bounds how long a permit may be carried between the gate and the wire.
const permitLife = time.Minute

// Permit allows one write. Its fields cannot be set outside this package, so only the Gate mints one; the zero value
// allows nothing.
type Permit struct {
	kind        Kind
	subject     identity.Subject
	scope       Scope
	ledgerIndex int64
	expires     time.Time
}

// Subject is whose consent the permit stands on.
func (p Permit) Subject() identity.Subject { return p.subject }

// LedgerIndex is the ledger entry relied on; -1 where the permit needs none (service, erase).
func (p Permit) LedgerIndex() int64 { return p.ledgerIndex }

// Kind is what the permit is good for.
func (p Permit) Kind() Kind { return p.kind }

// Check returns nil if the permit is minted, of one of the kinds, and not expired at now. Senders call it just before
// the write.
func (p Permit) Check(now time.Time, kinds ...Kind) error {
	for _, k := range kinds {
		if p.kind == k && k != 0 && now.Before(p.expires) {
			return nil
		}
	}
	return fmt.Errorf("%w (kind %d)", ErrNoPermit, p.kind)
}
