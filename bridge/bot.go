package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/activitypub"
	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// botName is the user part of the bot's address on both networks.
const botName = "bridge"

// BotActor is the actor that people follow to join; InstanceActor signs fetches.
func (b *Bridge) BotActor() identity.ActorID { return identity.ActorID(b.Settings.BaseURL + "/bot") }

// InstanceActor is the application actor that can be fetched unsigned.
func (b *Bridge) InstanceActor() identity.ActorID {
	return identity.ActorID(b.Settings.BaseURL + "/actor")
}

// BotHandle is the bot's handle on the AT side.
func (b *Bridge) BotHandle() syntax.Handle { return syntax.Handle(botName + "." + b.Settings.Zone) }

// BotDID is the bot's DID, empty until it has one.
func (b *Bridge) BotDID() string {
	did, _ := b.botDID.Load().(string)
	return did
}

// ConsentCollection is the NSID of the record with which somebody says yes in their own repo: the public host reversed,
// and ".consent".
func (b *Bridge) ConsentCollection() string {
	host, _, _ := strings.Cut(b.Settings.Domain, ":")
	labels := strings.Split(host, ".")
	if len(labels) < 2 {
		labels = []string{host, "footbridge"}
	}
	slices.Reverse(labels)
	return strings.Join(labels, ".") + ".consent"
}

// botActivity is what people of the fediverse say to the bot: follow it, write to it, block it.
func (b *Bridge) botActivity(ctx context.Context, j queue.Job, in activitypub.Inbound, env envelope, acc *identity.Account) error {
	switch {
	case env.typ == "Follow":
		return b.joinByFollow(ctx, j, in, env)
	case env.typ == "Block":
		return b.leave(ctx, j, identity.Subject(in.Actor), "block")
	case env.typ == "Create":
		return b.botMessage(ctx, j, in, env, acc)
	}
	return queue.Drop(string(translate.DropHandshake)) // unfollowing the bot changes nothing (R5)
}

// joinByFollow starts a joining: a Follow says who, not that they were told.
func (b *Bridge) joinByFollow(ctx context.Context, j queue.Job, in activitypub.Inbound, env envelope) error {
	remote, err := b.remoteActor(ctx, in.Actor)
	if err != nil {
		return err
	}
	return b.begin(ctx, j, in, remote, true)
}

// begin moves somebody to pending and sends them the notice with its code.
func (b *Bridge) begin(ctx context.Context, j queue.Job, in activitypub.Inbound, remote activitypub.RemoteActor, follow bool) error {
	contact := consent.Contact{
		Subject: identity.Subject(in.Actor), Lang: langOf(remote.Raw), Signals: b.signals().ActorSignals(remote.Raw),
		Evidence: consent.Evidence{Type: consent.E2, Raw: in.Evidence},
	}
	return b.done(ctx, j, func(tx Tx) error {
		acc, err := b.ensureFediverseAccount(tx, remote)
		if err != nil {
			return err
		}
		if follow {
			if err := tx.PutSetting("botfollow:"+string(in.Actor), in.Raw); err != nil {
				return err
			}
		}
		return b.contact(tx, acc, contact)
	})
}

// contact asks the desk for the next step and takes it: a notice, a grant in the one-step flow, or a kind refusal.
func (b *Bridge) contact(tx Tx, acc *identity.Account, c consent.Contact) error {
	if no, err := limited(tx, acc.Subject(), acc.Actor.Host()); err != nil || no {
		return errors.Join(err, queue.Drop("blocked_by_operator"))
	}
	step, change, err := b.Desk.Begin(tx, c)
	if errors.Is(err, consent.ErrDenied) {
		return b.sayText(tx, acc, consent.PurposeAnswer, c.Lang, "refused."+string(consent.ReasonOf(err)))
	}
	if err != nil {
		return err
	}
	if err := b.apply(tx, acc, change); err != nil {
		return err
	}
	if acc.Native == identity.ATProto {
		tx.AfterCommit(func() { b.Interest.AddAuthor(string(acc.DID)) })
	}
	if step.Granted || step.Again {
		return nil
	}
	return b.say(tx, acc, consent.PurposeNotice, step.Text)
}

func (b *Bridge) signals() consent.Reader {
	return consent.Reader{Bridge: b.Settings.Domain, Now: b.Now()}
}

// botMessage is a direct message to the bot: a command word, kept no longer than it takes to obey it.
func (b *Bridge) botMessage(ctx context.Context, j queue.Job, in activitypub.Inbound, env envelope, acc *identity.Account) error {
	remote, err := b.remoteActor(ctx, in.Actor)
	if err != nil {
		return err
	}
	m := message{
		command:  consent.ParseCommand(env.text, langOf(remote.Raw)),
		evidence: in.Evidence, lang: langOf(remote.Raw), signals: b.signals().ActorSignals(remote.Raw), e2: consent.E2,
	}
	if acc == nil && m.command.Word != consent.WordNo && m.command.Word != consent.WordStop {
		return b.begin(ctx, j, in, remote, false)
	}
	return b.done(ctx, j, func(tx Tx) error {
		acc, err := b.ensureFediverseAccount(tx, remote)
		if err != nil {
			return err
		}
		return b.obey(tx, acc, m)
	})
}

// ensureFediverseAccount makes or refreshes the row of a person of the fediverse.
func (b *Bridge) ensureFediverseAccount(tx Tx, remote activitypub.RemoteActor) (*identity.Account, error) {
	acc, err := known(tx.AccountByActor(remote.ID))
	if err != nil {
		return nil, err
	}
	if acc == nil {
		acc = &identity.Account{Native: identity.ActivityPub, Actor: remote.ID, Incarnation: 1}
	}
	acc.Inbox, acc.SharedInbox = remote.Inbox, remote.SharedInbox
	acc.Acct, acc.URL = acctOf(remote), firstOf(urlOf(remote.Raw), string(remote.ID))
	return acc, tx.PutAccount(acc)
}

func acctOf(remote activitypub.RemoteActor) string {
	var doc struct {
		Name string `json:"preferredUsername"`
	}
	if json.Unmarshal(remote.Raw, &doc) != nil || doc.Name == "" {
		doc.Name = shortHash(string(remote.ID))
	}
	return doc.Name + "@" + remote.ID.Host()
}

func urlOf(raw json.RawMessage) string {
	return idOf(recordField(raw, "url"))
}

// langOf is the language that an actor's document speaks of; "en" if it says nothing.
func langOf(raw json.RawMessage) string {
	var doc struct {
		Map      map[string]string `json:"summaryMap"`
		Language string            `json:"language"`
	}
	if json.Unmarshal(raw, &doc) == nil {
		if doc.Language != "" {
			return doc.Language
		}
		for lang := range doc.Map {
			return lang
		}
	}
	return "en"
}

// say sends somebody a private message, as a job of its own.
func (b *Bridge) say(tx Tx, acc *identity.Account, purpose, text string) error {
	j, err := job(JobNotify, "notify:"+string(acc.Subject()), NotifyJob{To: acc.Subject(), Purpose: purpose, Text: text})
	if err != nil {
		return err
	}
	j.Priority = queue.Urgent
	return tx.Enqueue(j)
}

// handleNotify delivers a private message on the person's own network.
func (b *Bridge) handleNotify(ctx context.Context, j queue.Job) error {
	p, err := decode[NotifyJob](j)
	if err != nil {
		return err
	}
	var acc *identity.Account
	var permit consent.Permit
	err = b.Store.View(ctx, func(tx Tx) error {
		if acc, err = account(tx, p.To); err != nil {
			return err
		}
		if acc == nil && !strings.HasPrefix(string(p.To), "did:") {
			return queue.Drop("unknown_person")
		}
		if acc == nil { // the report at the end of an erasure: only the address is left
			acc = &identity.Account{Native: identity.ATProto, DID: syntax.DID(p.To)}
		}
		permit, err = b.Gate.Service(ctx, tx, p.To, p.Purpose)
		return err
	})
	if err != nil {
		return deniedIsDrop(err)
	}
	if acc.Native == identity.ATProto {
		if b.Chat == nil {
			return queue.Drop("chat_closed") // the page says the same
		}
		return b.Chat.Send(ctx, permit, acc.DID, p.Text)
	}
	return b.done(ctx, j, func(tx Tx) error { return b.sendNote(tx, acc, p, itoa(j.ID)) })
}

// sendNote writes a Note for one person's eyes.
func (b *Bridge) sendNote(tx Tx, acc *identity.Account, p NotifyJob, serial string) error {
	id := fmt.Sprintf("%s/notes/%s-%s", b.BotActor(), serial, shortHash(string(acc.Actor)+p.Text))
	to := []any{string(acc.Actor)}
	note := map[string]any{
		"id": id, "type": "Note", "attributedTo": string(b.BotActor()), "to": to, "cc": []any{},
		"published": tx.Now().UTC().Format("2006-01-02T15:04:05Z"),
		"content":   noteHTML("@" + acc.Acct + " " + p.Text),
		"tag":       []any{map[string]any{"type": "Mention", "href": string(acc.Actor), "name": "@" + acc.Acct}},
	}
	create := map[string]any{
		"@context": "https://www.w3.org/ns/activitystreams", "id": id + "#create", "type": "Create", "actor": string(b.BotActor()),
		"to": to, "cc": []any{}, "published": note["published"], "object": note,
	}
	return b.send(tx, outgoing{id: id, key: "notes " + string(acc.Actor), body: mustJSON(create), from: b.BotActor(), kind: consent.Service,
		purpose: p.Purpose, subject: acc.Subject(), inboxes: []string{acc.Inbox}, priority: queue.Urgent, private: true})
}
