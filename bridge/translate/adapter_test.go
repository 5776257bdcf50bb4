package translate

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestAdapterErrors: whatever comes in, one JSON object comes out, and mistakes are told as errors.
func TestAdapterErrors(t *testing.T) {
	for in, want := range map[string]string{
		``:     "reading case",
		`null`: "reading now",
		`[]`:   "reading now",
		`{"direction":"up","context":{"now":"2026-01-02T03:04:05Z"}}`:                       "unknown direction",
		`{"direction":"at-to-ap","context":{"now":"2026-01-02T03:04:05Z"}}`:                 "reading event",
		`{"direction":"at-to-ap","input":{},"context":{"now":"soon"}}`:                      "reading now",
		`{"direction":"ap-to-at","input":"x","context":{"now":"2026-01-02T03:04:05.000Z"}}`: "reading activity",
	} {
		var out struct{ Error string }
		raw := RunCase([]byte(in), "")
		if err := json.Unmarshal(raw, &out); err != nil || !strings.Contains(out.Error, want) {
			t.Errorf("%s gives %s", in, raw)
		}
	}
}

// TestAdapterDirection: the caller's direction wins over the case's, and empty lists are lists.
func TestAdapterDirection(t *testing.T) {
	in := `{"direction":"ap-to-at","input":{"action":"delete","uri":"at://` + bobDID + `/app.bsky.feed.post/3kab2222222ab","did":"` + bobDID + `"},` +
		`"context":{"now":"2026-01-02T03:04:05Z","bridge":{"domain":"b.example"}}}`
	if got := string(RunCase([]byte(in), "at-to-ap")); got != `{"activities":[],"dropped":"unknown_target"}` {
		t.Error(got)
	}
}

// TestAdapterReadsOddMembers: members of another kind than expected are as good as absent.
func TestAdapterReadsOddMembers(t *testing.T) {
	in := `{"input":{"action":"create","uri":7,"did":"` + bobDID + `","cid":[]},"context":{"now":"2026-01-02T03:04:05Z","bridge":"x","actors":[],"pds":1}}`
	if got := string(RunCase([]byte(in), "at-to-ap")); got != `{"activities":[],"dropped":"author_not_joined"}` {
		t.Error(got)
	}
}
