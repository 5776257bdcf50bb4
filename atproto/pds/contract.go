// Package pds is an embedded, multi-tenant AT Protocol repo host: signed commits over an MST, the sequencer and its
// firehose, blobs, and the xrpc calls that a PDS serves. It lets nobody log in or post: writes come from the bridge, each
// with a consent permit. It knows nothing of ActivityPub.
package pds

import (
	"context"
	"errors"
	"time"

	"footbridge/identity"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
)

// Errors that callers tell apart. All others are worth another try.
var (
	// ErrNoRepo: no such repo here.
	ErrNoRepo = errors.New("no such repo")
	// ErrInactive: the repo is deactivated, suspended, taken down or deleted.
	ErrInactive = errors.New("the repo is not active")
	// ErrInvalidRecord: the record or its path can never be written.
	ErrInvalidRecord = errors.New("invalid record")
	// ErrNoBlob: a record refers to a blob that was not put into the repo before.
	ErrNoBlob = errors.New("no such blob in this repo")
	// ErrNotFound: no such record, block or blob.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the head is not the expected one.
	ErrConflict = errors.New("the head of the repo has moved")
	// ErrExists: the DID or the handle is taken.
	ErrExists = errors.New("the repo or its handle exists already")
)

// Write is one change to a repo. A nil Record deletes. Create and update are told apart by what is there.
type Write struct {
	Collection syntax.NSID
	RKey       syntax.RecordKey
	// Record is DAG-CBOR ready data: map[string]any, []any, string, int64, bool, atdata.CIDLink, atdata.Blob, atdata.Bytes.
	// Common relatives of these (int, []string, json objects with $link) are understood.
	Record map[string]any
}

// Path is the key in the repo.
func (w Write) Path() string { return string(w.Collection) + "/" + string(w.RKey) }

// Result tells what a commit made of one write.
type Result struct {
	URI string
	CID string // empty for a delete
	// Changed is false when the record was there already with the same bytes (or gone already).
	Changed bool
}

// Commit is the head of a repo after a call.
type Commit struct {
	CID string
	Rev string
	// Seq is the sequence number of the last event that was written, 0 if none was.
	Seq int64
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
	// ID is the number that the other tables use.
	ID     int64
	DID    syntax.DID
	Handle syntax.Handle
	// Owner is the subject whose permits this repo obeys; empty for the bridge's own accounts.
	Owner   identity.Subject
	Status  AccountStatus
	Head    string // commit CID
	Data    string // MST root CID
	Rev     string // TID of the last commit
	Commit  []byte // the signed commit block
	Records int64  // how many records there are
	Created time.Time
}

// StoredRecord is a row of the record table.
type StoredRecord struct {
	Path string // collection/rkey
	CID  cid.Cid
	Data []byte // DAG-CBOR
	Rev  string // rev of the commit that wrote it
}

// StoredEvent is a row of the sequencer's log: one whole frame as it goes over the wire.
type StoredEvent struct {
	Seq   int64
	Kind  string // commit, identity, account, sync
	Frame []byte
	At    time.Time
}

// Blob is a row of the blob table: bytes that belong to one repo.
type Blob struct {
	CID      string
	MimeType string
	Size     int64
	// Width and Height are those of an image or video as shown, 0 if unknown.
	Width, Height int
	Created       time.Time
	// Bytes are there between PrepareMedia and StageBlob, never from the table.
	Bytes []byte
}

// Block is bytes with the CID that names them.
type Block struct {
	CID  cid.Cid
	Data []byte
}

// Tx is what the store's transaction offers for repos, the sequencer and blobs. Look-ups return ErrNotFound (Repo:
// ErrNoRepo) when there is nothing.
type Tx interface {
	identity.KeyTx
	Now() time.Time
	AfterCommit(func())

	Repo(syntax.DID) (*Repo, error)
	RepoByHandle(syntax.Handle) (*Repo, error)
	// RepoInsert sets ID; it returns ErrExists if DID or handle are taken.
	RepoInsert(*Repo) error
	// RepoPut replaces the row if its head is still the expected one, else it returns ErrConflict.
	RepoPut(r *Repo, expectHead string) error
	// RepoErase removes nodes, records, references and blob rows of a repo, but not its own row.
	RepoErase(repo int64) error
	// Repos lists in order of ID, after the one given.
	Repos(after int64, limit int) ([]*Repo, error)
	// RepoCount counts repos that are not deleted.
	RepoCount() (int64, error)

	// RepoPutCode keeps the hash of the one code that opens a session for a move; RepoCode returns it with its end.
	RepoPutCode(repo int64, hash []byte, end time.Time) error
	RepoCode(repo int64) (hash []byte, end time.Time, err error)

	RepoNode(repo int64, c cid.Cid) ([]byte, error)
	RepoPutNodes(repo int64, nodes []Block, rev string) error
	RepoDeleteNodes(repo int64, cids []cid.Cid) error
	// RepoNodes calls f for all nodes written after the rev.
	RepoNodes(repo int64, since string, f func(c cid.Cid, data []byte) error) error

	RepoRecord(repo int64, path string) (*StoredRecord, error)
	RepoPutRecord(repo int64, r StoredRecord, created bool) error
	RepoDeleteRecord(repo int64, path string) error
	// RepoRecords calls f for all records written after the rev, in order of path.
	RepoRecords(repo int64, since string, f func(StoredRecord) error) error
	// RepoCollection lists records of a collection; after is the last rkey seen, or empty.
	RepoCollection(repo int64, collection syntax.NSID, after syntax.RecordKey, limit int, reverse bool) ([]StoredRecord, error)
	RepoCollections(repo int64) ([]string, error)
	// ReposByCollection lists repos that have records of the collection, in order of ID.
	ReposByCollection(collection syntax.NSID, after int64, limit int) ([]*Repo, error)

	// EventAppend draws the next sequence number and keeps the frame that is made with it.
	EventAppend(repo int64, kind string, frame func(seq int64) ([]byte, error)) (int64, error)
	EventsAfter(seq int64, limit int) ([]StoredEvent, error)
	// EventRange gives the highest number that was trimmed, and the newest drawn; 0 when there is none.
	EventRange() (floor, newest int64, err error)
	// EventJump raises the counter by n.
	EventJump(n int64) (int64, error)
	// EventTrim drops what is older.
	EventTrim(before time.Time) (int64, error)
	// EventPurge drops the events of one repo, up to and without seq.
	EventPurge(repo, before int64) error

	BlobPut(repo int64, b Blob) error
	Blob(repo int64, c string) (*Blob, error)
	// BlobSetRefs replaces what the record at path refers to.
	BlobSetRefs(repo int64, path string, cids []string) error
	// BlobReferred reports whether a record of the repo refers to the blob.
	BlobReferred(repo int64, c string) (bool, error)
	// BlobList lists the blobs that records refer to, in order of CID; since is a rev.
	BlobList(repo int64, since, after string, limit int) ([]string, error)
	// BlobMissing lists what records refer to and the repo does not have, with the paths.
	BlobMissing(repo int64, after string, limit int) ([]BlobRef, error)
	// BlobCounts counts the blobs that are referred to and those that are there.
	BlobCounts(repo int64) (referred, there int64, err error)
	// BlobCollect deletes rows that no record refers to and that are older, and returns their CIDs.
	BlobCollect(before time.Time, limit int) ([]string, error)
	// BlobInUse reports whether any repo has a row for the blob.
	BlobInUse(c string) (bool, error)
}

// BlobRef is a blob and a record that refers to it.
type BlobRef struct{ CID, Path string }

// Keys opens and keeps signing keys; identity.Keyring implements it.
type Keys interface {
	Key(tx identity.KeyTx, owner, purpose string) (*identity.SigningKey, error)
	PutKey(tx identity.KeyTx, owner, purpose string, key *identity.SigningKey) error
}
