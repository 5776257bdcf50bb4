package identity_test

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"footbridge/identity"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	cbor "github.com/ipfs/go-ipld-cbor"
	"github.com/multiformats/go-multihash"
)

func newKey(t *testing.T) (*atcrypto.PrivateKeyK256, string) {
	t.Helper()
	key, err := atcrypto.GeneratePrivateKeyK256()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key, pub.DIDKey()
}

func genesis(t *testing.T, user string) (identity.Operation, *atcrypto.PrivateKeyK256) {
	t.Helper()
	signing, _ := newKey(t)
	pub, err := signing.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	rotation, _ := newKey(t)
	_, op, err := identity.NewGenesis(identity.GenesisInput{Signing: pub, Rotation: rotation, UserRotation: user, Handle: "Alice.Example.Test", PDS: "https://pds.example"})
	if err != nil {
		t.Fatal(err)
	}
	return op, rotation
}

// TestGenesisIsDerivedAsTheSpecSays encodes the operation again with a general DAG-CBOR library.
func TestGenesisIsDerivedAsTheSpecSays(t *testing.T) {
	op, _ := genesis(t, "")
	raw, err := json.Marshal(op)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	node, err := cbor.WrapObject(m, multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(node.RawData())
	want := "did:plc:" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:24]
	if did, err := op.DID(); err != nil || did.String() != want {
		t.Errorf("got %s, want %s (%v)", did, want, err)
	}
	if id, err := op.CID(); err != nil || id != node.Cid().String() {
		t.Errorf("got %s, want %s (%v)", id, node.Cid(), err)
	}
	if op.AlsoKnownAs[0] != "at://alice.example.test" || m["prev"] != nil || strings.Contains(op.Sig, "=") {
		t.Errorf("got %s", raw)
	}
	if _, there := m["prev"]; !there {
		t.Error("prev must be there and null")
	}
}

// TestUserKeyStandsFirst (R101).
func TestUserKeyStandsFirst(t *testing.T) {
	userKey, user := newKey(t)
	op, bridge := genesis(t, user)
	if op.RotationKeys[0] != user || len(op.RotationKeys) != 2 {
		t.Fatalf("got %v", op.RotationKeys)
	}
	// The user moves away without us.
	next, err := op.Next()
	if err != nil {
		t.Fatal(err)
	}
	next.Services["atproto_pds"] = identity.Service{Type: "AtprotoPersonalDataServer", Endpoint: "https://elsewhere.example"}
	if err := next.Sign(userKey); err != nil {
		t.Fatal(err)
	}
	if signer, err := next.Verify(op.RotationKeys); err != nil || signer != user {
		t.Errorf("signed by %s, %v", signer, err)
	}
	if prev, err := op.CID(); err != nil || *next.Prev != prev {
		t.Errorf("prev %s, want %s", *next.Prev, prev)
	}
	if op.Services["atproto_pds"].Endpoint != "https://pds.example" {
		t.Error("the operation before was changed")
	}
	tomb, err := next.Tombstone(bridge)
	if err != nil {
		t.Fatal(err)
	}
	if signer, err := tomb.Verify(op.RotationKeys); err != nil || signer != op.RotationKeys[1] {
		t.Errorf("signed by %s, %v", signer, err)
	}
	raw, err := json.Marshal(tomb)
	if err != nil || strings.Contains(string(raw), "rotationKeys") {
		t.Errorf("got %s, %v", raw, err)
	}
	if _, err := tomb.Next(); err == nil {
		t.Error("something follows a tombstone")
	}
}

func TestSetUserKey(t *testing.T) {
	op, bridge := genesis(t, "")
	_, user := newKey(t)
	ours := op.RotationKeys[0]
	next, err := op.Next()
	if err != nil {
		t.Fatal(err)
	}
	next.SetUserKey(user, ours)
	if err := next.Sign(bridge); err != nil || !slices.Equal(next.RotationKeys, []string{user, ours}) {
		t.Errorf("got %v, %v", next.RotationKeys, err)
	}
	if next.SetUserKey("", ours); !slices.Equal(next.RotationKeys, op.RotationKeys) {
		t.Errorf("got %v", next.RotationKeys)
	}
}

func TestSetHandleKeepsOtherAliases(t *testing.T) {
	op, key := genesis(t, "")
	op.AlsoKnownAs = append(op.AlsoKnownAs, "https://social.example/@alice")
	next, err := op.Next()
	if err != nil {
		t.Fatal(err)
	}
	next.SetHandle("new.example.test")
	if !slices.Equal(next.AlsoKnownAs, []string{"at://new.example.test", "https://social.example/@alice"}) {
		t.Errorf("got %v", next.AlsoKnownAs)
	}
	if err := next.Sign(key); err != nil {
		t.Error(err)
	}
}

func TestSignRefuses(t *testing.T) {
	key, did := newKey(t)
	for name, change := range map[string]func(*identity.Operation){
		"no keys":   func(op *identity.Operation) { op.RotationKeys = nil },
		"twice":     func(op *identity.Operation) { op.RotationKeys = []string{did, did} },
		"eleven":    func(op *identity.Operation) { op.RotationKeys = slices.Repeat([]string{did}, 11) },
		"not a key": func(op *identity.Operation) { op.RotationKeys = []string{"did:key:nonsense"} },
		"endpoint":  func(op *identity.Operation) { op.Services["atproto_pds"] = identity.Service{Endpoint: "nowhere"} },
		"size":      func(op *identity.Operation) { op.AlsoKnownAs = []string{strings.Repeat("x", 5000)} },
	} {
		op, _ := genesis(t, "")
		change(&op)
		if err := op.Sign(key); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	op, _ := genesis(t, "")
	_, other := newKey(t)
	if _, err := op.Verify([]string{other, "did:key:nonsense"}); err == nil {
		t.Error("a stranger's key verifies")
	}
	for _, s := range []string{"", "{}", `{"type":"create"}`, `[1]`, `{"type":"plc_operation"}`} {
		if _, err := identity.ParseOperation([]byte(s)); err == nil {
			t.Errorf("%s: parsed", s)
		}
	}
}
