// Package atproto is the reading side of the ATmosphere: the firehose consumer, identity and record resolution, the PLC
// client, requestCrawl, chat, labelers and OAuth. It knows nothing of ActivityPub.
package atproto

import (
	"context"
	"encoding/json"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

// Op is one change in a commit.
type Op struct {
	Action     string // create, update, delete
	Collection syntax.NSID
	RKey       syntax.RecordKey
	CID        string          // of the new record
	Record     json.RawMessage // the record as JSON; nil for a delete
	Prev       string          // CID of the record before
}

// Commit is a verified commit of a repo that concerns this bridge.
type Commit struct {
	Seq int64
	DID syntax.DID
	// Rev tells commits of a DID apart, in order. From a Jetstream it is rev:collection/rkey, as several events come of
	// one commit, and CID is empty.
	Rev  string
	CID  string
	Time time.Time
	Ops  []Op
	// Evidence is the commit with its proof as a CAR: anyone can verify it again.
	Evidence []byte
	// Healed says that the commit stands for all that was missed since the last one; Seq is 0 and Evidence proves the state.
	Healed bool
}

// AccountEvent is a change of identity (Kind "identity") or of hosting status (Kind "account").
type AccountEvent struct {
	Seq    int64
	DID    syntax.DID
	Kind   string
	Handle string
	Active bool
	Status string // deactivated, deleted, takendown, suspended
	Time   time.Time
}

// Interest says cheaply what concerns this bridge, so that all else is dropped before decoding.
type Interest interface {
	// Author reports whether commits of the DID are wanted whole.
	Author(did string) bool
	// Mentions reports whether the raw blocks of anybody else's commit may name somebody here (bot or copies).
	Mentions(blocks []byte) bool
}

// Sink takes events. It returns nil only when the event is durable; cursor is the sequence below which everything is.
type Sink interface {
	Commit(ctx context.Context, source string, c Commit) error
	Account(ctx context.Context, source string, e AccountEvent) error
	// SaveCursor moves the cursor of a source; it is called only with sequences whose events (all of them, and all
	// before) were accepted or were of no concern; or with -1, to begin anew at the oldest event the source still has.
	SaveCursor(ctx context.Context, source string, seq int64) error
	Cursor(ctx context.Context, source string) (int64, error)
}

// Identity is a resolved DID.
type Identity struct {
	DID    syntax.DID
	Handle syntax.Handle // "handle.invalid" if it does not resolve both ways
	PDS    string        // base URL
	Key    string        // did:key of the signing key
}
