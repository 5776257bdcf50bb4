package pds

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// DiskBlobs keeps blobs as files named by their CID, in folders by the CID's last two letters.
type DiskBlobs struct {
	dir string
	now func() time.Time
}

// NewDiskBlobs makes the folder if need be. now may be nil.
func NewDiskBlobs(dir string, now func() time.Time) (*DiskBlobs, error) {
	if now == nil {
		now = time.Now
	}
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		return nil, fmt.Errorf("making the blob folder: %w", err)
	}
	return &DiskBlobs{dir: dir, now: now}, nil
}

func (d *DiskBlobs) path(c string) (string, error) {
	id, err := cid.Decode(c)
	if err != nil || id.String() != c || len(c) < 10 {
		return "", ErrNotFound
	}
	return filepath.Join(d.dir, c[len(c)-2:], c), nil
}

// Put implements BlobStore.
func (d *DiskBlobs) Put(_ context.Context, r io.Reader, max int64) (string, int64, error) {
	f, err := os.CreateTemp(filepath.Join(d.dir, "tmp"), "blob-")
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = os.Remove(f.Name()) }() // after the rename there is nothing left
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(r, max+1))
	if err == nil && size > max {
		err = ErrTooLarge
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", 0, err
	}
	mh, err := multihash.Encode(sum.Sum(nil), multihash.SHA2_256)
	if err != nil {
		return "", 0, err
	}
	c := cid.NewCidV1(cid.Raw, mh).String()
	return c, size, d.place(f.Name(), c)
}

func (d *DiskBlobs) place(tmp, c string) error {
	path, err := d.path(c)
	if err != nil {
		return err
	}
	if err := os.Chtimes(tmp, time.Time{}, d.now()); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Open implements BlobStore.
func (d *DiskBlobs) Open(_ context.Context, c string) (io.ReadSeekCloser, error) {
	path, err := d.path(c)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	return f, err
}

// Delete implements BlobStore.
func (d *DiskBlobs) Delete(_ context.Context, c string) error {
	path, err := d.path(c)
	if err != nil {
		return err
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return ErrNotFound
}

// Older implements BlobStore. It also removes what a crash left half written.
func (d *DiskBlobs) Older(ctx context.Context, before time.Time, limit int) ([]string, error) {
	var list []string
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(before) {
			return nil // gone meanwhile, or young
		}
		if strings.HasPrefix(e.Name(), "blob-") {
			return os.Remove(path)
		}
		if list = append(list, e.Name()); len(list) >= limit {
			return fs.SkipAll
		}
		return nil
	})
	return list, err
}
