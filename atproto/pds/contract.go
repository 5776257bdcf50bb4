// Package pds is an embedded, multi-tenant AT Protocol repo host: signed commits over an MST, the sequencer and its
// firehose, blobs, and the xrpc calls that a PDS serves. It lets nobody log in or post: writes come from the bridge, each
// with a consent permit. It knows nothing of ActivityPub.
package pds

import (
	"context"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

// Write is one change to a repo. A nil Record deletes. Create and update are told apart by what is there.
type Write struct {
	Collection syntax.NSID
	RKey       syntax.RecordKey
	// Record is DAG-CBOR ready data: map[string]any, []any, string, int64, bool, atdata.CIDLink, atdata.Blob, atdata.Bytes.
	Record map[string]any
}

// Result tells what a commit made of one write.
type Result struct {
	URI string
	CID string // empty for a delete
	// Changed is false when the record was there already with the same bytes (or gone already).
	Changed bool
}

// AccountStatus is the hosting status of com.atproto.sync.subscribeRepos#account.
type AccountStatus string

// Hosting states.
const (
	StatusActive      AccountStatus = "active"
	StatusDeactivated AccountStatus = "deactivated"
	StatusDeleted     AccountStatus = "deleted"
	StatusSuspended   AccountStatus = "suspended"
	StatusTakendown   AccountStatus = "takendown"
)

// Store runs transactions over the tables of this room.
type Store interface {
	Update(context.Context, func(Tx) error) error
	View(context.Context, func(Tx) error) error
}

// Repo is a row of the repo table.
type Repo struct {
	DID     syntax.DID
	Handle  syntax.Handle
	Status  AccountStatus
	Head    string // commit CID
	Data    string // MST root CID
	Rev     string // TID of the last commit
	Commit  []byte // the signed commit block
	Created time.Time
}

// StoredRecord is a row of the record table.
type StoredRecord struct {
	Path string // collection/rkey
	CID  string
	Data []byte // DAG-CBOR
	Rev  string // rev of the commit that wrote it
}

// StoredEvent is a row of the sequencer's log: one whole frame as it goes over the wire.
type StoredEvent struct {
	Seq   int64
	DID   syntax.DID
	Kind  string // commit, identity, account, sync
	Frame []byte
	At    time.Time
}
