package pds_test

import (
	"context"
	"fmt"
	"syscall"
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

// BenchmarkCommit (G9) makes one commit with one op, in the database, at the sizes of the goal: a new post, and a delete
// of an old one.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{100, 1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r := newRig(b)
			r.join(alice, aliceDID, handle)
			r.fill(size)
			var permit consent.Permit
			r.ok(r.update(func(tx both) (err error) {
				permit, err = r.gate.Publish(context.Background(), tx, alice, consent.ScopePosts)
				return err
			}))
			// One transaction for all, so that the disk's sync is not what is measured.
			b.ResetTimer()
			start := cpuTime(b)
			r.ok(r.update(func(tx both) error {
				for i := range b.N {
					// A post anywhere among the others, then its deletion, so that the size stays.
					rkey := rkeyOf((i / 2 * 7919) % size)[:10] + "zzz"
					w := note(rkey, "a new post")
					if i%2 == 1 {
						w = gone(rkey)
					}
					if _, _, err := r.host.Apply(context.Background(), tx, permit, aliceDID, w); err != nil {
						return err
					}
				}
				return nil
			}))
			b.ReportMetric(float64((cpuTime(b)-start).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
}

// cpuTime is what the process has used: other work on the machine does not count.
func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
