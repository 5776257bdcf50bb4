package bridgetest_test

import (
	"log/slog"
	"testing"

	"footbridge/activitypub/activitypubtest"
	"footbridge/bridge"
)

// TestR38_StrangersWordsStayHome: what people who did not join reply, like, boost and follow, in both directions, leaves no
// word of theirs in anything that the bridge sent to the fediverse, in its repos or in its log (R37, R38, R104).
func TestR38_StrangersWordsStayHome(t *testing.T) {
	r := newRig(t, slog.LevelInfo, nil)
	c := &canary{mark: "stranger"}
	p := r.pair("yes all")
	sam := r.actor(activitypubtest.ActorOptions{Name: c.word("acct"), Display: c.word("name"), Summary: c.word("bio")})
	sue := r.account(c.word("handle")+".pds.test", c.word("display"), c.word("about"))
	r.skeet(p.ben, "hello from ben", nil)
	object, _ := r.arrives("Create", p.benCopy, "hello from ben").Activity["object"].(map[string]any)
	id, _ := object["id"].(string)
	r.toot(p.ana, activitypubtest.Note{Content: "<p>hello from ana</p>"})
	post := r.find(p.anaCopy, "hello from ana")
	ref := map[string]any{"uri": post.URI, "cid": post.CID}
	r.toot(sam, activitypubtest.Note{Content: "<p>" + c.word("reply") + "</p>", InReplyTo: id, Mentions: []string{p.benCopy}})
	_, err := sam.Like(t.Context(), id)
	r.must(err)
	r.skeet(sue, c.word("answer"), map[string]any{"reply": map[string]any{"root": ref, "parent": ref}})
	r.skeet(sue, c.word("quote"), map[string]any{"embed": map[string]any{"$type": "app.bsky.embed.record", "record": ref}})
	r.put(sue, "app.bsky.feed.like", "", map[string]any{"subject": ref, "createdAt": stamp()})
	r.outcome("a stranger's note", func(o bridge.Outcome) bool { return o.Kind == "Create" && o.Result == "dropped" })
	r.outcome("a stranger's post", func(o bridge.Outcome) bool { return o.Kind == "post" && o.Result == "dropped" })
	r.outcome("a stranger's like", func(o bridge.Outcome) bool { return o.Kind == "like" && o.Result == "dropped" })
	r.idle()
	for _, g := range r.w.Fedi.Inbox() {
		if found := sightings(g.Raw, c.all); len(found) > 0 && (g.Actor == p.benCopy || g.Actor == r.bot) {
			t.Errorf("sent to the fediverse: %v in %s", found, g.Raw)
		}
	}
	repo := r.fetch("GET", r.w.URL+"/xrpc/com.atproto.sync.getRepo?did="+p.anaCopy, "", nil)
	if found := sightings([]byte(repo.body), c.all); repo.status != 200 || len(found) > 0 {
		t.Errorf("the repo (status %d) has %v", repo.status, found)
	}
	if found := sightings(r.log.Bytes(), c.all); len(found) > 0 {
		t.Errorf("the log has %v", found)
	}
}
