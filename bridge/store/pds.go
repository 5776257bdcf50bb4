package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"footbridge/atproto/pds"
	"footbridge/identity"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
)

var _ pds.Tx = (*Tx)(nil)

const repoColumns = `id, did, handle, owner, status, head, data, rev, block, records, created`

func scanRepo(scan func(...any) error) (*pds.Repo, error) {
	r := &pds.Repo{}
	var created int64
	err := scan(&r.ID, &r.DID, &r.Handle, &r.Owner, &r.Status, &r.Head, &r.Data, &r.Rev, &r.Commit, &r.Records, &created)
	r.Created = time.UnixMicro(created).UTC()
	return r, err
}

func (tx *Tx) repos(query string, args ...any) ([]*pds.Repo, error) {
	var list []*pds.Repo
	err := tx.each(query, args, func(scan func(...any) error) error {
		r, err := scanRepo(scan)
		list = append(list, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading repos: %w", err)
	}
	return list, nil
}

func (tx *Tx) repoWhere(condition, arg string) (*pds.Repo, error) {
	list, err := tx.repos("SELECT "+repoColumns+" FROM repo WHERE "+condition, arg)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, pds.ErrNoRepo
	}
	return list[0], nil
}

// Repo implements pds.Tx.
func (tx *Tx) Repo(did syntax.DID) (*pds.Repo, error) { return tx.repoWhere("did = ?", did.String()) }

// RepoByHandle implements pds.Tx.
func (tx *Tx) RepoByHandle(h syntax.Handle) (*pds.Repo, error) {
	return tx.repoWhere("handle = ? AND handle <> ''", h.Normalize().String())
}

// RepoInsert implements pds.Tx.
func (tx *Tx) RepoInsert(r *pds.Repo) (err error) {
	var n int64
	if _, err := tx.get("SELECT COUNT(*) FROM repo WHERE did = ? OR (handle = ? AND handle <> '')", []any{r.DID.String(), r.Handle.String()}, &n); err != nil {
		return fmt.Errorf("looking for a repo: %w", err)
	}
	if n > 0 {
		return pds.ErrExists
	}
	if r.ID, err = tx.next("repo", 1); err != nil {
		return fmt.Errorf("numbering a repo: %w", err)
	}
	r.Created = tx.now
	_, err = tx.exec(`INSERT INTO repo (`+repoColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, r.ID, r.DID.String(), r.Handle.String(), string(r.Owner),
		string(r.Status), r.Head, r.Data, r.Rev, notNull(r.Commit), r.Records, r.Created.UnixMicro())
	if err != nil {
		return fmt.Errorf("inserting a repo: %w", err)
	}
	return nil
}

func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// RepoPut implements pds.Tx.
func (tx *Tx) RepoPut(r *pds.Repo, expectHead string) error {
	n, err := tx.exec(`UPDATE repo SET handle = ?, owner = ?, status = ?, head = ?, data = ?, rev = ?, block = ?, records = ? WHERE id = ? AND head = ?`,
		r.Handle.String(), string(r.Owner), string(r.Status), r.Head, r.Data, r.Rev, notNull(r.Commit), r.Records, r.ID, expectHead)
	if err != nil {
		return fmt.Errorf("updating a repo: %w", err)
	}
	if n != 1 {
		return pds.ErrConflict
	}
	return nil
}

// RepoErase implements pds.Tx.
func (tx *Tx) RepoErase(repo int64) error {
	for _, table := range []string{"repo_node", "repo_record", "repo_collection", "repo_blob_ref", "repo_code"} {
		if _, err := tx.exec("DELETE FROM "+table+" WHERE repo = ?", repo); err != nil {
			return fmt.Errorf("emptying %s: %w", table, err)
		}
	}
	// Blob rows stay, without references, until BlobCollect has told which files go.
	_, err := tx.exec("UPDATE repo_blob SET created = 0 WHERE repo = ?", repo)
	return err
}

// Repos implements pds.Tx.
func (tx *Tx) Repos(after int64, limit int) ([]*pds.Repo, error) {
	return tx.repos("SELECT "+repoColumns+" FROM repo WHERE id > ? ORDER BY id LIMIT ?", after, limit)
}

// RepoCount implements pds.Tx.
func (tx *Tx) RepoCount() (int64, error) {
	var n int64
	_, err := tx.get("SELECT COUNT(*) FROM repo WHERE status <> 'deleted'", nil, &n)
	return n, err
}

// RepoPutCode implements pds.Tx.
func (tx *Tx) RepoPutCode(repo int64, hash []byte, end time.Time) error {
	_, err := tx.exec(`INSERT INTO repo_code (repo, hash, ends) VALUES (?, ?, ?) ON CONFLICT (repo) DO UPDATE SET hash = excluded.hash, ends = excluded.ends`,
		repo, hash, end.UnixMicro())
	return err
}

// RepoCode implements pds.Tx.
func (tx *Tx) RepoCode(repo int64) (hash []byte, end time.Time, err error) {
	var ends int64
	ok, err := tx.get("SELECT hash, ends FROM repo_code WHERE repo = ?", []any{repo}, &hash, &ends)
	if err == nil && !ok {
		err = pds.ErrNotFound
	}
	return hash, time.UnixMicro(ends).UTC(), err
}

// RepoNode implements pds.Tx.
func (tx *Tx) RepoNode(repo int64, c cid.Cid) ([]byte, error) {
	var data []byte
	ok, err := tx.get("SELECT data FROM repo_node WHERE repo = ? AND cid = ?", []any{repo, c.Bytes()}, &data)
	if err != nil {
		return nil, fmt.Errorf("reading an MST node: %w", err)
	}
	if !ok {
		return nil, pds.ErrNotFound
	}
	return data, nil
}

// nodeChunk is how many nodes one statement takes. Statements differ by their number of rows only, so few are prepared.
const nodeChunk = 16

// RepoPutNodes implements pds.Tx.
func (tx *Tx) RepoPutNodes(repo int64, nodes []pds.Block, rev string) error {
	for chunk := range slices.Chunk(nodes, nodeChunk) {
		args := make([]any, 0, 4*len(chunk))
		for _, n := range chunk {
			args = append(args, repo, n.CID.Bytes(), n.Data, rev)
		}
		_, err := tx.exec("INSERT INTO repo_node (repo, cid, data, rev) VALUES (?, ?, ?, ?)"+strings.Repeat(", (?, ?, ?, ?)", len(chunk)-1)+
			" ON CONFLICT (repo, cid) DO UPDATE SET rev = excluded.rev", args...)
		if err != nil {
			return fmt.Errorf("keeping MST nodes: %w", err)
		}
	}
	return nil
}

// RepoDeleteNodes implements pds.Tx.
func (tx *Tx) RepoDeleteNodes(repo int64, cids []cid.Cid) error {
	for chunk := range slices.Chunk(cids, nodeChunk) {
		args := []any{repo}
		for _, c := range chunk {
			args = append(args, c.Bytes())
		}
		if _, err := tx.exec("DELETE FROM repo_node WHERE repo = ? AND cid IN (?"+strings.Repeat(", ?", len(chunk)-1)+")", args...); err != nil {
			return fmt.Errorf("dropping MST nodes: %w", err)
		}
	}
	return nil
}

// RepoNodes implements pds.Tx.
func (tx *Tx) RepoNodes(repo int64, since string, f func(cid.Cid, []byte) error) error {
	return tx.each("SELECT cid, data FROM repo_node WHERE repo = ? AND rev > ?", []any{repo, since}, func(scan func(...any) error) error {
		var raw, data []byte
		if err := scan(&raw, &data); err != nil {
			return err
		}
		c, err := cid.Cast(raw)
		if err != nil {
			return err
		}
		return f(c, data)
	})
}

const recordColumns = `path, cid, data, rev`

func scanRecord(scan func(...any) error) (pds.StoredRecord, error) {
	var r pds.StoredRecord
	var path, raw []byte
	if err := scan(&path, &raw, &r.Data, &r.Rev); err != nil {
		return r, err
	}
	r.Path = string(path)
	c, err := cid.Cast(raw)
	r.CID = c
	return r, err
}

// RepoRecord implements pds.Tx.
func (tx *Tx) RepoRecord(repo int64, path string) (*pds.StoredRecord, error) {
	var found *pds.StoredRecord
	err := tx.each("SELECT "+recordColumns+" FROM repo_record WHERE repo = ? AND path = ?", []any{repo, []byte(path)}, func(scan func(...any) error) error {
		r, err := scanRecord(scan)
		found = &r
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading a record: %w", err)
	}
	if found == nil {
		return nil, pds.ErrNotFound
	}
	return found, nil
}

// RepoPutRecord implements pds.Tx.
func (tx *Tx) RepoPutRecord(repo int64, r pds.StoredRecord, created bool) error {
	_, err := tx.exec(`INSERT INTO repo_record (repo, path, cid, data, rev) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (repo, path) DO UPDATE SET cid = excluded.cid, data = excluded.data, rev = excluded.rev`, repo, []byte(r.Path), r.CID.Bytes(), r.Data, r.Rev)
	if err == nil && created {
		nsid, _, _ := strings.Cut(r.Path, "/")
		_, err = tx.exec(`INSERT INTO repo_collection (nsid, repo, count) VALUES (?, ?, 1) ON CONFLICT (nsid, repo) DO UPDATE SET count = repo_collection.count + 1`, nsid, repo)
	}
	if err != nil {
		return fmt.Errorf("keeping a record: %w", err)
	}
	return nil
}

// RepoDeleteRecord implements pds.Tx.
func (tx *Tx) RepoDeleteRecord(repo int64, path string) error {
	n, err := tx.exec("DELETE FROM repo_record WHERE repo = ? AND path = ?", repo, []byte(path))
	if err != nil || n == 0 {
		return err
	}
	nsid, _, _ := strings.Cut(path, "/")
	if _, err := tx.exec("UPDATE repo_collection SET count = count - 1 WHERE nsid = ? AND repo = ?", nsid, repo); err != nil {
		return fmt.Errorf("counting down a collection: %w", err)
	}
	_, err = tx.exec("DELETE FROM repo_collection WHERE nsid = ? AND repo = ? AND count <= 0", nsid, repo)
	return err
}

// RepoRecords implements pds.Tx.
func (tx *Tx) RepoRecords(repo int64, since string, f func(pds.StoredRecord) error) error {
	return tx.each("SELECT "+recordColumns+" FROM repo_record WHERE repo = ? AND rev > ? ORDER BY path", []any{repo, since}, func(scan func(...any) error) error {
		r, err := scanRecord(scan)
		if err != nil {
			return err
		}
		return f(r)
	})
}

// RepoCollection implements pds.Tx. The default order is newest rkey first, as the reference PDS has it.
func (tx *Tx) RepoCollection(repo int64, collection syntax.NSID, after syntax.RecordKey, limit int, reverse bool) ([]pds.StoredRecord, error) {
	low, high := []byte(string(collection)+"/"), []byte(string(collection)+"0") // "0" is the byte after "/"
	order := "DESC"
	if reverse {
		order = "ASC"
		if after != "" {
			low = []byte(string(collection) + "/" + string(after) + "\x00")
		}
	} else if after != "" {
		high = []byte(string(collection) + "/" + string(after))
	}
	var list []pds.StoredRecord
	err := tx.each("SELECT "+recordColumns+" FROM repo_record WHERE repo = ? AND path >= ? AND path < ? ORDER BY path "+order+" LIMIT ?",
		[]any{repo, low, high, limit}, func(scan func(...any) error) error {
			r, err := scanRecord(scan)
			list = append(list, r)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing records: %w", err)
	}
	return list, nil
}

// RepoCollections implements pds.Tx.
func (tx *Tx) RepoCollections(repo int64) ([]string, error) {
	return tx.strings("SELECT nsid FROM repo_collection WHERE repo = ? ORDER BY nsid", repo)
}

// ReposByCollection implements pds.Tx.
func (tx *Tx) ReposByCollection(collection syntax.NSID, after int64, limit int) ([]*pds.Repo, error) {
	return tx.repos("SELECT "+repoColumns+" FROM repo WHERE id > ? AND id IN (SELECT repo FROM repo_collection WHERE nsid = ? AND repo > ?) AND status = 'active' ORDER BY id LIMIT ?",
		after, string(collection), after, limit)
}

// RepoOwnedBy gives the repo of a subject, for flows that know only whose it is.
func (tx *Tx) RepoOwnedBy(owner identity.Subject) (*pds.Repo, error) {
	return tx.repoWhere("owner = ? AND owner <> '' AND status <> 'deleted'", string(owner))
}
