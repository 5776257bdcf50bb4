package identity

import "github.com/bluesky-social/indigo/atproto/syntax"

// Tx is what the store's transaction offers for accounts and sealed keys. Look-ups return ErrNotFound when there is none.
type Tx interface {
	AccountByActor(ActorID) (*Account, error)
	AccountByDID(syntax.DID) (*Account, error)
	AccountByHandle(syntax.Handle) (*Account, error)
	// AccountByAcct finds by user@host, ignoring case.
	AccountByAcct(string) (*Account, error)
	AccountBySubject(Subject) (*Account, error)
	// PutAccount inserts or replaces by Subject.
	PutAccount(*Account) error
	DeleteAccount(Subject) error
	// Accounts lists in order of subject, after the one given, at most limit.
	Accounts(after Subject, limit int) ([]*Account, error)

	// SealedKey and PutSealedKey keep key material already sealed (see Sealer); purpose is part of the key.
	SealedKey(owner, purpose string) ([]byte, error)
	PutSealedKey(owner, purpose string, sealed []byte) error
	DeleteSealedKeys(owner string) error
}
