package activitypub

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// signCavage signs a request by draft-cavage-http-signatures-12 with rsa-sha256, which everybody understands.
func signCavage(req *http.Request, body []byte, keyID string, key crypto.Signer, now time.Time) error {
	req.Header.Set("Date", now.UTC().Format(http.TimeFormat))
	covered := []string{"(request-target)", "host", "date"}
	if body != nil {
		req.Header.Set("Digest", digestHeader(body))
		covered = append(covered, "digest", "content-type")
	}
	covered = append(covered, signedToo(req)...)
	r := received{method: req.Method, target: req.URL.RequestURI(), host: hostOf(req), header: req.Header}
	base, ok := cavageBase(r, covered, r.target, nil)
	if !ok {
		return fmt.Errorf("signing %s: a covered header is missing", req.Method)
	}
	sum := sha256.Sum256(base)
	sig, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return fmt.Errorf("signing a request: %w", err)
	}
	req.Header.Set("Signature", fmt.Sprintf(`keyId="%s",algorithm="rsa-sha256",headers="%s",signature="%s"`,
		keyID, strings.Join(covered, " "), base64.StdEncoding.EncodeToString(sig)))
	return nil
}

// signedToo are headers that mean nothing unsigned (FEP-8fcf).
func signedToo(req *http.Request) []string {
	if req.Header.Get("Collection-Synchronization") != "" {
		return []string{"collection-synchronization"}
	}
	return nil
}

func hostOf(req *http.Request) string {
	if req.Host != "" {
		return req.Host
	}
	return req.URL.Host
}

// cavageBase builds the string to sign. It reports false if a covered header is absent or was sent twice.
func cavageBase(r received, covered []string, target string, params map[string]string) ([]byte, bool) {
	lines := make([]string, 0, len(covered))
	for _, name := range covered {
		var value string
		ok := true
		switch name {
		case "(request-target)":
			value = strings.ToLower(r.method) + " " + target
		case "(created)", "(expires)":
			value, ok = params[strings.Trim(name, "()")]
		default:
			value, ok = r.one(name)
		}
		if !ok {
			return nil, false
		}
		lines = append(lines, name+": "+value)
	}
	return []byte(strings.Join(lines, "\n")), true
}

func parseCavage(r received, now time.Time) (parsed, error) {
	text, ok := r.one("Signature")
	if !ok {
		return parsed{}, fmt.Errorf("%w: not exactly one Signature header", ErrSignature)
	}
	params, err := cavageParams(text)
	if err != nil {
		return parsed{}, err
	}
	p := parsed{scheme: SchemeCavage, keyID: params["keyId"], algorithm: strings.ToLower(params["algorithm"])}
	if p.signature, err = base64.StdEncoding.DecodeString(params["signature"]); err != nil || p.keyID == "" || len(p.signature) == 0 {
		return parsed{}, fmt.Errorf("%w: keyId or signature is missing", ErrSignature)
	}
	if !slices.Contains([]string{"", "hs2019", "rsa-sha256", "rsa-sha512", "ed25519"}, p.algorithm) {
		return parsed{}, fmt.Errorf("%w: algorithm", ErrSignature)
	}
	covered := strings.Fields(strings.ToLower(params["headers"]))
	p.covered = covered
	if err := checkCavageCover(r, covered, params, p.algorithm, now); err != nil {
		return parsed{}, err
	}
	for _, target := range targets(r.target) {
		base, ok := cavageBase(r, covered, target, params)
		if !ok {
			return parsed{}, fmt.Errorf("%w: a covered header is missing or sent twice", ErrSignature)
		}
		p.bases = append(p.bases, base)
	}
	return p, nil
}

// targets are the forms in which senders write the request target: with its query, or (some) without.
func targets(t string) []string {
	if path, _, found := strings.Cut(t, "?"); found {
		return []string{t, path}
	}
	return []string{t}
}

// cavageParams reads key="value" pairs strictly: no duplicates, no stray text.
func cavageParams(s string) (map[string]string, error) {
	bad := fmt.Errorf("%w: Signature header is malformed", ErrSignature)
	out := map[string]string{}
	for s = strings.TrimSpace(s); s != ""; {
		name, rest, ok := strings.Cut(s, "=")
		name = strings.TrimSpace(name)
		if _, twice := out[name]; !ok || twice || name == "" || strings.ContainsAny(name, "\", ") || len(out) == 16 {
			return nil, bad
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			if value, rest, ok = strings.Cut(rest[1:], `"`); !ok {
				return nil, bad
			}
		} else {
			end := strings.IndexByte(rest+",", ',')
			value, rest = strings.TrimSpace(rest[:end]), rest[end:]
			if _, err := strconv.ParseInt(value, 10, 64); err != nil {
				return nil, bad // only created and expires are written without quotes
			}
		}
		out[name] = value
		rest = strings.TrimSpace(rest)
		if rest == "" {
			break
		}
		if s, ok = strings.CutPrefix(rest, ","); !ok {
			return nil, bad
		}
		if s = strings.TrimSpace(s); s == "" {
			return nil, bad
		}
	}
	return out, nil
}

// checkCavageCover checks what must be under the signature, and that it is true.
func checkCavageCover(r received, covered []string, params map[string]string, algorithm string, now time.Time) error {
	has := func(name string) bool { return slices.Contains(covered, name) }
	if !has("(request-target)") || !has("host") {
		return fmt.Errorf("%w: target or host is not signed", ErrSignature)
	}
	if sorted := slices.Sorted(slices.Values(covered)); len(slices.Compact(sorted)) != len(covered) || len(covered) > 32 {
		return fmt.Errorf("%w: a header is covered twice", ErrSignature)
	}
	if !r.hostFits() {
		return fmt.Errorf("%w: Host is not ours", ErrSignature)
	}
	if r.method == http.MethodPost {
		digest, ok := r.one("Digest")
		if !ok || !has("digest") {
			return fmt.Errorf("%w: digest is not signed", ErrSignature)
		}
		if err := checkDigest(digest, r.body); err != nil {
			return err
		}
	}
	return checkCavageTimes(r, has, params, algorithm, now)
}

func checkCavageTimes(r received, has func(string) bool, params map[string]string, algorithm string, now time.Time) error {
	bad := fmt.Errorf("%w: time", ErrSignature)
	var created, expires time.Time
	if has("(created)") || has("(expires)") {
		// Section 2.3 of the draft: an error with algorithms that begin with rsa, hmac or ecdsa.
		if strings.HasPrefix(algorithm, "rsa") {
			return bad
		}
	}
	if has("(created)") {
		n, err := strconv.ParseInt(params["created"], 10, 64)
		if err != nil {
			return bad
		}
		created = time.Unix(n, 0)
	}
	if text, ok := params["expires"]; ok {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return bad
		}
		expires = time.Unix(n, 0)
	}
	if has("date") {
		text, _ := r.one("Date")
		date, err := http.ParseTime(text)
		if err != nil || !checkTimes(date, time.Time{}, now) {
			return bad
		}
	} else if created.IsZero() {
		return bad
	}
	if !checkTimes(created, expires, now) {
		return bad
	}
	return nil
}

// ed25519Signs tells which kind a key is.
func ed25519Signs(key crypto.PublicKey) bool {
	_, ok := key.(ed25519.PublicKey)
	return ok
}
