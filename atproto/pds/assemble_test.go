package pds

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
)

// nodeTx reads nodes from memory and can do nothing else.
type nodeTx struct {
	Tx
	m memory
}

func (n nodeTx) RepoNode(_ int64, c cid.Cid) ([]byte, error) {
	if b, ok := n.m[c]; ok {
		return b, nil
	}
	return nil, ErrNotFound
}

// assembler makes commits over a tree in memory: no database, no verifier.
type assembler struct {
	h    *Host
	m    memory
	r    *Repo
	key  *atcrypto.PrivateKeyK256
	size int
	// written and diff are the bytes of blocks that were kept, and of those that differ.
	written, diff int
}

func newAssembler(b *testing.B, size int) *assembler {
	b.Helper()
	m, root := emptyStore(b)
	a := &assembler{m: m, size: size}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a.h = &Host{now: func() time.Time { now = now.Add(time.Millisecond); return now }, nodes: newNodeCache(cacheBytes)}
	var err error
	if a.key, err = atcrypto.GeneratePrivateKeyK256(); err != nil {
		b.Fatal(err)
	}
	var all []change
	for i := range size {
		all = append(all, change{path: a.path(i, "222"), next: valueCID(b, fmt.Sprint(i))})
	}
	root, _ = step(b, m, root, all)
	a.r = &Repo{ID: 1, DID: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", Status: StatusActive, Head: root.String(), Data: root.String(), Rev: "3kaaaaaaaaa22"}
	return a
}

func (a *assembler) path(i int, end string) string {
	at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 97 * time.Second)
	return "app.bsky.feed.post/" + syntax.NewTID(at.UnixMicro(), 1).String()[:10] + end
}

// commit assembles one commit and keeps its blocks.
func (a *assembler) commit(b *testing.B, c change) {
	d, err := a.h.prepare(nodeTx{m: a.m}, a.r, a.key, []change{c})
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range d.created {
		if _, have := a.m[n.CID]; !have {
			a.diff += len(n.Data)
		}
		a.m[n.CID] = n.Data
		a.written += len(n.Data)
	}
	for _, id := range d.gone {
		delete(a.m, id)
	}
	a.r.Data, a.r.Head, a.r.Rev = d.root.String(), d.head.CID.String(), d.rev
}

// BenchmarkAssembleGrowth (G9) is what it takes to change the tree, prove, sign and frame a commit of one op in a repo of
// 100,000 records, against one of 100: a create and its deletion in turns. BenchmarkCommitGrowth adds the verifier and the
// database.
func BenchmarkAssembleGrowth(b *testing.B) {
	const small, large = 100, 100_000
	repos := []*assembler{newAssembler(b, small), newAssembler(b, large)}
	data := []byte("a post")
	value := valueCID(b, string(data))
	spent := map[int][]time.Duration{}
	rounds := 0
	for b.Loop() {
		for _, a := range repos {
			start := time.Now()
			path := a.path((rounds*7919)%a.size, "zzz")
			a.commit(b, change{path: path, next: value, data: data})
			a.commit(b, change{path: path, prev: value})
			spent[a.size] = append(spent[a.size], time.Since(start)/2)
		}
		rounds++
	}
	s, l := median(spent[small]), median(spent[large])
	b.ReportMetric(float64(s.Nanoseconds())/1e3, "us-at-100")
	b.ReportMetric(float64(l.Nanoseconds())/1e3, "us-at-100000")
	b.ReportMetric(float64(l)/float64(s), "ratio")
	b.ReportMetric(float64(repos[1].written)/float64(repos[1].diff), "written/diff")
}

// median is what a commit takes when nothing else on the machine gets in its way.
func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
