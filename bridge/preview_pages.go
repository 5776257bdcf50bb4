package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/identity/consent"
)

// What somebody may paste into a dry run.
const (
	PastedText = "text"
	PastedHTML = "html"
	PastedJSON = "json"
)

// maxPasted bounds a dry run: no post that a server takes is longer.
const maxPasted = 256 << 10

// Pasted is what somebody wants to see converted.
type Pasted struct {
	// As is one of PastedText (the default), PastedHTML and PastedJSON.
	As, Text string
}

// Tried is what would become of it.
type Tried struct {
	// Dropped is why nothing would come of it.
	Dropped translate.DropReason
	// Off are scopes that it needs and that the author has not given.
	Off    []consent.Scope
	Parts  []Shown
	Losses []translate.Loss
}

// Pair is something of a member beside its copy.
type Pair struct {
	Object Object
	// Original is fetched anew and not kept; nil if it could not be had now.
	Original *Shown
	Copy     []Shown
	// Losses were named when it was bridged.
	Losses []translate.LossKind
}

// The copy of somebody who has none yet, in a dry run. A pasted file counts as fetched.
const (
	tryDID    = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
	tryHandle = "you.invalid"
	tryBlob   = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
	tryPDS    = "https://media.invalid/"
)

// Try converts what a person pasted, with what the store knows and nothing else: it asks nobody, keeps nothing and sends
// nothing, and it needs no grant, since only they see it.
func (b *Bridge) Try(ctx context.Context, acc *identity.Account, in Pasted) (Tried, error) {
	switch {
	case len(in.Text) > maxPasted:
		return Tried{Dropped: translate.DropOverLimits}, nil
	case strings.TrimSpace(in.Text) == "":
		return Tried{Dropped: translate.DropEmpty}, nil
	case !utf8.ValidString(in.Text):
		return Tried{Dropped: translate.DropMalformed}, nil
	}
	in.Text = strings.ReplaceAll(in.Text, "\r\n", "\n") // as forms send it
	if acc.Native == identity.ATProto {
		return b.tryRecord(ctx, acc, in)
	}
	return b.tryActivity(ctx, acc, in)
}

func (b *Bridge) tryActivity(ctx context.Context, acc *identity.Account, in Pasted) (Tried, error) {
	raw, ok := b.pastedNote(acc, in)
	if !ok {
		return Tried{Dropped: translate.DropMalformed}, nil
	}
	refs, err := translate.ActivityRefs(raw, b.Settings.BaseURL)
	if err != nil {
		return Tried{Dropped: translate.DropMalformed}, nil //nolint:nilerr // that is the answer
	}
	c, off, err := b.tryContext(ctx, acc, refs)
	if err != nil {
		return Tried{}, err
	}
	res, err := translate.FromActivity(raw, c)
	if err != nil {
		return Tried{Dropped: translate.DropMalformed}, nil //nolint:nilerr // that is the answer
	}
	out := Tried{Dropped: res.Dropped, Losses: res.Losses}
	for _, w := range res.Writes {
		if w.Action == "delete" {
			continue
		}
		out.Off = addOff(out.Off, off, scopeOf(w.Collection, w.Record, acc))
		out.Parts = append(out.Parts, showRecord(kindOf(w.Collection), decodeRecord(mustJSON(w.Record))))
	}
	return out, nil
}

// pastedNote makes a public post of what was pasted. A document says itself whose it is and for whom; only what is left out
// altogether is filled in.
func (b *Bridge) pastedNote(acc *identity.Account, in Pasted) ([]byte, bool) {
	id := strings.TrimSuffix(string(acc.Actor), "/") + "/footbridge-preview"
	if in.As == PastedJSON {
		doc := decodeRecord([]byte(in.Text))
		if doc == nil {
			return nil, false
		}
		if doc["actor"] == nil && doc["attributedTo"] == nil {
			doc["attributedTo"] = string(acc.Actor)
		}
		if doc["id"] == nil {
			doc["id"] = id
		}
		return mustJSON(doc), true
	}
	content, tags := in.Text, []any{}
	if in.As != PastedHTML {
		content, tags = noteHTML(in.Text), typedTags(in.Text)
	}
	return mustJSON(map[string]any{
		"@context": "https://www.w3.org/ns/activitystreams", "id": id, "type": "Note", "attributedTo": string(acc.Actor), "to": []any{Public},
		"published": b.Now().UTC().Format("2006-01-02T15:04:05Z"), "content": content, "tag": tags,
	}), true
}

func (b *Bridge) tryRecord(ctx context.Context, acc *identity.Account, in Pasted) (Tried, error) {
	rec, collection, ok := b.pastedRecord(in)
	if !ok {
		return Tried{Dropped: translate.DropMalformed}, nil
	}
	rkey := syntax.NewTIDFromTime(b.Now(), 0).String()
	if collection == "app.bsky.actor.profile" {
		rkey = "self"
	}
	ev := translate.Event{Action: "create", URI: "at://" + string(acc.DID) + "/" + collection + "/" + rkey, CID: tryBlob, DID: string(acc.DID),
		Handle: string(acc.Handle), Record: rec}
	c, off, err := b.tryContext(ctx, acc, translate.EventRefs(ev, b.Settings.BaseURL))
	if err != nil {
		return Tried{}, err
	}
	res, err := translate.FromEvent(ev, c)
	if err != nil {
		return Tried{Dropped: translate.DropMalformed}, nil //nolint:nilerr // that is the answer
	}
	out := Tried{Dropped: res.Dropped, Losses: res.Losses}
	for _, a := range res.Activities {
		out.Off = addOff(out.Off, off, eventScope(acc, ev))
		out.Parts = append(out.Parts, showDocument(decodeRecord(mustJSON(a))))
	}
	return out, nil
}

// pastedRecord makes a post of a text as apps do, with links, hashtags and mentions marked.
func (b *Bridge) pastedRecord(in Pasted) (raw []byte, collection string, ok bool) {
	rec := map[string]any{"$type": "app.bsky.feed.post", "text": in.Text, "facets": typedFacets(in.Text),
		"createdAt": b.Now().UTC().Format("2006-01-02T15:04:05.000Z")}
	if in.As == PastedJSON {
		if rec = decodeRecord([]byte(in.Text)); rec == nil {
			return nil, "", false
		}
	}
	nsid, err := syntax.ParseNSID(firstOf(str(rec["$type"]), "app.bsky.feed.post"))
	return mustJSON(rec), nsid.String(), err == nil
}

// tryContext is what the store knows for a dry run, and which scopes a member has not given. Files count as fetched, since
// nothing is.
func (b *Bridge) tryContext(ctx context.Context, acc *identity.Account, refs translate.Refs) (*translate.Context, func(consent.Scope) bool, error) {
	c := b.emptyContext(acc)
	if err := b.resolveStored(ctx, acc, refs, c); err != nil {
		return nil, nil, err
	}
	actor := firstOf(string(acc.Actor), translate.ActorID(b.Settings.BaseURL, string(acc.DID), acc.Incarnation))
	if _, known := c.Actors[actor]; !known {
		c.Actors[actor] = translate.Actor{DID: firstOf(string(acc.DID), tryDID), Handle: firstOf(string(acc.Handle), tryHandle), Acct: acc.Acct,
			URL: acc.URL, Native: string(acc.Native)}
	}
	c.PDS = tryPDS
	for _, m := range refs.Media {
		c.Blobs[m.URL] = translate.Blob{CID: tryBlob, MimeType: claimedType(m), Size: 1}
	}
	off, err := b.scopesOff(ctx, acc)
	return c, off, err
}

// emptyContext knows nothing but when and where.
func (b *Bridge) emptyContext(acc *identity.Account) *translate.Context {
	return &translate.Context{
		Now: b.Now().UTC(), Domain: b.Settings.BaseURL, Actors: map[string]translate.Actor{}, Objects: map[string]translate.StrongRef{},
		Records: map[string]translate.Record{}, APObjects: map[string]json.RawMessage{}, Handles: map[string]string{},
		Blobs: map[string]translate.Blob{}, Previews: map[string]translate.Preview{}, Incarnation: acc.Incarnation,
	}
}

// claimedType is what a file is said to be, or what its place suggests.
func claimedType(m translate.MediaRef) string {
	switch {
	case strings.Contains(m.MediaType, "/"):
		return m.MediaType
	case m.Kind == "video":
		return "video/mp4"
	case m.Kind == "audio":
		return "audio/mpeg"
	}
	return "image/jpeg"
}

// scopesOff tells which scopes a member has left off; of somebody who shares nothing yet, none is named.
func (b *Bridge) scopesOff(ctx context.Context, acc *identity.Account) (off func(consent.Scope) bool, err error) {
	off = func(consent.Scope) bool { return false }
	err = b.Store.View(ctx, func(tx Tx) error {
		row, err := tx.ConsentRow(acc.Subject())
		if errors.Is(err, consent.ErrNone) {
			return nil
		}
		if err == nil && row.State == consent.Granted {
			off = func(s consent.Scope) bool { return !slices.Contains(row.Scopes, s) }
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading what a member shares: %w", err)
	}
	return off, nil
}

func addOff(list []consent.Scope, off func(consent.Scope) bool, s consent.Scope) []consent.Scope {
	if off(s) && !slices.Contains(list, s) {
		return append(list, s)
	}
	return list
}

// Compare shows a person one thing of theirs as it is at home now, beside the copy. It gives ErrNoObject for what is not
// theirs, or not there. Nothing that is fetched is kept.
func (b *Bridge) Compare(ctx context.Context, acc *identity.Account, id string) (Pair, error) {
	var p Pair
	err := b.Store.View(ctx, func(tx Tx) error {
		parts, err := ownObjects(tx, acc, id)
		if err != nil {
			return err
		}
		p.Object = parts[0]
		if p.Losses, err = namedLosses(tx, acc, p.Object); err != nil {
			return err
		}
		p.Copy, err = copies(tx, acc, parts)
		return err
	})
	if err != nil {
		return Pair{}, fmt.Errorf("looking up a copy: %w", err)
	}
	p.Original = b.original(ctx, acc, p.Object)
	return p, nil
}

// ownObjects finds the parts of what an id of either network names, if it belongs to the person and is there.
func ownObjects(tx Tx, acc *identity.Account, id string) ([]Object, error) {
	if obj, err := tx.ObjectByURI(id); err == nil {
		id = obj.APID
	} else if !errors.Is(err, ErrNoObject) {
		return nil, err
	}
	parts, err := tx.ObjectsByAPID(id)
	if err != nil {
		return nil, err
	}
	parts = slices.DeleteFunc(parts, func(o Object) bool { return o.Subject != acc.Subject() || !o.Deleted.IsZero() })
	if len(parts) == 0 {
		return nil, ErrNoObject
	}
	return parts, nil
}

// copies are the parts as they are stored here.
func copies(tx Tx, acc *identity.Account, parts []Object) ([]Shown, error) {
	var out []Shown
	for _, o := range parts {
		if acc.Native == identity.ATProto {
			if doc := decodeRecord(o.Body); doc != nil {
				out = append(out, showDocument(doc))
			}
			continue
		}
		raw, err := hostedRecord(tx, o.URI)
		if err != nil {
			return nil, err
		}
		if rec := decodeRecord(raw); rec != nil {
			out = append(out, showRecord(kindOf(collectionOf(o.URI)), rec))
		}
	}
	return out, nil
}

// maxRemembered is how far back losses are looked for.
const maxRemembered = 500

// namedLosses are those of the newest time that it was bridged.
func namedLosses(tx Tx, acc *identity.Account, o Object) ([]translate.LossKind, error) {
	list, err := tx.Outcomes(acc.Subject(), maxRemembered)
	if err != nil {
		return nil, err
	}
	for _, done := range list {
		if done.Result != "bridged" || done.Source != o.APID && done.Source != o.URI {
			continue
		}
		var kinds []translate.LossKind
		for _, name := range strings.Split(done.Reason, ",") {
			if what, _ := translate.LossKind(name).Describe(); what != "" && !slices.Contains(kinds, translate.LossKind(name)) {
				kinds = append(kinds, translate.LossKind(name))
			}
		}
		return kinds, nil
	}
	return nil, nil
}

// original fetches a thing from where it lives; nil if that does not work, or if it is somebody else's there.
func (b *Bridge) original(ctx context.Context, acc *identity.Account, o Object) *Shown {
	if acc.Native == identity.ATProto {
		uri, err := syntax.ParseATURI(o.URI)
		if err != nil || b.Reader == nil || uri.Authority().String() != string(acc.DID) {
			return nil
		}
		rec, err := b.Reader.GetRecord(ctx, uri)
		if err != nil {
			return nil
		}
		shown := showRecord(kindOf(uri.Collection().String()), decodeRecord(rec.Value))
		return &shown
	}
	raw, err := b.Fetcher.Object(ctx, o.APID)
	doc := decodeRecord(raw)
	if err != nil || !slices.Contains(append(ids(doc["attributedTo"]), ids(doc["actor"])...), string(acc.Actor)) {
		return nil
	}
	shown := showDocument(doc)
	return &shown
}
