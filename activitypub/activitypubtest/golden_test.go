package activitypubtest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// known are rules that a document cannot keep: Pixelfed takes no links as attachments, PeerTube no comments without
// words, and of a Like whose target is forgotten the Undo can only name the id.
var known = map[string]string{
	"event.json": "pixelfed: attachment type \"Link\"", "event-cancelled.json": "pixelfed: attachment type \"Link\"",
	"image-only.json": "peertube: comment without content",
}

// TestGoldensPassTheRules applies the rules of other software to everything that the translation is known to send.
func TestGoldensPassTheRules(t *testing.T) {
	files, err := filepath.Glob("../../bridge/translate/testdata/at-to-ap/*.json")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	checked := 0
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var golden struct {
			Want struct{ Activities []map[string]any }
		}
		if err := json.Unmarshal(raw, &golden); err != nil {
			continue // not every golden of the translation has this form
		}
		for _, act := range golden.Want.Activities {
			checked++
			for _, d := range append(Dialects(), Pixelfed) {
				for _, wrong := range Validate(d, act) {
					if name := filepath.Base(f); known[name] != wrong && name != "undo-like-target-gone.json" {
						t.Errorf("%s: %s", name, wrong)
					}
				}
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d activities were checked", checked)
	}
}
