package activitypub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"footbridge/identity"
)

// ErrAuthority says that an actor spoke of what is not theirs.
var ErrAuthority = errors.New("no authority over the object")

// Authority decides who may say what about which object. It is the only place that does.
type Authority struct {
	// Owner tells whom an object or actor that we know belongs to; ok is false for unknown ones. It may be nil.
	Owner func(ctx context.Context, objectID string) (owner identity.ActorID, ok bool)
}

// MayMutate reports whether signer may speak for an object as far as their ids tell: it is the signer itself, or of the
// same origin (scheme, host, port; FEP-fe34). Whoever knows the object's owner must ask Authority.MayMutate.
func MayMutate(signer identity.ActorID, objectID string) bool {
	o := originOf(objectID)
	return objectID == string(signer) || o != "" && o == originOf(string(signer))
}

// MayMutate reports whether signer may create, change or delete the object: their ids agree, and the object is not known
// to be another's.
func (a Authority) MayMutate(ctx context.Context, signer identity.ActorID, objectID string) bool {
	if !MayMutate(signer, objectID) {
		return false
	}
	if a.Owner == nil || objectID == string(signer) {
		return true
	}
	owner, known := a.Owner(ctx, objectID)
	return !known || owner == signer
}

// vet checks an activity of signer and returns what may be believed of it: raw itself, or a copy in which embedded
// objects that nobody vouches for are reduced to their ids.
func (a Authority) vet(ctx context.Context, doc document, raw json.RawMessage, signer identity.ActorID) (json.RawMessage, error) {
	if err := checkContexts(doc); err != nil {
		return nil, err
	}
	if len(doc.types()) > 1 {
		return nil, fmt.Errorf("%w: an activity of several types", ErrDocument)
	}
	if id := doc.id(); id != "" && originOf(id) != originOf(string(signer)) {
		return nil, fmt.Errorf("%w: the activity's id is of another origin", ErrAuthority)
	}
	switch doc.typ() {
	case "Create", "Update":
		return raw, a.vetCreate(ctx, doc, signer)
	case "Delete":
		return raw, a.vetDelete(ctx, doc, signer)
	case "Undo":
		return raw, a.vetUndo(ctx, doc, signer)
	case "Accept", "Reject", "TentativeAccept", "TentativeReject":
		return raw, vetAnswer(doc, signer)
	case "Move":
		// FEP-7628's pull mode has actor == target; what is moved from is then proven by the two-way check.
		if o, t := idOf(doc["object"]), idOf(doc["target"]); o == "" || t == "" || o != string(signer) && t != string(signer) {
			return nil, fmt.Errorf("%w: Move of somebody else", ErrAuthority)
		}
		return reduce(doc, raw, "object", "target")
	case "Add", "Remove":
		if t := idOf(doc["target"]); t != "" && originOf(t) != originOf(string(signer)) {
			return nil, fmt.Errorf("%w: target is of another origin", ErrAuthority)
		}
		return reduce(doc, raw, "object", "target")
	case "QuoteRequest", "ReplyRequest", "LikeRequest", "AnnounceRequest":
		return a.vetRequest(ctx, doc, raw, signer)
	default:
		return reduce(doc, raw, "object", "target")
	}
}

func (a Authority) vetCreate(ctx context.Context, doc document, signer identity.ActorID) error {
	obj, embedded := doc.object("object")
	if !embedded {
		id, ok := doc["object"].(string)
		if !ok || !a.MayMutate(ctx, signer, id) {
			return fmt.Errorf("%w: %s of another's object", ErrAuthority, doc.typ())
		}
		return nil
	}
	return a.vetObject(ctx, obj, signer)
}

// vetObject wants an embedded object to be the signer's own, by id and by attribution.
func (a Authority) vetObject(ctx context.Context, obj document, signer identity.ActorID) error {
	if !a.MayMutate(ctx, signer, obj.id()) {
		return fmt.Errorf("%w: the object is another's", ErrAuthority)
	}
	if obj.isActor() {
		if obj.id() != string(signer) {
			return fmt.Errorf("%w: another actor", ErrAuthority)
		}
		return nil
	}
	// Of several authors (PeerTube: a person and a channel) the first counts, and all must be of one origin.
	authors := append(ids(obj["attributedTo"]), ids(obj["actor"])...)
	for _, o := range authors {
		if originOf(o) != originOf(string(signer)) {
			return fmt.Errorf("%w: attributed to another origin", ErrAuthority)
		}
	}
	if len(authors) == 0 || authors[0] != string(signer) || obj["actor"] != nil && idOf(obj["actor"]) != string(signer) {
		return fmt.Errorf("%w: attributed to somebody else", ErrAuthority)
	}
	return nil
}

func (a Authority) vetDelete(ctx context.Context, doc document, signer identity.ActorID) error {
	objects := many(doc["object"])
	if len(objects) != 1 || !a.MayMutate(ctx, signer, idOf(objects[0])) {
		return fmt.Errorf("%w: Delete of another's object", ErrAuthority)
	}
	return nil
}

func (a Authority) vetUndo(ctx context.Context, doc document, signer identity.ActorID) error {
	inner, embedded := doc.object("object")
	if id := idOf(doc["object"]); id != "" && !a.MayMutate(ctx, signer, id) || id == "" && !embedded {
		return fmt.Errorf("%w: Undo of another's activity", ErrAuthority)
	}
	if embedded && inner["actor"] != nil && idOf(inner["actor"]) != string(signer) || embedded && inner["actor"] == nil && inner.id() == "" {
		return fmt.Errorf("%w: Undo of another's activity", ErrAuthority)
	}
	return nil
}

// vetAnswer wants the one who accepts or rejects a Follow to be the one who is followed.
func vetAnswer(doc document, signer identity.ActorID) error {
	inner, embedded := doc.object("object")
	if embedded && inner.typ() == "Follow" && idOf(inner["object"]) != string(signer) {
		return fmt.Errorf("%w: %s of another's Follow", ErrAuthority, doc.typ())
	}
	if idOf(doc["object"]) == "" && !embedded {
		return fmt.Errorf("%w: %s of nothing", ErrDocument, doc.typ())
	}
	return nil
}

// vetRequest keeps the instrument of a request (FEP-044f, GoToSocial) embedded only if it is the requester's own.
func (a Authority) vetRequest(ctx context.Context, doc document, raw json.RawMessage, signer identity.ActorID) (json.RawMessage, error) {
	if inst, embedded := doc.object("instrument"); embedded && a.vetObject(ctx, inst, signer) == nil {
		return reduce(doc, raw, "object")
	}
	return reduce(doc, raw, "object", "instrument")
}

// reduce replaces embedded objects under the keys given by their ids. Of an activity inside an Announce (FEP-1b12) type
// and ids stay, as a hint what to fetch: its own id is often not served.
func reduce(doc document, raw json.RawMessage, keys ...string) (json.RawMessage, error) {
	changed := false
	out := make(map[string]any, len(doc))
	for k, v := range doc {
		out[k] = v
	}
	for _, k := range keys {
		v, ok := doc[k]
		if !ok {
			continue
		}
		slim, did := slimmed(v)
		out[k], changed = slim, changed || did
	}
	if !changed {
		return raw, nil
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	return b, nil
}

func slimmed(v any) (any, bool) {
	switch v := v.(type) {
	case []any:
		out, did := make([]any, len(v)), false
		for i, e := range v {
			s, d := slimmed(e)
			out[i], did = s, did || d
		}
		return out, did
	case map[string]any:
		inner := document(v)
		if inner["actor"] == nil || inner["object"] == nil {
			return inner.id(), true
		}
		return map[string]any{"type": inner.typ(), "id": inner.id(), "actor": idOf(inner["actor"]), "object": idOf(inner["object"])}, true
	default:
		return v, false
	}
}
