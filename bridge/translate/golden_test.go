package translate

import (
	"bytes"
	"encoding/json"
	"flag"
	"footbridge/activitypub/as2"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/lexicon"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what comes out as what is wanted")

// goldenCase is one file of testdata (see its README).
type goldenCase struct {
	Name     string          `json:"name"`
	Features []string        `json:"features"`
	Note     string          `json:"note,omitempty"`
	Input    json.RawMessage `json:"input"`
	Context  json.RawMessage `json:"context,omitempty"`
	Want     json.RawMessage `json:"want,omitempty"`
}

// loadCase reads a case and gives what RunCase takes.
func loadCase(tb testing.TB, path string) (goldenCase, []byte) {
	tb.Helper()
	var g goldenCase
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&g); err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	base := readMap(tb, filepath.Join("testdata", "context.json"))
	over := map[string]any{}
	if len(g.Context) > 0 {
		if err := json.Unmarshal(g.Context, &over); err != nil {
			tb.Fatalf("%s: context: %v", path, err)
		}
	}
	direction := filepath.Base(filepath.Dir(path))
	full, err := json.Marshal(map[string]any{"name": g.Name, "direction": direction, "input": g.Input, "context": overlay(base, over)})
	if err != nil {
		tb.Fatal(err)
	}
	return g, full
}

func readMap(tb testing.TB, path string) map[string]any {
	tb.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(raw, &m); err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	return m
}

// overlay lays over on top of base: objects one level down are merged, all else replaces.
func overlay(base, over map[string]any) map[string]any {
	out := maps.Clone(base)
	for k, v := range over {
		top, isObject := v.(map[string]any)
		below, wasObject := out[k].(map[string]any)
		if isObject && wasObject {
			merged := maps.Clone(below)
			maps.Copy(merged, top)
			v = merged
		}
		out[k] = v
	}
	return out
}

func goldenFiles(tb testing.TB, direction string) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", direction, "*.json"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no cases for %s: %v", direction, err)
	}
	return files
}

func TestGoldenAPToAT(t *testing.T) {
	catalog := lexicons(t)
	for _, path := range goldenFiles(t, "ap-to-at") {
		t.Run(caseName(path), func(t *testing.T) {
			out := golden(t, path)
			checkWrites(t, catalog, out)
		})
	}
}

func TestGoldenATToAP(t *testing.T) {
	for _, path := range goldenFiles(t, "at-to-ap") {
		t.Run(caseName(path), func(t *testing.T) {
			out := golden(t, path)
			checkActivities(t, out)
		})
	}
}

func caseName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".json") }

// golden runs a case and compares, or writes, its result.
func golden(t *testing.T, path string) []byte {
	t.Helper()
	g, in := loadCase(t, path)
	if g.Name != caseName(path) {
		t.Errorf("case is called %q", g.Name)
	}
	out := RunCase(in, "")
	if again := RunCase(in, ""); !bytes.Equal(out, again) {
		t.Errorf("the same input gave\n%s\nthen\n%s", out, again)
	}
	if strings.HasPrefix(string(out), `{"error"`) {
		t.Errorf("conversion failed: %s", out)
	}
	if *update {
		g.Want = out
		writeCase(t, path, g)
		return out
	}
	var got, want any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(g.Want, &want); err != nil {
		t.Fatalf("no want; run with -update: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want(-) got(+):\n%s", diff)
	}
	return out
}

func writeCase(t *testing.T, path string, g goldenCase) {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(g); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// lexicons loads the schemas that indigo's module carries.
func lexicons(tb testing.TB) *lexicon.BaseCatalog {
	tb.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/bluesky-social/indigo").Output()
	if err != nil {
		tb.Fatalf("finding the lexicons: %v", err)
	}
	catalog := lexicon.NewBaseCatalog()
	if err := catalog.LoadDirectory(filepath.Join(strings.TrimSpace(string(dir)), "lexicons")); err != nil {
		tb.Fatalf("loading the lexicons: %v", err)
	}
	return catalog
}

// checkWrites validates every record against its lexicon. Lexicons of the community are not among indigo's; such records
// are only decoded.
func checkWrites(tb testing.TB, catalog *lexicon.BaseCatalog, out []byte) {
	tb.Helper()
	var res struct {
		Writes []struct {
			Action, Collection, RKey, URI string
			Record                        json.RawMessage
		}
		Dropped DropReason
		Losses  []Loss
	}
	if err := json.Unmarshal(out, &res); err != nil {
		tb.Fatal(err)
	}
	checkLists(tb, res.Dropped, res.Losses)
	for _, w := range res.Writes {
		if _, _, _, ok := SplitURI(w.URI); !ok || !strings.HasSuffix(w.URI, "/"+w.Collection+"/"+w.RKey) {
			tb.Errorf("write has the uri %q for %s/%s", w.URI, w.Collection, w.RKey)
		}
		if w.Action == "delete" {
			continue
		}
		data, err := atdata.UnmarshalJSON(w.Record)
		if err != nil {
			tb.Errorf("record is not of the data model: %v", err)
			continue
		}
		if _, err := catalog.Resolve(w.Collection); err != nil {
			continue
		}
		if err := lexicon.ValidateRecord(catalog, data, w.Collection, 0); err != nil {
			tb.Errorf("%s does not fit its lexicon: %v\n%s", w.Collection, err, w.Record)
		}
	}
}

// checkLists holds outputs to the closed lists.
func checkLists(tb testing.TB, dropped DropReason, losses []Loss) {
	tb.Helper()
	if dropped != None && dropped.Text() == "" {
		tb.Errorf("reason %q is not in the list", dropped)
	}
	for _, l := range losses {
		if what, example := l.Kind.Describe(); what == "" || example == "" {
			tb.Errorf("loss %q is not in the list", l.Kind)
		}
	}
}

// checkActivities holds activities to what every server of the other side demands.
func checkActivities(tb testing.TB, out []byte) {
	tb.Helper()
	var res struct {
		Activities []json.RawMessage
		Dropped    DropReason
		Losses     []Loss
	}
	if err := json.Unmarshal(out, &res); err != nil {
		tb.Fatal(err)
	}
	checkLists(tb, res.Dropped, res.Losses)
	if (len(res.Activities) == 0) == (res.Dropped == None) {
		tb.Errorf("%d activities and the reason %q", len(res.Activities), res.Dropped)
	}
	for _, raw := range res.Activities {
		doc, err := as2.Parse(raw)
		if err != nil {
			tb.Errorf("as2 cannot read it: %v", err)
		} else if _, err := as2.Typed(doc); err != nil {
			tb.Errorf("not in the vocabulary: %v", err)
		}
		checkActivity(tb, raw)
	}
}
