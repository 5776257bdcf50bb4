package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// JournalKind is what a journal entry says.
type JournalKind string

// The kinds of entries. A backup must not undo what they say.
const (
	JournalWithdraw   JournalKind = "withdraw"
	JournalErase      JournalKind = "erase"
	JournalDelete     JournalKind = "delete"
	JournalBlock      JournalKind = "block"
	JournalUnblock    JournalKind = "unblock"
	JournalCheckpoint JournalKind = "checkpoint"
)

// JournalEntry is one line of the journal. Whom it is about is kept as a hash: the journal outlives the person's data.
type JournalEntry struct {
	At   time.Time   `json:"at"`
	Kind JournalKind `json:"kind"`
	// Who is JournalHash of the subject or object.
	Who   string `json:"who,omitempty"`
	Epoch int64  `json:"epoch,omitempty"`
	// Size and Root are the ledger's, for checkpoints.
	Size int64  `json:"size,omitempty"`
	Root string `json:"root,omitempty"`
}

// JournalHash is how a subject or object is named in the journal.
func JournalHash(name string) string {
	sum := sha256.Sum256([]byte("footbridge journal\x00" + name))
	return hex.EncodeToString(sum[:])
}

// Is reports whether the entry is about the subject or object.
func (e JournalEntry) Is(name string) bool { return e.Who == JournalHash(name) }

// Journal is an append-only file outside the backups (R84): what was erased and withdrawn, and how long the ledger was.
// Write to it before the change is committed: an entry too many costs a second withdrawal, one too few a person's trust.
type Journal struct {
	mu sync.Mutex
	f  *os.File
}

// OpenJournal opens or makes the file. A last line that a crash cut short is cut off.
func OpenJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	j := &Journal{f: f}
	if err := errors.Join(j.trim(), syncDir(filepath.Dir(path))); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the journal: %w", err), f.Close())
	}
	return j, nil
}

// trim cuts off what follows the last line feed, and goes to the end.
func (j *Journal) trim() error {
	text, err := io.ReadAll(j.f)
	if err != nil {
		return err
	}
	whole := int64(bytes.LastIndexByte(text, '\n') + 1)
	if err := j.f.Truncate(whole); err != nil {
		return err
	}
	_, err = j.f.Seek(whole, io.SeekStart)
	return err
}

// Append writes entries; they are on the disk when it returns nil.
func (j *Journal) Append(entries ...JournalEntry) error {
	var lines bytes.Buffer
	for _, e := range entries {
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("writing the journal: %w", err)
		}
		lines.Write(append(line, '\n'))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.f.Write(lines.Bytes()); err != nil {
		return fmt.Errorf("writing the journal: %w", errors.Join(err, j.trimAgain()))
	}
	if err := j.f.Sync(); err != nil {
		return fmt.Errorf("syncing the journal: %w", err)
	}
	return nil
}

// trimAgain removes half a line after a failed write, such as on a full disk.
func (j *Journal) trimAgain() error {
	if _, err := j.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return j.trim()
}

// Close closes the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.f.Close()
}

// ReadJournal reads all whole lines, oldest first. A missing file is an empty journal.
func ReadJournal(path string) ([]JournalEntry, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	var list []JournalEntry
	in := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return list, nil // what follows the last line feed was never acknowledged
		}
		if err != nil {
			return nil, fmt.Errorf("reading the journal: %w", err)
		}
		var e JournalEntry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("line %d of the journal: %w", n, err)
		}
		list = append(list, e)
	}
}

// LastCheckpoint is the newest checkpoint of the ledger in a journal; ok is false if there is none. A restored ledger
// that is shorter has forgotten entries.
func LastCheckpoint(list []JournalEntry) (e JournalEntry, ok bool) {
	for _, c := range list {
		if c.Kind == JournalCheckpoint && c.Size >= e.Size {
			e, ok = c, true
		}
	}
	return e, ok
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
