package pds

import (
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

func commonPrefix(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}
