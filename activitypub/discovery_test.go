package activitypub

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"footbridge/identity"
)

func decodeBody(t *testing.T, rec *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &m); err != nil {
		t.Fatalf("%v: %s", err, rec.Body)
	}
	return m
}

// TestWebFinger asks in every form in use, and in forms that are wrong.
func TestWebFinger(t *testing.T) {
	w := newWorld(t)
	w.local["gone"] = &LocalActor{ID: "https://bridge.test/ap/gone", Username: "gone.example.com", Presence: Gone}
	w.local["paused"] = &LocalActor{ID: "https://bridge.test/ap/paused", Username: "paused.example.com", Presence: Hidden}
	for resource, want := range map[string]struct {
		status int
		self   string
	}{
		"acct:carol.example.com@bridge.test":            {200, string(copyID)},
		"acct:Carol.Example.COM@BRIDGE.test":            {200, string(copyID)},
		"carol.example.com@bridge.test":                 {200, string(copyID)},
		"@carol.example.com@bridge.test":                {200, string(copyID)},
		string(copyID):                                  {200, string(copyID)},
		"https://bridge.test/@carol.example.com":        {200, string(copyID)},
		"https://BRIDGE.test/@carol.example.com":        {200, string(copyID)},
		"acct:bridge.test@bridge.test":                  {200, string(instanceID)},
		"https://bridge.test/":                          {200, string(instanceID)},
		"acct:nobody@bridge.test":                       {404, ""},
		"acct:carol.example.com@other.test":             {404, ""},
		"https://other.test/@carol.example.com":         {404, ""},
		"acct:gone.example.com@bridge.test":             {410, ""},
		"acct:paused.example.com@bridge.test":           {404, ""},
		"":                                              {400, ""},
		"nonsense":                                      {400, ""},
		"acct:a@b@c":                                    {400, ""},
		"acct:" + strings.Repeat("a", 3000) + "@b.test": {400, ""},
	} {
		rec := w.get("/.well-known/webfinger?resource="+url.QueryEscape(resource), "*/*")
		if rec.Code != want.status {
			t.Errorf("%.60q: status %d, want %d", resource, rec.Code, want.status)
			continue
		}
		if want.status != 200 {
			continue
		}
		var j jrd
		if err := json.Unmarshal(rec.Body.Bytes(), &j); err != nil || j.self() != want.self {
			t.Errorf("%q: self %q, want %q", resource, j.self(), want.self)
		}
		if rec.Header().Get("Content-Type") != "application/jrd+json" || rec.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%q: headers %v", resource, rec.Header())
		}
	}
}

// TestNodeInfo has all that the schemas demand.
func TestNodeInfo(t *testing.T) {
	w := newWorld(t)
	index := w.get("/.well-known/nodeinfo", "*/*")
	for _, want := range []string{"/nodeinfo/2.1", "/nodeinfo/2.0", relApplication, string(instanceID)} {
		if !strings.Contains(index.Body.String(), want) {
			t.Errorf("index lacks %q", want)
		}
	}
	for _, v := range []string{"2.0", "2.1"} {
		doc := decodeBody(t, w.get("/nodeinfo/"+v, "*/*"))
		for _, k := range []string{"version", "software", "protocols", "services", "openRegistrations", "usage", "metadata"} {
			if doc[k] == nil {
				t.Errorf("%s lacks %s", v, k)
			}
		}
		if doc["version"] != v {
			t.Errorf("version %v, want %s", doc["version"], v)
		}
	}
	if rec := w.get("/nodeinfo/3.0", "*/*"); rec.Code != 404 {
		t.Errorf("unknown version: %d", rec.Code)
	}
	if meta := w.get("/.well-known/host-meta", "*/*"); !strings.Contains(meta.Body.String(), `template="https://bridge.test/.well-known/webfinger?resource={uri}"`) {
		t.Errorf("host-meta: %s", meta.Body)
	}
}

// TestReads covers actors, objects and collections for software and for people.
func TestReads(t *testing.T) {
	w := newWorld(t)
	w.objects["https://bridge.test/at/1"] = json.RawMessage(`{"id":"https://bridge.test/at/1","type":"Note","url":"https://bsky.app/profile/x/post/1"}`)
	w.gone["https://bridge.test/at/2"] = true
	w.local["https://bridge.test/ap/paused"] = &LocalActor{ID: "https://bridge.test/ap/paused", Username: "p", Presence: Hidden}
	w.local["https://bridge.test/ap/gone"] = &LocalActor{ID: "https://bridge.test/ap/gone", Username: "g", Presence: Gone}
	html := "text/html,application/xhtml+xml,*/*;q=0.8"
	for _, c := range []struct {
		path, accept string
		status       int
		location     string
	}{
		{"/ap/did:plc:carol", activityJSON, 200, ""},
		{"/ap/did:plc:carol", ldJSON, 200, ""},
		{"/ap/did:plc:carol", "*/*", 200, ""},
		{"/ap/did:plc:carol", html, 303, "https://bridge.test/@carol.example.com"},
		{"/actor", activityJSON, 200, ""},
		{"/bot", activityJSON, 404, ""},
		{"/ap/paused", activityJSON, 404, ""},
		{"/ap/gone", activityJSON, 410, ""},
		{"/ap/gone/outbox", activityJSON, 410, ""},
		{"/ap/paused/followers", activityJSON, 404, ""},
		{"/ap/nobody", activityJSON, 404, ""},
		{"/at/1", activityJSON, 200, ""},
		{"/at/1", html, 302, "https://bsky.app/profile/x/post/1"},
		{"/at/2", activityJSON, 410, ""},
		{"/at/2/likes", activityJSON, 410, ""},
		{"/at/3", activityJSON, 404, ""},
		{"/at/1/replies", activityJSON, 200, ""},
		{"/ap/did:plc:carol/outbox", activityJSON, 200, ""},
		{"/ap/did:plc:carol/outbox?page=true", activityJSON, 200, ""},
		{"/ap/did:plc:carol/collections/featured", activityJSON, 200, ""},
		{"/ap/did:plc:carol/followers_synchronization", activityJSON, 401, ""},
		{"/@carol.example.com", html, 200, ""},
		{"/@CAROL.example.com@bridge.test", html, 200, ""},
		{"/@carol.example.com", activityJSON, 302, string(copyID)},
		{"/@nobody", html, 404, ""},
	} {
		rec := w.get(c.path, c.accept)
		if rec.Code != c.status || rec.Header().Get("Location") != c.location {
			t.Errorf("%s (%s): status %d, location %q; want %d, %q", c.path, c.accept, rec.Code, rec.Header().Get("Location"), c.status, c.location)
		}
		if rec.Code == 200 && strings.Contains(c.accept, "json") {
			if ct := rec.Header().Get("Content-Type"); ct != "application/activity+json; charset=utf-8" {
				t.Errorf("%s: content type %q", c.path, ct)
			}
			if id := decodeBody(t, rec)["id"]; id != bridgeBase+c.path {
				t.Errorf("%s: id is %v", c.path, id)
			}
		}
	}
}

// TestEscapedPaths: more escapes than needed change nothing, and ids with escapes in them are served.
func TestEscapedPaths(t *testing.T) {
	w := newWorld(t)
	web := identity.ActorID(bridgeBase + "/ap/did:web:localhost%3A1234")
	w.pairs[web] = testKeys()[1]
	w.local[string(web)] = &LocalActor{ID: web, Username: "web.example.com", Presence: Present}
	for path, want := range map[string]string{"/ap/did%3Aplc%3Acarol": string(copyID), "/ap/did:web:localhost%3A1234": string(web)} {
		rec := w.get(path, activityJSON)
		if rec.Code != 200 || decodeBody(t, rec)["id"] != want {
			t.Errorf("%s: status %d", path, rec.Code)
		}
	}
}

// TestCaching: the second fetch costs a header.
func TestCaching(t *testing.T) {
	w := newWorld(t)
	first := w.get("/ap/did:plc:carol/collections/featured", activityJSON)
	r := httptest.NewRequest(http.MethodGet, "/ap/did:plc:carol/collections/featured", nil)
	r.Host = "bridge.test"
	r.Header.Set("If-None-Match", first.Header().Get("ETag"))
	if rec := w.do(r); rec.Code != http.StatusNotModified || rec.Body.Len() > 0 {
		t.Errorf("status %d, %d bytes", rec.Code, rec.Body.Len())
	}
	if !strings.HasPrefix(first.Header().Get("Cache-Control"), "public, max-age=") || !strings.Contains(first.Header().Get("Vary"), "Accept") {
		t.Errorf("headers %v", first.Header())
	}
}

// TestPaging walks the outbox.
func TestPaging(t *testing.T) {
	w := newWorld(t)
	root := decodeBody(t, w.get("/ap/did:plc:carol/outbox", activityJSON))
	if root["totalItems"] != 2.0 || root["orderedItems"] != nil {
		t.Errorf("root %v", root)
	}
	var seen []any
	next, _ := root["first"].(string)
	for next != "" {
		page := decodeBody(t, w.get(strings.TrimPrefix(next, bridgeBase), activityJSON))
		if page["type"] != "OrderedCollectionPage" || page["id"] != next || page["partOf"] != root["id"] {
			t.Errorf("page %v", page)
		}
		seen = append(seen, page["orderedItems"].([]any)...)
		next, _ = page["next"].(string)
	}
	if len(seen) != 2 {
		t.Errorf("items %v", seen)
	}
}

// signedGet makes a signed read of a path, as the server receives it.
func (w *world) signedGet(path string, s Scheme, by string) *http.Request {
	w.t.Helper()
	req, _ := http.NewRequest(http.MethodGet, bridgeBase+path, nil)
	req.Header.Set("Accept", activityJSON)
	id := aliceID
	if by != "" {
		id = eveID
	}
	if err := sign(req, nil, id, w.pairs[id], s, w.clock); err != nil {
		w.t.Fatal(err)
	}
	return w.request(req, nil)
}

// TestSecureMode wants a signature on everything but the instance actor, and refuses blocked readers in both modes.
func TestSecureMode(t *testing.T) {
	w := newWorld(t, func(_ *world, o *ServerOptions) { o.Secure = true })
	if rec := w.get("/ap/did:plc:carol", activityJSON); rec.Code != 401 {
		t.Errorf("unsigned: %d", rec.Code)
	}
	if rec := w.get("/actor", activityJSON); rec.Code != 200 {
		t.Errorf("instance actor: %d", rec.Code)
	}
	for _, s := range schemes {
		for _, path := range []string{"/ap/did:plc:carol", "/ap/did:plc:carol/outbox?page=true"} {
			rec := w.do(w.signedGet(path, s, ""))
			if rec.Code != 200 || rec.Header().Get("Cache-Control") != "private" {
				t.Errorf("%s %s: %d, %q", s, path, rec.Code, rec.Header().Get("Cache-Control"))
			}
			w.clock = w.clock.Add(1)
		}
	}
	w.blocked["evil.test"] = true
	if rec := w.do(w.signedGet("/ap/did:plc:carol", SchemeCavage, "eve")); rec.Code != 403 {
		t.Errorf("blocked reader: %d", rec.Code)
	}
	open := newWorld(t)
	open.blocked["evil.test"] = true
	if rec := open.do(open.signedGet("/ap/did:plc:carol", SchemeRFC9421, "eve")); rec.Code != 403 || len(open.asked) > 0 {
		t.Errorf("blocked reader without secure mode: %d, fetched %v", rec.Code, open.asked)
	}
}
