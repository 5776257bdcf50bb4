package translate

import (
	"testing"

	"pgregory.net/rapid"
)

// fieldNames are the names that conversions read, so that odd values come where something is expected.
var fieldNames = []string{
	"$type", "text", "facets", "index", "byteStart", "byteEnd", "features", "uri", "did", "tag", "tags", "langs", "labels", "values", "val", "embed",
	"record", "media", "images", "items", "image", "video", "external", "title", "description", "alt", "aspectRatio", "width", "height", "ref", "$link",
	"mimeType", "reply", "parent", "root", "cid", "subject", "createdAt", "post", "allow", "embeddingRules", "detachedEmbeddingUris", "hiddenReplies",
	"displayName", "avatar", "banner", "pinnedPost", "website", "pronouns", "site", "path", "textContent", "coverImage", "publishedAt", "updatedAt",
	"name", "startsAt", "endsAt", "status", "mode", "locations", "uris", "latitude", "longitude",
}

var fieldTexts = []string{
	"", "x", "app.bsky.embed.images", "app.bsky.embed.gallery", "app.bsky.embed.video", "app.bsky.embed.external", "app.bsky.embed.record",
	"app.bsky.embed.recordWithMedia", "app.bsky.richtext.facet#link", "app.bsky.richtext.facet#mention", "app.bsky.richtext.facet#tag",
	"https://x.example/", "javascript:alert(1)", "at://" + aliceDID + "/app.bsky.feed.post/3kab222222257", "at://" + fredDID + "/app.bsky.feed.post/3kab222222299",
	"at://" + bobDID + "/app.bsky.feed.post/3kab2222222ab", aliceDID, fredDID, bobDID, "porn", "!no-unauthenticated", "en", "2026-01-01T12:00:00Z", "yesterday",
	"<b>&amp;\n\n", "🦋", "app.bsky.feed.threadgate#listRule", "community.lexicon.calendar.rsvp#going", "community.lexicon.location.geo", "51.0", "image/png",
	"bafkreihlavqjqh3e2k5r5q5jjluvhp7ifuufhnddgonqxnmcgj2pyklg4i", "\u0000",
}

// anyValue is a JSON value of known fields, well formed or not.
func anyValue(t *rapid.T, depth int) any {
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0, 1:
		return rapid.SampledFrom(fieldTexts).Draw(t, "text")
	case 2:
		return rapid.SampledFrom([]any{nil, true, 0, -1, 3, 1.5, 1e300}).Draw(t, "scalar")
	case 3:
		return rapid.String().Draw(t, "string")
	case 4:
		n := rapid.IntRange(0, 3).Draw(t, "length")
		list := make([]any, n)
		for i := range list {
			list[i] = anyValue(t, depth-1)
		}
		return list
	default:
		return anyObject(t, depth-1)
	}
}

func anyObject(t *rapid.T, depth int) map[string]any {
	m := map[string]any{}
	for range rapid.IntRange(0, 8).Draw(t, "fields") {
		m[rapid.SampledFrom(fieldNames).Draw(t, "field")] = anyValue(t, depth)
	}
	return m
}

// TestAnyRecord: records of any shape, in any event, give something well formed or are dropped with a reason.
func TestAnyRecord(t *testing.T) {
	c := baseContext(t)
	c.Objects[ObjectID(c.Domain, "at://"+bobDID+"/app.bsky.feed.post/3kab2222222ab", 1)] = StrongRef{URI: "at://" + bobDID + "/app.bsky.feed.post/3kab2222222ab"}
	c.Objects["https://social.example/users/alice/statuses/100"] = StrongRef{URI: "at://" + aliceDID + "/app.bsky.feed.post/3kab222222257"}
	collections := []string{nsidPost, nsidPost, nsidPost, nsidLike, nsidRepost, nsidThreadgate, nsidPostgate, nsidFollow, nsidBlock, nsidProfile, nsidDocument, nsidEvent, nsidRSVP, "com.example.other"}
	rapid.Check(t, func(rt *rapid.T) {
		collection := rapid.SampledFrom(collections).Draw(rt, "collection")
		rkey := "3kab2222222ab"
		if collection == nsidProfile {
			rkey = "self"
		}
		record := func(label string) []byte {
			m := anyObject(rt, 5)
			m["$type"] = collection
			if rapid.Bool().Draw(rt, label) {
				m["text"] = "some words"
			}
			return mustEncode(t, m)
		}
		ev := Event{
			Action: rapid.SampledFrom([]string{"create", "update", "delete"}).Draw(rt, "action"), URI: "at://" + bobDID + "/" + collection + "/" + rkey,
			DID: bobDID, Handle: "bob.bsky.example", Record: record("words"), Previous: record("words before"),
		}
		EventRefs(ev, c.Domain)
		r, err := FromEvent(ev, c)
		if err != nil {
			rt.Fatal(err)
		}
		checkActivities(t, mustEncode(t, r))
		if t.Failed() {
			rt.Fatalf("record %s before %s", ev.Record, ev.Previous)
		}
	})
}

// TestQuoteRequest: the author of a quoted post of the other side is asked, nobody of this bridge is.
func TestQuoteRequest(t *testing.T) {
	c := baseContext(t)
	theirs := "https://social.example/users/alice/statuses/100"
	c.Objects[theirs] = StrongRef{URI: "at://" + aliceDID + "/app.bsky.feed.post/3kab222222257"}
	ev := postEvent(t, map[string]any{"text": "look", "embed": map[string]any{"$type": "app.bsky.embed.record", "record": map[string]any{"uri": c.Objects[theirs].URI, "cid": "x"}}})
	note, _, why := NoteDocument(ev, c)
	if why != None || note["@context"] == nil {
		t.Fatal(why, note)
	}
	r := QuoteRequest(note, c)
	instrument, _ := r["instrument"].(map[string]any)
	if r["type"] != "QuoteRequest" || r["object"] != theirs || instrument["id"] != note["id"] || instrument["@context"] != nil || r["id"] != QuoteRequestID(note["id"].(string)) {
		t.Errorf("asked %v", r)
	}
	if to := r["to"].([]any); len(to) != 1 || to[0] != aliceID {
		t.Errorf("asked %v", to)
	}
	note["quote"] = ObjectID(c.Domain, "at://"+bobDID+"/app.bsky.feed.post/3kab222222224", 1)
	if r := QuoteRequest(note, c); r != nil {
		t.Errorf("asked ourselves: %v", r)
	}
	delete(note, "quote")
	if r := QuoteRequest(note, c); r != nil {
		t.Errorf("asked for nothing: %v", r)
	}
}
