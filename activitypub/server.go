package activitypub

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"footbridge/identity"
)

// Software is what NodeInfo says of us.
type Software struct {
	Name, Version, Repository, Homepage string
}

// ServerOptions is what a Server needs.
type ServerOptions struct {
	// Base is the public origin, https://host, without a slash at the end.
	Base string
	// Instance and Bot are the ids of those actors.
	Instance, Bot identity.ActorID
	Directory     Directory
	Keys          KeySource
	Verifier      *Verifier
	Client        *Client
	// Store answers follower synchronisation (FEP-8fcf); nil turns it off.
	Store     Store
	Authority Authority
	Inbox     InboxFunc
	// Knows tells whether an actor means anything here (a member, a follower, somebody named in a thread); if it is nil, or
	// in doubt, everybody does. The Delete of an actor that means nothing is answered without a look.
	Knows    func(context.Context, identity.ActorID) bool
	Software Software
	// Secure wants a signature on every GET but that of the instance actor ("authorized fetch").
	Secure bool
	// Subscribe is the template of the page where a follow is begun, with {uri}; empty if there is none.
	Subscribe string
	// InboxPerMinute bounds what one host may have accepted per minute; 3000 if zero, no bound if negative.
	InboxPerMinute int
	// NodeMetadata goes into NodeInfo's metadata.
	NodeMetadata map[string]any
	Log          *slog.Logger
	Now          func() time.Time
}

// Server is the fediverse's door into the bridge.
type Server struct {
	o    ServerOptions
	host string
	gate *gate
	rate *recent[string, *rate.Limiter]
}

// NewServer makes one; Register puts it on the router.
func NewServer(o ServerOptions) (*Server, error) {
	u, err := url.Parse(o.Base)
	if err != nil || u.Host == "" || u.Path != "" {
		return nil, fmt.Errorf("the base URL %q is not an origin", o.Base)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Keys = newKeyCache(o.Keys, o.Now)
	if o.InboxPerMinute == 0 {
		o.InboxPerMinute = 3000
	}
	return &Server{o: o, host: strings.ToLower(u.Host), gate: newGate(), rate: newRecent[string, *rate.Limiter](maxHosts, time.Hour, o.Now)}, nil
}

// Register adds all routes. Ids of actors and objects are Base plus the path: actors below /ap/, or /bot and /actor;
// objects and activities below /ap/ and /at/.
func (s *Server) Register(e *echo.Echo) {
	read := func(path string, h echo.HandlerFunc) { e.Match([]string{http.MethodGet, http.MethodHead}, path, h) }
	read("/.well-known/webfinger", s.getWebFinger)
	read("/.well-known/host-meta", s.getHostMeta)
	read("/.well-known/nodeinfo", s.getNodeInfoIndex)
	read("/nodeinfo/:version", s.getNodeInfo)
	read("/@:name", s.getProfile)
	e.POST("/inbox", s.postInbox)
	for _, root := range []string{"/actor", "/bot"} {
		read(root, s.get)
		read(root+"/*", s.get)
		e.POST(root+"/inbox", s.postInbox)
	}
	for _, root := range []string{"/ap/*", "/at/*"} {
		read(root, s.get)
		e.POST(root, s.postBelow)
	}
}

// recipient is the local actor whose inbox is posted to; empty for the shared inbox.
func (s *Server) recipient(c echo.Context) (identity.ActorID, error) {
	path := c.Request().URL.Path
	if path == "/inbox" {
		return "", nil
	}
	id := identity.ActorID(s.o.Base + strings.TrimSuffix(path, "/inbox"))
	a, err := s.o.Directory.ByID(c.Request().Context(), id)
	if err != nil {
		return "", fmt.Errorf("looking up the owner of an inbox: %w", err)
	}
	switch {
	case a == nil || a.Presence == Absent:
		return "", refusalError{http.StatusNotFound, "no such inbox"}
	case a.Presence == Gone:
		return "", refusalError{http.StatusGone, "inbox gone"}
	}
	return a.ID, nil
}

func (s *Server) postBelow(c echo.Context) error {
	if !strings.HasSuffix(c.Request().URL.Path, "/inbox") {
		return c.NoContent(http.StatusMethodNotAllowed)
	}
	return s.postInbox(c)
}

// get answers every read of an actor, a collection, an object or an activity.
func (s *Server) get(c echo.Context) error {
	header := c.Response().Header()
	header.Set("Vary", "Accept, Signature")
	header.Set("X-Content-Type-Options", "nosniff")
	id, err := s.idOfPath(c)
	if err != nil {
		return err
	}
	reader, err := s.admit(c, id)
	if err != nil {
		return s.refuse(c, err)
	}
	ctx := c.Request().Context()
	a, err := s.o.Directory.ByID(ctx, identity.ActorID(id))
	if err != nil {
		return fmt.Errorf("looking up an actor: %w", err)
	}
	if a != nil && a.Presence != Absent {
		return s.writeActor(c, a)
	}
	if done, err := s.getCollection(c, id, reader); done {
		return err
	}
	return s.getObject(c, id)
}

// idOfPath is the id that a path stands for: as it was sent, or, if some client escaped more than it had to, unescaped.
// (The id of a did:web actor may itself contain an escape.)
func (s *Server) idOfPath(c echo.Context) (string, error) {
	u := c.Request().URL
	sent, plain := s.o.Base+u.EscapedPath(), s.o.Base+u.Path
	if sent == plain {
		return plain, nil
	}
	a, err := s.o.Directory.ByID(c.Request().Context(), identity.ActorID(sent))
	if err != nil {
		return "", fmt.Errorf("looking up an actor: %w", err)
	}
	_, _, presence, err := s.o.Directory.Object(c.Request().Context(), sent)
	if err != nil {
		return "", fmt.Errorf("looking up an object: %w", err)
	}
	if a != nil || presence != Absent {
		return sent, nil
	}
	return plain, nil
}

// admit applies blocks to fetchers by the key they claim (claiming a blocked host's only harms the liar) and, in secure
// mode, wants a good signature. The instance actor is always readable, else nobody could check our own signatures.
func (s *Server) admit(c echo.Context, id string) (reader identity.ActorID, err error) {
	r, ctx := c.Request(), c.Request().Context()
	keyID, err := s.o.Verifier.KeyIDOf(r, nil)
	if err == nil && s.o.Directory.BlockedHost(ctx, identity.ActorID(keyID).Host()) {
		return "", refusalError{http.StatusForbidden, "blocked"}
	}
	needs := s.o.Secure && id != string(s.o.Instance) || strings.HasSuffix(id, syncSuffix)
	if !needs {
		return "", nil
	}
	sig, err := s.o.Verifier.Verify(ctx, r, nil)
	if err != nil {
		return "", err
	}
	c.Response().Header().Set("Cache-Control", "private")
	return sig.Actor, nil
}

// wantsHTML is true of browsers: they accept HTML and name no ActivityStreams type.
func wantsHTML(r *http.Request) bool {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if strings.Contains(accept, "activity+json") || strings.Contains(accept, "ld+json") || strings.Contains(accept, "application/json") {
		return false
	}
	return strings.Contains(accept, "text/html")
}

// writeDoc sends a document with the exact media type that the strictest reader accepts, an ETag and a short life.
func (s *Server) writeDoc(c echo.Context, status int, doc any) error {
	raw, ok := doc.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = json.Marshal(doc); err != nil {
			return fmt.Errorf("encoding a document: %w", err)
		}
	}
	sum := sha256.Sum256(raw)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	h := c.Response().Header()
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "public, max-age=180")
	}
	h.Set("ETag", etag)
	if status == http.StatusOK && strings.Contains(c.Request().Header.Get("If-None-Match"), etag) {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(status, activityJSON+"; charset=utf-8", raw)
}

// tombstone is what is left of a deleted thing.
func (s *Server) tombstone(c echo.Context, id string) error {
	return s.writeDoc(c, http.StatusGone, map[string]any{"@context": asNamespace, "id": id, "type": "Tombstone"})
}
