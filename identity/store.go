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

	KeyTx

	// PLCOps are the signed operations of a DID, oldest first.
	PLCOps(syntax.DID) ([]StoredOp, error)
	// PutPLCOp keeps an operation before it is sent, and again with Sent set once the directory took it.
	PutPLCOp(StoredOp) error
	DeletePLCOps(syntax.DID) error
}

// KeyTx keeps key material already sealed (see Keyring); purpose is part of the key. SealedKey returns ErrNotFound when
// there is none.
type KeyTx interface {
	SealedKey(owner, purpose string) ([]byte, error)
	PutSealedKey(owner, purpose string, sealed []byte) error
	DeleteSealedKeys(owner string) error
}

// StoredOp is one signed PLC operation.
type StoredOp struct {
	DID  syntax.DID
	CID  string // of the signed operation; unique within the DID
	Op   []byte // the JSON that is posted to the directory
	Sent bool   // the directory has taken it
}
