package activitypub

import (
	"fmt"
	"slices"
	"strings"
)

// protected are the terms that decide who says what about what. A context that gives them another meaning makes JSON and
// JSON-LD readers see two different documents, so such a document is refused. Contexts are never fetched.
var protected = []string{"id", "type", "actor", "object", "target", "to", "cc", "bto", "bcc", "audience", "attributedTo",
	"inReplyTo", "content", "inbox", "outbox", "first", "items", "orderedItems", "url", "name", "summary", "tag",
	"attachment", "published", "updated", "instrument", "result", "publicKey", "owner", "publicKeyPem", "as", "Public"}

var forbiddenKeywords = []string{"@graph", "@included", "@reverse", "@nest", "@propagate", "@import"}

func checkContexts(v any) error {
	switch v := v.(type) {
	case document:
		return checkContexts(map[string]any(v))
	case []any:
		for _, e := range v {
			if err := checkContexts(e); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, k := range forbiddenKeywords {
			if _, there := v[k]; there {
				return fmt.Errorf("%w: JSON-LD keyword", ErrDocument)
			}
		}
		for k, e := range v {
			if k == "@context" {
				if err := checkContext(e); err != nil {
					return err
				}
				continue
			}
			if aliased(k) {
				return fmt.Errorf("%w: a term under another name", ErrDocument)
			}
			if err := checkContexts(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// aliased is true of other spellings of a term that decides something, which some readers would compact to it and others
// not. Extension names under the same prefix are no aliases: as:manuallyApprovesFollowers is how Fedify compacts what the
// ActivityStreams context does not define.
func aliased(key string) bool {
	if key == "@id" || key == "@type" {
		return true
	}
	for _, prefix := range []string{"as:", asNamespace + "#"} {
		if term, found := strings.CutPrefix(key, prefix); found {
			return isProtected(term)
		}
	}
	return false
}

func checkContext(c any) error {
	for _, e := range many(c) {
		terms, ok := e.(map[string]any)
		if !ok {
			continue
		}
		for term, def := range terms {
			if strings.HasPrefix(term, "@") {
				if term != "@language" && term != "@vocab" && term != "@base" && term != "@version" && term != "@protected" {
					return fmt.Errorf("%w: context keyword", ErrDocument)
				}
				continue
			}
			if !harmless(term, def) {
				return fmt.Errorf("%w: a context gives another meaning to %.20q", ErrDocument, term)
			}
		}
	}
	return nil
}

// harmless tells whether a context's term definition leaves the protected terms as they are.
func harmless(term string, def any) bool {
	iri, _ := def.(string)
	if m, ok := def.(map[string]any); ok {
		iri, _ = m["@id"].(string)
		for _, k := range []string{"@reverse", "@nest", "@import", "@context"} {
			if _, there := m[k]; there && (k != "@context" || isProtected(term)) {
				return false
			}
		}
		if iri == "" && !isProtected(term) {
			return true
		}
	}
	switch {
	case term == "as":
		return iri == asNamespace+"#" || iri == asNamespace
	case strings.HasPrefix(iri, "@"):
		return term == "id" && iri == "@id" || term == "type" && iri == "@type" || iri == "@json"
	case !isProtected(term):
		return true
	}
	for _, ns := range []string{"as:", asNamespace + "#", "sec:", "https://w3id.org/security#"} {
		if iri == ns+term {
			return true
		}
	}
	return false
}

func isProtected(term string) bool { return slices.Contains(protected, term) }
