package atprototest

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"footbridge/atproto"
	"slices"
	"sort"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/repo"
	"github.com/bluesky-social/indigo/atproto/repo/mst"
	"github.com/bluesky-social/indigo/atproto/syntax"
	lexutil "github.com/bluesky-social/indigo/lex/util"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	blockstore "github.com/ipfs/go-ipfs-blockstore"
	"github.com/multiformats/go-multihash"
)

// Account is a person on a fake PDS.
type Account struct {
	DID, Handle, Password string

	pds      *PDS
	key      atcrypto.PrivateKeyExportable
	rotation atcrypto.PrivateKeyExportable

	tree    mst.Tree
	clock   *syntax.TIDClock
	tids    *syntax.TIDClock
	commit  repo.Commit
	head    cid.Cid
	blocks  map[cid.Cid]stored // records, nodes and commits
	records map[string]cid.Cid
	blobs   map[string]blob
	active  bool
	status  string

	labelKey atcrypto.PrivateKeyExportable // of a labeler
}

type stored struct {
	data []byte
	rev  string
}

type blob struct {
	data []byte
	mime string
}

// write is one operation; a nil record deletes.
type write struct {
	path   string
	record map[string]any
}

// collector takes what the MST code writes.
type collector struct {
	blockstore.Blockstore
	ids  []cid.Cid
	data map[cid.Cid][]byte
}

func (c *collector) Put(_ context.Context, b blocks.Block) error {
	if _, ok := c.data[b.Cid()]; !ok {
		c.ids = append(c.ids, b.Cid())
	}
	c.data[b.Cid()] = b.RawData()
	return nil
}

func (c *collector) add(data []byte) cid.Cid {
	id, err := cid.NewPrefixV1(cid.DagCBOR, multihash.SHA2_256).Sum(data)
	if err != nil {
		panic(err) // SHA-256 is always there
	}
	_ = c.Put(context.Background(), mustBlock(data, id))
	return id
}

func mustBlock(data []byte, id cid.Cid) blocks.Block {
	b, err := blocks.NewBlockWithCid(data, id)
	if err != nil {
		panic(err) // only checks when debugging
	}
	return b
}

// apply makes one signed commit of the writes and returns its message, without seq. The caller holds the PDS's lock.
func (a *Account) apply(writes []write) (*comatproto.SyncSubscribeRepos_Commit, error) {
	col := &collector{data: map[cid.Cid][]byte{}}
	// Puts come first and an emptied tree is renewed: an emptied tree of indigo keeps its old height.
	sort.SliceStable(writes, func(i, j int) bool { return writes[i].record != nil && writes[j].record == nil })
	tree := a.tree.Copy()
	var ops []*comatproto.SyncSubscribeRepos_RepoOp
	for _, w := range writes {
		op, err := a.applyOne(&tree, col, w)
		if err != nil {
			return nil, err
		}
		if op != nil {
			ops = append(ops, op)
		}
	}
	if tree.IsEmpty() {
		tree = mst.NewEmptyTree()
	}
	root, err := tree.WriteDiffBlocks(context.Background(), col)
	if err != nil {
		return nil, fmt.Errorf("writing the tree: %w", err)
	}
	if _, ok := col.data[*root]; !ok {
		_ = col.Put(context.Background(), mustBlock(a.blocks[*root].data, *root))
	}
	return a.sign(tree, *root, col, ops)
}

func (a *Account) applyOne(tree *mst.Tree, col *collector, w write) (*comatproto.SyncSubscribeRepos_RepoOp, error) {
	op := &comatproto.SyncSubscribeRepos_RepoOp{Path: w.path, Action: "delete"}
	if was, ok := a.records[w.path]; ok {
		op.Prev = (*lexutil.LexLink)(&was)
	}
	if w.record == nil {
		if op.Prev == nil {
			return nil, nil
		}
		_, err := tree.Remove([]byte(w.path))
		return op, err
	}
	raw, err := atdata.MarshalCBOR(w.record)
	if err == nil {
		_, err = atdata.UnmarshalCBOR(raw)
	}
	if err != nil {
		return nil, badRequest("record: %v", err)
	}
	id := col.add(raw)
	op.Action, op.Cid = "create", (*lexutil.LexLink)(&id)
	if op.Prev != nil {
		op.Action = "update"
		if cid.Cid(*op.Prev) == id {
			return nil, nil
		}
	}
	_, err = tree.Insert([]byte(w.path), id)
	return op, err
}

func (a *Account) sign(tree mst.Tree, root cid.Cid, col *collector, ops []*comatproto.SyncSubscribeRepos_RepoOp) (*comatproto.SyncSubscribeRepos_Commit, error) {
	c := repo.Commit{DID: a.DID, Version: repo.ATPROTO_REPO_VERSION, Data: root, Rev: a.clock.Next().String()}
	if err := c.Sign(a.key); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	var buf bytes.Buffer
	if err := c.MarshalCBOR(&buf); err != nil {
		return nil, err
	}
	ids := slices.Clone(col.ids)
	id := col.add(buf.Bytes())
	msg := &comatproto.SyncSubscribeRepos_Commit{
		Repo: a.DID, Rev: c.Rev, Commit: lexutil.LexLink(id), Ops: ops, Blobs: []lexutil.LexLink{}, Time: now8601(a.pds.now()),
		Blocks: atproto.WriteCAR(id, append([]cid.Cid{id}, ids...), func(k cid.Cid) []byte { return col.data[k] }),
	}
	if msg.Ops == nil {
		msg.Ops = []*comatproto.SyncSubscribeRepos_RepoOp{}
	}
	if a.commit.Rev != "" {
		since, prev := a.commit.Rev, lexutil.LexLink(a.commit.Data)
		msg.Since, msg.PrevData = &since, &prev
	}
	a.keep(tree, c, id, col, ops)
	return msg, nil
}

// keep makes the commit the head of the repo.
func (a *Account) keep(tree mst.Tree, c repo.Commit, id cid.Cid, col *collector, ops []*comatproto.SyncSubscribeRepos_RepoOp) {
	a.tree, a.commit, a.head = tree, c, id
	for k, data := range col.data {
		a.blocks[k] = stored{data, c.Rev}
	}
	for _, op := range ops {
		if op.Cid == nil {
			delete(a.records, op.Path)
		} else {
			a.records[op.Path] = cid.Cid(*op.Cid)
		}
	}
}

func now8601(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// car exports the repo: everything, or what came after since.
func (a *Account) car(since string) []byte {
	ids := []cid.Cid{a.head}
	a.walk(a.tree.Root, func(id cid.Cid) {
		if b, ok := a.blocks[id]; ok && b.rev > since {
			ids = append(ids, id)
		}
	})
	return a.write(ids)
}

// walk visits the nodes and records that the tree holds now.
func (a *Account) walk(n *mst.Node, f func(cid.Cid)) {
	f(*n.CID)
	for _, e := range n.Entries {
		if e.IsValue() {
			f(*e.Value)
		} else if e.Child != nil {
			a.walk(e.Child, f)
		}
	}
}

func (a *Account) write(ids []cid.Cid) []byte {
	return atproto.WriteCAR(a.head, ids, func(k cid.Cid) []byte { return a.blocks[k].data })
}

// proof exports the commit, the nodes that lead to a path, and the record if there is one.
func (a *Account) proof(path string) []byte {
	ids := []cid.Cid{a.head}
	for n := a.tree.Root; n != nil; {
		ids = append(ids, *n.CID)
		var next *mst.Node
		for _, e := range n.Entries {
			if e.IsValue() {
				if string(e.Key) == path {
					return a.write(append(ids, *e.Value))
				}
				if string(e.Key) > path {
					break
				}
				next = nil
				continue
			}
			next = e.Child
		}
		n = next
	}
	return a.write(ids)
}

// plcOp builds and signs an operation that says what the account says of itself.
func (a *Account) plcOp(prev any) (map[string]any, error) {
	signing, err := a.key.PublicKey()
	if err != nil {
		return nil, err
	}
	rotation, err := a.rotation.PublicKey()
	if err != nil {
		return nil, err
	}
	op := map[string]any{
		"type": "plc_operation", "prev": prev,
		"rotationKeys":        []any{rotation.DIDKey()},
		"verificationMethods": map[string]any{"atproto": signing.DIDKey()},
		"alsoKnownAs":         []any{"at://" + a.Handle},
		"services":            map[string]any{"atproto_pds": map[string]any{"type": "AtprotoPersonalDataServer", "endpoint": a.pds.public()}},
	}
	if a.labelKey != nil {
		pub, err := a.labelKey.PublicKey()
		if err != nil {
			return nil, err
		}
		op["verificationMethods"].(map[string]any)["atproto_label"] = pub.DIDKey()
		op["services"].(map[string]any)["atproto_labeler"] = map[string]any{"type": "AtprotoLabeler", "endpoint": a.pds.public()}
	}
	return op, signPLC(op, a.rotation)
}

func signPLC(op map[string]any, key atcrypto.PrivateKey) error {
	raw, err := atdata.MarshalCBOR(op)
	if err != nil {
		return err
	}
	sig, err := key.HashAndSign(raw)
	if err != nil {
		return err
	}
	op["sig"] = base64.RawURLEncoding.EncodeToString(sig)
	return nil
}
