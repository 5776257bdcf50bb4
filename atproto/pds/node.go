package pds

import (
	"bytes"
	"errors"
	"fmt"
	"sort"

	"github.com/bluesky-social/indigo/atproto/repo/mst"
	"github.com/ipfs/go-cid"
)

// errTree says that stored or received blocks are no Merkle search tree.
var errTree = errors.New("not a valid MST")

// link points to a subtree: nothing, a node by its CID, or a node in memory.
type link struct {
	cid  cid.Cid
	node *node
}

func (l link) isNil() bool { return l.node == nil && !l.cid.Defined() }

// node is one block of the MST in memory. kids has one more element than keys: kids[i] stands left of keys[i].
type node struct {
	// cid is defined as long as the node is as it was loaded or last encoded.
	cid    cid.Cid
	height int
	keys   []string
	vals   []cid.Cid
	kids   []link
}

func (n *node) isEmpty() bool { return len(n.keys) == 0 && n.kids[0].isNil() }

// search gives the index of the first key that is not below key, and whether it is the key.
func (n *node) search(key string) (int, bool) {
	i := sort.SearchStrings(n.keys, key)
	return i, i < len(n.keys) && n.keys[i] == key
}

// decodeNode reads a block. height is that of the place it is linked from, or -1 for a root. Prefix lengths and order
// are checked here, because indigo's own reading panics on the first and ignores the second.
func decodeNode(block []byte, c cid.Cid, height int) (*node, error) {
	data, err := mst.NodeDataFromCBOR(bytes.NewReader(block))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errTree, err)
	}
	n := &node{cid: c, height: height, keys: make([]string, 0, len(data.Entries)), vals: make([]cid.Cid, 0, len(data.Entries)),
		kids: make([]link, 1, len(data.Entries)+1)}
	n.kids[0] = linkTo(data.Left)
	last := ""
	for _, e := range data.Entries {
		if e.PrefixLen < 0 || int(e.PrefixLen) > len(last) {
			return nil, fmt.Errorf("%w: prefix length %d after a key of %d bytes", errTree, e.PrefixLen, len(last))
		}
		key := last[:e.PrefixLen] + string(e.KeySuffix)
		if key <= last || !mst.IsValidKey([]byte(key)) {
			return nil, fmt.Errorf("%w: keys out of order", errTree)
		}
		n.keys, n.vals, n.kids = append(n.keys, key), append(n.vals, e.Value), append(n.kids, linkTo(e.Right))
		last = key
	}
	return n, n.setHeight()
}

func (n *node) setHeight() error {
	if n.height < 0 {
		n.height = 0
		if len(n.keys) > 0 {
			n.height = mst.HeightForKey([]byte(n.keys[0]))
		}
	}
	if n.height == 0 {
		for _, k := range n.kids {
			if !k.isNil() {
				return fmt.Errorf("%w: a subtree below the bottom", errTree)
			}
		}
	}
	return nil
}

func linkTo(c *cid.Cid) link {
	if c == nil {
		return link{}
	}
	return link{cid: *c}
}

// encode gives the block of a node whose kids all have a CID, and its CID.
func (n *node) encode() ([]byte, cid.Cid, error) {
	data := mst.NodeData{Entries: make([]mst.EntryData, len(n.keys))}
	data.Left = cidOf(n.kids[0])
	last := ""
	for i, key := range n.keys {
		p := commonPrefix(last, key)
		data.Entries[i] = mst.EntryData{PrefixLen: int64(p), KeySuffix: []byte(key[p:]), Value: n.vals[i], Right: cidOf(n.kids[i+1])}
		last = key
	}
	block, c, err := data.Bytes()
	if err != nil {
		return nil, cid.Undef, fmt.Errorf("encoding an MST node: %w", err)
	}
	return block, *c, nil
}

func cidOf(l link) *cid.Cid {
	if l.isNil() {
		return nil
	}
	c := l.cid
	return &c
}

func commonPrefix(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}
