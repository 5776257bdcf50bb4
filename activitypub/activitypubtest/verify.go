package activitypubtest

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-fed/httpsig"
	"github.com/mr-tron/base58"
)

// remoteKey is a key that was fetched.
type remoteKey struct {
	owner string
	key   crypto.PublicKey
}

var errVerify = errors.New("signature refused")

func decode(raw []byte) (map[string]any, error) {
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("decoding a document: %w", err)
	}
	return m, nil
}

// verify proves who sent a request and says by which scheme.
func (s *Server) verify(r *http.Request, body []byte) (owner, scheme string, err error) {
	if r.Header.Get("Signature-Input") != "" {
		if !s.rules.reads9421 {
			return "", "", fmt.Errorf("%w: RFC 9421 is not known here", errVerify)
		}
		owner, err = s.verify9421(r, body)
		return owner, "rfc9421", err
	}
	owner, err = s.verifyCavage(r, body)
	return owner, "cavage", err
}

func (s *Server) verifyCavage(r *http.Request, body []byte) (string, error) {
	r.Header.Set("Host", r.Host)
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	v, err := httpsig.NewVerifier(r)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errVerify, err)
	}
	covered := regexp.MustCompile(`headers="([^"]*)"`).FindStringSubmatch(r.Header.Get("Signature"))
	if covered == nil {
		return "", fmt.Errorf("%w: no list of headers", errVerify)
	}
	want := []string{"(request-target)", "host", "date"}
	if r.Method == http.MethodPost {
		want = append(want, "digest")
		sum := sha256.Sum256(body)
		if r.Header.Get("Digest") != "SHA-256="+base64.StdEncoding.EncodeToString(sum[:]) {
			return "", fmt.Errorf("%w: digest", errVerify)
		}
	}
	for _, w := range want {
		if !strings.Contains(" "+covered[1]+" ", " "+w+" ") {
			return "", fmt.Errorf("%w: %s is not covered", errVerify, w)
		}
	}
	date, err := http.ParseTime(r.Header.Get("Date"))
	if err != nil || s.o.Now().Sub(date).Abs() > 30*time.Minute { // the narrowest window in use (PeerTube)
		return "", fmt.Errorf("%w: date", errVerify)
	}
	return s.withKey(r.Context(), v.KeyId(), func(key crypto.PublicKey) error {
		if _, ok := key.(ed25519.PublicKey); ok {
			return v.Verify(key, httpsig.ED25519)
		}
		return v.Verify(key, httpsig.RSA_SHA256)
	})
}

// withKey checks with the key that is known and, if it does not fit, once more with a fresh one.
func (s *Server) withKey(ctx context.Context, id string, check func(crypto.PublicKey) error) (string, error) {
	s.mu.Lock()
	k, known := s.keys[id]
	s.mu.Unlock()
	if known && check(k.key) == nil {
		return k.owner, nil
	}
	k, err := s.fetchKey(ctx, id)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errVerify, err)
	}
	if err := check(k.key); err != nil {
		return "", fmt.Errorf("%w: %w", errVerify, err)
	}
	s.mu.Lock()
	s.keys[id] = k
	s.mu.Unlock()
	return k.owner, nil
}

func (s *Server) fetchKey(ctx context.Context, id string) (remoteKey, error) {
	url, _, _ := strings.Cut(id, "#")
	doc, err := s.instance().Get(ctx, url)
	if err != nil {
		return remoteKey{}, err
	}
	owner, _ := doc["id"].(string)
	if owner != url { // GoToSocial has a page for each key; what counts is the actor's own
		if host(owner) != host(url) {
			return remoteKey{}, fmt.Errorf("the document at %s calls itself %s", url, owner)
		}
		if doc, err = s.instance().Get(ctx, owner); err != nil {
			return remoteKey{}, err
		}
		if doc["id"] != owner {
			return remoteKey{}, fmt.Errorf("the document at %s calls itself %v", owner, doc["id"])
		}
	}
	if p, ok := doc["publicKey"].(map[string]any); ok && p["id"] == id && p["owner"] == owner {
		text, _ := p["publicKeyPem"].(string)
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return remoteKey{}, errors.New("key is not PEM")
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return remoteKey{}, fmt.Errorf("reading a key: %w", err)
		}
		return remoteKey{owner, key}, nil
	}
	methods, _ := doc["assertionMethod"].([]any)
	for _, m := range methods {
		p, _ := m.(map[string]any)
		if text, _ := p["publicKeyMultibase"].(string); p["id"] == id && p["controller"] == owner {
			b, err := base58.Decode(strings.TrimPrefix(text, "z"))
			if err != nil || len(b) != 34 || b[0] != 0xed {
				return remoteKey{}, errors.New("key is no Ed25519 multikey")
			}
			return remoteKey{owner, ed25519.PublicKey(b[2:])}, nil
		}
	}
	return remoteKey{}, fmt.Errorf("%s does not list %s", owner, id)
}

var (
	inputForm     = regexp.MustCompile(`^([a-z0-9]+)=(\(((?:"[^"]+" ?)+)\)(.*))$`)
	signatureForm = regexp.MustCompile(`^([a-z0-9]+)=:([A-Za-z0-9+/=]+):$`)
	keyIDForm     = regexp.MustCompile(`;keyid="([^"]+)"`)
	createdForm   = regexp.MustCompile(`;created=(\d+)`)
)

func (s *Server) verify9421(r *http.Request, body []byte) (string, error) {
	in := inputForm.FindStringSubmatch(r.Header.Get("Signature-Input"))
	sig := signatureForm.FindStringSubmatch(r.Header.Get("Signature"))
	if in == nil || sig == nil || in[1] != sig[1] {
		return "", fmt.Errorf("%w: malformed", errVerify)
	}
	keyID, created := keyIDForm.FindStringSubmatch(in[4]), createdForm.FindStringSubmatch(in[4])
	if keyID == nil || created == nil {
		return "", fmt.Errorf("%w: keyid or created is missing", errVerify)
	}
	at, err := strconv.ParseInt(created[1], 10, 64)
	if err != nil || s.o.Now().Sub(time.Unix(at, 0)).Abs() > 30*time.Minute {
		return "", fmt.Errorf("%w: created", errVerify)
	}
	base, err := s.base9421(r, body, in[3], in[2])
	if err != nil {
		return "", err
	}
	raw, err := base64.StdEncoding.DecodeString(sig[2])
	if err != nil {
		return "", fmt.Errorf("%w: %w", errVerify, err)
	}
	return s.withKey(r.Context(), keyID[1], func(key crypto.PublicKey) error {
		switch k := key.(type) {
		case *rsa.PublicKey:
			sum := sha256.Sum256(base)
			return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], raw)
		case ed25519.PublicKey:
			if ed25519.Verify(k, base, raw) {
				return nil
			}
		}
		return errVerify
	})
}

func (s *Server) base9421(r *http.Request, body []byte, list, params string) ([]byte, error) {
	sum := sha256.Sum256(body)
	var b strings.Builder
	seen := map[string]bool{}
	for _, quoted := range strings.Fields(list) {
		name := strings.Trim(quoted, `"`)
		seen[name] = true
		var value string
		switch name {
		case "@method":
			value = r.Method
		case "@target-uri":
			value = s.origin + r.URL.RequestURI()
		case "@authority":
			value = s.Host()
		case "@path":
			value = r.URL.EscapedPath()
		default:
			value = r.Header.Get(name)
		}
		fmt.Fprintf(&b, "%q: %s\n", name, value)
	}
	if !seen["@method"] || !seen["@target-uri"] {
		return nil, fmt.Errorf("%w: method and target must be covered", errVerify)
	}
	if r.Method == http.MethodPost && (!seen["content-digest"] || r.Header.Get("Content-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":") {
		return nil, fmt.Errorf("%w: content-digest", errVerify)
	}
	b.WriteString(`"@signature-params": ` + params)
	return []byte(b.String()), nil
}
