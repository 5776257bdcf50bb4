package activitypub

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
)

// digestHeader is the Digest of draft-cavage times (RFC 3230).
func digestHeader(body []byte) string {
	sum := sha256.Sum256(body)
	return "SHA-256=" + base64.StdEncoding.EncodeToString(sum[:])
}

// contentDigest is the Content-Digest of RFC 9530.
func contentDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// checkDigest wants a SHA-256 (or SHA-512) among the comma-separated digests of RFC 3230; each known one must fit.
func checkDigest(header string, body []byte) error {
	known := 0
	for _, part := range strings.Split(header, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return fmt.Errorf("%w: digest is malformed", ErrSignature)
		}
		fits, isKnown := digestFits(strings.ToLower(name), value, body)
		if isKnown && !fits {
			return fmt.Errorf("%w: digest does not fit the body", ErrSignature)
		}
		if isKnown {
			known++
		}
	}
	if known == 0 {
		return fmt.Errorf("%w: no known digest", ErrSignature)
	}
	return nil
}

// checkContentDigest is the same for RFC 9530, whose header is a dictionary of byte sequences.
func checkContentDigest(header string, body []byte) error {
	dict, err := parseDictionary(header)
	if err != nil {
		return fmt.Errorf("%w: content-digest: %w", ErrSignature, err)
	}
	known := 0
	for _, m := range dict {
		if !m.isBytes || len(m.params) > 0 {
			return fmt.Errorf("%w: content-digest is malformed", ErrSignature)
		}
		fits, isKnown := digestFits(m.key, base64.StdEncoding.EncodeToString(m.bytes), body)
		if isKnown && !fits {
			return fmt.Errorf("%w: content-digest does not fit the body", ErrSignature)
		}
		if isKnown {
			known++
		}
	}
	if known == 0 {
		return fmt.Errorf("%w: no known content-digest", ErrSignature)
	}
	return nil
}

func digestFits(algorithm, value string, body []byte) (fits, known bool) {
	var want []byte
	switch algorithm {
	case "sha-256":
		sum := sha256.Sum256(body)
		want = sum[:]
	case "sha-512":
		sum := sha512.Sum512(body)
		want = sum[:]
	default:
		return false, false
	}
	got, err := base64.StdEncoding.DecodeString(value)
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, true
}
