package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestJournalKeepsWhatItAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	j, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if err := j.Append(JournalEntry{At: time.Unix(int64(i), 0).UTC(), Kind: JournalWithdraw, Who: JournalHash(fmt.Sprint("did:", i)), Epoch: 2}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := j.Append(JournalEntry{Kind: JournalCheckpoint, Size: 5, Root: "x"}, JournalEntry{Kind: JournalCheckpoint, Size: 9, Root: "y"}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	list, err := ReadJournal(path)
	if err != nil || len(list) != 52 {
		t.Fatalf("%d entries (%v), want 52", len(list), err)
	}
	found := false
	for _, e := range list {
		found = found || e.Is("did:33")
	}
	if c, ok := LastCheckpoint(list); !found || !ok || c.Size != 9 {
		t.Errorf("did:33 found: %v; last checkpoint %+v", found, c)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "did:") {
		t.Errorf("the journal names people (%v)", err)
	}
}

// TestTornJournal cuts the file at every byte of its last line, as a crash may, and goes on writing.
func TestTornJournal(t *testing.T) {
	whole := `{"at":"2026-01-01T00:00:00Z","kind":"erase","who":"a"}` + "\n"
	for n := range len(whole) {
		path := filepath.Join(t.TempDir(), "journal.jsonl")
		if err := os.WriteFile(path, []byte(whole+whole[:n]), 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := ReadJournal(path); err != nil || len(list) != 1 {
			t.Fatalf("cut at %d: read %v (%v)", n, list, err)
		}
		j, err := OpenJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Append(JournalEntry{Kind: JournalDelete, Who: "b"}); err != nil {
			t.Fatal(err)
		}
		_ = j.Close()
		if list, err := ReadJournal(path); err != nil || len(list) != 2 || list[1].Kind != JournalDelete {
			t.Fatalf("cut at %d: after going on %v (%v)", n, list, err)
		}
	}
}

func TestJournalCorruptionIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	if err := os.WriteFile(path, []byte("{\"kind\":\"erase\"}\nnonsense\n{\"kind\":\"erase\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadJournal(path); err == nil {
		t.Error("a broken line in the middle was passed over")
	}
	if list, err := ReadJournal(path + ".none"); len(list) != 0 || err != nil {
		t.Errorf("a missing journal gave %v (%v)", list, err)
	}
}
