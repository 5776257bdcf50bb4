package atproto_test

import (
	"bytes"
	"errors"
	"footbridge/atproto"
	"footbridge/atproto/atprototest"
	"net/http"
	"strings"
	"testing"

	"github.com/bluesky-social/indigo/atproto/syntax"
)

// Records, blobs and repos are fetched from the author's PDS and checked.
func TestClientFetches(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	anna := r.account("anna")
	c := atproto.NewClient(r.resolver)
	var last atprototest.Ref
	for range 5 {
		last = r.ref(r.net.Post(anna, "hello", nil))
	}
	did := syntax.DID(anna.DID)
	rec, err := c.GetRecord(t.Context(), syntax.ATURI(last.URI))
	r.ok(err)
	if rec.CID != last.CID || string(rec.URI) != last.URI || !strings.Contains(string(rec.Value), `"hello"`) {
		t.Errorf("record %+v", rec)
	}
	byHandle := syntax.ATURI(strings.Replace(last.URI, anna.DID, anna.Handle, 1))
	if again, err := c.GetRecord(t.Context(), byHandle); err != nil || again.URI != rec.URI {
		t.Errorf("by handle: %+v, %v", again, err)
	}
	proven, evidence, err := c.GetRecordProof(t.Context(), syntax.ATURI(last.URI))
	if err != nil || proven.CID != last.CID || len(evidence) == 0 || string(proven.Value) == "" {
		t.Errorf("proof: %+v, %v", proven, err)
	}
	gone := syntax.ATURI("at://" + anna.DID + "/app.bsky.feed.post/3laaaaaaaaa2a")
	if _, err := c.GetRecord(t.Context(), gone); !errors.Is(err, atproto.ErrNotFound) {
		t.Errorf("no such record: %v", err)
	}
	if _, evidence, err := c.GetRecordProof(t.Context(), gone); !errors.Is(err, atproto.ErrNotFound) || len(evidence) == 0 {
		t.Errorf("proof of absence: %d bytes, %v", len(evidence), err)
	}
	if s, err := c.GetRepo(t.Context(), did, ""); err != nil || s.DID != did {
		t.Errorf("repo: %v", err)
	}
	seen, cursor := 0, ""
	for {
		page, next, err := c.ListRecords(t.Context(), did, "app.bsky.feed.post", cursor, 2)
		r.ok(err)
		seen += len(page)
		if cursor = next; cursor == "" {
			break
		}
	}
	if seen != 5 {
		t.Errorf("listed %d records", seen)
	}
}

func TestClientBlobs(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	anna := r.account("anna")
	c := atproto.NewClient(r.resolver)
	data := bytes.Repeat([]byte("x"), 1000)
	b, err := r.net.PDS.Upload(anna, data, "image/png")
	r.ok(err)
	got, mime, err := c.GetBlob(t.Context(), syntax.DID(anna.DID), b.Ref.String(), 1000)
	if err != nil || !bytes.Equal(got, data) || mime != "image/png" {
		t.Errorf("%d bytes of %q, %v", len(got), mime, err)
	}
	if _, _, err := c.GetBlob(t.Context(), syntax.DID(anna.DID), b.Ref.String(), 999); err == nil {
		t.Error("a blob over the limit was taken")
	}
	r.net.PDS.Corrupt(anna, b.Ref.String())
	if _, _, err := c.GetBlob(t.Context(), syntax.DID(anna.DID), b.Ref.String(), 2000); !errors.Is(err, atproto.ErrCAR) {
		t.Errorf("other bytes: %v", err)
	}
}

// R86: a relay that throttles is seen, and what a sick server says is told apart.
func TestRelayStatus(t *testing.T) {
	r := newRig(t, atprototest.Options{AccountLimit: 2})
	c := atproto.NewClient(r.resolver)
	a, b, over := r.account("a1"), r.account("b1"), r.account("c1")
	r.ok(r.net.Settle(t.Context()))
	for who, want := range map[*atprototest.Account]atproto.RepoStatus{a: {Active: true}, b: {Active: true}, over: {Status: "throttled"}} {
		got, err := c.RepoStatus(t.Context(), r.net.Relay.URL(), syntax.DID(who.DID))
		if got.Rev = ""; err != nil || got != want || got.Throttled() != (who == over) {
			t.Errorf("%s: %+v, %v", who.Handle, got, err)
		}
	}
	if _, err := c.RepoStatus(t.Context(), r.net.Relay.URL(), someDID); !errors.Is(err, atproto.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	host, err := c.HostStatus(t.Context(), r.net.Relay.URL(), r.net.PDS.Addr())
	if err != nil || host.AccountCount != 3 || host.Status != "active" {
		t.Errorf("host: %+v, %v", host, err)
	}
	r.net.Relay.SetLimit(r.net.PDS.Addr(), 10)
	r.net.PDS.Sync(over)
	r.ok(r.net.Settle(t.Context()))
	if got, err := c.RepoStatus(t.Context(), r.net.Relay.URL(), syntax.DID(over.DID)); err != nil || !got.Active {
		t.Errorf("after the limit was raised: %+v, %v", got, err)
	}
	r.net.Relay.Fail(http.StatusTooManyRequests)
	_, err = c.RepoStatus(t.Context(), r.net.Relay.URL(), syntax.DID(a.DID))
	var x *atproto.XRPCError
	if !errors.As(err, &x) || x.Status != http.StatusTooManyRequests || x.RetryAfter == 0 || errors.Is(err, atproto.ErrNotFound) {
		t.Errorf("a sick relay: %v", err)
	}
	r.net.Relay.Fail(0)
	r.ok(c.RequestCrawl(t.Context(), r.net.Relay.URL(), r.net.PDS.Addr()))
}

// An #account deletion that the account's own host denies is not believed; one that it confirms is.
func TestDeletionIsConfirmed(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	anna, bert := r.account("anna"), r.account("bert")
	r.set.AddAuthor(anna.DID)
	r.set.AddAuthor(bert.DID)
	r.runLive()
	r.net.Relay.Announce(anna.DID, "deleted")
	bert.PDS().SetStatus(bert, "deleted")
	r.sink.await(t, "the true deletion", func(s *sink) bool {
		for _, e := range s.accounts {
			if string(e.DID) == anna.DID {
				t.Fatal("a false deletion was believed")
			}
			if string(e.DID) == bert.DID && e.Status == "deleted" && !e.Active {
				return true
			}
		}
		return false
	})
}

// Lost and strange things of a relay: a cursor of the future, one too old, and frames that are not frames.
func TestReaderSurvivesTheRelay(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	anna := r.account("anna")
	r.set.AddAuthor(anna.DID)
	r.runLive()
	first := r.ref(r.net.Post(anna, "first", nil))
	r.sink.await(t, "the first", func(s *sink) bool { return s.has("create", first) })
	for _, raw := range [][]byte{{}, {0xff}, []byte("text"), []byte("\xa2\x61t\x65#what\x62op\x01\xa1\x63seq\x01"), []byte("\xa2\x61t\x67#commit\x62op\x01\xa1\x63seq\x18\xff"), bytes.Repeat([]byte{0x81}, 100_000)} {
		r.net.Relay.RawFrame(raw)
	}
	second := r.ref(r.net.Post(anna, "second", nil))
	r.sink.await(t, "the second", func(s *sink) bool { return s.has("create", second) })
	r.stop()
	r.net.Relay.ForgetLog()
	r.run()
	third := r.ref(r.net.Post(anna, "third", nil))
	r.sink.await(t, "what came after the relay lost its numbers", func(s *sink) bool { return s.has("create", third) })
	r.stop()
	missed := r.ref(r.net.Post(anna, "missed", nil))
	r.ok(r.net.Settle(t.Context()))
	r.net.Relay.TrimLog(0)
	r.run()
	r.sink.await(t, "what the relay no longer keeps", func(s *sink) bool { return s.has("create", missed) })
}
