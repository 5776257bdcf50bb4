//go:build conformance

package pds

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/repo"
	"github.com/bluesky-social/indigo/atproto/syntax"
)

func readVectors(t *testing.T, into any, parts ...string) {
	t.Helper()
	raw, err := os.ReadFile(shared(t, parts...))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// TestConformanceDataModel encodes as a record is encoded and compares bytes and CID.
func TestConformanceDataModel(t *testing.T) {
	var cases []struct {
		JSON   map[string]any
		CBOR64 string `json:"cbor_base64"`
		CID    string
	}
	readVectors(t, &cases, "data-model", "data-model-fixtures.json")
	for i, c := range cases {
		v, err := (&cleaner{}).value(c.JSON, 0)
		if err != nil {
			t.Errorf("%d: %v", i, err)
			continue
		}
		data, err := atdata.MarshalCBOR(v.(map[string]any))
		want, derr := base64.RawStdEncoding.DecodeString(strings.TrimRight(c.CBOR64, "="))
		if err != nil || derr != nil || !bytes.Equal(data, want) {
			t.Errorf("%d: encoded as %x (%v)", i, data, err)
		}
		if id, err := dagCID(data); err != nil || id.String() != c.CID {
			t.Errorf("%d: %s, want %s (%v)", i, id, c.CID, err)
		}
	}
	var notes []struct {
		Note string
		JSON any
	}
	readVectors(t, &notes, "data-model", "data-model-valid.json")
	for _, c := range notes {
		if _, err := (&cleaner{}).value(c.JSON, 0); err != nil {
			t.Errorf("valid %q: %v", c.Note, err)
		}
	}
	readVectors(t, &notes, "data-model", "data-model-invalid.json")
	for _, c := range notes {
		m, isObject := c.JSON.(map[string]any)
		if !isObject {
			continue // a record is an object by its Go type
		}
		if _, err := (&cleaner{}).value(m, 0); err == nil {
			t.Errorf("invalid %q: taken", c.Note)
		}
	}
}

func TestConformanceSignatures(t *testing.T) {
	var cases []struct {
		Comment         string
		MessageBase64   string
		PublicKeyDid    string
		SignatureBase64 string
		ValidSignature  bool
	}
	readVectors(t, &cases, "crypto", "signature-fixtures.json")
	for _, c := range cases {
		pub, err := atcrypto.ParsePublicDIDKey(c.PublicKeyDid)
		if err != nil {
			t.Fatal(err)
		}
		message, err1 := base64.RawStdEncoding.DecodeString(c.MessageBase64)
		sig, err2 := base64.RawStdEncoding.DecodeString(strings.TrimRight(c.SignatureBase64, "="))
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if err := pub.HashAndVerify(message, sig); (err == nil) != c.ValidSignature {
			t.Errorf("%s: %v", c.Comment, err)
		}
	}
	var keys []struct{ PrivateKeyBytesHex, PublicDidKey string }
	readVectors(t, &keys, "crypto", "w3c_didkey_K256.json")
	for _, k := range keys {
		raw, err := hex.DecodeString(k.PrivateKeyBytesHex)
		if err != nil {
			t.Fatal(err)
		}
		key, err := atcrypto.ParsePrivateBytesK256(raw)
		if err != nil {
			t.Fatal(err)
		}
		if pub, err := key.PublicKey(); err != nil || pub.DIDKey() != k.PublicDidKey {
			t.Errorf("%s: %v", k.PublicDidKey, err)
		}
	}
}

// TestConformanceSyntax checks what guards the paths and names that this host writes. Where the upstream copies of the
// vectors contradict each other, see their manifest: TIDs are taken as in both, datetimes and languages are not used here.
func TestConformanceSyntax(t *testing.T) {
	for name, parse := range map[string]func(string) error{
		"did":       func(s string) error { _, err := syntax.ParseDID(s); return err },
		"handle":    func(s string) error { _, err := syntax.ParseHandle(s); return err },
		"nsid":      func(s string) error { _, err := syntax.ParseNSID(s); return err },
		"recordkey": func(s string) error { _, err := syntax.ParseRecordKey(s); return err },
		"tid":       func(s string) error { _, err := syntax.ParseTID(s); return err },
		"aturi":     func(s string) error { _, err := syntax.ParseATURI(s); return err },
	} {
		for _, kind := range []string{"valid", "invalid"} {
			raw, err := os.ReadFile(shared(t, "syntax", name+"_syntax_"+kind+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.SplitSeq(string(raw), "\n") {
				if line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				if err := parse(line); (err == nil) != (kind == "valid") {
					t.Errorf("%s %s: %q: %v", name, kind, line, err)
				}
			}
		}
	}
}

// TestConformanceRealRepos reads exports of real servers, record by record, and builds their trees anew: the roots must be theirs.
func TestConformanceRealRepos(t *testing.T) {
	files, err := filepath.Glob(shared(t, "indigo", "*.repo*"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(shared(t, "arroba", "*.car"))
	if err != nil || len(files)+len(more) < 4 {
		t.Fatal(files, more, err)
	}
	for _, f := range append(files, more...) {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		head, _, err := repo.LoadCommitFromCAR(context.Background(), bytes.NewReader(raw))
		if err != nil {
			t.Logf("%s is of an old version: %v", filepath.Base(f), err)
			continue
		}
		commit, records, err := readRepo(syntax.DID(head.DID), bytes.NewReader(raw))
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(f), err)
			continue
		}
		tr := newTree()
		for path, e := range records {
			if _, err := tr.put(path, e.cid); err != nil {
				t.Fatal(err)
			}
		}
		if root, _, _, err := tr.flush(); err != nil || root != commit.Data {
			t.Errorf("%s: root %s, want %s (%v)", filepath.Base(f), root, commit.Data, err)
		}
		t.Logf("%s: %d records", filepath.Base(f), len(records))
	}
}
