package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/atproto/pds"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

const settingBot = "bot.did"

// botSubject stands for the bridge itself where a permit needs a subject.
func (b *Bridge) botSubject() identity.Subject { return identity.Subject(b.BotActor()) }

// EnsureBot gives the bot its DID at the first start; the directory and the repo follow as a job that may wait for the
// network.
func (b *Bridge) EnsureBot(ctx context.Context) error {
	err := b.Store.Update(ctx, func(tx Tx) error {
		did, err := tx.Setting(settingBot)
		if err != nil || len(did) > 0 {
			b.botDID.Store(string(did))
			return err
		}
		made, err := b.newDID(tx, b.BotHandle())
		if err != nil {
			return err
		}
		tx.AfterCommit(func() { b.botDID.Store(string(made)) })
		if err := tx.PutSetting(settingBot, []byte(made)); err != nil {
			return err
		}
		j, err := job(JobPLC, "plc:"+string(made), SubjectJob{Subject: b.botSubject(), Step: string(made)})
		if err != nil {
			return err
		}
		j.Priority = queue.Urgent
		return tx.Enqueue(j)
	})
	if err != nil {
		return fmt.Errorf("making the bridge's own account: %w", err)
	}
	b.Interest.AddMention(b.BotDID())
	return b.ensureOwnKeys(ctx)
}

func (b *Bridge) ensureOwnKeys(ctx context.Context) error {
	return errors.Join(b.ensureActorKey(ctx, b.BotActor()), b.ensureActorKey(ctx, b.InstanceActor()))
}

// handlePLC registers the bot's DID, then opens its repo.
func (b *Bridge) handlePLC(ctx context.Context, j queue.Job) error {
	p, err := decode[SubjectJob](j)
	if err != nil {
		return err
	}
	did := syntax.DID(p.Step)
	if err := b.submitPLC(ctx, p.Subject, did); err != nil {
		return deniedIsDrop(err)
	}
	return b.done(ctx, j, func(tx Tx) error { return b.openBot(ctx, tx, did) })
}

func (b *Bridge) openBot(ctx context.Context, tx Tx, did syntax.DID) error {
	permit, err := b.Gate.Service(ctx, tx, b.botSubject(), consent.PurposeInstance)
	if err != nil {
		return err
	}
	if _, err := b.Host.CreateRepo(tx, permit, did, b.BotHandle(), nil); err != nil {
		return fmt.Errorf("creating the bot's repo: %w", err)
	}
	profile := map[string]any{
		"$type": "app.bsky.actor.profile", "displayName": "Footbridge",
		"description": "Follow this account to join the bridge between Bluesky and the fediverse. You are asked first, here: " + b.Settings.BaseURL + "/join/at  Block it to leave.",
		"labels":      map[string]any{"$type": "com.atproto.label.defs#selfLabels", "values": []any{map[string]any{"val": "bot"}}},
		"createdAt":   tx.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
	}
	if _, _, err := b.Host.Apply(ctx, tx, permit, did, pds.Write{Collection: "app.bsky.actor.profile", RKey: "self", Record: profile}); err != nil {
		return fmt.Errorf("writing the bot's profile: %w", err)
	}
	return errors.Join(b.announce(tx), b.checkRelays(tx, b.botSubject(), did))
}
