package atprototest_test

import (
	"context"
	"footbridge/atproto/atprototest"
	"testing"
	"time"
)

func start(t *testing.T, o atprototest.Options) *atprototest.Network {
	t.Helper()
	n, err := atprototest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func eventually(t *testing.T, n *atprototest.Network, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if n.Eventually(ctx, cond) != nil {
		t.Fatalf("did not happen: %s; relay rejected %v; appview skipped %v", what, n.Relay.Rejected(), n.AppView.Faults())
	}
}

type view struct {
	Thread struct {
		Post struct {
			URI, CID               string
			LikeCount, RepostCount int
			Author                 struct{ Handle, DisplayName string }
			Record                 struct{ Text string }
		}
		Replies []struct {
			Post struct {
				Record struct{ Text string }
				Author struct{ Handle string }
			}
		}
	}
}

// A conversation between two PDSes is seen whole by the AppView, and the strict relay refuses nothing.
func TestNetworkCarriesAConversation(t *testing.T) {
	n := start(t, atprototest.Options{PDSCount: 2})
	account, ref := must[*atprototest.Account](t), must[atprototest.Ref](t)
	alice := account(n.CreateAccount("Alice"))
	bob := account(n.CreateAccountOn(1, "Bob"))
	post := ref(n.Post(alice, "hello 🌉", nil))
	reply := ref(n.Reply(bob, "hi", post, post))
	ref(n.Like(bob, post))
	ref(n.Like(bob, post)) // counts once
	ref(n.Repost(bob, post))
	ref(n.Follow(bob, alice.DID))
	img := ref(n.PostImage(alice, "picture", "a dot", []byte("not really an image"), "image/png"))

	var v view
	eventually(t, n, "the thread", func() bool {
		err := n.Get(t.Context(), "app.bsky.feed.getPostThread", map[string][]string{"uri": {post.URI}}, &v)
		return err == nil && len(v.Thread.Replies) == 1 && v.Thread.Post.LikeCount == 1 && v.Thread.Post.RepostCount == 1
	})
	if got := v.Thread.Post.Author; got.Handle != "alice.pds.test" || got.DisplayName != "Alice" {
		t.Errorf("author %+v", got)
	}
	if v.Thread.Replies[0].Post.Author.Handle != "bob.pds1.test" {
		t.Errorf("reply %+v", v.Thread.Replies[0])
	}
	var posts struct {
		Posts []struct {
			Embed struct {
				Images []struct{ Fullsize, Alt string }
			}
		}
	}
	eventually(t, n, "the image", func() bool {
		err := n.Get(t.Context(), "app.bsky.feed.getPosts", map[string][]string{"uris": {img.URI}}, &posts)
		return err == nil && len(posts.Posts) == 1 && len(posts.Posts[0].Embed.Images) == 1 && posts.Posts[0].Embed.Images[0].Fullsize != ""
	})
	if err := n.Delete(reply); err != nil {
		t.Fatal(err)
	}
	eventually(t, n, "the deletion", func() bool {
		var v view
		err := n.Get(t.Context(), "app.bsky.feed.getPostThread", map[string][]string{"uri": {post.URI}}, &v)
		return err == nil && len(v.Thread.Replies) == 0
	})
	if r := n.Relay.Rejected(); len(r) != 0 {
		t.Errorf("the relay rejected %v", r)
	}
	if f := n.AppView.Faults(); len(f) != 0 {
		t.Errorf("the AppView skipped %v", f)
	}
}
