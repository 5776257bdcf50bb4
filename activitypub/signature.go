package activitypub

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Windows of time for signatures of others: clocks are wrong, queues are slow.
const (
	maxAge    = 12 * time.Hour
	maxFuture = time.Hour
)

// ErrSignature says that a request is not signed, or not well enough. Its text goes to logs, never to the requester.
var ErrSignature = errors.New("signature not accepted")

// Scheme is a way to sign a request.
type Scheme string

// The schemes we send. Ed25519 is used only with hosts known to take it.
const (
	SchemeCavage  Scheme = "cavage"
	SchemeRFC9421 Scheme = "rfc9421"
	SchemeEd25519 Scheme = "rfc9421-ed25519"
)

// received is a request as the verifier sees it: with the outside authority, never one that a client could choose.
type received struct {
	method string
	// target is the request target as received: path and query.
	target string
	// origin is scheme and authority of this bridge, as others see it.
	origin string
	header http.Header
	host   string
	body   []byte
}

func receive(r *http.Request, body []byte, origin string) received {
	target := r.RequestURI
	if target == "" {
		target = r.URL.RequestURI()
	}
	return received{method: r.Method, target: target, origin: origin, header: r.Header, host: r.Host, body: body}
}

// one gives the value of a header that was sent exactly once. Duplicates are refused: two readers could each believe
// another one of them.
func (r received) one(name string) (string, bool) {
	if strings.EqualFold(name, "host") {
		return r.host, r.host != ""
	}
	v := r.header.Values(name)
	if len(v) == 0 && strings.EqualFold(name, "content-length") && r.method != http.MethodGet {
		return strconv.Itoa(len(r.body)), true // the server's HTTP library may keep it elsewhere
	}
	if len(v) != 1 {
		return "", false
	}
	return strings.TrimSpace(v[0]), true
}

func (r received) authority() string {
	_, a, _ := strings.Cut(r.origin, "://")
	return a
}

// hostFits compares the Host header with our own, with or without the default port.
func (r received) hostFits() bool {
	h := strings.ToLower(r.host)
	own := r.authority()
	return h == own || strings.HasPrefix(r.origin, "https://") && h == own+":443" || strings.HasPrefix(r.origin, "http://") && h == own+":80"
}

// parsed is a signature that was read but not yet checked against a key.
type parsed struct {
	scheme    Scheme
	keyID     string
	algorithm string
	// base is what was signed. There is more than one candidate where senders disagree (query or no query).
	bases     [][]byte
	covered   []string
	signature []byte
}

// parseSignature reads either form and checks everything that needs no key: times, coverage, digest.
func parseSignature(r received, now time.Time) (parsed, error) {
	if len(r.header.Values("Signature-Input")) > 0 {
		return parseRFC9421(r, now)
	}
	return parseCavage(r, now)
}

// checkTimes judges when a signature was made and until when it holds; zero times are absent.
func checkTimes(created, expires, now time.Time) bool {
	if !created.IsZero() && (now.Sub(created) > maxAge || created.Sub(now) > maxFuture) {
		return false
	}
	return expires.IsZero() || now.Before(expires)
}
