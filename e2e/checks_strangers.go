package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// The words that strangers use: nobody else does, and they are easy to search for.
const (
	noraWord = "zyzzyva-unlikely"
	ninaWord = "quokka-improbable"
)

// strangersStay: nora and nina did not join. Each replies to, quotes, likes and boosts a bridged post; not one byte of
// their text, handle or name is in anything that left the bridge.
func (t *tale) strangersStay(ctx context.Context) error {
	if err := needed("posts of ben and fred", t.benNote != "" && t.fredURI.URI != ""); err != nil {
		return err
	}
	if err := t.noraActs(ctx); err != nil {
		return err
	}
	if err := t.ninaActs(ctx); err != nil {
		return err
	}
	// Posts that come after all of that, on both sides.
	if _, err := t.ben.create(ctx, "app.bsky.feed.post", object{"text": "After the stranger"}); err != nil {
		return err
	}
	if _, err := t.b.find(ctx, "Ben's later post", func(r received) bool { return strings.Contains(r.raw(), "After the stranger") }); err != nil {
		return err
	}
	if _, err := t.a.note(ctx, "fred", noteOptions{content: "<p>Fred after the stranger</p>"}); err != nil {
		return err
	}
	if _, err := t.w.find(ctx, t.fredCopy, "Fred after the stranger"); err != nil {
		return err
	}
	t.readCollections(ctx)
	return t.search(ctx)
}

func (t *tale) noraActs(ctx context.Context) error {
	if _, err := t.a.note(ctx, "nora", noteOptions{content: "<p>" + noraWord + " reply</p>", replyTo: t.benNote, cc: []string{t.benCopy}, recipients: []string{t.benCopy},
		tags: []object{{"type": "Mention", "href": t.benCopy, "name": "@ben"}}}); err != nil {
		return err
	}
	if _, err := t.a.note(ctx, "nora", noteOptions{content: "<p>" + noraWord + " quote</p>", extra: object{"quoteUrl": t.benNote}, recipients: []string{t.benCopy}}); err != nil {
		return err
	}
	for _, a := range []object{{"type": "Like", "object": t.benNote}, {"type": "Announce", "object": t.benNote, "to": []string{public}, "published": now()}} {
		if _, err := t.a.send(ctx, "nora", a, t.benCopy); err != nil {
			return err
		}
	}
	return nil
}

func (t *tale) ninaActs(ctx context.Context) error {
	if _, err := t.nina.put(ctx, "app.bsky.actor.profile", "self", object{"displayName": "Nina of the PDS"}); err != nil {
		return err
	}
	subject := object{"uri": t.fredURI.URI, "cid": t.fredURI.CID}
	for _, r := range []struct {
		collection string
		record     object
	}{
		{"app.bsky.feed.post", object{"text": ninaWord + " reply", "reply": object{"root": subject, "parent": subject}}},
		{"app.bsky.feed.post", object{"text": ninaWord + " quote", "embed": object{"$type": "app.bsky.embed.record", "record": subject}}},
		{"app.bsky.feed.like", object{"subject": subject}}, {"app.bsky.feed.repost", object{"subject": subject}},
	} {
		if _, err := t.nina.create(ctx, r.collection, r.record); err != nil {
			return err
		}
	}
	return nil
}

// readCollections asks the bridge for all that might list a stranger; what it answers is on the tap.
func (t *tale) readCollections(ctx context.Context) {
	pages := []string{t.benCopy + "/followers", t.benCopy + "/following", t.benCopy + "/outbox", t.benCopy + "/outbox?page=1", t.benCopy + "/followers?page=1",
		t.benNote, t.benNote + "/replies", t.benNote + "/likes", t.benNote + "/shares"}
	for _, p := range pages {
		_, _, _ = t.w.fetch(ctx, http.MethodGet, p, "application/activity+json", nil) // 404 is an answer too
	}
	for _, p := range []string{bridgeURL + "/ap/" + t.nina.did, bridgeURL + "/.well-known/webfinger?resource=acct:" + t.nina.handle + "@bridge.test"} {
		_, _, _ = t.w.fetch(ctx, http.MethodGet, p, "application/activity+json", nil)
	}
}

// search looks through everything that left the bridge for the strangers, and for words of those who joined: if it did not
// find these it would find nothing at all.
func (t *tale) search(ctx context.Context) error {
	left, err := t.left(ctx)
	if err != nil {
		return err
	}
	for where, word := range map[string]string{"firehose": "söup", "requests": "After the stranger", "answers": t.benCopy} {
		if !bytes.Contains(left[where], []byte(word)) {
			return fmt.Errorf("the search of the %s is blind: %q is not in %d bytes", where, word, len(left[where]))
		}
	}
	words := []string{noraWord, "fedi-a.test/users/nora", "nora.fedi-a.test", "nora@fedi-a.test", "Nora of Fedify", ninaWord, t.nina.handle, t.nina.did, "Nina of the PDS"}
	for where, text := range left {
		for _, word := range words {
			if i := bytes.Index(text, []byte(word)); i >= 0 {
				return fmt.Errorf("%q left the bridge in its %s: …%q…", word, where, text[max(0, i-200):min(len(text), i+100)])
			}
		}
	}
	return nil
}

// left is all that left the bridge: its firehose from the beginning, what it sent to others (their own servers' paths
// aside), what it answered, and the log of the PLC directory.
func (t *tale) left(ctx context.Context) (map[string][]byte, error) {
	firehose, err := t.w.firehose(ctx)
	if err != nil {
		return nil, err
	}
	_, plc, err := t.w.fetch(ctx, http.MethodGet, plcURL+"/export?count=1000", "", nil)
	if err != nil {
		return nil, err
	}
	left := map[string][]byte{"firehose": firehose, "directory": t.ours(plc)}
	return left, t.eachTapped(func(e tapped) error { return file(e, left) })
}

// eachTapped reads what the TLS front wrote down.
func (t *tale) eachTapped(use func(tapped) error) error {
	f, err := os.Open(t.w.tap())
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	lines := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		var e tapped
		if err == nil {
			err = json.Unmarshal(line, &e)
		}
		if err == nil {
			err = use(e)
		}
		if err != nil {
			return fmt.Errorf("reading the tap: %w", err)
		}
	}
}

// ours are the operations of the bridge: the PDS's own accounts are in the same directory.
func (t *tale) ours(export []byte) []byte {
	var out []byte
	for line := range bytes.Lines(export) {
		if bytes.Contains(line, []byte("bridge.test")) {
			out = append(out, line...)
		}
	}
	return out
}

// understood: nothing that Fedify sent so far was refused as malformed or not allowed, nor did the bridge fail on it. (401 is
// the first of two knocks.)
func (t *tale) understood(context.Context) error {
	refused, posts := map[string]int{}, 0
	err := t.eachTapped(func(e tapped) error {
		if e.Host != "bridge.test" || e.Method != http.MethodPost || !strings.HasSuffix(e.Path, "/inbox") {
			return nil
		}
		posts++
		if e.Status == http.StatusBadRequest || e.Status == http.StatusForbidden || e.Status >= 500 {
			var a struct{ Type, Actor string }
			_ = json.Unmarshal(e.Request, &a) // what is not JSON has no type
			refused[fmt.Sprintf("%d for %s of %s", e.Status, a.Type, a.Actor)]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if posts == 0 {
		return errors.New("the tap shows no post to an inbox")
	}
	if len(refused) > 0 {
		return fmt.Errorf("refused: %v", refused)
	}
	return nil
}

type tapped struct {
	Method, Host, Path, UserAgent string
	Status                        int
	Encoding                      string
	Request, Response             []byte
}

// file puts an exchange where it belongs: an answer of the bridge, a request of the bridge, or neither.
func file(e tapped, left map[string][]byte) error {
	if e.Host == "bridge.test" || strings.HasSuffix(e.Host, ".bridge.test") {
		body := e.Response
		if e.Encoding == "gzip" {
			r, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				return err
			}
			if body, err = io.ReadAll(r); err != nil {
				return err
			}
		}
		left["answers"] = append(left["answers"], body...)
		return nil
	}
	if strings.Contains(strings.ToLower(e.UserAgent), "footbridge") {
		left["requests"] = append(left["requests"], e.Request...)
	}
	return nil
}

// strangersAreUnknown: who did not join has no actor, no WebFinger and no repo here.
func (t *tale) strangersAreUnknown(ctx context.Context) error {
	if err := needed("nina", t.nina != nil); err != nil {
		return err
	}
	for _, url := range []string{
		bridgeURL + "/ap/" + t.nina.did, bridgeURL + "/.well-known/webfinger?resource=acct:" + t.nina.handle + "@bridge.test",
		"https://nora.fedi-a.test.ap.bridge.test/.well-known/atproto-did", "https://gus.fedi-b.test.ap.bridge.test/.well-known/atproto-did",
	} {
		status, _, err := t.w.fetch(ctx, http.MethodGet, url, "application/activity+json", nil)
		if err != nil {
			return err
		}
		if status != http.StatusNotFound {
			return fmt.Errorf("%s answers %d, not 404", url, status)
		}
	}
	return nil
}

// counted waits until something that the AppView counts is as it should be.
func (t *tale) counted(ctx context.Context, what string, uri string, get func(post) int, want int) error {
	return eventually(ctx, patience, func(ctx context.Context) error {
		posts, err := t.w.posts(ctx, uri)
		if err != nil {
			return err
		}
		if len(posts) != 1 || get(posts[0]) != want {
			return fmt.Errorf("the AppView does not count %d %s: %+v", want, what, posts)
		}
		return nil
	})
}

// undoOfBoostsAndFollows: what frida and ben take back is gone on the other side.
func (t *tale) undoOfBoostsAndFollows(ctx context.Context) error {
	if err := needed("both copies", t.fridaCopy != "" && t.benCopy != ""); err != nil {
		return err
	}
	p, err := t.ben.create(ctx, "app.bsky.feed.post", object{"text": "To be boosted and unboosted"})
	if err != nil {
		return err
	}
	got, err := t.b.find(ctx, "Ben's post", func(r received) bool { return r.Type == "Create" && strings.Contains(r.raw(), "boosted and unboosted") })
	if err != nil {
		return err
	}
	boosts := func(p post) int { return p.RepostCount }
	boost := object{"type": "Announce", "object": got.Object, "to": []string{public}, "published": now()}
	id, err := t.b.send(ctx, "frida", boost, t.benCopy)
	if err != nil {
		return err
	}
	if err := t.counted(ctx, "boosts", p.URI, boosts, 1); err != nil {
		return err
	}
	if _, err := t.b.send(ctx, "frida", object{"type": "Undo", "object": object{"id": id, "type": "Announce", "actor": t.b.actor("frida"), "object": got.Object}}, t.benCopy); err != nil {
		return err
	}
	if err := t.counted(ctx, "boosts", p.URI, boosts, 0); err != nil {
		return err
	}
	return t.benUnfollows(ctx)
}

func (t *tale) benUnfollows(ctx context.Context) error {
	follow, err := t.ben.create(ctx, "app.bsky.graph.follow", object{"subject": t.fridaCopy})
	if err != nil {
		return err
	}
	frida := t.b.actor("frida")
	f, err := t.b.find(ctx, "Ben's Follow of frida", func(r received) bool { return r.Type == "Follow" && r.Actor == t.benCopy && r.Object == frida })
	if err != nil {
		return err
	}
	if err := t.ben.remove(ctx, follow.URI); err != nil {
		return err
	}
	id := fmt.Sprint(f.JSON["id"])
	_, err = t.b.find(ctx, "the Undo of the Follow", func(r received) bool {
		return r.Type == "Undo" && r.Actor == t.benCopy && strings.Contains(r.raw(), id)
	})
	return err
}

// followsArePublicWhenTicked: frida's follow of ben is a record; fred's is not.
func (t *tale) followsWhenTicked(ctx context.Context) error {
	if err := needed("both copies", t.fridaCopy != "" && t.fredCopy != "" && t.ben != nil); err != nil {
		return err
	}
	return eventually(ctx, patience, func(ctx context.Context) error {
		var out struct{ Followers []struct{ DID string } }
		if err := t.w.view(ctx, "app.bsky.graph.getFollowers", map[string][]string{"actor": {t.ben.did}}, &out); err != nil {
			return err
		}
		frida := false
		for _, f := range out.Followers {
			if f.DID == t.fredCopy {
				return errors.New("fred's follow became public without its scope")
			}
			frida = frida || f.DID == t.fridaCopy
		}
		if !frida {
			return fmt.Errorf("frida does not follow ben on the AppView: %+v", out.Followers)
		}
		return nil
	})
}

// profilesFollow: a changed profile changes on the other side.
func (t *tale) profilesFollow(ctx context.Context) error {
	if err := needed("ben's copy", t.benCopy != ""); err != nil {
		return err
	}
	if _, err := t.ben.put(ctx, "app.bsky.actor.profile", "self", object{"displayName": "Ben with a new van", "description": "Drives the new van"}); err != nil {
		return err
	}
	_, err := t.a.find(ctx, "the Update of Ben", func(r received) bool {
		return r.Type == "Update" && r.Actor == t.benCopy && strings.Contains(r.raw(), "Ben with a new van")
	})
	return err
}

// warningAndLanguage: a content warning stays in front of the text, and the language is kept.
func (t *tale) warningAndLanguage(ctx context.Context) error {
	if err := needed("fred's copy", t.fredCopy != ""); err != nil {
		return err
	}
	if _, err := t.a.note(ctx, "fred", noteOptions{content: "<p>Linsensuppe mit Speck</p>",
		extra: object{"summary": "Essen, Fleisch", "sensitive": true, "contentMap": object{"de": "<p>Linsensuppe mit Speck</p>"}}}); err != nil {
		return err
	}
	p, err := t.w.find(ctx, t.fredCopy, "Essen, Fleisch")
	if err != nil {
		return err
	}
	var out struct{ Posts []struct{ Record object } }
	if err := t.w.view(ctx, "app.bsky.feed.getPosts", map[string][]string{"uris": {p.URI}}, &out); err != nil {
		return err
	}
	if langs := fmt.Sprint(out.Posts[0].Record["langs"]); langs != "[de]" {
		return fmt.Errorf("the languages are %s", langs)
	}
	return nil
}

// rejoinWaits is how long after leaving nothing may come.
const rejoinWaits = 2 * time.Second

// leaveByWord: frida says stop; her copy is gone, and what she posts afterwards stays home.
func (t *tale) leaveByWord(ctx context.Context) error {
	if err := needed("frida's copy", t.fridaCopy != ""); err != nil {
		return err
	}
	if _, err := t.b.note(ctx, "frida", noteOptions{content: "<p>stop</p>", to: []string{t.bot}, recipients: []string{t.bot}, noFollowers: true,
		tags: []object{{"type": "Mention", "href": t.bot, "name": "@bridge@bridge.test"}}}); err != nil {
		return err
	}
	if err := t.inactive(ctx, t.fridaCopy); err != nil {
		return err
	}
	if _, err := t.b.note(ctx, "frida", noteOptions{content: "<p>Left and gone</p>", recipients: []string{t.bot}}); err != nil {
		return err
	}
	return never(ctx, rejoinWaits, func(ctx context.Context) error {
		left, err := t.w.firehose(ctx)
		if err == nil && bytes.Contains(left, []byte("Left and gone")) {
			err = errors.New("a post crossed after its author had left")
		}
		return err
	})
}

// inactive waits until the AppView shows nothing of an account any more and the bridge's PDS says that it is deleted.
func (t *tale) inactive(ctx context.Context, did string) error {
	return eventually(ctx, 2*patience, func(ctx context.Context) error {
		if p, err := t.profile(ctx, did); err == nil {
			return fmt.Errorf("the AppView still shows @%s", p.Handle)
		}
		if posts, err := t.w.feed(ctx, did); err == nil && len(posts) > 0 {
			return fmt.Errorf("the AppView still shows %d posts", len(posts))
		}
		var s struct {
			Active bool
			Status string
		}
		err := t.w.call(ctx, http.MethodGet, bridgeURL+"/xrpc/com.atproto.sync.getRepoStatus?did="+did, nil, &s)
		if err == nil && (s.Active || s.Status != "deleted") {
			err = fmt.Errorf("the repo says %+v", s)
		}
		return err
	})
}
