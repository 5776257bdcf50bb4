package activitypubtest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// ServeHTTP answers like the software does, for the parts that federation needs.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	f, isMedia := s.media[r.URL.Path]
	s.mu.Unlock()
	switch {
	case isMedia:
		w.Header().Set("Content-Type", f.mime)
		_, _ = w.Write(f.data)
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/inbox"):
		s.postInbox(w, r)
	case r.Method != http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case strings.HasPrefix(r.URL.Path, "/.well-known/"), strings.HasPrefix(r.URL.Path, "/nodeinfo/"):
		s.wellKnown(w, r)
	default:
		s.getDocument(w, r)
	}
}

func (s *Server) wellKnown(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/webfinger":
		s.webFinger(w, r)
	case "/.well-known/nodeinfo":
		writeJSON(w, "application/json", map[string]any{"links": []any{map[string]any{"rel": "http://nodeinfo.diaspora.software/ns/schema/2.0", "href": s.origin + "/nodeinfo/2.0"}}})
	case "/nodeinfo/2.0":
		writeJSON(w, "application/json", map[string]any{"version": "2.0", "software": map[string]any{"name": string(s.o.Dialect), "version": s.rules.version},
			"protocols": []any{"activitypub"}, "services": map[string]any{"inbound": []any{}, "outbound": []any{}}, "openRegistrations": false,
			"usage": map[string]any{"users": map[string]any{"total": 1}}, "metadata": map[string]any{}})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *Server) webFinger(w http.ResponseWriter, r *http.Request) {
	res := r.URL.Query().Get("resource")
	name, host, _ := strings.Cut(strings.TrimPrefix(res, "acct:"), "@")
	a := s.byID(res)
	if a == nil && strings.EqualFold(host, s.Host()) {
		a = s.byName(name)
	}
	if a == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	writeJSON(w, "application/jrd+json; charset=utf-8", map[string]any{"subject": "acct:" + a.Acct, "aliases": []any{a.ID},
		"links": []any{map[string]any{"rel": "self", "type": apType, "href": a.ID}}})
}

func writeJSON(w http.ResponseWriter, mime string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mime)
	_, _ = w.Write(b)
}

func (s *Server) writeDoc(w http.ResponseWriter, v any) { writeJSON(w, apType+"; charset=utf-8", v) }

// getDocument serves actors, collections, objects and activities.
func (s *Server) getDocument(w http.ResponseWriter, r *http.Request) {
	id := s.origin + r.URL.EscapedPath()
	if (s.o.SecureFetch || s.rules.secure) && id != s.instance().ID {
		if _, _, err := s.verify(r, nil); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
	}
	if a := s.byID(strings.TrimSuffix(id, "/main-key")); a != nil {
		s.getActor(w, a, id)
		return
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/@"); ok {
		if a := s.byName(rest); a != nil {
			http.Redirect(w, r, a.ID, http.StatusFound)
			return
		}
	}
	s.mu.Lock()
	doc, gone := s.objects[id], s.gone[id]
	s.mu.Unlock()
	switch {
	case gone:
		w.Header().Set("Content-Type", apType)
		w.WriteHeader(http.StatusGone)
		_ = json.NewEncoder(w).Encode(map[string]any{"@context": asNS, "id": id, "type": "Tombstone"})
	case doc != nil:
		s.writeDoc(w, doc)
	case s.getCollection(w, r, id):
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *Server) getActor(w http.ResponseWriter, a *Actor, id string) {
	s.mu.Lock()
	gone := s.gone[a.ID]
	s.mu.Unlock()
	if gone {
		w.WriteHeader(http.StatusGone)
		return
	}
	doc := a.Document()
	if id != a.ID { // GoToSocial's key page is a stub of the actor, without an inbox
		doc = map[string]any{"@context": doc["@context"], "id": a.ID, "type": doc["type"], "preferredUsername": doc["preferredUsername"], "publicKey": doc["publicKey"]}
	}
	s.writeDoc(w, doc)
}

func (s *Server) getCollection(w http.ResponseWriter, r *http.Request, id string) bool {
	for _, suffix := range []string{"/outbox", "/followers", "/following", "/collections/featured"} {
		owner, ok := strings.CutSuffix(id, suffix)
		if !ok {
			continue
		}
		a := s.byID(owner)
		if a == nil {
			return false
		}
		items := a.items(suffix)
		doc := map[string]any{"@context": asNS, "id": id, "type": "OrderedCollection", "totalItems": len(items)}
		switch {
		case suffix == "/collections/featured":
			doc["orderedItems"] = items
		case r.URL.Query().Get("page") != "":
			doc["id"], doc["type"], doc["partOf"], doc["orderedItems"] = id+"?page=true", "OrderedCollectionPage", id, items
		default:
			doc["first"] = id + "?page=true"
		}
		s.writeDoc(w, doc)
		return true
	}
	return false
}

func (a *Actor) items(suffix string) []any {
	out := []any{}
	switch suffix {
	case "/followers":
		for _, f := range a.Followers() {
			out = append(out, f)
		}
	case "/following":
		for _, f := range a.Following() {
			out = append(out, f)
		}
	case "/collections/featured":
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, f := range a.featured {
			out = append(out, f)
		}
	case "/outbox":
		a.mu.Lock()
		defer a.mu.Unlock()
		for i := len(a.outbox) - 1; i >= 0; i-- {
			out = append(out, a.outbox[i])
		}
	}
	return out
}

func (s *Server) nextFailure() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fails) == 0 {
		return 0
	}
	f := s.fails[0]
	s.fails = s.fails[1:]
	return f
}

func (s *Server) postInbox(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if status := s.nextFailure(); status != 0 {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(status)
		return
	}
	if ct := r.Header.Get("Content-Type"); ct != apType && ct != ldType && ct != apType+"; charset=utf-8" {
		w.WriteHeader(http.StatusNotAcceptable)
		return
	}
	owner, scheme, err := s.verify(r, body)
	if err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	doc, err := decode(body)
	if err != nil || doc["actor"] != owner {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	typ, _ := doc["type"].(string)
	rec := Received{At: s.o.Now(), Path: r.URL.Path, Actor: owner, Type: typ, Object: idOf(doc["object"]), Signature: scheme, Activity: doc, Raw: body,
		Violations: Validate(s.o.Dialect, doc)}
	s.react(doc, owner)
	s.record(rec)
}

func idOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		s, _ := v["id"].(string)
		return s
	case []any:
		if len(v) > 0 {
			return idOf(v[0])
		}
	}
	return ""
}
