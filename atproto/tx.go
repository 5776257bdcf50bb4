package atproto

import (
	"context"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

// RemoteHead is what was last seen and verified of a repo that lives elsewhere: the end of its prevData chain.
type RemoteHead struct {
	DID  syntax.DID
	Rev  string
	Data string // CID of the MST root
	// Stale says that something was missed and the repo must be compared anew.
	Stale bool
}

// Tx is what the store's transaction offers for the reading side.
type Tx interface {
	// FirehoseCursor returns 0 for a source never seen.
	FirehoseCursor(source string) (int64, error)
	SetFirehoseCursor(source string, seq int64) error

	// RemoteHead returns nil if the DID was never seen.
	RemoteHead(syntax.DID) (*RemoteHead, error)
	PutRemoteHead(RemoteHead) error
	DropRemoteHead(syntax.DID) error
	// StaleRemoteHeads lists stale heads after the DID given, in order.
	StaleRemoteHeads(after syntax.DID, limit int) ([]RemoteHead, error)
	// StaleAllRemoteHeads marks every head stale: events were lost.
	StaleAllRemoteHeads() error

	// ChatCursor and SetChatCursor remember how far the bot's conversations were read.
	ChatCursor(bot syntax.DID) (string, error)
	SetChatCursor(bot syntax.DID, cursor string) error

	// OAuthBlob, PutOAuthBlob and DeleteOAuthBlob keep what a sign-in under way needs, under a key of its own; expires is
	// in unix microseconds and an expired blob is never returned. OAuthSweep deletes the expired.
	OAuthBlob(key string) ([]byte, error)
	PutOAuthBlob(key string, blob []byte, expires int64) error
	DeleteOAuthBlob(key string) error
	OAuthSweep() error
}

// Store runs transactions over the tables of this room.
type Store interface {
	Update(context.Context, func(Tx) error) error
	View(context.Context, func(Tx) error) error
}
