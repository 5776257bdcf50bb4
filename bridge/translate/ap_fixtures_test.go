//go:build conformance

package translate

import (
	"encoding/json"
	"flag"
	"fmt"
	"footbridge/activitypub/as2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// sharedDir is where the fixtures of real servers lie; they are not part of the project. It comes from
// FOOTBRIDGE_SHARED.
func sharedDir(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv("FOOTBRIDGE_SHARED")
	if dir == "" {
		tb.Fatal("FOOTBRIDGE_SHARED has to name the folder that holds fixtures/ and conformance/")
	}
	return dir
}

var updateFixtures = flag.Bool("update-fixtures", false, "write what becomes of the fixtures as what is wanted")

// TestConformanceFixtures converts the documents of real servers, with their authors joined, their files fetched and their parents
// bridged: each gives what testdata/fixtures.txt says, is valid, and keeps its descriptions.
func TestConformanceFixtures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(sharedDir(t), "fixtures", "activitypub", "*.json"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	catalog := lexicons(t)
	var lines []string
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c := worldOf(t, raw)
			r, err := FromActivity(raw, c)
			if err != nil {
				t.Fatal(err)
			}
			out := mustEncode(t, r)
			checkWrites(t, catalog, out)
			keepsDescriptions(t, raw, r, string(out))
			lines = append(lines, name+": "+outcome(r))
		})
	}
	compareLines(t, filepath.Join("testdata", "fixtures.txt"), lines)
}

func outcome(r ATResult) string {
	if r.Dropped != None {
		return "dropped " + string(r.Dropped)
	}
	var out []string
	for _, w := range r.Writes {
		out = append(out, w.Action+" "+w.Collection)
	}
	if r.Account != "" {
		out = append(out, "account "+r.Account)
	}
	for range r.Reports {
		out = append(out, "report")
	}
	return strings.Join(out, ", ")
}

func compareLines(t *testing.T, path string, lines []string) {
	t.Helper()
	sort.Strings(lines)
	got := strings.Join(lines, "\n") + "\n"
	if *updateFixtures {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wanted := strings.Split(strings.TrimSpace(string(want)), "\n")
	for i, l := range lines {
		if i >= len(wanted) || wanted[i] != l {
			t.Errorf("got %q", l)
		}
	}
	if len(wanted) != len(lines) {
		t.Errorf("%d outcomes, want %d", len(lines), len(wanted))
	}
}

// worldOf is a context in which everybody in the document joined and all of it was fetched.
func worldOf(t *testing.T, raw []byte) *Context {
	t.Helper()
	refs, err := ActivityRefs(raw, "bridge.test")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := as2.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	c := baseContext(t)
	c.Objects, c.Blobs = map[string]StrongRef{}, map[string]Blob{}
	authors := append(append(doc.Refs("actor"), doc.Refs("attributedTo")...), doc.Get("object").First().Refs("attributedTo")...)
	if len(authors) == 0 || doc.Has("preferredUsername") {
		authors = append(authors, doc.ID())
	}
	for i, id := range authors {
		c.Actors[id] = Actor{DID: fmt.Sprintf("did:plc:author%02d2222222222222222", i), Handle: "author.example", Acct: "author@example", Native: "ap"}
	}
	for _, m := range refs.Media {
		mime := map[string]string{"video": "video/mp4", "avatar": "image/png"}[m.Kind]
		if mime == "" {
			mime = "image/jpeg"
		}
		c.Blobs[m.URL] = Blob{CID: "bafkreifusycfvx5ak7suqltncx6n2ydzfnvxnbudeot5lsp2s5yocag6de", MimeType: mime, Size: 1000}
	}
	ref := StrongRef{"at://did:plc:author002222222222222222/app.bsky.feed.post/3kab2222222lg", "bafyreigrjqau56cvwl2ijfgoivl6pjheggmg7ppe46ivzs4hgvnsrq3oyi"}
	for _, id := range refs.Parents {
		c.Objects[id] = ref
	}
	if doc.Is("Like", "EmojiReact", "Announce", "Undo", "Delete", "Flag", "Tombstone") {
		for _, id := range append(refs.Objects, doc.ID()) {
			c.Objects[id] = ref
		}
		for _, beside := range besidePost() {
			for _, id := range refs.Objects {
				delete(c.Objects, besideID(id, beside)) // no gates or documents
			}
		}
	}
	return c
}

// keepsDescriptions looks for every alternative text of the document in what came out.
func keepsDescriptions(t *testing.T, raw []byte, r ATResult, out string) {
	t.Helper()
	if len(r.Writes) == 0 || r.Writes[0].Collection != nsidPost {
		return
	}
	doc, _ := as2.Parse(raw)
	o := doc
	if inner := doc.Get("object").First(); inner.IsObject() {
		o = inner
	}
	list := o.Get("attachment").List()
	for i := range list {
		alt := altOf(&list[i])
		if alt == "" || list[i].Is("PropertyValue") {
			continue
		}
		quoted, err := json.Marshal(alt)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out, strings.Trim(string(quoted), `"`)) {
			t.Errorf("the description %q is lost", alt)
		}
	}
}
