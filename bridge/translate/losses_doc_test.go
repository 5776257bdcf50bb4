package translate

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const lossesDoc = "../../docs/what-gets-lost.md"

// TestLossesDocument holds docs/what-gets-lost.md to the closed lists and to what the golden cases show.
func TestLossesDocument(t *testing.T) {
	want := lossesPage(t)
	if *update {
		if err := os.WriteFile(lossesDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(lossesDoc)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is out of date: run go test ./bridge/translate -run 'Golden|Losses' -update", lossesDoc)
	}
}

func lossesPage(t *testing.T) string {
	t.Helper()
	to, from := lossesSeen(t, "at-to-ap"), lossesSeen(t, "ap-to-at")
	var b strings.Builder
	b.WriteString(`# What gets lost

Two networks that say things differently cannot carry everything across. This page lists all that Footbridge knows it
loses or changes; each post's losses are named on its author's page. It is made from the closed list in the source, with
the cases of the test corpus that show each: a loss that is not listed here does not exist, or is a bug.

`)
	kinds := LossKinds()
	slices.Sort(kinds)
	section(&b, "On the way to the fediverse (Bluesky post becomes fediverse post)", kinds, to)
	section(&b, "On the way to Bluesky (fediverse post becomes Bluesky post)", kinds, from)
	b.WriteString("## Not bridged at all\n\nSomething that is not bridged has exactly one of these reasons.\n\n| Reason | Meaning |\n|---|---|\n")
	reasons := DropReasons()
	slices.Sort(reasons)
	for _, r := range reasons {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r, r.Text())
	}
	return b.String()
}

func section(b *strings.Builder, title string, kinds []LossKind, seen map[LossKind][]string) {
	fmt.Fprintf(b, "## %s\n\n| Loss | What happens | Example | Cases |\n|---|---|---|---|\n", title)
	for _, k := range kinds {
		if cases := seen[k]; len(cases) > 0 {
			what, example := k.Describe()
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", k, cell(what), cell(example), strings.Join(cases[:min(len(cases), 3)], ", "))
		}
	}
	b.WriteString("\n")
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

// lossesSeen lists the golden cases of a direction by the losses in their results.
func lossesSeen(t *testing.T, direction string) map[LossKind][]string {
	t.Helper()
	out := map[LossKind][]string{}
	for _, path := range goldenFiles(t, direction) {
		g, _ := loadCase(t, path)
		var want struct{ Losses []Loss }
		if err := json.Unmarshal(g.Want, &want); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, l := range want.Losses {
			if !slices.Contains(out[l.Kind], caseName(path)) {
				out[l.Kind] = append(out[l.Kind], caseName(path))
			}
		}
	}
	return out
}

// TestEveryLossIsShown: each kind of the closed list is shown by a golden case, so that the list holds nothing that
// cannot happen.
func TestEveryLossIsShown(t *testing.T) {
	to, from := lossesSeen(t, "at-to-ap"), lossesSeen(t, "ap-to-at")
	for _, k := range LossKinds() {
		if len(to[k])+len(from[k]) == 0 {
			t.Errorf("no case shows the loss %q", k)
		}
	}
}
