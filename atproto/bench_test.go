package atproto_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"footbridge/atproto"
	"strings"
	"testing"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/repo"
)

// commits returns frames of commits to a repo of some hundred records, and their network.
func commits(b *testing.B) [][]byte {
	b.Helper()
	var out [][]byte
	for _, raw := range frames(b, 400) {
		if f, err := atproto.PeekFrame(raw); err == nil && f.Type == "#commit" {
			out = append(out, raw)
		}
	}
	return out
}

// hosted returns a set of n copies; a two-hundredth of the frames name one of them.
func hosted(b *testing.B, n int, frames [][]byte) *atproto.DIDSet {
	b.Helper()
	set := atproto.NewDIDSet()
	for i := range n {
		sum := sha256.Sum256(fmt.Append(nil, i))
		set.AddMention("did:plc:" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:24])
	}
	set.AddMention("did:plc:" + strings.Repeat("z", 24))
	for i := 0; i < len(frames); i += 200 {
		frames[i] = bytes.Replace(frames[i], []byte(strings.Repeat("a", 24)), []byte(strings.Repeat("z", 24)), 1)
	}
	return set
}

func bodiesOf(b *testing.B, frames [][]byte) [][]byte {
	b.Helper()
	var bodies [][]byte
	for _, raw := range frames {
		f, err := atproto.PeekFrame(raw)
		if err != nil {
			b.Fatal(err)
		}
		bodies = append(bodies, f.Body)
	}
	return bodies
}

// BenchmarkFilter is what every frame of the network costs. Goal: at least 40,000 frames/s on one core, and three times
// the full decode below.
func BenchmarkFilter(b *testing.B) {
	all := commits(b)
	set := hosted(b, 100_000, all)
	b.ReportAllocs()
	hits, n := 0, 0
	for b.Loop() {
		f, err := atproto.PeekFrame(all[n%len(all)])
		if err != nil {
			b.Fatal(err)
		}
		if set.Author(string(f.DID)) || set.Mentions(f.Blocks) {
			hits++
		}
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(100*float64(hits)/float64(n), "%hits")
}

// BenchmarkFullDecode is the same question asked by decoding every frame, as indigo's consumer does.
func BenchmarkFullDecode(b *testing.B) {
	all := commits(b)
	set := hosted(b, 100_000, all)
	bodies := bodiesOf(b, all)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		var m comatproto.SyncSubscribeRepos_Commit
		if err := m.UnmarshalCBOR(bytes.NewReader(bodies[n%len(bodies)])); err != nil {
			b.Fatal(err)
		}
		_ = set.Author(m.Repo) || set.Mentions(m.Blocks)
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "frames/s")
}

// BenchmarkProve is the strict proof of one wanted commit, without the signature.
func BenchmarkProve(b *testing.B) {
	bodies := bodiesOf(b, commits(b))
	now, n := time.Now(), 0
	for b.Loop() {
		if err := atproto.ProveCommit(bodies[n%len(bodies)], now); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// BenchmarkProveIndigo is indigo's own, which checks less.
func BenchmarkProveIndigo(b *testing.B) {
	bodies := bodiesOf(b, commits(b))
	n := 0
	for b.Loop() {
		var m comatproto.SyncSubscribeRepos_Commit
		if err := m.UnmarshalCBOR(bytes.NewReader(bodies[n%len(bodies)])); err != nil {
			b.Fatal(err)
		}
		if _, err := repo.VerifyCommitMessage(b.Context(), &m); err != nil {
			b.Fatal(err)
		}
		n++
	}
}
