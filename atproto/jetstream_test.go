package atproto_test

import (
	"context"
	"footbridge/atproto"
	"footbridge/atproto/atprototest"
	"log/slog"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func (r *rig) runJetstream(src atproto.JetstreamSource) {
	r.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	r.reader = atproto.NewReader(atproto.ReaderOptions{
		Resolver: r.resolver, Store: r.sink.db, Interest: r.set, Sink: r.sink, Dialer: &websocket.Dialer{},
		Log: slog.New(slog.DiscardHandler), SaveEvery: 5 * time.Millisecond, Backoff: func(int) time.Duration { return 5 * time.Millisecond },
	})
	done := make(chan struct{})
	go func() { defer close(done); _ = r.reader.RunJetstream(ctx, src) }()
	r.stop = func() { cancel(); <-done }
	r.Cleanup(r.stop)
}

// A Jetstream is believed only as far as the authors' hosts prove it.
func TestJetstream(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	jet, err := r.net.StartJetstream()
	r.ok(err)
	t.Cleanup(jet.Close)
	member, stranger, copied := r.account("member"), r.account("stranger"), r.account("copied")
	r.set.AddAuthor(member.DID)
	r.set.AddMention(copied.DID)
	r.ok(r.net.Settle(t.Context()))
	// A saved cursor, so that nothing depends on who is first.
	r.ok(r.sink.SaveCursor(t.Context(), "jet", 1_700_000_000_000_001))
	r.runJetstream(atproto.JetstreamSource{Name: "jet", URL: jet.URL()})

	post := r.ref(r.net.Post(member, "hello", nil))
	noise := r.ref(r.net.Post(stranger, "noise", nil))
	follow := r.ref(r.net.Follow(stranger, copied.DID))
	r.sink.await(t, "post and follow", func(s *sink) bool { return s.has("create", post) && s.has("create", follow) })
	r.ok(r.net.Delete(post))
	r.sink.await(t, "the deletion", func(s *sink) bool { return s.has("delete", post) })

	// Lies about deletes and texts change nothing.
	kept := r.ref(r.net.Post(member, "kept", nil))
	r.sink.await(t, "the kept post", func(s *sink) bool { return s.has("create", kept) })
	jet.Lie(func(e map[string]any) {
		if c, ok := e["commit"].(map[string]any); ok {
			c["operation"] = "delete"
		}
	})
	victim := r.ref(r.net.Post(member, "said to be deleted", nil))
	r.ok(r.net.Settle(t.Context()))
	jet.Lie(nil)
	truth := r.ref(r.net.Post(member, "the truth", nil))
	r.sink.await(t, "the truth", func(s *sink) bool { return s.has("create", truth) })
	r.sink.mu.Lock()
	defer r.sink.mu.Unlock()
	if r.sink.has("delete", victim) || r.sink.has("delete", kept) || r.sink.has("create", noise) {
		t.Error("a lie was believed, or noise delivered")
	}
	for _, c := range r.sink.commits {
		if len(c.Evidence) == 0 {
			t.Error("no evidence")
		}
	}
}

// With wantedDids the server sends less, and the cursor resumes.
func TestJetstreamWantedAndResume(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	jet, err := r.net.StartJetstream()
	r.ok(err)
	t.Cleanup(jet.Close)
	member, stranger := r.account("member"), r.account("stranger")
	r.set.AddAuthor(member.DID)
	src := atproto.JetstreamSource{Name: "jet", URL: jet.URL(), Wanted: func() []string { return []string{member.DID} }}
	r.ok(r.sink.SaveCursor(t.Context(), "jet", 1_700_000_000_000_001))
	r.runJetstream(src)
	first := r.ref(r.net.Post(member, "first", nil))
	r.sink.await(t, "the first", func(s *sink) bool { return s.has("create", first) })
	r.stop()
	r.ref(r.net.Post(stranger, "noise", nil))
	second := r.ref(r.net.Post(member, "second", nil))
	r.runJetstream(src)
	r.sink.await(t, "the second", func(s *sink) bool { return s.has("create", second) })
	r.ok(member.PDS().SetHandle(member, "renamed.pds.test"))
	r.sink.await(t, "the new handle", func(s *sink) bool {
		return len(s.accounts) > 0 && s.accounts[len(s.accounts)-1].Handle == "renamed.pds.test"
	})
}
