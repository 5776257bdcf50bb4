package activitypub

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"footbridge/identity"
)

// Interaction is a kind of thing one may ask for before doing it: FEP-044f's quotes, GoToSocial's replies, likes and boosts.
type Interaction string

// The kinds.
const (
	InteractionQuote    Interaction = "Quote"
	InteractionReply    Interaction = "Reply"
	InteractionLike     Interaction = "Like"
	InteractionAnnounce Interaction = "Announce"
)

// RequestType and AuthorizationType are the names of the activity and of the stamp.
func (i Interaction) RequestType() string { return string(i) + "Request" }

// AuthorizationType is the type of the stamp that allows it.
func (i Interaction) AuthorizationType() string { return string(i) + "Authorization" }

// property is where a document points to its stamp.
func (i Interaction) property() string {
	return strings.ToLower(string(i)) + "Authorization"
}

func approvalContext(i Interaction) []any {
	if i != InteractionQuote {
		return []any{asNamespace, "https://gotosocial.org/ns"}
	}
	id := func(iri string) map[string]any { return map[string]any{"@id": iri, "@type": "@id"} }
	return []any{asNamespace, map[string]any{
		"QuoteRequest": "https://w3id.org/fep/044f#QuoteRequest", "QuoteAuthorization": "https://w3id.org/fep/044f#QuoteAuthorization",
		"gts": "https://gotosocial.org/ns#", "interactingObject": id("gts:interactingObject"), "interactionTarget": id("gts:interactionTarget"),
	}}
}

// Request is what another actor asks to be allowed.
type Request struct {
	Kind  Interaction
	ID    string
	Actor identity.ActorID
	// Target is the object interacted with, Instrument the id of the interaction.
	Target, Instrument string
	raw                document
}

// ReadRequest reads a QuoteRequest, ReplyRequest, LikeRequest or AnnounceRequest that came to the inbox.
func ReadRequest(raw []byte) (Request, error) {
	doc, err := parseDocument(raw)
	if err != nil {
		return Request{}, err
	}
	kind, ok := strings.CutSuffix(doc.typ(), "Request")
	r := Request{Kind: Interaction(kind), ID: doc.id(), Actor: identity.ActorID(idOf(doc["actor"])), Target: idOf(doc["object"]), Instrument: idOf(doc["instrument"]), raw: doc}
	switch r.Kind {
	case InteractionQuote, InteractionReply, InteractionLike, InteractionAnnounce:
	default:
		ok = false
	}
	if !ok || r.ID == "" || r.Target == "" || r.Instrument == "" || originOf(r.Instrument) != originOf(string(r.Actor)) {
		return Request{}, fmt.Errorf("%w: not a request for an interaction", ErrDocument)
	}
	return r, nil
}

// NewRequest asks for an interaction of our own; instrument is its whole document or its id.
func NewRequest(kind Interaction, id string, actor identity.ActorID, target string, instrument any, author identity.ActorID) map[string]any {
	return map[string]any{"@context": approvalContext(kind), "type": kind.RequestType(), "id": id, "actor": string(actor),
		"object": target, "instrument": instrument, "to": []any{string(author)}, "cc": []any{}}
}

// Accept answers a request with a stamp, Reject without one; by is the author of the target.
func (r Request) Accept(id string, by identity.ActorID, stamp string) map[string]any {
	a := r.answer("Accept", id, by)
	a["result"] = stamp
	return a
}

// Reject refuses a request.
func (r Request) Reject(id string, by identity.ActorID) map[string]any {
	return r.answer("Reject", id, by)
}

func (r Request) answer(typ, id string, by identity.ActorID) map[string]any {
	return map[string]any{"@context": approvalContext(r.Kind), "type": typ, "id": id, "actor": string(by), "to": []any{string(r.Actor)}, "cc": []any{},
		"object": map[string]any{"type": r.Kind.RequestType(), "id": r.ID, "actor": string(r.Actor), "object": r.Target, "instrument": r.Instrument}}
}

// NewAuthorization is the stamp that is served under its id. It embeds nothing (FEP-044f).
func NewAuthorization(kind Interaction, id string, by identity.ActorID, interacting, target string) map[string]any {
	return map[string]any{"@context": approvalContext(kind), "type": kind.AuthorizationType(), "id": id, "attributedTo": string(by),
		"interactingObject": interacting, "interactionTarget": target}
}

// StampOf is the id of the stamp that a document shows for an interaction, if any. GoToSocial before 0.21 says approvedBy.
func StampOf(raw []byte, kind Interaction) string {
	doc, err := parseDocument(raw)
	if err != nil {
		return ""
	}
	if id := idOf(doc[kind.property()]); id != "" {
		return id
	}
	return idOf(doc["approvedBy"])
}

// VerifyAuthorization fetches a stamp from its origin and checks that the author of the target gave it, for exactly this
// interaction with exactly this target. What an interaction policy says is advice and is never proof.
func (c *Client) VerifyAuthorization(ctx context.Context, kind Interaction, stamp string, by identity.ActorID, interacting, target string) error {
	if originOf(stamp) == "" || originOf(stamp) != originOf(string(by)) || !MayMutate(by, target) {
		return fmt.Errorf("%w: the stamp is not of the author's origin", ErrAuthority)
	}
	raw, err := c.fetchByID(ctx, stamp)
	if err != nil {
		return fmt.Errorf("fetching a stamp: %w", err)
	}
	return checkAuthorization(raw, kind, stamp, by, interacting, target)
}

func checkAuthorization(raw json.RawMessage, kind Interaction, stamp string, by identity.ActorID, interacting, target string) error {
	doc, err := parseDocument(raw)
	if err != nil {
		return err
	}
	about, of := idOf(doc["interactingObject"]), idOf(doc["interactionTarget"])
	named := doc.typ() == kind.AuthorizationType()
	if doc.typ() == string(kind)+"Approval" && kind != InteractionQuote { // GoToSocial 0.17 to 0.19
		about, of, named = idOf(doc["object"]), idOf(doc["target"]), true
	}
	if !named || doc.id() != stamp || idOf(doc["attributedTo"]) != string(by) || about != interacting || of != target {
		return fmt.Errorf("%w: the stamp is for something else", ErrAuthority)
	}
	return nil
}
