package bridge

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"footbridge/atproto/pds"
	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/identity/consent"
)

// blobSet holds prepared media by CID until the commit that refers to it.
type blobSet map[string]pds.Blob

// Limits of what is fetched, in bytes; the lexicons' own limits are applied when it is prepared.
const (
	maxMediaFetch = 40 << 20
	// MaxVideoFetch is app.bsky.embed.video's limit of a video.
	MaxVideoFetch = 100_000_000
)

// resolveMedia fetches and prepares the files of a post. A file that cannot be had is left out; the conversion names the
// loss, and the post is not held up for it.
func (b *Bridge) resolveMedia(ctx context.Context, refs translate.Refs, c *translate.Context) blobSet {
	blobs := blobSet{}
	for _, ref := range refs.Media {
		b.addMedia(ctx, ref, c, blobs)
	}
	for _, link := range refs.Links {
		b.addPreview(ctx, link, c, blobs)
		if len(c.Previews) > 0 {
			break // one card is shown
		}
	}
	return blobs
}

func (b *Bridge) addMedia(ctx context.Context, ref translate.MediaRef, c *translate.Context, blobs blobSet) {
	if _, done := c.Blobs[ref.URL]; done {
		return
	}
	raw, err := b.fetchMedia(ctx, ref)
	if err != nil {
		b.Log.LogAttrs(ctx, slog.LevelDebug, "media not fetched", slog.Any("error", err))
		return
	}
	prepared, err := pds.PrepareMedia(raw, ref.Kind)
	if err != nil {
		b.Log.LogAttrs(ctx, slog.LevelDebug, "media not usable", slog.Any("error", err))
		return
	}
	staged, err := b.Host.StageBlob(ctx, prepared)
	if err != nil {
		b.Log.LogAttrs(ctx, slog.LevelWarn, "media not kept", slog.Any("error", err))
		return
	}
	blobs[staged.CID] = staged
	c.Blobs[ref.URL] = translate.Blob{CID: staged.CID, MimeType: staged.MimeType, Size: staged.Size, Width: staged.Width, Height: staged.Height}
}

func (b *Bridge) fetchMedia(ctx context.Context, ref translate.MediaRef) ([]byte, error) {
	limit := int64(maxMediaFetch)
	if ref.Kind == "video" {
		limit = MaxVideoFetch
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ref.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for a file: %w", err)
	}
	resp, err := b.Media.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetching a file: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching a file: status %d", resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil || int64(len(raw)) > limit {
		return nil, fmt.Errorf("a file of over %d bytes: %w", limit, err)
	}
	return raw, nil
}

// storeBlobs keeps, in the commit's transaction, the media that the records refer to.
func (b *Bridge) storeBlobs(ctx context.Context, tx Tx, permit consent.Permit, acc *identity.Account, writes []translate.Write, blobs blobSet) error {
	for _, w := range writes {
		for _, cid := range blobCIDs(w.Record) {
			p, have := blobs[cid]
			if !have {
				continue // kept already, from an earlier write
			}
			if err := b.Host.PutBlob(tx, permit, acc.DID, p); err != nil {
				return fmt.Errorf("keeping media: %w", err)
			}
		}
	}
	return nil
}

// blobCIDs finds the blobs that a record refers to (the data model's $type "blob").
func blobCIDs(v any) []string {
	var out []string
	switch t := v.(type) {
	case map[string]any:
		if ref, ok := t["ref"].(map[string]any); ok && t["$type"] == "blob" {
			return []string{str(ref["$link"])}
		}
		for _, inner := range t {
			out = append(out, blobCIDs(inner)...)
		}
	case []any:
		for _, inner := range t {
			out = append(out, blobCIDs(inner)...)
		}
	}
	return out
}
