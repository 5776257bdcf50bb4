package consent

import (
	"context"
	"time"

	"footbridge/identity"
)

// Scope names one thing a person may agree to.
type Scope string

// The scopes that flows ask for. The consent form lists more (options such as cw_mode); see scopes.go.
const (
	ScopeProfile        Scope = "profile"
	ScopePosts          Scope = "posts"
	ScopeReplies        Scope = "replies"
	ScopeMedia          Scope = "media"
	ScopeBoosts         Scope = "boosts_of_consenting"
	ScopeQuotes         Scope = "quotes_of_consenting"
	ScopeLikes          Scope = "likes"
	ScopePublishFollows Scope = "publish_follows"
	ScopePublishBlocks  Scope = "publish_blocks"
	ScopeEvents         Scope = "events"
	ScopeEdits          Scope = "edits"
	ScopePolls          Scope = "polls"
	ScopeUnlisted       Scope = "unlisted"
)

// Sealer encrypts what is personal in the ledger and the evidence; identity's keyring implements it.
type Sealer interface {
	Seal(purpose, row string, plain []byte) ([]byte, error)
	Open(purpose, row string, sealed []byte) ([]byte, error)
}

// PermitSource is the gate as flows see it. Each call reads the state in the transaction that it is given, so a permit
// for a commit is asked for in the transaction that commits, and one for a delivery just before the POST. Every doubt is no:
// ErrDenied (with a Reason) or any other error.
type PermitSource interface {
	Publish(ctx context.Context, tx Tx, subject identity.Subject, scope Scope) (Permit, error)
	Service(ctx context.Context, tx Tx, to identity.Subject, purpose string) (Permit, error)
	Erase(ctx context.Context, tx Tx, subject identity.Subject) (Permit, error)
}

// Clock is injected everywhere.
type Clock func() time.Time
