package activitypub_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"footbridge/activitypub"
	"footbridge/bridge/store"
	"footbridge/identity"
)

func openStore(t *testing.T, now func() time.Time) activitypub.Store {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "test.db"), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return store.Room[activitypub.Tx]{DB: db}
}

// TestFollowerRows keeps, groups, pages, finds and removes followers.
func TestFollowerRows(t *testing.T) {
	s := openStore(t, time.Now)
	const owner = identity.ActorID("https://bridge.test/ap/carol")
	since := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	err := s.Update(t.Context(), func(tx activitypub.Tx) error {
		for i := range 5 {
			host := fmt.Sprintf("https://h%d.test", i%2)
			f := activitypub.Follower{Actor: identity.ActorID(fmt.Sprintf("%s/u%d", host, i)), Inbox: fmt.Sprintf("%s/u%d/inbox", host, i), Follow: "f", Since: since}
			if i%2 == 0 {
				f.SharedInbox = host + "/inbox"
			}
			if err := tx.FollowerPut(owner, f); err != nil {
				return err
			}
		}
		if err := tx.FollowerPut(owner, activitypub.Follower{Actor: "https://h0.test.evil.test/u", Inbox: "https://h0.test.evil.test/i", Follow: "f", Since: since}); err != nil {
			return err
		}
		// again, with another Follow: still one follower
		return tx.FollowerPut(owner, activitypub.Follower{Actor: "https://h0.test/u0", Inbox: "https://h0.test/u0/inbox", SharedInbox: "https://h0.test/inbox", Follow: "f2", Since: since.Add(time.Hour)})
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(tx activitypub.Tx) error {
		check := func(what string, got, want any, err error) {
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v (%v), want %v", what, got, err, want)
			}
		}
		n, err := tx.FollowerCount(owner)
		check("count", n, 6, err)
		f, err := tx.FollowerGet(owner, "https://h0.test/u0")
		check("follow", f.Follow, "f2", err)
		check("since", f.Since, since, nil)
		none, err := tx.FollowerGet(owner, "https://x.test/u")
		check("nobody", none == nil, true, err)
		targets, err := tx.FollowerInboxes(owner)
		check("inboxes", targets, []activitypub.DeliveryTarget{{Inbox: "https://h0.test.evil.test/i"}, {Inbox: "https://h0.test/inbox", Shared: true},
			{Inbox: "https://h1.test/u1/inbox"}, {Inbox: "https://h1.test/u3/inbox"}}, err)
		at, err := tx.FollowersAt(owner, "https://h0.test")
		check("on one host", at, []identity.ActorID{"https://h0.test/u0", "https://h0.test/u2", "https://h0.test/u4"}, err)
		var paged []identity.ActorID
		for after := identity.ActorID(""); ; {
			page, err := tx.Followers(owner, after, 4)
			if err != nil || len(page) == 0 {
				break
			}
			for _, f := range page {
				paged, after = append(paged, f.Actor), f.Actor
			}
		}
		check("paged", len(paged), 6, nil)
		of, err := tx.FollowersOf("https://h1.test/u1")
		check("follows", of, []identity.ActorID{owner}, err)
		gone, err := tx.FollowerDelete(owner, "https://h1.test/u1")
		check("removed", gone, true, err)
		gone, err = tx.FollowerDelete(owner, "https://h1.test/u1")
		check("removed again", gone, false, err)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOtherRows are the inboxes ever delivered to, cached actors and signature schemes.
func TestOtherRows(t *testing.T) {
	s := openStore(t, time.Now)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	err := s.Update(t.Context(), func(tx activitypub.Tx) error {
		for _, inbox := range []string{"https://b.test/i", "https://a.test/i", "https://b.test/i"} {
			if err := tx.DeliveredHostAdd("o", inbox); err != nil {
				return err
			}
		}
		if got, err := tx.DeliveredInboxes("o"); err != nil || !reflect.DeepEqual(got, []string{"https://a.test/i", "https://b.test/i"}) {
			t.Errorf("inboxes %v, %v", got, err)
		}
		if err := tx.DeliveredForget("o"); err != nil {
			return err
		}
		if got, err := tx.DeliveredInboxes("o"); err != nil || len(got) > 0 {
			t.Errorf("forgotten inboxes %v, %v", got, err)
		}
		a := activitypub.RemoteActor{ID: "https://a.test/a", Raw: []byte(`{"id":"x"}`), Inbox: "https://a.test/i", SharedInbox: "https://a.test/s", Fetched: at}
		if err := tx.RemoteActorPut(a); err != nil {
			return err
		}
		if got, err := tx.RemoteActorGet(a.ID); err != nil || !reflect.DeepEqual(*got, a) {
			t.Errorf("actor %+v, %v", got, err)
		}
		if n, err := tx.RemoteActorPrune(at, 10); err != nil || n != 0 {
			t.Errorf("pruned %d, %v", n, err)
		}
		if n, err := tx.RemoteActorPrune(at.Add(1000), 10); err != nil || n != 1 {
			t.Errorf("pruned %d, %v", n, err)
		}
		if got, err := tx.RemoteActorGet(a.ID); err != nil || got != nil {
			t.Errorf("pruned actor %+v, %v", got, err)
		}
		if s, _, err := tx.HostSchemeGet("a.test"); err != nil || s != "" {
			t.Errorf("unknown host: %q, %v", s, err)
		}
		if err := tx.HostSchemePut("a.test", activitypub.SchemeRFC9421, at); err != nil {
			return err
		}
		if s, when, err := tx.HostSchemeGet("a.test"); err != nil || s != activitypub.SchemeRFC9421 || !when.Equal(at) {
			t.Errorf("host: %q %v, %v", s, when, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestHostMemoryLasts: what was learnt is known to the next process, for a week.
func TestHostMemoryLasts(t *testing.T) {
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := func() time.Time { return clock }
	s := openStore(t, now)
	activitypub.NewHostMemory(s, now).Remember(t.Context(), "A.test", activitypub.SchemeRFC9421)
	if got, _ := activitypub.NewHostMemory(s, now).Scheme(t.Context(), "a.test"); got != activitypub.SchemeRFC9421 {
		t.Errorf("a new process signs by %s", got)
	}
	clock = clock.Add(8 * 24 * time.Hour)
	if got, sure := activitypub.NewHostMemory(s, now).Scheme(t.Context(), "a.test"); got != activitypub.SchemeCavage || sure {
		t.Errorf("after eight days: %s, sure %v", got, sure)
	}
	m := activitypub.NewHostMemory(s, now)
	m.Remember(t.Context(), "none.test", "")
	if got, sure := m.Scheme(t.Context(), "none.test"); got != activitypub.SchemeCavage || !sure {
		t.Errorf("a host that takes nothing: %s, sure %v", got, sure)
	}
	clock = clock.Add(2 * time.Hour)
	if _, sure := m.Scheme(t.Context(), "none.test"); sure {
		t.Error("two hours later nothing may be sure")
	}
}
