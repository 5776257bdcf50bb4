package translate

import (
	"encoding/json"
	"testing"
	"time"
)

// FuzzFromEvent feeds any record of any collection: nothing panics, takes long or breaks the shape of what comes out.
func FuzzFromEvent(f *testing.F) {
	for _, path := range goldenFiles(f, "at-to-ap") {
		_, full := loadCase(f, path)
		var ac adapterCase
		if err := json.Unmarshal(full, &ac); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(ac.Input))
	}
	c := baseContext(f)
	own := StrongRef{URI: "at://" + bobDID + "/app.bsky.feed.post/3kab2222222ab", CID: "bafyreifk6zrtabj3emwkif7sjw23dv3ofpb2fhq4syixddr56ik5uqyhd4"}
	c.Objects[ObjectID(c.Domain, own.URI, 1)] = own
	f.Fuzz(func(t *testing.T, in []byte) {
		var ev Event
		if json.Unmarshal(in, &ev) != nil {
			return
		}
		start := time.Now()
		EventRefs(ev, c.Domain)
		r, err := FromEvent(ev, c)
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %v", took)
		}
		if err != nil {
			t.Fatal(err)
		}
		checkActivities(t, mustEncode(t, r))
	})
}

// FuzzTextOut feeds any text with any facet.
func FuzzTextOut(f *testing.F) {
	f.Add("hello <b> & co\n\nhttps://x.example/", 0, 5, "https://x.example/", uint8(0))
	f.Add("🦋 @fred.bsky.example", 5, 23, fredDID, uint8(1))
	f.Add("#tag\r\n\u0000", 0, 4, "tag", uint8(2))
	c := baseContext(f)
	types := []string{"link", "mention", "tag"}
	keys := []string{"uri", "did", "tag"}
	f.Fuzz(func(t *testing.T, text string, start, end int, value string, kind uint8) {
		k := int(kind) % len(types)
		ev := postEvent(t, map[string]any{"text": text, "facets": []any{map[string]any{
			"index":    map[string]any{"byteStart": start, "byteEnd": end},
			"features": []any{map[string]any{"$type": "app.bsky.richtext.facet#" + types[k], keys[k]: value}},
		}}})
		r, err := FromEvent(ev, c)
		if err != nil {
			t.Fatal(err)
		}
		checkActivities(t, mustEncode(t, r))
		if bio, _, err := ActorDocument(mustEncode(t, map[string]any{"description": text, "displayName": value, "website": value}), bobDID, "bob.bsky.example", c); err != nil {
			t.Fatal(err)
		} else {
			checkActor(t, roundTrip(t, bio))
			checkHTML(t, bio["summary"].(string))
		}
	})
}

func roundTrip(tb testing.TB, m map[string]any) map[string]any {
	var out map[string]any
	if err := json.Unmarshal(mustEncode(tb, m), &out); err != nil {
		tb.Fatal(err)
	}
	return out
}
