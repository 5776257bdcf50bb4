package pds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/repo"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"

	"footbridge/identity"

	lexutil "github.com/bluesky-social/indigo/lex/util"
)

// change is one op of a commit: both CIDs for an update, only prev for a delete, only next for a create.
type change struct {
	path       string
	prev, next cid.Cid
	data       []byte
	blobs      []string
}

func (c change) action() string {
	switch {
	case !c.next.Defined():
		return "delete"
	case !c.prev.Defined():
		return "create"
	}
	return "update"
}

// draft is a commit before it is stored.
type draft struct {
	rev     string
	root    cid.Cid
	head    Block
	created []Block
	gone    []cid.Cid
	msg     *comatproto.SyncSubscribeRepos_Commit
}

// errTooBig says that a commit must be split.
var errTooBig = errors.New("the commit exceeds the limits of the firehose")

// maxAhead is how far in the future a rev may be before relays drop it.
const maxAhead = 5 * time.Minute

// nextRev gives a TID above the last one. It is the clock's time, or, when the clock stands or went back, one
// microsecond more than before.
func nextRev(last string, now time.Time) (string, error) {
	micros := now.UnixMicro()
	if last != "" {
		before := syntax.TID(last).Time().UnixMicro()
		if micros <= before {
			micros = before + 1
		}
		if time.UnixMicro(micros).Sub(now) > maxAhead {
			return "", fmt.Errorf("the clock is more than %s behind the repo's last commit", maxAhead)
		}
	}
	return syntax.NewTID(micros, 0).String(), nil
}

// blocksOf reads nodes from the cache or through the transaction, each once.
type blocksOf struct {
	tx    Tx
	repo  int64
	have  map[cid.Cid][]byte
	cache *nodeCache // may be nil
}

func (b *blocksOf) load(c cid.Cid) ([]byte, error) {
	if data, ok := b.have[c]; ok {
		return data, nil
	}
	if b.cache != nil {
		if data := b.cache.get(c); data != nil {
			b.have[c] = data
			return data, nil
		}
	}
	data, err := b.tx.RepoNode(b.repo, c)
	if errors.Is(err, ErrNotFound) {
		return nil, errNoBlock
	}
	if err == nil {
		b.have[c] = data
		if b.cache != nil {
			b.cache.put(c, data)
		}
	}
	return data, err
}

// prepare applies the changes to the tree and assembles a signed commit and its event.
func (h *Host) prepare(tx Tx, r *Repo, key *identity.SigningKey, changes []change) (*draft, error) {
	if len(changes) > maxOps {
		return nil, errTooBig
	}
	src := &blocksOf{tx: tx, repo: r.ID, have: map[cid.Cid][]byte{}, cache: h.nodes}
	t, prevData, err := openData(r, src.load)
	if err != nil {
		return nil, fmt.Errorf("reading the tree: %w", err)
	}
	if err := applyTo(t, changes); err != nil {
		return nil, fmt.Errorf("changing the tree: %w", err)
	}
	d := &draft{}
	if d.root, d.created, d.gone, err = t.flush(); err != nil {
		return nil, fmt.Errorf("encoding the tree: %w", err)
	}
	for _, b := range d.created {
		src.have[b.CID] = b.Data
		h.nodes.put(b.CID, b.Data)
	}
	h.nodes.drop(d.gone)
	proof, err := prove(t, changes, src)
	if err != nil {
		return nil, fmt.Errorf("proving the commit: %w", err)
	}
	if d.rev, err = nextRev(r.Rev, h.now()); err != nil {
		return nil, err
	}
	if d.head, err = signCommit(r.DID, d.root, d.rev, key); err != nil {
		return nil, err
	}
	return d, h.assemble(d, r, prevData, changes, proof)
}

// openData opens the current tree; a repo without a commit has an empty one.
func openData(r *Repo, load func(cid.Cid) ([]byte, error)) (*tree, cid.Cid, error) {
	if r.Data == "" {
		_, empty, err := emptyNode(0).encode()
		return newTree(), empty, err
	}
	root, err := cid.Decode(r.Data)
	if err != nil {
		return nil, cid.Undef, err
	}
	t, err := openTree(root, load)
	return t, root, err
}

func applyTo(t *tree, changes []change) error {
	for _, c := range changes {
		var prev cid.Cid
		var err error
		if c.next.Defined() {
			prev, err = t.put(c.path, c.next)
		} else {
			prev, err = t.remove(c.path)
		}
		if err != nil {
			return err
		}
		if prev != c.prev {
			return fmt.Errorf("%w: records and tree differ", errTree)
		}
	}
	return nil
}

// prove returns the nodes of the changed and flushed tree that a verifier needs to undo the changes (Sync 1.1, "Commit
// Validation: MST Operation Inversion"): the way to each key, and, where a key came or went, the edges of the subtrees
// beside it.
func prove(t *tree, changes []change, src *blocksOf) ([]Block, error) {
	seen := map[cid.Cid]bool{t.root.cid: true}
	for _, c := range changes {
		if err := t.cover(c.path, c.action() != "update", seen); err != nil {
			return nil, err
		}
	}
	proof := make([]Block, 0, len(seen))
	for c := range seen {
		data, err := src.load(c)
		if err != nil {
			return nil, err
		}
		proof = append(proof, Block{c, data})
	}
	sort.Slice(proof, func(i, j int) bool { return proof[i].CID.KeyString() < proof[j].CID.KeyString() })
	return proof, nil
}

func signCommit(did syntax.DID, root cid.Cid, rev string, key *identity.SigningKey) (Block, error) {
	c := repo.Commit{DID: did.String(), Version: repo.ATPROTO_REPO_VERSION, Data: root, Rev: rev}
	if err := c.Sign(key); err != nil {
		return Block{}, fmt.Errorf("signing a commit: %w", err)
	}
	var b bytes.Buffer
	if err := c.MarshalCBOR(&b); err != nil {
		return Block{}, fmt.Errorf("encoding a commit: %w", err)
	}
	id, err := dagCID(b.Bytes())
	return Block{id, b.Bytes()}, err
}

// assemble makes the event: the commit, the new nodes and those of the proof, and the new records, each block once.
func (h *Host) assemble(d *draft, r *Repo, prevData cid.Cid, changes []change, proof []Block) error {
	blocks, seen := []Block{d.head}, map[cid.Cid]bool{d.head.CID: true}
	add := func(b Block) {
		if !seen[b.CID] {
			seen[b.CID] = true
			blocks = append(blocks, b)
		}
	}
	for _, b := range slices.Concat(d.created, proof) {
		add(b)
	}
	d.msg = &comatproto.SyncSubscribeRepos_Commit{Repo: r.DID.String(), Rev: d.rev, Commit: lexutil.LexLink(d.head.CID), Time: stamp(h.now()),
		Blobs: []lexutil.LexLink{}, Ops: []*comatproto.SyncSubscribeRepos_RepoOp{}}
	for _, c := range changes {
		d.msg.Ops = append(d.msg.Ops, &comatproto.SyncSubscribeRepos_RepoOp{Action: c.action(), Path: c.path, Cid: lexLink(c.next), Prev: lexLink(c.prev)})
		if c.next.Defined() {
			add(Block{c.next, c.data})
		}
	}
	if r.Head != "" {
		since := r.Rev // a copy: the row changes before the event is written
		d.msg.Since, d.msg.PrevData = &since, lexLink(prevData)
	}
	d.msg.Blocks = carBytes(d.head.CID, blocks...)
	if len(d.msg.Blocks) > maxBlocks {
		return errTooBig
	}
	return nil
}

// verify is the strict check that every commit passes before its event is stored: relays only warn about most of this,
// and consumers would be out of step for ever.
// r is the row as it was before the commit, msg is what consumers will decode.
func verify(d *draft, r *Repo, key *identity.SigningKey, msg *comatproto.SyncSubscribeRepos_Commit) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the verifier panicked: %v", p)
		}
	}()
	pub, err := key.PublicKey()
	if err != nil {
		return err
	}
	var c repo.Commit
	if err := c.UnmarshalCBOR(bytes.NewReader(d.head.Data)); err != nil {
		return err
	}
	if err := c.VerifySignature(pub); err != nil {
		return err
	}
	if id, err := dagCID(d.head.Data); err != nil || id != d.head.CID || c.Data != d.root || c.DID != r.DID.String() || c.Rev != d.rev {
		return errors.New("the commit block is not the one announced")
	}
	if d.rev <= r.Rev || msg.Rev != d.rev || msg.Commit.String() != d.head.CID.String() || (r.Head == "") != (msg.Since == nil) || (msg.Since == nil) != (msg.PrevData == nil) {
		return errors.New("rev, since and prevData do not follow the last commit")
	}
	return verifyOps(d, r, *msg)
}

func verifyOps(d *draft, r *Repo, msg comatproto.SyncSubscribeRepos_Commit) error {
	for _, op := range msg.Ops {
		if (op.Action == "create") == (op.Prev != nil) || (op.Action == "delete") == (op.Cid != nil) {
			return fmt.Errorf("a malformed %s", op.Action)
		}
	}
	// Without prevData the library would only warn, so a first commit is checked against the empty tree.
	if msg.PrevData == nil {
		_, empty, err := emptyNode(0).encode()
		if err != nil {
			return err
		}
		msg.PrevData = lexLink(empty)
	} else if msg.PrevData.String() != r.Data || *msg.Since != r.Rev {
		return errors.New("since or prevData is not the last commit's")
	}
	checked, err := repo.VerifyCommitMessage(context.Background(), &msg)
	if err != nil {
		return err
	}
	if root, err := checked.MST.RootCID(); err != nil || *root != d.root {
		return errors.New("the tree in the event is not the one announced")
	}
	return nil
}

// store writes the commit. With emit it also appends the event, whose bytes are decoded again and verified.
func (h *Host) store(tx Tx, r *Repo, key *identity.SigningKey, d *draft, changes []change, emit bool) (seq int64, err error) {
	before := *r
	if err := storeBlocks(tx, r, d); err != nil {
		return 0, err
	}
	for _, c := range changes {
		if err := storeRecord(tx, r, c, d.rev); err != nil {
			return 0, err
		}
	}
	r.Head, r.Data, r.Rev, r.Commit = d.head.CID.String(), d.root.String(), d.rev, d.head.Data
	if err := tx.RepoPut(r, before.Head); err != nil {
		return 0, err
	}
	if !emit {
		return 0, verify(d, &before, key, d.msg)
	}
	return tx.EventAppend(r.ID, kindCommit, func(seq int64) ([]byte, error) {
		d.msg.Seq = seq
		bytes, err := frame(kindCommit, d.msg)
		if err != nil {
			return nil, err
		}
		msg, err := decodeCommit(bytes)
		if err == nil {
			err = verify(d, &before, key, msg)
		}
		if err != nil {
			return nil, fmt.Errorf("verifying our own commit: %w", err)
		}
		return bytes, nil
	})
}

func decodeCommit(b []byte) (*comatproto.SyncSubscribeRepos_Commit, error) {
	msg := &comatproto.SyncSubscribeRepos_Commit{}
	return msg, msg.UnmarshalCBOR(bytes.NewReader(b[headerLen(kindCommit):]))
}

func storeBlocks(tx Tx, r *Repo, d *draft) error {
	if err := tx.RepoPutNodes(r.ID, d.created, d.rev); err != nil {
		return err
	}
	return tx.RepoDeleteNodes(r.ID, d.gone)
}

func storeRecord(tx Tx, r *Repo, c change, rev string) error {
	switch c.action() {
	case "delete":
		r.Records--
		if err := tx.RepoDeleteRecord(r.ID, c.path); err != nil {
			return fmt.Errorf("deleting a record: %w", err)
		}
	default:
		if !c.prev.Defined() {
			r.Records++
		}
		if err := tx.RepoPutRecord(r.ID, StoredRecord{Path: c.path, CID: c.next, Data: c.data, Rev: rev}, !c.prev.Defined()); err != nil {
			return err
		}
	}
	if len(c.blobs) == 0 && !mayHaveBlobs(c) {
		return nil
	}
	return tx.BlobSetRefs(r.ID, c.path, c.blobs)
}

// mayHaveBlobs saves statements for records that never refer to blobs.
func mayHaveBlobs(c change) bool {
	if !c.prev.Defined() {
		return false
	}
	for _, never := range []string{"app.bsky.feed.like/", "app.bsky.feed.repost/", "app.bsky.graph.follow/", "app.bsky.graph.block/"} {
		if strings.HasPrefix(c.path, never) {
			return false
		}
	}
	return true
}
