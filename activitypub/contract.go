// Package activitypub is the fediverse side: actors, WebFinger, NodeInfo, inbox, collections; it signs, verifies, fetches
// and delivers. It knows nothing of the AT Protocol: whom it serves and what is in their outbox is told to it by a
// Directory, and what arrives goes to an InboxFunc.
package activitypub

import (
	"context"
	"crypto"
	"encoding/json"
	"time"

	"footbridge/identity"
	"footbridge/identity/consent"
)

// Inbound is an activity that was verified to come from its actor.
type Inbound struct {
	// ID is the activity's id, or a hash of the body if it has none.
	ID string
	// Type is the first of its types.
	Type string
	// Actor is the actor it comes from, proven by signature, by proof, or by being fetched from its origin.
	Actor identity.ActorID
	// Raw is the activity as received, or as refetched where the inner object was not to be trusted.
	Raw json.RawMessage
	// Recipient is the local actor whose inbox it came to, empty for the shared inbox.
	Recipient identity.ActorID
	// Evidence is the signed request (see Evidence), sealed by the consent ledger where it proves something.
	Evidence []byte
	// Received is when.
	Received time.Time
	// Sync is what the sender said about its followers here (FEP-8fcf), nil mostly.
	Sync *SyncHint `json:",omitempty"`
}

// InboxFunc accepts an activity. It returns nil only when the activity is durable (or known to be a duplicate or of no
// concern); the sender then gets 202. An error gives 503 with Retry-After.
type InboxFunc func(context.Context, Inbound) error

// Presence says whether a local thing is served.
type Presence uint8

// Absent gives 404, Present 200, Hidden 404 (paused), Gone 410 with a Tombstone.
const (
	Absent Presence = iota
	Present
	Hidden
	Gone
)

// LocalActor is an actor of this bridge: the copy of an AT native, the bot, or the instance actor.
type LocalActor struct {
	ID       identity.ActorID
	Username string         // for WebFinger: acct:Username@domain
	Document map[string]any // the actor document without keys and endpoints, which this package adds
	Presence Presence
	// Page is the native account's page for people, shown on the profile page; may be empty.
	Page string
	// ManuallyApproves tells that a Follow waits for its owner's answer.
	ManuallyApproves bool
}

// Directory is what this package serves. The bridge implements it; lookups are cheap reads.
type Directory interface {
	// ByID finds a local actor by its id.
	ByID(ctx context.Context, id identity.ActorID) (*LocalActor, error)
	// ByName finds one by the user part of an acct, ignoring case, or by a native handle or DID.
	ByName(ctx context.Context, name string) (*LocalActor, error)
	// Object gives the stored document under an id of this bridge (notes, activities, questions, authorisations).
	Object(ctx context.Context, id string) (doc json.RawMessage, owner identity.ActorID, p Presence, err error)
	// Collection gives a page of "outbox", "followers", "following", "featured", "replies:<object id>", "likes:...",
	// "shares:...". The cursor is opaque, empty for the first page. Hidden collections give items nil and total as shown.
	Collection(ctx context.Context, owner identity.ActorID, name, cursor string, limit int) (items []any, next string, total int, err error)
	// BlockedHost tells whether fetches and deliveries from and to a host are refused.
	BlockedHost(ctx context.Context, host string) bool
	// Stats are for NodeInfo.
	Stats(ctx context.Context) (users, posts int, err error)
}

// KeySource gives the signing keys of local actors, making them at first use.
type KeySource interface {
	SigningKey(ctx context.Context, id identity.ActorID) (KeyPair, error)
}

// KeyPair is an RSA key for HTTP signatures and an Ed25519 key for FEP-8b32 proofs and RFC 9421.
type KeyPair struct {
	RSA     crypto.Signer
	Ed25519 crypto.Signer
}

// Delivery is one signed POST.
type Delivery struct {
	Inbox string
	From  identity.ActorID
	Body  []byte
	// Header holds further headers, such as Collection-Synchronization; they are sent as they are.
	Header map[string]string
}

// Deliverer sends. Errors are *DeliveryError: the bridge's queue decides what to do.
type Deliverer interface {
	Deliver(ctx context.Context, permit consent.Permit, d Delivery) error
}

// DeliveryError says how a delivery failed.
type DeliveryError struct {
	Status     int           // 0 if there was no answer
	RetryAfter time.Duration // from 429 and 503
	Gone       bool          // 404 or 410: the inbox is to be pruned
	Permanent  bool          // other 4xx that will not get better
	Err        error
}

func (e *DeliveryError) Error() string { return "delivering: " + e.Err.Error() }
func (e *DeliveryError) Unwrap() error { return e.Err }

// Fetcher reads documents of other servers, signed by the instance actor.
type Fetcher interface {
	// Object fetches an AS2 document; the id in it is on the same origin as the final URL, refetched if it differs.
	Object(ctx context.Context, id string) (json.RawMessage, error)
	// WebFinger resolves user@host to an actor id.
	WebFinger(ctx context.Context, acct string) (identity.ActorID, error)
}
