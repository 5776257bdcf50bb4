package activitypub

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mr-tron/base58"

	"footbridge/identity"
)

// Integrity proofs by FEP-8b32: DataIntegrityProof with cryptosuite eddsa-jcs-2022.
const (
	dataIntegrity = "https://w3id.org/security/data-integrity/v1"
	cryptosuite   = "eddsa-jcs-2022"
)

// Prove adds an integrity proof of the actor to a document, which must have none yet. Anyone who has the document can
// then check it, whoever passes it on.
func Prove(raw []byte, actor identity.ActorID, key crypto.Signer, now time.Time) ([]byte, error) {
	doc, err := parseDocument(raw)
	if err != nil {
		return nil, err
	}
	if _, has := doc["proof"]; has {
		return nil, fmt.Errorf("%w: it has a proof already", ErrDocument)
	}
	doc["@context"] = withContext(doc["@context"], dataIntegrity)
	proof := map[string]any{
		"@context": doc["@context"], "type": "DataIntegrityProof", "cryptosuite": cryptosuite,
		"verificationMethod": ProofKeyID(actor), "proofPurpose": "assertionMethod",
		"created": now.UTC().Format(time.RFC3339),
	}
	hash, err := proofHash(doc, proof)
	if err != nil {
		return nil, err
	}
	sig, err := key.Sign(nil, hash, crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("signing a proof: %w", err)
	}
	proof["proofValue"] = "z" + base58.Encode(sig)
	doc["proof"] = proof
	out, err := json.Marshal(map[string]any(doc))
	if err != nil {
		return nil, fmt.Errorf("encoding a proven document: %w", err)
	}
	return out, nil
}

// withContext gives a copy of a context with one more after the others, once.
func withContext(old, more any) []any {
	out := slices.Clone(many(old))
	if url, ok := more.(string); ok && slices.Contains(out, any(url)) {
		return out
	}
	return append(out, more)
}

// proofHash is the hash data of the suite: SHA-256 of the canonical proof options, then that of the document.
func proofHash(doc document, options map[string]any) ([]byte, error) {
	bare := maps.Clone(doc)
	delete(bare, "proof")
	c1, err := canonical(options)
	if err != nil {
		return nil, err
	}
	c2, err := canonical(bare)
	if err != nil {
		return nil, err
	}
	h1, h2 := sha256.Sum256(c1), sha256.Sum256(c2)
	return append(h1[:], h2[:]...), nil
}

// VerifyProof checks the integrity proof of a document and that its key is one of the actor's.
func (v *Verifier) VerifyProof(ctx context.Context, raw []byte, actor identity.ActorID) error {
	doc, err := parseDocument(raw)
	if err != nil {
		return err
	}
	method, _ := proofMethod(doc)
	if originOf(method) != originOf(string(actor)) {
		return fmt.Errorf("%w: the proof is another's", ErrSignature)
	}
	for _, fresh := range []bool{false, true} {
		key, err := v.keys.Key(ctx, method, fresh)
		if err != nil {
			return err
		}
		if key.Owner != actor {
			return fmt.Errorf("%w: the proof is another's", ErrSignature)
		}
		if err = checkProof(doc, key.Key, v.now()); err == nil {
			return nil
		} else if fresh {
			return err
		}
	}
	return nil
}

func proofMethod(doc document) (string, document) {
	p, ok := doc.object("proof")
	if !ok {
		return "", nil
	}
	return idOf(p["verificationMethod"]), p
}

// checkProof checks one proof against a key. An LD signature beside it was added later and is not covered.
func checkProof(doc document, key crypto.PublicKey, now time.Time) error {
	bad := fmt.Errorf("%w: integrity proof", ErrSignature)
	pub, ok := key.(ed25519.PublicKey)
	_, proof := proofMethod(doc)
	if !ok || proof == nil || proof.str("type") != "DataIntegrityProof" || proof.str("cryptosuite") != cryptosuite || proof.str("proofPurpose") != "assertionMethod" {
		return bad
	}
	for _, k := range []string{"domain", "challenge", "previousProof"} { // bind a proof to a use that is not ours
		if _, there := proof[k]; there {
			return bad
		}
	}
	if !proofTimes(proof, now) {
		return bad
	}
	sig, err := base58.Decode(strings.TrimPrefix(proof.str("proofValue"), "z"))
	if err != nil || !strings.HasPrefix(proof.str("proofValue"), "z") || len(sig) != ed25519.SignatureSize {
		return bad
	}
	options := maps.Clone(proof)
	delete(options, "proofValue")
	bare := maps.Clone(doc)
	delete(bare, "signature")
	if proofFits(pub, bare, options, sig) {
		return nil
	}
	if _, there := options["@context"]; !there { // some hash the document's context with the options and do not send it
		options["@context"] = doc["@context"]
		if proofFits(pub, bare, options, sig) {
			return nil
		}
	}
	return bad
}

func proofFits(pub ed25519.PublicKey, bare document, options map[string]any, sig []byte) bool {
	hash, err := proofHash(bare, options)
	return err == nil && ed25519.Verify(pub, hash, sig)
}

func proofTimes(proof document, now time.Time) bool {
	if text, there := proof["created"]; there {
		s, _ := text.(string)
		t, err := time.Parse(time.RFC3339, s)
		if err != nil || t.Sub(now) > maxFuture {
			return false
		}
	}
	if text, there := proof["expires"]; there {
		s, _ := text.(string)
		t, err := time.Parse(time.RFC3339, s)
		if err != nil || !now.Before(t) {
			return false
		}
	}
	return true
}
