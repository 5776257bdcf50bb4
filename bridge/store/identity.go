package store

import (
	"fmt"
	"strings"
	"time"

	"footbridge/identity"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

var _ identity.Tx = (*Tx)(nil)

const accountColumns = `native, actor, did, handle, acct, url, inbox, shared_inbox, status, incarnation, epoch, created, updated`

func scanAccount(scan func(...any) error) (*identity.Account, error) {
	a := &identity.Account{}
	var created, updated int64
	err := scan(&a.Native, &a.Actor, &a.DID, &a.Handle, &a.Acct, &a.URL, &a.Inbox, &a.SharedInbox, &a.Status, &a.Incarnation, &a.Epoch, &created, &updated)
	a.Created, a.Updated = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return a, err
}

func (tx *Tx) accountWhere(condition string, arg string) (*identity.Account, error) {
	var found *identity.Account
	err := tx.each("SELECT "+accountColumns+" FROM account WHERE "+condition+" LIMIT 1", []any{arg}, func(scan func(...any) error) (err error) {
		found, err = scanAccount(scan)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading an account: %w", err)
	}
	if found == nil || arg == "" {
		return nil, identity.ErrNotFound
	}
	return found, nil
}

// AccountByActor implements identity.Tx.
func (tx *Tx) AccountByActor(id identity.ActorID) (*identity.Account, error) {
	return tx.accountWhere("actor = ?", string(id))
}

// AccountByDID implements identity.Tx.
func (tx *Tx) AccountByDID(did syntax.DID) (*identity.Account, error) {
	return tx.accountWhere("did = ?", did.String())
}

// AccountByHandle implements identity.Tx.
func (tx *Tx) AccountByHandle(h syntax.Handle) (*identity.Account, error) {
	return tx.accountWhere("handle = ?", h.Normalize().String())
}

// AccountByAcct implements identity.Tx.
func (tx *Tx) AccountByAcct(acct string) (*identity.Account, error) {
	return tx.accountWhere("acct_folded = ?", strings.ToLower(acct))
}

// AccountBySubject implements identity.Tx.
func (tx *Tx) AccountBySubject(s identity.Subject) (*identity.Account, error) {
	return tx.accountWhere("subject = ?", string(s))
}

// PutAccount implements identity.Tx. It sets Created, if it is zero, and Updated.
func (tx *Tx) PutAccount(a *identity.Account) error {
	a.Updated = tx.now
	if a.Created.IsZero() {
		a.Created = tx.now
	}
	if a.Incarnation == 0 {
		a.Incarnation = 1
	}
	if a.Handle != "" {
		a.Handle = a.Handle.Normalize()
	}
	_, err := tx.exec(`INSERT INTO account (subject, acct_folded, `+accountColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (subject) DO UPDATE SET acct_folded = excluded.acct_folded, native = excluded.native, actor = excluded.actor, did = excluded.did,
handle = excluded.handle, acct = excluded.acct, url = excluded.url, inbox = excluded.inbox, shared_inbox = excluded.shared_inbox,
status = excluded.status, incarnation = excluded.incarnation, epoch = excluded.epoch, updated = excluded.updated`,
		string(a.Subject()), strings.ToLower(a.Acct), string(a.Native), string(a.Actor), a.DID.String(), a.Handle.String(), a.Acct, a.URL, a.Inbox,
		a.SharedInbox, string(a.Status), a.Incarnation, a.Epoch, a.Created.UnixMicro(), a.Updated.UnixMicro())
	if err != nil {
		return fmt.Errorf("keeping an account: %w", err)
	}
	return nil
}

// DeleteAccount implements identity.Tx.
func (tx *Tx) DeleteAccount(s identity.Subject) error {
	_, err := tx.exec("DELETE FROM account WHERE subject = ?", string(s))
	return err
}

// Accounts implements identity.Tx.
func (tx *Tx) Accounts(after identity.Subject, limit int) ([]*identity.Account, error) {
	var list []*identity.Account
	err := tx.each("SELECT "+accountColumns+" FROM account WHERE subject > ? ORDER BY subject LIMIT ?", []any{string(after), limit}, func(scan func(...any) error) error {
		a, err := scanAccount(scan)
		list = append(list, a)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing accounts: %w", err)
	}
	return list, nil
}

// SealedKey implements identity.Tx.
func (tx *Tx) SealedKey(owner, purpose string) ([]byte, error) {
	var sealed []byte
	ok, err := tx.get("SELECT sealed FROM sealed_key WHERE owner = ? AND purpose = ?", []any{owner, purpose}, &sealed)
	if err != nil {
		return nil, fmt.Errorf("reading a sealed key: %w", err)
	}
	if !ok {
		return nil, identity.ErrNotFound
	}
	return sealed, nil
}

// PutSealedKey implements identity.Tx.
func (tx *Tx) PutSealedKey(owner, purpose string, sealed []byte) error {
	_, err := tx.exec(`INSERT INTO sealed_key (owner, purpose, sealed) VALUES (?, ?, ?) ON CONFLICT (owner, purpose) DO UPDATE SET sealed = excluded.sealed`, owner, purpose, sealed)
	if err != nil {
		return fmt.Errorf("keeping a sealed key: %w", err)
	}
	return nil
}

// DeleteSealedKeys implements identity.Tx.
func (tx *Tx) DeleteSealedKeys(owner string) error {
	_, err := tx.exec("DELETE FROM sealed_key WHERE owner = ?", owner)
	return err
}

// PLCOps implements identity.Tx.
func (tx *Tx) PLCOps(did syntax.DID) ([]identity.StoredOp, error) {
	var ops []identity.StoredOp
	err := tx.each("SELECT cid, op, sent FROM plc_op WHERE did = ? ORDER BY n", []any{did.String()}, func(scan func(...any) error) error {
		op := identity.StoredOp{DID: did}
		var sent int64
		err := scan(&op.CID, &op.Op, &sent)
		op.Sent = sent != 0
		ops = append(ops, op)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading PLC operations: %w", err)
	}
	return ops, nil
}

// PutPLCOp implements identity.Tx.
func (tx *Tx) PutPLCOp(op identity.StoredOp) error {
	var sent int64
	if op.Sent {
		sent = tx.now.UnixMicro()
	}
	n, err := tx.next("plc_op", 1)
	if err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO plc_op (did, n, cid, op, sent) VALUES (?, ?, ?, ?, ?) ON CONFLICT (did, cid) DO UPDATE SET sent = excluded.sent`,
		op.DID.String(), n, op.CID, op.Op, sent)
	if err != nil {
		return fmt.Errorf("keeping a PLC operation: %w", err)
	}
	return nil
}

// DeletePLCOps implements identity.Tx.
func (tx *Tx) DeletePLCOps(did syntax.DID) error {
	_, err := tx.exec("DELETE FROM plc_op WHERE did = ?", did.String())
	return err
}
