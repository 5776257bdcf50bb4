package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/atproto/pds"
)

// hostedRecord reads a record of a repo that we host, as JSON; nil if there is none.
func hostedRecord(tx Tx, uri string) (json.RawMessage, error) {
	at, err := syntax.ParseATURI(uri)
	if err != nil {
		return nil, nil //nolint:nilerr // tombstones have no at-uri
	}
	repo, err := tx.Repo(syntax.DID(at.Authority().String()))
	if errors.Is(err, pds.ErrNoRepo) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a hosted repo: %w", err)
	}
	rec, err := tx.RepoRecord(repo.ID, at.Collection().String()+"/"+at.RecordKey().String())
	if errors.Is(err, pds.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a hosted record: %w", err)
	}
	value, err := atdata.UnmarshalCBOR(rec.Data)
	if err != nil {
		return nil, fmt.Errorf("decoding a hosted record: %w", err)
	}
	return json.Marshal(value)
}

var errEnough = errors.New("enough")

// hostedPaths lists up to limit record paths of a repo that we host.
func hostedPaths(tx Tx, did syntax.DID, limit int) (paths []string, err error) {
	repo, err := tx.Repo(did)
	if errors.Is(err, pds.ErrNoRepo) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a hosted repo: %w", err)
	}
	err = tx.RepoRecords(repo.ID, "", func(r pds.StoredRecord) error {
		paths = append(paths, r.Path)
		if len(paths) == limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return paths, err
}

// collectionOf is the collection of an at-uri.
func collectionOf(uri string) string {
	parts := strings.SplitN(strings.TrimPrefix(uri, "at://"), "/", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}
