package pds

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"

	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/repo"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
	"github.com/ipld/go-car"
	"github.com/labstack/echo/v4"
)

const (
	maxImport   = 256 << 20
	importChunk = maxOps
	maxHeight   = 128 // a SHA-256 has no more pairs of leading zeros
)

// errImport says that a CAR is not a repo of the account.
var errImport = errors.New("the CAR is not a repo of this account")

// Import brings the records of a CAR into a repo that is deactivated, replacing what is there. It takes the data, not the
// commit: the new commits are signed with the key of this host, with revs above the old one. Records come in steps, so
// that other writers wait for none; a step that was made is not made again when the import is repeated.
func (h *Host) Import(ctx context.Context, did syntax.DID, r io.Reader) error {
	commit, records, err := readRepo(did, r)
	if err != nil {
		return err
	}
	paths := make([]string, 0, len(records))
	for p := range records {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	if err := h.importStart(ctx, did, commit.Rev); err != nil {
		return err
	}
	for at := 0; at == 0 || at < len(paths); at += importChunk {
		chunk := paths[min(at, len(paths)):min(at+importChunk, len(paths))]
		if err := h.importStep(ctx, did, chunk, records); err != nil {
			return err
		}
	}
	return h.importEnd(ctx, did, records, commit.Data)
}

// readRepo takes a CAR apart. Every block is checked by its hash, the tree by its order and heights, and the records by
// the data model.
func readRepo(did syntax.DID, r io.Reader) (*repo.Commit, map[string]encoded, error) {
	blocks, root, err := readBlocks(r)
	if err != nil {
		return nil, nil, err
	}
	var c repo.Commit
	if err := c.UnmarshalCBOR(bytes.NewReader(blocks[root])); err != nil {
		return nil, nil, fmt.Errorf("%w: %v", errImport, err)
	}
	if err := c.VerifyStructure(); err != nil || c.DID != did.String() {
		return nil, nil, fmt.Errorf("%w: its commit is another's or malformed", errImport)
	}
	w := &walker{blocks: blocks, records: map[string]encoded{}}
	if err := w.walk(c.Data, -1); err != nil {
		return nil, nil, fmt.Errorf("%w: %v", errImport, err)
	}
	return &c, w.records, nil
}

func readBlocks(r io.Reader) (blocks map[cid.Cid][]byte, root cid.Cid, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: the reader panicked", errImport)
		}
	}()
	limited := &io.LimitedReader{R: r, N: maxImport + 1}
	cr, err := car.NewCarReader(bufio.NewReader(limited))
	if err != nil || cr.Header.Version != 1 || len(cr.Header.Roots) == 0 {
		return nil, root, fmt.Errorf("%w: no CAR: %v", errImport, err)
	}
	blocks = map[cid.Cid][]byte{}
	for {
		b, err := cr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, root, fmt.Errorf("%w: %v", errImport, err)
		}
		blocks[b.Cid()] = b.RawData()
	}
	if limited.N <= 0 {
		return nil, root, ErrTooLarge
	}
	root = cr.Header.Roots[0]
	if blocks[root] == nil {
		return nil, root, fmt.Errorf("%w: its root is missing", errImport)
	}
	return blocks, root, nil
}

type walker struct {
	blocks  map[cid.Cid][]byte
	records map[string]encoded
	last    string
}

func (w *walker) walk(c cid.Cid, height int) error {
	block := w.blocks[c]
	if block == nil {
		return errNoBlock
	}
	n, err := decodeNode(block, c, height)
	if err != nil {
		return err
	}
	if n.height > maxHeight {
		return errTree
	}
	for i, k := range n.kids {
		if !k.isNil() {
			// A root without keys has height 0 and no kids, so heights fall at every step and the walk ends.
			if err := w.walk(k.cid, n.height-1); err != nil {
				return err
			}
		}
		if i < len(n.keys) {
			if err := w.record(n.keys[i], n.vals[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) record(path string, c cid.Cid) error {
	data := w.blocks[c]
	collection, rkey, err := syntax.ParseRepoPath(path)
	if err != nil || path != string(collection)+"/"+string(rkey) || path <= w.last {
		return fmt.Errorf("a path that is none, or out of order")
	}
	w.last = path
	if data == nil || len(data) > maxRecord {
		return fmt.Errorf("a record is missing or too large")
	}
	m, err := atdata.UnmarshalCBOR(data)
	if err != nil {
		return err
	}
	e := encoded{path: path, cid: c, data: data}
	for _, b := range atdata.ExtractBlobs(m) {
		e.blobs = append(e.blobs, b.Ref.String())
	}
	w.records[path] = e
	return nil
}

func (h *Host) importStart(ctx context.Context, did syntax.DID, rev string) error {
	return h.o.Store.Update(ctx, func(tx Tx) error {
		r, err := tx.Repo(did)
		if err != nil {
			return err
		}
		if r.Status != StatusDeactivated {
			return invalid("Only a deactivated account takes an import")
		}
		if rev <= r.Rev {
			return nil
		}
		if syntax.TID(rev).Time().Sub(h.now()) > maxAhead {
			return fmt.Errorf("%w: its rev is in the future", errImport)
		}
		r.Rev = rev
		if r.Head == "" {
			_, err := h.commit(tx, r, nil, false) // an empty commit, so that the rev is kept
			return err
		}
		return tx.RepoPut(r, r.Head)
	})
}

// importStep makes the commit of some paths, and none if they are there already.
func (h *Host) importStep(ctx context.Context, did syntax.DID, paths []string, records map[string]encoded) error {
	return h.o.Store.Update(ctx, func(tx Tx) error {
		r, err := tx.Repo(did)
		if err != nil {
			return err
		}
		var changes []change
		for _, p := range paths {
			e := records[p]
			old, err := tx.RepoRecord(r.ID, p)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			c := change{path: p, next: e.cid, data: e.data, blobs: e.blobs}
			if old != nil {
				c.prev = old.CID
			}
			if c.prev != c.next {
				changes = append(changes, c)
			}
		}
		if len(changes) == 0 {
			return nil
		}
		_, err = h.commit(tx, r, changes, false)
		return err
	})
}

// importEnd deletes what the CAR does not have and compares the roots.
func (h *Host) importEnd(ctx context.Context, did syntax.DID, records map[string]encoded, root cid.Cid) error {
	return h.o.Store.Update(ctx, func(tx Tx) error {
		r, err := tx.Repo(did)
		if err != nil {
			return err
		}
		var changes []change
		err = tx.RepoRecords(r.ID, "", func(rec StoredRecord) error {
			if _, keep := records[rec.Path]; !keep {
				changes = append(changes, change{path: rec.Path, prev: rec.CID})
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(changes) > 0 {
			if _, err := h.commit(tx, r, changes, false); err != nil {
				return err
			}
		}
		if r.Data != root.String() {
			return fmt.Errorf("%w: its tree is not canonical", errImport)
		}
		return nil
	})
}

func (h *Host) importRepo(c echo.Context, s session) error {
	err := h.Import(c.Request().Context(), s.did, c.Request().Body)
	if errors.Is(err, errImport) {
		return invalid("%v", err)
	}
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

// uploadBlob takes the blobs of an account that moves here.
func (h *Host) uploadBlob(c echo.Context, s session) error {
	ctx := c.Request().Context()
	mime := c.Request().Header.Get(echo.HeaderContentType)
	if mime == "" || len(mime) > 200 {
		mime = "application/octet-stream"
	}
	b, err := h.StageBlobFrom(ctx, c.Request().Body, mime, MaxBlob)
	if err != nil {
		return err
	}
	err = h.o.Store.Update(ctx, func(tx Tx) error {
		r, err := tx.Repo(s.did)
		if err != nil {
			return err
		}
		if r.Status == StatusDeleted {
			return ErrNoRepo
		}
		return tx.BlobPut(r.ID, b)
	})
	if err != nil {
		return err
	}
	ref, err := b.Ref()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"blob": ref})
}

func (h *Host) listMissingBlobs(c echo.Context, s session) error {
	limit, err := limitParam(c, 500, 1000)
	if err != nil {
		return err
	}
	type entry struct {
		CID string `json:"cid"`
		URI string `json:"recordUri"`
	}
	return h.owned(c, s, func(tx Tx, r *Repo) error {
		missing, err := tx.BlobMissing(r.ID, c.QueryParam("cursor"), limit)
		if err != nil {
			return err
		}
		out := struct {
			Cursor string  `json:"cursor,omitempty"`
			Blobs  []entry `json:"blobs"`
		}{Blobs: []entry{}}
		for _, m := range missing {
			out.Blobs = append(out.Blobs, entry{m.CID, "at://" + r.DID.String() + "/" + m.Path})
		}
		if len(missing) == limit {
			out.Cursor = missing[limit-1].CID
		}
		return c.JSON(http.StatusOK, out)
	})
}
