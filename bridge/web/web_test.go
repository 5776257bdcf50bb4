package web_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/labstack/echo/v4"

	"footbridge/bridge"
	"footbridge/bridge/store"
	"footbridge/bridge/web"
	"footbridge/identity"
	"footbridge/identity/consent"
)

// plainBox is a sealer for tests; sealing is tested where it is done.
type plainBox struct{}

func (plainBox) Seal(purpose, row string, plain []byte) ([]byte, error) {
	return append([]byte(purpose+"/"+row+"/"), plain...), nil
}

func (plainBox) Open(purpose, row string, sealed []byte) ([]byte, error) {
	out, ok := bytes.CutPrefix(sealed, []byte(purpose+"/"+row+"/"))
	if !ok {
		return nil, fmt.Errorf("sealed for something else")
	}
	return out, nil
}

// flows stands for the bridge: it notes what it is told.
type flows struct {
	// Bridge does what only reads; it is set where a test needs it.
	*bridge.Bridge

	signals consent.Signals
	applied []consent.Change
}

func (f *flows) Visit(context.Context, identity.Subject) (consent.Signals, error) {
	return f.signals, nil
}
func (f *flows) Apply(_ bridge.Tx, _ identity.Subject, ch consent.Change) error {
	if ch.Event != "" {
		f.applied = append(f.applied, ch)
	}
	return nil
}
func (f *flows) CopyName(*identity.Account) string { return "@copy.ap.bridge.example" }
func (f *flows) BotHandle() syntax.Handle          { return "bridge.ap.bridge.example" }

type rig struct {
	*testing.T
	store  store.Room[bridge.Tx]
	desk   *consent.Desk
	flows  *flows
	pages  *httptest.Server
	home   *httptest.Server // a fediverse server
	tokens map[string]bool
	now    time.Time
	client *http.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, flows: &flows{}, tokens: map[string]bool{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	db, err := store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "w.db"), Now: func() time.Time { return r.now }})
	r.ok(err)
	t.Cleanup(func() { _ = db.Close() })
	r.store = store.Room[bridge.Tx]{DB: db}
	r.home = httptest.NewServer(r.mastodon())
	t.Cleanup(r.home.Close)
	e := echo.New()
	r.pages = httptest.NewServer(e)
	t.Cleanup(r.pages.Close)
	signer, key, err := consent.NewLogKey("bridge.example/consent", bytes.Repeat([]byte{7}, 32))
	r.ok(err)
	op := consent.Operator{Name: "Footbridge", Domain: "bridge.example", Runner: "Example Co-op", Contact: "help@bridge.example", LeaveURL: r.pages.URL + "/leave/", PageURL: r.pages.URL + "/"}
	r.desk, err = consent.NewDesk(consent.Config{Secret: bytes.Repeat([]byte{1}, 32), Sealer: plainBox{}, Signer: signer, Operator: op})
	r.ok(err)
	pages, err := web.New(web.Options{Store: r.store, Desk: r.desk, Bridge: r.flows, Sealer: plainBox{}, HTTP: r.home.Client(), Finger: r, AT: fakeAT{},
		BaseURL: r.pages.URL, Onion: "http://bridge.onion", Operator: op, Verifier: key, BotAcct: "bridge@bridge.example", Version: "test", Recipients: []string{"relay.example"}, Now: func() time.Time { return r.now }})
	r.ok(err)
	pages.Register(e)
	r.client = r.browser()
	return r
}

// browser keeps cookies and follows redirects.
func (r *rig) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	r.ok(err)
	return &http.Client{Jar: jar}
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) homeHost() string { return strings.TrimPrefix(r.home.URL, "http://") }

func (r *rig) alice() identity.Subject { return identity.Subject(r.home.URL + "/users/alice") }

// WebFinger knows one person, and one whose server lies.
func (r *rig) WebFinger(_ context.Context, acct string) (identity.ActorID, error) {
	switch acct {
	case "alice@" + r.homeHost():
		return identity.ActorID(r.alice()), nil
	case "mallory@" + r.homeHost():
		return "https://victim.example/users/alice", nil
	}
	return "", fmt.Errorf("nobody of that name")
}

// mastodon is as strict as the real one: scopes, redirect, PKCE and secrets have to fit.
func (r *rig) mastodon() http.Handler {
	mux := http.NewServeMux()
	form := func(h func(url.Values) (int, any)) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			_ = q.ParseForm()
			status, out := h(q.PostForm)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(out)
		}
	}
	mux.HandleFunc("POST /api/v1/apps", form(func(f url.Values) (int, any) {
		if f.Get("scopes") == "profile" { // an older server
			return 422, map[string]string{"error": "scopes"}
		}
		return 200, map[string]string{"client_id": "id-" + f.Get("scopes"), "client_secret": "secret"}
	}))
	mux.HandleFunc("POST /oauth/token", form(func(f url.Values) (int, any) {
		name, ok := strings.CutPrefix(f.Get("code"), "code-")
		if !ok || f.Get("client_id") != "id-read:accounts" || f.Get("client_secret") != "secret" || f.Get("redirect_uri") != r.pages.URL+web.FediReturnPath || f.Get("code_verifier") == "" {
			return 401, map[string]string{"error": "invalid_grant"}
		}
		r.tokens["token-"+name] = true
		return 200, map[string]string{"access_token": "token-" + name, "token_type": "Bearer"}
	}))
	mux.HandleFunc("POST /oauth/revoke", form(func(f url.Values) (int, any) {
		delete(r.tokens, f.Get("token"))
		return 200, map[string]string{}
	}))
	mux.HandleFunc("GET /api/v1/accounts/verify_credentials", func(w http.ResponseWriter, q *http.Request) {
		token := strings.TrimPrefix(q.Header.Get("Authorization"), "Bearer ")
		if !r.tokens[token] {
			w.WriteHeader(401)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"username": strings.TrimPrefix(token, "token-")})
	})
	return mux
}

type fakeAT struct{}

func (fakeAT) Start(_ context.Context, account string) (string, string, error) {
	return "https://pds.example/oauth/authorize?request_uri=x", "at-state-" + account, nil
}

func (fakeAT) Finish(_ context.Context, q url.Values) (syntax.DID, error) {
	if q.Get("code") != "good" {
		return "", fmt.Errorf("no")
	}
	return "did:plc:bellabellabellabellabella", nil
}
func (fakeAT) ClientMetadata() any { return map[string]string{"client_name": "Footbridge"} }

type answer struct {
	status int
	body   string
	header http.Header
}

func (r *rig) get(path string) answer { r.Helper(); return r.do(http.MethodGet, path, nil) }

func (r *rig) post(path string, form url.Values) answer {
	r.Helper()
	return r.do(http.MethodPost, path, form)
}

func (r *rig) do(method, path string, form url.Values) answer {
	r.Helper()
	to := path
	if strings.HasPrefix(path, "/") {
		to = r.pages.URL + path
	}
	req, err := http.NewRequest(method, to, strings.NewReader(form.Encode()))
	r.ok(err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r.send(req)
}

func (r *rig) send(req *http.Request) answer {
	r.Helper()
	res, err := r.client.Do(req)
	r.ok(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	r.ok(err)
	return answer{res.StatusCode, string(b), res.Header}
}

func find(t *testing.T, pattern, body string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("no %s in:\n%s", pattern, body)
	}
	return strings.ReplaceAll(m[1], "&amp;", "&")
}

// signIn walks through the Mastodon-API flow.
func (r *rig) signIn(name string) answer {
	r.Helper()
	a := r.post("/signin/fediverse", url.Values{"account": {"@" + name + "@" + r.homeHost()}})
	if a.status != 200 {
		return a
	}
	to, err := url.Parse(find(r.T, `class="button" href="([^"]+/oauth/authorize[^"]*)"`, a.body))
	r.ok(err)
	q := to.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("scope") != "read:accounts" || q.Get("response_type") != "code" {
		r.Fatalf("authorize with %v", q)
	}
	return r.get(web.FediReturnPath + "?code=code-" + name + "&state=" + q.Get("state"))
}

func (r *rig) token() string {
	r.Helper()
	return find(r.T, `name="token" value="([^"]+)"`, r.get("/me").body)
}

// agree fills in the form as it stands, with changes.
func (r *rig) agree(change func(url.Values)) answer {
	r.Helper()
	page := r.get("/me/agree").body
	form := url.Values{"token": {find(r.T, `name="token" value="([^"]+)"`, page)}, "text": {find(r.T, `name="text" value="([^"]+)"`, page)}, "life": {"365"}}
	for _, m := range regexp.MustCompile(`name="scope" value="([^"]+)" checked`).FindAllStringSubmatch(page, -1) {
		form.Add("scope", m[1])
	}
	if change != nil {
		change(form)
	}
	return r.post("/me/agree", form)
}

func (r *rig) state(s identity.Subject) (h consent.History) {
	r.Helper()
	r.ok(r.store.View(context.Background(), func(tx bridge.Tx) (err error) { h, err = r.desk.History(tx, s); return err }))
	return h
}

func TestJoinNarrowAndLeaveOnThePages(t *testing.T) {
	r := newRig(t)
	if a := r.signIn("alice"); a.status != 200 {
		t.Fatalf("signing in: %d\n%s", a.status, a.body)
	}
	if a := r.agree(nil); a.status != 200 || !strings.Contains(a.body, "you have joined") {
		t.Fatalf("joining: %d\n%s", a.status, a.body)
	}
	h := r.state(r.alice())
	if h.State != consent.Granted || len(h.Scopes) != len(consent.MinimalScopes()) || h.Entries[len(h.Entries)-1].Leaf.Evidence.Type != consent.E1 {
		t.Fatalf("%+v", h)
	}
	r.agree(func(f url.Values) { f["scope"] = []string{"profile", "posts", "likes"}; f.Set("long_mode", "thread") })
	h = r.state(r.alice())
	if fmt.Sprint(h.Scopes) != "[likes posts profile]" || h.Options.Get(consent.OptionLongMode) != "thread" {
		t.Errorf("after changing: %v %v", h.Scopes, h.Options)
	}
	if v, err := consent.VerifyReceipt([]byte(r.get("/me/receipt.json").body), r.key()); err != nil || v.Subject != r.alice() {
		t.Errorf("the receipt: %+v, %v", v, err)
	}
	for _, step := range []struct {
		act  string
		want consent.State
	}{{"pause", consent.Paused}, {"resume", consent.Granted}, {"panic", consent.Paused}, {"leave", consent.Withdrawn}} {
		r.post("/me/"+step.act, url.Values{"token": {r.token()}})
		if got := r.state(r.alice()).State; got != step.want {
			t.Errorf("after %s: %s", step.act, got)
		}
	}
	if len(r.flows.applied) != 6 {
		t.Errorf("%d changes were taken into effect", len(r.flows.applied))
	}
}

func (r *rig) key() string {
	return strings.ReplaceAll(find(r.T, `<pre dir="ltr">(bridge\.example/consent[^<]+)</pre>`, r.get("/transparency").body), "&#43;", "+")
}

func TestR102_TokensAreGivenBack(t *testing.T) {
	r := newRig(t)
	r.signIn("alice")
	if len(r.tokens) != 0 {
		t.Errorf("tokens are still good: %v", r.tokens)
	}
}

func TestAServerSpeaksOnlyForItsOwn(t *testing.T) {
	r := newRig(t)
	a := r.post("/signin/fediverse", url.Values{"account": {r.homeHost()}})
	state := find(t, `state=([^&"]+)`, strings.ReplaceAll(a.body, "&amp;", "&"))
	a = r.get(web.FediReturnPath + "?code=code-mallory&state=" + state)
	if a.status == 200 || strings.Contains(r.get("/me").body, "victim.example") {
		t.Errorf("signed in as somebody elsewhere: %d", a.status)
	}
}

func TestR107_ForgedFormsAndStates(t *testing.T) {
	r := newRig(t)
	if a := r.get(web.FediReturnPath + "?code=code-alice&state=x"); a.status != 400 {
		t.Errorf("a return without a start: %d", a.status)
	}
	r.post("/signin/fediverse", url.Values{"account": {r.homeHost()}})
	if a := r.get(web.FediReturnPath + "?code=code-alice&state=wrong"); a.status != 400 {
		t.Errorf("a return with another state: %d", a.status)
	}
	r.signIn("alice")
	r.agree(nil)
	token := r.token()
	for name, form := range map[string]url.Values{"none": {}, "wrong": {"token": {"x"}}} {
		if a := r.post("/me/leave", form); a.status != 403 {
			t.Errorf("token %s: %d", name, a.status)
		}
	}
	req, err := http.NewRequest(http.MethodPost, r.pages.URL+"/me/leave", strings.NewReader("token="+token))
	r.ok(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	if a := r.send(req); a.status != 403 {
		t.Errorf("from another site: %d", a.status)
	}
	if r.state(r.alice()).State != consent.Granted {
		t.Error("a forged form left")
	}
	r.now = r.now.Add(31 * time.Minute)
	if a := r.post("/me/leave", url.Values{"token": {token}}); r.state(r.alice()).State != consent.Granted {
		t.Errorf("an old session still acts: %d", a.status)
	}
}

func TestR107_CookiesAreStrict(t *testing.T) {
	r := newRig(t)
	a := r.signIn("alice")
	for _, c := range a.header.Values("Set-Cookie") {
		if strings.HasPrefix(c, "footbridge=") && (!strings.Contains(c, "SameSite=Strict") || !strings.Contains(c, "HttpOnly")) {
			t.Errorf("session cookie: %s", c)
		}
	}
}

func TestR115_NoCookieBeforeSignIn(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/", "/join", "/privacy", "/transparency", "/verify", "/retention.json", "/me", "/leave/abc", "/style.css"} {
		if a := r.get(path); len(a.header.Values("Set-Cookie")) != 0 {
			t.Errorf("%s sets %v", path, a.header.Values("Set-Cookie"))
		}
	}
}

func TestR115_PagesAreSmallAndWhole(t *testing.T) {
	r := newRig(t)
	r.signIn("alice")
	sheet := len(squeeze(t, r.get("/style.css").body))
	outside := regexp.MustCompile(`(?i)<script|<iframe|<img|javascript:|\son\w+=|\sstyle=|@import|url\(|(src|action)="https?:`)
	for _, lang := range r.desk.Texts().Langs() {
		for _, path := range []string{"/", "/join", "/privacy", "/transparency", "/verify", "/me", "/me/agree", "/me/leave", "/leave/abc"} {
			a := r.get(path + "?lang=" + lang)
			if a.status != 200 {
				t.Errorf("%s in %s: %d", path, lang, a.status)
			}
			if n := len(squeeze(t, a.body)) + sheet; n > 30<<10 {
				t.Errorf("%s in %s has %d bytes", path, lang, n)
			}
			if m := outside.FindString(a.body); m != "" {
				t.Errorf("%s in %s holds %q", path, lang, m)
			}
			if !strings.Contains(a.body, `<html lang="`+lang+`"`) || strings.Contains(a.body, "<p></p>") || strings.Contains(strings.ReplaceAll(a.body, "{code}", ""), "{") {
				t.Errorf("%s in %s is not whole", path, lang)
			}
			if lang == "ar" && !strings.Contains(a.body, `dir="rtl"`) {
				t.Error("Arabic is not written from the right")
			}
			if lang == "ar" && path == "/" && !strings.Contains(a.body, "\u2066@bridge@bridge.example\u2069") {
				t.Error("the sign of an address goes astray between Arabic words")
			}
		}
	}
}

func squeeze(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestR95_Headers(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/", "/join", "/me", "/verify", "/leave/x"} {
		h := r.get(path).header
		want := "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
		if h.Get("Content-Security-Policy") != want {
			t.Errorf("%s: %s", path, h.Get("Content-Security-Policy"))
		}
	}
}

func TestR70_NothingIsIndexed(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/", "/join", "/transparency"} {
		a := r.get(path)
		if a.header.Get("X-Robots-Tag") != "noindex, nofollow" || !strings.Contains(a.body, `name="robots" content="noindex`) {
			t.Errorf("%s may be indexed", path)
		}
	}
}

func TestR116_Onion(t *testing.T) {
	r := newRig(t)
	if got := r.get("/join").header.Get("Onion-Location"); got != "http://bridge.onion/join" {
		t.Errorf("Onion-Location: %q", got)
	}
	req, err := http.NewRequest(http.MethodGet, r.pages.URL+"/", nil)
	r.ok(err)
	req.Host = "bridge.onion"
	a := r.send(req)
	if a.header.Get("Onion-Location") != "" || regexp.MustCompile(`(href|src|action)="(https?:)?//`).MatchString(a.body) {
		t.Error("a page on the onion service leads out of it")
	}
}

func TestR6_NothingOutsideThePresetIsTicked(t *testing.T) {
	r := newRig(t)
	r.signIn("alice")
	page := r.get("/me/agree").body
	ticked := map[string]bool{}
	for _, m := range regexp.MustCompile(`name="scope" value="([^"]+)" checked`).FindAllStringSubmatch(page, -1) {
		ticked[m[1]] = true
	}
	boxes := strings.Count(page, `type="checkbox"`)
	if boxes != len(consent.Scopes()) || strings.Count(page, " checked") != len(ticked) {
		t.Errorf("%d boxes for %d scopes", boxes, len(consent.Scopes()))
	}
	for _, i := range consent.Scopes() {
		if ticked[string(i.Name)] != i.Minimal {
			t.Errorf("%s: ticked %v, in the preset %v", i.Name, ticked[string(i.Name)], i.Minimal)
		}
		if i.Warn && !strings.Contains(page, r.desk.Texts().Say("en", "warn."+string(i.Name), nil)) {
			t.Errorf("%s has no warning", i.Name)
		}
	}
}

func TestR7_AnEmptyFormGrantsNothing(t *testing.T) {
	r := newRig(t)
	r.signIn("alice")
	r.agree(func(f url.Values) { f.Del("scope") })
	if h := r.state(r.alice()); len(h.Scopes) != 0 {
		t.Errorf("nothing was ticked, granted was %v", h.Scopes)
	}
	for name, bad := range map[string]func(url.Values){
		"scope":  func(f url.Values) { f.Add("scope", "everything") },
		"life":   func(f url.Values) { f.Set("life", "9999") },
		"option": func(f url.Values) { f.Set("cw_mode", "shout") },
	} {
		if a := r.agree(bad); a.status < 400 {
			t.Errorf("an unknown %s passes: %d", name, a.status)
		}
	}
	if a := r.agree(func(f url.Values) { f.Set("text", strings.Repeat("0", 64)) }); r.state(r.alice()).State == consent.Granted && len(r.state(r.alice()).Scopes) > 0 && a.status == 500 {
		t.Error("a text that was never shown obtained consent")
	}
}

// TestR19_NoMembershipOracle: without a session a member and a stranger get the same bytes.
func TestR19_NoMembershipOracle(t *testing.T) {
	r := newRig(t)
	r.signIn("alice")
	r.agree(nil)
	var receipt consent.Receipt
	r.ok(r.store.Update(context.Background(), func(tx bridge.Tx) (err error) { receipt, err = r.desk.Receipt(tx, r.alice()); return err }))
	r.client = r.browser()
	good := strings.TrimPrefix(receipt.Leave, r.pages.URL)
	bad := "/leave/" + strings.Repeat("A", 32)
	same := func(a, b answer) bool {
		return a.status == b.status && strings.ReplaceAll(a.body, good, bad) == b.body
	}
	if !same(r.get(good), r.get(bad)) {
		t.Error("the page of a link tells whether it is good")
	}
	for _, path := range []string{"/me", "/me/agree", "/me/receipt.json", "/me/export.json"} {
		if a := r.get(path); !strings.Contains(a.body, "What you agree to") {
			t.Errorf("%s without a session: %d", path, a.status)
		}
	}
	known := r.post("/signin/fediverse", url.Values{"account": {"@alice@" + r.homeHost()}})
	stranger := r.post("/signin/fediverse", url.Values{"account": {r.homeHost()}})
	strip := regexp.MustCompile(`(state|code_challenge)=[^&"]+`)
	if strip.ReplaceAllString(known.body, "") != strip.ReplaceAllString(stranger.body, "") {
		t.Error("starting to sign in tells members from strangers")
	}
	if a, b := r.post(good, url.Values{}), r.post(bad, url.Values{}); !same(a, b) {
		t.Error("leaving tells whether the link was good")
	}
	if r.state(r.alice()).State != consent.Withdrawn {
		t.Error("the link of the receipt does not leave")
	}
}

func TestR13_TheReceiptsLinkLeavesWithoutSigningIn(t *testing.T) {
	r := newRig(t)
	r.signIn("alice")
	r.agree(nil)
	var receipt consent.Receipt
	r.ok(r.store.Update(context.Background(), func(tx bridge.Tx) (err error) { receipt, err = r.desk.Receipt(tx, r.alice()); return err }))
	r.client = r.browser()
	r.get(strings.TrimPrefix(receipt.Leave, r.pages.URL))
	if r.state(r.alice()).State != consent.Granted {
		t.Fatal("looking at the link leaves: a link preview would too")
	}
	r.post(strings.TrimPrefix(receipt.Leave, r.pages.URL), url.Values{})
	if r.state(r.alice()).State != consent.Withdrawn {
		t.Error("the button does not leave")
	}
}

func TestR33_Export(t *testing.T) {
	r := newRig(t)
	r.signIn("alice")
	r.agree(nil)
	var out struct {
		Subject string
		Consent struct{ Entries []any }
		Receipt json.RawMessage
	}
	r.ok(json.Unmarshal([]byte(r.get("/me/export.json").body), &out))
	if out.Subject != string(r.alice()) || len(out.Consent.Entries) == 0 || len(out.Receipt) == 0 {
		t.Errorf("%+v", out)
	}
}

func TestR44_TransparencyNamesNobody(t *testing.T) {
	r := newRig(t)
	r.signIn("alice")
	r.agree(nil)
	r.ok(r.store.Update(context.Background(), func(tx bridge.Tx) error {
		_, err := r.desk.Deny(tx, consent.InstanceSubject("closed.example"), consent.Evidence{Type: consent.E6}, "instance")
		return err
	}))
	r.client = r.browser()
	a := r.get("/transparency")
	for _, no := range []string{"alice", r.homeHost(), "closed.example"} {
		if strings.Contains(a.body, no) {
			t.Errorf("the page tells of %s", no)
		}
	}
	for _, yes := range []string{"&lt; 20", "Example Co-op", "help@bridge.example", "relay.example", "Footbridge test", "SHA-256"} {
		if !strings.Contains(a.body, yes) {
			t.Errorf("the page lacks %q", yes)
		}
	}
}

func TestR43_RetentionIsMachineReadable(t *testing.T) {
	r := newRig(t)
	var out struct{ Classes []consent.Retention }
	r.ok(json.Unmarshal([]byte(r.get("/retention.json").body), &out))
	if len(out.Classes) != len(consent.RetentionTable()) {
		t.Errorf("%d classes", len(out.Classes))
	}
}

func TestVerifyUpload(t *testing.T) {
	r := newRig(t)
	r.signIn("alice")
	r.agree(nil)
	file := r.get("/me/receipt.json").body
	for content, want := range map[string]string{file: "This receipt is valid", strings.Replace(file, "alice", "malice", 1): "not valid", "": "not valid"} {
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		w, err := m.CreateFormFile("file", "receipt.json")
		r.ok(err)
		_, err = io.WriteString(w, content)
		r.ok(err)
		r.ok(m.Close())
		req, err := http.NewRequest(http.MethodPost, r.pages.URL+"/verify", &b)
		r.ok(err)
		req.Header.Set("Content-Type", m.FormDataContentType())
		if a := r.send(req); !strings.Contains(a.body, want) {
			t.Errorf("%.40q: want %q in\n%s", content, want, a.body)
		}
	}
}

func TestBlueskySignIn(t *testing.T) {
	r := newRig(t)
	a := r.post("/signin/bluesky", url.Values{"account": {"bella.example"}})
	find(t, `href="(https://pds\.example/oauth/authorize[^"]*)"`, a.body)
	if a := r.get(web.ATReturnPath + "?code=bad&state=at-state-bella.example"); a.status != 502 {
		t.Errorf("a refused sign-in: %d", a.status)
	}
	if a := r.get(web.ATReturnPath + "?code=good&state=at-state-bella.example"); a.status != 200 {
		t.Fatalf("%d\n%s", a.status, a.body)
	}
	if a := r.get("/me"); !strings.Contains(a.body, "did:plc:bella") {
		t.Errorf("not signed in:\n%s", a.body)
	}
}

func TestHostileAddresses(t *testing.T) {
	r := newRig(t)
	for _, account := range []string{"", "@", "a@b@c@d", "localhost", "http://", "x.example/path", "x.example?q", "user:pw@x.example:1/", "\x00", "ex ample.com", strings.Repeat("a", 400) + ".example", "<script>.example"} {
		if a := r.post("/signin/fediverse", url.Values{"account": {account}}); a.status < 400 {
			t.Errorf("%q: %d", account, a.status)
		}
	}
	for range 60 {
		r.post("/signin/bluesky", url.Values{"account": {"bella.example"}})
	}
	if a := r.post("/signin/bluesky", url.Values{"account": {"bella.example"}}); a.status != 429 {
		t.Errorf("the 61st sign-in: %d", a.status)
	}
}

func TestSignalsBarJoining(t *testing.T) {
	r := newRig(t)
	r.signIn("alice")
	r.flows.signals = consent.Signals{Deny: consent.SignalNoBridge}
	if a := r.agree(nil); a.status != 409 || !strings.Contains(a.body, "#nobridge") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	if r.state(r.alice()).State == consent.Granted {
		t.Error("joined against the profile")
	}
}
