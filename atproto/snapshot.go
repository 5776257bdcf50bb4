package atproto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/bluesky-social/indigo/atproto/repo"
	"github.com/bluesky-social/indigo/atproto/repo/mst"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
)

// Snapshot is a repo (or a part of one, if the PDS was asked for what is new) whose signature and tree are verified.
type Snapshot struct {
	DID  syntax.DID
	Rev  string
	Data string // CID of the MST root

	commit repo.Commit
	car    *CAR
	tree   *mst.Tree
}

// GetRepo fetches and verifies a repo. With since, a PDS leaves out what it had at that rev already; ErrForged then may
// mean only that nothing is new.
func (c *Client) GetRepo(ctx context.Context, did syntax.DID, since string) (*Snapshot, error) {
	base, err := c.pds(ctx, did)
	if err != nil {
		return nil, err
	}
	q := url.Values{"did": {string(did)}}
	if since != "" {
		q.Set("since", since)
	}
	body, _, err := c.query(ctx, base, "com.atproto.sync.getRepo", q, maxRepo)
	if err != nil {
		return nil, err
	}
	return c.verifySnapshot(ctx, did, body)
}

// verifySnapshot checks a CAR with a signed commit and a (partial) tree.
func (c *Client) verifySnapshot(ctx context.Context, did syntax.DID, body []byte) (s *Snapshot, err error) {
	defer forgedOnPanic(&err)
	s, err = parseSnapshot(ctx, did, body)
	if err != nil {
		return nil, err
	}
	if err := checkRev(s.Rev, c.now()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	if err := verifyWithFreshKey(ctx, c.resolver, &s.commit); err != nil {
		return nil, err
	}
	return s, nil
}

func parseSnapshot(ctx context.Context, did syntax.DID, body []byte) (*Snapshot, error) {
	car, err := ReadCAR(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	commit, err := parseCommit(car)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	if commit.DID != string(did) {
		return nil, fmt.Errorf("%w: the commit is of another repo", ErrForged)
	}
	tree, err := loadTree(ctx, car, commit.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	return &Snapshot{DID: did, Rev: commit.Rev, Data: commit.Data.String(), commit: *commit, car: car, tree: tree}, nil
}

// verifyWithFreshKey checks the signature with the key known, and once more with the key looked up anew, as a key may
// have been rotated without the news having come.
func verifyWithFreshKey(ctx context.Context, r *Resolver, commit *repo.Commit) error {
	did := syntax.DID(commit.DID)
	key, err := r.PublicKey(ctx, did)
	if err != nil {
		return fmt.Errorf("looking up a signing key: %w", err)
	}
	if commit.VerifySignature(key) == nil {
		return nil
	}
	if !r.mayRefresh(did) {
		return fmt.Errorf("%w: signature", ErrForged)
	}
	r.Purge(did)
	if key, err = r.PublicKey(ctx, did); err != nil {
		return fmt.Errorf("looking up a signing key: %w", err)
	}
	if err := commit.VerifySignature(key); err != nil {
		return fmt.Errorf("%w: signature: %w", ErrForged, err)
	}
	return nil
}

// Record returns a record of the snapshot: found false if the tree proves that there is none, an error if the part at
// hand does not tell.
func (s *Snapshot) Record(path string) (id string, value json.RawMessage, found bool, err error) {
	defer forgedOnPanic(&err)
	c, err := s.tree.Get([]byte(path))
	if err != nil {
		return "", nil, false, fmt.Errorf("looking up a path: %w", err)
	}
	if c == nil {
		return "", nil, false, nil
	}
	block := s.car.Block(*c)
	if block == nil {
		return c.String(), nil, true, nil
	}
	value, err = recordJSON(block)
	return c.String(), value, true, err
}

// Walk visits the entries at hand in order. A partial tree is walked as far as it goes.
func (s *Snapshot) Walk(f func(path string, id cid.Cid) error) error {
	return walkNode(s.tree.Root, f)
}

func walkNode(n *mst.Node, f func(string, cid.Cid) error) error {
	for _, e := range n.Entries {
		switch {
		case e.IsValue():
			if err := f(string(e.Key), *e.Value); err != nil {
				return err
			}
		case e.Child != nil:
			if err := walkNode(e.Child, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// evidence makes a CAR of the commit, the tree nodes that lead to the paths (or prove their absence), and the records.
func (s *Snapshot) evidence(paths []string) []byte {
	ids := []cid.Cid{s.car.Root}
	seen := map[cid.Cid]bool{s.car.Root: true}
	add := func(id *cid.Cid) {
		if id != nil && !seen[*id] {
			seen[*id] = true
			ids = append(ids, *id)
		}
	}
	for _, p := range paths {
		collectPath(s.tree.Root, p, add)
	}
	return WriteCAR(s.car.Root, ids, s.car.Block)
}

// collectPath adds the nodes from n down to where the key is or would be, and the record itself.
func collectPath(n *mst.Node, key string, add func(*cid.Cid)) {
	for n != nil {
		add(n.CID)
		var below *mst.Node
		for _, e := range n.Entries {
			if e.IsValue() {
				if string(e.Key) == key {
					add(e.Value)
					return
				}
				if string(e.Key) > key {
					break
				}
				below = nil
				continue
			}
			below = e.Child
		}
		n = below
	}
}

// GetRecordProof fetches a record with its proof (com.atproto.sync.getRecord) and verifies signature and tree. The error
// is ErrNotFound if the signed tree proves that there is no such record.
func (c *Client) GetRecordProof(ctx context.Context, uri syntax.ATURI) (rec *Record, evidence []byte, err error) {
	did, err := c.didOf(ctx, uri)
	if err != nil {
		return nil, nil, err
	}
	base, err := c.pds(ctx, did)
	if err != nil {
		return nil, nil, err
	}
	q := url.Values{"did": {string(did)}, "collection": {string(uri.Collection())}, "rkey": {string(uri.RecordKey())}}
	body, _, err := c.query(ctx, base, "com.atproto.sync.getRecord", q, maxCommitBytes)
	if err != nil {
		return nil, nil, err
	}
	s, err := c.verifySnapshot(ctx, did, body)
	if err != nil {
		return nil, nil, err
	}
	id, value, found, err := s.Record(string(uri.Collection()) + "/" + string(uri.RecordKey()))
	switch {
	case err != nil:
		return nil, nil, err
	case !found:
		return nil, body, fmt.Errorf("the repo proves it: %w", ErrNotFound)
	case value == nil:
		return nil, nil, fmt.Errorf("%w: %w", ErrForged, errors.New("the record is missing"))
	}
	return &Record{URI: recordURI(did, uri.Collection(), uri.RecordKey()), CID: id, Value: value}, body, nil
}
