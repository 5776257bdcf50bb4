package activitypub

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"net/http"
	"slices"
	"time"

	"footbridge/identity"
)

// Verifier proves who sent a request. It is safe for concurrent use.
type Verifier struct {
	origin string
	keys   *KeyRing
	now    func() time.Time
	replay *recent[[sha256.Size]byte, struct{}]
}

// NewVerifier makes one for the bridge at origin (https://host), which is what requests must be signed for.
func NewVerifier(origin string, keys *KeyRing, now func() time.Time) *Verifier {
	return &Verifier{origin: originOf(origin), keys: keys, now: now,
		replay: newRecent[[sha256.Size]byte, struct{}](200_000, maxAge+maxFuture, now)}
}

// Signed is what a good signature proves.
type Signed struct {
	// Actor owns the key, and its own document lists it.
	Actor identity.ActorID
	// KeyID is the key's id.
	KeyID string
	// Scheme is how it was signed; the sender surely reads that scheme, too.
	Scheme Scheme
	mark   [sha256.Size]byte
	// covered are the headers under the signature.
	covered []string
}

// Covers tells whether a header is under the signature.
func (s Signed) Covers(header string) bool { return slices.Contains(s.covered, header) }

// KeyIDOf reads which key a request claims, believing nothing: for blocking early, without a fetch.
func (v *Verifier) KeyIDOf(r *http.Request, body []byte) (string, error) {
	p, err := parseSignature(receive(r, body, v.origin), v.now())
	return p.keyID, err
}

// Verify checks the one signature of a request; body is exactly what was received. On a bad signature the key is fetched
// afresh once, for it may have been rotated.
func (v *Verifier) Verify(ctx context.Context, r *http.Request, body []byte) (Signed, error) {
	p, err := parseSignature(receive(r, body, v.origin), v.now())
	if err != nil {
		return Signed{}, err
	}
	mark := sha256.Sum256(append([]byte(p.keyID+"\x00"), p.signature...))
	if _, seen := v.replay.get(mark); seen {
		return Signed{}, fmt.Errorf("%w: replayed", ErrSignature)
	}
	key, err := v.keys.Key(ctx, p.keyID, false)
	if err != nil {
		return Signed{}, err
	}
	if p.fits(key.Key) != nil {
		if key, err = v.keys.Key(ctx, p.keyID, true); err != nil {
			return Signed{}, err
		}
	}
	if err := p.fits(key.Key); err != nil {
		return Signed{}, err
	}
	if p.scheme == SchemeRFC9421 && ed25519Signs(key.Key) {
		p.scheme = SchemeEd25519
	}
	return Signed{Actor: key.Owner, KeyID: p.keyID, Scheme: p.scheme, mark: mark, covered: p.covered}, nil
}

// Spend marks a signature as used, once what it signed is durable: the same bytes are refused from then on. It reports
// false if somebody else was first.
func (v *Verifier) Spend(s Signed) bool { return v.replay.add(s.mark, struct{}{}) }

// fits checks the signature against a key, by the key's kind; the algorithm named must be of that kind.
func (p parsed) fits(key crypto.PublicKey) error {
	for _, base := range p.bases {
		if p.fitsBase(key, base) {
			return nil
		}
	}
	return fmt.Errorf("%w: it does not fit the key", ErrSignature)
}

func (p parsed) fitsBase(key crypto.PublicKey, base []byte) bool {
	switch k := key.(type) {
	case ed25519.PublicKey:
		named := p.algorithm == "" || p.algorithm == algEd25519 || p.scheme == SchemeCavage && p.algorithm == "hs2019"
		return named && ed25519.Verify(k, base, p.signature)
	case *rsa.PublicKey:
		if p.scheme == SchemeCavage {
			return fitsCavageRSA(k, p.algorithm, base, p.signature)
		}
		return fitsRFC9421RSA(k, p.algorithm, base, p.signature)
	default:
		return false
	}
}

func fitsCavageRSA(k *rsa.PublicKey, algorithm string, base, sig []byte) bool {
	s256, s512 := sha256.Sum256(base), sha512.Sum512(base)
	with256 := func() bool { return rsa.VerifyPKCS1v15(k, crypto.SHA256, s256[:], sig) == nil }
	with512 := func() bool { return rsa.VerifyPKCS1v15(k, crypto.SHA512, s512[:], sig) == nil }
	switch algorithm {
	case "rsa-sha256":
		return with256()
	case "rsa-sha512":
		return with512()
	case "", "hs2019": // the fediverse means SHA-256 by hs2019, the draft SHA-512
		return with256() || with512()
	default:
		return false
	}
}

func fitsRFC9421RSA(k *rsa.PublicKey, algorithm string, base, sig []byte) bool {
	switch algorithm {
	case "", algRSA:
		sum := sha256.Sum256(base)
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], sig) == nil
	case algPSS:
		sum := sha512.Sum512(base)
		return rsa.VerifyPSS(k, crypto.SHA512, sum[:], sig, &rsa.PSSOptions{SaltLength: 64}) == nil
	default:
		return false
	}
}
