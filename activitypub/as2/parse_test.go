package as2_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"footbridge/activitypub/as2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseLimits(t *testing.T) {
	wide := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("0,", n), ",") + "]" }
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"large":           {`{"a":"` + strings.Repeat("x", as2.MaxBytes) + `"}`, as2.ErrTooLarge},
		"deep":            {strings.Repeat("[", 70) + strings.Repeat("]", 70), as2.ErrTooDeep},
		"deep and open":   {strings.Repeat(`{"a":`, 100000), as2.ErrTooDeep},
		"many":            {`{"a":` + wide(as2.MaxNodes) + `}`, as2.ErrTooMany},
		"key twice":       {`{"actor":"a","object":1,"actor":"b"}`, as2.ErrDuplicateKey},
		"key twice deep":  {`{"object":{"id":1,"id":2}}`, as2.ErrDuplicateKey},
		"escaped twice":   {`{"actor":"a","\u0061ctor":"b"}`, as2.ErrDuplicateKey},
		"many then twice": {"{" + strings.Join(keys(40), ",") + `,"k7":1}`, as2.ErrDuplicateKey},
		"list":            {`[{"id":"a"},{"id":"b"}]`, as2.ErrNotObject},
		"string":          {`"x"`, as2.ErrNotObject},
		"empty":           {``, as2.ErrSyntax},
		"trailing":        {`{} {}`, as2.ErrSyntax},
		"comma":           {`{"a":1,}`, as2.ErrSyntax},
		"control":         {"{\"a\":\"\n\"}", as2.ErrSyntax},
		"number":          {`{"a":01}`, as2.ErrSyntax},
		"escape":          {`{"a":"\x"}`, as2.ErrSyntax},
	} {
		if _, err := as2.Parse([]byte(c.in)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := as2.Parse([]byte(`{"a":` + wide(as2.MaxNodes-2) + `}`)); err != nil {
		t.Errorf("a document at the limit: %v", err)
	}
}

func keys(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(`"k%d":0`, i)
	}
	return out
}

// anyJSON draws values that encoding/json and Parse have to agree on.
func anyJSON(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.Float64Range(-1e9, 1e9), func(f float64) any { return f }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Just[any](nil),
	)
	if depth == 0 {
		return leaf
	}
	inner := rapid.Deferred(func() *rapid.Generator[any] { return anyJSON(depth - 1) })
	return rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOfN(inner, 0, 4), func(l []any) any { return l }),
		rapid.Map(rapid.MapOfN(rapid.StringMatching(`[a-z\\"é]{0,5}`), inner, 0, 4), func(m map[string]any) any { return m }),
	)
}

func TestParseAgreesWithJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyJSON(4).Draw(t, "value")
		raw, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		v, err := as2.ParseJSON(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		var std any
		if err := json.Unmarshal(raw, &std); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(std, v.Any()); diff != "" {
			t.Fatalf("%s: %s", raw, diff)
		}
		again, err := as2.AppendValue(nil, v.Any())
		if err != nil {
			t.Fatal(err)
		}
		var back any
		if err := json.Unmarshal(again, &back); err != nil {
			t.Fatalf("encoded %s: %v", again, err)
		}
		if diff := cmp.Diff(std, back); diff != "" {
			t.Fatalf("encoded %s: %s", again, diff)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"@context":"https://www.w3.org/ns/activitystreams","type":["Note"],"to":"as:Public"}`, `[{"@id":"x"}]`,
		`{"a":"\ud83e\udd8b \ud83d \\ \/ é"}`, `{"contentMap":{"en":"x"},"n":-1.5e+3}`, "{\"a\":\"\xff\"}", strings.Repeat("[", 100),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		v, err := as2.ParseJSON(in)
		if err != nil {
			return
		}
		if !json.Valid(in) {
			t.Fatal("accepted what is no JSON")
		}
		var std any
		if json.Unmarshal(in, &std) != nil {
			return // a number that no float64 holds
		}
		if strings.Contains(string(in), "as:") || strings.Contains(string(in), "@") || strings.Contains(string(in), "activitystreams#") || strings.Contains(string(in), `\u`) || !utf8.Valid(in) {
			return // aliases are renamed on purpose, and a run of broken bytes is one U+FFFD
		}
		if diff := cmp.Diff(std, v.Any()); diff != "" {
			t.Fatal(diff)
		}
		_, _ = as2.Typed(v)
		_, _, _ = v.Type(), v.URL(), v.LangMap("content")
	})
}

func parse(t *testing.T, s string) *as2.Value {
	t.Helper()
	v, err := as2.Parse([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func TestAliases(t *testing.T) {
	v := parse(t, `{"@context":{"@vocab":"x","id":"@id","@id":"kept"},"@id":"https://a/1","@type":["http://x#Y","as:Note"],
		"as:quoteUrl":"https://q/1","https://www.w3.org/ns/activitystreams#content":[{"@value":"hi","@language":"en"}]}`)
	if v.ID() != "https://a/1" || !v.Is("Note") || v.RefOf("quoteUrl") != "https://q/1" || v.Text("content") != "hi" {
		t.Errorf("id %q, types %v, quote %q, content %q", v.ID(), v.Get("type").Any(), v.RefOf("quoteUrl"), v.Text("content"))
	}
	if v.Get("@context").Get("@id").Str() != "kept" {
		t.Error("a term definition in the context was renamed")
	}
	if both := parse(t, `{"as:content":"alias","content":"plain"}`); both.Text("content") != "plain" {
		t.Error("an alias hid the plain name")
	}
}

func TestShapes(t *testing.T) {
	v := parse(t, `{"a":"x","b":{"id":"x"},"c":["x",{"id":"y"},null,7],"d":{"type":"Link","href":"z"},"e":null,"f":[],"g":" x "}`)
	for key, want := range map[string][]string{"a": {"x"}, "b": {"x"}, "c": {"x", "y"}, "d": {"z"}, "e": nil, "f": nil, "g": {"x"}, "none": nil} {
		if got := v.Refs(key); !cmp.Equal(got, want) {
			t.Errorf("Refs(%s) = %q, want %q", key, got, want)
		}
	}
	if v.Get("none").Get("deeper").List() != nil || v.Get("a").Get("b") != nil || v.Get("e").First() != nil {
		t.Error("chains over missing values are not empty")
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		`{"content":"a","contentMap":{"en":"b"}}`:           "a",
		`{"content":null,"contentMap":{"de":"b","en":"c"}}`: "b",
		`{"contentMap":{"de":""," en":"c"}}`:                "c",
		`{"content":{"en":"m"}}`:                            "m",
		`{"content":["l1","l2"]}`:                           "l1",
		`{"content":""}`:                                    "",
		`{"content":7}`:                                     "",
	} {
		if got := parse(t, in).Text("content"); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestURL(t *testing.T) {
	for in, want := range map[string]string{
		`{"url":"https://a/1"}`: "https://a/1",
		`{"url":[{"type":"Link","href":"https://a/x.json","mediaType":"application/json"},{"type":"Link","href":"https://a/1","mediaType":"text/html"}]}`: "https://a/1",
		`{"url":[{"type":"Link","href":"https://a/v.mp4","mediaType":"video/mp4"}]}`:                                                                      "https://a/v.mp4",
		`{"url":["magnet:?x","https://a/1"]}`: "https://a/1",
		`{"url":"javascript:alert(1)"}`:       "",
		`{}`:                                  "",
	} {
		if got := parse(t, in).URL(); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, s := range []string{
		"2026-01-02T03:04:05Z", "2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05+0000", "2026-01-02T03:04:05",
		"2026-01-02 03:04:05", "2026-01-02 03:04:05 +0000", "2026-01-02t03:04:05z", " 2026-01-02T03:04:05.000000Z ", "2026-01-02T03:04:05,000Z",
		"Fri, 02 Jan 2026 03:04:05 GMT", "2026-01-02T03:04:05+00",
	} {
		if got, ok := as2.ParseTime(s); !ok || !got.Equal(want) {
			t.Errorf("%q: %v %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "yesterday", "2026", "0000-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "10000-01-01T00:00:00Z", strings.Repeat("2", 100)} {
		if got, ok := as2.ParseTime(s); ok {
			t.Errorf("%q is taken as %v", s, got)
		}
	}
}

// The library panics on, or rewrites, each of these; the view has to survive and the Value to keep the text.
func TestTypedIsGuarded(t *testing.T) {
	for _, in := range []string{
		`{"type":"Note","duration":""}`, `{"type":"Note","duration":"-"}`, `{"type":"Note","attachment":{"type":"Video","duration":""}}`,
		`{"type":"Note","tag":{"type":null}}`, `{"type":"Note","tag":{"type":7}}`, `{"type":"Note","tag":{"type":[true]}}`, `{"type":["Note",null]}`,
		`{"type":"Create","actor":{"type":["Person"],"id":"https://a/1"},"object":{"type":"Note"}}`, `{"@context":7,"type":"Note"}`,
	} {
		view, err := as2.Typed(parse(t, in))
		if err != nil || view.Type() == nil {
			t.Errorf("%s: %v", in, err)
		}
	}
	for _, text := range []string{"Update: hello", "RE: hi", "US: politics", "USQv:x", "https://A.example/%zz"} {
		raw, _ := json.Marshal(map[string]any{"type": "Note", "name": text, "summary": text, "content": text})
		v := parse(t, string(raw))
		if _, err := as2.Typed(v); err != nil {
			t.Error(err)
		}
		if v.Text("name") != text || v.Text("summary") != text || v.Text("content") != text {
			t.Errorf("%q was rewritten", text)
		}
	}
}

func TestTypedKinds(t *testing.T) {
	for in, want := range map[string][3]bool{
		`{"type":"Create"}`:            {true, false, false},
		`{"type":"Person"}`:            {false, true, false},
		`{"type":"OrderedCollection"}`: {false, false, true},
		`{"type":"Note"}`:              {false, false, false},
	} {
		v, err := as2.Typed(parse(t, in))
		if got := [3]bool{v.IsActivity(), v.IsActor(), v.IsCollection()}; err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	if v, err := as2.Typed(parse(t, `{"type":"Arrive"}`)); err != nil || !v.IsIntransitive() {
		t.Errorf("Arrive: %v", err)
	}
	for _, in := range []string{`{"type":"EmojiReact"}`, `{}`, `{"type":7}`} {
		if v, err := as2.Typed(parse(t, in)); !errors.Is(err, as2.ErrNotInVocabulary) || v.IsActivity() || v.IsActor() || v.IsCollection() || v.IsIntransitive() {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestEncodeOrder(t *testing.T) {
	got, err := as2.Encode(map[string]any{
		"object": map[string]any{"type": "Note", "id": "b"}, "cc": []any{}, "to": []string{"x"}, "type": "Create",
		"id": "a", "@context": []any{"c"}, "actor": "z", "n": int64(1), "f": 1.5, "m": map[string]string{"k": "v"}, "b": true, "nul": nil,
	})
	want := `{"@context":["c"],"id":"a","type":"Create","actor":"z","b":true,"cc":[],"f":1.5,"m":{"k":"v"},"n":1,"nul":null,"to":["x"],"object":{"id":"b","type":"Note"}}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\n%s", err, got, want)
	}
	if _, err := as2.Encode(map[string]any{"x": func() {}}); err == nil {
		t.Error("a function was encoded")
	}
}

func TestEncodeStrings(t *testing.T) {
	in := "a\"b\\c\n\r\t\x01<&>\u2028é🦋\xff"
	got := as2.AppendString(nil, in)
	if want := `"a\"b\\c\n\r\t\u0001<&>\u2028é🦋\ufffd"`; string(got) != want {
		t.Errorf("%s\n%s", got, want)
	}
	var back string
	if err := json.Unmarshal(got, &back); err != nil || back != strings.ToValidUTF8(in, "\uFFFD") {
		t.Errorf("%q, %v", back, err)
	}
	if !bytes.Equal(got, as2.AppendString(nil, in)) {
		t.Error("not the same bytes")
	}
}

func TestHostileDocumentsStayCheap(t *testing.T) {
	start := time.Now()
	for _, in := range []string{
		"{" + strings.Join(keys(9000), ",") + "}",
		`{"a":"` + strings.Repeat(`\ud83d`, 150_000) + `"}`,
		strings.Repeat(" ", as2.MaxBytes),
		`{"type":[` + strings.TrimSuffix(strings.Repeat(`"x",`, 9000), ",") + `]}`,
	} {
		if v, err := as2.Parse([]byte(in)); err == nil {
			v.Is("Note")
			v.LangMap("content")
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}
