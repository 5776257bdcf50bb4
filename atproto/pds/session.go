package pds

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
	"github.com/labstack/echo/v4"
)

type cidKey = cid.Cid

// Scopes of session tokens.
const (
	scopeAccess  = "com.atproto.access"
	scopeRefresh = "com.atproto.refresh"
)

type session struct{ did syntax.DID }

// claims are those of session and service tokens (RFC 7519).
type claims struct {
	Scope string `json:"scope,omitempty"`
	Iss   string `json:"iss,omitempty"`
	Sub   string `json:"sub,omitempty"`
	Aud   string `json:"aud,omitempty"`
	Lxm   string `json:"lxm,omitempty"`
	Iat   int64  `json:"iat,omitempty"`
	Exp   int64  `json:"exp"`
	JTI   string `json:"jti,omitempty"`
}

func (h *Host) mac(signed string) []byte {
	m := hmac.New(sha256.New, h.o.Migration.Secret)
	m.Write([]byte(signed))
	return m.Sum(nil)
}

// token makes a session token: a JWT, since tools read its expiry.
func (h *Host) token(did syntax.DID, scope string, life time.Duration) string {
	typ := map[string]string{scopeAccess: "at+jwt", scopeRefresh: "refresh+jwt"}[scope]
	body, err := json.Marshal(claims{Scope: scope, Sub: did.String(), Aud: h.DID().String(), Iat: h.now().Unix(), Exp: h.now().Add(life).Unix(), JTI: rand.Text()})
	if err != nil {
		return "" // strings and numbers encode
	}
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"`+typ+`"}`)) + "." + enc.EncodeToString(body)
	return signed + "." + enc.EncodeToString(h.mac(signed))
}

// bearer checks the session token of a request.
func (h *Host) bearer(c echo.Context, scope string) (syntax.DID, error) {
	t, ok := splitToken(c)
	if !ok {
		return "", &xrpcError{http.StatusUnauthorized, "AuthMissing", "Authentication Required"}
	}
	if t.alg != "HS256" || !hmac.Equal(t.sig, h.mac(t.signed)) || t.claims.Scope != scope || t.claims.Aud != h.DID().String() {
		return "", &xrpcError{http.StatusBadRequest, "InvalidToken", "Token could not be verified"}
	}
	if h.now().Unix() >= t.claims.Exp {
		return "", &xrpcError{http.StatusBadRequest, "ExpiredToken", "Token has expired"}
	}
	return syntax.DID(t.claims.Sub), nil
}

func (h *Host) asOwner(f func(echo.Context, session) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		did, err := h.bearer(c, scopeAccess)
		if err != nil {
			return err
		}
		return f(c, session{did})
	}
}

type jwt struct {
	alg    string
	signed string
	sig    []byte
	claims claims
}

func splitToken(c echo.Context) (jwt, bool) {
	raw, ok := strings.CutPrefix(c.Request().Header.Get("Authorization"), "Bearer ")
	parts := strings.Split(raw, ".")
	if !ok || len(parts) != 3 || len(raw) > 4096 {
		return jwt{}, false
	}
	enc := base64.RawURLEncoding
	head, err1 := enc.DecodeString(parts[0])
	body, err2 := enc.DecodeString(parts[1])
	sig, err3 := enc.DecodeString(parts[2])
	var header struct{ Alg string }
	t := jwt{signed: parts[0] + "." + parts[1], sig: sig}
	if err1 != nil || err2 != nil || err3 != nil || json.Unmarshal(head, &header) != nil || json.Unmarshal(body, &t.claims) != nil {
		return jwt{}, false
	}
	t.alg = header.Alg
	return t, true
}

// maxServiceLife is how long a service token may be good for, and skew what clocks may differ by.
const (
	maxServiceLife = time.Hour
	skew           = time.Minute
)

// serviceAuth checks a token that the account's own signing key made for one method of this host. Each is good once.
func (h *Host) serviceAuth(c echo.Context, did syntax.DID, method string) error {
	bad := func(why string) error { return &xrpcError{http.StatusUnauthorized, "BadJwt", why} }
	t, ok := splitToken(c)
	if !ok {
		return &xrpcError{http.StatusUnauthorized, "AuthMissing", "Service auth is required"}
	}
	now := h.now()
	end := time.Unix(t.claims.Exp, 0)
	switch {
	case t.claims.Iss != did.String():
		return bad("issued by another account")
	case t.claims.Aud != h.DID().String():
		return bad("meant for another service")
	case t.claims.Lxm != method:
		return bad("meant for another method")
	case now.After(end.Add(skew)) || end.Sub(now) > maxServiceLife:
		return bad("expired, or good for too long")
	}
	id, err := h.o.Migration.Identity(c.Request().Context(), did)
	if err != nil {
		return bad("the issuer does not resolve")
	}
	pub, err := atcrypto.ParsePublicDIDKey(id.Key)
	if err != nil || pub.HashAndVerifyLenient([]byte(t.signed), t.sig) != nil {
		return bad("the signature is not the issuer's")
	}
	if !h.o.Migration.once(t.signed, end.Add(skew), now) {
		return bad("used before")
	}
	return nil
}

// once reports whether a token is seen for the first time.
func (m *Migration) once(token string, end, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for t, e := range m.used {
		if now.After(e) {
			delete(m.used, t)
		}
	}
	if _, seen := m.used[token]; seen || len(m.used) > 10_000 {
		return false
	}
	if m.used == nil {
		m.used = map[string]time.Time{}
	}
	m.used[token] = end
	return true
}

// getServiceAuth signs a token with the repo's key, for the one method that a move needs.
func (h *Host) getServiceAuth(c echo.Context, s session) error {
	aud, err := syntax.ParseDID(strings.SplitN(c.QueryParam("aud"), "#", 2)[0])
	if err != nil {
		return invalid("aud must be a valid did")
	}
	lxm, err := syntax.ParseNSID(c.QueryParam("lxm"))
	if err != nil || lxm != "com.atproto.server.createAccount" {
		return invalid("this session is for moving: lxm must be com.atproto.server.createAccount")
	}
	return h.owned(c, s, func(tx Tx, r *Repo) error {
		key, err := h.key(tx, r.DID)
		if err != nil {
			return err
		}
		token, err := h.serviceToken(r.DID, aud, lxm, key)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, map[string]string{"token": token})
	})
}

// serviceToken makes a service token (atproto "Inter-Service Authentication") that is good for a minute.
func (h *Host) serviceToken(iss, aud syntax.DID, lxm syntax.NSID, key atcrypto.PrivateKey) (string, error) {
	now := h.now().Unix()
	body, err := json.Marshal(claims{Iss: iss.String(), Aud: aud.String(), Lxm: lxm.String(), Iat: now, Exp: now + 60, JTI: rand.Text()})
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(`{"typ":"JWT","alg":"ES256K"}`)) + "." + enc.EncodeToString(body)
	sig, err := key.HashAndSign([]byte(signed))
	if err != nil {
		return "", err
	}
	return signed + "." + enc.EncodeToString(sig), nil
}
