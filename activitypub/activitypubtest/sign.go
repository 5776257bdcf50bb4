package activitypubtest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-fed/httpsig"
)

const (
	asNS      = "https://www.w3.org/ns/activitystreams"
	publicURI = asNS + "#Public"
	apType    = "application/activity+json"
	ldType    = `application/ld+json; profile="` + asNS + `"`
)

// sign signs with draft-cavage by an independent library, in the order and with the algorithm name of the dialect.
func (a *Actor) sign(req *http.Request, body []byte) error {
	covered := a.s.rules.covered
	req.Header.Set("Date", a.s.o.Now().UTC().Format(http.TimeFormat))
	req.Header.Set("Host", req.URL.Host)
	if body == nil {
		covered = []string{"(request-target)", "host", "date"}
	} else {
		req.Header.Set("Content-Length", fmt.Sprint(len(body)))
	}
	// The library lists the algorithm as hs2019; what is named on the wire is put right below.
	signer, _, err := httpsig.NewSigner([]httpsig.Algorithm{httpsig.RSA_SHA256}, httpsig.DigestSha256, without(covered, "digest", body != nil), httpsig.Signature, 0)
	if err != nil {
		return fmt.Errorf("making a signer: %w", err)
	}
	if err := signer.SignRequest(a.rsa, a.KeyID(), req, body); err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	req.Header.Set("Signature", strings.Replace(req.Header.Get("Signature"), `algorithm="hs2019"`, `algorithm="`+a.s.rules.algorithm+`"`, 1))
	return nil
}

// without keeps the list as it is; the library adds the digest header itself when it is covered.
func without(covered []string, name string, has bool) []string {
	if has {
		return covered
	}
	var out []string
	for _, c := range covered {
		if c != name {
			out = append(out, c)
		}
	}
	return out
}

// sign9421 signs by RFC 9421, written here apart from the code under test.
func (a *Actor) sign9421(req *http.Request, body []byte) error {
	sum := sha256.Sum256(body)
	digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	names, values := []string{"@method", "@target-uri"}, []string{req.Method, req.URL.String()}
	if body != nil {
		req.Header.Set("Content-Digest", digest)
		names, values = append(names, "content-digest"), append(values, digest)
	}
	params := `("` + strings.Join(names, `" "`) + `")` + fmt.Sprintf(`;alg="rsa-v1_5-sha256";keyid="%s";created=%d`, a.KeyID(), a.s.o.Now().Unix())
	var base strings.Builder
	for i, n := range names {
		fmt.Fprintf(&base, "%q: %s\n", n, values[i])
	}
	base.WriteString(`"@signature-params": ` + params)
	hash := sha256.Sum256([]byte(base.String()))
	sig, err := rsa.SignPKCS1v15(rand.Reader, a.rsa, crypto.SHA256, hash[:])
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	req.Header.Set("Signature-Input", "sig1="+params)
	req.Header.Set("Signature", "sig1=:"+base64.StdEncoding.EncodeToString(sig)+":")
	return nil
}

// Send posts raw bytes to an inbox, signed by the actor the way the dialect does it, and returns the answer's status.
func (a *Actor) Send(ctx context.Context, inbox string, body []byte) (int, error) {
	first := "cavage"
	if a.s.rules.sends9421 {
		first = "rfc9421"
	}
	status, err := a.sendAs(ctx, inbox, body, first)
	if err == nil && status == http.StatusUnauthorized && a.s.rules.sends9421 {
		return a.sendAs(ctx, inbox, body, "cavage")
	}
	return status, err
}

func (a *Actor) sendAs(ctx context.Context, inbox string, body []byte, scheme string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, inbox, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("posting: %w", err)
	}
	req.Header.Set("Content-Type", apType)
	req.Header.Set("User-Agent", string(a.s.o.Dialect)+"/"+a.s.rules.version+" (+"+a.s.origin+"/)")
	if scheme == "cavage" {
		err = a.sign(req, body)
	} else {
		err = a.sign9421(req, body)
	}
	if err != nil {
		return 0, err
	}
	resp, err := a.s.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("posting: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, nil
}

// errFetch says that a document could not be had.
var errFetch = errors.New("fetching")

// Get fetches a document, signed by the actor, and checks its media type strictly.
func (a *Actor) Get(ctx context.Context, url string) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFetch, err)
	}
	req.Header.Set("Accept", apType+", "+ldType)
	if err := a.sign(req, nil); err != nil {
		return nil, err
	}
	resp, err := a.s.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFetch, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w %s: status %d, %w", errFetch, url, resp.StatusCode, orNone(err))
	}
	// Lemmy knows these three and no other spelling.
	switch ct := resp.Header.Get("Content-Type"); ct {
	case apType, apType + "; charset=utf-8", ldType:
	default:
		return nil, fmt.Errorf("%w %s: media type %q", errFetch, url, ct)
	}
	return decode(raw)
}

func orNone(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}
