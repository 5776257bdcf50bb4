package atproto_test

import (
	"context"
	"errors"
	"footbridge/atproto"
	"footbridge/atproto/atprototest"
	"log/slog"
	"testing"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/gorilla/websocket"
)

// Labels about members arrive once they are kept, negations too; forged ones and those about others do not.
func TestLabeler(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	mod, anna, bert := r.account("moderator"), r.account("anna"), r.account("bert")
	r.ok(r.net.PDS.BecomeLabeler(mod))
	r.set.AddAuthor(anna.DID)
	got := make(chan atproto.Label, 20)
	failures := 1
	r.reader = atproto.NewReader(atproto.ReaderOptions{
		Resolver: r.resolver, Store: r.sink.db, Interest: r.set, Sink: r.sink, Dialer: &websocket.Dialer{},
		Log: slog.New(slog.DiscardHandler), Backoff: func(int) time.Duration { return 5 * time.Millisecond },
	})
	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = r.reader.RunLabeler(ctx, syntax.DID(mod.DID), func(_ context.Context, l atproto.Label) error {
				if failures--; failures >= 0 {
					return errors.New("not yet")
				}
				got <- l
				return nil
			})
		}()
		return func() { cancel(); <-done }
	}
	stop := run()
	post := "at://" + anna.DID + "/app.bsky.feed.post/3laaaaaaaaa2a"
	label := func(uri, val string, neg bool, change func(*comatproto.LabelDefs_Label)) {
		r.ok(r.net.PDS.Label(mod, uri, val, neg, change))
	}
	label(post, "nudity", false, nil)
	label("at://"+bert.DID, "spam", false, nil)
	label(anna.DID, "forged", false, func(l *comatproto.LabelDefs_Label) { l.Val = "!takedown" })
	label(anna.DID, "foreign", false, func(l *comatproto.LabelDefs_Label) { l.Src = bert.DID })
	label(post, "nudity", true, nil)
	first, second := <-got, <-got
	if first.URI != post || first.Val != "nudity" || first.Neg || !second.Neg || first.Subject() != syntax.DID(anna.DID) || string(first.Labeler) != mod.DID {
		t.Errorf("%+v, then %+v", first, second)
	}
	r.sink.await(t, "the cursor", func(*sink) bool {
		seq, err := r.sink.Cursor(t.Context(), "labels:"+mod.DID)
		return err == nil && seq == 5
	})
	stop()
	label(anna.DID, "!hide", false, nil)
	stop = run()
	defer stop()
	if third := <-got; third.Val != "!hide" {
		t.Errorf("after the restart: %+v", third)
	}
	if r.reader.Stats().Forged.Load() != 2 {
		t.Errorf("%d labels were called forged", r.reader.Stats().Forged.Load())
	}
}
