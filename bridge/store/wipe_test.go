package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestR23_DeletedRowsLeaveTheDisk: what was deleted stands neither in the file nor in the write-ahead log.
func TestR23_DeletedRowsLeaveTheDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	secret := bytes.Repeat([]byte("canary in the database "), 2000) // overflow pages too
	for _, value := range [][]byte{secret, nil} {
		if err := db.Update(t.Context(), func(tx *Tx) error { return tx.PutSetting("x", value) }); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		wiped, err := db.Wipe(t.Context())
		if err != nil || time.Now().After(deadline) {
			t.Fatal("not wiped: ", err)
		}
		if wiped {
			break
		}
	}
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("canary in the database")) {
			t.Errorf("the file%s still has it", suffix)
		}
	}
}
