package bridge

import (
	"context"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/atproto"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// ChatJob is the payload of JobChat: the command word of a message. The rest of it is not kept.
type ChatJob struct {
	From    syntax.DID      `json:"from"`
	Command consent.Command `json:"command"`
	Message string          `json:"message"`
}

// ReceiveChat takes a private message to the bot on the AT side; nil means that it is durable.
func (b *Bridge) ReceiveChat(ctx context.Context, m atproto.ChatMessage) error {
	return b.Store.Update(ctx, func(tx Tx) error {
		fresh, err := b.seen(tx, "chat:"+m.ID)
		if err != nil || !fresh {
			return err
		}
		j, err := job(JobChat, contactKey(identity.Subject(m.From)), ChatJob{From: m.From, Command: consent.ParseCommand(m.Text, ""), Message: m.ID})
		if err != nil {
			return err
		}
		j.Subject, j.Priority = string(m.From), queue.Urgent
		return tx.Enqueue(j)
	})
}

// handleChat obeys a command that came by chat.
func (b *Bridge) handleChat(ctx context.Context, j queue.Job) error {
	p, err := decode[ChatJob](j)
	if err != nil {
		return err
	}
	id, signals, err := b.newcomer(ctx, p.From)
	if err != nil {
		return err
	}
	proof := mustJSON(map[string]any{"chat": p.Message, "from": p.From, "command": p.Command})
	m := message{command: p.Command, evidence: proof, lang: "en", signals: signals, e2: consent.E3}
	return b.done(ctx, j, func(tx Tx) error {
		acc, err := b.ensureATAccount(tx, id)
		if err != nil {
			return err
		}
		return b.obey(tx, acc, m)
	})
}
