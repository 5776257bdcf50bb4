package pds

import (
	"errors"
	"fmt"
	"slices"

	"github.com/bluesky-social/indigo/atproto/repo/mst"
	"github.com/ipfs/go-cid"
)

// errNoBlock says that a node of the tree is not to be had.
var errNoBlock = errors.New("MST node missing")

// tree is a Merkle search tree that reads only the nodes it needs, so that a change costs O(log n) whatever the repo's
// size. It is ours and not indigo's mst.Tree for three reasons: that one must be fed the right nodes beforehand and
// stays silent if it was not; it keeps dirty flags that decide what is emitted; and so every commit made here is checked
// by an implementation that shares no code with it. After an error a tree must be thrown away.
type tree struct {
	root link
	// load reads a block by CID; it returns errNoBlock if there is none.
	load func(cid.Cid) ([]byte, error)
	// read are the nodes that were loaded so far.
	read map[cid.Cid]bool
	// top is the height of the root.
	top int
}

func openTree(root cid.Cid, load func(cid.Cid) ([]byte, error)) (*tree, error) {
	t := &tree{root: link{cid: root}, load: load, read: map[cid.Cid]bool{}, top: -1}
	n, err := t.node(&t.root, -1)
	if err != nil {
		return nil, err
	}
	t.top = n.height
	return t, nil
}

// newTree is empty.
func newTree() *tree {
	return &tree{root: link{node: emptyNode(0)}, read: map[cid.Cid]bool{}, load: func(cid.Cid) ([]byte, error) { return nil, errNoBlock }}
}

func emptyNode(height int) *node { return &node{height: height, kids: make([]link, 1)} }

// node brings the node that the link points to into memory.
func (t *tree) node(l *link, height int) (*node, error) {
	if l.node != nil {
		return l.node, nil
	}
	block, err := t.load(l.cid)
	if err != nil {
		return nil, err
	}
	n, err := decodeNode(block, l.cid, height)
	if err != nil {
		return nil, err
	}
	t.read[l.cid] = true
	l.node = n
	return n, nil
}

// get returns the value of key, or an undefined CID.
func (t *tree) get(key string) (cid.Cid, error) {
	h := mst.HeightForKey([]byte(key))
	for l, height := &t.root, t.top; !l.isNil() && height >= h; height-- {
		n, err := t.node(l, height)
		if err != nil {
			return cid.Undef, err
		}
		i, found := n.search(key)
		if found {
			return n.vals[i], nil
		}
		l = &n.kids[i]
	}
	return cid.Undef, nil
}

// cover notes the nodes on the way to key, or to where it would be, and with edges also those that touch it on both sides.
// The tree must be flushed.
func (t *tree) cover(key string, edges bool, seen map[cid.Cid]bool) error {
	l, height := &t.root, t.top
	for ; !l.isNil(); height-- {
		n, err := t.node(l, height)
		if err != nil {
			return err
		}
		seen[n.cid] = true
		i, found := n.search(key)
		if found {
			if !edges {
				return nil
			}
			if err := t.edge(&n.kids[i], height-1, true, seen); err != nil {
				return err
			}
			return t.edge(&n.kids[i+1], height-1, false, seen)
		}
		l = &n.kids[i]
	}
	return nil
}

// edge notes the right or left edge of a subtree.
func (t *tree) edge(l *link, height int, right bool, seen map[cid.Cid]bool) error {
	for ; !l.isNil(); height-- {
		n, err := t.node(l, height)
		if err != nil {
			return err
		}
		seen[n.cid] = true
		l = &n.kids[0]
		if right {
			l = &n.kids[len(n.keys)]
		}
	}
	return nil
}

// put sets key and returns the value that it had.
func (t *tree) put(key string, val cid.Cid) (cid.Cid, error) {
	if !mst.IsValidKey([]byte(key)) {
		return cid.Undef, fmt.Errorf("%w: a key of %d bytes", errTree, len(key))
	}
	h := mst.HeightForKey([]byte(key))
	root, err := t.node(&t.root, t.top)
	if err != nil {
		return cid.Undef, err
	}
	switch {
	case root.isEmpty():
		t.root, t.top = link{node: &node{height: h, keys: []string{key}, vals: []cid.Cid{val}, kids: make([]link, 2)}}, h
		return cid.Undef, nil
	case h > t.top:
		l, r, err := t.split(t.root, key, t.top)
		if err != nil {
			return cid.Undef, err
		}
		kids := []link{lift(l, t.top, h-1), lift(r, t.top, h-1)}
		t.root, t.top = link{node: &node{height: h, keys: []string{key}, vals: []cid.Cid{val}, kids: kids}}, h
		return cid.Undef, nil
	}
	return t.putBelow(&t.root, key, val, h, t.top)
}

// lift puts nodes without keys above a subtree until it stands at the height.
func lift(l link, from, to int) link {
	for h := from + 1; h <= to && !l.isNil(); h++ {
		l = link{node: &node{height: h, kids: []link{l}}}
	}
	return l
}

func (t *tree) putBelow(l *link, key string, val cid.Cid, h, height int) (cid.Cid, error) {
	if l.isNil() {
		*l = lift(link{node: &node{height: h, keys: []string{key}, vals: []cid.Cid{val}, kids: make([]link, 2)}}, h, height)
		return cid.Undef, nil
	}
	n, err := t.node(l, height)
	if err != nil {
		return cid.Undef, err
	}
	i, found := n.search(key)
	if found {
		prev := n.vals[i]
		if prev != val {
			n.vals[i] = val
			l.touch()
		}
		return prev, nil
	}
	if height > h {
		prev, err := t.putBelow(&n.kids[i], key, val, h, height-1)
		if err == nil && prev != val {
			l.touch()
		}
		return prev, err
	}
	left, right, err := t.split(n.kids[i], key, height-1)
	if err != nil {
		return cid.Undef, err
	}
	n.keys, n.vals = slices.Insert(n.keys, i, key), slices.Insert(n.vals, i, val)
	n.kids[i] = left
	n.kids = slices.Insert(n.kids, i+1, right)
	l.touch()
	return cid.Undef, nil
}

// touch notes that the node has changed.
func (l *link) touch() { l.cid, l.node.cid = cid.Undef, cid.Undef }

// split divides a subtree into what stands left and right of key.
func (t *tree) split(l link, key string, height int) (left, right link, err error) {
	if l.isNil() {
		return link{}, link{}, nil
	}
	n, err := t.node(&l, height)
	if err != nil {
		return link{}, link{}, err
	}
	i, found := n.search(key)
	if found {
		return link{}, link{}, fmt.Errorf("%w: a key at the wrong height", errTree)
	}
	kl, kr, err := t.split(n.kids[i], key, height-1)
	if err != nil {
		return link{}, link{}, err
	}
	switch {
	case i == len(n.keys) && kr.isNil():
		n.kids[i] = kl // unchanged, but in memory now
		return l, link{}, nil
	case i == 0 && kl.isNil():
		n.kids[i] = kr
		return link{}, l, nil
	}
	ln := &node{height: height, keys: slices.Clone(n.keys[:i]), vals: slices.Clone(n.vals[:i]), kids: append(slices.Clone(n.kids[:i]), kl)}
	rn := &node{height: height, keys: slices.Clone(n.keys[i:]), vals: slices.Clone(n.vals[i:]), kids: append([]link{kr}, n.kids[i+1:]...)}
	return link{node: ln}, link{node: rn}, nil
}

// remove deletes key and returns the value that it had.
func (t *tree) remove(key string) (cid.Cid, error) {
	h := mst.HeightForKey([]byte(key))
	if h > t.top {
		return cid.Undef, nil
	}
	prev, err := t.removeBelow(&t.root, key, h, t.top)
	if err != nil {
		return cid.Undef, err
	}
	if t.root.isNil() {
		t.root, t.top = link{node: emptyNode(0)}, 0
	}
	return prev, nil
}

func (t *tree) removeBelow(l *link, key string, h, height int) (cid.Cid, error) {
	if l.isNil() {
		return cid.Undef, nil
	}
	n, err := t.node(l, height)
	if err != nil {
		return cid.Undef, err
	}
	i, found := n.search(key)
	var prev cid.Cid
	switch {
	case height > h:
		if prev, err = t.removeBelow(&n.kids[i], key, h, height-1); err != nil || !prev.Defined() {
			return prev, err
		}
	case !found:
		return cid.Undef, nil
	default:
		prev = n.vals[i]
		if n.kids[i], err = t.merge(n.kids[i], n.kids[i+1], height-1); err != nil {
			return cid.Undef, err
		}
		n.keys, n.vals, n.kids = slices.Delete(n.keys, i, i+1), slices.Delete(n.vals, i, i+1), slices.Delete(n.kids, i+1, i+2)
	}
	l.touch()
	if n.isEmpty() {
		*l = link{}
	}
	return prev, nil
}

// merge joins two subtrees of the same height between which no key is left.
func (t *tree) merge(a, b link, height int) (link, error) {
	if a.isNil() {
		return b, nil
	}
	if b.isNil() {
		return a, nil
	}
	left, err := t.node(&a, height)
	if err != nil {
		return link{}, err
	}
	right, err := t.node(&b, height)
	if err != nil {
		return link{}, err
	}
	mid, err := t.merge(left.kids[len(left.keys)], right.kids[0], height-1)
	if err != nil {
		return link{}, err
	}
	n := &node{height: height, keys: slices.Concat(left.keys, right.keys), vals: slices.Concat(left.vals, right.vals)}
	n.kids = slices.Concat(left.kids[:len(left.keys)], []link{mid}, right.kids[1:])
	return link{node: n}, nil
}

// trim takes away nodes above the top key; it reads down to the node that has it.
func (t *tree) trim() error {
	for t.top > 0 {
		n, err := t.node(&t.root, t.top)
		if err != nil {
			return err
		}
		if len(n.keys) > 0 || n.kids[0].isNil() {
			return nil
		}
		t.root, t.top = n.kids[0], t.top-1
	}
	return nil
}

// flush encodes what has changed, root last, and returns the root, the nodes that are new, and the CIDs of the nodes that
// are no longer part of the tree.
func (t *tree) flush() (root cid.Cid, created []Block, gone []cid.Cid, err error) {
	if err := t.trim(); err != nil {
		return cid.Undef, nil, nil, err
	}
	kept := map[cid.Cid]bool{}
	if err := t.encode(&t.root, kept, &created); err != nil {
		return cid.Undef, nil, nil, err
	}
	for c := range t.read {
		if !kept[c] {
			gone = append(gone, c)
		}
	}
	return t.root.cid, created, gone, nil
}

func (t *tree) encode(l *link, kept map[cid.Cid]bool, created *[]Block) error {
	if l.node == nil {
		return nil
	}
	// A node that was loaded and then moved elsewhere is still in memory below an unchanged link.
	for i := range l.node.kids {
		if err := t.encode(&l.node.kids[i], kept, created); err != nil {
			return err
		}
	}
	if !l.node.cid.Defined() {
		data, c, err := l.node.encode()
		if err != nil {
			return err
		}
		l.node.cid = c
		if !t.read[c] {
			*created = append(*created, Block{c, data})
		}
	}
	l.cid = l.node.cid
	kept[l.cid] = true
	return nil
}
