package translate

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"
	"golang.org/x/net/html"
	"pgregory.net/rapid"
)

const zedID = "https://remote.example/users/zed"

// activity is a Create of a public Note by Alice, with what is given on top.
func activity(tb testing.TB, content string, more map[string]any) json.RawMessage {
	tb.Helper()
	o := map[string]any{
		"id": aliceID + "/statuses/1", "type": "Note", "attributedTo": aliceID, "to": []any{Public},
		"published": "2026-01-01T12:00:00Z", "url": "https://social.example/@alice/1", "content": content,
	}
	for k, v := range more {
		o[k] = v
	}
	return mustEncode(tb, map[string]any{"id": aliceID + "/statuses/1/activity", "type": "Create", "actor": aliceID, "object": o, "to": []any{Public}})
}

// htmls are fragments that servers and adversaries send.
func htmls() *rapid.Generator[string] {
	piece := rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{
			"<p>", "</p>", "<br>", "<ul><li>", "</li></ul>", "<ol start=3><li>", "<blockquote>", "</blockquote>", "<pre>", "</pre>", "<b>", "</i>",
			"<a href=\"https://x.example/a?b=1&amp;c\">", "</a>", "<a href='javascript:alert(1)'>", "<a class=\"mention\" href=\"https://pleroma.example/users/carol\">@carol</a>",
			"<a class='mention hashtag' rel=tag href='https://s.example/t'>#<span>tag</span></a>", "<span class=invisible>https://</span>", "<span class=ellipsis>x.example</span>",
			"<script>", "</script>", "<!-- x", "-->", "<table><tr><td>", "</td><td>", "<ruby>漢<rt>かん</rt></ruby>", "<img alt=cat src=x>", "&amp;", "&lt;b&gt;", "&nbsp;", "&#0;",
			"#tag", "#Tag!", "@carol@pleroma.example", "@bob.bsky.example", "@zed@remote.example", "https://y.example/(a).", "👩‍👩‍👧‍👦", "e\u0301", "\u202e", "日本語", "word ", "\n",
			"<p class=\"quote-inline\">RE: x</p>", "<", ">", "\"", "\u0000", "<math><semantics><mi>x</mi><annotation encoding=\"application/x-tex\">x</annotation></semantics></math>",
		}),
	)
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Repeat(strings.Join(rapid.SliceOfN(piece, 0, 25).Draw(t, "pieces"), ""), rapid.IntRange(1, 4).Draw(t, "times"))
	})
}

// checkPost holds a post to the limits of its lexicon and to what its facets may be.
func checkPost(rt *rapid.T, rec map[string]any) {
	text, _ := rec["text"].(string)
	if n := uniseg.GraphemeClusterCount(text); n > maxPostGraphemes || len(text) > maxPostBytes {
		rt.Fatalf("%d graphemes, %d bytes", n, len(text))
	}
	if strings.ContainsAny(text, "\u0000\r") || strings.TrimRight(text, " \n") != text && !strings.HasSuffix(text, ")") {
		rt.Fatalf("text %q", text)
	}
	end := int64(0)
	facets, _ := rec["facets"].([]any)
	for _, f := range facets {
		idx := f.(map[string]any)["index"].(map[string]any)
		s, e := idx["byteStart"].(int64), idx["byteEnd"].(int64)
		if s < end || e <= s || e > int64(len(text)) || !onBorder(text, int(s)) || !onBorder(text, int(e)) || strings.TrimSpace(text[s:e]) == "" {
			rt.Fatalf("facet %d..%d of %q after %d", s, e, text, end)
		}
		end = e
	}
}

// TestHTMLToPost: whatever the HTML, the post is within its limits, its facets are sound, and the same comes out twice.
func TestHTMLToPost(t *testing.T) {
	c := baseContext(t)
	rapid.Check(t, func(rt *rapid.T) {
		more := map[string]any{"tag": []any{map[string]any{"type": "Hashtag", "name": "#tag"}, map[string]any{"type": "Mention", "href": "https://pleroma.example/users/carol", "name": "@carol@pleroma.example"}}}
		if rapid.Bool().Draw(rt, "warned") {
			more["summary"] = htmls().Draw(rt, "summary")
		}
		c.Options.LongMode = rapid.SampledFrom([]string{"", "thread"}).Draw(rt, "long")
		raw := activity(t, htmls().Draw(rt, "content"), more)
		r, err := FromActivity(raw, c)
		if err != nil {
			rt.Fatal(err)
		}
		for _, w := range r.Writes {
			checkPost(rt, w.Record)
		}
		again, _ := FromActivity(raw, c)
		if a, b := mustEncode(t, r), mustEncode(t, again); !bytes.Equal(a, b) {
			rt.Fatalf("%s\n%s", a, b)
		}
	})
}

// TestPartsGiveTheSourceBack: the parts of a thread without their numbers, one behind the other, are the text.
func TestPartsGiveTheSourceBack(t *testing.T) {
	number := regexp.MustCompile(`\x{a0}\(\d+/\d+\)$`)
	piece := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"word ", "sentence. ", "\n\n", "\n", strings.Repeat("x", 400), "日本語。", "👩‍👩‍👧‍👦"}))
	rapid.Check(t, func(rt *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 1, 40).Draw(rt, "pieces"), "")
		r := rich{text: text}
		chunks, rest := splitRich(r)
		var b strings.Builder
		for i, ch := range chunks {
			part := ch.text + partNumber(i+1, len(chunks))
			if !fits(part, maxPostGraphemes, maxPostBytes) {
				rt.Fatalf("part of %d graphemes and %d bytes", graphemes(part), len(part))
			}
			b.WriteString(number.ReplaceAllString(part, ""))
		}
		if len(chunks) > maxParts || !strings.HasPrefix(text, b.String()) || !rest && b.String() != text {
			rt.Fatalf("%d parts, rest %v\n%q\n%q", len(chunks), rest, text, b.String())
		}
	})
}

// TestCutKeepsThePrefix: a cut text is a prefix of the source and an ellipsis, and no cluster is broken.
func TestCutKeepsThePrefix(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, n := rapid.String().Draw(rt, "s"), rapid.IntRange(2, 40).Draw(rt, "n")
		got, cut := cutText(s, n, 4*n)
		if !cut {
			if got != s {
				rt.Fatalf("%q became %q", s, got)
			}
			return
		}
		head := strings.TrimSuffix(got, ellipsis)
		if !strings.HasPrefix(s, head) || !fits(got, n, 4*n) || graphemes(head)+graphemes(s[len(head):]) < graphemes(s) {
			rt.Fatalf("%q became %q", s, got)
		}
	})
}

// TestNobodyElseFromActivityPub: of somebody who did not join, nothing leaves but the bare @name (R34-R41).
func TestNobodyElseFromActivityPub(t *testing.T) {
	c := baseContext(t)
	theirs := "https://remote.example/users/zed/statuses/9"
	c.APObjects, c.Previews = map[string]json.RawMessage{}, map[string]Preview{}
	c.APObjects[theirs] = json.RawMessage(`{"id":"` + theirs + `","type":"Note","attributedTo":"` + zedID + `","content":"secret words"}`)
	c.Previews["https://remote.example/@zed"] = Preview{Title: "Zed Full Name", Description: "secret words"}
	c.Previews[theirs] = c.Previews["https://remote.example/@zed"]
	secrets := []string{zedID, "remote.example", "secret words", "Zed Full Name", "zed@", fredDID, "fred.bsky"}
	forms := []string{
		`<span class="h-card"><a href="https://remote.example/@zed" class="u-url mention">@<span>zed</span></a></span>`,
		`<a href="https://remote.example/users/zed" class="u-url mention">@zed@remote.example</a>`, `@<a href="https://remote.example/users/zed">zed</a>`,
		`@zed@remote.example`, `<a class="mention" href="https://remote.example/@zed">https://remote.example/@zed</a>`, `@fred.bsky.example`,
		`<a href="https://bsky.app/profile/fred.bsky.example">@fred.bsky.example</a>`, `<a href="https://bsky.app/profile/` + fredDID + `">@fred.bsky.example</a>`,
		`<a href="https://x.example/">@fred.bsky.example and @zed@remote.example</a>`, `@@zed@remote.example`,
		`<a class="mention" href="https://remote.example/users/zed">Zed Full Name</a>`, `<code>@zed@remote.example</code>`, `<a href="https://remote.example/@zed">pal</a>`,
		`<b>@zed@remote.example</b>`, `<a href="https://remote.example/users/zed"><img alt="" src="https://remote.example/zed.png">@zed</a>`,
	}
	quotes := []map[string]any{
		{},
		{"quote": theirs},
		{"quoteUrl": theirs},
		{"quoteUri": theirs, "_misskey_quote": theirs},
		{"quote": map[string]any{"id": theirs, "type": "Note", "content": "secret words"}},
	}
	rapid.Check(t, func(rt *rapid.T) {
		before, after := rapid.SampledFrom([]string{"", "hi ", "<p>", "日本 ", "(", "see: "}).Draw(rt, "before"), rapid.SampledFrom([]string{"", "!", " there", "</p>", ")", ", "}).Draw(rt, "after")
		content := []string{before + rapid.SampledFrom(forms).Draw(rt, "form") + after}
		more := map[string]any{}
		for k, v := range rapid.SampledFrom(quotes).Draw(rt, "quote") {
			more[k] = v
			content = append(content, rapid.SampledFrom([]string{
				"", `<p class="quote-inline">RE: <a href="` + theirs + `">` + theirs + `</a></p>`, `<br><br>RE: <a href="` + theirs + `">` + theirs + `</a>`,
				"<p>RE: " + theirs + "</p>",
			}).Draw(rt, "line"))
		}
		more["tag"] = []any{map[string]any{"type": "Mention", "href": zedID, "name": "@zed@remote.example"}}
		if rapid.Bool().Draw(rt, "warned") {
			more["summary"] = "about " + rapid.SampledFrom(forms[3:4]).Draw(rt, "in summary")
		}
		if rapid.Bool().Draw(rt, "reply") {
			more["inReplyTo"] = theirs
		}
		r, err := FromActivity(activity(t, strings.Join(content, ""), more), c)
		if err != nil {
			rt.Fatal(err)
		}
		leaks(t, rt, r.Writes, secrets)
	})
}

// leaks looks for secrets in what goes out: as it is, and decoded.
func leaks(t *testing.T, rt *rapid.T, out any, secrets []string) {
	b := string(mustEncode(t, out))
	unescaped, _ := url.QueryUnescape(b)
	for _, s := range secrets {
		for _, form := range []string{b, html.UnescapeString(b), unescaped} {
			if strings.Contains(form, s) || strings.Contains(form, base64.StdEncoding.EncodeToString([]byte(s))) {
				rt.Fatalf("%q got out: %s", s, b)
			}
		}
	}
}

// TestProfileNamesNobodyElse: the same for a profile.
func TestProfileNamesNobodyElse(t *testing.T) {
	c := baseContext(t)
	for _, bio := range []string{`friend of <a href="https://remote.example/@zed" class="u-url mention">@<span>zed</span></a>`, `friend of @zed@remote.example`} {
		actor := mustEncode(t, map[string]any{
			"id": aliceID, "type": "Person", "name": "A @zed@remote.example", "summary": bio,
			"attachment": []any{map[string]any{"type": "PropertyValue", "name": "With", "value": bio}},
		})
		rec, losses, err := ProfileRecord(actor, c)
		if err != nil {
			t.Fatal(err)
		}
		if out := string(mustEncode(t, rec)); strings.Contains(out, "remote.example") || !strings.Contains(out, "@zed") || len(losses) == 0 {
			t.Errorf("%s, losses %v", out, losses)
		}
	}
	for _, bad := range []string{`{"type":"Note"}`, `7`, ``} {
		if _, _, err := ProfileRecord(json.RawMessage(bad), c); err == nil {
			t.Errorf("%q is taken for an actor", bad)
		}
	}
}

// TestActivityRefsCoverLookups: a context with only what ActivityRefs asks for gives the same as the whole world. The
// author's own repo, and the records of objects that were found, are at hand in any case.
func TestActivityRefsCoverLookups(t *testing.T) {
	for _, path := range goldenFiles(t, "ap-to-at") {
		_, full := loadCase(t, path)
		var ac adapterCase
		if err := json.Unmarshal(full, &ac); err != nil {
			t.Fatal(err)
		}
		c, err := ac.Context.context()
		if err != nil {
			t.Fatal(err)
		}
		refs, err := ActivityRefs(ac.Input, c.Domain)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := FromActivity(ac.Input, c)
		got, _ := FromActivity(ac.Input, narrowedAP(c, refs))
		if a, b := mustEncode(t, want), mustEncode(t, got); !bytes.Equal(a, b) {
			t.Errorf("%s: with all\n%s\nwith what was asked for\n%s\n%+v", caseName(path), a, b, refs)
		}
	}
}

// narrowedAP leaves in a context what the refs of an activity name.
func narrowedAP(c *Context, refs Refs) *Context {
	out := *c
	out.Actors, out.Objects, out.Records, out.Handles = map[string]Actor{}, map[string]StrongRef{}, map[string]Record{}, map[string]string{}
	out.APObjects, out.Blobs, out.Previews = map[string]json.RawMessage{}, map[string]Blob{}, map[string]Preview{}
	for id, a := range c.Actors {
		if contains(refs.Actors, id) || contains(refs.Actors, a.URL) || contains(refs.DIDs, a.DID) || contains(refs.Handles, a.Handle) || contains(refs.Accts, strings.ToLower(a.Acct)) {
			out.Actors[id] = a
		}
	}
	for k, v := range c.APObjects {
		if contains(refs.Objects, k) {
			out.APObjects[k] = v
		}
	}
	for id, ref := range c.Objects {
		if contains(refs.Objects, id) || contains(refs.URIs, ref.URI) || pageAsked(refs, ref.URI) || listed(out.APObjects, id) {
			out.Objects[id] = ref
			for actor, a := range c.Actors {
				if a.DID == didOf(ref.URI) {
					out.Actors[actor] = a // the owner of what was found is known with it
				}
			}
		}
	}
	for uri, rec := range c.Records {
		keep := contains(refs.URIs, uri) || strings.HasPrefix(uri, "at://"+aliceDID+"/")
		for _, ref := range out.Objects {
			keep = keep || ref.URI == uri
		}
		if keep {
			out.Records[uri] = rec
		}
	}
	for k, v := range c.Handles {
		if contains(refs.Handles, k) {
			out.Handles[k] = v
		}
	}
	for k, v := range c.Blobs {
		for _, m := range refs.Media {
			if m.URL == k || strings.HasPrefix(k, "https://news.example/") {
				out.Blobs[k] = v
			}
		}
		for _, p := range c.Previews {
			if p.Image == k {
				out.Blobs[k] = v // known only when the preview is
			}
		}
	}
	for k, v := range c.Previews {
		if contains(refs.Links, k) {
			out.Previews[k] = v
		}
	}
	return &out
}

// listed tells whether a fetched collection names an id; the resolver looks those up too.
func listed(fetched map[string]json.RawMessage, id string) bool {
	for _, raw := range fetched {
		if strings.Contains(string(raw), `"`+id+`"`) {
			return true
		}
	}
	return false
}

// pageAsked tells whether a post's page on bsky.app is among the objects; whose handle is in it, the resolver finds out.
func pageAsked(refs Refs, uri string) bool {
	for _, o := range refs.Objects {
		if strings.HasPrefix(o, "https://bsky.app/profile/") && strings.HasSuffix(o, "/post/"+uri[strings.LastIndexByte(uri, '/')+1:]) {
			return true
		}
	}
	return false
}

// TestRecordTID: keys are valid, the same for the same source, ordered by time, and count up for parts.
func TestRecordTID(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		source := rapid.String().Draw(rt, "source")
		at := time.Unix(rapid.Int64Range(-1e11, 1e11).Draw(rt, "at"), 0).UTC()
		key := recordTID(source, at, 1, 0)
		v, ok := parseTID(key)
		if !ok || formatTID(v) != key || len(key) != 13 || recordTID(source, at, 0, 0) != key {
			rt.Fatalf("%q", key)
		}
		if second := recordTID(source, at, 1, 1); second <= key || partKey(key, 1) != second {
			rt.Fatalf("part %q after %q", second, key)
		}
		if recordTID(source, at, 2, 0) == key || recordTID(source+"x", at, 1, 0) == key {
			rt.Fatal("another source or incarnation has the same key")
		}
		if at.Year() >= minTIDYear && at.Year() < maxTIDYear && recordTID(source, at.Add(time.Second), 1, 0) <= key {
			rt.Fatal("not in the order of time")
		}
	})
	if partKey("self", 1) == partKey("self", 2) {
		t.Error("parts of a post whose key is no TID have one key")
	}
}

// TestWebURL: only http and https with a host become links, and always as printable ASCII.
func TestWebURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://x.example": "https://x.example", "HTTP://X.example/A": "http://X.example/A", " https://x.example/a b\n": "https://x.example/a%20b",
		"https://x.example/%41?q=ü#é": "https://x.example/%41?q=%C3%BC#%C3%A9", "https://bücher.example:8080/": "https://xn--bcher-kva.example:8080/",
		"javascript:alert(1)": "", "https://": "", "https:///x": "", "https://a@b.example/": "", "mailto:a@b.c": "", "//x.example": "", "at://did:plc:x": "",
		"https://x.example/" + strings.Repeat("a", maxURL): "", "https://x y.example/": "",
	} {
		got, ok := webURL(in)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		u, ok := webURL("https://x.example/" + rapid.String().Draw(rt, "path"))
		if ok && !regexp.MustCompile(`^[a-z][a-z.-]{0,80}:[[:graph:]]+$`).MatchString(u) {
			rt.Fatalf("%q", u)
		}
	})
}

// hostileActivities are just under the size limit, each made to be dear.
func hostileActivities(tb testing.TB, n int) map[string]json.RawMessage {
	tb.Helper()
	many := func(s string) string { return strings.Repeat(s, n/len(s)) }
	out := map[string]json.RawMessage{}
	for name, content := range map[string]string{
		"nested divs": many("<div>"), "nested lists": many("<ul><li>"), "nested quotes": many("<blockquote>x"), "nested spans": many("<span class=invisible>"),
		"open anchors": many(`<a href="https://x.example/">x`), "anchors": many(`<a href="https://x.example/">x</a> `), "mentions": many(`<a class=mention href=h>@zed</a> `),
		"names": many("@zed@remote.example "), "handles": many("@a.b.c "), "tags": many("#tag "), "addresses": many("https://x.example/a "), "zalgo": many("Z\u0335\u0321\u0353"),
		"emoji": many("👩‍👩‍👧‍👦"), "brackets": many("https://x.example/(((("), "entities": many("&amp;"), "less": many("<"), "breaks": many("<br>"), "spaces": many(" \n"),
		"cells": many("<td>"), "ruby": many("<ruby><rt>"), "comments": many("<!--"), "attributes": "<a " + many("x=1 ") + ">", "quotes at": many("RE: "), "images": many(`<img src="https://x.example/i" alt=a>`),
	} {
		more := map[string]any{"tag": []any{map[string]any{"type": "Hashtag", "name": "#tag"}, map[string]any{"type": "Mention", "href": zedID, "name": "@zed@remote.example"}}}
		raw := activity(tb, content, more)
		if len(raw) > 1<<20 {
			raw = activity(tb, content[:len(content)/4], more)
		}
		out[name] = raw
	}
	var tags, links, odd []any
	for i := range 2400 {
		tags = append(tags, map[string]any{"type": "Hashtag", "name": fmt.Sprintf("#tag%d", i)})
		odd = append(odd, map[string]any{"type": "Hashtag", "name": fmt.Sprintf("#ta-g%d", i)})
		links = append(links, map[string]any{"type": "Link", "href": fmt.Sprintf("https://x.example/%d", i)})
	}
	out["tag list"] = activity(tb, strings.Repeat("#tag1 ", 30_000), map[string]any{"tag": tags})
	out["odd tag list"] = activity(tb, strings.Repeat("#ta-g1 ", 30_000), map[string]any{"tag": odd})
	out["attachments"] = activity(tb, "x", map[string]any{"attachment": links})
	return out
}

// TestHostileActivitiesStayCheap holds them to a generous bound, which only growth worse than linear can break.
func TestHostileActivitiesStayCheap(t *testing.T) {
	c := baseContext(t)
	for name, raw := range hostileActivities(t, 500<<10) {
		start := time.Now()
		r, err := FromActivity(raw, c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ActivityRefs(raw, c.Domain); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		took := time.Since(start)
		if took > 2*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		t.Logf("%-16s %8v %s", name, took.Round(time.Millisecond), r.Dropped)
	}
}
