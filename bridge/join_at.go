package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/atproto"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// botRecord handles the records with which people of the ATmosphere speak to the bridge itself: a follow or block of the
// bot, and the consent record. It reports whether the record was one of these.
func (b *Bridge) botRecord(ctx context.Context, j queue.Job, c atproto.Commit, op atproto.Op, acc *identity.Account) (bool, error) {
	rec := decodeRecord(op.Record)
	subject := str(rec["subject"])
	switch {
	case string(op.Collection) == b.ConsentCollection():
		return true, b.consentRecord(ctx, j, c, op, rec)
	case op.Collection == "app.bsky.graph.follow" && subject != "" && subject == b.BotDID():
		return true, b.joinByRecord(ctx, j, c)
	case op.Collection == "app.bsky.graph.block" && subject != "" && subject == b.BotDID():
		return true, b.leave(ctx, j, identity.Subject(c.DID), "block")
	}
	return false, nil
}

// joinByRecord starts a joining by a follow of the bot; the signed commit with its proof is the evidence.
func (b *Bridge) joinByRecord(ctx context.Context, j queue.Job, c atproto.Commit) error {
	id, signals, err := b.newcomer(ctx, c.DID)
	if err != nil {
		return err
	}
	return b.done(ctx, j, func(tx Tx) error {
		acc, err := b.ensureATAccount(tx, id)
		if err != nil {
			return err
		}
		return b.contact(tx, acc, consent.Contact{Subject: acc.Subject(), Evidence: consent.Evidence{Type: consent.E3, Raw: c.Evidence}, Lang: "en", Signals: signals})
	})
}

// newcomer resolves somebody and reads what their profile says about bridging.
func (b *Bridge) newcomer(ctx context.Context, did syntax.DID) (atproto.Identity, consent.Signals, error) {
	id, err := b.Resolver.ResolveDID(ctx, did)
	if err != nil {
		return id, consent.Signals{}, fmt.Errorf("resolving somebody of the ATmosphere: %w", err)
	}
	signals, err := b.profileSignals(ctx, did)
	return id, signals, err
}

func (b *Bridge) ensureATAccount(tx Tx, id atproto.Identity) (*identity.Account, error) {
	if no, err := limited(tx, identity.Subject(id.DID), hostOf(id.PDS)); err != nil || no {
		return nil, errors.Join(err, queue.Drop("blocked_by_operator"))
	}
	acc, err := known(tx.AccountByDID(id.DID))
	if err != nil {
		return nil, err
	}
	if acc == nil {
		acc = &identity.Account{Native: identity.ATProto, DID: id.DID, Incarnation: 1}
	}
	if acc.Status == identity.CopyNone || acc.Status == identity.CopyGone {
		acc.Handle, acc.URL = id.Handle, "https://bsky.app/profile/"+string(id.Handle)
	}
	return acc, tx.PutAccount(acc)
}

// consentRecord reads the answer in somebody's own repo; removing the record is a way out.
func (b *Bridge) consentRecord(ctx context.Context, j queue.Job, c atproto.Commit, op atproto.Op, rec map[string]any) error {
	if op.RKey != "self" {
		return queue.Drop("not_the_consent_record")
	}
	if op.Action == "delete" {
		return b.leave(ctx, j, identity.Subject(c.DID), "record_removed")
	}
	id, signals, err := b.newcomer(ctx, c.DID)
	if err != nil {
		return err
	}
	return b.done(ctx, j, func(tx Tx) error {
		acc, err := b.ensureATAccount(tx, id)
		if err != nil {
			return err
		}
		return b.answerByRecord(tx, acc, c, rec, signals)
	})
}

func (b *Bridge) answerByRecord(tx Tx, acc *identity.Account, c atproto.Commit, rec map[string]any, signals consent.Signals) error {
	answer, text := str(rec["answer"]), str(rec["text"])
	if answer != "yes" && answer != "yes all" {
		m := message{command: consent.ParseCommand(answer, "en"), evidence: c.Evidence, lang: "en", signals: signals, e2: consent.E3}
		return b.obey(tx, acc, m)
	}
	if _, _, err := tx.ConsentText(text); err != nil {
		return errors.Join(queue.Drop("names_no_known_text"), err)
	}
	change, err := b.Desk.Confirm(tx, consent.Confirmation{Subject: acc.Subject(), Evidence: consent.Evidence{Type: consent.E4, Raw: c.Evidence},
		Record: true, All: answer == "yes all", Lang: "en", TextHash: text, Signals: signals})
	if err != nil {
		return deniedIsDrop(err)
	}
	return b.apply(tx, acc, change)
}

// profileSignals reads the profile of somebody of the ATmosphere, and what they declared elsewhere in their repo.
func (b *Bridge) profileSignals(ctx context.Context, did syntax.DID) (consent.Signals, error) {
	profile, err := b.profileOf(ctx, did)
	if err != nil {
		return consent.Signals{}, err
	}
	declared, err := b.declarations(ctx, did)
	if err != nil {
		return consent.Signals{}, err
	}
	return b.signals().ProfileSignals(profile, declared), nil
}

// declarationRecords are the collections of those records (bluesky-social proposal 0008, and the AppView's own).
func declarationRecords() []string {
	return []string{"org.user-intents.declaration", "org.user-intents.demo.declaration", "app.bsky.actor.contentVisibilityDeclaration"}
}

// declarations are the records in which people say what may be done with what they publish.
func (b *Bridge) declarations(ctx context.Context, did syntax.DID) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	for _, nsid := range declarationRecords() {
		uri, err := syntax.ParseATURI("at://" + string(did) + "/" + nsid + "/self")
		if err != nil {
			return nil, err
		}
		rec, err := b.Reader.GetRecord(ctx, uri)
		switch {
		case err == nil:
			out[nsid] = rec.Value
		case !errors.Is(err, atproto.ErrNotFound):
			return nil, fmt.Errorf("fetching a declaration: %w", err)
		}
	}
	return out, nil
}
