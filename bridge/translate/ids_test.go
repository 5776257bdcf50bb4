package translate

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOwnIDs(t *testing.T) {
	const uri = "at://did:plc:bob222222222222222222222/app.bsky.feed.post/3kab2222222ab"
	for _, tc := range []struct {
		id   string
		want OwnID
	}{
		{ActorID("b.example", bobDID, 1), OwnID{DID: bobDID, Incarnation: 1}},
		{ActorID("b.example", bobDID, 0), OwnID{DID: bobDID, Incarnation: 1}},
		{ActorID("b.example", bobDID, 3), OwnID{DID: bobDID, Incarnation: 3}},
		{ActorID("b.example", "did:web:x.example%3A8080", 2), OwnID{DID: "did:web:x.example%3A8080", Incarnation: 2}},
		{ActorID("b.example", bobDID, 1) + "/inbox", OwnID{DID: bobDID, Incarnation: 1, Part: "inbox"}},
		{ActorID("b.example", bobDID, 1) + "#main-key", OwnID{DID: bobDID, Incarnation: 1, Activity: "main-key"}},
		{ObjectID("b.example", uri, 1), OwnID{DID: bobDID, Incarnation: 1, Collection: nsidPost, RKey: "3kab2222222ab"}},
		{CreateID(ObjectID("b.example", uri, 2)), OwnID{DID: bobDID, Incarnation: 2, Collection: nsidPost, RKey: "3kab2222222ab", Activity: "create"}},
		{UpdateID(ObjectID("b.example", uri, 1), "bafy1"), OwnID{DID: bobDID, Incarnation: 1, Collection: nsidPost, RKey: "3kab2222222ab", Activity: "update-bafy1"}},
		{DeleteID(ObjectID("b.example", uri, 1)), OwnID{DID: bobDID, Incarnation: 1, Collection: nsidPost, RKey: "3kab2222222ab", Activity: "delete"}},
	} {
		got, ok := ParseOwnID("b.example", tc.id)
		if !ok || got != tc.want {
			t.Errorf("%s is read as %+v, %v", tc.id, got, ok)
		}
	}
	quoting := "https://social.example/@a/1?x=ü"
	stamp, ok := ParseOwnID("b.example", QuoteAuthorizationID(ObjectID("b.example", uri, 1), quoting))
	if back, ok2 := stamp.QuotingID(); !ok || !ok2 || back != quoting || stamp.URI() != uri {
		t.Errorf("the stamp says %q of %q", back, stamp.URI())
	}
}

func TestForeignIDsAreNotOwn(t *testing.T) {
	for _, id := range []string{
		"", "https://b.example", "https://b.example/", "https://b.example/ap/", "https://b.example/ap/did:plc", "https://b.example/ap/bob",
		"https://b.example/ap/did:plc:x~1", "https://b.example/ap/did:plc:x~01", "https://b.example/ap/did:plc:x~-2", "https://b.example/ap/did:plc:x~2~3",
		"https://b.example/at/did:plc:x", "https://b.example/at/did:plc:x/app.bsky.feed.post", "https://b.example/at/did:plc:x/app.bsky.feed.post/..",
		"https://b.example/at/did:plc:x/app.bsky.feed.post/a b", "https://b.example/xx/did:plc:x", "https://b.example.evil/ap/did:plc:x",
		"http://b.example/ap/did:plc:x", "https://c.example/ap/did:plc:x", "HTTPS://b.example/ap/did:plc:x",
	} {
		if own, ok := ParseOwnID("b.example", id); ok {
			t.Errorf("%q is read as %+v", id, own)
		}
	}
}

func TestSplitURI(t *testing.T) {
	for _, uri := range []string{
		"", "at://", "at://did:plc:x", "at://did:plc:x/", "at://did:plc:x/app.bsky.feed.post", "at://did:plc:x/app.bsky.feed.post/",
		"at://bob.example/app.bsky.feed.post/1", "at://did:plc:x/app.bsky.feed.post/1/2", "at://did:plc:x/app.bsky.feed.post/1?x", "https://x",
		"at://did:plc:/app.bsky.feed.post/1", "at://did:PLC:x/app.bsky.feed.post/1", "at://did:plc:x/a b/1", "at://did:plc:x/a/" + strings.Repeat("x", 3000),
	} {
		if did, collection, rkey, ok := SplitURI(uri); ok {
			t.Errorf("%q is split into %s, %s, %s", uri, did, collection, rkey)
		}
	}
}

// TestObjectIDsAreOneToOne: an id leads back to its record and incarnation, so no two share one.
func TestObjectIDsAreOneToOne(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		did := "did:" + rapid.StringMatching(`(plc:[a-z2-7]{4,24}|web:[a-z0-9.]{1,20}(%3A[0-9]{2,4})?)`).Draw(rt, "did")
		uri := "at://" + did + "/" + rapid.StringMatching(`[a-z]{2,5}\.[a-z]{2,8}\.[a-zA-Z]{1,10}`).Draw(rt, "collection") + "/" + rapid.StringMatching(`[A-Za-z0-9_:~-]{1,20}`).Draw(rt, "rkey")
		n := rapid.Int64Range(1, 1<<40).Draw(rt, "incarnation")
		id := ObjectID("b.example:8443", uri, n)
		if id == "" {
			if isDID(did) {
				rt.Fatalf("%s has no id", uri)
			}
			return
		}
		own, ok := ParseOwnID("b.example:8443", id)
		if !ok || own.URI() != uri || own.Incarnation != n {
			rt.Fatalf("%s: %+v", id, own)
		}
	})
}
