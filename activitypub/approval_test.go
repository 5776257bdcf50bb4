package activitypub

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"footbridge/identity"
)

// TestStamps: a stamp counts only if the author of the target gave it for exactly this.
func TestStamps(t *testing.T) {
	const stamp, mine, theirs = "https://remote.test/stamps/1", "https://bridge.test/at/1", "https://remote.test/users/alice/notes/1"
	good := NewAuthorization(InteractionQuote, stamp, aliceID, mine, theirs)
	legacy := map[string]any{"id": stamp, "type": "ReplyApproval", "attributedTo": string(aliceID), "object": mine, "target": theirs}
	for _, c := range []struct {
		name  string
		kind  Interaction
		stamp string
		doc   map[string]any
		ok    bool
	}{
		{"good", InteractionQuote, stamp, good, true},
		{"good reply", InteractionReply, stamp, with(good, "type", "ReplyAuthorization"), true},
		{"GoToSocial 0.18", InteractionReply, stamp, legacy, true},
		{"GoToSocial 0.18 for a quote", InteractionQuote, stamp, with(legacy, "type", "QuoteApproval"), false},
		{"of another kind", InteractionLike, stamp, good, false},
		{"for another quote", InteractionQuote, stamp, with(good, "interactingObject", "https://bridge.test/at/2"), false},
		{"of another post", InteractionQuote, stamp, with(good, "interactionTarget", theirs+"0"), false},
		{"by another", InteractionQuote, stamp, with(good, "attributedTo", string(malloryID)), false},
		{"on another host", InteractionQuote, "https://evil.test/stamps/1", with(good, "id", "https://evil.test/stamps/1"), false},
		{"under another id", InteractionQuote, stamp, with(good, "id", stamp+"0"), false},
		{"deleted", InteractionQuote, stamp, map[string]any{"id": stamp, "type": "Tombstone"}, false},
	} {
		w := newWorld(t)
		w.serve(c.stamp, c.doc)
		err := w.client.VerifyAuthorization(t.Context(), c.kind, c.stamp, aliceID, mine, theirs)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestRequests are read, answered with the whole request, and shown with their stamp.
func TestRequests(t *testing.T) {
	raw, _ := json.Marshal(NewRequest(InteractionQuote, string(aliceID)+"/q/1", aliceID, "https://bridge.test/at/1",
		map[string]any{"id": string(aliceID) + "/notes/1", "type": "Note", "attributedTo": string(aliceID)}, copyID))
	w := newWorld(t)
	if rec := w.do(w.post("/inbox", []byte(raw), aliceID, SchemeCavage)); rec.Code != http.StatusAccepted {
		t.Fatalf("status %d", rec.Code)
	}
	r, err := ReadRequest(w.accepted[0].Raw)
	if err != nil || r.Kind != InteractionQuote || r.Target != "https://bridge.test/at/1" || r.Instrument != string(aliceID)+"/notes/1" {
		t.Fatalf("%+v, %v", r, err)
	}
	accept := r.Accept("https://bridge.test/at/acc", copyID, "https://bridge.test/at/stamp")
	inner := accept["object"].(map[string]any)
	if accept["result"] != "https://bridge.test/at/stamp" || inner["type"] != "QuoteRequest" || inner["id"] != r.ID || inner["actor"] != string(aliceID) {
		t.Errorf("%v", accept)
	}
	if reject := r.Reject("x", copyID); reject["result"] != nil || reject["type"] != "Reject" {
		t.Errorf("%v", reject)
	}
	for _, bad := range []string{`{}`, `{"type":"FollowRequest","id":"https://a.test/1","actor":"https://a.test/a","object":"x","instrument":"https://a.test/2"}`,
		`{"type":"LikeRequest","id":"https://a.test/1","actor":"https://a.test/a","object":"x","instrument":"https://b.test/2"}`} {
		if _, err := ReadRequest([]byte(bad)); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
	if got := StampOf([]byte(`{"quoteAuthorization":"s"}`), InteractionQuote); got != "s" {
		t.Errorf("stamp %q", got)
	}
	if got := StampOf([]byte(`{"approvedBy":"s"}`), InteractionReply); got != "s" {
		t.Errorf("stamp %q", got)
	}
}

// TestForgedInstrument: of another's note inside a request only the id is believed.
func TestForgedInstrument(t *testing.T) {
	raw := NewRequest(InteractionQuote, string(aliceID)+"/q/1", aliceID, "https://bridge.test/at/1",
		map[string]any{"id": string(eveID) + "/notes/1", "type": "Note", "attributedTo": string(eveID), "content": "forged"}, copyID)
	w := newWorld(t)
	w.do(w.post("/inbox", raw, aliceID, SchemeCavage))
	var got struct{ Instrument any }
	if len(w.accepted) != 1 || json.Unmarshal(w.accepted[0].Raw, &got) != nil || got.Instrument != string(eveID)+"/notes/1" {
		t.Errorf("instrument %v", got.Instrument)
	}
}

// TestMove needs both accounts to say so.
func TestMove(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to map[string]any
		ok       bool
	}{
		{"both", map[string]any{"movedTo": string(eveID)}, map[string]any{"alsoKnownAs": []any{string(aliceID)}}, true},
		{"scalar alias", map[string]any{"movedTo": string(eveID)}, map[string]any{"alsoKnownAs": string(aliceID)}, true},
		{"old one silent", nil, map[string]any{"alsoKnownAs": []any{string(aliceID)}}, false},
		{"new one silent", map[string]any{"movedTo": string(eveID)}, nil, false},
		{"moved on", map[string]any{"movedTo": string(eveID)}, map[string]any{"alsoKnownAs": []any{string(aliceID)}, "movedTo": string(malloryID)}, false},
	} {
		w := newWorld(t)
		for id, more := range map[identity.ActorID]map[string]any{aliceID: c.from, eveID: c.to} {
			doc := w.actor(id)
			for k, v := range more {
				doc[k] = v
			}
			w.serve(string(id), doc)
		}
		err := NewActors(w.client, nil).CheckMove(t.Context(), aliceID, eveID)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrAuthority) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestFollowerSync: the example of FEP-8fcf, our header, and a hint from outside.
func TestFollowerSync(t *testing.T) {
	got := FollowersDigest([]identity.ActorID{"https://testing.example.org/users/1", "https://testing.example.org/users/2"})
	if want := "c33f48cd341ef046a206b8a72ec97af65079f9a3a9b90eef79c5920dce45c61f"; got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	if got := FollowersDigest(nil); len(got) != 64 || got != "0000000000000000000000000000000000000000000000000000000000000000" {
		t.Errorf("digest of nobody: %s", got)
	}
	w := newWorld(t)
	digest := FollowersDigest([]identity.ActorID{copyID})
	hint := func(collection, url string) *SyncHint {
		w.accepted = nil
		w.clock = w.clock.Add(1e9)
		body := noteBody()
		covered := append([]string{"collection-synchronization"}, usual...)
		w.do(cavage(w, covered, "rsa-sha256", "", body, func(r *http.Request) {
			r.Header.Set("Collection-Synchronization", `collectionId="`+collection+`", url="`+url+`", digest="`+digest+`"`)
		}))
		if len(w.accepted) != 1 {
			t.Fatalf("%d accepted", len(w.accepted))
		}
		return w.accepted[0].Sync
	}
	if h := hint("https://evil.test/f", string(aliceID)+"/sync"); h != nil {
		t.Errorf("another's collection: %+v", h)
	}
	if h := hint(string(aliceID)+"/followers", "https://evil.test/f"); h != nil {
		t.Errorf("another's list: %+v", h)
	}
	h := hint(string(aliceID)+"/followers", string(aliceID)+"/sync")
	if h == nil || h.Owner != aliceID {
		t.Fatalf("hint %+v", h)
	}
	w.serve(h.URL, map[string]any{"type": "OrderedCollection", "orderedItems": []any{string(copyID)}})
	if list, err := w.client.FollowersThere(t.Context(), *h); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	w.serve(h.URL, map[string]any{"type": "OrderedCollection", "orderedItems": []any{}})
	if _, err := w.client.FollowersThere(t.Context(), *h); err == nil {
		t.Error("a list that does not fit its digest is believed")
	}
}

// TestSyncHeaderIsSigned: what we send about followers is under the signature, as we demand of others.
func TestSyncHeaderIsSigned(t *testing.T) {
	for _, s := range schemes {
		w := newWorld(t)
		body := noteBody()
		req, _ := http.NewRequest(http.MethodPost, bridgeBase+"/inbox", nil)
		req.Header.Set("Content-Type", activityJSON)
		req.Header.Set("Collection-Synchronization", SyncHeader(aliceID, []identity.ActorID{copyID}))
		if err := sign(req, body, aliceID, w.pairs[aliceID], s, w.clock); err != nil {
			t.Fatal(err)
		}
		w.do(w.request(req, body))
		if len(w.accepted) != 1 || w.accepted[0].Sync == nil || w.accepted[0].Sync.Digest != FollowersDigest([]identity.ActorID{copyID}) {
			t.Errorf("%s: %d accepted, or no hint", s, len(w.accepted))
		}
	}
}
