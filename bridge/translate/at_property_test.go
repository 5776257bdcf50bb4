package translate

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"pgregory.net/rapid"
)

const (
	bobDID   = "did:plc:bob222222222222222222222"
	aliceDID = "did:plc:apalice22222222222222222"
	fredDID  = "did:plc:fred22222222222222222222"
	aliceID  = "https://social.example/users/alice"
)

// shownText is the text that a browser would show, read by a parser that is not ours.
func shownText(s string) string {
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(s))
	paragraphs := 0
	for {
		switch z.Next() {
		case html.ErrorToken:
			return strings.ReplaceAll(b.String(), "\u00a0", " ")
		case html.TextToken:
			b.WriteString(z.Token().Data)
		case html.StartTagToken:
			switch z.Token().Data {
			case "p":
				if paragraphs > 0 {
					b.WriteString("\n\n")
				}
				paragraphs++
			case "br":
				b.WriteString("\n")
			}
		}
	}
}

// asShown is what of a text can be shown: one kind of line break, no breaks at the ends, no control characters.
func asShown(s string) string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u00a0", " ").Replace(strings.Trim(s, "\r\n"))
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// texts are texts that people and adversaries write.
func texts() *rapid.Generator[string] {
	piece := rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{
			"\n", "\n\n", "\r\n", "\r", " ", "  ", "\t", "<b>", "</p>", "&", "&amp;", "&#60;", "\"", "'", "<!--", "]]>",
			"https://x.example/a?b=1&c=2", "#tag", "@erin.example.com", "🦋", "👩‍👩‍👧", "e\u0301", "שלום", "\u202e", "日本", "\u00a0", "\u0000", "javascript:alert(1)",
		}),
	)
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")
	})
}

// anyFacets are facets that mean anything, anywhere.
func anyFacets(t *rapid.T, text string) []any {
	feature := rapid.SampledFrom([]any{
		map[string]any{"$type": "app.bsky.richtext.facet#link", "uri": "https://l.example/?a=1&b=\"2\""},
		map[string]any{"$type": "app.bsky.richtext.facet#link", "uri": "javascript:alert(1)"},
		map[string]any{"$type": "app.bsky.richtext.facet#mention", "did": aliceDID},
		map[string]any{"$type": "app.bsky.richtext.facet#tag", "tag": "tag"},
		map[string]any{"$type": "com.example.facet#unknown"},
		nil, "x",
	})
	facet := rapid.Custom(func(t *rapid.T) any {
		return map[string]any{
			"index": map[string]any{
				"byteStart": rapid.IntRange(-2, len(text)+2).Draw(t, "start"),
				"byteEnd":   rapid.IntRange(-2, len(text)+2).Draw(t, "end"),
			},
			"features": rapid.SliceOfN(feature, 0, 3).Draw(t, "features"),
		}
	})
	return rapid.SliceOfN(facet, 0, 8).Draw(t, "facets")
}

func postEvent(tb testing.TB, rec map[string]any) Event {
	rec["$type"], rec["createdAt"] = nsidPost, "2026-01-01T12:00:00Z"
	return Event{
		Action: "create", URI: "at://" + bobDID + "/app.bsky.feed.post/3kab2222222ab", CID: "bafyreifk6zrtabj3emwkif7sjw23dv3ofpb2fhq4syixddr56ik5uqyhd4",
		DID: bobDID, Handle: "bob.bsky.example", Record: mustEncode(tb, rec),
	}
}

// TestTextSurvives: whatever the text and the facets, what is shown is what was typed, and the HTML is safe.
func TestTextSurvives(t *testing.T) {
	c := baseContext(t)
	rapid.Check(t, func(rt *rapid.T) {
		text := texts().Draw(rt, "text")
		ev := postEvent(t, map[string]any{"text": text, "facets": anyFacets(rt, text)})
		r, err := FromEvent(ev, c)
		if err != nil {
			rt.Fatal(err)
		}
		if r.Dropped == DropEmpty {
			if strings.TrimSpace(text) != "" {
				rt.Fatalf("%q counts as empty", text)
			}
			return
		}
		again, _ := FromEvent(ev, c)
		if raw := mustEncode(t, r); !bytes.Equal(raw, mustEncode(t, again)) {
			rt.Fatal("the same input gave other bytes")
		}
		content := r.Activities[0]["object"].(map[string]any)["content"].(string)
		checkHTML(t, content)
		typed := decodeRecord(ev.Record).str("text") // as JSON carries it
		if got, want := shownText(content), asShown(typed); got != want {
			rt.Fatalf("typed %q\nshown %q\nHTML %s", want, got, content)
		}
	})
}

// TestSpansNeverTouch: resolved facets are in order, apart, and at character borders.
func TestSpansNeverTouch(t *testing.T) {
	c := baseContext(t)
	rapid.Check(t, func(rt *rapid.T) {
		text := texts().Draw(rt, "text")
		raw := mustEncode(t, map[string]any{"text": text, "facets": anyFacets(rt, text)})
		j := newATJob(Event{DID: bobDID}, c)
		rich := j.richText(decodeRecord(raw), "text", "facets")
		at := 0
		for _, s := range rich.spans {
			if s.start < at || s.end <= s.start || !isBorder(rich.text, s.start) || !isBorder(rich.text, s.end) {
				rt.Fatalf("spans %v of %q", rich.spans, rich.text)
			}
			at = s.end
		}
	})
}

// TestThereAndBack: a text that goes to the fediverse and is bridged back from there is the same text, with the same
// links, apart from white space at the ends of lines.
func TestThereAndBack(t *testing.T) {
	c := baseContext(t)
	word := rapid.SampledFrom([]string{"hello", "<b>", "a&amp;b", "日本", "🦋", "\"quoted\"", "x<y", "e\u0301", "l'été"})
	rapid.Check(t, func(rt *rapid.T) {
		lines := rapid.SliceOfN(rapid.Map(rapid.SliceOfN(word, 1, 4), func(w []string) string { return strings.Join(w, " ") }), 1, 4).Draw(rt, "lines")
		text := strings.Join(lines, rapid.SampledFrom([]string{"\n", "\n\n"}).Draw(rt, "break"))
		end := len(lines[0])
		r, err := FromEvent(postEvent(t, map[string]any{"text": text, "facets": []any{map[string]any{
			"index":    map[string]any{"byteStart": 0, "byteEnd": end},
			"features": []any{map[string]any{"$type": "app.bsky.richtext.facet#link", "uri": "https://l.example/"}},
		}}}), c)
		if err != nil || len(r.Activities) != 1 {
			rt.Fatal(err, r.Dropped)
		}
		o := r.Activities[0]["object"].(map[string]any)
		note := map[string]any{
			"@context": as2Context, "id": "https://social.example/users/alice/statuses/9", "type": "Note", "attributedTo": aliceID,
			"to": []any{Public}, "content": o["content"], "published": "2026-01-01T12:00:00Z",
		}
		back, err := FromActivity(mustEncode(t, map[string]any{
			"@context": as2Context, "id": aliceID + "#1", "type": "Create", "actor": aliceID,
			"to": []any{Public}, "object": note,
		}), c)
		if err != nil || len(back.Writes) == 0 {
			rt.Fatal(err, back.Dropped)
		}
		rec := back.Writes[0].Record
		if rec["text"] != text {
			rt.Fatalf("went %q\nback %q\nHTML %s", text, rec["text"], o["content"])
		}
		if raw := mustEncode(t, rec["facets"]); !bytes.Contains(raw, []byte("https://l.example/")) {
			rt.Fatalf("the link is lost: %s", raw)
		}
	})
}

// TestNobodyElse: nothing of a person who did not join gets into the output, whatever way it stands in a record
// (R34 to R40); the bare name is what remains.
func TestNobodyElse(t *testing.T) {
	c := baseContext(t)
	theirs := "at://" + fredDID + "/app.bsky.feed.post/3kab222222299"
	c.Records[theirs] = Record{
		URI: theirs, CID: "bafyreifk6zrtabj3emwkif7sjw23dv3ofpb2fhq4syixddr56ik5uqyhd4",
		Value: json.RawMessage(`{"$type":"app.bsky.feed.post","text":"secret words","createdAt":"2026-01-01T00:00:00Z"}`),
	}
	secrets := []string{fredDID, "fred22222222222", "fred.bsky", "bsky.example/post", "secret words", "3kab222222299", "Fred Full Name"}
	ref := map[string]any{"uri": theirs, "cid": "bafyreifk6zrtabj3emwkif7sjw23dv3ofpb2fhq4syixddr56ik5uqyhd4"}
	image := map[string]any{"$type": "app.bsky.embed.images", "images": []any{map[string]any{
		"alt":   "mine",
		"image": map[string]any{"$type": "blob", "ref": map[string]any{"$link": "bafkreihlavqjqh3e2k5r5q5jjluvhp7ifuufhnddgonqxnmcgj2pyklg4i"}, "mimeType": "image/png"},
	}}}
	embeds := []any{
		nil,
		map[string]any{"$type": "app.bsky.embed.record", "record": ref},
		map[string]any{"$type": "app.bsky.embed.recordWithMedia", "record": map[string]any{"record": ref}, "media": image},
		map[string]any{"$type": "app.bsky.embed.record", "record": map[string]any{"uri": "at://" + fredDID + "/app.bsky.feed.generator/3kab222222299", "cid": "x"}},
		map[string]any{"$type": "app.bsky.embed.external", "external": map[string]any{"uri": "https://news.example/", "title": "News", "description": "by Fred Full Name"}},
	}
	rapid.Check(t, func(rt *rapid.T) {
		before, after := rapid.SampledFrom([]string{"", "hi ", "see: ", "日本 ", "("}).Draw(rt, "before"), rapid.SampledFrom([]string{"", "!", " there", "\n", ")"}).Draw(rt, "after")
		text := before + "@fred.bsky.example" + after
		var facets []any
		if rapid.Bool().Draw(rt, "facet") {
			features := []any{map[string]any{"$type": "app.bsky.richtext.facet#mention", "did": fredDID}}
			if rapid.Bool().Draw(rt, "link") {
				features = append(features, map[string]any{"$type": "app.bsky.richtext.facet#link", "uri": "https://bsky.app/profile/fred.bsky.example"})
			}
			facets = append(facets, map[string]any{"index": map[string]any{"byteStart": len(before), "byteEnd": len(before) + 18}, "features": features})
		}
		rec := map[string]any{"text": text, "facets": append(facets, anyFacets(rt, text)...), "embed": rapid.SampledFrom(embeds).Draw(rt, "embed")}
		if rapid.Bool().Draw(rt, "reply") {
			rec["reply"] = map[string]any{"root": ref, "parent": ref}
		}
		r, err := FromEvent(postEvent(t, rec), c)
		if err != nil {
			rt.Fatal(err)
		}
		out := string(mustEncode(t, r.Activities))
		for _, s := range secrets {
			if strings.Contains(out, s) || strings.Contains(html.UnescapeString(out), s) {
				rt.Fatalf("%q got out: %s", s, out)
			}
		}
	})
}

// TestRefsCoverLookups: a context with only what EventRefs asks for gives the same as the whole world.
func TestRefsCoverLookups(t *testing.T) {
	for _, path := range goldenFiles(t, "at-to-ap") {
		_, full := loadCase(t, path)
		var ac adapterCase
		if err := json.Unmarshal(full, &ac); err != nil {
			t.Fatal(err)
		}
		c, err := ac.Context.context()
		if err != nil {
			t.Fatal(err)
		}
		var ev Event
		if err := json.Unmarshal(ac.Input, &ev); err != nil {
			t.Fatal(err)
		}
		want, _ := FromEvent(ev, c)
		got, _ := FromEvent(ev, onlyRefs(c, EventRefs(ev, c.Domain)))
		if a, b := mustEncode(t, want), mustEncode(t, got); !bytes.Equal(a, b) {
			t.Errorf("%s: with all\n%s\nwith what was asked for\n%s", caseName(path), a, b)
		}
	}
}

// onlyRefs leaves in a context what the refs name.
func onlyRefs(c *Context, refs Refs) *Context {
	has := func(list []string, s string) bool { return contains(list, s) }
	out := *c
	out.Actors, out.Objects, out.Records, out.Handles = map[string]Actor{}, map[string]StrongRef{}, map[string]Record{}, map[string]string{}
	for id, a := range c.Actors {
		if has(refs.DIDs, a.DID) || has(refs.Handles, a.Handle) {
			out.Actors[id] = a
		}
	}
	for id, ref := range c.Objects {
		if has(refs.URIs, ref.URI) {
			out.Objects[id] = ref
		}
	}
	for uri, rec := range c.Records {
		if has(refs.URIs, uri) {
			out.Records[uri] = rec
		}
	}
	for handle, did := range c.Handles {
		if has(refs.Handles, handle) {
			out.Handles[handle] = did
		}
	}
	return &out
}

// TestIndexingIsAsked: without the scope a copy is neither listed nor indexed (FEP-5feb).
func TestIndexingIsAsked(t *testing.T) {
	c := baseContext(t)
	for _, allowed := range []bool{false, true} {
		c.Options.SearchIndexing = allowed
		doc, _, err := ActorDocument(json.RawMessage(`{"displayName":"Bob"}`), bobDID, "bob.bsky.example", c)
		if err != nil || doc["indexable"] != allowed || doc["discoverable"] != allowed {
			t.Errorf("allowed %v: indexable %v, discoverable %v, %v", allowed, doc["indexable"], doc["discoverable"], err)
		}
	}
}
