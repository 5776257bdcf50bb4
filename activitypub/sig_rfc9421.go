package activitypub

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Algorithm names of RFC 9421 section 3.3 that occur in the fediverse.
const (
	algRSA     = "rsa-v1_5-sha256"
	algPSS     = "rsa-pss-sha512"
	algEd25519 = "ed25519"
)

// tagActivityPub is the only application tag (RFC 9421 section 2.3) that may be on a signature for us, if any is.
const tagActivityPub = "activitypub"

// signRFC9421 signs a request by RFC 9421 with Content-Digest of RFC 9530.
func signRFC9421(req *http.Request, body []byte, keyID string, key crypto.Signer, now time.Time) error {
	covered := []string{"@method", "@target-uri"}
	if body != nil {
		req.Header.Set("Content-Digest", contentDigest(body))
		covered = append(covered, "content-digest", "content-type")
	}
	covered = append(covered, signedToo(req)...)
	alg := algRSA
	if ed25519Signs(key.Public()) {
		alg = algEd25519
	}
	params := fmt.Sprintf(`("%s");created=%d;keyid="%s";alg="%s"`, strings.Join(covered, `" "`), now.Unix(), keyID, alg)
	r := received{method: req.Method, target: req.URL.RequestURI(), header: req.Header, host: hostOf(req), origin: req.URL.Scheme + "://" + hostOf(req)}
	base, err := rfc9421Base(r, plainItems(covered), params)
	if err != nil {
		return err
	}
	sig, err := signBase(key, alg, base)
	if err != nil {
		return err
	}
	req.Header.Set("Signature-Input", "sig1="+params)
	req.Header.Set("Signature", "sig1=:"+base64.StdEncoding.EncodeToString(sig)+":")
	return nil
}

func plainItems(names []string) []sfItem {
	out := make([]sfItem, len(names))
	for i, n := range names {
		out[i].value = n
	}
	return out
}

func signBase(key crypto.Signer, alg string, base []byte) ([]byte, error) {
	var sig []byte
	var err error
	if alg == algEd25519 {
		sig, err = key.Sign(nil, base, crypto.Hash(0))
	} else {
		sum := sha256.Sum256(base)
		sig, err = key.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
	if err != nil {
		return nil, fmt.Errorf("signing a request: %w", err)
	}
	return sig, nil
}

// rfc9421Base builds the signature base of section 2.5. params is the member of Signature-Input as it is on the wire.
func rfc9421Base(r received, covered []sfItem, params string) ([]byte, error) {
	var b strings.Builder
	seen := map[string]bool{}
	for _, c := range covered {
		if len(c.params) > 0 || seen[c.value] {
			return nil, fmt.Errorf("%w: covered component with parameters, or twice", ErrSignature)
		}
		seen[c.value] = true
		v, err := component(r, c.value)
		if err != nil {
			return nil, err
		}
		b.WriteString(`"` + c.value + `": ` + v + "\n")
	}
	b.WriteString(`"@signature-params": ` + params)
	return []byte(b.String()), nil
}

// component gives the value of a derived component (section 2.2) or of a header that was sent exactly once.
func component(r received, name string) (string, error) {
	path, query, _ := strings.Cut(r.target, "?")
	switch name {
	case "@method":
		return r.method, nil
	case "@target-uri":
		return r.origin + r.target, nil
	case "@authority":
		return r.authority(), nil
	case "@scheme":
		scheme, _, _ := strings.Cut(r.origin, "://")
		return scheme, nil
	case "@request-target":
		return r.target, nil
	case "@path":
		return path, nil
	case "@query":
		return "?" + query, nil
	}
	if name == "" || strings.HasPrefix(name, "@") || strings.ToLower(name) != name || strings.ContainsAny(name, "\": \t") {
		return "", fmt.Errorf("%w: unknown component", ErrSignature)
	}
	v, ok := r.one(name)
	if !ok {
		return "", fmt.Errorf("%w: a covered header is missing or sent twice", ErrSignature)
	}
	return v, nil
}

// parseRFC9421 wants exactly one signature, under one label, in headers that were sent once.
func parseRFC9421(r received, now time.Time) (parsed, error) {
	inputText, ok1 := r.one("Signature-Input")
	sigText, ok2 := r.one("Signature")
	if !ok1 || !ok2 {
		return parsed{}, fmt.Errorf("%w: not exactly one Signature-Input and Signature", ErrSignature)
	}
	input, err1 := parseDictionary(inputText)
	sigs, err2 := parseDictionary(sigText)
	if err1 != nil || err2 != nil || len(input) != 1 || len(sigs) != 1 || input[0].key != sigs[0].key || input[0].isBytes || !sigs[0].isBytes || len(sigs[0].params) > 0 {
		return parsed{}, fmt.Errorf("%w: not exactly one well-formed signature", ErrSignature)
	}
	p := parsed{scheme: SchemeRFC9421, signature: sigs[0].bytes}
	if err := p.readParams(input[0].params, now); err != nil {
		return parsed{}, err
	}
	if err := checkRFC9421Cover(r, input[0].list); err != nil {
		return parsed{}, err
	}
	base, err := rfc9421Base(r, input[0].list, input[0].raw)
	if err != nil {
		return parsed{}, err
	}
	p.bases = [][]byte{base}
	for _, c := range input[0].list {
		p.covered = append(p.covered, c.value)
	}
	return p, nil
}

func (p *parsed) readParams(params []sfParam, now time.Time) error {
	var created, expires time.Time
	ok := true
	text := func(v any) string {
		s, isString := v.(string)
		ok = ok && isString
		return s
	}
	stamp := func(v any) time.Time {
		n, isInt := v.(int64)
		ok = ok && isInt
		return time.Unix(n, 0)
	}
	for _, q := range params {
		switch q.key {
		case "created":
			created = stamp(q.value)
		case "expires":
			expires = stamp(q.value)
		case "keyid":
			p.keyID = text(q.value)
		case "alg":
			p.algorithm = text(q.value)
			ok = ok && slices.Contains([]string{algRSA, algPSS, algEd25519}, p.algorithm)
		case "tag":
			ok = ok && text(q.value) == tagActivityPub
		case "nonce":
			text(q.value)
		default:
			ok = false
		}
	}
	if !ok || created.IsZero() || p.keyID == "" || !checkTimes(created, expires, now) {
		return fmt.Errorf("%w: signature parameters", ErrSignature)
	}
	return nil
}

func checkRFC9421Cover(r received, covered []sfItem) error {
	has := func(name string) bool {
		return slices.ContainsFunc(covered, func(c sfItem) bool { return c.value == name })
	}
	target := has("@target-uri") || has("@authority") && (has("@request-target") || has("@path") && (has("@query") || !strings.Contains(r.target, "?")))
	if !has("@method") || !target {
		return fmt.Errorf("%w: method or target is not signed", ErrSignature)
	}
	if !r.hostFits() {
		return fmt.Errorf("%w: Host is not ours", ErrSignature)
	}
	if r.method != http.MethodPost {
		return nil
	}
	digest, ok := r.one("Content-Digest")
	if !ok || !has("content-digest") {
		return fmt.Errorf("%w: content-digest is not signed", ErrSignature)
	}
	return checkContentDigest(digest, r.body)
}

// originOf is scheme and lower-case authority of a URL without a default port, or empty.
func originOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else if scheme == "http" {
		host = strings.TrimSuffix(host, ":80")
	}
	return scheme + "://" + host
}
