//go:build conformance

package atproto_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"footbridge/atproto"
	"os"
	"path/filepath"
	"testing"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
)

// vector reads one of the interop vectors.
func vector(t *testing.T, parts ...string) []byte {
	t.Helper()
	root := os.Getenv("FOOTBRIDGE_SHARED")
	if root == "" {
		t.Fatal("FOOTBRIDGE_SHARED does not say where the vectors are")
	}
	raw, err := os.ReadFile(filepath.Join(append([]string{root, "interop"}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Old repos of real accounts: two of version 2, and one of another DID than its document. They parse far enough to be
// refused for that reason.
func TestConformanceRealRepos(t *testing.T) {
	for name, good := range map[string]bool{"fakermaker": false, "paul_staging": false, "greenground": false} {
		d, err := atproto.ParseDocument(vector(t, "indigo", name+".didDoc.json"))
		if err != nil || d.Key == "" {
			t.Errorf("%s: document %+v, %v", name, d, err)
			continue
		}
		n, err := atproto.CheckRepo(t.Context(), d.DID, vector(t, "indigo", name+".repo.car"), d.Key)
		if (err == nil && n > 0) != good {
			t.Errorf("%s: %d records, %v", name, n, err)
		}
	}
}

// Documents as directories and hosts really serve them.
func TestConformanceDocuments(t *testing.T) {
	for name, want := range map[string][2]string{
		"did_plc_doc.json": {"https://bsky.social", ""}, "did_plc_doc_legacy.json": {"https://bsky.social", ""}, "did_web_doc.json": {"", ""},
	} {
		d, err := atproto.ParseDocument(vector(t, "indigo", name))
		if err != nil || (want[0] != "" && (d.PDS != want[0] || d.Key == "")) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

// Commits as they went over the real firehose. Those of before Sync 1.1 carry no proof and are refused.
func TestConformanceRealCommits(t *testing.T) {
	for seq, proven := range map[string]bool{"4621317030": false, "4621317332": false, "4621332152": false, "4623075231": true} {
		var m comatproto.SyncSubscribeRepos_Commit
		if err := json.Unmarshal(vector(t, "indigo", "firehose_commit_"+seq+".json"), &m); err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		if err := m.MarshalCBOR(&body); err != nil {
			t.Fatal(err)
		}
		err := atproto.ProveCommit(body.Bytes(), time.Now())
		if (err == nil) != proven || (err != nil && !errors.Is(err, atproto.ErrForged)) {
			t.Errorf("%s: %v", seq, err)
		}
	}
}
