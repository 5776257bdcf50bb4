package translate

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/bluesky-social/indigo/atproto/atdata"
)

// FuzzFromActivity feeds any document: nothing panics, takes long, or comes out that is not of the data model.
func FuzzFromActivity(f *testing.F) {
	for _, path := range goldenFiles(f, "ap-to-at") {
		_, full := loadCase(f, path)
		var ac adapterCase
		if err := json.Unmarshal(full, &ac); err != nil {
			f.Fatal(err)
		}
		if len(ac.Input) < 4096 {
			f.Add([]byte(ac.Input), uint8(0))
		}
	}
	c := fuzzContext(f)
	f.Fuzz(func(t *testing.T, in []byte, mode uint8) {
		c := *c
		c.Options.LongMode = []string{"", "thread"}[mode%2]
		c.Options.CWMode = []string{"", "link", "skip"}[mode/2%3]
		start := time.Now()
		r, err := FromActivity(in, &c)
		if _, err2 := ActivityRefs(in, c.Domain); (err == nil) != (err2 == nil) {
			t.Fatalf("%v, but %v", err, err2)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %v", took)
		}
		if err != nil {
			return
		}
		if n := len(r.Writes) + len(r.Reports) + len(r.DMs); (n == 0 && r.Account == "") == (r.Dropped == None) {
			t.Fatalf("%d results and the reason %q", n, r.Dropped)
		}
		for _, w := range r.Writes {
			if w.Record == nil {
				continue
			}
			if _, err := atdata.UnmarshalJSON(mustEncode(t, w.Record)); err != nil {
				t.Fatalf("%v: %v", err, w.Record)
			}
			if text, ok := w.Record["text"].(string); ok && !fits(text, maxPostGraphemes, maxPostBytes) {
				t.Fatalf("text of %d graphemes, %d bytes", graphemes(text), len(text))
			}
		}
	})
}

// fuzzContext has a blob and a preview for everything that the seeds name.
func fuzzContext(tb testing.TB) *Context {
	c := baseContext(tb)
	c.Objects = map[string]StrongRef{"https://bridge.test/at/" + bobDID + "/app.bsky.feed.post/3kab222222224": {
		URI: "at://" + bobDID + "/app.bsky.feed.post/3kab222222224", CID: "bafyreiecfctfzeb2bx7t53fgl724qxg3zvsdyre24l7zwnrqm2tbifjo44",
	}}
	c.Blobs = map[string]Blob{}
	for _, u := range []string{"a.jpg", "b.jpg", "v.mp4", "avatar.png", "header.jpg"} {
		mime := "image/jpeg"
		if u == "v.mp4" {
			mime = "video/mp4"
		}
		c.Blobs["https://social.example/m/"+u] = Blob{CID: "bafkreifusycfvx5ak7suqltncx6n2ydzfnvxnbudeot5lsp2s5yocag6de", MimeType: mime, Size: 100, Width: 4, Height: 3}
	}
	c.Previews = map[string]Preview{"https://news.example/a": {Title: "News"}}
	return c
}

// FuzzHTML feeds any HTML: the text has no characters that cannot be shown, and its marks are in order and on borders.
func FuzzHTML(f *testing.F) {
	for _, s := range []string{
		"<p>a<br>b</p>", "<ul><li>a<ol start=3><li>b", "<a href=\"https://x.example/\">x", "<p>@zed@remote.example #tag https://x.example/a.</p>",
		"<blockquote><pre>a\n b</pre>", "<ruby>漢<rt>かん", "<table><tr><td>a<td>b", "<script>x</script>&lt;&#0;&nbsp;", "<span class=\"quote-inline\">RE: <a href=x>", "<math><semantics><annotation>",
		"<a href=/x>@<span class=invisible>a</span><span class=ellipsis>b", "<img alt=:x: src=y><img alt=z>", "e\u0301👩‍👩‍👧\u2028\xff",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	c := fuzzContext(f)
	f.Fuzz(func(t *testing.T, src string, keepLines bool) {
		j := newAPJob(nil, c)
		j.shown, j.hashtags, j.base = map[string]bool{}, &apHashtags{}, "https://social.example/@alice/1"
		j.hashtags.add("tag")
		start := time.Now()
		r := j.html(src, keepLines)
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %v", took)
		}
		end := 0
		for _, m := range append(r.marks, r.shortenLinks().marks...)[:len(r.marks)] {
			if m.start < end || m.end <= m.start || m.end > len(r.text) || !onBorder(r.text, m.start) || !onBorder(r.text, m.end) {
				t.Fatalf("mark %+v after %d in %q", m, end, r.text)
			}
			end = m.end
		}
		for _, c := range r.text {
			if c < ' ' && c != '\n' || c == 0x7f || c == 0xfeff {
				t.Fatalf("%q", r.text)
			}
		}
		if s := r.shortenLinks(); len(s.marks) != len(r.marks) {
			t.Fatal("shortening lost a mark")
		}
		cut, _ := r.cut(20, 90)
		if !fits(cut.text, 20, 90) {
			t.Fatalf("cut to %q", cut.text)
		}
	})
}
