package translate

import (
	"encoding/json"
	"fmt"
	"footbridge/activitypub/as2"
	"strings"
	"testing"
	"time"
)

// benchCase is a document of the mixed corpus with its context ready, as the running bridge has it.
type benchCase struct {
	in  []byte // what arrives
	out []byte // what it becomes
	c   *Context
}

// corpus takes the golden cases that give something.
func corpus(tb testing.TB, direction string, convert func([]byte, *Context) []byte) []benchCase {
	tb.Helper()
	var out []benchCase
	for _, path := range goldenFiles(tb, direction) {
		_, full := loadCase(tb, path)
		var ac adapterCase
		if err := json.Unmarshal(full, &ac); err != nil {
			tb.Fatal(err)
		}
		c, err := ac.Context.context()
		if err != nil {
			tb.Fatal(err)
		}
		res := convert(ac.Input, c)
		if strings.Contains(string(res), `"dropped"`) {
			continue
		}
		out = append(out, benchCase{ac.Input, res, c})
	}
	return out
}

func convertActivity(tb testing.TB) func([]byte, *Context) []byte {
	return func(in []byte, c *Context) []byte {
		r, err := FromActivity(in, c)
		if err != nil {
			tb.Fatal(err)
		}
		return mustEncode(tb, r)
	}
}

func convertEvent(tb testing.TB) func([]byte, *Context) []byte {
	return func(in []byte, c *Context) []byte {
		var ev Event
		if err := json.Unmarshal(in, &ev); err != nil {
			tb.Fatal(err)
		}
		r, err := FromEvent(ev, c)
		if err != nil {
			tb.Fatal(err)
		}
		if r.Dropped != None {
			return mustEncode(tb, r)
		}
		out, err := as2.AppendValue(make([]byte, 0, 4096), r.Activities)
		if err != nil {
			tb.Fatal(err)
		}
		return out
	}
}

func mustEncode(tb testing.TB, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// bare is what no conversion can avoid: decoding what arrives and encoding what goes out.
func bare(tb testing.TB, in []byte, out any) {
	var v any
	if err := json.Unmarshal(in, &v); err != nil {
		tb.Fatal(err)
	}
	mustEncode(tb, out)
}

// BenchmarkAPToAT converts a mixed corpus, bytes in to bytes out, on one core, and reports how many times the bare
// decoding and encoding that takes.
func BenchmarkAPToAT(b *testing.B) { benchmark(b, "ap-to-at", convertActivity(b)) }

// BenchmarkATToAP is the other direction.
func BenchmarkATToAP(b *testing.B) { benchmark(b, "at-to-ap", convertEvent(b)) }

func benchmark(b *testing.B, direction string, convert func([]byte, *Context) []byte) {
	cases := corpus(b, direction, convert)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		c := cases[n%len(cases)]
		convert(c.in, c.c)
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "conversions/s")
	b.ReportMetric(timesBare(b, cases, convert), "x-bare")
}

// timesBare compares the conversion of a corpus with its bare decoding and encoding. Rounds of both alternate, and the
// fastest of each counts, so that a busy machine does not decide.
func timesBare(b *testing.B, cases []benchCase, convert func([]byte, *Context) []byte) float64 {
	outs := make([]any, len(cases))
	for i, c := range cases {
		if err := json.Unmarshal(c.out, &outs[i]); err != nil {
			b.Fatal(err)
		}
	}
	floor, full := time.Hour, time.Hour
	for range 30 {
		start := time.Now()
		for i, c := range cases {
			bare(b, c.in, outs[i])
		}
		middle := time.Now()
		for _, c := range cases {
			convert(c.in, c.c)
		}
		floor, full = min(floor, middle.Sub(start)), min(full, time.Since(middle))
	}
	return float64(full) / float64(floor)
}

// hostileText are inputs whose cost must grow with their length and no faster; n is their size in bytes, about.
var hostileText = map[string]func(n int) string{
	"at-signs":     func(n int) string { return strings.Repeat("@", n) },
	"handles":      func(n int) string { return strings.Repeat("@fred.bsky.example ", n/19) },
	"http":         func(n int) string { return strings.Repeat("http", n/4) },
	"addresses":    func(n int) string { return strings.Repeat("https://x.example/ ", n/19) },
	"parentheses":  func(n int) string { return "https://x.example/" + strings.Repeat(")", n) },
	"newlines":     func(n int) string { return "a" + strings.Repeat("\n", n) + "b" },
	"spaces":       func(n int) string { return strings.Repeat(" ", n) + "x" },
	"zalgo":        func(n int) string { return "Z" + strings.Repeat("\u0335", n/2) },
	"angle":        func(n int) string { return strings.Repeat("<", n) },
	"dots":         func(n int) string { return "@" + strings.Repeat("a.", n/2) },
	"controls":     func(n int) string { return strings.Repeat("\u0001", n) },
	"surrogates":   func(n int) string { return strings.Repeat("🦋", n/4) },
	"mixed-breaks": func(n int) string { return strings.Repeat("\r\n \r", n/4) },
}

// hostileEvents are whole events of about n bytes.
var hostileEvents = map[string]func(n int) lex{
	"tags": func(n int) lex {
		var tags []any
		for i := range n / 20 {
			tags = append(tags, fmt.Sprintf("tag%d", i))
		}
		return lex{"text": "x", "tags": tags}
	},
	"tag-facets":     func(n int) lex { return facetFlood(n, "tag", "tag") },
	"mention-facets": func(n int) lex { return facetFlood(n, "mention", "did") },
	"link-facets":    func(n int) lex { return facetFlood(n, "link", "uri") },
	"overlapping": func(n int) lex {
		var facets []any
		for i := range n / 100 {
			facets = append(facets, map[string]any{
				"index":    map[string]any{"byteStart": i, "byteEnd": n / 100},
				"features": []any{map[string]any{"$type": "app.bsky.richtext.facet#link", "uri": "https://x.example/"}},
			})
		}
		return lex{"text": strings.Repeat("a", n/100), "facets": facets}
	},
	"labels": func(n int) lex {
		var values []any
		for i := range n / 20 {
			values = append(values, map[string]any{"val": fmt.Sprintf("label%d", i)})
		}
		return lex{"text": "x", "labels": map[string]any{"values": values}}
	},
	"langs": func(n int) lex {
		var langs []any
		for i := range n / 8 {
			langs = append(langs, fmt.Sprintf("en-%d", i))
		}
		return lex{"text": "x", "langs": langs}
	},
	"deep": func(n int) lex {
		var v any
		for range min(n/20, 3000) {
			v = map[string]any{"record": v}
		}
		return lex{"text": "x", "embed": v, "reply": nil}
	},
}

func facetFlood(n int, kind, key string) lex {
	var facets []any
	for i := range n / 100 {
		value := fmt.Sprintf("did:plc:x%d", i)
		if kind == "link" {
			value = fmt.Sprintf("https://x.example/%d", i)
		}
		facets = append(facets, map[string]any{
			"index":    map[string]any{"byteStart": i, "byteEnd": i + 1},
			"features": []any{map[string]any{"$type": "app.bsky.richtext.facet#" + kind, key: value}},
		})
	}
	return lex{"text": strings.Repeat("a", n/100), "facets": facets}
}

// hostileCases makes all hostile inputs of about n bytes, as posts and as profiles.
func hostileCases(tb testing.TB, n int) map[string]Event {
	out := map[string]Event{}
	add := func(name, collection, rkey string, rec lex) {
		rec["$type"], rec["createdAt"] = collection, "2026-01-01T12:00:00Z"
		did := "did:plc:bob222222222222222222222"
		out[name] = Event{Action: "create", URI: "at://" + did + "/" + collection + "/" + rkey, DID: did, Handle: "bob.bsky.example", Record: mustEncode(tb, map[string]any(rec))}
	}
	for name, text := range hostileText {
		add("post/"+name, nsidPost, "3kab2222222ab", lex{"text": text(n)})
		add("bio/"+name, nsidProfile, "self", lex{"description": text(n)})
		add("article/"+name, nsidDocument, "3kab2222222ab", lex{"title": "x", "textContent": text(n)})
	}
	for name, rec := range hostileEvents {
		add("record/"+name, nsidPost, "3kab2222222ab", rec(n))
	}
	return out
}

// TestHostileInputsStayCheap holds every hostile input of just under 1 MiB to a generous bound, which only growth worse
// than linear can break.
func TestHostileInputsStayCheap(t *testing.T) {
	c := baseContext(t)
	for name, ev := range hostileCases(t, 1<<20-4096) {
		start := time.Now()
		r, err := FromEvent(ev, c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		EventRefs(ev, c.Domain)
		took := time.Since(start)
		if took > 2*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		t.Logf("%-24s %8v %s", name, took.Round(time.Millisecond), r.Dropped)
	}
}

// BenchmarkHostile reports the worst growth of any hostile input: 1 means that eight times the bytes take eight times as
// long.
func BenchmarkHostile(b *testing.B) {
	c := baseContext(b)
	small, large := hostileCases(b, 64<<10), hostileCases(b, 512<<10)
	worst := 0.0
	for b.Loop() {
		worst = 0
		for name, ev := range large {
			per := func(ev Event) float64 { return float64(fastest(b, ev, c)) / float64(len(ev.Record)) }
			worst = max(worst, per(ev)/per(small[name]))
		}
	}
	b.ReportMetric(worst, "x-linear")
}

func fastest(b *testing.B, ev Event, c *Context) time.Duration {
	best := time.Hour
	for range 3 {
		start := time.Now()
		if _, err := FromEvent(ev, c); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	return best
}

// baseContext is the world of the golden cases.
func baseContext(tb testing.TB) *Context {
	tb.Helper()
	var ac adapterContext
	raw := mustEncode(tb, readMap(tb, "testdata/context.json"))
	if err := json.Unmarshal(raw, &ac); err != nil {
		tb.Fatal(err)
	}
	c, err := ac.context()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
