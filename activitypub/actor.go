package activitypub

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"footbridge/identity"
)

// Contexts that actor documents need.
const (
	securityV1 = "https://w3id.org/security/v1"
	multikeyV1 = "https://w3id.org/security/multikey/v1"
)

// writeActor serves an actor: the document for software, the page for people.
func (s *Server) writeActor(c echo.Context, a *LocalActor) error {
	switch a.Presence {
	case Gone:
		return s.tombstone(c, string(a.ID))
	case Hidden:
		return c.NoContent(http.StatusNotFound)
	}
	if wantsHTML(c.Request()) {
		return c.Redirect(http.StatusSeeOther, s.o.Base+"/@"+a.Username)
	}
	doc, err := s.CompleteActor(c.Request().Context(), a)
	if err != nil {
		return err
	}
	return s.writeDoc(c, http.StatusOK, doc)
}

// CompleteActor adds to a local actor's document what this package knows: id, inbox, collections, endpoints and keys.
// It is also what an Update or Create that embeds the actor must contain.
func (s *Server) CompleteActor(ctx context.Context, a *LocalActor) (map[string]any, error) {
	pair, err := s.o.Keys.SigningKey(ctx, a.ID)
	if err != nil {
		return nil, fmt.Errorf("finding an actor's key: %w", err)
	}
	doc := maps.Clone(a.Document)
	if doc == nil {
		doc = map[string]any{}
	}
	s.fillActor(doc, a)
	contexts := orContext(doc["@context"])
	if _, there := doc["generator"]; !there {
		doc["generator"] = s.generator()
		contexts = withContext(contexts, map[string]any{"implements": map[string]any{
			"@id": "https://w3id.org/fep/844e/implements", "@type": "@id", "@container": "@set"}})
	}
	doc["@context"] = contexts
	return doc, AddKeys(doc, a.ID, pair)
}

// AddKeys puts the public keys of a pair into an actor document. To rotate keys, send an Update whose document has the new
// ones, still signed with the old ones, and then let the KeySource give the new pair.
func AddKeys(doc map[string]any, id identity.ActorID, pair KeyPair) error {
	text, err := PublicPEM(pair.RSA.Public())
	if err != nil {
		return err
	}
	contexts := withContext(doc["@context"], securityV1)
	doc["publicKey"] = map[string]any{"id": MainKeyID(id), "owner": string(id), "publicKeyPem": text}
	if pub, ok := pair.Ed25519.Public().(ed25519.PublicKey); ok {
		doc["assertionMethod"] = []any{map[string]any{"id": ProofKeyID(id), "type": "Multikey", "controller": string(id), "publicKeyMultibase": Multikey(pub)}}
		contexts = append(withContext(contexts, multikeyV1), map[string]any{"assertionMethod": map[string]any{
			"@id": "https://w3id.org/security#assertionMethod", "@type": "@id", "@container": "@set"}})
	}
	doc["@context"] = contexts
	return nil
}

// orContext defines the terms that fillActor writes, unless the directory brought a context of its own.
func orContext(c any) any {
	if c != nil {
		return c
	}
	return []any{asNamespace, securityV1, map[string]any{
		"manuallyApprovesFollowers": "as:manuallyApprovesFollowers", "toot": "http://joinmastodon.org/ns#",
		"discoverable": "toot:discoverable", "indexable": "toot:indexable", "featured": map[string]any{"@id": "toot:featured", "@type": "@id"},
		"webfinger": "https://purl.archive.org/socialweb/webfinger#webfinger",
	}}
}

// generator says what our software understands (FEP-844e).
func (s *Server) generator() map[string]any {
	return map[string]any{"type": "Application", "name": s.o.Software.Name, "implements": []any{
		map[string]any{"href": "https://datatracker.ietf.org/doc/html/rfc9421", "name": "RFC-9421: HTTP Message Signatures"},
	}}
}

// fillActor sets what must be there and keeps what the directory said.
func (s *Server) fillActor(doc map[string]any, a *LocalActor) {
	id := string(a.ID)
	defaults := map[string]any{
		"type": "Person", "summary": "", "name": a.Username, "discoverable": false, "indexable": false,
		"url": s.o.Base + "/@" + a.Username, "manuallyApprovesFollowers": a.ManuallyApproves,
		"outbox": id + "/outbox", "followers": id + "/followers", "following": id + "/following", "featured": id + "/collections/featured",
		"attachment": []any{}, "tag": []any{},
	}
	for k, v := range defaults {
		if _, there := doc[k]; !there {
			doc[k] = v
		}
	}
	if u, ok := doc["url"].(string); !ok || originOf(u) != originOf(s.o.Base) {
		doc["url"] = s.o.Base + "/@" + a.Username // Mastodon ignores one on another host
	}
	doc["id"], doc["preferredUsername"], doc["inbox"] = id, a.Username, id+"/inbox"
	doc["webfinger"] = a.Username + "@" + s.host
	doc["endpoints"] = map[string]any{"sharedInbox": s.o.Base + "/inbox"}
	doc["sharedInbox"] = s.o.Base + "/inbox"
}

var profilePage = template.Must(template.New("profile").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Acct}}</title><link rel="alternate" type="application/activity+json" href="{{.ID}}"></head>
<body><main><h1>{{.Acct}}</h1><p>This account is carried over by a bridge.</p>
{{if .Native}}<p><a rel="me" href="{{.Native}}">See the original</a></p>{{end}}</main></body></html>
`))

// getProfile is the page of an actor. Software that got here is sent on to the actor's id.
func (s *Server) getProfile(c echo.Context) error {
	name := strings.TrimSuffix(c.Param("name"), "@"+s.host)
	a, err := s.o.Directory.ByName(c.Request().Context(), name)
	if err != nil {
		return fmt.Errorf("looking up a profile: %w", err)
	}
	h := c.Response().Header()
	h.Set("Vary", "Accept")
	switch {
	case a == nil || a.Presence == Absent || a.Presence == Hidden:
		return c.NoContent(http.StatusNotFound)
	case a.Presence == Gone:
		return c.NoContent(http.StatusGone)
	}
	h.Set("Link", `<`+string(a.ID)+`>; rel="alternate"; type="application/activity+json"`)
	if !wantsHTML(c.Request()) {
		return c.Redirect(http.StatusFound, string(a.ID))
	}
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	c.Response().Header().Set(echo.HeaderContentType, "text/html; charset=utf-8")
	c.Response().WriteHeader(http.StatusOK)
	return profilePage.Execute(c.Response(), struct{ Acct, ID, Native string }{"@" + a.Username + "@" + s.host, string(a.ID), pageOf(a)})
}

// pageOf is the page of the original: what the directory says, or else the url that it gave its document.
func pageOf(a *LocalActor) string {
	if u, ok := a.Document["url"].(string); ok && a.Page == "" && strings.HasPrefix(u, "https://") {
		return u
	}
	return a.Page
}
