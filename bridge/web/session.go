package web

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"footbridge/identity"
)

// session is the whole of it: it lives sealed in the person's own browser, and nothing is kept here.
type session struct {
	Subject identity.Subject `json:"s"`
	Acct    string           `json:"a"`
	Token   string           `json:"t"` // against forged forms
	Expires int64            `json:"e"`
}

// flow is a sign-in under way, sealed in a cookie for the minutes that it takes.
type flow struct {
	Network  identity.Network `json:"n"`
	State    string           `json:"s"`
	Host     string           `json:"h"`
	Verifier string           `json:"v"`
	ID       string           `json:"i"`
	Secret   string           `json:"k"`
	Lang     string           `json:"l"`
	Expires  int64            `json:"e"`
}

const (
	sessionCookie = "footbridge"
	flowCookie    = "footbridge_signin"
	sessionLife   = 30 * time.Minute
	flowLife      = 10 * time.Minute
)

func randomToken() (string, error) {
	var b [24]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("drawing a random token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// put seals a value into a cookie. The session's is Strict; the flow's has to come back from another site.
func (p *Pages) put(c echo.Context, name string, v any, life time.Duration, same http.SameSite) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("sealing a cookie: %w", err)
	}
	sealed, err := p.Sealer.Seal("web-cookie", name, plain)
	if err != nil {
		return fmt.Errorf("sealing a cookie: %w", err)
	}
	c.SetCookie(&http.Cookie{Name: name, Value: base64.RawURLEncoding.EncodeToString(sealed), Path: "/", HttpOnly: true,
		Secure: strings.HasPrefix(p.BaseURL, "https:"), SameSite: same, MaxAge: int(life.Seconds())})
	return nil
}

func (p *Pages) drop(c echo.Context, name string, same http.SameSite) {
	c.SetCookie(&http.Cookie{Name: name, Path: "/", HttpOnly: true, Secure: strings.HasPrefix(p.BaseURL, "https:"), SameSite: same, MaxAge: -1})
}

var errNoSession = errors.New("not signed in")

func (p *Pages) open(c echo.Context, name string, v any) error {
	cookie, err := c.Cookie(name)
	if err != nil || len(cookie.Value) > 4096 {
		return errNoSession
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return errNoSession
	}
	plain, err := p.Sealer.Open("web-cookie", name, sealed)
	if err != nil || json.Unmarshal(plain, v) != nil {
		return errNoSession
	}
	return nil
}

// session of the request, if there is one that is still good.
func (p *Pages) session(c echo.Context) (*session, error) {
	var s session
	if err := p.open(c, sessionCookie, &s); err != nil {
		return nil, err
	}
	if p.Now().Unix() >= s.Expires || s.Subject == "" {
		return nil, errNoSession
	}
	return &s, nil
}

// begin opens a session for somebody who has proven who they are.
func (p *Pages) begin(c echo.Context, s identity.Subject, acct string) error {
	token, err := randomToken()
	if err != nil {
		return err
	}
	p.drop(c, flowCookie, http.SameSiteLaxMode)
	return p.put(c, sessionCookie, session{s, acct, token, p.Now().Add(sessionLife).Unix()}, sessionLife, http.SameSiteStrictMode)
}

// signedIn lets only people with a session in, and only forms that carry its token (R107).
func (p *Pages) signedIn(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		s, err := p.session(c)
		if err != nil {
			return c.Redirect(http.StatusSeeOther, p.withLang(c, "/join"))
		}
		if c.Request().Method == http.MethodPost {
			sent := c.FormValue("token")
			if subtle.ConstantTimeCompare([]byte(sent), []byte(s.Token)) != 1 || crossSite(c.Request()) {
				return p.fail(c, http.StatusForbidden, "page.error.form")
			}
		}
		c.Set("session", s)
		return next(c)
	}
}

func crossSite(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Site") == "cross-site" }

func who(c echo.Context) *session {
	s, ok := c.Get("session").(*session)
	if !ok {
		return &session{}
	}
	return s
}

// throttle bounds how often anybody may start signing in; it keeps no addresses.
type throttle struct {
	mu  sync.Mutex
	all *rate.Limiter
	per map[string]*rate.Limiter
}

func newThrottle() *throttle {
	return &throttle{all: rate.NewLimiter(5, 50), per: map[string]*rate.Limiter{}}
}

// allow counts one start towards a server.
func (t *throttle) allow(host string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.per) > 1000 {
		t.per = map[string]*rate.Limiter{}
	}
	l := t.per[host]
	if l == nil {
		l = rate.NewLimiter(0.5, 10)
		t.per[host] = l
	}
	return t.all.AllowN(now, 1) && l.AllowN(now, 1)
}
