package pds_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"footbridge/atproto/pds"
	"footbridge/identity/consent"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

// rkeyOf is a TID of a post, as real repos have.
func rkeyOf(i int) string {
	return syntax.NewTID(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i)*97*time.Second).UnixMicro(), 1).String()
}

// fill brings a repo to n posts.
func (r *rig) fill(n int) {
	r.Helper()
	for at := 0; at < n; {
		var writes []pds.Write
		for len(writes) < 200 && at < n {
			writes = append(writes, note(rkeyOf(at), fmt.Sprint("a post of some length, as people write them, number ", at)))
			at++
		}
		_, _, err := r.apply(writes...)
		r.ok(err)
		r.clock.pass(time.Second)
	}
}

// BenchmarkCommitGrowth (G9): what a commit costs in a repo of 100,000 records, against one of 100. A new post anywhere
// among the others and its deletion take turns, so the sizes stay. Both repos take turns too, so that what else the machine
// does hits both alike.
func BenchmarkCommitGrowth(b *testing.B) {
	const small, large = 100, 100_000
	rigs := map[int]*rig{}
	for _, size := range []int{small, large} {
		r := newRig(b)
		r.join(alice, aliceDID, handle)
		r.fill(size)
		rigs[size] = r
	}
	spent := map[int][]time.Duration{}
	round := 0
	for b.Loop() {
		for _, size := range []int{small, large} {
			spent[size] = append(spent[size], rigs[size].churn(size, round, 20)...)
		}
		round++
	}
	// The median is what a commit takes when nothing else on the machine gets in its way.
	slices.Sort(spent[small])
	slices.Sort(spent[large])
	s, l := spent[small][len(spent[small])/2], spent[large][len(spent[large])/2]
	b.ReportMetric(float64(s.Microseconds()), "us-at-100")
	b.ReportMetric(float64(l.Microseconds()), "us-at-100000")
	b.ReportMetric(float64(l)/float64(s), "ratio")
}

// churn makes n commits of one op in one transaction, so that the disk's sync is not what is measured.
func (r *rig) churn(size, round, n int) []time.Duration {
	r.Helper()
	var spent []time.Duration
	r.ok(r.update(func(tx both) error {
		permit, err := r.gate.Publish(context.Background(), tx, alice, consent.ScopePosts)
		if err != nil {
			return err
		}
		for i := range n {
			start := time.Now()
			rkey := rkeyOf(((round*n + i) / 2 * 7919) % size)[:10] + "zzz"
			w := note(rkey, "a new post")
			if i%2 == 1 {
				w = gone(rkey)
			}
			if _, _, err := r.host.Apply(context.Background(), tx, permit, aliceDID, w); err != nil {
				return err
			}
			spent = append(spent, time.Since(start))
		}
		return nil
	}))
	return spent
}
