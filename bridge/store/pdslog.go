package store

import (
	"errors"
	"fmt"
	"time"

	"footbridge/atproto/pds"
)

const (
	eventCounter = "repo_event"
	trimCounter  = "repo_event_trimmed" // the highest number that was dropped for its age
)

// EventAppend implements pds.Tx.
func (tx *Tx) EventAppend(repo int64, kind string, frame func(int64) ([]byte, error)) (int64, error) {
	seq, err := tx.next(eventCounter, 1)
	if err != nil {
		return 0, fmt.Errorf("numbering an event: %w", err)
	}
	b, err := frame(seq)
	if err != nil {
		return 0, err
	}
	if _, err := tx.exec("INSERT INTO repo_event (seq, repo, kind, frame, at) VALUES (?, ?, ?, ?, ?)", seq, repo, kind, b, tx.now.UnixMicro()); err != nil {
		return 0, fmt.Errorf("keeping an event: %w", err)
	}
	return seq, nil
}

// EventsAfter implements pds.Tx.
func (tx *Tx) EventsAfter(seq int64, limit int) ([]pds.StoredEvent, error) {
	var list []pds.StoredEvent
	err := tx.each("SELECT seq, kind, frame, at FROM repo_event WHERE seq > ? ORDER BY seq LIMIT ?", []any{seq, limit}, func(scan func(...any) error) error {
		var e pds.StoredEvent
		var at int64
		err := scan(&e.Seq, &e.Kind, &e.Frame, &at)
		e.At = time.UnixMicro(at).UTC()
		list = append(list, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	return list, nil
}

// EventRange implements pds.Tx.
func (tx *Tx) EventRange() (floor, newest int64, err error) {
	_, err = tx.get("SELECT value FROM counter WHERE name = ?", []any{trimCounter}, &floor)
	if err == nil {
		_, err = tx.get("SELECT value FROM counter WHERE name = ?", []any{eventCounter}, &newest)
	}
	return floor, newest, err
}

// EventJump implements pds.Tx.
func (tx *Tx) EventJump(n int64) (int64, error) { return tx.next(eventCounter, n) }

// EventTrim implements pds.Tx.
func (tx *Tx) EventTrim(before time.Time) (int64, error) {
	var last int64
	if _, err := tx.get("SELECT COALESCE(MAX(seq), 0) FROM repo_event WHERE at < ?", []any{before.UnixMicro()}, &last); err != nil || last == 0 {
		return 0, err
	}
	if _, err := tx.exec("INSERT INTO counter (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", trimCounter, last); err != nil {
		return 0, fmt.Errorf("noting what was trimmed: %w", err)
	}
	return tx.exec("DELETE FROM repo_event WHERE seq <= ?", last)
}

// EventPurge implements pds.Tx.
func (tx *Tx) EventPurge(repo, before int64) error {
	_, err := tx.exec("DELETE FROM repo_event WHERE repo = ? AND seq < ?", repo, before)
	return err
}

// BlobPut implements pds.Tx.
func (tx *Tx) BlobPut(repo int64, b pds.Blob) error {
	_, err := tx.exec(`INSERT INTO repo_blob (repo, cid, mime, size, width, height, created) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (repo, cid) DO UPDATE SET mime = excluded.mime, created = excluded.created`, repo, b.CID, b.MimeType, b.Size, b.Width, b.Height, tx.now.UnixMicro())
	if err != nil {
		return fmt.Errorf("keeping a blob: %w", err)
	}
	return nil
}

// Blob implements pds.Tx.
func (tx *Tx) Blob(repo int64, c string) (*pds.Blob, error) {
	b := &pds.Blob{CID: c}
	var created int64
	ok, err := tx.get("SELECT mime, size, width, height, created FROM repo_blob WHERE repo = ? AND cid = ?", []any{repo, c}, &b.MimeType, &b.Size, &b.Width, &b.Height, &created)
	if err != nil {
		return nil, fmt.Errorf("reading a blob: %w", err)
	}
	if !ok {
		return nil, pds.ErrNotFound
	}
	b.Created = time.UnixMicro(created).UTC()
	return b, nil
}

// BlobSetRefs implements pds.Tx. What a record no longer refers to is collected at the next turn, however young.
func (tx *Tx) BlobSetRefs(repo int64, path string, cids []string) error {
	_, err := tx.exec(`UPDATE repo_blob SET created = 0 WHERE repo = ? AND cid IN (SELECT cid FROM repo_blob_ref WHERE repo = ? AND path = ?)`, repo, repo, []byte(path))
	if err == nil {
		_, err = tx.exec("DELETE FROM repo_blob_ref WHERE repo = ? AND path = ?", repo, []byte(path))
	}
	for _, c := range cids {
		if err == nil {
			_, err = tx.exec("INSERT INTO repo_blob_ref (repo, cid, path) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", repo, c, []byte(path))
		}
	}
	if err != nil {
		return fmt.Errorf("keeping blob references: %w", err)
	}
	return nil
}

// BlobReferred implements pds.Tx.
func (tx *Tx) BlobReferred(repo int64, c string) (bool, error) {
	var one int
	return tx.get("SELECT 1 FROM repo_blob_ref WHERE repo = ? AND cid = ? LIMIT 1", []any{repo, c}, &one)
}

// BlobList implements pds.Tx.
func (tx *Tx) BlobList(repo int64, since, after string, limit int) ([]string, error) {
	if since == "" {
		return tx.strings("SELECT DISTINCT cid FROM repo_blob_ref WHERE repo = ? AND cid > ? ORDER BY cid LIMIT ?", repo, after, limit)
	}
	return tx.strings(`SELECT DISTINCT b.cid FROM repo_blob_ref b JOIN repo_record r ON r.repo = b.repo AND r.path = b.path
WHERE b.repo = ? AND b.cid > ? AND r.rev > ? ORDER BY b.cid LIMIT ?`, repo, after, since, limit)
}

// BlobMissing implements pds.Tx.
func (tx *Tx) BlobMissing(repo int64, after string, limit int) ([]pds.BlobRef, error) {
	var list []pds.BlobRef
	err := tx.each(`SELECT d.cid, (SELECT p.path FROM repo_blob_ref p WHERE p.repo = ? AND p.cid = d.cid ORDER BY p.path LIMIT 1)
FROM (SELECT DISTINCT r.cid FROM repo_blob_ref r WHERE r.repo = ? AND r.cid > ?
AND NOT EXISTS (SELECT 1 FROM repo_blob b WHERE b.repo = r.repo AND b.cid = r.cid)) d ORDER BY d.cid LIMIT ?`, []any{repo, repo, after, limit},
		func(scan func(...any) error) error {
			var c string
			var path []byte
			err := scan(&c, &path)
			list = append(list, pds.BlobRef{CID: c, Path: string(path)})
			return err
		})
	return list, err
}

// BlobCounts implements pds.Tx.
func (tx *Tx) BlobCounts(repo int64) (referred, there int64, err error) {
	_, err1 := tx.get("SELECT COUNT(DISTINCT cid) FROM repo_blob_ref WHERE repo = ?", []any{repo}, &referred)
	_, err2 := tx.get("SELECT COUNT(*) FROM repo_blob b WHERE b.repo = ? AND EXISTS (SELECT 1 FROM repo_blob_ref r WHERE r.repo = b.repo AND r.cid = b.cid)", []any{repo}, &there)
	return referred, there, errors.Join(err1, err2)
}

// BlobCollect implements pds.Tx.
func (tx *Tx) BlobCollect(before time.Time, limit int) ([]string, error) {
	type row struct {
		repo int64
		cid  string
	}
	var rows []row
	err := tx.each(`SELECT repo, cid FROM repo_blob b WHERE created < ?
AND NOT EXISTS (SELECT 1 FROM repo_blob_ref r WHERE r.repo = b.repo AND r.cid = b.cid) LIMIT ?`, []any{before.UnixMicro(), limit}, func(scan func(...any) error) error {
		var r row
		err := scan(&r.repo, &r.cid)
		rows = append(rows, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for unused blobs: %w", err)
	}
	var cids []string
	for _, r := range rows {
		if _, err := tx.exec("DELETE FROM repo_blob WHERE repo = ? AND cid = ?", r.repo, r.cid); err != nil {
			return nil, fmt.Errorf("deleting a blob row: %w", err)
		}
		cids = append(cids, r.cid)
	}
	return cids, nil
}

// BlobInUse implements pds.Tx.
func (tx *Tx) BlobInUse(c string) (bool, error) {
	var one int
	return tx.get("SELECT 1 FROM repo_blob WHERE cid = ? LIMIT 1", []any{c}, &one)
}
