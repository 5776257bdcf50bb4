package pds

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/bluesky-social/indigo/atproto/repo/mst"
	"github.com/ipfs/go-cid"
)

// memory is a block store for trees without a database.
type memory map[cid.Cid][]byte

func (m memory) load(c cid.Cid) ([]byte, error) {
	if b, ok := m[c]; ok {
		return b, nil
	}
	return nil, errNoBlock
}

func valueCID(t testing.TB, s string) cid.Cid {
	t.Helper()
	c, err := dagCID([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// step applies changes to the tree in the store, as a commit does, and returns root and proof.
func step(t testing.TB, m memory, root cid.Cid, changes []change) (cid.Cid, []Block) {
	t.Helper()
	tr, err := openTree(root, m.load)
	if err != nil {
		t.Fatal(err)
	}
	if err := applyTo(tr, changes); err != nil {
		t.Fatal(err)
	}
	next, created, gone, err := tr.flush()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range created {
		m[b.CID] = b.Data
	}
	src := &blocksOf{have: m}
	proof, err := prove(tr, changes, src)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range gone {
		delete(m, c)
	}
	return next, proof
}

func emptyStore(t testing.TB) (memory, cid.Cid) {
	t.Helper()
	data, root, err := emptyNode(0).encode()
	if err != nil {
		t.Fatal(err)
	}
	return memory{root: data}, root
}

// TestTreeAgainstLibrary makes random batches and compares the root with a tree that the library builds whole; and it
// checks that garbage collection is exact: what the store holds is the tree and nothing else.
func TestTreeAgainstLibrary(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 40 {
		m, root := emptyStore(t)
		state := map[string]cid.Cid{}
		for n := range 60 {
			changes := randomChanges(t, r, state, 1+r.IntN(8), fmt.Sprint(round, n))
			root, _ = step(t, m, root, changes)
			want, err := mst.LoadTreeFromMap(state)
			if err != nil {
				t.Fatal(err)
			}
			if c, err := want.RootCID(); err != nil || *c != root {
				t.Fatalf("round %d step %d: root %s, want %v (%v)", round, n, root, c, err)
			}
			if nodes := countNodes(t, m, root); nodes != len(m) {
				t.Fatalf("round %d step %d: %d nodes stored, the tree has %d", round, n, len(m), nodes)
			}
		}
	}
}

func randomChanges(t testing.TB, r *rand.Rand, state map[string]cid.Cid, n int, salt string) []change {
	var puts, deletes []change
	used := map[string]bool{}
	for i := range n {
		path := fmt.Sprintf("com.example.c%d/%d", r.IntN(3), r.IntN(60))
		if used[path] {
			continue
		}
		used[path] = true
		prev := state[path]
		if prev.Defined() && r.IntN(3) > 0 {
			deletes = append(deletes, change{path: path, prev: prev})
			delete(state, path)
			continue
		}
		next := valueCID(t, fmt.Sprint(salt, i))
		puts = append(puts, change{path: path, prev: prev, next: next})
		state[path] = next
	}
	return append(puts, deletes...)
}

func countNodes(t testing.TB, m memory, root cid.Cid) int {
	t.Helper()
	n, err := decodeNode(m[root], root, 99) // the height does not matter here
	if err != nil {
		t.Fatal(err)
	}
	total := 1
	for _, k := range n.kids {
		if !k.isNil() {
			total += countNodes(t, m, k.cid)
		}
	}
	return total
}

// TestEmptiedTree is the library's height bug: delete the profile (height 1), then insert a key of height 0.
func TestEmptiedTree(t *testing.T) {
	if mst.HeightForKey([]byte("app.bsky.actor.profile/self")) != 1 {
		t.Fatal("the case needs a key of height 1")
	}
	m, root := emptyStore(t)
	v := valueCID(t, "v")
	root, _ = step(t, m, root, []change{{path: "app.bsky.actor.profile/self", next: v}})
	root, _ = step(t, m, root, []change{{path: "app.bsky.actor.profile/self", prev: v}})
	if _, empty := emptyStore(t); root != empty {
		t.Fatalf("the emptied tree has root %s", root)
	}
	low := "com.example.c/0"
	for i := 0; mst.HeightForKey([]byte(low)) != 0; i++ {
		low = fmt.Sprintf("com.example.c/%d", i)
	}
	root, _ = step(t, m, root, []change{{path: low, next: v}})
	want, err := mst.LoadTreeFromMap(map[string]cid.Cid{low: v})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := want.RootCID(); err != nil || *c != root {
		t.Errorf("root %s, want %v (%v)", root, c, err)
	}
}

func TestDecodeNodeRefusesHostileBlocks(t *testing.T) {
	v := valueCID(t, "v")
	for name, data := range map[string]mst.NodeData{
		"prefix too long":  {Entries: []mst.EntryData{{PrefixLen: 5, KeySuffix: []byte("a/b"), Value: v}}},
		"negative prefix":  {Entries: []mst.EntryData{{PrefixLen: -1, KeySuffix: []byte("a/b"), Value: v}}},
		"unsorted":         {Entries: []mst.EntryData{{KeySuffix: []byte("b/b"), Value: v}, {KeySuffix: []byte("a/b"), Value: v}}},
		"same key twice":   {Entries: []mst.EntryData{{KeySuffix: []byte("b/b"), Value: v}, {PrefixLen: 3, Value: v}}},
		"empty key":        {Entries: []mst.EntryData{{Value: v}}},
		"below the bottom": {Left: &v, Entries: []mst.EntryData{{KeySuffix: []byte("com.example.c/0"), Value: v}}},
	} {
		b, c, err := data.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeNode(b, *c, -1); !errors.Is(err, errTree) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := decodeNode([]byte{0xff}, v, -1); !errors.Is(err, errTree) {
		t.Errorf("garbage: got %v", err)
	}
}

// TestMissingNodeIsAnError: an under-loaded tree must never make a commit without proof, so every node that a change
// reads is missed when it is gone.
func TestMissingNodeIsAnError(t *testing.T) {
	m, root := emptyStore(t)
	state := map[string]cid.Cid{}
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 60 {
		root, _ = step(t, m, root, randomChanges(t, r, state, 5, fmt.Sprint(n)))
	}
	changes := []change{{path: "com.example.c1/new", next: valueCID(t, "x")}}
	tr, err := openTree(root, m.load)
	if err != nil {
		t.Fatal(err)
	}
	if err := applyTo(tr, changes); err != nil {
		t.Fatal(err)
	}
	for c := range tr.read {
		broken := maps.Clone(m)
		delete(broken, c)
		again, err := openTree(root, broken.load)
		if err == nil {
			err = applyTo(again, changes)
		}
		if !errors.Is(err, errNoBlock) {
			t.Errorf("without %s: got %v", c, err)
		}
	}
}
