package atproto_test

import (
	"bytes"
	"fmt"
	"footbridge/atproto"
	"footbridge/atproto/atprototest"
	"slices"
	"strings"
	"testing"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/gorilla/websocket"
)

// frames makes a network, lets it do some of everything, and returns the frames of its PDS.
func frames(t testing.TB, posts int) [][]byte {
	t.Helper()
	n, err := atprototest.Start(atprototest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	everything(t, n, posts)
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(n.PDS.URL(), "http", "ws", 1)+"/xrpc/com.atproto.sync.subscribeRepos?cursor=0", nil)
	if err != nil {
		t.Fatal(err, resp)
	}
	defer func() { _ = conn.Close() }()
	var out [][]byte
	for int64(len(out)) < n.PDS.Seq() {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, raw)
	}
	return out
}

func everything(t testing.TB, n *atprototest.Network, posts int) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	a, err := n.CreateAccount("anna")
	check(err)
	b, err := n.CreateAccount("bert")
	check(err)
	var last atprototest.Ref
	for i := range posts {
		last, err = n.Post(a, fmt.Sprintf("post %d by did:plc:%s and others", i, strings.Repeat("a", 24)), nil)
		check(err)
		_, err = n.Like(b, last)
		check(err)
		if i%5 == 0 {
			check(n.Delete(last))
		}
	}
	_, err = n.Follow(b, a.DID)
	check(err)
	check(n.PDS.SetHandle(a, "anna2.pds.test"))
	n.PDS.Sync(a)
	n.PDS.SetStatus(b, "deactivated")
}

// The filter reads what a full decode reads.
func TestPeekAgreesWithFullDecode(t *testing.T) {
	kinds := map[string]int{}
	for _, raw := range frames(t, 40) {
		f, err := atproto.PeekFrame(raw)
		if err != nil {
			t.Fatal(err)
		}
		kinds[f.Type]++
		body := bytes.NewReader(f.Body)
		var seq int64
		var did string
		switch f.Type {
		case "#commit":
			var m comatproto.SyncSubscribeRepos_Commit
			if err := m.UnmarshalCBOR(body); err != nil {
				t.Fatal(err)
			}
			seq, did = m.Seq, m.Repo
			deletes := slices.ContainsFunc(m.Ops, func(op *comatproto.SyncSubscribeRepos_RepoOp) bool { return op.Action == "delete" })
			if !bytes.Equal(f.Blocks, m.Blocks) || f.Deletes != deletes {
				t.Errorf("blocks of %d bytes, deletes %v; want %d, %v", len(f.Blocks), f.Deletes, len(m.Blocks), deletes)
			}
		case "#sync":
			var m comatproto.SyncSubscribeRepos_Sync
			if err := m.UnmarshalCBOR(body); err != nil {
				t.Fatal(err)
			}
			seq, did = m.Seq, m.Did
		case "#identity":
			var m comatproto.SyncSubscribeRepos_Identity
			if err := m.UnmarshalCBOR(body); err != nil {
				t.Fatal(err)
			}
			seq, did = m.Seq, m.Did
		case "#account":
			var m comatproto.SyncSubscribeRepos_Account
			if err := m.UnmarshalCBOR(body); err != nil {
				t.Fatal(err)
			}
			seq, did = m.Seq, m.Did
		}
		if f.Seq != seq || string(f.DID) != did {
			t.Errorf("%s: seq %d did %q; want %d %q", f.Type, f.Seq, f.DID, seq, did)
		}
	}
	for _, kind := range []string{"#commit", "#sync", "#identity", "#account"} {
		if kinds[kind] == 0 {
			t.Errorf("no %s among the frames", kind)
		}
	}
}

// Cut, lengthened and scribbled frames are errors or frames, never a crash, and never read beyond their end.
func TestPeekSurvivesDamage(t *testing.T) {
	all := frames(t, 3)
	for _, raw := range all[:min(len(all), 8)] {
		for cut := range raw {
			if _, err := atproto.PeekFrame(raw[:cut:cut]); err == nil {
				t.Fatalf("a frame cut at %d of %d was taken", cut, len(raw))
			}
		}
		if _, err := atproto.PeekFrame(append(bytes.Clone(raw), 0)); err == nil {
			t.Fatal("a frame with a byte too many was taken")
		}
	}
}

func FuzzPeek(f *testing.F) {
	for _, raw := range frames(f, 2) {
		f.Add(raw)
	}
	f.Add([]byte("\xa1\x62op\x20\xa1\x65error\x6cFutureCursor"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		fr, err := atproto.PeekFrame(raw)
		if err == nil && len(fr.Body) > len(raw) {
			t.Error("a body longer than the frame")
		}
	})
}

func TestDIDSet(t *testing.T) {
	plc := func(c string) string { return "did:plc:" + strings.Repeat(c, 24) }
	s := atproto.NewDIDSet()
	s.AddMention(plc("a"))
	s.AddMention("did:web:bridge.example")
	for text, want := range map[string]bool{
		"":                                      false,
		plc("a"):                                true,
		"xx" + plc("a") + "/app.bsky.feed.post": true,
		plc("b"):                                false,
		plc("b") + plc("a"):                     true,
		plc("a")[:31]:                           false,
		"did:plc:did:plc:" + plc("a"):           true,
		// In CBOR the next string's head may be a letter.
		"did:web:bridge.exampleeother": true,
		"did:web:bridge.exampl":        false,
	} {
		if got := s.Mentions([]byte(text)); got != want {
			t.Errorf("Mentions(%q) = %v", text, got)
		}
	}
	s.RemoveMention(plc("a"))
	s.RemoveMention("did:web:bridge.example")
	if s.Mentions([]byte(plc("a") + "did:web:bridge.example")) {
		t.Error("what was removed is still there")
	}
	s.AddAuthor(plc("c"))
	s.Watch(plc("d"))
	if !s.Author(plc("c")) || s.Author(plc("d")) || !s.Removes(plc("d")) || s.Mentions([]byte(plc("c"))) {
		t.Error("authors, watched and mentioned are mixed up")
	}
}
