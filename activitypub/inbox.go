package activitypub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"footbridge/identity"
)

// maxBodyTime is how long a sender may take for a body.
const maxBodyTime = 10 * time.Second

// postInbox is the way in for everything: cheap refusals first, then the signature, then who may say what; nothing is
// done before all of that holds, and 202 is sent only when the InboxFunc has made the activity durable.
func (s *Server) postInbox(c echo.Context) error {
	release, ok := s.gate.enter(c.Request().Context())
	if !ok {
		return s.busy(c, http.StatusTooManyRequests)
	}
	defer release()
	in, sig, err := s.receive(c)
	if err != nil {
		return s.refuse(c, err)
	}
	if in == nil {
		return c.NoContent(http.StatusAccepted)
	}
	if err := s.o.Inbox(c.Request().Context(), *in); err != nil {
		s.o.Log.Warn("inbox", "error", err)
		return s.busy(c, http.StatusServiceUnavailable)
	}
	if sig.KeyID != "" {
		s.o.Verifier.Spend(sig)
	}
	s.learn(c.Request().Context(), *in)
	return c.NoContent(http.StatusAccepted)
}

// learn keeps what an actor says of itself in an Update, keys included.
func (s *Server) learn(ctx context.Context, in Inbound) {
	if in.Type != "Update" {
		return
	}
	doc, err := parseDocument(in.Raw)
	if err != nil {
		return
	}
	if obj, ok := doc.object("object"); ok && obj.isActor() && obj.id() == string(in.Actor) {
		s.o.Verifier.keys.actors.learn(ctx, obj)
	}
}

func (s *Server) busy(c echo.Context, status int) error {
	c.Response().Header().Set("Retry-After", "60")
	return c.NoContent(status)
}

// refusalError is an error that says which status it is.
type refusalError struct {
	status int
	why    string
}

func (e refusalError) Error() string { return e.why }

// refuse answers without a reason: an error text would tell a stranger what our network looks like.
func (s *Server) refuse(c echo.Context, err error) error {
	var se refusalError
	status := http.StatusInternalServerError
	switch {
	case errors.As(err, &se) && se.status == http.StatusTooManyRequests:
		return s.busy(c, se.status)
	case errors.As(err, &se):
		status = se.status
	case errors.Is(err, ErrSignature), errors.Is(err, ErrGone):
		status = http.StatusUnauthorized
	case errors.Is(err, ErrAuthority):
		status = http.StatusForbidden
	case errors.Is(err, ErrDocument):
		status = http.StatusBadRequest
	case errors.Is(err, ErrTemporary):
		return s.busy(c, http.StatusServiceUnavailable)
	}
	s.o.Log.Debug("inbox refused", "status", status, "reason", reason(err))
	return c.NoContent(status)
}

// reason is the constant part of an error, without anything the sender wrote.
func reason(err error) string {
	for _, e := range []error{ErrSignature, ErrAuthority, ErrDocument, ErrTemporary, ErrGone} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	return "other"
}

// letter is a request that was read but not yet believed.
type letter struct {
	body      []byte
	doc       document
	actor     identity.ActorID
	recipient identity.ActorID
}

// open reads a request and refuses what needs no signature check to be refused.
func (s *Server) open(c echo.Context) (l letter, err error) {
	r := c.Request()
	if l.recipient, err = s.recipient(c); err != nil {
		return l, err
	}
	// A sender that trickles must not hold a place for long. Not every ResponseWriter has deadlines; servers' ones do.
	_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(maxBodyTime))
	if l.body, err = readBody(r); err != nil {
		return l, err
	}
	if l.doc, err = parseDocument(l.body); err != nil {
		return l, err
	}
	if l.actor, err = actorOf(l.doc); err != nil {
		return l, err
	}
	return l, s.refuseBlocked(r.Context(), r, l.body, l.actor)
}

// receive reads, verifies and vets. A nil Inbound without error is something that needs no doing.
func (s *Server) receive(c echo.Context) (*Inbound, Signed, error) {
	l, err := s.open(c)
	if err != nil {
		return nil, Signed{}, err
	}
	ctx := c.Request().Context()
	if s.ofNoConcern(ctx, l.doc, l.actor) {
		return nil, Signed{}, nil
	}
	release, ok := s.gate.enterHost(ctx, l.actor.Host())
	if !ok {
		return nil, Signed{}, refusalError{http.StatusTooManyRequests, "too many at once"}
	}
	defer release()
	return s.believe(c.Request(), l)
}

// believe checks who sent a letter, then what of it they may say.
func (s *Server) believe(r *http.Request, l letter) (*Inbound, Signed, error) {
	ctx := r.Context()
	in := Inbound{ID: l.doc.id(), Type: l.doc.typ(), Actor: l.actor, Raw: l.body, Recipient: l.recipient, Received: s.o.Now()}
	sig, err := s.authenticate(ctx, r, l.body, l.doc, &in)
	if err != nil {
		return nil, Signed{}, err
	}
	if !s.allow(sig.Actor.Host()) {
		return nil, Signed{}, refusalError{http.StatusTooManyRequests, "too many a minute"}
	}
	doc := l.doc
	if !bytes.Equal(in.Raw, l.body) { // its origin said it instead
		if doc, err = parseDocument(in.Raw); err != nil {
			return nil, Signed{}, err
		}
	}
	if in.Raw, err = s.o.Authority.vet(ctx, doc, in.Raw, l.actor); err != nil {
		return nil, Signed{}, err
	}
	if in.ID == "" {
		sum := sha256.Sum256(l.body)
		in.ID = "sha256:" + hex.EncodeToString(sum[:])
	}
	if sig.Actor == l.actor {
		in.Sync = readSync(r, sig)
	}
	in.Evidence = evidence(r, l.body)
	return &in, sig, nil
}

// ofNoConcern is true of the most common thing of all: some account was deleted that nobody here ever heard of. Its key
// cannot be fetched any more, so nothing is fetched.
func (s *Server) ofNoConcern(ctx context.Context, doc document, actor identity.ActorID) bool {
	return s.o.Knows != nil && doc.typ() == "Delete" && idOf(doc["object"]) == string(actor) && !s.o.Knows(ctx, actor)
}

// allow counts what a host sent with a good signature; nobody else can use up its share.
func (s *Server) allow(host string) bool {
	if s.o.InboxPerMinute < 0 || host == "" {
		return true
	}
	l, ok := s.rate.get(host)
	if !ok {
		l = rate.NewLimiter(rate.Limit(float64(s.o.InboxPerMinute)/60), s.o.InboxPerMinute)
		s.rate.add(host, l)
	}
	return l.AllowN(s.o.Now(), 1)
}

func readBody(r *http.Request) ([]byte, error) {
	if !isActivityType(r.Header.Get("Content-Type")) {
		return nil, refusalError{http.StatusUnsupportedMediaType, "media type"}
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, refusalError{http.StatusUnsupportedMediaType, "content encoding"}
	}
	if r.ContentLength > maxDocument {
		return nil, refusalError{http.StatusRequestEntityTooLarge, "too large"}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxDocument+1))
	if err != nil {
		return nil, refusalError{http.StatusBadRequest, "body"}
	}
	if len(body) > maxDocument {
		return nil, refusalError{http.StatusRequestEntityTooLarge, "too large"}
	}
	return body, nil
}

// actorOf wants one actor and, if there is an id, a string.
func actorOf(doc document) (identity.ActorID, error) {
	if id, there := doc["id"]; there && id != nil {
		if s, ok := id.(string); !ok || originOf(s) == "" || len(s) > 2048 {
			return "", fmt.Errorf("%w: id", ErrDocument)
		}
	}
	if doc.typ() == "" {
		return "", fmt.Errorf("%w: type", ErrDocument)
	}
	a, err := identity.ParseActorID(idOf(doc["actor"]))
	if err != nil {
		return "", fmt.Errorf("%w: actor", ErrDocument)
	}
	return a, nil
}

// refuseBlocked looks at who claims to speak before anything is fetched.
func (s *Server) refuseBlocked(ctx context.Context, r *http.Request, body []byte, actor identity.ActorID) error {
	keyID, err := s.o.Verifier.KeyIDOf(r, body)
	if err != nil {
		return err
	}
	for _, host := range []string{actor.Host(), identity.ActorID(keyID).Host()} {
		if s.o.Directory.BlockedHost(ctx, host) {
			return refusalError{http.StatusForbidden, "blocked"}
		}
		if strings.EqualFold(host, s.host) {
			return fmt.Errorf("%w: our own host", ErrSignature)
		}
	}
	return nil
}

// evidence is the request as it can be verified again by anyone who has the key: request line, signed headers, body.
func evidence(r *http.Request, body []byte) []byte {
	var b bytes.Buffer
	target := r.RequestURI
	if target == "" {
		target = r.URL.RequestURI()
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, target, r.Host)
	keep := http.Header{}
	for _, name := range []string{"Date", "Digest", "Content-Digest", "Content-Type", "Signature", "Signature-Input", "Content-Length"} {
		if v := r.Header.Values(name); len(v) > 0 {
			keep[name] = v
		}
	}
	_ = keep.Write(&b) // a buffer does not fail
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}
