package pds

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
	"github.com/labstack/echo/v4"
)

const carType = "application/vnd.ipld.car"

// exportPace is how long a slow reader of an export may take for one block; the export holds a database snapshot.
const exportPace = 30 * time.Second

func (h *Host) registerSync(e *echo.Echo) {
	e.GET("/xrpc/com.atproto.sync.subscribeRepos", h.call(1, h.subscribeRepos))
	h.get(e, "com.atproto.sync.getRepo", 5, h.getRepo)
	h.get(e, "com.atproto.sync.getRepoStatus", 1, h.getRepoStatus)
	h.get(e, "com.atproto.sync.getLatestCommit", 1, h.getLatestCommit)
	h.get(e, "com.atproto.sync.getHead", 1, h.getHead)
	h.get(e, "com.atproto.sync.getRecord", 1, h.syncGetRecord)
	h.get(e, "com.atproto.sync.getBlocks", 5, h.getBlocks)
	h.get(e, "com.atproto.sync.getBlob", 1, h.getBlob)
	h.get(e, "com.atproto.sync.listBlobs", 1, h.listBlobs)
	h.get(e, "com.atproto.sync.listRepos", 1, h.listRepos)
	h.get(e, "com.atproto.sync.listReposByCollection", 1, h.listReposByCollection)
}

func (h *Host) getRepo(c echo.Context) error {
	since := c.QueryParam("since")
	if since != "" {
		if _, err := syntax.ParseTID(since); err != nil {
			return invalid("since must be a valid tid")
		}
	}
	return h.view(c, "did", func(tx Tx, r *Repo) error {
		tag := `"` + r.Head + "-" + since + `"`
		c.Response().Header().Set("ETag", tag)
		c.Response().Header().Set("Cache-Control", "no-cache")
		if c.Request().Header.Get("If-None-Match") == tag {
			return c.NoContent(http.StatusNotModified)
		}
		if since != "" && since >= r.Rev {
			// Nothing is newer: the commit alone.
			return h.writeCAR(c, r, func(func(cid.Cid, []byte) error) error { return nil })
		}
		return h.writeCAR(c, r, func(put func(cid.Cid, []byte) error) error {
			if err := tx.RepoNodes(r.ID, since, put); err != nil {
				return err
			}
			return tx.RepoRecords(r.ID, since, func(rec StoredRecord) error { return put(rec.CID, rec.Data) })
		})
	})
}

// writeCAR streams a CAR with the commit and what fill puts. A record that stands at several paths is sent each time;
// readers know blocks by CID.
func (h *Host) writeCAR(c echo.Context, r *Repo, fill func(put func(cid.Cid, []byte) error) error) error {
	head, err := cid.Decode(r.Head)
	if err != nil {
		return err
	}
	res := c.Response()
	res.Header().Set(echo.HeaderContentType, carType)
	securityHeaders(res.Header())
	res.WriteHeader(http.StatusOK)
	if c.Request().Method == http.MethodHead {
		return nil
	}
	rc := http.NewResponseController(res.Writer)
	car := newCAR(res, head)
	n := 0
	put := func(id cid.Cid, data []byte) error {
		if n%256 == 0 {
			// Not every writer has deadlines; those that do not are tests'.
			if err := rc.SetWriteDeadline(time.Now().Add(exportPace)); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return err
			}
		}
		n++
		return car.put(id, data)
	}
	if err := put(head, r.Commit); err != nil {
		return err
	}
	return fill(put)
}

func (h *Host) getRepoStatus(c echo.Context) error {
	did, err := didParam(c, "did")
	if err != nil {
		return err
	}
	return h.o.Store.View(c.Request().Context(), func(tx Tx) error {
		r, err := tx.Repo(did)
		if errors.Is(err, ErrNoRepo) {
			return failure("RepoNotFound", "Could not find repo for DID: %s", did)
		}
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, statusOf(r))
	})
}

type repoStatus struct {
	DID    syntax.DID    `json:"did"`
	Head   string        `json:"head,omitempty"`
	Rev    string        `json:"rev,omitempty"`
	Active bool          `json:"active"`
	Status AccountStatus `json:"status,omitempty"`
}

func statusOf(r *Repo) repoStatus {
	if r.Status == StatusActive {
		return repoStatus{DID: r.DID, Rev: r.Rev, Active: true}
	}
	return repoStatus{DID: r.DID, Status: r.Status}
}

func (h *Host) getLatestCommit(c echo.Context) error {
	return h.view(c, "did", func(_ Tx, r *Repo) error {
		return c.JSON(http.StatusOK, map[string]string{"cid": r.Head, "rev": r.Rev})
	})
}

func (h *Host) getHead(c echo.Context) error {
	return h.view(c, "did", func(_ Tx, r *Repo) error {
		return c.JSON(http.StatusOK, map[string]string{"root": r.Head})
	})
}

// syncGetRecord proves that a record is there, or that it is not.
func (h *Host) syncGetRecord(c echo.Context) error {
	collection, err := collectionParam(c)
	if err != nil {
		return err
	}
	rkey, err := syntax.ParseRecordKey(c.QueryParam("rkey"))
	if err != nil {
		return invalid("rkey must be a valid record-key")
	}
	return h.view(c, "did", func(tx Tx, r *Repo) error {
		src := &blocksOf{tx: tx, repo: r.ID, have: map[cid.Cid][]byte{}}
		t, _, err := openData(r, src.load)
		if err != nil {
			return err
		}
		path := string(collection) + "/" + string(rkey)
		found, err := t.get(path)
		if err != nil {
			return err
		}
		var rec *StoredRecord
		if found.Defined() {
			if rec, err = tx.RepoRecord(r.ID, path); err != nil {
				return err
			}
		}
		return h.writeCAR(c, r, func(put func(cid.Cid, []byte) error) error {
			for id := range t.read {
				if err := put(id, src.have[id]); err != nil {
					return err
				}
			}
			if rec == nil {
				return nil
			}
			return put(rec.CID, rec.Data)
		})
	})
}

const maxGetBlocks = 500

func (h *Host) getBlocks(c echo.Context) error {
	want := map[cid.Cid][]byte{}
	for _, s := range c.QueryParams()["cids"] {
		id, err := cid.Decode(s)
		if err != nil {
			return invalid("cids must be valid cids")
		}
		want[id] = nil
	}
	if len(want) == 0 || len(want) > maxGetBlocks {
		return invalid("1 to %d cids", maxGetBlocks)
	}
	return h.view(c, "did", func(tx Tx, r *Repo) error {
		if err := findBlocks(tx, r, want); err != nil {
			return err
		}
		return h.writeCAR(c, r, func(put func(cid.Cid, []byte) error) error {
			for id, data := range want {
				if err := put(id, data); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// findBlocks looks at the commit, then the nodes, then, once, through the records, which have no index by CID: nobody
// asks for them so, and an index would cost every repo.
func findBlocks(tx Tx, r *Repo, want map[cid.Cid][]byte) error {
	missing := 0
	for id := range want {
		data, err := tx.RepoNode(r.ID, id)
		if id.String() == r.Head {
			data, err = r.Commit, nil
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if want[id] = data; data == nil {
			missing++
		}
	}
	if missing == 0 {
		return nil
	}
	err := tx.RepoRecords(r.ID, "", func(rec StoredRecord) error {
		if data, wanted := want[rec.CID]; wanted && data == nil {
			want[rec.CID] = rec.Data
			if missing--; missing == 0 {
				return io.EOF
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if missing > 0 {
		return failure("BlockNotFound", "Could not find %d of the cids", missing)
	}
	return nil
}

func (h *Host) listRepos(c echo.Context) error {
	limit, err := limitParam(c, 500, 1000)
	if err != nil {
		return err
	}
	after, err := idCursor(c)
	if err != nil {
		return err
	}
	out := struct {
		Cursor string       `json:"cursor,omitempty"`
		Repos  []repoStatus `json:"repos"`
	}{Repos: []repoStatus{}}
	return h.o.Store.View(c.Request().Context(), func(tx Tx) error {
		repos, err := tx.Repos(after, limit)
		if err != nil {
			return err
		}
		for _, r := range repos {
			if r.Status == StatusDeleted {
				continue
			}
			s := statusOf(r)
			s.Head, s.Rev = r.Head, r.Rev
			out.Repos = append(out.Repos, s)
		}
		if len(repos) == limit {
			out.Cursor = strconv.FormatInt(repos[limit-1].ID, 10)
		}
		return c.JSON(http.StatusOK, out)
	})
}

func (h *Host) listReposByCollection(c echo.Context) error {
	limit, err := limitParam(c, 500, 2000)
	if err != nil {
		return err
	}
	after, err := idCursor(c)
	if err != nil {
		return err
	}
	collection, err := collectionParam(c)
	if err != nil {
		return err
	}
	type entry struct {
		DID syntax.DID `json:"did"`
	}
	out := struct {
		Cursor string  `json:"cursor,omitempty"`
		Repos  []entry `json:"repos"`
	}{Repos: []entry{}}
	return h.o.Store.View(c.Request().Context(), func(tx Tx) error {
		repos, err := tx.ReposByCollection(collection, after, limit)
		if err != nil {
			return err
		}
		for _, r := range repos {
			out.Repos = append(out.Repos, entry{r.DID})
		}
		if len(repos) == limit {
			out.Cursor = strconv.FormatInt(repos[limit-1].ID, 10)
		}
		return c.JSON(http.StatusOK, out)
	})
}

func (h *Host) listBlobs(c echo.Context) error {
	limit, err := limitParam(c, 500, 1000)
	if err != nil {
		return err
	}
	since := c.QueryParam("since")
	if _, err := syntax.ParseTID(since); since != "" && err != nil {
		return invalid("since must be a valid tid")
	}
	return h.view(c, "did", func(tx Tx, r *Repo) error {
		cids, err := tx.BlobList(r.ID, since, c.QueryParam("cursor"), limit)
		if err != nil {
			return err
		}
		out := map[string]any{"cids": append([]string{}, cids...)}
		if len(cids) == limit {
			out["cursor"] = cids[limit-1]
		}
		return c.JSON(http.StatusOK, out)
	})
}

func (h *Host) getBlob(c echo.Context) error {
	id, err := cid.Decode(c.QueryParam("cid"))
	if err != nil {
		return invalid("cid must be a valid cid")
	}
	var b *Blob
	err = h.view(c, "did", func(tx Tx, r *Repo) (err error) {
		// A blob that no record refers to is nobody's to see: not yet, or no longer.
		referred, err := tx.BlobReferred(r.ID, id.String())
		if err != nil {
			return err
		}
		if b, err = tx.Blob(r.ID, id.String()); errors.Is(err, ErrNotFound) || err == nil && !referred {
			return failure("BlobNotFound", "Blob not found")
		}
		return err
	})
	if err != nil {
		return err
	}
	return h.serveBlob(c, b)
}

// checkedSize is up to where a blob is hashed before it is served; larger ones are video, asked for in ranges.
const checkedSize = 10_000_000

func (h *Host) serveBlob(c echo.Context, b *Blob) error {
	if h.o.Blobs == nil {
		return failure("BlobNotFound", "Blob not found")
	}
	f, err := h.o.Blobs.Open(c.Request().Context(), b.CID)
	if errors.Is(err, ErrNotFound) {
		return failure("BlobNotFound", "Blob not found")
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	if b.Size <= checkedSize {
		data, err := io.ReadAll(io.LimitReader(f, checkedSize+1))
		if err != nil {
			return err
		}
		if got, err := rawCID(data); err != nil || got.String() != b.CID {
			return errors.New("a blob on disk is damaged")
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	head := c.Response().Header()
	securityHeaders(head)
	head.Set(echo.HeaderContentType, b.MimeType)
	head.Set("Content-Disposition", `attachment; filename="`+b.CID+`"`)
	head.Set("ETag", `"`+b.CID+`"`)
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, f)
	return nil
}
