package activitypub

import "testing"

// An Accept as Fedify compacts it: the Follow and its actor are embedded, and extension terms bear the prefix.
func TestFedifysExtensionTermsAreNoAliases(t *testing.T) {
	doc, err := parseDocument([]byte(`{"@context":"https://www.w3.org/ns/activitystreams","type":"Accept","object":{"type":"Follow",
		"actor":{"type":"Service","as:manuallyApprovesFollowers":true,"https://www.w3.org/ns/activitystreams#sensitive":false}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := checkContexts(doc); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"as:actor", "as:object", "https://www.w3.org/ns/activitystreams#attributedTo", "@id"} {
		doc, err := parseDocument([]byte(`{"type":"Create","` + key + `":"https://evil.example/"}`))
		if err != nil {
			continue // refused even earlier
		}
		if err := checkContexts(doc); err == nil {
			t.Errorf("%s passes as another spelling", key)
		}
	}
}
