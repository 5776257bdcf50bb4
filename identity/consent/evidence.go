package consent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// EvidenceType says what kind of thing proves who spoke, and whether they had been told.
type EvidenceType string

// The kinds of evidence. Only E1 and E4 prove that the person was told, so only they can grant.
const (
	// E1 is a sign-in (Mastodon API or atproto OAuth) together with the submitted form.
	E1 EvidenceType = "E1"
	// E2 is a signed ActivityPub activity: a Follow, a message, a Block.
	E2 EvidenceType = "E2"
	// E3 is an atproto record or message, with signed commit and proof where there is one.
	E3 EvidenceType = "E3"
	// E4 is an answer to a notice with its code, or a consent record in the person's own repo.
	E4 EvidenceType = "E4"
	// E5 is a flag on the profile. It may be a server's default, so true says nothing; false always denies.
	E5 EvidenceType = "E5"
	// E6 is the word of an instance's admin. It can deny, or permit asking; never grant for a person.
	E6 EvidenceType = "E6"
)

// EvidenceTypes lists all kinds.
func EvidenceTypes() []EvidenceType { return []EvidenceType{E1, E2, E3, E4, E5, E6} }

// Informed tells whether the evidence proves that the person was told what they agree to.
func (t EvidenceType) Informed() bool { return t == E1 || t == E4 }

// ofSelf tells whether the evidence proves that the person themself spoke.
func (t EvidenceType) ofSelf() bool { return t == E1 || t == E2 || t == E3 || t == E4 }

func (t EvidenceType) valid() bool { return t.ofSelf() || t == E5 || t == E6 }

// maxEvidence bounds what is kept of one request or commit.
const maxEvidence = 1 << 20

// Evidence is what came in, byte by byte, so that anyone can verify it again. For the acts of an operator or of the
// bridge itself it is zero.
type Evidence struct {
	Type EvidenceType
	// Raw is the signed request, the CAR, or the submitted form as JSON.
	Raw []byte
}

func (e Evidence) check() error {
	if !e.Type.valid() {
		return fmt.Errorf("unknown kind of evidence %.10q", e.Type)
	}
	if len(e.Raw) > maxEvidence {
		return fmt.Errorf("evidence of %d bytes is too large", len(e.Raw))
	}
	return nil
}

func (e Evidence) sum() string {
	if len(e.Raw) == 0 {
		return ""
	}
	s := sha256.Sum256(e.Raw)
	return hex.EncodeToString(s[:])
}
