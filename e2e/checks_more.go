package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// replies both ways are threaded: in the AppView, and by inReplyTo.
func (t *tale) replies(ctx context.Context) error {
	if err := needed("posts of fred and ben", t.fredURI.URI != "" && t.benNote != ""); err != nil {
		return err
	}
	parent := object{"uri": t.fredURI.URI, "cid": t.fredURI.CID}
	if _, err := t.ben.create(ctx, "app.bsky.feed.post", object{"text": "I bring the ladle", "reply": object{"root": parent, "parent": parent}}); err != nil {
		return err
	}
	if _, err := t.a.find(ctx, "Ben's reply", func(r received) bool {
		return r.Type == "Create" && r.Actor == t.benCopy && strings.Contains(r.raw(), "ladle") && strings.Contains(r.raw(), fmt.Sprintf(`"inReplyTo":%q`, t.fredPost["id"]))
	}); err != nil {
		return err
	}
	if _, err := t.a.note(ctx, "fred", noteOptions{content: fmt.Sprintf(`<p><a href="%s" class="u-url mention">@ben</a> lovely crates</p>`, t.benCopy), replyTo: t.benNote,
		cc: []string{t.benCopy}, recipients: []string{t.benCopy}, tags: []object{{"type": "Mention", "href": t.benCopy, "name": "@ben"}}}); err != nil {
		return err
	}
	reply, err := t.w.find(ctx, t.fredCopy, "lovely crates")
	if err != nil {
		return err
	}
	if reply.Record.Reply == nil || reply.Record.Reply.Parent.URI != t.benPost.URI {
		return fmt.Errorf("the reply's parent is %+v", reply.Record.Reply)
	}
	return eventually(ctx, patience, func(ctx context.Context) error {
		var thread struct {
			Thread struct{ Replies []struct{ Post post } }
		}
		if err := t.w.view(ctx, "app.bsky.feed.getPostThread", url.Values{"uri": {t.benPost.URI}}, &thread); err != nil {
			return err
		}
		if !slices.ContainsFunc(thread.Thread.Replies, func(r struct{ Post post }) bool { return r.Post.URI == reply.URI }) {
			return errors.New("the reply is not in the thread")
		}
		return nil
	})
}

// reactionsArrive: Ben's like and repost of fred's post arrive as activities.
func (t *tale) reactionsArrive(ctx context.Context) error {
	if err := needed("fred's post", t.fredURI.URI != ""); err != nil {
		return err
	}
	subject := object{"uri": t.fredURI.URI, "cid": t.fredURI.CID}
	for collection, typ := range map[string]string{"app.bsky.feed.like": "Like", "app.bsky.feed.repost": "Announce"} {
		if _, err := t.ben.create(ctx, collection, object{"subject": subject}); err != nil {
			return err
		}
		if _, err := t.a.find(ctx, "Ben's "+typ, func(r received) bool {
			return r.Type == typ && r.Actor == t.benCopy && r.Object == t.fredPost["id"]
		}); err != nil {
			return err
		}
	}
	if _, err := t.ben.create(ctx, "app.bsky.graph.follow", object{"subject": t.fredCopy}); err != nil {
		return err
	}
	_, err := t.a.find(ctx, "Ben's Follow", func(r received) bool {
		return r.Type == "Follow" && r.Actor == t.benCopy && r.Object == t.a.actor("fred")
	})
	return err
}

// undo of a like removes it on the other side, both ways.
func (t *tale) undo(ctx context.Context) error {
	if err := needed("posts of fred and ben", t.fredURI.URI != "" && t.benNote != ""); err != nil {
		return err
	}
	second, err := t.ben.create(ctx, "app.bsky.feed.post", object{"text": "To be liked and unliked"})
	if err != nil {
		return err
	}
	got, err := t.b.find(ctx, "Ben's second post", func(r received) bool { return r.Type == "Create" && strings.Contains(r.raw(), "liked and unliked") })
	if err != nil {
		return err
	}
	like := object{"type": "Like", "object": got.Object}
	id, err := t.b.send(ctx, "frida", like, t.benCopy)
	if err != nil {
		return err
	}
	if err := t.likes(ctx, second.URI, 1); err != nil {
		return err
	}
	if _, err := t.b.send(ctx, "frida", object{"type": "Undo", "object": object{"id": id, "type": "Like", "actor": t.b.actor("frida"), "object": got.Object}}, t.benCopy); err != nil {
		return err
	}
	if err := t.likes(ctx, second.URI, 0); err != nil {
		return err
	}
	return t.undoOfBen(ctx)
}

func (t *tale) likes(ctx context.Context, uri string, n int) error {
	return eventually(ctx, patience, func(ctx context.Context) error {
		posts, err := t.w.posts(ctx, uri)
		if err == nil && (len(posts) != 1 || posts[0].LikeCount != n) {
			err = fmt.Errorf("not %d likes: %+v", n, posts)
		}
		return err
	})
}

func (t *tale) undoOfBen(ctx context.Context) error {
	n, err := t.a.note(ctx, "fred", noteOptions{content: "<p>Like me briefly</p>"})
	if err != nil {
		return err
	}
	p, err := t.w.find(ctx, t.fredCopy, "Like me briefly")
	if err != nil {
		return err
	}
	like, err := t.ben.create(ctx, "app.bsky.feed.like", object{"subject": object{"uri": p.URI, "cid": p.CID}})
	if err != nil {
		return err
	}
	if _, err := t.a.find(ctx, "the like", func(r received) bool { return r.Type == "Like" && r.Object == n["id"] }); err != nil {
		return err
	}
	if err := t.ben.remove(ctx, like.URI); err != nil {
		return err
	}
	_, err = t.a.find(ctx, "the Undo", func(r received) bool {
		return r.Type == "Undo" && r.Actor == t.benCopy && strings.Contains(r.raw(), fmt.Sprint(n["id"]))
	})
	return err
}

// edits: an edited post is edited on the other side, both ways.
func (t *tale) edits(ctx context.Context) error {
	if err := needed("both copies", t.fredCopy != "" && t.benCopy != ""); err != nil {
		return err
	}
	n, err := t.a.note(ctx, "fred", noteOptions{content: "<p>Soup at seven</p>"})
	if err != nil {
		return err
	}
	before, err := t.w.find(ctx, t.fredCopy, "Soup at seven")
	if err != nil {
		return err
	}
	n["content"], n["updated"] = "<p>Soup at eight instead</p>", time.Now().Add(time.Second).UTC().Format(time.RFC3339)
	if _, err := t.a.send(ctx, "fred", object{"type": "Update", "object": n, "to": []string{public}}, "followers"); err != nil {
		return err
	}
	after, err := t.w.find(ctx, t.fredCopy, "Soup at eight instead")
	if err != nil {
		return err
	}
	if after.URI != before.URI {
		return fmt.Errorf("the edit made a second post: %s, %s", before.URI, after.URI)
	}
	p, err := t.ben.create(ctx, "app.bsky.feed.post", object{"text": "Van leaves at six"})
	if err != nil {
		return err
	}
	if _, err := t.a.find(ctx, "Ben's post", func(r received) bool { return r.Type == "Create" && strings.Contains(r.raw(), "leaves at six") }); err != nil {
		return err
	}
	parts := strings.Split(p.URI, "/")
	if _, err := t.ben.put(ctx, "app.bsky.feed.post", parts[len(parts)-1], object{"text": "Van leaves at nine"}); err != nil {
		return err
	}
	_, err = t.a.find(ctx, "the Update", func(r received) bool { return r.Type == "Update" && strings.Contains(r.raw(), "leaves at nine") })
	return err
}

// deletes: a deleted post is gone on the other side, both ways.
func (t *tale) deletes(ctx context.Context) error {
	if err := needed("both copies", t.fredCopy != "" && t.benCopy != ""); err != nil {
		return err
	}
	n, err := t.a.note(ctx, "fred", noteOptions{content: "<p>Delete me soon</p>"})
	if err != nil {
		return err
	}
	p, err := t.w.find(ctx, t.fredCopy, "Delete me soon")
	if err != nil {
		return err
	}
	if _, err := t.a.send(ctx, "fred", object{"type": "Delete", "object": object{"id": n["id"], "type": "Tombstone"}, "to": []string{public}}, "followers"); err != nil {
		return err
	}
	if err := t.gone(ctx, p.URI); err != nil {
		return err
	}
	mine, err := t.ben.create(ctx, "app.bsky.feed.post", object{"text": "Forget this one"})
	if err != nil {
		return err
	}
	got, err := t.a.find(ctx, "Ben's post", func(r received) bool { return r.Type == "Create" && strings.Contains(r.raw(), "Forget this one") })
	if err != nil {
		return err
	}
	if err := t.ben.remove(ctx, mine.URI); err != nil {
		return err
	}
	if _, err := t.a.find(ctx, "the Delete", func(r received) bool { return r.Type == "Delete" && strings.Contains(r.raw(), got.Object) }); err != nil {
		return err
	}
	return t.answersGone(ctx, got.Object)
}

func (t *tale) gone(ctx context.Context, uri string) error {
	return eventually(ctx, patience, func(ctx context.Context) error {
		posts, err := t.w.posts(ctx, uri)
		if err == nil && len(posts) > 0 {
			err = errors.New("the AppView still shows it")
		}
		return err
	})
}

func (t *tale) answersGone(ctx context.Context, id string) error {
	return eventually(ctx, erasurePatience, func(ctx context.Context) error {
		status, _, err := t.w.fetch(ctx, http.MethodGet, id, "application/activity+json", nil)
		if err == nil && status != http.StatusGone {
			err = fmt.Errorf("%s answers %d, not 410", id, status)
		}
		return err
	})
}

// onlyPublic: followers-only, unlisted and direct posts never appear.
func (t *tale) onlyPublic(ctx context.Context) error {
	if err := needed("fred's copy", t.fredCopy != ""); err != nil {
		return err
	}
	followers := t.a.actor("fred") + "/followers"
	for text, o := range map[string]noteOptions{
		"secret for followers": {to: []string{followers}, cc: []string{}},
		"secret and unlisted":  {to: []string{followers}, cc: []string{public}},
		"secret and direct":    {to: []string{t.benCopy}, cc: []string{}, recipients: []string{t.benCopy}, tags: []object{{"type": "Mention", "href": t.benCopy, "name": "@ben"}}},
	} {
		o.content = "<p>" + text + "</p>"
		if _, err := t.a.note(ctx, "fred", o); err != nil {
			return err
		}
	}
	if _, err := t.a.note(ctx, "fred", noteOptions{content: "<p>After the secrets</p>"}); err != nil {
		return err
	}
	if _, err := t.w.find(ctx, t.fredCopy, "After the secrets"); err != nil {
		return err
	}
	return never(ctx, 2*time.Second, func(ctx context.Context) error {
		posts, err := t.w.feed(ctx, t.fredCopy)
		if err != nil {
			return nil
		}
		for _, p := range posts {
			if strings.Contains(p.Record.Text, "secret ") {
				return fmt.Errorf("%q appeared", p.Record.Text)
			}
		}
		return nil
	})
}

// killPosts is how many posts are under way when the bridge is killed.
const killPosts = 200

// kill: SIGKILL in the middle of 200 posts, and a restart; each exists exactly once on the other side.
func (t *tale) kill(ctx context.Context) error {
	if err := needed("the copies of frida and ben", t.fridaCopy != "" && t.benCopy != ""); err != nil {
		return err
	}
	sent := make(chan error, 2)
	go func() { sent <- t.postMany(ctx) }()
	go func() { sent <- t.benPostsMany(ctx) }()
	err := eventually(ctx, 2*patience, func(ctx context.Context) error {
		posts, err := t.w.feed(ctx, t.fridaCopy)
		if err == nil && len(posts) < 20 {
			err = errors.New("not yet under way")
		}
		return err
	})
	if err != nil {
		return err
	}
	t.w.killBridge()
	if err := t.w.startBridge(ctx); err != nil {
		return err
	}
	if err := errors.Join(<-sent, <-sent); err != nil {
		return err
	}
	if err := t.exactlyOnce(ctx); err != nil {
		return err
	}
	return t.bensExactlyOnce(ctx)
}

func (t *tale) benPostsMany(ctx context.Context) error {
	for i := range killPosts {
		if _, err := t.ben.create(ctx, "app.bsky.feed.post", object{"text": fmt.Sprintf("crate %03d of many", i)}); err != nil {
			return err
		}
	}
	return nil
}

// bensExactlyOnce: each of Ben's posts came to Fedify in one Create, under one id.
func (t *tale) bensExactlyOnce(ctx context.Context) error {
	return eventually(ctx, 3*time.Minute, func(ctx context.Context) error {
		all, err := t.a.log(ctx)
		if err != nil {
			return err
		}
		came := map[string]int{}
		for _, r := range all {
			if note, ok := r.JSON["object"].(object); ok && r.Type == "Create" && r.Actor == t.benCopy {
				if _, text, found := strings.Cut(fmt.Sprint(note["content"]), "crate "); found {
					came[text[:3]]++
				}
			}
		}
		for i := range killPosts {
			if n := came[fmt.Sprintf("%03d", i)]; n != 1 {
				return fmt.Errorf("crate %03d came %d times (%d different ones did)", i, n, len(came))
			}
		}
		return nil
	})
}

func (t *tale) postMany(ctx context.Context) error {
	var group sync.WaitGroup
	errs := make(chan error, killPosts)
	slots := make(chan struct{}, 8)
	for i := range killPosts {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			f := &fedi{w: t.w, origin: t.b.origin, seq: 1000 + i*10}
			_, err := f.note(ctx, "frida", noteOptions{content: fmt.Sprintf("<p>ration %03d of many</p>", i)})
			errs <- err
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tale) exactlyOnce(ctx context.Context) error {
	return eventually(ctx, 3*time.Minute, func(ctx context.Context) error {
		posts, err := t.w.feed(ctx, t.fridaCopy)
		if err != nil {
			return err
		}
		seen := map[string]int{}
		for _, p := range posts {
			seen[p.Record.Text]++
		}
		for i := range killPosts {
			text := fmt.Sprintf("ration %03d of many", i)
			if seen[text] != 1 {
				return fmt.Errorf("%q is there %d times (%d posts in all)", text, seen[text], len(posts))
			}
		}
		return nil
	})
}

// leaveFediverse: blocking the bot removes every record, and the account is inactive.
func (t *tale) leaveFediverse(ctx context.Context) error {
	if err := needed("fred's copy", t.fredCopy != ""); err != nil {
		return err
	}
	if _, err := t.a.send(ctx, "fred", object{"type": "Block", "object": t.bot}, t.bot); err != nil {
		return err
	}
	if err := t.gone(ctx, t.fredURI.URI); err != nil {
		return err
	}
	return t.inactive(ctx, t.fredCopy)
}

// erasurePatience is how long an actor may go on showing its key, with which hundreds of Deletes are verified.
const erasurePatience = 4 * time.Minute

// leaveATmosphere: Fedify gets the Deletes, and the actor answers 410.
func (t *tale) leaveATmosphere(ctx context.Context) error {
	if err := needed("ben's copy", t.benCopy != "" && t.benNote != ""); err != nil {
		return err
	}
	if _, err := t.ben.create(ctx, "app.bsky.graph.block", object{"subject": t.botDID}); err != nil {
		return err
	}
	for what, id := range map[string]string{"the Delete of the actor": t.benCopy, "the Delete of a post": t.benNote} {
		for _, f := range []*fedi{t.a, t.b} {
			if _, err := f.find(ctx, what, func(r received) bool { return r.Type == "Delete" && r.Actor == t.benCopy && r.Object == id }); err != nil {
				return err
			}
		}
	}
	if err := t.answersGone(ctx, t.benCopy); err != nil {
		return err
	}
	return t.answersGone(ctx, t.benNote)
}
