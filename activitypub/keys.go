package activitypub

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/mr-tron/base58"

	"footbridge/identity"
)

// Bounds on the RSA keys of others: smaller ones are forgeable, larger ones cost us time.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// ErrKey says that a public key cannot be used.
var ErrKey = errors.New("unusable public key")

// MainKeyID is the id of an actor's RSA key, and ProofKeyID that of its Ed25519 key (FEP-521a).
func MainKeyID(a identity.ActorID) string { return string(a) + "#main-key" }

// ProofKeyID is the id of the Ed25519 key in assertionMethod.
func ProofKeyID(a identity.ActorID) string { return string(a) + "#ed25519-key" }

// NewKeyPair makes fresh keys; the RSA one takes tens of milliseconds, see KeyPool.
func NewKeyPair() (KeyPair, error) {
	r, err := rsa.GenerateKey(rand.Reader, minRSABits)
	if err != nil {
		return KeyPair{}, fmt.Errorf("making an RSA key: %w", err)
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return KeyPair{}, fmt.Errorf("making an Ed25519 key: %w", err)
	}
	return KeyPair{RSA: accelerate(r), Ed25519: e}, nil
}

// KeyPool keeps key pairs ready, so that the first fetch of a new actor does not wait for prime numbers.
type KeyPool struct{ ready chan KeyPair }

// NewKeyPool makes room for n pairs. Run fills it.
func NewKeyPool(n int) *KeyPool { return &KeyPool{ready: make(chan KeyPair, n)} }

// Run makes keys until the context ends.
func (p *KeyPool) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		k, err := NewKeyPair()
		if err != nil {
			return err
		}
		select {
		case p.ready <- k:
		case <-ctx.Done():
		}
	}
	return nil
}

// Get takes a ready pair, or makes one if there is none.
func (p *KeyPool) Get() (KeyPair, error) {
	select {
	case k := <-p.ready:
		return k, nil
	default:
		return NewKeyPair()
	}
}

// MarshalKeyPair writes both private keys as PEM (PKCS #8), to be sealed by the caller.
func MarshalKeyPair(k KeyPair) ([]byte, error) {
	var out []byte
	for _, s := range []crypto.Signer{plainRSA(k.RSA), k.Ed25519} {
		der, err := x509.MarshalPKCS8PrivateKey(s)
		if err != nil {
			return nil, fmt.Errorf("encoding a private key: %w", err)
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	}
	return out, nil
}

// ParseKeyPair reads what MarshalKeyPair wrote.
func ParseKeyPair(text []byte) (KeyPair, error) {
	var k KeyPair
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return KeyPair{}, errors.New("decoding a private key: malformed") // the parser's text could quote the key
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			k.RSA = accelerate(key)
		case ed25519.PrivateKey:
			k.Ed25519 = key
		}
	}
	if k.RSA == nil || k.Ed25519 == nil {
		return KeyPair{}, errors.New("decoding a key pair: a key is missing")
	}
	return k, nil
}

// PublicPEM is the SubjectPublicKeyInfo that actor documents show.
func PublicPEM(pub crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("encoding a public key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// parsePublicPEM accepts SPKI and PKCS #1, and lines that end in carriage returns, spaces or nothing at all.
func parsePublicPEM(text string) (crypto.PublicKey, error) {
	_, rest, begins := strings.Cut(text, "PUBLIC KEY-----")
	body, _, ends := strings.Cut(rest, "-----END")
	if !begins || !ends || len(text) > 16<<10 {
		return nil, fmt.Errorf("%w: not PEM", ErrKey)
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
	if err != nil {
		return nil, fmt.Errorf("%w: not PEM", ErrKey)
	}
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		if pub, err = x509.ParsePKCS1PublicKey(der); err != nil {
			return nil, fmt.Errorf("%w: not a public key", ErrKey)
		}
	}
	return pub, checkPublicKey(pub)
}

func checkPublicKey(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSABits || n > maxRSABits || k.E < 3 || k.E%2 == 0 {
			return fmt.Errorf("%w: RSA parameters", ErrKey)
		}
		return nil
	default:
		return fmt.Errorf("%w: kind", ErrKey)
	}
}

// ed25519Prefix is the multicodec of an Ed25519 public key.
const ed25519Prefix = "\xed\x01"

// Multikey writes an Ed25519 public key as publicKeyMultibase (z6Mk...).
func Multikey(pub ed25519.PublicKey) string {
	return "z" + base58.Encode(append([]byte(ed25519Prefix), pub...))
}

// parseMultikey reads the Ed25519 kind; other kinds are ErrKey.
func parseMultikey(s string) (ed25519.PublicKey, error) {
	rest, ok := strings.CutPrefix(s, "z")
	if !ok || len(s) > 128 {
		return nil, fmt.Errorf("%w: multibase", ErrKey)
	}
	b, err := base58.Decode(rest)
	if err != nil || len(b) != 2+ed25519.PublicKeySize || string(b[:2]) != ed25519Prefix {
		return nil, fmt.Errorf("%w: not an Ed25519 multikey", ErrKey)
	}
	return ed25519.PublicKey(b[2:]), nil
}
