package identity_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"footbridge/bridge/store"
	"footbridge/identity"
)

func keyring(t *testing.T) (*identity.Keyring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret", "master.key")
	k, err := identity.CreateKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	return k, path
}

// TestSealedValuesDoNotMove (R100): a ciphertext opens only in its own row and for its own purpose.
func TestSealedValuesDoNotMove(t *testing.T) {
	k, _ := keyring(t)
	sealed, err := k.Seal("sealed_key/repo", "did:plc:a", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("it is not encrypted")
	}
	if plain, err := k.Open("sealed_key/repo", "did:plc:a", sealed); err != nil || string(plain) != "secret" {
		t.Errorf("got %q, %v", plain, err)
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	other, _ := keyring(t)
	for name, open := range map[string]func() ([]byte, error){
		"row":      func() ([]byte, error) { return k.Open("sealed_key/repo", "did:plc:b", sealed) },
		"purpose":  func() ([]byte, error) { return k.Open("sealed_key/rotation", "did:plc:a", sealed) },
		"boundary": func() ([]byte, error) { return k.Open("sealed_key/repod", "id:plc:a", sealed) },
		"flipped":  func() ([]byte, error) { return k.Open("sealed_key/repo", "did:plc:a", flipped) },
		"cut":      func() ([]byte, error) { return k.Open("sealed_key/repo", "did:plc:a", sealed[:10]) },
		"empty":    func() ([]byte, error) { return k.Open("sealed_key/repo", "did:plc:a", nil) },
		"key":      func() ([]byte, error) { return other.Open("sealed_key/repo", "did:plc:a", sealed) },
	} {
		if plain, err := open(); !errors.Is(err, identity.ErrSealed) {
			t.Errorf("%s: got %q, %v", name, plain, err)
		}
	}
	again, err := k.Seal("sealed_key/repo", "did:plc:a", []byte("secret"))
	if err != nil || bytes.Equal(again, sealed) {
		t.Error("sealing twice gives the same bytes")
	}
}

func TestMasterKeyFile(t *testing.T) {
	k, path := keyring(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	sealed, err := k.Seal("p", "r", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := identity.CreateKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Open("p", "r", sealed); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	rotated, err := identity.RotateMaster(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := rotated.Open("p", "r", sealed); err != nil || string(plain) != "x" || !rotated.Stale(sealed) || k.Stale(sealed) {
		t.Errorf("after a rotation: %q, %v", plain, err)
	}
	fresh, err := rotated.Seal("p", "r", []byte("y"))
	if err != nil || rotated.Stale(fresh) {
		t.Errorf("sealed anew and stale: %v", err)
	}
	if _, err := k.Open("p", "r", fresh); !errors.Is(err, identity.ErrSealed) {
		t.Errorf("the old key opens what the new one sealed: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.OpenKeyring(path); err == nil {
		t.Error("a key that others may read is taken")
	}
}

func TestBadMasterKeys(t *testing.T) {
	for name, text := range map[string]string{"empty": "# nothing\n", "short": "AAAA\n", "not base64": "%%%\n"} {
		path := filepath.Join(t.TempDir(), "k")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.OpenKeyring(path); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := identity.OpenKeyring(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file is taken")
	}
}

func TestKeysInTheDatabase(t *testing.T) {
	k, _ := keyring(t)
	path := filepath.Join(t.TempDir(), "id.db")
	db, err := store.Open(context.Background(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	room := store.Room[identity.Tx]{DB: db}
	var raw []byte
	err = room.Update(context.Background(), func(tx identity.Tx) error {
		key, err := k.NewKey(tx, "did:plc:a", identity.KeyRepo)
		if err != nil {
			return err
		}
		raw = key.Bytes()
		back, err := k.Key(tx, "did:plc:a", identity.KeyRepo)
		if err != nil {
			return err
		}
		if !back.Equal(key) {
			t.Error("another key came back")
		}
		if _, err := k.Key(tx, "did:plc:a", identity.KeyRotation); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("a key that was never made: %v", err)
		}
		// A row that is copied to another owner does not open.
		sealed, err := tx.SealedKey("did:plc:a", identity.KeyRepo)
		if err != nil {
			return err
		}
		if err := tx.PutSealedKey("did:plc:b", identity.KeyRepo, sealed); err != nil {
			return err
		}
		if _, err := k.Key(tx, "did:plc:b", identity.KeyRepo); !errors.Is(err, identity.ErrSealed) {
			t.Errorf("a moved key: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	dump, err := os.ReadFile(path)
	if err != nil || bytes.Contains(dump, raw) {
		t.Errorf("the raw key is in the database (%v)", err)
	}
}
