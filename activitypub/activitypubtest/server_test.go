package activitypubtest

import (
	"context"
	"testing"
	"time"
)

// TestTwoServers lets all dialects follow, post to and read each other: the fakes must get along among themselves.
func TestTwoServers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	servers := make([]*Server, 0, len(dialects))
	people := make([]*Actor, 0, len(dialects))
	for _, d := range Dialects() {
		s := New(Options{Dialect: d, Seed: 1})
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		a, err := s.Actor("anna")
		if err != nil {
			t.Fatal(err)
		}
		servers, people = append(servers, s), append(people, a)
	}
	for i, a := range people {
		b, home := people[(i+1)%len(people)], servers[(i+1)%len(people)]
		if _, err := a.Follow(ctx, b.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := servers[i].WaitType(ctx, "Accept", b.ID); err != nil {
			t.Fatal(err)
		}
		p, err := b.Post(ctx, Note{Content: "<p>hi</p>", Title: "Title", Tags: []string{"x"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := servers[i].WaitType(ctx, "Create", b.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Like(ctx, p.ID); err != nil {
			t.Error(err)
		}
		if _, err := a.Post(ctx, Note{Content: "<p>re</p>", InReplyTo: p.ID}); err != nil {
			t.Error(err)
		}
		if _, err := home.Wait(ctx, func(r Received) bool { return r.Type == "Create" && r.Actor == a.ID }); err != nil {
			t.Error(err)
		}
	}
}

// TestHoldAndDuplicate covers what tests of disorder rely on.
func TestHoldAndDuplicate(t *testing.T) {
	a, b := New(Options{Duplicate: 1}), New(Options{})
	for _, s := range []*Server{a, b} {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
	}
	alice, err := a.Actor("alice")
	if err != nil {
		t.Fatal(err)
	}
	bob, err := b.Actor("bob")
	if err != nil {
		t.Fatal(err)
	}
	a.Hold()
	if _, err := alice.Block(t.Context(), bob.ID); err != nil {
		t.Fatal(err)
	}
	if n := len(b.Inbox()); n != 0 {
		t.Errorf("%d arrived while held", n)
	}
	if err := a.Release(true); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Block(t.Context(), bob.ID); err != nil {
		t.Fatal(err)
	}
	if n := len(b.Inbox()); n != 3 {
		t.Errorf("%d arrived, want one held and one twice", n)
	}
	b.Fail(503)
	if _, err := alice.Block(t.Context(), bob.ID); err == nil {
		t.Error("a failing server took it")
	}
}
