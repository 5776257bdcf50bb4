package atproto_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"footbridge/atproto"
	"footbridge/atproto/atprototest"
	"footbridge/identity"
	"footbridge/identity/consent"
	"maps"
	"strings"
	"testing"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/syntax"
)

func newKey(t *testing.T) *atcrypto.PrivateKeyK256 {
	t.Helper()
	k, err := atcrypto.GeneratePrivateKeyK256()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A whole life of a DID made by package identity, at a directory that checks everything.
func TestPLCLife(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	plc := atproto.NewPLC(r.net.PLC.URL(), r.resolver)
	signing, rotation := newKey(t), newKey(t)
	did, genesis := makeGenesis(t, signing, rotation, "anna.social.ap.test")
	if _, err := plc.Log(t.Context(), did); !errors.Is(err, atproto.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	if err := plc.Submit(t.Context(), consent.Permit{}, did, encodeOp(t, genesis)); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("without a permit: %v", err)
	}
	r.ok(plc.Submit(t.Context(), r.permit(t.Context()), did, encodeOp(t, genesis)))
	data, err := plc.Data(t.Context(), did)
	r.ok(err)
	if data.AlsoKnownAs[0] != "at://anna.social.ap.test" || data.Services["atproto_pds"].Endpoint != "https://bridge.example" {
		t.Errorf("data %+v", data)
	}
	next, err := genesis.Next()
	r.ok(err)
	next.SetHandle("anna2.social.ap.test")
	r.ok(next.Sign(rotation))
	r.ok(plc.Submit(t.Context(), r.permit(t.Context()), did, encodeOp(t, next)))
	if d, err := r.resolver.Document(t.Context(), did); err != nil || d.AlsoKnownAs[0] != "at://anna2.social.ap.test" {
		t.Errorf("document %+v, %v", d, err)
	}
	if err := plc.Submit(t.Context(), r.permit(t.Context()), did, encodeOp(t, next)); err == nil {
		t.Error("the same operation was taken twice")
	}
	tomb, err := next.Tombstone(rotation)
	r.ok(err)
	r.ok(plc.Submit(t.Context(), r.permit(t.Context()), did, encodeOp(t, tomb)))
	if _, err := r.resolver.ResolveDID(t.Context(), did); !errors.Is(err, atproto.ErrNotFound) {
		t.Errorf("after the tombstone: %v", err)
	}
	log, err := plc.Log(t.Context(), did)
	if err != nil || len(log) != 3 {
		t.Errorf("log of %d, %v", len(log), err)
	}
}

func encodeOp(t *testing.T, op identity.Operation) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(op)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func makeGenesis(t *testing.T, signing, rotation *atcrypto.PrivateKeyK256, handle syntax.Handle) (syntax.DID, identity.Operation) {
	t.Helper()
	pub, err := signing.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	did, op, err := identity.NewGenesis(identity.GenesisInput{Signing: pub, Rotation: rotation, Handle: handle, PDS: "https://bridge.example"})
	if err != nil {
		t.Fatal(err)
	}
	return did, op
}

// Forgery 39: what the directory refuses, so that what we send is right.
func TestPLCRefusesForgeries(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	rotation, foreign := newKey(t), newKey(t)
	did, genesis := makeGenesis(t, newKey(t), rotation, "anna.social.ap.test")
	r.ok(r.net.PLC.Submit(string(did), encodeOp(t, genesis)))
	next, err := genesis.Next()
	r.ok(err)
	next.SetHandle("new.social.ap.test")
	change := func(f func(map[string]any)) []byte {
		op := next
		r.ok(op.Sign(rotation))
		var m map[string]any
		r.ok(json.Unmarshal(encodeOp(t, op), &m))
		m = maps.Clone(m)
		f(m)
		raw, err := json.Marshal(m)
		r.ok(err)
		return raw
	}
	foreignOp := next
	r.ok(foreignOp.Sign(foreign))
	for name, raw := range map[string][]byte{
		"foreign key":      encodeOp(t, foreignOp),
		"padded signature": change(func(m map[string]any) { m["sig"] = m["sig"].(string) + "==" }),
		"high S": change(func(m map[string]any) {
			sig, err := base64.RawURLEncoding.DecodeString(m["sig"].(string))
			r.ok(err)
			m["sig"] = base64.RawURLEncoding.EncodeToString(highS(sig))
		}),
		"changed after signing": change(func(m map[string]any) { m["alsoKnownAs"] = []string{"at://mallory.example.com"} }),
		"unknown field":         change(func(m map[string]any) { m["note"] = "x" }),
		"wrong prev":            change(func(m map[string]any) { m["prev"] = "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a" }),
		"genesis again":         encodeOp(t, genesis),
		"too large":             change(func(m map[string]any) { m["alsoKnownAs"] = []string{"at://" + strings.Repeat("a", 5000)} }),
	} {
		if err := r.net.PLC.Submit(string(did), raw); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := r.net.PLC.Submit("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", encodeOp(t, genesis)); err == nil {
		t.Error("a genesis for another DID was taken")
	}
}
