package bridgetest_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"footbridge/activitypub/activitypubtest"
	"footbridge/bridge"
	"footbridge/bridge/store"
	"footbridge/identity"
	"footbridge/identity/consent"
)

// pair are two members who follow each other's copies.
type pair struct {
	ana               *activitypubtest.Actor
	ben               *account
	anaCopy, benCopy  string
	anaHandle         string
	receipt, benHello string
}

func (r *rig) pair(yes string) *pair {
	r.t.Helper()
	p := &pair{ana: r.actor(activitypubtest.ActorOptions{Name: "ana", Display: "Ana", Summary: "<p>Soup.</p>"}), ben: r.account("ben.pds.test", "Ben", "The van.")}
	p.receipt, p.anaHandle = r.joinFediverse(p.ana, yes)
	p.anaCopy = r.profile(p.anaHandle).DID
	p.benCopy = r.joinAT(p.ben, "ben.pds.test", yes)
	r.follows(p.ana, p.benCopy)
	return p
}

var leaveLink = regexp.MustCompile(`https?://[^\s"<>]+/leave/[A-Za-z0-9_-]+`)

// press opens the link of a receipt and presses its button; looking alone changes nothing.
func (r *rig) press(text string) {
	r.t.Helper()
	link := leaveLink.FindString(text)
	if link == "" {
		r.t.Fatalf("no link in the receipt: %s", text)
	}
	if a := r.fetch(http.MethodGet, link, "text/html", nil); a.status != http.StatusOK {
		r.t.Fatalf("the link answers %d", a.status)
	}
	if a := r.fetch(http.MethodPost, link, "text/html", url.Values{}); a.status != http.StatusOK {
		r.t.Fatalf("the button answers %d: %s", a.status, a.body)
	}
}

// TestR13_SixWaysOutOfTheFediverse: each way ends in an erased copy.
func TestR13_SixWaysOutOfTheFediverse(t *testing.T) {
	ways := map[string]func(*rig, *activitypubtest.Actor, string){
		"block": func(r *rig, a *activitypubtest.Actor, _ string) {
			_, err := a.Block(r.t.Context(), r.bot)
			r.must(err)
		},
		"stop": func(r *rig, a *activitypubtest.Actor, _ string) { r.tell(a, "Stop, please!") },
		"link": func(r *rig, _ *activitypubtest.Actor, receipt string) { r.press(receipt) },
		"desk": func(r *rig, a *activitypubtest.Actor, _ string) { r.change(identity.Subject(a.ID), withdrawOnPage) },
		"tag": func(r *rig, a *activitypubtest.Actor, _ string) {
			r.must(a.UpdateProfile(r.t.Context(), "Ana", "<p>No bridges. #nobridge</p>", nil))
		},
		"deleted": func(r *rig, a *activitypubtest.Actor, _ string) { r.must(a.DeleteAccount(r.t.Context())) },
	}
	r := newRig(t, slog.LevelInfo, nil)
	for name, leave := range ways {
		t.Run(name, func(t *testing.T) {
			r := r.in(t)
			a := r.actor(activitypubtest.ActorOptions{Name: "ana" + name, Display: "Ana", Summary: "<p>Soup.</p>"})
			receipt, handle := r.joinFediverse(a, "yes")
			did := r.profile(handle).DID
			r.toot(a, activitypubtest.Note{Content: "<p>before leaving</p>"})
			r.find(did, "before leaving")
			leave(r, a, receipt)
			r.noProfile(did)
			r.state(identity.Subject(a.ID), consent.Erased)
		})
	}
}

// TestR13_SixWaysOutOfTheATmosphere: the same on the other side.
func TestR13_SixWaysOutOfTheATmosphere(t *testing.T) {
	r := newRig(t, slog.LevelInfo, withChat)
	ways := map[string]func(*rig, *account, string){
		"block": func(r *rig, a *account, _ string) {
			r.put(a, "app.bsky.graph.block", "", map[string]any{"subject": r.botDID, "createdAt": stamp()})
		},
		"stop": func(r *rig, a *account, _ string) { r.must(r.w.AT.Chat.Send(string(a.DID), r.botDID, "stop")) },
		"link": func(r *rig, a *account, _ string) { r.press(r.chatted(a, "/leave/")) },
		"record": func(r *rig, a *account, _ string) {
			r.must(r.w.AT.PDS.Delete(fmt.Sprintf("at://%s/%s/self", a.DID, r.collection)))
		},
		"tag": func(r *rig, a *account, _ string) {
			r.put(a, "app.bsky.actor.profile", "self", map[string]any{"displayName": "Ben", "description": "#nobridge"})
		},
		"deleted": func(r *rig, a *account, _ string) { r.w.AT.PDS.SetStatus(a, "deleted") },
	}
	for name, leave := range ways {
		t.Run(name, func(t *testing.T) {
			r := r.in(t)
			handle := "ben" + name + ".pds.test"
			a := r.account(handle, "Ben", "The van.")
			copied := r.joinAT(a, handle, "yes")
			fan := r.actor(activitypubtest.ActorOptions{Name: "fan" + name, Display: "Fan"})
			r.follows(fan, copied)
			r.skeet(a, "before leaving", nil)
			r.arrives("Create", copied, "before leaving")
			leave(r, a, copied)
			r.arrives("Delete", copied, copied)
			r.awaitStatus(copied, http.StatusGone)
			r.state(identity.Subject(a.DID), consent.Erased)
		})
	}
}

// in lets a subtest use a world that others share.
func (r *rig) in(t *testing.T) *rig {
	one := &rig{t: t, w: r.w, dir: r.dir, view: r.view, http: r.http, log: r.log, clock: r.clock, bot: r.bot, botDID: r.botDID, collection: r.collection}
	return one
}

// chatted waits for a message of the bot by chat.
func (r *rig) chatted(a *account, piece string) (text string) {
	r.t.Helper()
	r.eventually("a chat message with "+piece, func(context.Context) error {
		for _, m := range r.w.AT.Chat.Messages(string(a.DID), r.botDID) {
			if m.From == r.botDID && strings.Contains(m.Text, piece) {
				text = m.Text
				return nil
			}
		}
		return fmt.Errorf("not in %+v", r.w.AT.Chat.Messages(string(a.DID), r.botDID))
	})
	return text
}

// change does what a page does after a sign-in.
func (r *rig) change(s identity.Subject, f func(*consent.Desk, bridge.Tx, identity.Subject) (consent.Change, error)) {
	r.t.Helper()
	app := r.w.App()
	r.must(store.Room[bridge.Tx]{DB: app.DB}.Update(r.t.Context(), func(tx bridge.Tx) error {
		ch, err := f(app.Desk, tx, s)
		if err != nil {
			return err
		}
		return app.Bridge.Apply(tx, s, ch)
	}))
}

func withdrawOnPage(d *consent.Desk, tx bridge.Tx, s identity.Subject) (consent.Change, error) {
	return d.Withdraw(tx, s, consent.Evidence{Type: consent.E1, Raw: []byte("form")})
}

func (r *rig) state(s identity.Subject, want consent.State) {
	r.t.Helper()
	app := r.w.App()
	r.eventually(fmt.Sprintf("the state %s", want), func(ctx context.Context) error {
		return store.Room[consent.Tx]{DB: app.DB}.View(ctx, func(tx consent.Tx) error {
			h, err := app.Desk.History(tx, s)
			if err == nil && h.State != want {
				err = fmt.Errorf("it is %s %s", h.State, h.Reason)
			}
			return err
		})
	})
}

// TestR13_PauseHidesAndResumeBringsBack: nothing is destroyed. A hidden repo is deactivated, a hidden actor is not found,
// never gone, and both are the same afterwards.
func TestR13_PauseHidesAndResumeBringsBack(t *testing.T) {
	r := newRig(t, slog.LevelInfo, withChat)
	p := r.pair("yes all")
	r.toot(p.ana, activitypubtest.Note{Content: "<p>kept through the pause</p>"})
	kept := r.find(p.anaCopy, "kept through the pause")
	r.skeet(p.ben, "also kept", nil)
	got := r.arrives("Create", p.benCopy, "also kept")
	object, _ := got.Activity["object"].(map[string]any)
	id, _ := object["id"].(string)
	r.w.Fedi.ClearInbox()

	r.tell(p.ana, "pause")
	r.must(r.w.AT.Chat.Send(string(p.ben.DID), r.botDID, "pause"))
	r.noProfile(p.anaCopy)
	for _, link := range []string{p.benCopy, id} {
		r.awaitStatus(link, http.StatusNotFound)
	}
	if s := r.repoStatus(p.anaCopy); s != "deactivated" {
		t.Errorf("a paused repo is %q", s)
	}
	r.skeet(p.ben, "said while paused", nil)
	r.toot(p.ana, activitypubtest.Note{Content: "<p>tooted while paused</p>"})
	r.idle()
	for _, g := range r.w.Fedi.Inbox() {
		if g.Actor == p.benCopy {
			t.Errorf("a paused copy sent %s", g.Raw)
		}
	}
	r.tell(p.ana, "resume")
	r.must(r.w.AT.Chat.Send(string(p.ben.DID), r.botDID, "resume"))
	r.awaitStatus(p.benCopy, http.StatusOK)
	r.awaitStatus(id, http.StatusOK)
	if back := r.find(p.anaCopy, "kept through the pause"); back.URI != kept.URI || back.CID != kept.CID {
		t.Error("the post came back as another one")
	}
	r.skeet(p.ben, "after the pause", nil)
	r.arrives("Create", p.benCopy, "after the pause")
}

func (r *rig) repoStatus(did string) string {
	r.t.Helper()
	var s struct {
		Active bool
		Status string
	}
	r.getJSON(r.w.URL+"/xrpc/com.atproto.sync.getRepoStatus?did="+did, &s)
	if s.Active {
		return "active"
	}
	return s.Status
}

// TestR110_PanicHidesAndCannotBeUndoneAtOnce: hidden within ten seconds; `resume` right after it, as a thief would write
// it, does nothing (R111).
func TestR110_PanicHidesAndCannotBeUndoneAtOnce(t *testing.T) {
	r := newRig(t, slog.LevelInfo, withChat)
	p := r.pair("yes all")
	began := time.Now()
	r.tell(p.ana, "PANIC!!")
	r.must(r.w.AT.Chat.Send(string(p.ben.DID), r.botDID, "panic"))
	r.noProfile(p.anaCopy)
	r.awaitStatus(p.benCopy, http.StatusNotFound)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("hiding took %s", took)
	}
	r.tell(p.ana, "resume")
	r.must(r.w.AT.Chat.Send(string(p.ben.DID), r.botDID, "resume"))
	r.idle()
	for _, s := range []identity.Subject{identity.Subject(p.ana.ID), identity.Subject(p.ben.DID)} {
		r.state(s, consent.Paused)
	}
	if a := r.get(p.benCopy); a.status != http.StatusNotFound {
		t.Errorf("after resume the copy answers %d", a.status)
	}
	if s := r.repoStatus(p.anaCopy); s != "deactivated" {
		t.Errorf("after resume the repo is %q", s)
	}
	r.clock.Advance(48 * time.Hour)
	r.tell(p.ana, "resume") // R111: a message is no E1, whenever it comes
	r.idle()
	if s := r.repoStatus(p.anaCopy); s != "deactivated" {
		t.Errorf("a message two days later made the repo %q", s)
	}
}

// TestR7_NarrowingTakesEffectAtOnce: the next like is not carried, posts still are.
func TestR7_NarrowingTakesEffectAtOnce(t *testing.T) {
	r := newRig(t, slog.LevelInfo, nil)
	p := r.pair("yes all")
	r.skeet(p.ben, "the first", nil)
	got := r.arrives("Create", p.benCopy, "the first")
	object, _ := got.Activity["object"].(map[string]any)
	id, _ := object["id"].(string)
	r.change(identity.Subject(p.ana.ID), func(d *consent.Desk, tx bridge.Tx, s identity.Subject) (consent.Change, error) {
		return d.Narrow(tx, s, []consent.Scope{consent.ScopeLikes}, consent.Evidence{Type: consent.E1, Raw: []byte("form")})
	})
	_, err := p.ana.Like(t.Context(), id)
	r.must(err)
	r.outcome("a like without a grant", func(o bridge.Outcome) bool { return o.Kind == "Like" && o.Result == "dropped" })
	r.toot(p.ana, activitypubtest.Note{Content: "<p>still carried</p>"})
	r.find(p.anaCopy, "still carried")
	if n := r.records(p.anaCopy, "app.bsky.feed.like"); n != 0 {
		t.Errorf("%d likes were published", n)
	}
}

// records counts what a copy's repo has in a collection.
func (r *rig) records(did, collection string) int {
	r.t.Helper()
	var out struct{ Records []any }
	r.getJSON(r.w.URL+"/xrpc/com.atproto.repo.listRecords?repo="+did+"&collection="+collection+"&limit=100", &out)
	return len(out.Records)
}

// TestR12_GrantsEnd: after a year both copies are hidden, and 60 days later erased, without anybody doing anything.
func TestR12_GrantsEnd(t *testing.T) {
	r := newRig(t, slog.LevelInfo, nil)
	p := r.pair("yes")
	r.clock.Advance(366 * 24 * time.Hour)
	r.noProfile(p.anaCopy)
	r.awaitStatus(p.benCopy, http.StatusNotFound)
	for _, s := range []identity.Subject{identity.Subject(p.ana.ID), identity.Subject(p.ben.DID)} {
		r.state(s, consent.Paused)
	}
	r.idle() // the hourly look has ended and planned its next
	r.clock.Advance(61 * 24 * time.Hour)
	r.awaitStatus(p.benCopy, http.StatusGone)
	for _, s := range []identity.Subject{identity.Subject(p.ana.ID), identity.Subject(p.ben.DID)} {
		r.state(s, consent.Erased)
	}
}

// TestR28_DeletedWhilePausedStaysDeleted: what somebody deletes while their copies are hidden is gone when they come back.
func TestR28_DeletedWhilePausedStaysDeleted(t *testing.T) {
	r := newRig(t, slog.LevelInfo, withChat)
	p := r.pair("yes all")
	doomed := r.toot(p.ana, activitypubtest.Note{Content: "<p>gone during the pause</p>"})
	r.toot(p.ana, activitypubtest.Note{Content: "<p>stays through it</p>"})
	r.find(p.anaCopy, "gone during the pause")
	r.find(p.anaCopy, "stays through it")
	ref := r.skeet(p.ben, "ben deletes this", nil)
	got := r.arrives("Create", p.benCopy, "ben deletes this")
	object, _ := got.Activity["object"].(map[string]any)
	id, _ := object["id"].(string)

	r.tell(p.ana, "pause")
	r.must(r.w.AT.Chat.Send(string(p.ben.DID), r.botDID, "pause"))
	r.noProfile(p.anaCopy)
	r.awaitStatus(p.benCopy, http.StatusNotFound)
	r.must(p.ana.Delete(t.Context(), doomed.ID))
	r.must(r.w.AT.Delete(ref))
	r.arrives("Delete", p.benCopy, id)
	r.idle()
	r.tell(p.ana, "resume")
	r.must(r.w.AT.Chat.Send(string(p.ben.DID), r.botDID, "resume"))
	r.find(p.anaCopy, "stays through it")
	posts, err := r.view.Feed(t.Context(), p.anaCopy)
	r.must(err)
	for _, one := range posts {
		if one.Record.Text == "gone during the pause" {
			t.Error("a post that was deleted during the pause is back")
		}
	}
	r.awaitStatus(id, http.StatusGone)
}
