package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/url"
	"slices"
	"strings"
	"time"
)

const altText = "A red van — “open” door, 3 crates & a dog 🐕"

// fediversePost: link, hashtag, mention of a bridged person, image with alt text, all in getPostThread.
func (t *tale) fediversePost(ctx context.Context) error {
	if err := needed("fred's copy and ben's", t.fredCopy != "" && t.benCopy != ""); err != nil {
		return err
	}
	content := fmt.Sprintf(`<p>Ünïcode söup 🍲 with <a href="%s" class="u-url mention">@<span>ben</span></a> at <a href="https://soup.example/where?x=1">soup.example/where</a> <a href="%s/tags/mutualaid" class="mention hashtag">#<span>MutualAid</span></a></p>`, t.benCopy, fediA)
	n, err := t.a.note(ctx, "fred", noteOptions{content: content, cc: []string{t.benCopy}, recipients: []string{t.benCopy},
		tags:        []object{{"type": "Mention", "href": t.benCopy, "name": "@" + t.ben.handle + "@bridge.test"}, {"type": "Hashtag", "href": fediA + "/tags/mutualaid", "name": "#MutualAid"}},
		attachments: []object{{"type": "Document", "mediaType": "image/png", "url": fediA + "/media/van.png", "name": altText, "width": 8, "height": 6}}})
	if err != nil {
		return err
	}
	t.fredPost = n
	p, err := t.w.find(ctx, t.fredCopy, "söup")
	if err != nil {
		return err
	}
	t.fredURI = ref{p.URI, p.CID}
	var thread struct{ Thread struct{ Post post } }
	if err := t.w.view(ctx, "app.bsky.feed.getPostThread", url.Values{"uri": {p.URI}}, &thread); err != nil {
		return err
	}
	return t.inspect(thread.Thread.Post)
}

func (t *tale) inspect(p post) error {
	images, _ := p.Record.Embed["images"].([]any)
	if len(images) != 1 {
		return fmt.Errorf("the embed is %v", p.Record.Embed)
	}
	if alt := images[0].(object)["alt"]; alt != altText {
		return fmt.Errorf("the alt text became %q", alt)
	}
	want := map[string]string{"mention": "@ben", "tag": "#MutualAid", "link": "soup.example"}
	for _, f := range p.Record.Facets {
		index, _ := f["index"].(object)
		from, _ := index["byteStart"].(float64)
		to, _ := index["byteEnd"].(float64)
		feature := f["features"].([]any)[0].(object)
		kind := strings.TrimPrefix(fmt.Sprint(feature["$type"]), "app.bsky.richtext.facet#")
		marked := p.Record.Text[int(from):int(to)]
		if !strings.HasPrefix(marked, want[kind]) {
			return fmt.Errorf("the %s facet marks %q", kind, marked)
		}
		if kind == "mention" && feature["did"] != t.ben.did {
			return fmt.Errorf("the mention is of %v", feature["did"])
		}
		delete(want, kind)
	}
	if len(want) > 0 {
		return fmt.Errorf("these facets are missing: %v in %q", want, p.Record.Text)
	}
	return nil
}

func picture() ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, 64, 48))
	for y := range 48 {
		for x := range 64 {
			img.Set(x, y, color.RGBA{uint8(4 * x), uint8(5 * y), 90, 255})
		}
	}
	var b bytes.Buffer
	err := png.Encode(&b, img)
	return b.Bytes(), err
}

// atmospherePost: a post with an image at Fedify, name identical, contentMap right.
func (t *tale) atmospherePost(ctx context.Context) error {
	if err := needed("ben's copy", t.benCopy != ""); err != nil {
		return err
	}
	data, err := picture()
	if err != nil {
		return err
	}
	blob, err := t.ben.upload(ctx, data, "image/png")
	if err != nil {
		return err
	}
	t.benPost, err = t.ben.create(ctx, "app.bsky.feed.post", object{"text": "Crates <loaded> & ready", "langs": []string{"en"},
		"embed": object{"$type": "app.bsky.embed.images", "images": []object{{"image": blob, "alt": altText, "aspectRatio": object{"width": 64, "height": 48}}}}})
	if err != nil {
		return err
	}
	got, err := t.a.find(ctx, "Ben's post", func(r received) bool {
		return r.Type == "Create" && r.Actor == t.benCopy && strings.Contains(r.raw(), "ready")
	})
	if err != nil {
		return err
	}
	note, _ := got.JSON["object"].(object)
	t.benNote, _ = note["id"].(string)
	if t.benNote == "" {
		t.benNote = got.Object
	}
	served, err := t.a.lookup(ctx, "fred", t.benNote)
	if err != nil {
		return fmt.Errorf("fetching the note by its id: %w", err)
	}
	return inspectNote(got.raw(), served)
}

func inspectNote(raw string, served object) error {
	attachment, _ := first(served["attachment"]).(object)
	if attachment["name"] != altText {
		return fmt.Errorf("attachment.name is %q", attachment["name"])
	}
	if !strings.Contains(raw, `\u0026lt;loaded\u0026gt; \u0026amp; ready`) {
		return fmt.Errorf("the content is not what was typed: %.600s", raw)
	}
	if !strings.Contains(raw, `"contentMap":{"en"`) && !strings.Contains(raw, `"@language":"en"`) {
		return fmt.Errorf("the language is lost: %.600s", raw)
	}
	return nil
}

func first(v any) any {
	if list, ok := v.([]any); ok && len(list) > 0 {
		return list[0]
	}
	return v
}

// strangersFollow: people who never joined follow a copy on each side and get its posts; nothing of theirs is published.
func (t *tale) strangersFollow(ctx context.Context) error {
	if err := needed("both copies", t.benCopy != "" && t.fredCopy != ""); err != nil {
		return err
	}
	if err := t.followBen(ctx, t.b, "gus"); err != nil {
		return err
	}
	if _, err := t.nina.create(ctx, "app.bsky.graph.follow", object{"subject": t.fredCopy}); err != nil {
		return err
	}
	if _, err := t.ben.create(ctx, "app.bsky.feed.post", object{"text": "For everybody who follows"}); err != nil {
		return err
	}
	if _, err := t.b.find(ctx, "a post for a follower who did not join", func(r received) bool {
		return r.Type == "Create" && r.Actor == t.benCopy && strings.Contains(r.raw(), "everybody who follows")
	}); err != nil {
		return err
	}
	if err := t.inTimeline(ctx); err != nil {
		return err
	}
	return t.unpublished(ctx, "gus")
}

func (t *tale) inTimeline(ctx context.Context) error {
	if _, err := t.a.note(ctx, "fred", noteOptions{content: "<p>Timeline test</p>"}); err != nil {
		return err
	}
	return eventually(ctx, patience, func(ctx context.Context) error {
		var out struct{ Feed []struct{ Post post } }
		if err := t.w.call(ctx, "GET", pdsURL+"/xrpc/app.bsky.feed.getTimeline", nil, &out, "Authorization", "Bearer "+t.nina.token); err != nil {
			return err
		}
		if !slices.ContainsFunc(out.Feed, func(f struct{ Post post }) bool { return strings.Contains(f.Post.Record.Text, "Timeline test") }) {
			return errors.New("nina's timeline does not have fred's post")
		}
		return nil
	})
}

// unpublished: no repo on the bridge's PDS has a handle of that name.
func (t *tale) unpublished(ctx context.Context, name string) error {
	var out struct{ DID string }
	err := t.w.call(ctx, "GET", bridgeURL+"/xrpc/com.atproto.identity.resolveHandle?handle="+name+".fedi-b.test.ap.bridge.test", nil, &out)
	if err == nil {
		return fmt.Errorf("%s has a repo: %s", name, out.DID)
	}
	return nil
}

// presetWritesNoLikes: fred's preset has no likes, boosts or follows; nothing of these becomes a record.
func (t *tale) presetWritesNoLikes(ctx context.Context) error {
	if err := needed("ben's post", t.benPost.URI != ""); err != nil {
		return err
	}
	for _, a := range []object{{"type": "Like", "object": t.benNote}, {"type": "Announce", "object": t.benNote, "to": []string{public}, "published": now()}} {
		if _, err := t.a.send(ctx, "fred", a, t.benCopy); err != nil {
			return err
		}
	}
	if _, err := t.a.note(ctx, "fred", noteOptions{content: "<p>After the likes</p>"}); err != nil {
		return err
	}
	if _, err := t.w.find(ctx, t.fredCopy, "After the likes"); err != nil { // the same lane: what came before is done
		return err
	}
	return never(ctx, 2*time.Second, func(ctx context.Context) error {
		posts, err := t.w.posts(ctx, t.benPost.URI)
		if err == nil && len(posts) == 1 && posts[0].LikeCount+posts[0].RepostCount > 0 {
			return errors.New("a like or boost became public without its scope")
		}
		return t.noRecords(ctx, t.fredCopy, "app.bsky.graph.follow", "app.bsky.feed.like", "app.bsky.feed.repost")
	})
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

func (t *tale) noRecords(ctx context.Context, did string, collections ...string) error {
	for _, c := range collections {
		var out struct{ Records []object }
		if err := t.w.call(ctx, "GET", bridgeURL+"/xrpc/com.atproto.repo.listRecords?repo="+did+"&collection="+c, nil, &out); err != nil {
			return err
		}
		if len(out.Records) > 0 {
			return fmt.Errorf("there are %d records of %s", len(out.Records), c)
		}
	}
	return nil
}

// scopeWritesLikes: frida ticked them, so hers count.
func (t *tale) scopeWritesLikes(ctx context.Context) error {
	if err := needed("ben's post and frida's copy", t.benPost.URI != "" && t.fridaCopy != ""); err != nil {
		return err
	}
	if err := t.followBen(ctx, t.b, "frida"); err != nil {
		return err
	}
	if _, err := t.b.send(ctx, "frida", object{"type": "Like", "object": t.benNote}, t.benCopy); err != nil {
		return err
	}
	if _, err := t.b.send(ctx, "frida", object{"type": "Announce", "object": t.benNote, "to": []string{public}, "published": now()}, t.benCopy); err != nil {
		return err
	}
	return eventually(ctx, patience, func(ctx context.Context) error {
		posts, err := t.w.posts(ctx, t.benPost.URI)
		if err != nil {
			return err
		}
		if len(posts) != 1 || posts[0].LikeCount != 1 || posts[0].RepostCount != 1 {
			return fmt.Errorf("the AppView counts %+v", posts)
		}
		return nil
	})
}
