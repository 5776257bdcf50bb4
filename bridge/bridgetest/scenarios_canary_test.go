package bridgetest_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"footbridge/activitypub/activitypubtest"
	"footbridge/bridge/store"
	"footbridge/cmd/footbridge/app"
	"footbridge/identity/consent"
)

// canary makes words that stand nowhere else.
type canary struct {
	mark string
	all  []string
}

func (c *canary) word(field string) string {
	w := fmt.Sprintf("zq%s%sxj", c.mark, field)
	c.all = append(c.all, w)
	return w
}

// testCard is a picture whose bytes the test can recognise.
func testCard() []byte {
	img := image.NewRGBA(image.Rect(0, 0, 64, 48))
	for x := range 64 {
		img.Set(x, x/2, color.RGBA{200, 30, 90, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}

// TestR23_CanaryNothingIsLeft: two members with a word of its own in every field join, write, react and leave. After the
// erasure nothing that the bridge keeps holds any of the words, nor their native ids (R16, R23, R33, issue 4).
func TestR23_CanaryNothingIsLeft(t *testing.T) {
	r := newRig(t, slog.LevelDebug, withChat)
	a, b := &canary{mark: "fedi"}, &canary{mark: "atmo"}
	ana := r.actor(activitypubtest.ActorOptions{Name: a.word("acct"), Display: "Ana " + a.word("name"), Summary: "<p>" + a.word("bio") + "</p>",
		Fields: [][2]string{{a.word("label"), a.word("value")}}, Icon: r.w.Fedi.AddMedia(a.word("icon")+".png", "image/png", testCard())})
	ben := r.account(b.word("acct")+".pds.test", "Ben "+b.word("name"), b.word("bio"))
	a.all, b.all = append(a.all, ana.ID), append(b.all, string(ben.DID))
	_, handle := r.joinFediverse(ana, "yes all")
	copied := r.profile(handle).DID
	benCopy := r.joinAT(ben, b.all[0]+".pds.test", "yes all")
	r.canaryLife(ana, ben, a, b, copied, benCopy)

	r.tell(ana, "stop")
	r.must(r.w.AT.Chat.Send(string(ben.DID), r.botDID, "stop"))
	r.noProfile(copied)
	r.awaitStatus(benCopy, http.StatusGone)
	r.idle()
	r.checkErased(append(a.all, b.all...))
	r.clock.Advance(15 * 24 * time.Hour) // the DID's grace and the checks that follow an erasure
	r.idle()
	r.checkErased(append(a.all, b.all...))
	r.awaitStatus(benCopy, http.StatusGone)
	r.audit()
}

// canaryLife is what the two do before they leave.
func (r *rig) canaryLife(ana *activitypubtest.Actor, ben *account, a, b *canary, copied, benCopy string) {
	r.t.Helper()
	r.follows(ana, benCopy)
	r.put(ben, "app.bsky.graph.follow", "", map[string]any{"subject": copied, "createdAt": stamp()})
	r.arrives("Follow", benCopy, ana.ID)
	media := r.w.Fedi.AddMedia(a.word("file")+".png", "image/png", testCard())
	word := a.word("post")
	r.toot(ana, activitypubtest.Note{
		Content:     `<p>` + word + ` <a href="https://` + a.word("linkhost") + `.example/` + a.word("linkpath") + `">a link</a></p>`,
		Attachments: []activitypubtest.Attachment{{URL: media, Mime: "image/png", Alt: a.word("alt"), Width: 64, Height: 48}}, Tags: []string{a.word("tag")},
	})
	post := r.find(copied, word)
	ref := map[string]any{"uri": post.URI, "cid": post.CID}
	blob, err := r.w.AT.PDS.Upload(ben, testCard(), "image/png")
	r.must(err)
	said := b.word("reply")
	r.skeet(ben, said, map[string]any{"reply": map[string]any{"root": ref, "parent": ref}})
	image := b.word("post")
	r.skeet(ben, image, map[string]any{"embed": map[string]any{"$type": "app.bsky.embed.images",
		"images": []any{map[string]any{"image": blob, "alt": b.word("alt")}}}})
	r.put(ben, "app.bsky.feed.like", "", map[string]any{"subject": ref, "createdAt": stamp()})
	r.put(ben, "app.bsky.feed.repost", "", map[string]any{"subject": ref, "createdAt": stamp()})
	reply := r.arrives("Create", benCopy, said)
	r.arrives("Create", benCopy, image)
	r.arrives("Like", benCopy, "Like")
	r.arrives("Announce", benCopy, "Announce")
	object, _ := reply.Activity["object"].(map[string]any)
	id, _ := object["id"].(string)
	_, err = ana.Like(r.t.Context(), id)
	r.must(err)
	answer := a.word("answer")
	r.toot(ana, activitypubtest.Note{Content: "<p>" + answer + "</p>", InReplyTo: id, Mentions: []string{benCopy}})
	r.find(copied, answer)
	r.tell(ana, a.word("message"))
	r.must(r.w.AT.Chat.Send(string(ben.DID), r.botDID, b.word("message")))
	r.heard(ana.ID, "help")
	r.toot(ana, activitypubtest.Note{Content: "<p>" + a.word("private") + "</p>", Visibility: activitypubtest.Followers})
}

// checkErased reports every place where one of the words still stands.
func (r *rig) checkErased(words []string) {
	r.t.Helper()
	r.eventually("an empty write-ahead log", func(ctx context.Context) error {
		if wiped, err := r.w.App().DB.Wipe(ctx); err != nil || !wiped {
			return fmt.Errorf("not emptied: %w", err)
		}
		return nil
	})
	found := r.remains(words)
	for _, f := range found[:min(len(found), 40)] {
		r.t.Error("left after the erasure: ", f)
	}
	if len(found) > 0 {
		r.t.Log(strings.Join(r.pending(), "\n"))
		for _, line := range strings.Split(string(r.log.Bytes()), "\n") {
			if strings.Contains(line, "level=ERROR") || strings.Contains(line, "level=WARN") {
				r.t.Log(line)
			}
		}
	}
	if len(found) > 40 {
		r.t.Errorf("and %d more", len(found)-40)
	}
}

// audit verifies the whole ledger.
func (r *rig) audit() {
	r.t.Helper()
	desk, key, err := app.OpenDesk(r.w.App().Config)
	r.must(err)
	var got consent.Audit
	err = store.Room[consent.Tx]{DB: r.w.App().DB}.View(r.t.Context(), func(tx consent.Tx) (err error) {
		got, err = desk.Audit(tx, key)
		return err
	})
	r.must(err)
	if len(got.Problems) > 0 || got.Entries == 0 {
		r.t.Errorf("the audit: %+v", got)
	}
}
