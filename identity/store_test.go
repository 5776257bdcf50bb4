package identity_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"footbridge/bridge/store"
	"footbridge/identity"
)

func room(t *testing.T) store.Room[identity.Tx] {
	t.Helper()
	db, err := store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "id.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return store.Room[identity.Tx]{DB: db}
}

func TestAccounts(t *testing.T) {
	r := room(t)
	err := r.Update(context.Background(), func(tx identity.Tx) error {
		anna := &identity.Account{Native: identity.ActivityPub, Actor: "https://social.example/users/anna", Acct: "Anna@social.example"}
		bea := &identity.Account{Native: identity.ATProto, DID: "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb", Handle: "Bea.Example.Test", Actor: "https://bridge.test/ap/bea"}
		for _, a := range []*identity.Account{anna, bea} {
			if err := tx.PutAccount(a); err != nil {
				return err
			}
		}
		anna.DID, anna.Handle, anna.Status = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "anna.social.example.bridge.test", identity.CopyActive
		if err := tx.PutAccount(anna); err != nil {
			return err
		}
		for name, find := range map[string]func() (*identity.Account, error){
			"actor":   func() (*identity.Account, error) { return tx.AccountByActor(anna.Actor) },
			"did":     func() (*identity.Account, error) { return tx.AccountByDID(anna.DID) },
			"handle":  func() (*identity.Account, error) { return tx.AccountByHandle("ANNA.social.example.bridge.test") },
			"acct":    func() (*identity.Account, error) { return tx.AccountByAcct("anna@Social.Example") },
			"subject": func() (*identity.Account, error) { return tx.AccountBySubject("https://social.example/users/anna") },
		} {
			a, err := find()
			if err != nil || a.Subject() != anna.Subject() || a.Status != identity.CopyActive || a.Incarnation != 1 || a.Created.IsZero() {
				t.Errorf("%s: %+v, %v", name, a, err)
			}
		}
		if a, err := tx.AccountBySubject("did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"); err != nil || a.Handle != "bea.example.test" {
			t.Errorf("got %+v, %v", a, err)
		}
		// Empty columns find nobody.
		for _, find := range []func() (*identity.Account, error){
			func() (*identity.Account, error) { return tx.AccountByAcct("") },
			func() (*identity.Account, error) { return tx.AccountByDID("") },
			func() (*identity.Account, error) { return tx.AccountByHandle("nobody.test") },
		} {
			if a, err := find(); !errors.Is(err, identity.ErrNotFound) {
				t.Errorf("got %+v, %v", a, err)
			}
		}
		list, err := tx.Accounts("", 1)
		if err != nil || len(list) != 1 || list[0].Subject() != bea.Subject() {
			t.Errorf("got %v, %v", list, err)
		}
		if err := tx.DeleteAccount(anna.Subject()); err != nil {
			return err
		}
		_, err = tx.AccountByActor(anna.Actor)
		if !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTwoAccountsDoNotShareADID: the database refuses what would let one person write into another's repo.
func TestTwoAccountsDoNotShareADID(t *testing.T) {
	r := room(t)
	err := r.Update(context.Background(), func(tx identity.Tx) error {
		for _, actor := range []identity.ActorID{"https://social.example/users/a", "https://social.example/users/b"} {
			if err := tx.PutAccount(&identity.Account{Native: identity.ActivityPub, Actor: actor, DID: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		t.Error("two accounts share a DID")
	}
}

func TestPLCOpsInOrder(t *testing.T) {
	r := room(t)
	first, key := genesis(t, "")
	did, err := first.DID()
	if err != nil {
		t.Fatal(err)
	}
	next, err := first.Next()
	if err != nil {
		t.Fatal(err)
	}
	next.SetHandle("other.example.test")
	if err := next.Sign(key); err != nil {
		t.Fatal(err)
	}
	err = r.Update(context.Background(), func(tx identity.Tx) error {
		for _, op := range []identity.Operation{first, next} {
			s, err := op.Stored(did)
			if err != nil {
				return err
			}
			if err := tx.PutPLCOp(s); err != nil {
				return err
			}
		}
		ops, err := tx.PLCOps(did)
		if err != nil || len(ops) != 2 || ops[0].Sent {
			t.Fatalf("got %+v, %v", ops, err)
		}
		ops[0].Sent = true
		if err := tx.PutPLCOp(ops[0]); err != nil {
			return err
		}
		again, err := tx.PLCOps(did)
		if err != nil || len(again) != 2 || !again[0].Sent || again[1].Sent || again[0].CID != ops[0].CID {
			t.Errorf("got %+v, %v", again, err)
		}
		if op, err := identity.ParseOperation(again[1].Op); err != nil || op.AlsoKnownAs[0] != "at://other.example.test" {
			t.Errorf("got %+v, %v", op, err)
		}
		return tx.DeletePLCOps(did)
	})
	if err != nil {
		t.Fatal(err)
	}
}
