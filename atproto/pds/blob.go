package pds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"footbridge/identity/consent"

	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
)

// BlobStore keeps bytes by the CID of their content.
type BlobStore interface {
	// Put keeps what r gives, at most max bytes, and returns its CID (raw, SHA-256). The bytes are durable then. Bytes that
	// are there already count as put now.
	Put(ctx context.Context, r io.Reader, max int64) (c string, size int64, err error)
	// Open returns ErrNotFound if there are no such bytes.
	Open(ctx context.Context, c string) (io.ReadSeekCloser, error)
	Delete(ctx context.Context, c string) error
	// Older lists CIDs that were put before a time.
	Older(ctx context.Context, before time.Time, limit int) ([]string, error)
}

// ErrTooLarge says that a blob exceeds its limit.
var ErrTooLarge = errors.New("too large")

// blobGrace is how long a blob may wait for the record that refers to it.
const blobGrace = time.Hour

// MaxBlob is the largest blob: the lexicon's limit for a video.
const MaxBlob = 300_000_000

// StageBlob keeps the bytes of a prepared blob outside of any transaction, since that is slow. PutBlob then gives them to
// a repo. What no repo takes within an hour is collected.
func (h *Host) StageBlob(ctx context.Context, b Blob) (Blob, error) {
	staged, err := h.StageBlobFrom(ctx, bytes.NewReader(b.Bytes), b.MimeType, MaxBlob)
	staged.Width, staged.Height = b.Width, b.Height
	return staged, err
}

// StageBlobFrom is StageBlob for a stream of at most max bytes.
func (h *Host) StageBlobFrom(ctx context.Context, r io.Reader, mime string, max int64) (Blob, error) {
	if h.o.Blobs == nil {
		return Blob{}, errors.New("this host keeps no blobs")
	}
	h.blobMu.RLock() // not between CollectBlobs' look and its deletion
	defer h.blobMu.RUnlock()
	c, size, err := h.o.Blobs.Put(ctx, r, max)
	if err != nil {
		return Blob{}, fmt.Errorf("keeping a blob: %w", err)
	}
	return Blob{CID: c, MimeType: mime, Size: size}, nil
}

// PutBlob gives a blob to a repo, so that records may refer to it. A blob that still has its bytes was not staged; they
// are kept now, which holds other writers up for as long as the disk takes.
func (h *Host) PutBlob(tx Tx, permit consent.Permit, did syntax.DID, b Blob) error {
	r, err := tx.Repo(did)
	if err != nil {
		return err
	}
	if err := h.allow(r, permit, consent.Publish, consent.Service); err != nil {
		return err
	}
	if b.Bytes != nil {
		if b, err = h.StageBlob(context.Background(), b); err != nil {
			return err
		}
	}
	return tx.BlobPut(r.ID, b)
}

// Ref is the value that a record holds to refer to the blob.
func (b Blob) Ref() (atdata.Blob, error) {
	c, err := cid.Decode(b.CID)
	if err != nil {
		return atdata.Blob{}, fmt.Errorf("reading a blob's CID: %w", err)
	}
	return atdata.Blob{Ref: atdata.CIDLink(c), MimeType: b.MimeType, Size: b.Size}, nil
}

// CollectBlobs deletes what no record refers to: rows first, then files that no repo has a row for. It returns how many
// files went. Call it every few minutes, and after an erasure.
func (h *Host) CollectBlobs(ctx context.Context) (int, error) {
	if h.o.Blobs == nil {
		return 0, nil
	}
	gone := 0
	for {
		var cids []string
		err := h.o.Store.Update(ctx, func(tx Tx) (err error) {
			cids, err = tx.BlobCollect(h.now().Add(-blobGrace), 500)
			return err
		})
		if err != nil {
			return gone, fmt.Errorf("collecting blobs: %w", err)
		}
		n, err := h.removeUnused(ctx, cids)
		if gone += n; err != nil || len(cids) < 500 {
			break
		}
	}
	old, err := h.o.Blobs.Older(ctx, h.now().Add(-blobGrace), 10_000)
	if err != nil {
		return gone, fmt.Errorf("listing blob files: %w", err)
	}
	n, err := h.removeUnused(ctx, old)
	return gone + n, err
}

func (h *Host) removeUnused(ctx context.Context, cids []string) (int, error) {
	gone := 0
	for _, c := range cids {
		ok, err := h.removeOne(ctx, c)
		if err != nil {
			return gone, err
		}
		if ok {
			gone++
		}
	}
	return gone, nil
}

func (h *Host) removeOne(ctx context.Context, c string) (bool, error) {
	h.blobMu.Lock()
	defer h.blobMu.Unlock()
	used := true
	err := h.o.Store.View(ctx, func(tx Tx) (err error) {
		used, err = tx.BlobInUse(c)
		return err
	})
	if err != nil || used {
		return false, err
	}
	if err := h.o.Blobs.Delete(ctx, c); err != nil && !errors.Is(err, ErrNotFound) {
		return false, fmt.Errorf("deleting a blob: %w", err)
	}
	return true, nil
}
