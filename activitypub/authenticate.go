package activitypub

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"footbridge/identity"
)

// authenticate proves that the activity comes from its actor. Besides a signature by the actor that may be an integrity
// proof, the origin itself (for what was forwarded with an LD signature, which is not read), or an actor that is gone.
func (s *Server) authenticate(ctx context.Context, r *http.Request, body []byte, doc document, in *Inbound) (Signed, error) {
	sig, err := s.o.Verifier.Verify(ctx, r, body)
	if errors.Is(err, ErrGone) {
		return Signed{}, s.believeGone(ctx, r, body, doc, in.Actor)
	}
	if err != nil {
		return Signed{}, err
	}
	if sig.Scheme != SchemeCavage { // who signs by RFC 9421 reads it, too; everybody still reads the draft
		s.o.Client.o.Hosts.Remember(ctx, sig.Actor.Host(), sig.Scheme)
	}
	if sig.Actor == in.Actor {
		return sig, nil
	}
	if _, has := doc["proof"]; has {
		if err := s.o.Verifier.VerifyProof(ctx, body, in.Actor); err == nil {
			return sig, nil
		}
	}
	if _, has := doc["signature"]; has {
		return sig, s.askOrigin(ctx, doc, in)
	}
	return Signed{}, fmt.Errorf("%w: signed by another actor", ErrSignature)
}

// believeGone accepts an actor's own Delete whose key cannot be had any more because the actor answers 410: that answer
// of the origin says the same as the activity. 404 does not.
func (s *Server) believeGone(ctx context.Context, r *http.Request, body []byte, doc document, actor identity.ActorID) error {
	keyID, err := s.o.Verifier.KeyIDOf(r, body)
	if err != nil {
		return err
	}
	self := doc.typ() == "Delete" && idOf(doc["object"]) == string(actor)
	if !self || originOf(keyID) != originOf(string(actor)) {
		return fmt.Errorf("%w: its key is gone", ErrSignature)
	}
	if withoutFragment(keyID) == string(actor) {
		return nil // it was the actor itself that answered 410
	}
	if _, err := s.o.Client.fetchByID(ctx, string(actor)); !errors.Is(err, ErrGone) {
		return fmt.Errorf("%w: its key is gone, its actor is not", ErrSignature)
	}
	return nil
}

// askOrigin replaces a forwarded activity by what its origin serves under its id.
func (s *Server) askOrigin(ctx context.Context, doc document, in *Inbound) error {
	if originOf(doc.id()) != originOf(string(in.Actor)) {
		return fmt.Errorf("%w: forwarded, without an id of its own", ErrSignature)
	}
	raw, err := s.o.Client.fetchByID(ctx, doc.id())
	if err != nil {
		return fmt.Errorf("%w: forwarded, and not at its origin", ErrSignature)
	}
	fresh, err := parseDocument(raw)
	if err != nil || idOf(fresh["actor"]) != string(in.Actor) || fresh.typ() != in.Type || fresh.id() != doc.id() {
		return fmt.Errorf("%w: forwarded, and different at its origin", ErrSignature)
	}
	in.Raw = raw
	return nil
}
